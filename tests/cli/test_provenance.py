"""`attest provenance`: a predicate from options, papers and images, ready for the build lane to sign."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from attest.core.reference import digest_of
from tests.cli.running import Ended, spawn
from tests.cli.scene import CONTEXT, PROVENANCE, REPOSITORY, SOURCE, Scene, policy_text
from tests.core.test_buildfacts import v02
from tests.layouts import Entry, Layout
from tests.registry.faults import FaultyRegistry
from tests.registry.pushing import manifest_of

BUILDER = "https://ci.example.org/builder"
VCS = "https://mobyproject.org/buildkit@v1#metadata"


def predicate_of(**changes: Any) -> dict[str, Any]:
    """What BuildKit says of a build of the scene's source."""
    predicate = v02(**changes)
    predicate["metadata"][VCS] = {"vcs": {"source": SOURCE, "revision": CONTEXT[3]}}
    return predicate


def layered(layout: Layout, layers: list[str], *, architecture: str = "amd64") -> Entry:
    """Store an image whose configuration names these unpacked layers."""
    ids = [layout.blob(layer.encode())["digest"] for layer in layers]
    config = {"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": ids}}
    blob = layout.blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
    return layout.manifest([layout.blob(layer.encode()) for layer in layers], config=blob)


def attestation(layout: Layout, image: Entry, statement: Any) -> Entry:
    """Store BuildKit's attestation manifest with one statement; its descriptor in an index."""
    layer = layout.blob(json.dumps(statement).encode(), "application/vnd.in-toto+json")
    layer["annotations"] = {"in-toto.io/predicate-type": statement["predicateType"]}
    entry = layout.manifest([layer])
    annotations = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": image["digest"],
    }
    return {**entry, "annotations": annotations, "platform": {"os": "unknown", "architecture": "unknown"}}


def statement_about(image: Entry, predicate: Any, predicate_type: str = "https://slsa.dev/provenance/v0.2") -> Any:
    """A statement as BuildKit stores it."""
    return {
        "_type": "https://in-toto.io/Statement/v0.1",
        "predicateType": predicate_type,
        "subject": [{"name": "pkg:docker/x", "digest": {"sha256": image["digest"].removeprefix("sha256:")}}],
        "predicate": predicate,
    }


@pytest.fixture
def built(tmp_path: Path) -> Scene:
    """An image of two layers in a layout."""
    made = Scene(folder=tmp_path)
    layout = Layout(tmp_path / "image")
    entry = layout.add(layered(layout, ["base", "application"]), name="v1")
    made.image = f"oci:image@{entry['digest']}"
    return made


def index_of(scene: Scene, *statements: Any, more: tuple[Entry, ...] = ()) -> None:
    """Make the scene's image an index with one platform, and BuildKit's statements about it."""
    layout = Layout(scene.folder / "index")
    image = layered(layout, ["base", "application"])
    platform = {**image, "platform": {"os": "linux", "architecture": "amd64"}}
    attestations = [attestation(layout, image, make(image)) for make in statements]
    entry = layout.add(layout.index([platform, *attestations, *more]), name="v1")
    scene.image = f"oci:index@{entry['digest']}"


def ask(scene: Scene, *options: object, builder: bool = True) -> Ended:
    """Ask for the provenance of the scene's image."""
    who = ("--builder-id", BUILDER) if builder else ()
    return scene.attest("provenance", scene.image, *CONTEXT, *who, *options)


def made(scene: Scene, *options: object, builder: bool = True) -> Any:
    """The predicate; the command succeeded."""
    ended = ask(scene, *options, builder=builder)
    assert ended.code == 0, ended.err
    return ended.document


def arguments_of(predicate: Any) -> Any:
    return predicate["buildDefinition"]["externalParameters"]["request"]["args"]


def metadata_file(scene: Scene, predicate: Any, digest: str | None = None) -> None:
    """Write build.json, as buildx would about the scene's image."""
    document = {"containerimage.digest": digest or scene.digest, "buildx.build.provenance": predicate}
    (scene.folder / "build.json").write_text(json.dumps(document))


