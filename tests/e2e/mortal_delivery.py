"""A command that is killed with SIGKILL at one step of a delivery.

`python -m tests.e2e.mortal_delivery STEP ARGUMENTS`; steps are counted before and behind each record that is written,
and each call of the target. The lease of the one that was killed is over after a second.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from attest.adapters.hook import Hook
from attest.cli.main import run
from attest.ops.delivery import site
from attest.ops.delivery.site import Journal

SURVIVED: Final = "survived"
"""On standard error where the command came to its end; behind it the number of steps that there were."""


def main() -> int:
    """Run the command, and die at the step."""
    fatal, *arguments = sys.argv[1:]
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1
        if steps == int(fatal):
            os.kill(os.getpid(), signal.SIGKILL)

    def mortal(whole: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            count()
            result = whole(*given, **named)
            count()
            return result

        return call

    site.LEASE = timedelta(seconds=1)  # type: ignore[misc]
    patched: Any
    for patched, names in ((Journal, ("write",)), (Hook, ("prepare", "apply", "observe"))):
        for name in names:
            setattr(patched, name, mortal(getattr(patched, name)))
    code = run(arguments)
    sys.stdout.flush()
    print(SURVIVED, steps, file=sys.stderr)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
