"""Private keys that a command line names."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from attest.cli.terminal import escape

if TYPE_CHECKING:
    from attest.adapters.keys import KeySigner


def open_signer(path: str, password_file: str | None) -> KeySigner:
    """The signer of a key file; its passphrase is asked for only if it has one.

    Raises:
        KeyUnusable, UsageError: it cannot be read, or there is no passphrase to be had.
    """
    from attest.adapters.keys import load_signer, read_passphrase

    def passphrase() -> bytes:
        return read_passphrase(
            password_file=None if password_file is None else Path(password_file),
            environment=os.environ,
            prompt=prompt_for(f"Passphrase of {path}"),
        )

    signer = load_signer(Path(path), passphrase)
    for warning in signer.warnings:
        click.echo(f"{click.style('warning', fg='yellow')}: {escape(path)}: {escape(warning)}", err=True)
    return signer


def prompt_for(question: str, *, confirm: bool = False) -> Callable[[], str] | None:
    """A way to ask at the terminal, or None where there is nobody to ask."""
    if sys.stdin is None or not sys.stdin.isatty():
        return None

    def ask() -> str:
        answer: str = click.prompt(
            escape(question), hide_input=True, confirmation_prompt=confirm, err=True, default="", show_default=False
        )
        return answer

    return ask