def test_options_alone_are_enough(built: Scene) -> None:
    """A lane without any paper tells what its options say, and what the image says of its platform."""
    (built.folder / "Containerfile").write_text("FROM scratch\n")
    predicate = made(
        built,
        *("--target", "runtime", "--containerfile", "Containerfile", "--build-arg", "VERSION=1", "--run-id", "7"),
        *("--started", "2026-07-01T10:00:00Z", "--finished", "2026-07-01T10:05:00Z"),
    )
    definition = predicate["buildDefinition"]
    assert arguments_of(predicate) == {"target": "runtime", "build-arg:VERSION": "1"}
    assert definition["internalParameters"] == {"platforms": ["linux/amd64"]}
    assert [one["name"] for one in definition["resolvedDependencies"]] == ["source", "containerfile"]
    assert predicate["runDetails"]["metadata"] == {
        "invocationId": "7",
        "startedOn": "2026-07-01T10:00:00.000000Z",
        "finishedOn": "2026-07-01T10:05:00.000000Z",
    }


def test_the_output_is_what_sign_takes(built: Scene) -> None:
    """The file that is written, or what is printed, becomes a build lane that a policy accepts by its target alone."""
    where = "predicate.buildDefinition.externalParameters.request.args.target == 'runtime'"
    rule = f'{{predicate-type: {PROVENANCE}, signer: build, where: ["{where}"]}}'
    built.make_keys("build")
    built.write_policy(policy_text({"build": rule}))
    ended = ask(built, "--target", "debug", "--output", "debug.json")
    assert (ended.code, ended.raw) == (0, b"")
    built.sign("build", "--predicate-type", PROVENANCE, "--predicate", "debug.json")
    refused = built.verify("--format", "json")
    assert refused.code == 1
    assert refused.document["images"][0]["lanes"][0]["state"] == "unmet"
    printed = ask(built, "--target", "runtime")
    arguments = built.sign_arguments("build", "--predicate-type", PROVENANCE, "--predicate", "-", "--run-id", "2")
    assert spawn(*arguments, cwd=built.folder, stdin=printed.raw).code == 0
    assert built.verify().code == 0


def test_the_papers_of_the_builder_are_read(built: Scene) -> None:
    """A metadata file about this image tells builder, target, materials and invocation."""
    metadata_file(built, predicate_of())
    ended = ask(built, "--metadata", "build.json", "--build-arg", "VERSION", builder=False)
    assert ended.code == 0, ended.err
    predicate = ended.document
    assert predicate["runDetails"]["builder"] == {"id": "https://ci.example.org/run/7"}
    assert arguments_of(predicate) == {"target": "runtime", "build-arg:VERSION": "1.0"}
    assert "facts from  build.json" in ended.err
    assert "not told    build argument EMPTY (--build-arg EMPTY tells its value)" in ended.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--target", "debug"), "--target is debug, and build.json says runtime"),
        (("--build-arg", "VERSION=2"), "build.json says another value of the build argument VERSION"),
        (("--source-commit", "d" * 40), f"and this lane about {'d' * 40}"),
    ],
)
def test_papers_that_say_something_else_stop_it(options: tuple[str, ...], said: str, built: Scene) -> None:
    """Options and papers that contradict each other end with 2, and nothing is written."""
    metadata_file(built, predicate_of())
    ended = ask(built, "--metadata", "build.json", "--output", "p.json", *options)
    assert (ended.code, ended.raw) == (2, b"")
    assert said in ended.err
    assert not (built.folder / "p.json").exists()


def test_papers_of_another_image_stop_it(built: Scene) -> None:
    """A metadata file about another digest ends with 2 and names it."""
    other = "sha256:" + "0" * 64
    metadata_file(built, predicate_of(), other)
    ended = ask(built, "--metadata", "build.json")
    assert ended.code == 2
    assert f"build.json is about another image: {other}" in ended.err


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"a": 1}'])
def test_papers_that_are_none_stop_it(content: bytes, built: Scene) -> None:
    """What is no JSON, or describes no build, ends with 2 and names the file."""
    (built.folder / "build.json").write_bytes(content)
    ended = ask(built, "--metadata", "build.json")
    assert ended.code == 2
    assert "build.json" in ended.err


