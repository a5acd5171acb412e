"""docs/image-lock.md shows what the commands print, and names every part and every label that is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from attest.core.image.diff import Section
from attest.core.image.diffdocument import SCHEMA as DIFF_SCHEMA
from attest.core.lock import document as lockdocument
from attest.core.lock import driftdocument
from attest.core.lock.locked import CHANGING_LABELS
from attest.core.lock.locking import Part
from tests.cli.locked_images import APP, BASE, CONFIG, CONTRACT, NANO, write_image
from tests.cli.running import attest
from tests.docs import console
from tests.project import ROOT

DOCUMENT = (ROOT / "docs" / "image-lock.md").read_text()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the images and the contract of the document."""
    (tmp_path / "contract.yaml").write_text(CONTRACT)
    (tmp_path / "build").mkdir()
    write_image(tmp_path / "build" / "backend", BASE, APP)
    root = {**CONFIG, "User": "root"}
    write_image(tmp_path / "build" / "next", BASE, APP, NANO, config=root, steps=["/bin/sh -c #(nop) USER root"])
    return tmp_path


def normal(text: str) -> str:
    """Text without the digits of digests."""
    return re.sub(r"sha256:[0-9a-f]+", "sha256:", text.strip("\n"))


def test_the_commands_print_what_is_shown(folder: Path) -> None:
    """Every command of the document prints what stands below it, one after another in one folder."""
    shown = [step for block in console.blocks(DOCUMENT) for step in console.steps(block)]
    assert len(shown) == 4
    for step in shown:
        ended = attest(*step.command.split()[1:], cwd=folder)
        assert ended.err == ""
        assert normal(ended.out) == normal(step.output), ended.out


def test_every_part_is_told() -> None:
    """The table has the parts of a platform, the text the two of the whole, and every section of a difference."""
    rows = re.findall(r"^\| `(\w+)` \|", DOCUMENT, re.MULTILINE)
    assert {*rows, "contract", "platforms"} == {part.value for part in Part}
    assert all(f"`{section.value}`" in DOCUMENT for section in Section)
    assert {"`contract`", "`platforms`"} <= set(re.findall(r"`\w+`", DOCUMENT))


def test_every_label_that_is_left_out_is_told() -> None:
    """The labels that differ from build to build are those of the list, and no others."""
    told = re.search(r"^- the labels (.*?)\. That$", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert told is not None
    assert set(re.findall(r"`([^`]+)`", told[1])) - {"base"} == CHANGING_LABELS


def test_the_documents_are_named() -> None:
    """The document names the schemas as they are called."""
    for schema in (lockdocument.SCHEMA, driftdocument.SCHEMA, DIFF_SCHEMA):
        assert f"`{schema}`" in DOCUMENT
