"""`python -m attest` and the `attest` command."""

from __future__ import annotations

import sys

_UNDECIDED = 3
_INTERRUPTED = 130


def main() -> None:
    """Run the command line and end with its exit code."""
    try:
        from attest.cli.main import run
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except ImportError as error:  # Python's own code for it, 1, would mean refused
        sys.stderr.write(f"error: attest is not installed completely: {error}\n")
        sys.exit(_UNDECIDED)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
