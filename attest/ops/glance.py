"""What manifests and configurations say of an image, without reading a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from attest.core.image.facts import ImageFacts
from attest.core.image.layercontent import LayerContent
from attest.core.oci import Descriptor
from attest.core.reference import Digest
from attest.ops.facts import Readers, gather_facts
from attest.ports import ImageSource

_NOTHING: Final = LayerContent(members=(), kept={}, secrets=(), unpacked=0)


def glance(source: ImageSource) -> ImageFacts:
    """What is known of an image without its layers: files, packages, accounts and sizes are not.

    Its diff_ids are what it claims. They are enough to compare with those of an image whose layers were read.

    Raises:
        StoreError, LimitExceeded: as `attest.ops.facts.gather_facts`.
    """

    def unread(
        pieces: Iterator[bytes],
        layer: Descriptor,
        diff_id: Digest,
        *,
        keep: Callable[[str], int | None],
        progress: Callable[[int], None],
    ) -> LayerContent:
        del pieces, layer, diff_id, keep, progress
        return _NOTHING

    return gather_facts(source, Readers(layer=unread, rpm=lambda _: ()))
