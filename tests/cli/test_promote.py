"""`attest promote` between layouts: what moves and what does not, the tag, the receipt, and what is said about it."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from attest.core.reference import digest_of
from tests.cli.scene import COMMIT, REPOSITORY, SOURCE, TEST_RESULT, Scene, open_layout, policy_text
from tests.layouts import BUNDLE, REF_NAME, Layout
from tests.registry.faults import FaultyRegistry

SUMMARY = "https://slsa.dev/verification_summary/v1"
RELEASE = "registry.example.org/plex"


def promote(scene: Scene, *options: object, to: str = "oci:out", image: str | None = None) -> Any:
    """Promote the scene's image to a layout."""
    what = ("promote", image or scene.image, "--repository", REPOSITORY)
    policy = () if "--policy" in options else ("--policy", "policy.yaml")
    return scene.attest(*what, *policy, "--to", to, *options)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(layout: Path) -> dict[str, str]:
    """The names in a layout, and what they stand for."""
    entries = json.loads((layout / "index.json").read_bytes())["manifests"]
    return {one["annotations"][REF_NAME]: one["digest"] for one in entries if REF_NAME in one.get("annotations", {})}


def tag_of(scene: Scene) -> str:
    """The tag that the image gets."""
    return f"sha-{COMMIT}-{scene.digest[7:19]}"


def receipts(scene: Scene, layout: str = "out") -> list[str]:
    """The digests of the receipts attached to the image at the destination."""
    places = scene.attest("inspect", f"oci:{layout}@{scene.digest}", "--format", "json").document["places"]
    return [one["digest"] for place in places for one in place["bundles"] if one["predicate_type"] == SUMMARY]


def documented(scene: Scene, *options: object, to: str = "oci:out") -> dict[str, Any]:
    """What `--format json` says, which is what the published schema says that it is."""
    document: dict[str, Any] = promote(scene, *options, "--format", "json", to=to).document
    schema = json.loads((resources.files("attest") / "schemas" / "promotion.v1.json").read_text())
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(document)
    return document


# ---- what moves


def test_what_passes_is_moved_and_tagged(passing: Scene) -> None:
    """The image and its evidence are at the destination, which passes by itself, under a tag of commit and digest."""
    ended = promote(passing)
    assert ended.code == 0, ended.err
    assert f"promoted  oci:out@{passing.digest}" in ended.out
    assert f"tag       oci:out:{tag_of(passing)}" in ended.out
    assert names(passing.folder / "out") == {tag_of(passing): passing.digest}
    assert passing.verify(image=f"oci:out@{passing.digest}").code == 0
    blobs = {name: content for name, content in files(passing.folder / "image").items() if name.startswith("blobs/")}
    assert blobs.items() <= files(passing.folder / "out").items()


def test_a_second_time_changes_nothing(passing: Scene) -> None:
    """Done already, it succeeds, sends nothing, and leaves every byte as it was."""
    assert promote(passing).code == 0
    before = files(passing.folder / "out")
    document = documented(passing)
    assert document["result"] == "PROMOTED"
    assert document["images"][0]["copied"] == {
        "manifests": 3,
        "attached": 2,
        "blobs": {"present": 5, "uploaded": 0, "mounted": 0},
        "bytes": 0,
    }
    assert files(passing.folder / "out") == before


def test_the_document_says_all_of_it(passing: Scene) -> None:
    """`--format json` names source, destination, tag, both verdicts and the receipt."""
    passing.make_keys("gate")
    document = documented(passing, "--receipt-key", "keys/gate.key")
    (image,) = document["images"]
    assert document["schema"] == "attest.promotion/v1"
    assert image["source"] == passing.image
    assert image["destination"] == f"oci:out@{passing.digest}"
    assert image["tag"] == f"oci:out:{tag_of(passing)}"
    assert image["copied"]["blobs"] == {"present": 0, "uploaded": 5, "mounted": 0}
    verdicts = [document[place] for place in ("source", "destination")]
    assert [one["verdict"] for one in verdicts] == ["PASSED", "PASSED"]
    assert [one["images"][0]["image"] for one in verdicts] == [passing.image, f"oci:out@{passing.digest}"]
    assert [document["receipt"]] == receipts(passing)


