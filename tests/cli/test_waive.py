"""`attest waive`: who can make a waiver, what of, and what it says of it."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from attest.core.envelope import read_bundle
from attest.core.reference import digest_of
from attest.core.statement import read_statement
from attest.core.waiver import WAIVER, read_waiver
from tests.cli.running import Ended
from tests.cli.scene import TEST_RESULT, Scene, policy_text

IMAGE = "registry.example.org/plex/backend@sha256:" + "a" * 64
OTHER = "registry.example.org/plex/frontend@sha256:" + "b" * 64
ENVIRONMENT = """\
version: 1
name: production
policy: policy.yaml
evidence: []
ledger: {url: 'sqlite:///ledger.db'}
target: {hook: {argv: ['/bin/true']}}
services:
  app: {repository: registry.example.org/plex/backend, probe: {http: 'http://127.0.0.1:9/'}}
rollback: {automatic: true}
"""
WHY = ("--lane", "e2e", "--reason", "login is broken", "--ticket", "OPS-7", "--lifetime", "4h")
RULES = {lane: f"{{predicate-type: {TEST_RESULT}, signer: {lane}}}" for lane in ("unit", "e2e")}


def write(scene: Scene, waivers: str = "waivers: {signer: boss, lanes: [e2e], max-lifetime: 24h}") -> None:
    """The policy with these `waivers`, in which alice and bob are a board of two."""
    signers = {name: f"{{key: keys/{name}.pub}}" for name in ("unit", "e2e", "boss", "alice", "bob")}
    signers["board"] = "{threshold: 2, of: [alice, bob]}"
    scene.write_policy(policy_text(RULES, signers=signers, more=waivers, images=["registry.example.org/plex/*"]))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """An environment, its policy and keys."""
    made = Scene(folder=tmp_path)
    made.make_keys("unit", "e2e", "boss", "alice", "bob")
    write(made)
    (tmp_path / "production.yaml").write_text(ENVIRONMENT)
    return made


def waive(scene: Scene, *options: object, images: tuple[str, ...] = (IMAGE,), key: str = "boss") -> Ended:
    """Make a waiver, `waiver.json`."""
    return scene.attest(
        "waive", "production.yaml", *images, "--key", f"keys/{key}.key", "--output", "waiver.json", *options
    )


def test_a_waiver_is_written_and_told(scene: Scene) -> None:
    """The file is a bundle of a Statement of the waiver's own type; everything in it is shown to people."""
    ended = waive(scene, *WHY, images=(IMAGE, OTHER))
    assert ended.code == 0, ended.err
    payload = read_bundle((scene.folder / "waiver.json").read_bytes()).payload
    statement = read_statement(payload)
    waiver = read_waiver(statement, payload)
    assert statement.predicate_type == WAIVER
    assert waiver.environment == "production"
    assert waiver.lanes == ("e2e",)
    assert waiver.images == {IMAGE.partition("@")[2], OTHER.partition("@")[2]}
    assert (waiver.expires - waiver.not_before).total_seconds() == 4 * 3600
    for said in (waiver.digest, "production", "e2e", "login is broken", "OPS-7", *waiver.images, "signed by    boss"):
        assert said in ended.out


