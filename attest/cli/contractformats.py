"""The report of a contract's checks in each of its formats, for the screen and for files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from attest.adapters.files import write_file
from attest.cli.terminal import json_text
from attest.errors import Undecided, UsageError

if TYPE_CHECKING:
    from attest.core.contract.report import Checked

FORMATS: Final = ("text", "json", "sarif", "junit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A file that the report goes to, too."""

    format: str
    file: str

    @staticmethod
    def read(text: str) -> Saved:
        """What `FORMAT=FILE` says.

        Raises:
            UsageError: it says something else.
        """
        name, equals, file = text.partition("=")
        if name not in FORMATS or not equals or not file:
            raise UsageError(f"--save {text!r} is not FORMAT=FILE", hint=f"formats are {', '.join(FORMATS)}")
        if file == "-":
            raise UsageError("--save writes files", hint=f"--format {name} prints the report")
        return Saved(format=name, file=file)


def rendered(name: str, checked: Checked, signed: Mapping[str, Any] | None) -> str:
    """The report in a format, with a newline at its end; text has colours."""
    match name:
        case "text":
            from attest.cli.contractlines import lines

            return "".join(f"{line}\n" for line in lines(checked))
        case "json":
            from attest.core.contract.report import document

            return json_text(document(checked, signed=signed)) + "\n"
        case "sarif":
            from attest.core.contract.sarif import sarif

            return json_text(sarif(checked)) + "\n"
        case "junit":
            from attest.adapters.junitxml import write_junit
            from attest.core.contract.junit import junit

            return write_junit(junit(checked)).decode("ascii")
        case _:
            raise ValueError(f"there is no format {name}")


def save(saved: Saved, checked: Checked, signed: Mapping[str, Any] | None) -> None:
    """Write the report to a file, whole or not at all.

    Raises:
        Undecided: it cannot be written. The command line was right, and there is no report where one is expected.
    """
    try:
        write_file(saved.file, click.unstyle(rendered(saved.format, checked, signed)).encode("utf-8"))
    except UsageError as error:
        raise Undecided(f"the report is not saved: {error.message}") from error