@pytest.mark.parametrize("damage", ["short", "long", "other"])
def test_what_is_damaged_at_the_destination_is_put_right(damage: str, passing: Scene) -> None:
    """A blob or a manifest that is not what its name says is written anew."""
    assert promote(passing).code == 0
    whole = files(passing.folder / "out")
    blobs = list((passing.folder / "out/blobs/sha256").iterdir())
    for path in blobs:
        content = path.read_bytes()
        path.write_bytes({"short": content[:-1], "long": content + b" ", "other": content[:-1] + b"~"}[damage])
    assert promote(passing).code == 0
    assert files(passing.folder / "out") == whole


def test_a_platform_may_be_damaged_at_the_source(passing: Scene) -> None:
    """A layer that is another one than its manifest names is not copied: 3, and no tag."""
    layer = digest_of(b"an application").removeprefix("sha256:")
    (passing.folder / "image/blobs/sha256" / layer).write_bytes(b"an Application")
    ended = promote(passing)
    assert ended.code == 3
    assert "the source does not hold the blob" in ended.err
    assert not (passing.folder / "out/blobs/sha256" / layer).exists()
    assert names(passing.folder / "out") == {}
    assert not [name for name in files(passing.folder / "out") if ".attest-" in name]


def test_a_layer_that_is_missing_at_the_source_is_3(passing: Scene) -> None:
    """What the source does not hold cannot be promoted."""
    layer = digest_of(b"an application").removeprefix("sha256:")
    (passing.folder / "image/blobs/sha256" / layer).unlink()
    assert promote(passing).code == 3
    assert names(passing.folder / "out") == {}


def test_what_others_keep_in_the_destination_stays(passing: Scene) -> None:
    """Other images in the destination, and their names, are as they were."""
    layout = Layout(passing.folder / "out")
    other = layout.add(layout.image("another"), name="other")
    assert promote(passing).code == 0
    assert names(layout.path) == {"other": other["digest"], tag_of(passing): passing.digest}


# ---- what does not move


@pytest.mark.parametrize("lane", ["unit", "e2e"])
def test_a_refusal_moves_nothing(lane: str, scene: Scene) -> None:
    """With one of two lanes it is refused, says why, and makes nothing at the destination."""
    scene.sign(lane)
    ended = promote(scene)
    assert ended.code == 1
    assert "refused at the source; nothing was moved" in ended.out
    assert "missing" in ended.out
    assert not (scene.folder / "out").exists()
    document = documented(scene)
    assert (document["result"], document["refused_at"]) == ("REFUSED", "source")
    assert document["destination"] is None
    assert document["images"][0]["tag"] is None


LANE = f"predicate-type: {TEST_RESULT}"


@pytest.mark.parametrize(
    ("e2e", "more", "options", "reason"),
    [
        ("signer: e2e", "", ("--result", "failed"), "result-failed"),
        ("signer: e2e", "", ("--result", "warned"), "result-warned"),
        ("signer: e2e, max-age: 1h", "", ("--finished", "2026-01-01T00:00:00Z"), "too-old"),
        ("signer: e2e", "", ("--source-commit", 40 * "d", "--source-repository", SOURCE), "commit-differs"),
        ("signer: unit", "", (), "signer-differs"),
        ("signer: e2e, where: ['false']", "", (), "condition-unmet"),
        ("signer: e2e", "expires: 2026-01-01T00:00:00Z", (), "policy-expired"),
        ("signer: e2e", "revoked: [{key}]", (), "key-revoked"),
        ("signer: e2e", "revoked: [{image}]", (), "image-revoked"),
        ("signer: e2e", "platforms: {{evidence: index, only: [linux/arm64]}}", (), "platform-missing"),
    ],
)
def test_no_evidence_that_is_bad_promotes(
    e2e: str, more: str, options: tuple[str, ...], reason: str, scene: Scene
) -> None:
    """Failed, warned, stale, about another commit, by another signer, unmet, expired or revoked: nothing moves."""
    rules = {"unit": f"{{{LANE}, signer: unit}}", "e2e": f"{{{LANE}, {e2e}}}"}
    written = more.format(key=scene.fingerprint("e2e"), image=scene.digest)
    signers = {name: f"{{key: keys/{name}.pub}}" for name in ("unit", "e2e")}
    scene.write_policy(policy_text(rules, signers=signers, more=written))
    scene.sign("unit")
    scene.sign("e2e", *options)
    ended = promote(scene)
    assert ended.code == 1, ended.err
    assert f"[{reason}]" in ended.out
    assert not (scene.folder / "out").exists()


