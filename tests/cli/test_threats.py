"""What attackers did to systems like this one, done to the commands (docs/threats.md says which test is which)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from attest.core import oci
from attest.core.envelope import pae
from attest.core.reference import digest_of
from attest.core.statement import format_time
from tests.cli.scene import COMMIT, PROVENANCE, SOURCE, TEST_RESULT, Scene, policy_text
from tests.core import make

ONE = f"{{predicate-type: {TEST_RESULT}, signer: unit}}"


@pytest.fixture
def lane(scene: Scene) -> Scene:
    """A policy with one lane, whose key the tests hold too."""
    (scene.folder / "keys/unit.pub").write_bytes(make.pem(make.party("unit").private.public_key()))
    scene.write_policy(policy_text({"unit": ONE}, signers={"unit": "{key: keys/unit.pub}"}))
    return scene


def statement(scene: Scene, **changes: Any) -> dict[str, Any]:
    """A Statement that makes the lane present, with members changed."""
    annotations = {"lane": "unit", "repository": SOURCE, "commit": COMMIT, "finished": format_time(datetime.now(UTC))}
    whole = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {
                "name": "image",
                "digest": {"sha256": scene.digest.removeprefix("sha256:")},
                "annotations": {f"attest-gate/{name}": value for name, value in annotations.items()},
            }
        ],
        "predicateType": TEST_RESULT,
        "predicate": {"result": "PASSED", "configuration": []},
    }
    return {**whole, **changes}


def wrap(payload: bytes, *, payload_type: str = oci.IN_TOTO, who: str = "unit", hint: str | None = None) -> bytes:
    """A bundle around any bytes, signed by a party as any payload type."""
    party = make.party(who)
    signature = party.sign(pae(payload_type, payload))
    document = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": party.trusted.hint if hint is None else hint}},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"sig": base64.b64encode(signature).decode()}],
        },
    }
    return json.dumps(document).encode()


def reasons(scene: Scene, *options: object) -> tuple[int, list[str], list[str]]:
    """The exit code, the refusals of the image, and the reasons of its lanes."""
    ended = scene.verify("--format", "json", *options)
    (image,) = ended.document["images"]
    return ended.code, [one["reason"] for one in image["refusals"]], [one["reason"] for one in image["lanes"]]


def test_the_statement_used_here_passes(lane: Scene) -> None:
    """Unchanged, what the tests below change makes the lane present."""
    lane.attach_bytes(wrap(json.dumps(statement(lane)).encode()))
    assert reasons(lane) == (0, [], ["present"])


def duplicate(content: dict[str, Any]) -> bytes:
    """The same document, with a second predicate before the good one: many parsers keep the last."""
    text = json.dumps(content)
    return text.replace(
        '"predicateType"', '"predicate": {"result": "FAILED", "configuration": []}, "predicateType"'
    ).encode()


WRONG: dict[str, Callable[[Scene], bytes]] = {
    "payload type": lambda scene: wrap(json.dumps(statement(scene)).encode(), payload_type="application/json"),
    "payload type with another case": lambda scene: wrap(
        json.dumps(statement(scene)).encode(), payload_type="application/vnd.in-toto+JSON"
    ),
    "statement type": lambda scene: wrap(
        json.dumps(statement(scene, _type="https://in-toto.io/Statement/v1x")).encode()
    ),
    "no predicate type": lambda scene: wrap(json.dumps(statement(scene, predicateType=None)).encode()),
    "no json": lambda _: wrap(b"PASSED"),
    "junk behind": lambda scene: wrap(json.dumps(statement(scene)).encode() + b"}"),
    "doubled member": lambda scene: wrap(duplicate(statement(scene))),
    "not a number": lambda scene: wrap(json.dumps(statement(scene, extra=float("nan"))).encode()),
    "utf-16": lambda scene: wrap(json.dumps(statement(scene)).encode("utf-16")),
    "result in lower case": lambda scene: wrap(
        json.dumps(statement(scene, predicate={"result": "passed", "configuration": []})).encode()
    ),
    "digest in upper case": lambda scene: wrap(
        json.dumps(statement(scene)).replace(scene.digest[7:], scene.digest[7:].upper()).encode()
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_trusted_signature_over_the_wrong_thing_refuses(what: str, lane: Scene) -> None:
    """What a trusted key signed and is no valid statement refuses the image, also beside a good one."""
    lane.attach_bytes(WRONG[what](lane))
    assert reasons(lane)[:2] == (1, ["statement-unreadable"])
    lane.attach_bytes(wrap(json.dumps(statement(lane)).encode()))
    assert reasons(lane) == (1, ["statement-unreadable"], ["present"])


def test_another_predicate_type_fills_no_lane(lane: Scene) -> None:
    """A statement of another type, with the same predicate and the right key, leaves the lane missing."""
    for kind in (PROVENANCE, TEST_RESULT + "/", TEST_RESULT.upper(), TEST_RESULT[:-1]):
        lane.attach_bytes(wrap(json.dumps(statement(lane, predicateType=kind)).encode()))
    assert reasons(lane) == (1, [], ["predicate-type-differs"])


def test_what_was_changed_after_signing_is_no_evidence(lane: Scene) -> None:
    """A payload that says PASSED where the signed one said FAILED is rejected, not verified by its form."""
    signed = json.dumps(statement(lane, predicate={"result": "FAILED", "configuration": []})).encode()
    bundle = json.loads(wrap(signed))
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(signed.replace(b"FAILED", b"PASSED")).decode()
    lane.attach_bytes(json.dumps(bundle).encode())
    ended = lane.verify("--format", "json")
    assert ended.code == 1
    assert [one["reason"] for one in ended.document["images"][0]["rejected"]] == ["foreign-key"]


@pytest.mark.parametrize("hint", ["", "unknown", "stranger"])
def test_a_hint_is_no_proof(hint: str, lane: Scene) -> None:
    """The right signature counts under any hint, and a stranger's does not under the right one."""
    given = make.party("stranger").trusted.hint if hint == "stranger" else hint
    lane.attach_bytes(wrap(json.dumps(statement(lane)).encode(), who="stranger", hint=make.party("unit").trusted.hint))
    assert lane.verify().code == 1
    lane.attach_bytes(wrap(json.dumps(statement(lane)).encode(), hint=given))
    assert lane.verify().code == 0


