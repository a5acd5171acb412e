"""`python -m attest` and the `attest` command."""

from __future__ import annotations

import gc
import os
import sys
from typing import Final

ALLOCATIONS: Final = 50_000
"""Objects that are made before unreachable ones are looked for. Loading modules makes many, and leaves none behind."""


def main() -> None:
    """Run the command line and end with its exit code."""
    gc.set_threshold(ALLOCATIONS)
    os.environ["PYDANTIC_DISABLE_PLUGINS"] = "__all__"  # whatever else is installed has no part in reading a policy
    from attest.cli.main import INTERRUPTED, run

    code = run(sys.argv[1:])
    if code == INTERRUPTED:
        # All is flushed and nothing is to be waited for. By sys.exit() CPython would end with SIGINT, and not with this
        # code, where the interrupt came inside exec(): while a module makes a dataclass.
        os._exit(code)
    gc.freeze()  # the process ends here: nobody needs the interpreter to search all modules for garbage once more
    sys.exit(code)


if __name__ == "__main__":
    main()
