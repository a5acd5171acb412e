"""The document of a verdict: every member, and only what was found."""

from __future__ import annotations

import dataclasses
import json
from importlib import resources

from jsonschema import Draft202012Validator

from attest.core.certificate import Certificate
from attest.core.predicates import PROVENANCE_V1
from attest.core.reference import digest_of
from attest.core.report import document, signer_names, source_of
from attest.core.statement import NO_CONTEXT
from attest.core.verify import VerifiedStatement
from tests.core import make, test_waiver
from tests.core.make_identity import ROOT, certificate, certified, identity, with_identities

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


def test_evidence_of_an_identity_names_its_signers_and_its_source() -> None:
    """Of signers that share the identity those whose claims hold are named; the certificate names a source too."""
    says = certificate(make.party("job"), ref="refs/heads/other")
    (found,) = make.found(KEYLESS, _signed(says))
    statement = found.outcome
    assert isinstance(statement, VerifiedStatement)
    assert signer_names(statement, KEYLESS) == "e2e,pushed"
    planned = dataclasses.replace(says, trigger="schedule")
    (found,) = make.found(KEYLESS, _signed(planned))
    assert isinstance(found.outcome, VerifiedStatement)
    assert signer_names(found.outcome, KEYLESS) == "e2e"
    assert source_of(statement)["ref"] == "refs/heads/main, refs/heads/other"
    assert source_of(statement)["commit"] == make.COMMIT


def test_the_root_that_was_fetched_stands_beside_the_policy() -> None:
    """Under the public-good trust the document names the root that was used, as the schema has it, and else none."""
    schema = json.loads((resources.files("attest") / "schemas" / "verdict.v1.json").read_text())
    fetched = dataclasses.replace(KEYLESS, public_good=True)
    for asked, root in ((fetched, ROOT), (KEYLESS, None)):
        written = document(make.decide(asked, make.release(APP), _signed()), asked)
        assert written["verdict"] == "PASSED"
        assert written["policy"].get("trusted_root") == root
        assert list(Draft202012Validator(schema).iter_errors(written)) == []
        written["policy"]["trusted_root"] = None
        assert not Draft202012Validator(schema).is_valid(written)


KEYLESS = with_identities(
    make.policy([make.lane("test", signer="e2e")]), {"e2e": identity(), "pushed": identity(trigger="push")}
)


def _signed(says: Certificate | None = None) -> bytes:
    return certified(make.party("job"), make.payload([APP.digest], make.context()), says=says)


def test_a_waived_verdict_says_by_what() -> None:
    """It is neither PASSED nor REFUSED, lanes keep their states, and the waiver stands there with its signers."""
    written = document(test_waiver.waived(), test_waiver.policy())
    schema = json.loads((resources.files("attest") / "schemas" / "verdict.v1.json").read_text())
    Draft202012Validator(schema).validate(written)
    assert written["verdict"] == "WAIVED"
    assert written["waiver"]["lanes"] == ["e2e"]
    assert written["waiver"]["signers"] == ["boss"]
    assert [lane["state"] for lane in written["images"][0]["lanes"]] == ["present", "present", "missing"]
    assert "waiver" not in document(make.decide(ASKED, make.release(APP), GOOD), ASKED)
