"""Standard input, output and error as they really are: closed, full, without colour, or unable to show a character."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Final

import click

_STANDARD: Final = (0, 1, 2)


def prepare_streams() -> None:
    """Fill closed standard descriptors, so that no other file takes their number, and escape what cannot be shown.

    Standard output is written whole or not at all, with PYTHONUNBUFFERED too.
    """
    for descriptor in _STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    if isinstance(sys.stdout, io.TextIOWrapper) and isinstance(sys.stdout.buffer, io.RawIOBase):
        sys.stdout = _whole(sys.stdout, sys.stdout.buffer)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _whole(stream: io.TextIOWrapper, raw: io.RawIOBase) -> io.TextIOWrapper:
    """An unbuffered stream with a buffer: without one Python drops what the system did not take, and says nothing.

    Nobody has to wait for the answer: click flushes after everything that it prints.
    """
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding=stream.encoding, line_buffering=stream.line_buffering)


def colours() -> bool | None:
    """What click is told: None, colours on a terminal alone; False, none at all (https://no-color.org)."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def complain(text: str) -> None:
    """A line on standard error, if anybody can have it."""
    try:
        click.echo(text, err=True, color=colours())
    except OSError:
        _forget(sys.stderr)


def abandon_output() -> OSError | None:
    """Why standard output cannot be written, if so; then what it still holds goes nowhere."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _forget(sys.stdout)
        return error
    return None


def _forget(stream: object) -> None:
    """Let a stream's rest go nowhere: Python would try to write it again at the end, and end with a code of its own."""
    if isinstance(stream, io.TextIOWrapper):
        with suppress(OSError):  # io.UnsupportedOperation too: a stream without a descriptor
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            stream.flush()