@pytest.mark.parametrize("order", [1, -1])
def test_one_of_two_contradicting_statements_is_not_enough(order: int, lane: Scene) -> None:
    """Of a pass and a failure of the same moment neither hides the other, whichever stands first in the list."""
    now = format_time(datetime.now(UTC))
    for result in ("PASSED", "FAILED")[::order]:
        content = statement(lane, predicate={"result": result, "configuration": []})
        content["subject"][0]["annotations"]["attest-gate/finished"] = now
        lane.attach_bytes(wrap(json.dumps(content).encode()))
    assert reasons(lane) == (1, [], ["result-failed"])


@pytest.mark.parametrize(
    "pattern",
    [
        "registry.example.org/plex",
        "registry.example.org/plex/back",
        "registry.example.org/plex/backend-2",
        "registry.example.org/plex/backend/*",
        "registry.example.org/ple/*",
        "example.org/plex/backend",
        "registry.example.org:443/plex/backend",
    ],
)
def test_a_place_that_only_resembles_is_outside(pattern: str, passing: Scene) -> None:
    """Images are compared whole: no prefix, suffix or substring of a repository's name lets another one in."""
    passing.write_policy(policy_text(("unit", "e2e"), images=[pattern]))
    code, refusals, _ = reasons(passing)
    assert (code, refusals) == (1, ["outside-policy"])


@pytest.mark.parametrize(
    "repository", [SOURCE + "-evil", SOURCE + "/evil", "https://git.example.org.evil.example/plex/playlist"]
)
def test_a_repository_that_only_resembles_does_not_fit(repository: str, scene: Scene) -> None:
    """A source is compared whole: a repository whose name begins with the right one is another."""
    scene.write_policy(policy_text(("unit", "e2e")))
    scene.sign("e2e")
    scene.sign("unit", "--source-repository", repository, "--source-commit", COMMIT)
    code, _, lanes = reasons(scene)
    assert (code, lanes) == (1, ["repository-differs", "present"])


def test_signatures_of_one_key_count_once(scene: Scene) -> None:
    """Two of three reviewers are needed: two signatures of one of them are one, a second reviewer makes two."""
    scene.make_keys("alice", "bob")
    rules = {"review": f"{{predicate-type: {TEST_RESULT}, signer: reviewers}}"}
    signers = {
        **{name: f"{{key: keys/{name}.pub}}" for name in ("alice", "bob", "unit")},
        "reviewers": "{threshold: 2, of: [alice, bob, unit]}",
    }
    scene.write_policy(policy_text(rules, signers=signers))
    scene.sign("review", key="alice")
    scene.sign("review", "--job", "again", key="alice")
    assert reasons(scene) == (1, [], ["too-few-signers"])
    scene.sign("review", key="bob")
    assert scene.verify().code == 0


