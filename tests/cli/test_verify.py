"""`attest verify`: its output for scripts and for people, and the options that add to what it asks."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import jsonschema
import pytest

from attest.core.statement import format_time
from tests.cli.running import COMMAND, Ended, clean_environment
from tests.cli.scene import REPOSITORY, TEST_RESULT, Scene, policy_text


def schema() -> dict[str, Any]:
    """The published schema of a verdict."""
    loaded: dict[str, Any] = json.loads((resources.files("attest") / "schemas" / "verdict.v1.json").read_text())
    jsonschema.Draft202012Validator.check_schema(loaded)
    return loaded


def verdict_of(ended: Ended) -> dict[str, Any]:
    """The verdict that was printed, which stands alone on standard output and is valid."""
    document = ended.document
    jsonschema.validate(document, schema(), cls=jsonschema.Draft202012Validator)
    assert ended.raw.isascii()
    return document


def states(ended: Ended) -> dict[str, str]:
    """The state of every lane of the one image."""
    (image,) = verdict_of(ended)["images"]
    return {lane["lane"]: lane["state"] for lane in image["lanes"]}


# ---- verdicts


def test_the_full_set_passes(passing: Scene) -> None:
    """With every lane present the exit code is 0, and the document says PASSED and who signed what."""
    ended = passing.verify("--format", "json")
    document = verdict_of(ended)
    assert (ended.code, ended.err, document["verdict"]) == (0, "", "PASSED")
    assert states(ended) == {"unit": "present", "e2e": "present"}
    assert document["images"][0]["image"] == passing.image
    assert document["policy"]["name"] == "staging"
    assert document["policy"]["serial"] == 1


def test_a_missing_lane_is_refused(scene: Scene) -> None:
    """With a lane missing the exit code is 1, and each lane has its state and a reason."""
    scene.sign("unit")
    ended = scene.verify("--format", "json")
    assert (ended.code, verdict_of(ended)["verdict"]) == (1, "REFUSED")
    assert states(ended) == {"unit": "present", "e2e": "missing"}


def test_every_state_is_valid_and_has_a_next_step(scene: Scene) -> None:
    """Each state that a lane can have is printed as valid JSON, and as a line that says what to do next."""
    rule = f"predicate-type: {TEST_RESULT}, signer: unit"
    hour_ago = format_time(datetime.now(UTC) - timedelta(hours=2))
    scene.make_keys("retired")
    scene.write_policy(
        policy_text(
            {
                "present": f"{{{rule}}}",
                "missing": f"{{predicate-type: {TEST_RESULT}, signer: e2e}}",
                "untrusted": f"{{{rule}}}",
                "failed": f"{{{rule}}}",
                "unmet": f"{{{rule}, where: ['predicate.passedTests.size() > 0']}}",
                "stale": f"{{{rule}, max-age: 1h}}",
                "mismatched": f"{{{rule}}}",
                "revoked": f"{{predicate-type: {TEST_RESULT}, signer: retired}}",
            },
            signers={name: f"{{key: keys/{name}.pub}}" for name in ("unit", "e2e", "retired")},
            more=f"revoked: ['{scene.fingerprint('retired')}']",
        )
    )
    for lane in ("present", "unmet"):
        scene.sign(lane, key="unit")
    scene.sign("untrusted", key="e2e")
    scene.sign("failed", "--result", "failed", key="unit")
    scene.sign("stale", "--finished", hour_ago, key="unit")
    scene.sign(
        *("mismatched", "--source-repository", "https://git.example.org/plex/other", "--source-commit", 40 * "a"),
        key="unit",
    )
    scene.sign("revoked", key="retired")
    ended = scene.verify("--format", "json")
    assert ended.code == 1
    assert {lane: state for lane, state in states(ended).items() if lane != state} == {}
    text = scene.verify().out.splitlines()
    assert [line.split()[0] for line in text[1:] if "next: " not in line][:8] == list(states(ended))
    assert len([line for line in text if "next: " in line]) == 7
    assert text[-1].startswith("REFUSED  1 of 8 lanes present; policy staging, serial 1, sha256:")


def test_what_to_run_next_can_be_run(scene: Scene) -> None:
    """The command that a missing lane's line proposes makes the lane present, with its key and context added."""
    scene.sign("unit")
    (line,) = [line for line in scene.verify().out.splitlines() if "next: " in line]
    proposed = line.partition(": attest ")[2].split()
    assert proposed[:2] == ["sign", scene.image]
    key = proposed.index("--key") + 1
    proposed[key] = f"keys/{proposed[key]}"
    context = scene.sign_arguments("e2e")
    start = context.index("--source-repository")
    assert scene.attest(*proposed, *context[start : start + 6]).code == 0
    assert scene.verify().code == 0