def test_a_later_failure_is_refused_and_leaves_the_destination(passing: Scene) -> None:
    """Promoted before, refused now: nothing at the destination changes, neither is the tag taken away."""
    assert promote(passing).code == 0
    before = files(passing.folder / "out")
    passing.sign("e2e", "--result", "failed", "--run-id", "2")
    assert promote(passing).code == 1
    assert files(passing.folder / "out") == before


def test_a_failure_at_the_destination_refuses_there(passing: Scene) -> None:
    """What failed where it goes gets no tag, though it passes where it comes from."""
    copy = passing.copy_layout("out")
    passing.sign("e2e", "--result", "failed", "--run-id", "2", image=copy)
    assert promote(passing).code == 1
    document = documented(passing)
    assert (document["result"], document["refused_at"]) == ("REFUSED", "destination")
    assert document["source"]["verdict"] == "PASSED"
    assert document["destination"]["verdict"] == "REFUSED"
    assert document["images"][0]["tag"] is None
    assert tag_of(passing) not in names(passing.folder / "out")
    passing.make_keys("gate")
    assert "refused at the destination" in promote(passing, "--receipt-key", "keys/gate.key").out
    assert receipts(passing) == []


@pytest.mark.parametrize("to", ["registry.example.org/elsewhere/backend", "evil.example.org/plex/"])
def test_a_destination_outside_the_policy_is_2(to: str, passing: Scene) -> None:
    """Where the policy does not speak nothing is moved to, whatever passed, and no registry is asked."""
    ended = promote(passing, to=to)
    assert ended.code == 2
    assert "nothing was moved" in ended.err


def test_a_layout_outside_the_policy_is_2(passing: Scene) -> None:
    """A layout stands for the image's repository, which the policy has to name."""
    passing.write_policy(policy_text(("unit", "e2e"), images=["registry.example.org/other"]))
    assert promote(passing).code == 2
    assert not (passing.folder / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tag-format", "latest"), "names no digest"),
        (("--tag-format", "{x}{digest12}"), "unknown field"),
        (("--release-out", "r.yaml"), "--release-out has no place without --release"),
        (("--password-file", "p"), "--password-file has no place without --receipt-key"),
        (("--receipt-key", "no.key"), "no.key"),
    ],
)
def test_a_wrong_command_line_is_2(options: tuple[str, ...], message: str, passing: Scene) -> None:
    """What makes no sense ends with 2 before anything moves."""
    ended = promote(passing, *options)
    assert ended.code == 2
    assert message in ended.err
    assert not (passing.folder / "out").exists()


def test_a_layout_without_its_repository_is_2(passing: Scene) -> None:
    """Nobody knows what a policy would say of a path."""
    ended = passing.attest("promote", passing.image, "--policy", "policy.yaml", "--to", "oci:out")
    assert ended.code == 2
    assert "nothing says which repository" in ended.err


def test_a_tag_is_no_image(passing: Scene) -> None:
    """An image is named by its digest; the hint says which one the tag stands for."""
    ended = promote(passing, image="oci:image:v1")
    assert ended.code == 2
    assert passing.digest in ended.err


def test_a_folder_with_something_else_is_no_destination(passing: Scene) -> None:
    """A folder that is no layout and not empty is left alone."""
    (passing.folder / "out").mkdir()
    (passing.folder / "out/notes.txt").write_text("mine")
    ended = promote(passing)
    assert ended.code == 3
    assert "is no OCI image layout, and holds 'notes.txt'" in ended.err
    assert files(passing.folder / "out") == {"notes.txt": b"mine"}


@pytest.mark.parametrize("to", ["oci:out", "oci:out/below"])
def test_a_file_is_no_destination(to: str, passing: Scene) -> None:
    """A file where the layout, or a folder above it, would be is named as what it is, and left alone."""
    (passing.folder / "out").write_text("mine")
    ended = promote(passing, to=to)
    assert ended.code == 3
    assert ended.err.splitlines()[0] == "error: out is a file, and no OCI image layout"
    assert (passing.folder / "out").read_text() == "mine"


def test_a_link_is_not_followed(passing: Scene) -> None:
    """A folder for blobs that leads elsewhere is no part of a layout."""
    (passing.folder / "out").mkdir()
    (passing.folder / "elsewhere").mkdir()
    (passing.folder / "out/blobs").symlink_to(passing.folder / "elsewhere")
    assert promote(passing).code == 3
    assert files(passing.folder / "elsewhere") == {}


