"""`attest image check --sign`: the contract lane, from the checks to the gate."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from attest import __version__
from attest.adapters.owncode import code_digest
from attest.cli import contractcheck
from attest.core.envelope import read_bundle
from attest.core.reference import digest_of
from tests.cli.imagechecks import APPLICATION, BASE, SETID, check, result_of, store_image, write_contract, write_image
from tests.cli.running import Ended
from tests.cli.scene import COMMIT, CONTEXT, REPOSITORY, Scene, open_layout, policy_text
from tests.cli.test_imagecheck import SCHEMA
from tests.cli.test_provenance import attestation, statement_about
from tests.core.make_contract import SETID as SETID_CHECK
from tests.core.make_contract import checked, result
from tests.layouts import Layout

SIGN = ("--sign", "--key", "keys/contract.key", "--repository", REPOSITORY, *CONTEXT)
PROVENANCE = "https://slsa.dev/provenance/v1"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """An image that its contract allows, keys, and a policy that demands the contract lane."""
    made = Scene(folder=tmp_path, image=write_image(tmp_path / "image", BASE, APPLICATION))
    made.make_keys("contract", "stranger")
    made.write_policy(policy_text(("contract",)))
    write_contract(made)
    return made


def break_contract(scene: Scene) -> None:
    """Demand what the image does not have."""
    text = (scene.folder / "contract.yaml").read_text()
    (scene.folder / "contract.yaml").write_text(text.replace("layer.count: 5", "layer.count: 1"))


def signs(scene: Scene, *options: object, run: int = 1, image: str | None = None) -> Ended:
    """Check and sign."""
    return check(scene, *SIGN, "--run-id", run, *options, image=image)


def attached(scene: Scene) -> list[Any]:
    """What the layout lists beside the image."""
    return [
        one for one in open_layout(scene.folder / "image").read_index()["manifests"] if one["digest"] != scene.digest
    ]


def bundle_of(scene: Scene) -> bytes:
    """The bundle that is attached."""
    (entry,) = attached(scene)
    layout = open_layout(scene.folder / "image")
    (layer,) = json.loads(layout.file_of(entry["digest"]).read_bytes())["layers"]
    return layout.file_of(layer["digest"]).read_bytes()


def statement(scene: Scene, *options: object, code: int = 0) -> Mapping[str, Any]:
    """The statement that is signed."""
    ended = signs(scene, "--output", "bundle.json", *options)
    assert ended.code == code, ended.err
    payload: dict[str, Any] = json.loads(read_bundle((scene.folder / "bundle.json").read_bytes()).payload)
    return payload


def test_a_pass_opens_the_gate(scene: Scene) -> None:
    """Without the lane the gate refuses; once the image passed and that is signed, it lets it through."""
    assert scene.verify().code == 1
    ended = signs(scene)
    assert ended.code == 0
    assert ended.out.splitlines()[-1].startswith("PASSED  6 checks passed")
    assert "attached " in ended.err
    assert scene.verify().code == 0


def test_a_failure_is_signed_and_closes_the_gate(scene: Scene) -> None:
    """FAILED is signed, ends with 1, supersedes an earlier pass, and the gate names the check that failed."""
    assert signs(scene).code == 0
    break_contract(scene)
    ended = signs(scene, run=2)
    assert ended.code == 1
    assert len(attached(scene)) == 2
    refused = scene.verify()
    assert refused.code == 1
    assert "layer.count" in refused.out


def test_what_is_undecided_is_not_signed(scene: Scene) -> None:
    """A check that could not be decided signs nothing, ends with 3 and says so."""
    write_contract(scene, base__digest="true")
    ended = signs(scene)
    assert ended.code == 3
    assert "what could not be decided is not signed" in ended.err
    assert attached(scene) == []
    document = signs(scene, "--format", "json").document
    assert (document["verdict"], document["signed"]) == ("UNDECIDED", None)


def test_a_violation_is_signed_beside_what_is_undecided(scene: Scene) -> None:
    """With a violation the result is FAILED and is signed, though another check could not be decided."""
    write_contract(scene, base__digest="true")
    break_contract(scene)
    predicate = statement(scene, code=1)["predicate"]
    assert (predicate["result"], predicate["failedTests"]) == ("FAILED", ["layer.count"])
    assert "base.digest" not in predicate["passedTests"]


def test_an_image_of_another_digest_stays_outside(scene: Scene) -> None:
    """A lane that was signed for one image says nothing about another."""
    assert signs(scene).code == 0
    other = write_image(scene.folder / "other", BASE, APPLICATION, SETID)
    assert scene.verify(image=other).code == 1


def test_a_stranger_does_not_fill_the_lane(scene: Scene) -> None:
    """Signed with a key that the policy does not name the lane stays empty."""
    assert signs(scene, "--key", "keys/stranger.key").code == 0
    assert scene.verify().code == 1


def test_what_is_signed(scene: Scene) -> None:
    """The statement is about the image, in the context of the lane, and has whatever the checks used, by digest."""
    base = write_image(scene.folder / "base", BASE)
    write_contract(scene, base__digest="true", ci__overlap="true")
    assert scene.attest("image", "lock", scene.image, "--contract", "contract.yaml").code == 0
    ci = write_image(scene.folder / "ci", BASE, SETID)
    said = statement(scene, "--lock", "contract.lock.json", "--baseline", base, "--ci-image", ci, "--job", "contract")
    (subject,) = said["subject"]
    assert subject["digest"] == {"sha256": scene.digest.removeprefix("sha256:")}
    context = {name.rpartition("/")[2]: value for name, value in subject["annotations"].items()}
    assert (context["lane"], context["commit"], context["job"]) == ("contract", COMMIT, "contract")
    assert context["started"] < context["finished"]
    predicate = said["predicate"]
    assert said["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert predicate["result"] == "PASSED"
    assert "lock.drift" in predicate["passedTests"]

    def sha256(name: str) -> dict[str, str]:
        return {"sha256": digest_of((scene.folder / name).read_bytes()).removeprefix("sha256:")}

    def of_image(reference: str) -> dict[str, str]:
        return {"sha256": reference.rpartition(":")[2]}

    assert [(one["name"], one["digest"]) for one in predicate["configuration"]] == [
        ("contract.yaml", sha256("contract.yaml")),
        ("contract.lock.json", sha256("contract.lock.json")),
        (base, of_image(base)),
        (ci, of_image(ci)),
        ("attest", {"dirHash": code_digest()}),
    ]
    assert predicate["configuration"][-1]["uri"] == f"pkg:generic/attest@{__version__}"


def test_scripts_learn_what_was_signed(scene: Scene) -> None:
    """In JSON `signed` has lane, result, bundle, key, and where it is attached; it is the only document."""
    ended = signs(scene, "--format", "json", "--lane", "shape")
    assert (ended.code, ended.err) == (0, "")
    jsonschema.validate(ended.document, SCHEMA, cls=jsonschema.Draft202012Validator)
    signed = ended.document["signed"]
    assert (signed["lane"], signed["result"]) == ("shape", "PASSED")
    assert signed["key"] == scene.fingerprint("contract")
    (place,) = signed["attached"]
    assert place["image"] == scene.image
    (entry,) = attached(scene)
    assert entry["digest"] == place["manifest"]


def test_a_saved_report_says_what_was_signed(scene: Scene) -> None:
    """A report that is saved as JSON has what was signed; where signing fails none is saved."""
    assert signs(scene, "--save", "json=report.json").code == 0
    saved = json.loads((scene.folder / "report.json").read_text())
    assert saved["signed"]["bundle"] == digest_of(bundle_of(scene))
    assert signs(scene, "--save", "sarif=report.sarif", "--output", "absent/bundle.json").code == 3
    assert not (scene.folder / "report.sarif").exists()


@pytest.mark.parametrize("kind", ["sarif", "junit"])
def test_other_formats_are_signed_too(kind: str, scene: Scene) -> None:
    """The format of the report has no part in what is signed."""
    ended = signs(scene, "--format", kind)
    assert (ended.code, ended.err) == (0, "")
    assert scene.verify().code == 0


def test_a_bundle_without_a_push(scene: Scene) -> None:
    """With --no-push the bundle is written and attached to nothing; `attest attach` attaches it later."""
    assert signs(scene, "--no-push", "--output", "bundle.json").code == 0
    assert attached(scene) == []
    assert scene.attest("attach", "bundle.json", scene.image).code == 0
    assert scene.verify().code == 0


@pytest.mark.parametrize("kind", ["text", "json", "sarif"])
@pytest.mark.parametrize("broken", [False, True])
def test_a_result_that_cannot_be_signed_is_no_result(kind: str, broken: bool, scene: Scene) -> None:
    """Where signing fails the exit code is 3, whether the checks passed or failed; no script gets a report."""
    if broken:
        break_contract(scene)
    ended = signs(scene, "--format", kind, "--output", "absent/bundle.json")
    assert ended.code == 3
    assert f"the checks ended with {'FAILED' if broken else 'PASSED'}, but that is not signed" in ended.err
    if kind == "json":
        assert ended.document["error"] == "not-signed"
    else:
        assert ("checks" in ended.out) is (kind == "text")


def test_what_was_not_checked_is_not_signed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report about another image than the one that was asked for is never signed for it."""
    monkeypatch.setattr(contractcheck, "make_checks", lambda *_: (checked(result(SETID_CHECK)), ()))
    ended = signs(scene)
    assert ended.code == 3
    assert "was checked" in ended.err
    assert attached(scene) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--lane", "No Lane"), "cannot name a lane"),
        (("--no-push",), "--no-push without --output"),
        (("--keyless",), "--key and --keyless exclude each other"),
        (("--identity-token", "token"), "--identity-token has no place"),
        (("--key", "keys/absent.key"), "keys/absent.key"),
        (("--source-commit", "abc"), "commit"),
        (("--job", "a\nb"), "--job"),
        (("--repository", "registry.example.org/a/b"), "repositor"),
    ],
)
def test_what_cannot_be_signed_is_refused_before_the_checks(options: tuple[str, ...], words: str, scene: Scene) -> None:
    """An option, a key or a context that cannot be used ends with 2, and nothing is read, printed or signed."""
    ended = signs(scene, *options)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert attached(scene) == []