def test_rejected_bundles_are_listed(passing: Scene) -> None:
    """A bundle of a stranger changes nothing, and is listed with its digest and reason."""
    digest = passing.sign("unit", "--result", "failed", "--format", "json", key="stranger").document["bundle"]
    ended = passing.verify("--format", "json")
    assert ended.code == 0
    rejected = verdict_of(ended)["images"][0]["rejected"]
    assert [(one["digest"], one["reason"]) for one in rejected] == [(digest, "foreign-key")]
    assert "1 attached bundle is no evidence:" in passing.verify().out


# ---- --bundle


def test_a_bundle_in_a_file_adds_to_what_is_listed(scene: Scene) -> None:
    """--bundle adds evidence that is attached nowhere; given twice it counts once, and nothing listed is lost."""
    scene.sign("unit")
    scene.sign("e2e", "--output", "e2e.json", "--no-push")
    assert scene.verify().code == 1
    ended = scene.verify("--bundle", "e2e.json", "--bundle", "e2e.json", "--format", "json")
    assert ended.code == 0
    assert [len(lane["evidence"]) for lane in ended.document["images"][0]["lanes"]] == [1, 1]


def test_a_bundle_in_a_file_can_refuse(passing: Scene) -> None:
    """A later failure in a file refuses what would pass without it."""
    passing.sign("e2e", "--result", "failed", "--run-id", "2", "--output", "failed.json", "--no-push")
    assert passing.verify().code == 0
    assert passing.verify("--bundle", "failed.json").code == 1


def test_a_bundle_about_another_image_does_not_count(scene: Scene) -> None:
    """Handing in evidence does not make it about this image."""
    first = scene.image
    scene.make_image("other", "another application")
    scene.sign("e2e", "--output", "e2e.json", "--no-push")
    scene.image = first
    scene.sign("unit")
    assert scene.verify("--bundle", "e2e.json").code == 1


@pytest.mark.parametrize("content", [b"", b"junk", b"{}", b"[" * 5000])
def test_a_file_that_is_no_bundle_is_no_evidence(content: bytes, passing: Scene) -> None:
    """Anything can be handed in: what is no bundle is listed as rejected, and the verdict is that of the rest."""
    (passing.folder / "junk.json").write_bytes(content)
    ended = passing.verify("--bundle", "junk.json", "--format", "json")
    assert ended.code == 0
    assert [one["reason"] for one in verdict_of(ended)["images"][0]["rejected"]] == ["bundle-invalid"]


@pytest.mark.parametrize("path", ["no-such.json", "keys", "big.json", "/dev/zero"])
def test_a_bundle_that_cannot_be_read_is_2(path: str, passing: Scene) -> None:
    """A named file that is not there, is no file or is larger than a bundle may be, ends with 2 and its name."""
    with (passing.folder / "big.json").open("wb") as file:
        file.truncate(9 * 1024 * 1024)
    ended = passing.verify("--bundle", path)
    assert ended.code == 2
    assert path in ended.err


# ---- --state


def test_a_lower_serial_is_refused(passing: Scene) -> None:
    """Once a serial was seen, a policy of the same name with a lower one is refused, and stays refused."""
    passing.write_policy(policy_text(("unit", "e2e"), serial=7), "new.yaml")
    assert passing.verify("--policy", "new.yaml", "--state", "state.json").code == 0
    for _ in range(2):
        ended = passing.verify("--state", "state.json", "--format", "json")
        assert ended.code == 1
        assert [one["reason"] for one in verdict_of(ended)["refusals"]] == ["serial-too-low"]
    assert passing.verify("--policy", "new.yaml", "--state", "state.json").code == 0
    assert passing.verify().code == 0


@pytest.mark.parametrize("change", ["the document", "a key"])
def test_a_changed_policy_with_the_same_serial_is_refused(change: str, passing: Scene) -> None:
    """The same serial with another document, or another key behind the same document, is refused."""
    assert passing.verify("--state", "state.json").code == 0
    if change == "the document":
        policy = passing.folder / "policy.yaml"
        policy.write_text(policy.read_text() + "# a comment\n")
    else:
        (passing.folder / "keys/unit.pub").write_bytes((passing.folder / "keys/stranger.pub").read_bytes())
    for _ in range(2):
        ended = passing.verify("--state", "state.json", "--format", "json")
        assert ended.code == 1
        assert [one["reason"] for one in verdict_of(ended)["refusals"]] == ["policy-changed"]


