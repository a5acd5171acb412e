"""Locks and differences of images that a real builder made: history in its words, digests that differ from build to
build."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.cli.running import Ended, attest
from tests.parts import images
from tests.parts.find import require
from tests.parts.images import BuiltImage

pytestmark = pytest.mark.parts

CONTAINERFILE: Final = """\
FROM scratch
COPY busybox /bin/busybox
ENV MODE=production PATH=/bin
LABEL team=plex
EXPOSE 8080
VOLUME /data
WORKDIR /srv
USER 1000:1000
STOPSIGNAL SIGINT
ENTRYPOINT ["/bin/busybox", "httpd"]
CMD ["-f"]
"""
STATUS: Final = "Package: nano\nStatus: install ok installed\nArchitecture: amd64\nVersion: 7.2-1\n\n"

Build = Callable[..., BuiltImage]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Builds what the Containerfile says, with further lines."""
    context = tmp_path / "context"
    context.mkdir()
    (context / "status").write_text(STATUS)
    built = 0

    def made(*lines: str, time: int = 0) -> BuiltImage:
        nonlocal built
        built += 1
        file = context / "Containerfile"
        file.write_text(CONTAINERFILE + "".join(f"{line}\n" for line in lines))
        options = ["--layers", "--timestamp", str(time), "--file", str(file)]
        return images.build_from(tmp_path / f"build{built}", context, *options)

    return made


@pytest.fixture
def lock(tmp_path: Path) -> Callable[..., Ended]:
    """`attest image lock` under a contract."""
    (tmp_path / "contract.yaml").write_text("version: 1\nname: web\nuser.nonroot: true\n")

    def locked(image: BuiltImage, *options: str) -> Ended:
        return attest("image", "lock", image.reference, "--contract", "contract.yaml", *options, cwd=tmp_path)

    return locked


def test_a_rebuilt_image_does_not_drift(build: Build, lock: Callable[..., Ended], tmp_path: Path) -> None:
    """The same sources, built at another time, are another image, and one that is as it was locked."""
    first, again = build(), build(time=1_000_000_000)
    assert first.digest != again.digest
    assert lock(first).code == 0
    ended = lock(again, "--check")
    assert (ended.code, ended.err) == (0, "")
    difference = attest("image", "diff", first.reference, again.reference, "--format", "json", cwd=tmp_path).document
    (platform,) = difference["platforms"]
    assert [each["name"] for each in platform["changes"]["files"]] == []
    assert "/bin/busybox" in platform["rewritten"]


def test_drift_in_the_words_of_the_builder(build: Build, lock: Callable[..., Ended]) -> None:
    """A package, a variable, a port and a user that came in are told with the builder's own step, and the layer."""
    assert lock(build()).code == 0
    other = build("COPY status /var/lib/dpkg/status", "ENV DEBUG=1", "EXPOSE 22", "USER 0")
    ended = lock(other, "--check", "--format", "json")
    assert ended.code == 1
    drift = {each["place"]: each for each in ended.document["drift"]}
    steps = {place: each["origin"]["created_by"] for place, each in drift.items()}
    assert steps.pop("/packages/pkg:deb/debian/nano").startswith("/bin/sh -c #(nop) COPY file:")
    assert steps == {
        "/config/env/DEBUG": "/bin/sh -c #(nop) ENV DEBUG=1",
        "/config/exposed_ports/22/tcp": "/bin/sh -c #(nop) EXPOSE 22",
        "/config/user": "/bin/sh -c #(nop) USER 0",
    }
    package = drift["/packages/pkg:deb/debian/nano"]
    assert package["package"] == {"type": "deb", "name": "nano", "before": None, "after": "7.2-1"}
    layers = (other.layout / "blobs" / "sha256").joinpath(other.digest.removeprefix("sha256:")).read_text()
    assert package["origin"]["digest"] in layers
    assert lock(other, "--update", "--only", "packages", "--only", "config").code == 0
    assert lock(other, "--check").code == 0


def test_every_platform_of_an_index_is_locked(
    index_image: BuiltImage, lock: Callable[..., Ended], tmp_path: Path
) -> None:
    """An index is locked with all its platforms; one of its images alone lacks the other one, and nothing else."""
    assert lock(index_image).code == 0
    assert list(json.loads((tmp_path / "contract.lock.json").read_bytes())["platforms"]) == [
        "linux/amd64",
        "linux/arm64",
    ]
    assert lock(index_image, "--check").code == 0
    alone = dataclasses.replace(index_image, digest=index_image.by_platform["linux/amd64"])
    ended = lock(alone, "--check", "--format", "json")
    assert ended.code == 1
    assert [(each["kind"], each["pointer"]) for each in ended.document["drift"]] == [
        ("removed", "/platforms/linux~1arm64")
    ]


def test_a_lock_holds_wherever_the_image_is(build: Build, lock: Callable[..., Ended], tmp_path: Path) -> None:
    """What was locked in a layout is the same in a docker-archive that skopeo wrote of it, and differs in nothing."""
    built = build()
    assert lock(built).code == 0
    archive = f"docker-archive:{tmp_path / 'docker.tar'}"
    source = f"oci:{built.layout}:{built.tag}"
    subprocess.run([require("skopeo"), "copy", "--quiet", source, f"{archive}:app:1"], check=True)
    ended = attest("image", "lock", archive, "--contract", "contract.yaml", "--check", cwd=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    difference = attest("image", "diff", built.reference, archive, "--format", "json", cwd=tmp_path).document
    (platform,) = difference["platforms"]
    told = {section: [each["name"] for each in found] for section, found in platform["changes"].items() if found}
    assert set(told) <= {"config", "size"}  # an archive has no annotations, and its layers are not compressed
    assert told.get("size", []) in ([], ["compressed size"])
    assert all(name.startswith("annotation ") for name in told.get("config", []))
