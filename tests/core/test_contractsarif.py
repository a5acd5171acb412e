"""The report of a contract's checks as SARIF: valid, with rules, places, suppressions and stable fingerprints."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft4Validator

from attest.core.contract.finding import FoundLayer, Standing
from attest.core.contract.report import Checked
from attest.core.contract.sarif import FINGERPRINT, SARIF_SCHEMA, sarif
from attest.core.reference import Digest
from tests.core.make_contract import ARM, DRIFT, SETID, TIME, USER, checked, everything, finding, result
from tests.project import ROOT

SCHEMA = json.loads((ROOT / "tests" / "data" / "sarif" / "sarif-schema-2.1.0.json").read_text())


def run_of(report: Checked) -> dict[str, Any]:
    """The one run of the log, which the published schema accepts."""
    log = sarif(report)
    assert list(Draft4Validator(SCHEMA, format_checker=Draft4Validator.FORMAT_CHECKER).iter_errors(log)) == []
    (run,) = log["runs"]
    assert isinstance(run, dict)
    return run


def test_the_schema_is_the_one_that_is_named() -> None:
    """What the log names as its schema is what it is checked against, and that refuses what is no log."""
    assert SCHEMA["id"] == sarif(checked())["$schema"] == SARIF_SCHEMA
    assert not Draft4Validator(SCHEMA).is_valid({"version": "2.1.0", "runs": [{}]})


def test_every_check_is_a_rule() -> None:
    """The checks that were made are the rules, with aliases, why and what to change; results point to theirs."""
    run = run_of(everything())
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("attest", "0.1.0")
    assert [rule["id"] for rule in driver["rules"]] == ["user.nonroot", "file.setid", "lock.drift"]
    first = driver["rules"][0]
    assert first["name"] == "UserNonroot"
    assert first["shortDescription"]["text"] == USER.why
    assert first["help"]["text"] == f"{USER.fix} Known elsewhere as CIS-DI-0001, DS-0002."
    assert first["properties"]["aliases"] == ["CIS-DI-0001", "DS-0002"]
    assert driver["rules"][1]["help"]["text"] == SETID.fix
    assert all(driver["rules"][one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"])


def test_findings_have_kind_and_level() -> None:
    """A violation is an error, a warning a warning, what is undecided is open, and an exception suppresses."""
    results = run_of(everything())["results"]
    assert [(one["ruleId"], one["kind"], one["level"], "suppressions" in one) for one in results] == [
        ("user.nonroot", "fail", "error", False),
        ("user.nonroot", "open", "none", False),
        ("file.setid", "fail", "error", True),
        ("lock.drift", "fail", "warning", False),
        ("lock.drift", "fail", "error", False),
    ]
    (suppression,) = results[2]["suppressions"]
    assert suppression == {
        "kind": "external",
        "status": "accepted",
        "justification": "needed until the next release",
        "properties": {
            "owner": "ops@example.org",
            "expires": "2026-12-31T00:00:00.000000Z",
            "path": "/usr/bin/*",
        },
    }
    assert results[2]["properties"]["layer"]["created_by"] == "RUN apt-get install sudo"


def location(report: Checked) -> tuple[Any, Any]:
    """Where the only result is: the artifact and the logical location."""
    (found,) = run_of(report)["results"]
    (place,) = found["locations"]
    (logical,) = place["logicalLocations"]
    return place["physicalLocation"]["artifactLocation"], logical


def test_a_file_is_located_in_the_image() -> None:
    """A path is relative to the root of the image, encoded as a URI."""
    artifact, logical = location(checked(result(SETID, finding(place="/opt/a b%/\\xff"))))
    assert artifact == {"uri": "opt/a%20b%25/%5Cxff", "uriBaseId": "IMAGE"}
    assert logical == {
        "name": "/opt/a b%/\\xff",
        "fullyQualifiedName": "linux/amd64 file.setid /opt/a b%/\\xff",
        "kind": "file",
    }
    assert location(checked(result(SETID, finding(place="/"))))[0]["uri"] == "."


@pytest.mark.parametrize(
    ("report", "kind"),
    [
        (checked(result(SETID, finding(place="pkg:deb/debian/sudo@1"))), "package"),
        (checked(result(USER, finding(USER, "root", platform=None), platform=None)), "property"),
        (checked(result(DRIFT, finding(DRIFT, "/config/user"))), "property"),
        (checked(result(SETID, finding(place="/usr/**", platform=None), platform=None)), "property"),
    ],
)
def test_anything_else_is_located_at_the_image(report: Checked, kind: str) -> None:
    """What is no file is at the image, whose port is encoded so that its host is not taken for a scheme."""
    artifact, logical = location(report)
    assert artifact == {"uri": f"registry.example.org%3A5000/plex/backend@sha256%3A{64 * '1'}"}
    assert logical["kind"] == kind


def fingerprints(report: Checked) -> list[str]:
    """The fingerprint of each result."""
    return [one["partialFingerprints"][FINGERPRINT] for one in run_of(report)["results"]]


def test_fingerprints_outlive_a_build() -> None:
    """Another layer, another message or a new exception change no fingerprint; another place or platform does."""
    other = FoundLayer(position=5, digest=Digest("sha256:" + 64 * "9"), created_by=None)
    before = fingerprints(checked(result(SETID, finding())))
    assert before == fingerprints(checked(result(SETID, finding(layer=other, message="again"))))
    assert before == fingerprints(checked(result(SETID, finding(standing=Standing.EXCEPTED))))
    assert before != fingerprints(checked(result(SETID, finding(place="/usr/bin/su"))))
    assert before != fingerprints(checked(result(SETID, finding(platform=ARM), platform=ARM)))
    assert before != fingerprints(checked(result(USER, finding(USER))))


def test_fingerprints_tell_findings_apart() -> None:
    """Two findings of one place, as in two layers, have two fingerprints."""
    both = fingerprints(checked(result(SETID, finding(message="a"), finding(message="b"))))
    assert len(set(both)) == 2


def invocation(report: Checked) -> Any:
    """How the run went."""
    (found,) = run_of(report)["invocations"]
    return found


def test_what_is_undecided_was_no_success() -> None:
    """A run in which a check could not be decided, or in which none was made, was not successful, and says why."""
    undecided = checked(result(SETID), result(USER, finding(USER, "root", "no passwd", standing=Standing.UNDECIDED)))
    went = invocation(undecided)
    assert (went["executionSuccessful"], went["exitCode"]) == (False, 3)
    (note,) = went["toolExecutionNotifications"]
    assert (note["level"], note["associatedRule"]) == ("error", {"id": "user.nonroot"})
    assert note["message"]["text"] == "user.nonroot could not be decided: no passwd"
    assert not invocation(checked())["executionSuccessful"]


def test_a_violation_is_a_success_of_the_run() -> None:
    """A run that decided everything was successful, whether it passed or not."""
    failed = invocation(checked(result(SETID, finding())))
    assert (failed["executionSuccessful"], failed["exitCode"]) == (True, 1)
    assert invocation(checked(result(SETID)))["exitCode"] == 0
    assert failed["endTimeUtc"].startswith(TIME.isoformat()[:19])


@given(st.text(st.sampled_from("{}[]() a01") | st.characters()))
def test_no_text_is_a_placeholder_or_a_link(text: str) -> None:
    """Whatever an image says, nothing of a message is a placeholder or an embedded link, and no word is lost."""
    (found,) = run_of(checked(result(SETID, finding(message=text))))["results"]
    said = found["message"]["text"]
    assert "](" not in said
    assert "{" not in said.replace("{{", "")
    assert "}" not in said.replace("}}", "")
    shown = said.replace("{{", "{").replace("}}", "}").removeprefix("/usr/bin/sudo: ")
    assert shown.replace("] (", "](") == text.replace("] (", "](")
