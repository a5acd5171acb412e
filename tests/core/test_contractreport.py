"""The report of a contract's checks as JSON: it obeys its schema, and the schema refuses what no report says."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from attest.core.contract.finding import Standing
from attest.core.contract.report import Checked, Ending, document, ending, endings, remedies
from tests.core.make_contract import (
    AMD,
    ARM,
    DRIFT,
    IMAGE,
    SETID,
    USER,
    checked,
    everything,
    finding,
    result,
)


def validator() -> Draft202012Validator:
    """The published schema."""
    schema = json.loads((resources.files("attest") / "schemas" / "contract-report.v1.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_document_says_everything() -> None:
    """Every check, result, finding, layer, exception and shared layer of a report stands in its document."""
    written = document(everything())
    assert list(validator().iter_errors(written)) == []
    assert written["verdict"] == "FAILED"
    assert (written["image"], written["time"]) == (IMAGE, "2026-07-01T12:00:00.000000Z")
    assert [check["id"] for check in written["checks"]] == ["user.nonroot", "file.setid", "lock.drift"]
    assert written["checks"][0]["aliases"] == ["CIS-DI-0001", "DS-0002"]
    assert [(one["check"], one["platform"], one["outcome"]) for one in written["results"]] == [
        ("user.nonroot", "linux/amd64", "failed"),
        ("user.nonroot", "linux/arm64", "undecided"),
        ("file.setid", "linux/amd64", "passed"),
        ("file.setid", "linux/arm64", "passed"),
        ("lock.drift", None, "failed"),
    ]
    (excepted,) = written["results"][2]["findings"]
    assert excepted == {
        "place": "/usr/bin/sudo",
        "message": "it is set-user-id",
        "standing": "excepted",
        "layer": {"position": 2, "digest": "sha256:" + 64 * "2", "created_by": "RUN apt-get install sudo"},
        "exception": {
            "id": "file.setid",
            "path": "/usr/bin/*",
            "reason": "needed until the next release",
            "owner": "ops@example.org",
            "expires": "2026-12-31T00:00:00.000000Z",
        },
    }
    assert written["exceptions"] == [{**excepted["exception"], "use": "used", "findings": 1}]
    assert written["shared_layers"][0]["ci"]["layer"]["created_by"] is None
    assert [one["role"] for one in written["inputs"]] == ["contract", "lock"]
    assert written["tool"] == {"name": "attest", "version": "0.1.0", "digest": {"dirHash": 64 * "a"}}


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        (checked(result(SETID)), "PASSED"),
        (checked(result(SETID, finding(standing=Standing.WARNING))), "PASSED"),
        (checked(result(SETID, finding(standing=Standing.UNDECIDED))), "UNDECIDED"),
        (checked(), "UNDECIDED"),
        (checked(result(SETID), result(USER, finding(USER))), "FAILED"),
    ],
)
def test_the_verdict(report: Checked, verdict: str) -> None:
    """The verdict is that of the report, and each such document obeys the schema."""
    written = document(report)
    assert written["verdict"] == verdict
    assert validator().is_valid(written)


def _set(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(written: dict[str, Any]) -> None:
        place: Any = written
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("verdict", value="REFUSED"),
        _set("more", value=1),
        _set("results", 0, "outcome", value="passed"),
        _set("results", 0, "outcome", value="undecided"),
        _set("results", 1, "outcome", value="failed"),
        _set("results", 2, "outcome", value="undecided"),
        _set("results", 2, "findings", 0, "exception", value=None),
        _set("results", 0, "findings", 0, "exception", value={}),
        _set("results", 0, "findings", 0, "layer", value={"position": 0}),
        _set("results", 0, "check", value="no check"),
        _set("exceptions", 0, "use", value="gone"),
        _set("digest", value="sha256:0"),
        _set("tool", "digest", value={"sha256": 64 * "a"}),
    ],
)
def test_the_schema_refuses(change: Callable[[dict[str, Any]], None]) -> None:
    """The schema refuses an outcome that its findings contradict, and any member or value that no report has."""
    written = copy.deepcopy(document(everything()))
    change(written)
    assert not validator().is_valid(written)


@pytest.mark.parametrize(
    ("standings", "ended"),
    [
        ((), Ending.PASSED),
        ((Standing.EXCEPTED,), Ending.EXCEPTED),
        ((Standing.EXCEPTED, Standing.WARNING), Ending.WARNED),
        ((Standing.WARNING, Standing.UNDECIDED), Ending.UNDECIDED),
        ((Standing.UNDECIDED, Standing.VIOLATION, Standing.EXCEPTED), Ending.FAILED),
    ],
)
def test_how_a_check_ended(standings: tuple[Standing, ...], ended: Ending) -> None:
    """A violation decides before what is undecided, that before a warning, and that before an exception."""
    assert ending(result(SETID, *(finding(standing=standing) for standing in standings))) is ended


def test_what_to_do() -> None:
    """A failure has the remedy of its check; what is undecided says what is missing, each once; a pass says nothing."""
    report = everything()
    failed, undecided, excepted, *_ = report.report.results
    assert remedies(report, failed) == (USER.fix,)
    assert remedies(report, excepted) == ()
    (unread,) = remedies(report, undecided)
    assert "`attest image facts` lists what could not be read" in unread
    places = ["baseline", "ci-image", "lock", "provenance", "/etc/passwd", "/etc/group", "sha256:" + 64 * "0"]
    missing = [finding(place=place, standing=Standing.UNDECIDED, layer=None) for place in places]
    told = remedies(report, result(SETID, *missing))
    assert len(told) == len(places) - 2
    for option in ("--baseline", "--ci-image", "--lock", "docs/provenance.md"):
        assert sum(option in text for text in told) == 1


def test_the_worst_platform_decides() -> None:
    """A check that failed on one platform has failed, wherever in the order that platform stands."""
    bad = result(SETID, finding(platform=ARM), platform=ARM)
    for results in ((result(SETID), bad), (bad, result(SETID))):
        assert endings(results) == {"file.setid": Ending.FAILED}


def test_platforms_in_their_order() -> None:
    """Platforms come in the order of the results, and what is about none of them comes last."""
    report = checked(result(DRIFT, platform=None), result(SETID, platform=ARM), result(SETID, platform=AMD))
    assert report.platforms == (ARM, AMD, None)
