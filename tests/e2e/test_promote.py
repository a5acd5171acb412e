"""Promotion between real registries and layouts: everything arrives byte for byte, and only where it passed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.running import clean_environment, spawn
from tests.cli.scene import COMMIT, TEST_RESULT
from tests.e2e.promotion import NOTE, SBOM, Stage, fallback_tag_of, make_stage
from tests.parts.cosign import Cosign
from tests.parts.delay import Delayed, Exchange
from tests.parts.images import BuiltImage, copy_layout, push
from tests.parts.registry import Registry

pytestmark = [pytest.mark.parts, pytest.mark.slow]

PLACES = ("docker_registry", "gitea", "olareg", "layout")

Between = Callable[[str, str, BuiltImage], Stage]


@pytest.fixture
def between(request: pytest.FixtureRequest, tmp_path: Path) -> Between:
    """Makes a stage between two kinds of places."""

    def registry(kind: str) -> Registry | None:
        found: Registry | None = None if kind == "layout" else request.getfixturevalue(kind)
        return found

    return lambda source, target, image: make_stage(tmp_path, registry(source), registry(target), image)


@pytest.mark.parametrize("target", PLACES)
@pytest.mark.parametrize("source", PLACES)
def test_all_of_it_arrives(source: str, target: str, between: Between, index_image: BuiltImage) -> None:
    """Index, platforms, evidence of both, an SBOM and a note on the SBOM arrive between each pair of places."""
    stage = between(source, target, index_image)
    scene = stage.scene
    scene.sign("unit", image=stage.source.image(index_image.platforms[1]))
    (scene.folder / "sbom.json").write_text('{"packages": []}')
    (scene.folder / "note.txt").write_text("seen")
    stage.source.attach(index_image.platforms[0], SBOM, scene.folder / "sbom.json")
    (sbom,) = [digest for digest, kind in stage.source.discover(index_image.platforms[0]).items() if kind == SBOM]
    stage.source.attach(sbom, NOTE, scene.folder / "note.txt")
    before = stage.tree(stage.source)
    assert sum(map(len, before.values())) == 5
    ended = stage.promote("--format", "json")
    assert ended.code == 0, ended.err + ended.out
    document = ended.document
    (image,) = document["images"]
    assert (document["result"], document["refused_at"]) == ("PROMOTED", None)
    assert image["destination"] == stage.target.image(stage.digest)
    assert image["copied"]["attached"] == 5
    assert stage.tree(stage.target) == before
    assert stage.target.oras_sees(stage.digest) == set(before[stage.digest])
    for digest in (*before, *(one for attached in before.values() for one in attached)):
        assert stage.target.manifest(digest) == stage.source.manifest(digest) is not None
    assert stage.target.tags()[f"sha-{COMMIT}-{stage.digest[7:19]}"] == stage.digest
    assert stage.verify(stage.target).code == 0
    state = stage.target.state()
    again = stage.promote("--format", "json")
    assert again.code == 0
    assert again.document["images"][0]["copied"]["bytes"] == 0
    assert stage.target.state() == state


# ---- what does not move


@pytest.mark.parametrize("target", PLACES)
def test_refused_nothing_at_the_destination_changes(target: str, between: Between, sample_image: BuiltImage) -> None:
    """Where a lane failed, is missing or was signed for another commit, the destination is afterwards as before."""
    stage = between("docker_registry", target, sample_image)
    before = stage.target.state()
    assert stage.target.manifest(stage.digest) is None
    stage.scene.sign("e2e", "--result", "failed", "--run-id", "2")
    ended = stage.promote()
    assert ended.code == 1
    assert "nothing was moved" in ended.out
    assert stage.target.state() == before
    assert stage.target.manifest(stage.digest) is None
    stage.scene.sign("e2e", "--run-id", "3")
    assert stage.promote().code == 0
    promoted = stage.target.state()
    stage.scene.sign("unit", "--result", "failed", "--run-id", "4")
    assert stage.promote().code == 1
    assert stage.target.state() == promoted


@pytest.mark.parametrize("target", PLACES)
def test_a_failure_found_at_the_destination(target: str, between: Between, sample_image: BuiltImage) -> None:
    """A failure that was signed at the destination after a promotion refuses the next one there, without a new tag."""
    stage = between("olareg", target, sample_image)
    assert stage.promote().code == 0
    repository = ("--repository", stage.target.repository) if stage.target.registry is None else ()
    failed = stage.scene.sign_arguments(
        "e2e", "--result", "failed", "--run-id", "2", *repository, image=stage.target.image(stage.digest)
    )
    stage.scene.repository = None  # named above
    assert stage.scene.attest(*failed).code == 0
    ended = stage.promote("--tag-format", "again-{digest12}", "--format", "json")
    assert ended.code == 1
    assert ended.document["refused_at"] == "destination"
    assert f"again-{stage.digest[7:19]}" not in stage.target.tags()


@pytest.mark.parametrize("source", PLACES)
def test_what_is_signed_while_it_is_copied_counts(
    source: str, gitea: Registry, request: pytest.FixtureRequest, tmp_path: Path, sample_image: BuiltImage
) -> None:
    """A failure that is signed at the source while layers are on their way goes along, and refuses: no tag."""
    proxy = Meanwhile(gitea, tmp_path / "docker")
    with proxy.running():
        origin = None if source == "layout" else request.getfixturevalue(source)
        stage = make_stage(tmp_path / "stage", origin, proxy.registry, sample_image)
        failed = stage.scene.sign_arguments("e2e", "--result", "failed", "--run-id", "2")
        environment = clean_environment(stage.scene.folder, **stage.scene.environment)
        proxy.event = lambda: spawn(*failed, cwd=stage.scene.folder, environment=environment)
        ended = stage.promote("--format", "json")
        assert ended.code == 1, ended.err
        assert ended.document["refused_at"] == "destination"
        assert f"sha-{COMMIT}-{stage.digest[7:19]}" not in stage.target.tags()


class Meanwhile(Delayed):
    """A registry behind a proxy that lets something happen when the first blob arrives."""

    def __init__(self, registry: Registry, directory: Path) -> None:
        super().__init__(registry, directory, 0)
        self.event: Callable[[], object] | None = None

    def record(self, exchange: Exchange) -> None:
        """One request was done."""
        if exchange.method == "PUT" and "/uploads/" in exchange.path and self.event is not None:
            event, self.event = self.event, None
            event()
        super().record(exchange)


# ---- tags


@pytest.mark.parametrize("change", ["moved", "deleted"])
@pytest.mark.parametrize("source", ["docker_registry", "gitea", "olareg"])
def test_the_source_s_tag_decides_nothing(
    source: str, change: str, between: Between, sample_image: BuiltImage, other_image: BuiltImage
) -> None:
    """The tag that an image came from is moved or deleted before it is promoted: what arrives is the digest."""
    stage = between(source, "layout", sample_image)
    registry = stage.source.registry
    assert registry is not None
    if change == "moved":
        push(other_image, registry, stage.source.name, tag="main")
        assert stage.source.tags()["main"] == other_image.digest
    else:
        path = stage.source.name.removeprefix(registry.host + "/")
        registry.ask("DELETE", f"/v2/{path}/manifests/main")
    assert stage.promote().code == 0
    assert stage.target.manifest(stage.digest) == sample_image.manifest
    assert stage.target.manifest(other_image.digest) is None


@pytest.mark.parametrize("target", ["docker_registry", "gitea", "olareg"])
def test_a_tag_is_never_moved(target: str, between: Between, sample_image: BuiltImage, other_image: BuiltImage) -> None:
    """A tag of ours that stands for another image stops the promotion before anything moves, and stays."""
    stage = between("layout", target, sample_image)
    assert stage.target.registry is not None
    tag = f"sha-{COMMIT}-{stage.digest[7:19]}"
    push(other_image, stage.target.registry, stage.target.name, tag=tag)
    before = stage.target.state()
    ended = stage.promote("--format", "json")
    assert (ended.code, ended.document["error"]) == (3, "tag-taken")
    assert stage.target.state() == before
    assert stage.target.manifest(stage.digest) is None


def test_what_was_promoted_survives_the_next_promotion(
    between: Between, sample_image: BuiltImage, other_image: BuiltImage
) -> None:
    """On Gitea, where a manifest dies with the tag that it was pushed by, the one before stays for a rollback."""
    stage = between("layout", "gitea", sample_image)
    assert stage.promote().code == 0
    copy_layout(other_image, stage.scene.folder / "next")
    second = f"oci:next@{other_image.digest}"
    for lane in ("unit", "e2e"):
        stage.scene.sign(lane, image=second)
    arguments = [second if one == stage.source.image(stage.digest) else one for one in stage.arguments()]
    assert stage.scene.attest(*arguments).code == 0
    assert stage.verify(stage.target).code == 0
    assert len([tag for tag in stage.target.tags() if tag.startswith("sha-")]) == 2


# ---- what other tools see


@pytest.mark.parametrize("target", ["docker_registry", "gitea", "olareg"])
@pytest.mark.parametrize("form", ["ours", "cosign's"])
def test_cosign_verifies_at_the_destination(
    form: str, target: str, between: Between, sample_image: BuiltImage, cosign: Cosign
) -> None:
    """`cosign verify-attestation` accepts at the destination what attest or cosign attached at the source."""
    stage = between("docker_registry", target, sample_image)
    assert stage.source.registry is not None
    assert stage.target.registry is not None
    key = stage.scene.folder / "keys/unit.pub"
    if form != "ours":
        pair = cosign.generate_key_pair(f"promoted-{target}")
        predicate = {"result": "PASSED", "configuration": list[str]()}
        reference = stage.source.image(stage.digest)
        cosign.attest(stage.source.registry, reference, key=pair, predicate_type=TEST_RESULT, predicate=predicate)
        key = pair.public
    assert stage.promote().code == 0
    (found,) = cosign.verify_attestation(
        stage.target.registry, stage.target.image(stage.digest), public_key=key, predicate_type=TEST_RESULT
    )
    assert found["predicate"]["result"] == "PASSED"


@pytest.mark.parametrize("target", PLACES)
@pytest.mark.parametrize("source", ["docker_registry", "olareg"])
def test_evidence_of_cosign_before_v3_goes_along(
    source: str, target: str, between: Between, sample_image: BuiltImage, cosign: Cosign
) -> None:
    """What stands under the tag `sha256-<hex>.att` is evidence at the destination too, under the same tag."""
    stage = between(source, target, sample_image)
    assert stage.source.registry is not None
    pair = cosign.generate_key_pair(f"before-{source}-{target}")
    predicate = {"result": "FAILED", "configuration": list[str]()}
    reference = stage.source.image(stage.digest)
    cosign.attest_legacy(stage.source.registry, reference, key=pair, predicate_type=TEST_RESULT, predicate=predicate)
    assert stage.promote().code == 0
    tag = f"{fallback_tag_of(stage.digest)}.att"
    assert stage.target.tags()[tag] == stage.source.tags()[tag]
    places = stage.scene.attest("inspect", stage.target.image(stage.digest), "--format", "json").document["places"]
    kinds = [one["predicate_type"] for place in places for one in place["bundles"]]
    assert kinds == [TEST_RESULT] * 3


# ---- within one registry


@pytest.mark.parametrize("family", ["docker_registry", "gitea", "olareg"])
def test_layers_are_mounted_within_a_registry(family: str, between: Between, sample_image: BuiltImage) -> None:
    """From one repository of a registry to another no byte of a layer is sent where the registry can mount."""
    stage = between(family, family, sample_image)
    document = stage.promote("--format", "json").document
    copied = document["images"][0]["copied"]
    assert copied["blobs"]["mounted"] > 0
    assert copied["blobs"]["uploaded"] == 0
    assert copied["bytes"] == 0


def test_into_its_own_repository(any_registry: Registry, tmp_path: Path, sample_image: BuiltImage) -> None:
    """Promoting to where the image is already gives it its tag and its receipt."""
    stage = make_stage(tmp_path, any_registry, any_registry, sample_image)
    ended = stage.promote("--receipt-key", "keys/gate.key", to=stage.source.to)
    assert ended.code == 0, ended.err
    assert stage.source.tags()[f"sha-{COMMIT}-{stage.digest[7:19]}"] == stage.digest


def test_with_passwords_and_over_tls(
    docker_registry_htpasswd: Registry, docker_registry_tls: Registry, tmp_path: Path, sample_image: BuiltImage
) -> None:
    """From a registry that wants a password; to one whose authority has to be named; each with its own."""
    stage = make_stage(tmp_path, docker_registry_htpasswd, None, sample_image)
    assert stage.promote().code == 0
    onward = make_stage(tmp_path / "tls", None, docker_registry_tls, sample_image)
    assert onward.promote("--ca-file", docker_registry_tls.ca_file).code == 0
    assert onward.target.manifest(onward.digest) == sample_image.manifest
