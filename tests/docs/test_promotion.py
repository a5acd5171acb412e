"""docs/promotion.md is true: its commands parse, its fields, codes and numbers are those of the code."""

from __future__ import annotations

import re
import shlex

import pytest

from attest.cli.options import LONG_TIMEOUT
from attest.core.promotion.destination import TAG_FORMAT, parse_tag_format
from attest.core.reference import Digest
from attest.errors import TagTaken, UsageError
from tests.cli.test_help import parse
from tests.project import ROOT

DOCUMENT = (ROOT / "docs" / "promotion.md").read_text()


def test_the_commands_parse() -> None:
    """Every command line that is shown has only options that exist."""
    shown = re.findall(r"^    (attest promote .*)$", DOCUMENT.replace("\\\n", " "), re.MULTILINE)
    assert len(shown) == 2
    for line in shown:
        parse(shlex.split(line))


def test_the_fields_of_a_tag_are_those_that_there_are() -> None:
    """Each field that is described is written, an unknown one is not, and the default is the one that is named."""
    fields = re.findall(r"`\{(\w+)\}`", DOCUMENT)
    assert sorted(fields) == ["commit", "commit12", "digest", "digest12"]
    for field in fields:
        assert parse_tag_format(f"{{{field}}}-{{digest12}}").tag(Digest("sha256:" + 64 * "a"), 40 * "b")
    with pytest.raises(UsageError):
        parse_tag_format("{service}-{digest12}")
    assert f"the default is `{TAG_FORMAT}`" in DOCUMENT


def test_the_error_is_called_so() -> None:
    """The code of a taken tag, its exit code, and the time of the whole command."""
    assert f"the error `{TagTaken.code}`, exit code {TagTaken.exit_code}" in DOCUMENT
    assert LONG_TIMEOUT == 3600
    assert "an hour unless it says otherwise" in DOCUMENT
