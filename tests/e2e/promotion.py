"""Places that images are promoted from and to: real registries and layouts, looked at without attest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attest.core.reference import Digest
from attest.core.referrers import fallback_tag
from tests.cli.running import Ended
from tests.cli.scene import REPOSITORY, Scene, policy_text
from tests.parts import oras_cli
from tests.parts.images import BuiltImage, copy_layout, push
from tests.parts.registry import Registry

SBOM = "application/vnd.example.sbom+json"
NOTE = "application/vnd.example.note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A repository of a registry, or a layout in the scene's folder."""

    registry: Registry | None
    name: str
    """`HOST:PORT/NAME`, or the path of a layout."""
    folder: Path

    @property
    def to(self) -> str:
        """What `--to` takes."""
        return self.name if self.registry is not None else f"oci:{self.name}"

    @property
    def repository(self) -> str:
        """What a policy compares."""
        return self.name if self.registry is not None else REPOSITORY

    def image(self, digest: str) -> str:
        """The reference of something here."""
        return f"{self.to}@{digest}"

    def manifest(self, reference: str) -> bytes | None:
        """The bytes of a manifest, by digest or by tag; None where it is not there."""
        if self.registry is not None:
            answer = self.registry.manifest(self.name, reference)
            assert answer.status in (200, 404), answer
            return answer.body if answer.status == 200 else None
        if not reference.startswith("sha256:"):
            digest = self.tags().get(reference)
            return None if digest is None else self.manifest(digest)
        path = self.folder / self.name / "blobs/sha256" / reference.removeprefix("sha256:")
        return path.read_bytes() if path.is_file() else None

    def tags(self) -> Mapping[str, str]:
        """Every tag, and the digest that it stands for."""
        if self.registry is None:
            index = self.folder / self.name / "index.json"
            entries = json.loads(index.read_bytes())["manifests"] if index.is_file() else []
            names = [(one.get("annotations", {}).get("org.opencontainers.image.ref.name"), one) for one in entries]
            return {name: one["digest"] for name, one in names if name}
        path = self.name.removeprefix(self.registry.host + "/")
        answer = self.registry.ask("GET", f"/v2/{path}/tags/list")
        if answer.status == 404:
            return {}
        found = {}
        for tag in json.loads(answer.body)["tags"] or []:
            content = self.manifest(tag)
            if content is not None:
                found[tag] = "sha256:" + hashlib.sha256(content).hexdigest()
        return found

    def state(self) -> Any:
        """All that can be seen here without knowing what to look for."""
        if self.registry is not None:
            return self.tags()
        root = self.folder / self.name
        files = sorted(path for path in root.rglob("*") if path.is_file())
        return {str(path.relative_to(root)): path.read_bytes() for path in files}

    def discover(self, digest: str) -> Mapping[str, str]:
        """What is attached to a digest, by its artifact type: as oras sees it in a registry.

        In a layout oras finds only what `index.json` names, where no platforms stand; so that is read here.
        """
        if self.registry is not None:
            return {one.digest: one.artifact_type for one in oras_cli.discover(self.registry, self.image(digest))}
        found = {}
        for entry in json.loads((self.folder / self.name / "index.json").read_bytes())["manifests"]:
            content = self.manifest(entry["digest"])
            assert content is not None
            if json.loads(content).get("subject", {}).get("digest") == digest:
                found[entry["digest"]] = entry["artifactType"]
        return found

    def oras_sees(self, digest: str) -> set[str]:
        """What oras finds attached to the image itself, in a registry or in a layout."""
        if self.registry is not None:
            return {one.digest for one in oras_cli.discover(self.registry, self.image(digest))}
        return {one.digest for one in oras_cli.discover_in_layout(self.folder / self.name, digest)}

    def attach(self, digest: str, artifact_type: str, file: Path) -> None:
        """Have oras attach a file to a digest."""
        if self.registry is not None:
            oras_cli.attach(self.registry, self.image(digest), artifact_type=artifact_type, file=file)
        else:
            oras_cli.attach_in_layout(self.folder / self.name, digest, artifact_type=artifact_type, file=file)


@dataclass(slots=True, kw_only=True)
class Stage:
    """An image at its source with two lanes and a policy, and the place that it is to go to."""

    scene: Scene
    source: Place
    target: Place
    image: BuiltImage

    @property
    def digest(self) -> str:
        """Of the image."""
        return self.image.digest

    def promote(self, *options: object, to: str | None = None) -> Ended:
        """Promote it."""
        return self.scene.attest(*self.arguments(*options, to=to))

    def arguments(self, *options: object, to: str | None = None) -> Sequence[object]:
        """The arguments of that."""
        repository = ("--repository", REPOSITORY) if self.source.registry is None else ()
        return [
            *("promote", self.source.image(self.digest), *repository),
            *("--policy", "policy.yaml", "--to", to or self.target.to, *self.scene.options, *options),
        ]

    def verify(self, place: Place) -> Ended:
        """Ask the gate at a place."""
        repository = ("--repository", REPOSITORY) if place.registry is None else ()
        return self.scene.attest(
            "verify", place.image(self.digest), *repository, "--policy", "policy.yaml", *self.scene.options
        )

    def tree(self, place: Place) -> Mapping[str, Any]:
        """Everything that oras finds below the image at a place: attached, and attached to that."""
        found: dict[str, Any] = {}
        waiting = [self.digest, *self.image.platforms]
        while waiting:
            subject = waiting.pop()
            attached = place.discover(subject)
            found[subject] = dict(attached)
            waiting += [digest for digest in attached if digest not in found]
        return found


def open_place(registry: Registry | None, folder: Path, name: str) -> Place:
    """A place that nobody has used yet."""
    return Place(registry=registry, name=registry.fresh_repository() if registry is not None else name, folder=folder)


def credentials(folder: Path, *registries: Registry | None) -> dict[str, str]:
    """The variable that leads to what docker remembers of these registries, in a file of their own."""
    auths: dict[str, Any] = {}
    for registry in registries:
        if registry is not None:
            auths |= json.loads((registry.docker_config_dir / "config.json").read_text())["auths"]
    (folder / "docker").mkdir()
    (folder / "docker/config.json").write_text(json.dumps({"auths": auths}))
    return {"DOCKER_CONFIG": str(folder / "docker")}


def make_stage(folder: Path, source: Registry | None, target: Registry | None, image: BuiltImage) -> Stage:
    """An image at its source, signed by two lanes, and somewhere to promote it to."""
    folder.mkdir(exist_ok=True)
    origin, destination = open_place(source, folder, "from"), open_place(target, folder, "out/to")
    if origin.registry is not None:
        push(image, origin.registry, origin.name, tag="main")
    else:
        copy_layout(image, folder / origin.name)
    scene = Scene(
        folder=folder,
        image=origin.image(image.digest),
        repository=None if source is not None else REPOSITORY,
        environment=credentials(folder, source, target),
    )
    scene.make_keys("unit", "e2e", "gate")
    platforms = "platforms: {evidence: index, only: [linux/amd64, linux/arm64]}" if image.platforms else ""
    names = sorted({origin.repository, destination.repository})
    scene.write_policy(policy_text(("unit", "e2e"), images=names, more=platforms))
    for lane in ("unit", "e2e"):
        scene.sign(lane)
    return Stage(scene=scene, source=origin, target=destination, image=image)


def fallback_tag_of(digest: str) -> str:
    """The tag of a digest's list of referrers."""
    return fallback_tag(Digest(digest))
