"""The document of a verdict: every member, and only what was found."""

from __future__ import annotations

from attest.core.predicates import PROVENANCE_V1
from attest.core.reference import digest_of
from attest.core.report import document, signer_names, source_of
from attest.core.statement import NO_CONTEXT
from tests.core import make

APP = make.image("app")
CI = make.party("ci")
GOOD = make.bundle(CI, make.payload([APP.digest], make.context(dirty=True)))
ASKED = make.policy([make.lane("test", allow_dirty=True)])


def test_a_passed_verdict_is_written_whole() -> None:
    """Policy, time, image, lane, evidence with signer, time, result and source, and what was rejected."""
    written = document(make.decide(ASKED, make.release(APP), GOOD, b"junk"), ASKED)
    (image,) = written.pop("images")
    assert written == {
        "schema": "attest.verdict/v1",
        "verdict": "PASSED",
        "policy": {"name": "staging", "digest": make.digest("policy"), "serial": 7},
        "time": "2026-07-01T12:00:00.000000Z",
        "refusals": [],
    }
    (rejected,) = image.pop("rejected")
    assert (rejected["digest"], rejected["reason"]) == (digest_of(b"junk"), "bundle-invalid")
    assert image == {
        "image": APP.reference,
        "refusals": [],
        "lanes": [
            {
                "lane": "test",
                "state": "present",
                "reason": "present",
                "message": "signed by ci",
                "evidence": [
                    {
                        "digest": digest_of(GOOD),
                        "signer": "ci",
                        "time": "2026-07-01T11:00:00.000000Z",
                        "result": "PASSED",
                        "source": {
                            "repository": make.REPOSITORY,
                            "commit": make.COMMIT,
                            "ref": "refs/heads/main",
                            "run": "100",
                            "attempt": 1,
                            "job": "test",
                            "url": f"{make.REPOSITORY}/actions/runs/100",
                            "dirty": True,
                        },
                    }
                ],
            }
        ],
    }


def test_a_refused_verdict_lists_refusals_where_they_are() -> None:
    """Refusals of the release and of an image stand apart, each with its code and message."""
    asked = make.policy([make.lane("test")], expires=make.NOW, images=("registry.example.org/other",))
    written = document(make.decide(asked, make.release(APP)), asked)
    assert written["verdict"] == "REFUSED"
    assert [refusal["reason"] for refusal in written["refusals"]] == ["policy-expired"]
    assert [refusal["reason"] for refusal in written["images"][0]["refusals"]] == ["outside-policy"]
    assert all(refusal["message"] for refusal in written["refusals"])


def test_a_look_back_is_marked() -> None:
    """Only a verdict on the past says that it is one."""
    verdict = make.decide(ASKED, make.release(APP), GOOD, historical=True)
    assert document(verdict, ASKED, historical=True)["historical"] is True
    assert document(verdict, ASKED, historical=True)["verdict"] == "PASSED"
    assert "historical" not in document(verdict, ASKED)


def test_evidence_without_context_names_what_its_predicate_names() -> None:
    """No time, no result, no run; two places that disagree are both shown."""
    workflow = {"repository": make.REPOSITORY, "ref": "refs/heads/main"}
    config = {"uri": make.REPOSITORY + "2", "digest": {"gitCommit": make.COMMIT}}
    predicate = {"buildDefinition": {"externalParameters": {"workflow": workflow, "configSource": config}}}
    payload = make.payload([APP.digest], NO_CONTEXT, predicate_type=PROVENANCE_V1, predicate=predicate)
    asked = make.policy([make.lane("test", unlabelled=True, unbound=True, predicate_type=PROVENANCE_V1)])
    verdict = make.decide(asked, make.release(APP), make.bundle(CI, payload))
    (evidence,) = document(verdict, asked)["images"][0]["lanes"][0]["evidence"]
    assert (evidence["time"], evidence["result"]) == (None, None)
    assert evidence["source"] == {
        "repository": f"{make.REPOSITORY}2, {make.REPOSITORY}",
        "commit": make.COMMIT,
        "ref": "refs/heads/main",
    }


def test_a_shared_key_names_all_who_hold_it() -> None:
    """Sorted and joined, and nobody for a key that the policy does not have."""
    statement = make.verified(CI, make.payload([APP.digest], make.context()))
    shared = make.policy([make.lane("test")], {"zoe": [CI], "ann": [CI]})
    assert signer_names(statement, shared) == "ann,zoe"
    assert signer_names(statement, make.policy([], {"ann": [make.party("other")]})) == ""
    assert (
        source_of(make.verified(CI, make.payload([APP.digest], make.context("x", commit=None)))).get("commit") is None
    )