def test_a_builder_has_to_be_named(built: Scene) -> None:
    """Without an option and without papers nobody knows who built it: 2, with the option to give."""
    ended = ask(built, builder=False)
    assert ended.code == 2
    assert "nothing says who the builder is; name it with --builder-id URI" in ended.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--build-arg", "A B=1"), "it must be NAME or NAME=VALUE"),
        (("--build-arg", "A=1\n2"), "it must be NAME or NAME=VALUE"),
        (("--build-arg", "A=1", "--build-arg", "A=2"), "--build-arg A is given twice"),
        (("--build-arg", "A"), "nothing says the value of the build argument A"),
        (("--build-arg", "A=ghp_" + "a1B2" * 9), "looks like a GitHub token"),
        (("--target", ""), "--target: it must be a line of text"),
        (("--invocation-id", "a\nb"), "--invocation-id: it must be a line of text"),
        (("--containerfile", "nowhere"), "nowhere: cannot be read"),
        (("--base", "oci:image:v1"), "oci:image:v1 is a tag"),
        (("--metadata", "-", "--containerfile", "-"), "only one can be standard input"),
    ],
)
def test_options_that_cannot_be_meant_are_2(options: tuple[str, ...], said: str, built: Scene) -> None:
    """Each ends with 2 and says what is wrong; a value that may be a secret is not repeated."""
    ended = ask(built, *options)
    assert (ended.code, ended.raw) == (2, b"")
    assert said in ended.err
    assert "ghp_" not in ended.err


def test_a_builder_is_a_uri(built: Scene) -> None:
    """A name that is no URI ends with 2, since SLSA asks for one."""
    assert "is no URI" in ask(built, "--builder-id", "jenkins", builder=False).err


# ---- bases


def test_a_base_in_a_layout_is_not_one_that_others_find(built: Scene) -> None:
    """A base is named where others can find it."""
    ended = ask(built, "--base", built.image)
    assert ended.code == 2
    assert "name it where others can find it, in a registry" in ended.err


def pushed(registry: FaultyRegistry, layers: list[str], architecture: str = "amd64") -> str:
    """An image with these unpacked layers in a registry, by digest."""
    ids = [digest_of(layer.encode()) for layer in layers]
    config = {"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": ids}}
    content = json.dumps(config).encode()
    registry.add_blob(content)
    return str(registry.named(registry.add_manifest(manifest_of(content))))


@pytest.mark.parametrize(
    ("layers", "architecture"),
    [(["application"], "amd64"), (["base", "x"], "amd64"), ([], "amd64"), (["base"], "arm64")],
)
def test_an_image_that_is_no_base_is_refused(layers: list[str], architecture: str, built: Scene) -> None:
    """An image that this one does not begin with, layer by layer on each platform, ends with 2."""
    with FaultyRegistry().running() as registry:
        image = pushed(registry, layers, architecture)
        ended = ask(built, "--base", image)
        assert ended.code == 2, ended.err
        assert f"{built.image} is not built on {image}: on linux/amd64" in ended.err


def test_a_base_that_was_looked_at_is_told(built: Scene) -> None:
    """A base whose layers come first is told as the base; one that is not there ends with 3."""
    with FaultyRegistry().running() as registry:
        image = pushed(registry, ["base"])
        other = pushed(registry, ["tools"])
        ended = ask(built, "--base", image, "--used-image", other)
        assert ended.code == 0, ended.err
        found = _dependencies(ended.document)
        assert [(one["name"], one["digest"].get("sha256")) for one in found[1:]] == [
            ("base", image.rpartition(":")[2]),
            ("image", other.rpartition(":")[2]),
        ]
        assert "  base        pkg:oci/app@sha256%3A" in ended.err
        absent = f"{image.partition('@')[0]}@sha256:{'0' * 64}"
        assert ask(built, "--base", absent).code == 3
        assert ask(built, "--used-image", absent).code == 3