def test_nobody_signs(scene: Scene) -> None:
    """--sign without a key and without --keyless is refused."""
    ended = check(scene, "--sign", *CONTEXT)
    assert ended.code == 2
    assert "nothing says who signs" in ended.err


def test_a_token_from_standard_input_is_refused(scene: Scene) -> None:
    """A token is needed twice, so it cannot come from a stream."""
    ended = check(scene, "--sign", "--keyless", "--identity-token", "-", *CONTEXT)
    assert ended.code == 2
    assert "--identity-token - can be read once" in ended.err


@pytest.mark.parametrize("image", ["docker-archive:image.tar", "oci-archive:image.tar:v1"])
def test_an_archive_is_not_signed_for(image: str, scene: Scene) -> None:
    """Nothing can be attached to an image in an archive: exit code 2, with a hint to push it."""
    ended = signs(scene, image=image)
    assert (ended.code, ended.out) == (2, "")
    assert "push it" in ended.err


def test_a_name_is_no_digest(scene: Scene) -> None:
    """A layout without a digest may be checked, and not signed for: the hint has the digest."""
    assert check(scene, image="oci:image").code == 0
    ended = signs(scene, image="oci:image:v1")
    assert ended.code == 2
    assert scene.digest in ended.err


def test_a_secret_is_not_published(scene: Scene) -> None:
    """The reason of an exception is signed, so one that holds a credential is refused, and not shown."""
    token = "ghp_" + "a1B2" * 9
    exceptions = (
        f"\nexceptions: [{{id: file.setid, path: /x, reason: {token}, owner: o, expires: 2999-01-01T00:00:00Z}}]\n"
    )
    path = scene.folder / "contract.yaml"
    path.write_text(path.read_text() + exceptions)
    assert check(scene).code == 0
    ended = signs(scene)
    assert (ended.code, ended.out) == (2, "")
    assert "`reason` of exception 1" in ended.err
    assert token not in ended.err