def test_a_serial_that_was_seen_is_remembered(passing: Scene) -> None:
    """With --state an older policy does not promote."""
    assert promote(passing, "--state", "state.json").code == 0
    passing.write_policy(policy_text(("unit", "e2e"), serial=2))
    assert promote(passing, "--state", "state.json").code == 0
    passing.write_policy(policy_text(("unit", "e2e")))
    ended = promote(passing, "--state", "state.json")
    assert ended.code == 1
    assert "serial-too-low" in ended.out


# ---- the tag


@pytest.mark.parametrize(
    ("text", "tag"), [("v1-{digest12}", "v1-{0}"), ("{commit12}_{digest12}", COMMIT[:12] + "_{0}")]
)
def test_the_tag_may_be_written_otherwise(text: str, tag: str, passing: Scene) -> None:
    """Its format is the user's, with the digest in it."""
    assert promote(passing, "--tag-format", text).code == 0
    assert list(names(passing.folder / "out")) == [tag.format(passing.digest[7:19])]


def test_a_tag_of_another_image_is_not_moved(passing: Scene) -> None:
    """Where the tag stands for something else, it is 3 before anything moves, and the tag stays."""
    layout = Layout(passing.folder / "out")
    other = layout.add(layout.image("another"), name=tag_of(passing))
    before = files(layout.path)
    ended = promote(passing, "--format", "json")
    assert ended.code == 3
    assert ended.document["error"] == "tag-taken"
    assert f"stands for {other['digest']}" in ended.err
    assert files(layout.path) == before


def test_evidence_about_two_commits_needs_another_format(passing: Scene) -> None:
    """A policy that does not bind commits leaves none for the tag: 2, before anything moves."""
    passing.write_policy(policy_text(("unit", "e2e"), bind="[repository]"))
    passing.sign("e2e", "--run-id", "2", "--source-repository", SOURCE, "--source-commit", 40 * "d")
    ended = promote(passing)
    assert ended.code == 2
    assert "does not name one commit" in ended.err
    assert not (passing.folder / "out").exists()
    assert promote(passing, "--tag-format", "sha-{digest12}").code == 0


# ---- the receipt


@pytest.fixture
def gate(passing: Scene) -> Scene:
    """A passing scene with a key of the gate's own."""
    passing.make_keys("gate")
    return passing


def test_the_receipt_is_about_the_destination(gate: Scene) -> None:
    """It hangs on the image there, verifies by its key, and names the place that was verified."""
    assert promote(gate, "--receipt-key", "keys/gate.key").code == 0
    (receipt,) = receipts(gate)
    raw = gate.attest("inspect", f"oci:out@{gate.digest}", "--raw", receipt).raw
    predicate = json.loads(raw)["predicate"]
    assert predicate["verificationResult"] == "PASSED"
    assert predicate["resourceUri"] == f"oci:out@{gate.digest}"
    assert len(predicate["inputAttestations"]) == 2
    assert receipts(gate, "image") == []


def test_a_receipt_that_says_the_same_is_not_made_again(gate: Scene) -> None:
    """Done again under the same policy there is one receipt; under another policy there are two."""
    for _ in range(2):
        assert promote(gate, "--receipt-key", "keys/gate.key").code == 0
    assert len(receipts(gate)) == 1
    gate.write_policy(policy_text(("unit", "e2e"), serial=2))
    assert promote(gate, "--receipt-key", "keys/gate.key").code == 0
    assert len(receipts(gate)) == 2


def test_a_receipt_by_a_key_of_the_policy_is_not_made_again(gate: Scene) -> None:
    """Where the policy trusts the receipt's key, the receipt is among the evidence, and still there is one."""
    gate.write_policy(
        policy_text(
            {lane: f"{{predicate-type: {TEST_RESULT}, signer: {lane}}}" for lane in ("unit", "e2e")},
            signers={name: f"{{key: keys/{name}.pub}}" for name in ("unit", "e2e", "gate")},
        )
    )
    for _ in range(3):
        assert promote(gate, "--receipt-key", "keys/gate.key").code == 0
    assert len(receipts(gate)) == 1


def test_new_evidence_makes_a_new_receipt(gate: Scene) -> None:
    """A receipt lists its inputs, so with another input it says something else."""
    assert promote(gate, "--receipt-key", "keys/gate.key").code == 0
    gate.sign("unit", "--run-id", "2")
    assert promote(gate, "--receipt-key", "keys/gate.key").code == 0
    assert len(receipts(gate)) == 2


