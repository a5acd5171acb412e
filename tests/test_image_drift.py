"""Locks and differences of images that a real builder made: history in its words, digests that differ from build to
build."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.cli.running import Ended, attest
from tests.parts import images
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
