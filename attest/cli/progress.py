"""A sign of life on long work: on a terminal only, on standard error, and only after a moment."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE = 0.7
"""Seconds before anything is shown; most commands are done by then, and never load rich."""


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """Show that work goes on, until it is done."""
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


def _show(text: str, done: threading.Event) -> None:
    if done.wait(_PATIENCE):
        return
    from rich.console import Console

    with Console(stderr=True).status(f"{text} ..."):
        done.wait()