def test_policies_are_remembered_by_name(passing: Scene) -> None:
    """Another policy's serial does not count for this one, and is not forgotten."""
    passing.write_policy(policy_text(("unit",), name="testing", serial=9), "testing.yaml")
    assert passing.verify("--policy", "testing.yaml", "--state", "state.json").code == 0
    assert passing.verify("--state", "state.json").code == 0
    known = json.loads((passing.folder / "state.json").read_text())["policies"]
    assert {name: entry["serial"] for name, entry in known.items()} == {"staging": 1, "testing": 9}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"schema": "attest.state/v2", "policies": {}}',
        '{"schema": "attest.state/v1", "policies": {"staging": {}}}',
        '{"schema": "attest.state/v1", "policies": {"staging": {"serial": 0, "digest": "x"}}}',
        '{"schema": "attest.state/v1", "policies": {"staging": {"serial": true, "digest": "sha256:' + 64 * "0" + '"}}}',
        '{"schema": "attest.state/v1", "policies": {}, "policies": {}}',
    ],
)
def test_a_damaged_state_file_is_2(content: str, passing: Scene) -> None:
    """A state file that is not one ends with 2 and stays as it is: it does not mean that nothing was seen."""
    path = passing.folder / "state.json"
    path.write_text(content)
    ended = passing.verify("--state", "state.json")
    assert ended.code == 2
    assert "state.json" in ended.err
    assert path.read_text() == content


@pytest.mark.parametrize("place", ["no/such/folder/state.json", "keys", "x" * 300])
def test_a_state_file_that_cannot_be_kept_is_2(place: str, passing: Scene) -> None:
    """Where the serial cannot be remembered the command does not go on without."""
    ended = passing.verify("--state", place)
    assert ended.code == 2, ended.err
    assert "a defect" not in ended.err


def test_a_refused_image_is_no_reason_to_forget_the_policy(scene: Scene) -> None:
    """The serial is remembered when the policy was seen, not only when something passed."""
    scene.write_policy(policy_text(("unit", "e2e"), serial=7), "new.yaml")
    assert scene.verify("--policy", "new.yaml", "--state", "state.json").code == 1
    reasons = [one["reason"] for one in scene.verify("--state", "state.json", "--format", "json").document["refusals"]]
    assert reasons == ["serial-too-low"]


def test_processes_share_a_state_file(passing: Scene) -> None:
    """Of many commands at once with policies of their own names, none loses what another remembered."""
    names = [f"policy-{number}" for number in range(6)]
    for name in names:
        passing.write_policy(policy_text(("unit", "e2e"), name=name, serial=3), f"{name}.yaml")
    processes = [
        subprocess.Popen(
            [
                *(*COMMAND, "verify", passing.image, "--repository", REPOSITORY),
                *("--policy", f"{name}.yaml", "--state", "state.json"),
            ],
            cwd=passing.folder,
            env=clean_environment(passing.folder),
            stdout=subprocess.DEVNULL,
        )
        for name in names
    ]
    assert [process.wait(120) for process in processes] == [0] * len(names)
    assert sorted(json.loads((passing.folder / "state.json").read_text())["policies"]) == names


# ---- --at


def test_the_past_is_marked(scene: Scene) -> None:
    """At a time before a failure the image passes; the verdict is marked historical, in JSON and in text."""
    for lane in ("unit", "e2e"):
        scene.sign(lane, "--finished", "2026-01-01T00:00:00Z")
    scene.sign("e2e", "--result", "failed", "--run-id", "2", "--finished", "2026-01-03T00:00:00Z")
    assert scene.verify().code == 1
    ended = scene.verify("--at", "2026-01-02T00:00:00Z", "--format", "json")
    assert ended.code == 0
    assert verdict_of(ended)["historical"] is True
    assert verdict_of(ended)["time"] == "2026-01-02T00:00:00.000000Z"
    text = scene.verify("--at", "2026-01-02T00:00:00Z").out
    assert text.splitlines()[-1].startswith("PASSED at 2026-01-02T00:00:00.000000Z")
    refused = scene.verify("--at", "2026-01-04T00:00:00Z", "--format", "json")
    assert (refused.code, verdict_of(refused)["historical"]) == (1, True)
    assert scene.verify("--at", "2025-12-31T00:00:00Z").code == 1


@pytest.mark.parametrize(
    "at", ["2999-01-01T00:00:00Z", "yesterday", "", "2026-01-01", "2026-01-01T00:00:00+01:00", "2026-02-30T00:00:00Z"]
)
def test_a_time_that_is_not_past_is_2(at: str, passing: Scene) -> None:
    """The future, and what is no time in UTC, end with 2."""
    assert passing.verify("--at", at).code == 2


@pytest.mark.parametrize("more", [("--receipt-key", "keys/e2e.key", "--receipt-out", "r.json"), ("--state", "s.json")])
def test_the_past_leaves_nothing_behind(more: tuple[str, ...], passing: Scene) -> None:
    """A look back makes no receipt and remembers no serial: 2, and no file."""
    assert passing.verify("--at", "2026-01-02T00:00:00Z", *more).code == 2
    assert not (passing.folder / more[-1]).exists()


# ---- deadline


def test_a_deadline_is_kept_by_every_lane(passing: Scene) -> None:
    """A layout needs no deadline to be read: the smallest one does not stop a command that asks nobody."""
    assert passing.verify("--timeout", "0.001").code == 0