def test_another_key_makes_a_receipt_of_its_own(gate: Scene) -> None:
    """A receipt that somebody else signed is not taken for ours."""
    gate.make_keys("other")
    assert promote(gate, "--receipt-key", "keys/other.key").code == 0
    assert promote(gate, "--receipt-key", "keys/gate.key").code == 0
    assert len(receipts(gate)) == 2


# ---- releases


@pytest.fixture
def release(tmp_path: Path) -> Scene:
    """Two images in layouts, with a lane each and a joint one, and their release file."""
    scene = Scene(folder=tmp_path)
    scene.make_keys("unit", "e2e", "gate")
    images = []
    for name in ("backend", "frontend"):
        scene.make_image(name, f"the {name}")
        images.append(scene.image)
    scene.image, scene.others = images[0], tuple(images[1:])
    joint = f"{{predicate-type: {TEST_RESULT}, signer: e2e, joint: true}}"
    rules = {"unit": f"{{predicate-type: {TEST_RESULT}, signer: unit}}", "e2e": joint}
    scene.write_policy(policy_text(rules, images=[f"{RELEASE}/*"]))
    lines = ["version: 1", f'commit: "{COMMIT}"', "services:"]
    for name, image in zip(("backend", "frontend"), images, strict=True):
        lines += [f"  {name}:", f"    image: {image}", f"    repository: {RELEASE}/{name}"]
    (tmp_path / "release.yaml").write_text("\n".join(lines) + "\n")
    for image in images:
        scene.sign("unit", image=image)
    scene.sign("e2e", image=images)
    return scene


def promote_release(scene: Scene, *options: object, to: str = "oci:out") -> Any:
    """Promote the release."""
    return scene.attest("promote", "--release", "release.yaml", "--policy", "policy.yaml", "--to", to, *options)


def test_a_release_is_promoted_together(release: Scene) -> None:
    """Each image goes below the prefix under its own name, and one receipt is about both."""
    ended = promote_release(release, "--receipt-key", "keys/gate.key", "--format", "json")
    assert ended.code == 0, ended.err + ended.out
    document = ended.document
    digests = [image.rpartition("@")[2] for image in (release.image, *release.others)]
    assert [one["destination"] for one in document["images"]] == [
        f"oci:out/{name}@{digest}" for name, digest in zip(("backend", "frontend"), digests, strict=True)
    ]
    for name, digest in zip(("backend", "frontend"), digests, strict=True):
        assert names(release.folder / "out" / name) == {f"sha-{COMMIT}-{digest[7:19]}": digest}
        bundle = document["receipt"].removeprefix("sha256:")
        assert (release.folder / "out" / name / "blobs/sha256" / bundle).is_file()


def test_the_release_is_written_as_it_is_then(release: Scene) -> None:
    """--release-out names the same services at the destination, and what it names passes."""
    assert promote_release(release, "--release-out", "out/release.yaml", to="oci:out/images").code == 0
    text = (release.folder / "out/release.yaml").read_text()
    assert f"image: oci:images/backend@{release.digest}" in text
    assert COMMIT in text
    assert release.attest("verify", "--release", "out/release.yaml", "--policy", "policy.yaml").code == 0


def test_one_bad_image_keeps_all_of_them(release: Scene) -> None:
    """Where one image is refused none is moved."""
    release.sign("unit", "--result", "failed", "--run-id", "2", image=release.others)
    assert promote_release(release).code == 1
    assert not (release.folder / "out").exists()


def test_one_bad_image_at_the_destination_keeps_all_tags(release: Scene) -> None:
    """Where one image is refused at its destination none gets a tag."""
    shutil.copytree(release.folder / "frontend", release.folder / "out/frontend")
    digest = release.others[0].rpartition("@")[2]
    release.sign("unit", "--result", "failed", "--run-id", "2", image=f"oci:out/frontend@{digest}")
    assert promote_release(release).code == 1
    assert names(release.folder / "out/backend") == {}
    assert list(names(release.folder / "out/frontend")) == ["v1"]


def test_a_taken_tag_of_one_image_keeps_all_of_them(release: Scene) -> None:
    """All tags are looked at before anything moves."""
    digest = release.others[0].rpartition("@")[2]
    layout = Layout(release.folder / "out/frontend")
    layout.add(layout.image("another"), name=f"sha-{COMMIT}-{digest[7:19]}")
    assert promote_release(release).code == 3
    assert not (release.folder / "out/backend").exists()


