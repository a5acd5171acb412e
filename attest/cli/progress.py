"""A sign of life on long work: on a terminal only, on standard error, and only after a moment."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

_PATIENCE = 0.7
"""Seconds before anything is shown; most commands are done by then, and never load rich."""
_MOMENT = 0.2
"""Seconds between two looks at how far it is."""


def waiting(text: str) -> AbstractContextManager[None]:
    """Show that work goes on, until it is done."""
    return watching(lambda: text)


@contextmanager
def watching(text: Callable[[], str]) -> Iterator[None]:
    """Show how far work is, as `text` says it at each moment, until it is done."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_show, args=(text, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def amount(size: int) -> str:
    """So many bytes, for people: `1.2 GB`."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _show(text: Callable[[], str], done: threading.Event) -> None:
    if done.wait(_PATIENCE):
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{text()} ...") as status:
        while not done.wait(_MOMENT):
            status.update(f"{text()} ...")