# ---- provenance beside the image


def attach_provenance(scene: Scene, predicate: Mapping[str, Any]) -> None:
    """Sign a provenance and attach it."""
    (scene.folder / "provenance.json").write_text(json.dumps(predicate))
    scene.sign("build", "--predicate-type", PROVENANCE, "--predicate", "provenance.json", key="stranger")


def built(target: str) -> dict[str, Any]:
    """A provenance that names a target."""
    return {
        "buildDefinition": {
            "buildType": "https://example.org/build/v1",
            "externalParameters": {"request": {"args": {"target": target}}},
        },
        "runDetails": {"builder": {"id": "https://example.org/builder"}},
    }


def overlap(scene: Scene) -> list[str]:
    """The options that a contract needs which demands a target."""
    write_contract(scene, ci__overlap="{target: [runtime]}")
    return ["--ci-image", write_image(scene.folder / "ci", SETID)]


def test_the_target_of_the_build_is_compared(scene: Scene) -> None:
    """Without a provenance the target is not known; one that names another target is a violation, and an input."""
    options = overlap(scene)
    assert check(scene, *options).code == 3
    attach_provenance(scene, built("runtime"))
    ended = check(scene, *options, "--format", "json")
    assert ended.code == 0
    assert [one["role"] for one in ended.document["inputs"]] == ["contract", "ci-image", "provenance"]
    attach_provenance(scene, built("test"))
    failed = check(scene, *options, "--format", "json")
    assert failed.code == 1
    (found,) = result_of(failed.document, "ci.overlap")["findings"]
    assert "the target 'test' was built" in found["message"]