def test_the_future_does_not_count(lane: Scene) -> None:
    """Evidence that is dated more than a minute ahead is refused, and supersedes no failure."""
    content = statement(lane)
    ahead = format_time(datetime.now(UTC) + timedelta(hours=1))
    content["subject"][0]["annotations"]["attest-gate/finished"] = ahead
    lane.attach_bytes(wrap(json.dumps(content).encode()))
    assert reasons(lane) == (1, [], ["in-the-future"])


def test_old_evidence_is_not_replayed(scene: Scene) -> None:
    """Evidence older than `max-age` does not count, and putting the same signature into a new bundle does not help."""
    scene.write_policy(
        policy_text(
            {"unit": f"{{predicate-type: {TEST_RESULT}, signer: unit, max-age: 1h}}"},
            signers={"unit": "{key: keys/unit.pub}"},
        )
    )
    old = format_time(datetime.now(UTC) - timedelta(hours=2))
    scene.sign("unit", "--finished", old, "--output", "old.json", "--no-push")
    assert scene.attest("attach", "old.json", scene.image).code == 0
    assert reasons(scene) == (1, [], ["too-old"])
    bundle = json.loads((scene.folder / "old.json").read_text())
    bundle["verificationMaterial"]["publicKey"]["hint"] = "new"
    (scene.folder / "new.json").write_text(json.dumps(bundle))
    assert scene.attest("attach", "new.json", scene.image).code == 0
    assert reasons(scene) == (1, [], ["too-old"])


@pytest.mark.parametrize(
    "change",
    [
        ("serial: 1", "serial: 0"),
        ("images: [registry.example.org/plex/backend]", "images: []"),
        ("lanes:\n  unit: " + ONE, "lanes: {}"),
        ("lanes:\n  unit: " + ONE, "lanes:"),
        ("signers:\n  unit: {key: keys/unit.pub}", "signers: {}"),
        ("signer: unit}", "signer: unit, where: []}"),
        ("signer: unit}", "signer: unit, max_age: 1h}"),
        ("signer: unit}", "signer: nobody}"),
        ("name: staging", "name: ''"),
        ("version: 1", "version: 2"),
        ("version: 1\n", ""),
        ("name: staging", "name: staging\nname: other"),
        ("name: staging", "nmae: staging"),
    ],
    ids=lambda change: change[1],
)
def test_an_empty_or_misspelt_policy_is_an_error(change: tuple[str, str], lane: Scene) -> None:
    """Nothing empty, misspelt, doubled or unknown in a policy means "no demands": 2, with file, line and column."""
    lane.attach_bytes(wrap(json.dumps(statement(lane)).encode()))
    text = (lane.folder / "policy.yaml").read_text()
    assert change[0] in text
    lane.write_policy(text.replace(*change))
    ended = lane.verify()
    assert ended.code == 2, ended
    assert ended.err.startswith("error: policy.yaml:")


@pytest.mark.parametrize("name", ["unit.pub", "policy.yaml", "image/index.json"])
def test_a_file_in_the_way_is_never_a_pass(name: str, passing: Scene) -> None:
    """A key, a policy or a layout that is empty, junk or gone ends with 2 or 3."""
    path = passing.folder / (f"keys/{name}" if name.endswith(".pub") else name)
    for content in (b"", b"\x00\xff junk", None):
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        ended = passing.verify()
        assert ended.code in {2, 3}, ended
        assert "a defect" not in ended.err


def test_bytes_that_changed_in_the_store_are_found_out(passing: Scene) -> None:
    """Any blob of the layout that is not what its digest says makes the command undecided: never absent, never used."""
    blobs = passing.folder / "image/blobs/sha256"
    manifest = json.loads((blobs / passing.digest.removeprefix("sha256:")).read_bytes())
    # What the image is made of, and the empty blob, have no part in the question; all else has.
    unasked = {one["digest"] for one in (manifest["config"], *manifest["layers"])} | {digest_of(oci.EMPTY_BLOB)}
    for blob in sorted(blobs.iterdir()):
        content = blob.read_bytes()
        blob.write_bytes(content[:-1] + bytes((content[-1] ^ 1,)))
        assert passing.verify().code == (0 if f"sha256:{blob.name}" in unasked else 3)
        blob.write_bytes(content)
    assert passing.verify().code == 0
