"""The templates of `attest init`, filled in by Jinja2.

Workflows and shell scripts are full of braces, so the marks are others: `<{ value }>`, `<% statement %>`, `<# note #>`.
"""

from __future__ import annotations

from importlib import resources
from typing import Any


def render(template: str, **values: Any) -> str:
    """The text of a template in `attest/templates`. A value that is missing is a defect, and never empty text."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        undefined=jinja2.StrictUndefined,
        variable_start_string="<{",
        variable_end_string="}>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - no HTML; every value is checked before it gets here
    )
    return environment.get_template(template).render(**values)


def _source(name: str) -> str:
    return (resources.files("attest") / "templates" / f"{name}.j2").read_text("utf-8")