def test_a_malformed_provenance_is_told(scene: Scene) -> None:
    """A provenance that cannot be read is not compared, and people learn which one and why."""
    options = overlap(scene)
    attach_provenance(scene, {"buildDefinition": "none"})
    ended = check(scene, *options)
    assert ended.code == 3
    assert "is not compared: " in ended.err
    assert check(scene, *options, "--format", "json").err == ""


def test_what_is_no_provenance_is_passed_over(scene: Scene) -> None:
    """Test-results, and what is no statement at all, have no part in it."""
    options = overlap(scene)
    scene.sign("contract")
    scene.attach_bytes(b'{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}')
    ended = check(scene, *options)
    assert (ended.code, ended.err) == (3, "")


def test_provenance_of_buildkit_is_compared(scene: Scene) -> None:
    """What BuildKit put into the index counts, if it is about a child of it; a layout without a digest will do."""
    options = overlap(scene)

    def index(name: str, target: str, about: str | None = None) -> str:
        layout = Layout(scene.folder / name)
        image = store_image(layout, BASE, APPLICATION)
        subject = image if about is None else {**image, "digest": about}
        made = statement_about(subject, built(target), PROVENANCE)
        child = {**image, "platform": {"os": "linux", "architecture": "amd64"}}
        layout.add(layout.index([child, attestation(layout, image, made)]), name="v1")
        return f"oci:{name}"

    assert check(scene, *options, image=index("right", "runtime")).code == 0
    assert check(scene, *options, image=index("wrong", "test")).code == 1
    assert check(scene, *options, image=index("foreign", "test", "sha256:" + 64 * "0")).code == 3