def test_scripts_get_the_same(scene: Scene) -> None:
    """`--format json` prints what the published schema says."""
    document: dict[str, Any] = waive(scene, *WHY, "--format", "json").document
    schema = json.loads((resources.files("attest") / "schemas" / "waiver.v1.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(document, schema, cls=jsonschema.Draft202012Validator)
    assert document["bundle"] == digest_of((scene.folder / "waiver.json").read_bytes())
    assert document["waiver"]["signers"] == ["boss"]
    assert document["key"] == scene.fingerprint("boss")


def test_the_second_of_two_signs_word_for_word(scene: Scene) -> None:
    """A countersignature is over the same bytes, by somebody else; the first is told that it needs two."""
    write(scene, "waivers: {signer: board, lanes: [e2e], max-lifetime: 24h}")
    first = waive(scene, *WHY, key="alice")
    assert "needs 2 who sign it" in first.out
    second = scene.attest(
        "waive", "production.yaml", "--countersign", "waiver.json", "--key", "keys/bob.key", "--output", "second.json"
    )
    assert second.code == 0, second.err
    assert "login is broken" in second.out
    assert "signed by    bob" in second.out
    one, other = (read_bundle((scene.folder / name).read_bytes()) for name in ("waiver.json", "second.json"))
    assert one.payload == other.payload
    assert one.signature != other.signature


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--lane", "unit", *WHY), "not among those that may be waived"),
        (("--lane", "e2e", *WHY), "names a lane twice"),
        ((*WHY[:-1], "25h"), "the policy allows 1d"),
        ((*WHY[:-1], "0h"), "--lifetime"),
        ((*WHY[:-2], "--expires", "2020-01-01T00:00:00Z"), "before it begins"),
        ((*WHY[:-2], "--expires", "tomorrow"), "--expires"),
        ((*WHY, "--not-before", "2020-01-01T00:00:00Z"), "expired already"),
        ((*WHY, "--expires", "2020-01-01T00:00:00Z"), "not both"),
        (WHY[:-2], "needs an end"),
        (WHY[2:], "--lane"),
        ((*WHY[:2], *WHY[4:]), "--reason"),
        ((*WHY[:4], *WHY[6:]), "--ticket"),
        ((*WHY[:3], " ", *WHY[4:]), "--reason"),
        ((*WHY, "--key", "keys/alice.key"), "boss may"),
        ((*WHY, "--key", "keys/e2e.key"), "boss may"),
        ((*WHY, "--countersign", "policy.yaml"), "as it stands"),
    ],
)
def test_what_could_never_hold_is_not_signed(scene: Scene, options: tuple[object, ...], message: str) -> None:
    """Exit code 2, the reason, and no file: nobody finds out at the gate that the waiver is worth nothing."""
    ended = waive(scene, *options)
    assert ended.code == 2
    assert message in ended.err
    assert not (scene.folder / "waiver.json").exists()


def test_a_policy_without_waivers_says_so(scene: Scene) -> None:
    """Where nothing is ever waived no waiver is made."""
    write(scene, "")
    ended = waive(scene, *WHY)
    assert ended.code == 2
    assert "has no `waivers`" in ended.err
    assert not (scene.folder / "waiver.json").exists()


def test_images_are_named_by_digest(scene: Scene) -> None:
    """No images are an error, and so is a release beside them."""
    assert waive(scene, *WHY, images=()).code == 2
    assert waive(scene, *WHY, "--release", "release.yaml").code == 2


def test_only_a_waiver_is_countersigned(scene: Scene) -> None:
    """A file that is no bundle, and the bundle of something else, are no waiver; one of another place is refused."""
    (scene.folder / "junk.json").write_text("{}")
    again = ("waive", "production.yaml", "--key", "keys/boss.key", "--output", "second.json", "--countersign")
    for file in ("junk.json", "policy.yaml"):
        ended = scene.attest(*again, file)
        assert ended.code == 2
        assert f"{file}: no waiver" in ended.err
    scene.make_image()
    scene.sign("e2e", "--output", "e2e.json")
    ended = scene.attest(*again, "e2e.json")
    assert ended.code == 2
    assert "predicate type" in ended.err
    assert waive(scene, *WHY).code == 0
    (scene.folder / "production.yaml").write_text(ENVIRONMENT.replace("name: production", "name: staging"))
    ended = scene.attest(*again, "waiver.json")
    assert ended.code == 2
    assert "is for the environment production" in ended.err
    assert not (scene.folder / "second.json").exists()


def test_verify_takes_no_waiver(scene: Scene) -> None:
    """`attest verify` has no such option: what is waived has not passed."""
    ended = scene.attest("verify", IMAGE, "--policy", "policy.yaml", "--waiver", "waiver.json")
    assert ended.code == 2
    assert "--waiver" in ended.err
