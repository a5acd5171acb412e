"""Signals by their names and numbers, as `StopSignal` has them (image-spec, "Image Configuration")."""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = (
    *("HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT/IOT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM"),
    *("TERM", "STKFLT", "CHLD/CLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF"),
    *("WINCH", "IO/POLL", "PWR", "SYS/UNUSED"),
)
_NUMBERS: Final = {name: number for number, names in enumerate(_NAMES, start=1) for name in names.split("/")}
"""Signals of Linux on x86 and arm (signal(7))."""
_FIRST_REALTIME: Final = 34
_LAST: Final = 64
_REALTIME: Final = re.compile(r"RTM(?:IN(?:\+([0-9]{1,2}))?|AX(?:-([0-9]{1,2}))?)")
_UNCATCHABLE: Final = (_NUMBERS["KILL"], _NUMBERS["STOP"])


def signal_number(text: str) -> int | None:
    """The number of the signal that a text names, `SIGTERM`, `TERM` or `15`; None for a text that names none."""
    if text.isascii() and text.isdigit():
        number = int(text) if len(text) <= 2 else 0
        return number if 1 <= number <= _LAST else None
    name = text.removeprefix("SIG")
    realtime = _REALTIME.fullmatch(name)
    if realtime is not None:
        number = _LAST - int(realtime[2] or 0) if name.startswith("RTMAX") else _FIRST_REALTIME + int(realtime[1] or 0)
        return number if _FIRST_REALTIME <= number <= _LAST else None
    return _NUMBERS.get(name)


def is_signal(text: str) -> bool:
    """Whether a text names a signal."""
    return signal_number(text) is not None


def is_catchable(number: int) -> bool:
    """Whether a process can do something when it gets the signal."""
    return number not in _UNCATCHABLE
