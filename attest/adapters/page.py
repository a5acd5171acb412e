"""The history of an environment as one HTML page, by Jinja2 with autoescape.

The page loads nothing and runs nothing: its content security policy forbids everything but its own style, which it
names by its hash (CSP 3, 2.3.1). Foreign text stays text, and characters that reorder or hide others are written out.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from importlib import resources
from typing import Any

from attest.core.delivery.history import Delivery
from attest.core.delivery.page import Page, release_name, span
from attest.core.delivery.view import rest_in_words
from attest.core.statement import format_time


def render(page: Page, *, clean: Callable[[str], str], version: str) -> bytes:
    """The page as UTF-8.

    Args:
        page: What it shows.
        clean: Makes foreign text visible as it is: no control characters, no bidirectional tricks.
        version: Of attest.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": _moment, "day": _day, "span": span, "release": release_name, "percent": _percent}
    environment.filters["rest"] = rest_in_words
    environment.tests["delivery"] = lambda entry: isinstance(entry, Delivery)
    style = _source("history.css")
    text = environment.get_template("history.html").render(
        page=page, style=_Style(style), policy=_policy(style), version=version
    )
    return text.encode("utf-8")


class _Style(str):
    """The page's own style, which is no foreign text."""

    __slots__ = ()

    def __html__(self) -> str:
        return str(self)


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _source(name: str) -> str:
    return (resources.files("attest") / "templates" / f"{name}.j2").read_text("utf-8")


def _moment(value: Any) -> str:
    return format_time(value)[:19].replace("T", " ") + " UTC"


def _day(value: Any) -> str:
    return format_time(value)[:10]


def _percent(value: float) -> str:
    return f"{value:.0%}".replace("%", " %")