def test_two_images_need_a_prefix(release: Scene) -> None:
    """Two images and one place that is no prefix are a wrong command line."""
    images = (release.image, *release.others)
    repositories = [part for name in ("backend", "frontend") for part in ("--repository", f"{RELEASE}/{name}")]
    arguments = ("promote", *images, *repositories, "--policy", "policy.yaml", "--to")
    assert release.attest(*arguments, "oci:out").code == 2
    assert release.attest(*arguments, "oci:out/").code == 0
    assert sorted(path.name for path in (release.folder / "out").iterdir()) == ["backend", "frontend"]


# ---- what hangs on an image


def test_signatures_of_cosign_before_v3_go_along(passing: Scene) -> None:
    """What stands under a tag of the scheme is copied with its tag; where both ends differ the fuller one stays."""
    layout = open_layout(passing.folder / "image")
    fallback = passing.digest.replace(":", "-")
    one = layout.manifest([layout.blob(b"one", "application/vnd.dev.cosign.simplesigning.v1+json")])
    two = layout.manifest(
        [layout.blob(content, "application/vnd.dev.cosign.simplesigning.v1+json") for content in (b"one", b"two")]
    )
    layout.add(one, name=f"{fallback}.sig")
    assert promote(passing).code == 0
    assert names(passing.folder / "out")[f"{fallback}.sig"] == one["digest"]
    layout.write_index([entry for entry in layout.read_index()["manifests"] if entry["digest"] != one["digest"]])
    layout.add(two, name=f"{fallback}.sig")
    assert promote(passing).code == 0
    assert names(passing.folder / "out")[f"{fallback}.sig"] == two["digest"]
    layout.write_index([entry for entry in layout.read_index()["manifests"] if entry["digest"] != two["digest"]])
    layout.add(one, name=f"{fallback}.sig")
    assert promote(passing).code == 0
    assert names(passing.folder / "out")[f"{fallback}.sig"] == two["digest"]
    other = layout.manifest([layout.blob(b"three", "application/vnd.dev.cosign.simplesigning.v1+json")])
    layout.write_index([entry for entry in layout.read_index()["manifests"] if entry["digest"] != one["digest"]])
    layout.add(other, name=f"{fallback}.sig")
    ended = promote(passing)
    assert ended.code == 3
    assert "each hold something" in ended.err


def test_a_name_that_is_no_tag_leads_nowhere(passing: Scene) -> None:
    """A layout from a stranger may name anything; what is no tag never becomes part of a URL."""
    layout = open_layout(passing.folder / "image")
    fallback = passing.digest.replace(":", "-")
    layout.add(layout.manifest([layout.blob(b"x")]), name=f"{fallback}./../../../other/manifests/v1")
    with FaultyRegistry().running() as registry:
        where = f"{registry.host}/team/app"
        passing.write_policy(policy_text(("unit", "e2e"), images=[REPOSITORY, where]))
        ended = promote(passing, to=where)
        assert ended.code == 3
        assert "is listed as a tag, and is none" in ended.err
        assert {one.method for one in registry.seen} <= {"GET"}
        assert not any(".." in one.path for one in registry.seen)


def test_an_attached_index_goes_with_what_it_names(passing: Scene) -> None:
    """An index with a subject is copied with its children."""
    layout = open_layout(passing.folder / "image")
    (image,) = [one for one in layout.read_index()["manifests"] if one["digest"] == passing.digest]
    subject = {name: image[name] for name in ("mediaType", "digest", "size")}
    child = layout.manifest([layout.blob(b"part", "a/b")])
    index = layout.add(layout.index([child], subject=subject, artifactType="a/b"))
    assert promote(passing).code == 0
    for digest in (child["digest"], index["digest"], digest_of(b"part")):
        assert (passing.folder / "out/blobs/sha256" / digest.removeprefix("sha256:")).is_file()
    entries = json.loads((passing.folder / "out/index.json").read_bytes())["manifests"]
    assert [one["artifactType"] for one in entries if one["digest"] == index["digest"]] == ["a/b"]


def test_what_a_list_of_the_scheme_names_goes_along(passing: Scene) -> None:
    """Evidence that only a list at the fallback name mentions is found, copied and listed at the destination."""
    layout = open_layout(passing.folder / "image")
    entries = layout.read_index()["manifests"]
    attached = [one for one in entries if one.get("artifactType") == BUNDLE]
    assert len(attached) == 2
    layout.write_index([one for one in entries if one not in attached])
    layout.add(layout.index(attached), name=passing.digest.replace(":", "-"))
    assert promote(passing).code == 0
    assert passing.verify(image=f"oci:out@{passing.digest}").code == 0
