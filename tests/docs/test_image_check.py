"""docs/image-check.md is true: its commands parse, its predicate is made, its conditions and its tables hold."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import click
import pytest

from attest.adapters.conditions import compile_condition
from attest.adapters.documents import parse_document
from attest.cli.imagecheck import command
from attest.core.contract.finding import Outcome, Standing
from attest.core.contract.report import SCHEMA, Ending
from attest.core.contract.result import contract_result
from attest.core.contract.sarif import FINGERPRINT, sarif
from tests.cli.test_help import parse
from tests.core.make_contract import SETID, USED, USER, checked, finding, result
from tests.project import ROOT

DOCUMENT = (ROOT / "docs" / "image-check.md").read_text()


def blocks(language: str) -> list[str]:
    """The blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def predicate() -> dict[str, Any]:
    """The predicate of a user that is not allowed, and of a set-id file that is."""
    report = checked(
        result(USER, finding(USER, "User", layer=None)),
        result(SETID, finding(standing=Standing.EXCEPTED)),
        uses=[USED],
    )
    return contract_result(report)


def test_the_commands_parse() -> None:
    """Every command line that is shown has only options that exist."""
    shown = [shlex.split(line) for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    assert len(shown) == 2
    for words in shown:
        parse(words)


def test_the_options_are_described() -> None:
    """The table of options names those that decide what is compared and printed, and no other."""
    named = re.findall(r"^\| `--([a-z-]+)(?: [A-Z=]+)?` \|", DOCUMENT, re.MULTILINE)
    there = {name.removeprefix("--") for one in command.params if isinstance(one, click.Option) for name in one.opts}
    assert set(named) <= there
    assert named == ["contract", "lock", "baseline", "ci-image", "format", "save", "sign"]


def test_the_predicate_that_is_shown_is_made() -> None:
    """Such a report makes that predicate, but for digests."""
    (block,) = blocks("json")
    shown, made = json.loads(block), predicate()
    for one in (shown, made):
        for resource in one["configuration"]:
            resource["digest"] = list(resource["digest"])
    assert shown == made
    assert list(shown) == list(made)


def test_the_fields_are_those_that_are_written() -> None:
    """Every field of ours that a predicate has is explained, and no other is named."""
    assert set(re.findall(r"attest_\w+", DOCUMENT)) == {name for name in predicate() if name.startswith("attest_")}


@pytest.mark.parametrize(
    ("position", "change"),
    [
        (0, {"configuration": [{"name": "contract.yaml", "digest": {"sha256": "another"}}]}),
        (1, {"attest_exceptions": [{"id": "file.setid"}]}),
    ],
)
def test_the_conditions_decide(position: int, change: dict[str, Any]) -> None:
    """Each condition holds for a predicate that is as it says, and not with another contract or an exception."""
    (block,) = blocks("yaml")
    conditions: Any = parse_document(block.encode(), file="docs/image-check.md").value
    conditions = conditions["lanes"]["contract"]["where"]
    assert len(conditions) == 2
    contract = {"name": "contract.yaml", "digest": {"sha256": "4e0b..."}}
    tool = {"name": "attest", "digest": {"dirHash": "6f3a"}}
    good = {**predicate(), "configuration": [tool, contract], "attest_exceptions": []}
    rest: dict[str, Any] = {"statement": {}, "image": {}, "certificate": None}
    condition = compile_condition(conditions[position])
    assert condition.holds(predicate=good, **rest) is True
    assert condition.holds(predicate={**good, **change}, **rest) is False


def test_the_exit_codes_are_those_of_reports() -> None:
    """Each way in which a report ends has its row."""
    rows = dict(re.findall(r"^\| ([0-3]) \| (.+) \|$", DOCUMENT, re.MULTILINE))
    assert list(rows) == ["0", "1", "2", "3"]
    ends = {
        Outcome.PASSED: (checked(result(SETID)), "every check passed"),
        Outcome.FAILED: (checked(result(SETID, finding())), "a check failed"),
        Outcome.UNDECIDED: (checked(result(SETID, finding(standing=Standing.UNDECIDED))), "could not be decided"),
    }
    for outcome, (report, words) in ends.items():
        assert report.report.outcome is outcome
        assert words in rows[str(report.report.exit)]


def test_what_sarif_makes_of_findings() -> None:
    """The table of SARIF has the levels and kinds that are written, for every standing."""
    rows = dict(re.findall(r"^\| (violation|excepted|undecided|warning) \| (.+) \|$", DOCUMENT, re.MULTILINE))
    assert set(rows) == {standing.value for standing in Standing}
    for standing in Standing:
        (made,) = sarif(checked(result(SETID, finding(standing=standing))))["runs"][0]["results"]
        word = f"kind `{made['kind']}`" if made["kind"] != "fail" else f"level `{made['level']}`"
        assert word in rows[standing.value]
        assert ("suppression" in rows[standing.value]) == ("suppressions" in made)


def test_names_of_the_code() -> None:
    """The document names the schema and the fingerprint, and people see endings in the order that it says."""
    assert f"`{SCHEMA}`" in DOCUMENT
    assert f"`{FINGERPRINT}`" in DOCUMENT
    assert [one.value for one in Ending] == ["failed", "undecided", "warned", "excepted", "passed"]
    assert "what failed comes first, then what is undecided, warned or excepted, then what passed" in DOCUMENT
