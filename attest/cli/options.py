"""Options that several commands share, and what becomes of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_TIMEOUT = 120.0
LONG_TIMEOUT = 3600.0
"""Where images are moved, which may be many gigabytes."""


class Seconds(click.FloatRange):
    """A number of seconds up to a day."""

    def __init__(self, *, zero: bool) -> None:
        """With or without 0."""
        super().__init__(min=0, min_open=not zero, max=86_400)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """NaN is in every range, and no time is ever after it."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number of seconds.", param, ctx)
        return seconds


def format_option(function: F) -> F:
    """`--format text|json`."""
    return click.option(
        "--format",
        "output",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="For people, or for scripts.",
    )(function)


def repository_option(function: F) -> F:
    """`--repository HOST/REPO`."""
    return click.option(
        "--repository",
        "repositories",
        metavar="HOST/REPO",
        multiple=True,
        help="The repository that an oci: image stands for; once for each, in their order.",
    )(function)


def registry_options(function: F) -> F:
    """How to speak to registries: `--timeout`, `--plain-http`, `--ca-file`, `--token-host`."""
    return _registry_options("--timeout", "Give up, undecided, after this long.")(function)


def transfer_options(function: F) -> F:
    """The same for a command that moves images, which takes long."""
    return _registry_options("--timeout", "Give up, undecided, after this long.", default=LONG_TIMEOUT)(function)


def store_options(function: F) -> F:
    """The same where `--timeout` is somebody else's: `--store-timeout`."""
    return _registry_options(
        "--store-timeout", "Give registries and services this long, before the command and after."
    )(function)


def delivery_options(function: F) -> F:
    """The same for a command that deploys: each look into registries has this long, whatever stands between two."""
    return _registry_options("--store-timeout", "Give registries this long for each verdict.")(function)


def _registry_options(timeout: str, what: str, *, default: float = DEFAULT_TIMEOUT) -> Callable[[F], F]:
    def add(function: F) -> F:
        for option in _connection_options(timeout, what, default):
            function = option(function)
        return function

    return add


def _connection_options(timeout: str, what: str, default: float) -> tuple[Callable[[F], F], ...]:
    return (
        click.option(
            "--token-host",
            "token_hosts",
            metavar="HOST[:PORT]",
            multiple=True,
            help="A place besides the registry itself that may exchange its credentials for a token.",
        ),
        click.option(
            "--ca-file",
            metavar="FILE",
            type=click.Path(),
            help="Trust the certificate authorities in this PEM file instead of the system's.",
        ),
        click.option("--plain-http", is_flag=True, help="Speak http to registries that are not on this machine."),
        click.option(
            timeout,
            metavar="SECONDS",
            type=Seconds(zero=False),
            default=default,
            show_default=True,
            help=what,
        ),
    )


def password_option(function: F) -> F:
    """`--password-file FILE`."""
    return click.option(
        "--password-file",
        metavar="FILE",
        type=click.Path(),
        help="Read the key's passphrase from here, not from ATTEST_KEY_PASSWORD or a prompt.",
    )(function)
