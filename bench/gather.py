"""Gather the facts of one image and print them, as a process of its own: `python -m bench.gather REFERENCE`."""

from __future__ import annotations

import sys

from attest.cli.imagesources import layer_readers, open_image
from attest.cli.stores import Connection, Stores
from attest.core.image.factsdocument import facts_json
from attest.ops.facts import gather_facts


def main(reference: str) -> None:
    """Print the facts of the image as JSON."""
    stores = Stores(Connection(timeout=3600, plain_http=False, ca_file=None, token_hosts=()))
    with open_image(stores, reference) as source:
        sys.stdout.buffer.write(facts_json(gather_facts(source, layer_readers())))


if __name__ == "__main__":
    main(sys.argv[1])