def _dependencies(predicate: Any) -> Any:
    return predicate["buildDefinition"]["resolvedDependencies"]


# ---- BuildKit's provenance in an index


def test_buildkits_own_provenance_tells_the_facts(built: Scene) -> None:
    """An index with BuildKit's unsigned statement about its platform needs no other paper, and names its place."""
    index_of(built, lambda image: statement_about(image, predicate_of()))
    ended = ask(built, builder=False)
    assert ended.code == 0, ended.err
    assert arguments_of(ended.document) == {"target": "runtime"}
    assert ended.document["buildDefinition"]["internalParameters"]["platforms"] == ["linux/amd64"]
    assert "facts from  the provenance in the image index" in ended.err


def test_buildkits_provenance_is_never_evidence(built: Scene) -> None:
    """The statement in the index fills no lane of a policy, whatever it says."""
    index_of(built, lambda image: statement_about(image, predicate_of()))
    built.make_keys("build")
    rule = '{predicate-type: https://slsa.dev/provenance/v0.2, signer: build, where: ["true"]}'
    built.write_policy(policy_text({"build": rule}, more="platforms: {evidence: index, only: [linux/amd64]}"))
    ended = built.verify("--format", "json")
    assert ended.code == 1
    assert ended.document["images"][0]["lanes"][0]["state"] == "missing"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            lambda image: statement_about({**image, "digest": "sha256:" + "0" * 64}, predicate_of()),
            "about another image",
        ),
        (lambda image: {**statement_about(image, predicate_of()), "_type": "x"}, "_type 'x' is no in-toto Statement"),
        (lambda image: statement_about(image, predicate_of(materials=3)), "its materials are no list"),
        (
            lambda image: statement_about(image, predicate_of(), "https://slsa.dev/provenance/v9"),
            "is no SLSA provenance",
        ),
    ],
)
def test_a_statement_in_the_index_that_is_wrong_stops_it(statement: Any, said: str, built: Scene) -> None:
    """A statement about something else, or a malformed one, is not passed over: the build is not what it seems."""
    index_of(built, statement)
    ended = ask(built)
    assert ended.code == 2
    assert said in ended.err


def test_other_statements_in_the_index_are_passed_over(built: Scene) -> None:
    """A list of packages in the index says nothing of the build."""
    index_of(built, lambda image: statement_about(image, {}, "https://spdx.dev/Document"))
    assert arguments_of(made(built)) == {}


def test_platforms_that_were_built_differently_stop_it(built: Scene) -> None:
    """Statements of two targets in one index end with 2: nobody could say what was built."""
    other = predicate_of()
    other["invocation"]["parameters"]["args"] = {"target": "debug"}
    index_of(
        built,
        lambda image: statement_about(image, predicate_of()),
        lambda image: statement_about(image, other),
    )
    ended = ask(built)
    assert ended.code == 2
    assert "the build has more than one target" in ended.err


def test_an_index_in_an_index_is_refused(built: Scene) -> None:
    """No platform can be told of an index in an index."""
    layout = Layout(built.folder / "nested")
    inner = layout.index([layered(layout, ["a"])])
    entry = layout.add(layout.index([inner]), name="v1")
    built.image = f"oci:nested@{entry['digest']}"
    assert ask(built).code == 3


def test_an_image_without_layers_in_its_configuration_is_refused(built: Scene) -> None:
    """An image whose configuration cannot be read has no provenance."""
    layout = Layout(built.folder / "odd")
    entry = layout.add(layout.manifest([], config=layout.blob(b'{"os":"linux","architecture":"amd64"}')), name="v1")
    built.image = f"oci:odd@{entry['digest']}"
    ended = ask(built)
    assert ended.code == 3
    assert "names no layers" in ended.err
    assert REPOSITORY not in ended.err
