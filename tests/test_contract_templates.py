"""The contracts of `policies/contracts`: they load, editors accept them, and they ask for everything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from attest.adapters.documents import parse_document
from attest.cli.contracts import load_contract
from attest.core.contract import schema
from attest.core.contract.table import CHECKS
from tests.project import ROOT

TEMPLATES = sorted((ROOT / "policies" / "contracts").glob("*.yaml"))

every_template = pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)


def test_the_templates_are_there() -> None:
    """There is one for each kind of image that the documentation names."""
    assert [path.stem for path in TEMPLATES] == ["node-static", "python-web", "static-binary"]


@every_template
def test_a_template_loads(path: Path) -> None:
    """A template is a contract, called as its file, which asks for every check and excepts nothing."""
    contract = load_contract(str(path))
    assert contract.name == path.stem
    assert set(contract.checks) == {check.id for check in CHECKS}
    assert contract.exemptions == ()


@every_template
def test_a_template_is_valid_in_an_editor(path: Path) -> None:
    """The published schema accepts every template."""
    document = parse_document(path.read_bytes(), file=path.name)
    assert list(Draft202012Validator(schema()).iter_errors(document.value)) == []


@every_template
def test_the_exception_in_a_template_works(path: Path, tmp_path: Path) -> None:
    """The exception that stands there as a comment is one, once its marks are taken away."""
    text = path.read_text()
    commented = text[text.index("# exceptions:") :]
    (tmp_path / "contract.yaml").write_text(text + re.sub(r"^# ", "", commented, flags=re.MULTILINE))
    (exemption,) = load_contract(str(tmp_path / "contract.yaml")).exemptions
    assert exemption.owner in commented
