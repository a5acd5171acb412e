"""The packages that we read in real images, beside what package managers and syft name there."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from attest.cli.imagesources import layer_readers, open_image
from attest.cli.stores import Connection, Stores
from attest.core.image.facts import PlatformFacts, View
from attest.ops.facts import gather_facts
from tests.layerstacks import File, tar, write_layout
from tests.parts.debian import debian_root
from tests.parts.find import require
from tests.parts.twins import Kind, Twins
from tests.project import ROOT


def facts(reference: str) -> PlatformFacts:
    """What is known of an image of one platform."""
    stores = Stores(Connection(timeout=60, plain_http=False, ca_file=None, token_hosts=()))
    with open_image(stores, reference) as source:
        (platform,) = gather_facts(source, layer_readers()).platforms
    assert platform.unread == ()
    return platform


def image_of(folder_of: Path, *paths: str, to: Path) -> str:
    """The reference of an image with one layer: these paths of a folder."""
    to.mkdir(exist_ok=True)
    subprocess.run(["tar", "-C", folder_of, "-cf", to / "layer.tar", "--exclude=./dev/*", *paths], check=True)
    return write_layout(to / "layout", [(to / "layer.tar").read_bytes()]).reference


def effective(found: PlatformFacts, kind: str) -> list[str]:
    """The package URLs of a type that a container sees, without qualifiers, sorted."""
    purls = {each.purl for each in found.packages if each.type == kind and each.view is View.EFFECTIVE}
    return sorted({unquote(purl.partition("?")[0]) for purl in purls})


@pytest.mark.parts
def test_packages_of_a_real_image(tmp_path: Path) -> None:
    """The packages that we read are those that dpkg-query and pip name inside of the same Debian."""
    root = debian_root()
    found = facts(image_of(root, ".", to=tmp_path))

    def inside(*command: str) -> list[str]:
        done = subprocess.run(["chroot", root, *command], check=True, capture_output=True, text=True)
        return sorted(done.stdout.splitlines())

    named = sorted(f"{each.name} {each.version} {each.architecture}" for each in found.packages if each.type == "deb")
    assert named == inside("dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture}\\n")
    python = sorted(f"{each.name}=={each.version}" for each in found.packages if each.type == "pypi")
    assert python == inside("pip", "list", "--format", "freeze")
    assert len(named) > 100
    assert {line.partition("==")[0] for line in python} >= {"pip", "six"}


@pytest.mark.parts
def test_packages_of_a_real_node_application(tmp_path: Path) -> None:
    """The packages that we read of the pinned Playwright, as npm installed it, are those that `npm ls` names there."""
    project = require("playwright").parent.parent
    done = subprocess.run(
        [require("npm"), "ls", "--all", "--json", "--offline"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )

    def below(package: dict[str, Any]) -> Iterator[str]:
        for name, each in package.get("dependencies", {}).items():
            if "version" in each:  # others are optional, and not for this machine
                yield f"{name}@{each['version']}"
                yield from below(each)

    listed = sorted({f"pkg:npm/{name}" for name in below(json.loads(done.stdout))})
    assert "pkg:npm/@playwright/test" in {name.rpartition("@")[0] for name in listed}
    assert effective(facts(image_of(project, "node_modules", to=tmp_path / "image")), "npm") == listed


@pytest.mark.parts
def test_packages_of_a_recorded_alpine(tmp_path: Path) -> None:
    """The packages of a database that apk wrote, one that syft was tested with, are those that syft names."""
    recorded = require("syft").parent.parent / "recorded"
    shutil.copytree(recorded, tmp_path / "root")
    (tmp_path / "root" / "etc").mkdir()
    (tmp_path / "root" / "etc" / "os-release").write_text("ID=alpine\nVERSION_ID=3.16.2\n")
    found = facts(image_of(tmp_path / "root", ".", to=tmp_path / "image"))
    assert effective(found, "apk") == named_by_syft(tmp_path / "image" / "layout", "apk")
    assert "pkg:apk/alpine/apk-tools@2.12.9-r3" in effective(found, "apk")


def test_packages_of_a_recorded_rpm_database(tmp_path: Path) -> None:
    """The packages of a database that rpm wrote are those that `rpm -qa` named when it was recorded."""
    recorded = ROOT / "tests" / "core" / "data"
    database = File("usr/lib/sysimage/rpm/rpmdb.sqlite", gzip.decompress((recorded / "rpmdb.sqlite.gz").read_bytes()))
    release = File("etc/os-release", b"ID=fedora\nVERSION_ID=42\n")
    found = facts(write_layout(tmp_path / "layout", [tar([database, release])]).reference)
    told = [line.strip() for line in (recorded / "README.md").read_text().splitlines() if line.startswith("    rec")]
    assert [f"{each.name} {each.version} {each.architecture}" for each in found.packages] == told
    assert [each.purl for each in found.packages] == [
        "pkg:rpm/fedora/recorded-one@1.2-3.el9?arch=noarch&distro=fedora-42",
        "pkg:rpm/fedora/recorded-two@1.2-3.el9?arch=noarch&distro=fedora-42&epoch=4",
    ]


@pytest.mark.parts
@pytest.mark.parametrize(
    ("twins", "kind"),
    [
        (Kind.PYTHON_WEB, "deb"),
        (Kind.PYTHON_WEB, "pypi"),
        (Kind.NODE_STATIC, "deb"),
        (Kind.STATIC_BINARY, "pypi"),
    ],
    indirect=["twins"],
)
def test_packages_as_syft_names_them(twins: Twins, kind: str) -> None:
    """What a container of an image without a package manager has, is what syft names there, package by package.

    Not so for npm: syft takes any package.json for a package that is installed, and `npm ls` does not.
    """
    for image in (twins.bad, twins.grown):
        assert effective(facts(image.reference), kind) == named_by_syft(image.layout, kind)
    assert effective(facts(twins.bad.reference), kind)


def named_by_syft(layout: Path, kind: str) -> list[str]:
    """The package URLs of a type that syft sees in a container of an image, without qualifiers, sorted."""
    command: list[str | Path] = [require("syft"), "scan", f"oci-dir:{layout}", "--quiet", "--output", "json"]
    environment = {**os.environ, "SYFT_CHECK_FOR_APP_UPDATE": "false"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    purls = {each["purl"].partition("?")[0] for each in json.loads(done.stdout)["artifacts"]}
    return sorted({unquote(purl) for purl in purls if purl.startswith(f"pkg:{kind}/")})
