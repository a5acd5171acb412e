"""Real images: built by buildah from a Containerfile, kept as an OCI layout, pushed by skopeo."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.parts.find import require
from tests.parts.process import Command, PartError, plain_environment, run
from tests.parts.registry import Registry

_SAMPLE = Path(__file__).parent / "sample"
_TAG = "sample"

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """An image in an OCI layout, there under `tag`: its digest and its manifest as stored."""

    layout: Path
    tag: str
    digest: str
    manifest: bytes

    @property
    def platforms(self) -> Sequence[str]:
        """The digests of an index's images, in order; nothing for a single image."""
        children: list[dict[str, Any]] = json.loads(self.manifest).get("manifests", [])
        return [child["digest"] for child in children]

    @property
    def by_platform(self) -> Mapping[str, str]:
        """The digests of an index's images by platform, in the index's order, which is not always that of the build."""
        children: list[dict[str, Any]] = json.loads(self.manifest)["manifests"]
        return {f"{child['platform']['os']}/{child['platform']['architecture']}": child["digest"] for child in children}

    @property
    def reference(self) -> str:
        """The image as `oci:PATH@sha256:...`."""
        return f"oci:{self.layout}@{self.digest}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PushedImage:
    """An image in a registry: `repository` is `HOST:PORT/NAME`, `digest` is over `manifest`."""

    repository: str
    digest: str
    manifest: bytes

    @property
    def reference(self) -> str:
        """The image as `HOST:PORT/NAME@sha256:...`."""
        return f"{self.repository}@{self.digest}"

    @property
    def media_type(self) -> str:
        """What the manifest says of itself."""
        named: str = json.loads(self.manifest)["mediaType"]
        return named

    @property
    def size(self) -> int:
        """The manifest's length in bytes."""
        return len(self.manifest)

    @property
    def platforms(self) -> Sequence[str]:
        """The digests of an index's images, in order; nothing for a single image."""
        children: list[dict[str, Any]] = json.loads(self.manifest).get("manifests", [])
        return [child["digest"] for child in children]


def build(directory: Path, *, version: str = "1.0") -> BuiltImage:
    """Build the sample application for this machine; every `version` is another image."""
    context = _context(directory)
    busybox = require("busybox")
    shutil.copy(busybox, context / "busybox")
    arguments = ["--build-arg", f"VERSION={version}", "--file", str(context / "Containerfile"), "--tag", _TAG]
    return _built(directory, context, arguments, push=["push"])


def build_from(directory: Path, context: Path, *arguments: str) -> BuiltImage:
    """Build what a Containerfile in a folder of one's own says; `busybox` is put there first."""
    shutil.copy(require("busybox"), context / "busybox")
    directory.mkdir()
    return _built(directory, context, [*arguments, "--tag", _TAG], push=["push"])


def build_index(directory: Path) -> BuiltImage:
    """Build an image index of two platforms, linux/amd64 and linux/arm64."""
    context = _context(directory)
    platforms = ["--platform", "linux/amd64,linux/arm64", "--manifest", _TAG]
    return _built(
        directory,
        context,
        [*platforms, "--file", str(context / "Containerfile.data")],
        push=["manifest", "push", "--all"],
    )


def read(layout: Path) -> BuiltImage:
    """The one image of a layout that `build` or `build_index` made."""
    (descriptor,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    digest: str = descriptor["digest"]
    manifest = (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()
    return BuiltImage(layout=layout, tag=_TAG, digest=digest, manifest=manifest)


def push(image: BuiltImage, registry: Registry, repository: str | None = None, *, tag: str = "") -> PushedImage:
    """Push an image by its digest, so that no tag's move can take it away, then tag it where `tag` is given.

    Raises PartError where what the registry stored is not what was built.
    """
    target = registry.fresh_repository() if repository is None else repository
    for reference in [f"@{image.digest}", *([f":{tag}"] if tag else [])]:
        _copy(image, registry, target + reference, ["--all", "--preserve-digests"])
    stored = registry.manifest(target, image.digest)
    if stored.status != 200 or stored.body != image.manifest:
        raise PartError(f"{registry.name} does not hold {target}@{image.digest} as it was pushed: {stored}")
    return PushedImage(repository=target, digest=image.digest, manifest=stored.body)


def push_docker_format(image: BuiltImage, registry: Registry, *, tag: str = "latest") -> PushedImage:
    """Push a single image with Docker's manifest type (schema 2), as `docker push` does: by tag."""
    target = registry.fresh_repository()
    _copy(image, registry, f"{target}:{tag}", ["--format", "v2s2"])
    stored = registry.manifest(target, tag)
    if stored.status != 200 or stored.headers.get("content-type") != DOCKER_MANIFEST:
        raise PartError(f"{registry.name} does not hold {target}:{tag} as it was pushed: {stored}")
    digest = "sha256:" + hashlib.sha256(stored.body).hexdigest()
    return PushedImage(repository=target, digest=digest, manifest=stored.body)


def copy_layout(image: BuiltImage, directory: Path) -> BuiltImage:
    """A layout of one's own with the same image, to write to."""
    shutil.copytree(image.layout, directory)
    return dataclasses.replace(image, layout=directory)


def _context(directory: Path) -> Path:
    context = directory / "context"
    shutil.copytree(_SAMPLE, context)
    return context


def _built(directory: Path, context: Path, arguments: Sequence[str], *, push: Sequence[str]) -> BuiltImage:
    buildah = require("buildah")
    layout = directory / "layout"
    # A storage of its own: neither the user's images nor another worker's build can get into this one.
    storage = [
        "--root",
        str(directory / "root"),
        "--runroot",
        str(directory / "run"),
        "--storage-driver",
        "vfs",
    ]
    environment = plain_environment(directory, TMPDIR=str(directory), BUILDAH_ISOLATION="chroot")

    def buildah_run(*verb: str) -> None:
        run(Command(arguments=[buildah, *storage, *verb], environment=environment, directory=context))

    try:
        buildah_run("build", "--format", "oci", "--isolation", "chroot", "--timestamp", "0", *arguments, str(context))
        buildah_run(*push, _TAG, f"oci:{layout}:{_TAG}")
    finally:
        shutil.rmtree(directory / "root", ignore_errors=True)
        shutil.rmtree(directory / "run", ignore_errors=True)
    return read(layout)


def _copy(image: BuiltImage, registry: Registry, target: str, options: Sequence[str]) -> None:
    skopeo = require("skopeo")
    arguments = [
        "copy",
        "--quiet",
        "--dest-authfile",
        str(registry.docker_config_dir / "config.json"),
        *options,
    ]
    if registry.ca_file is None:
        arguments += ["--dest-tls-verify=false"]
    else:
        arguments += ["--dest-cert-dir", str(_certificates(registry, registry.ca_file))]
    source = f"oci:{image.layout}:{image.tag}"
    run(
        Command(
            arguments=[skopeo, *arguments, source, f"docker://{target}"],
            environment=plain_environment(registry.docker_config_dir),
            directory=registry.docker_config_dir,
        )
    )


def _certificates(registry: Registry, ca_file: Path) -> Path:
    """A folder with the authority's certificate alone; every `.crt` in it is trusted."""
    folder = registry.docker_config_dir / "certificates"
    folder.mkdir(exist_ok=True)
    shutil.copy(ca_file, folder / "ca.crt")
    return folder
