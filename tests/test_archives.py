"""Layers and images in archives: read in one pass, checked to the last byte, and refused where they are hostile."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import json
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import zstandard

from attest.adapters.archives import search
from attest.adapters.archives.compression import uncompressed
from attest.adapters.archives.dockerarchive import DockerArchive
from attest.adapters.archives.files import ArchiveFile
from attest.adapters.archives.layer import read_layer
from attest.adapters.archives.ocitar import OciTar
from attest.adapters.archives.rpmdb import read_rpm_database
from attest.core import limits
from attest.core.image.layercontent import LayerContent
from attest.core.image.packages.installed import PackagesInvalid
from attest.core.image.packages.rpm import parse_headers
from attest.core.oci import Descriptor, Manifest
from attest.core.reference import Digest, digest_of
from attest.errors import (
    AttestError,
    LimitExceeded,
    NotFound,
    ReferenceInvalid,
    StoreError,
    StoreMisbehaved,
    Unreachable,
)
from tests.layerstacks import File, folder, gzipped, symlink, tar, write_layout
from tests.parts.find import require

KEY = b"-----BEGIN PRIVATE KEY-----\n" + b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n" * 3


def read(
    blob: bytes,
    archive: bytes | None = None,
    *,
    size: int | None = None,
    digest: Digest | None = None,
    keep: Mapping[str, int] | None = None,
    step: int = 1000,
) -> LayerContent:
    """Read a layer from a blob that comes in pieces of `step` bytes."""
    described = Descriptor(
        media_type="layer", digest=digest or digest_of(blob), size=len(blob) if size is None else size
    )
    pieces = (blob[at : at + step] for at in range(0, len(blob), step))
    return read_layer(
        pieces,
        described,
        digest_of(blob if archive is None else archive),
        keep=(keep or {}).get,
        progress=lambda _: None,
    )


@pytest.mark.parametrize("compression", ["plain", "gzip", "two gzip files", "zstd", "two zstd frames"])
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_a_layer_of_every_compression(compression: str, step: int) -> None:
    """Members, kept files and secrets are the same however the layer is compressed and cut into pieces."""
    archive = tar([folder("etc"), File("etc/passwd", b"root:x:0:0::/:/bin/sh\n"), File("k.pem", b"\n\n" + KEY)])
    half = len(archive) // 2
    blob = {
        "plain": archive,
        "gzip": gzipped(archive),
        "two gzip files": gzipped(archive[:half]) + gzipped(archive[half:]),
        "zstd": zstandard.compress(archive),
        "two zstd frames": zstandard.compress(archive[:half]) + zstandard.compress(archive[half:]),
    }[compression]
    content = read(blob, archive, keep={"etc/passwd": 100}, step=step)
    assert [member.name for member in content.members] == ["etc/", "etc/passwd", "k.pem"]
    assert content.kept == {1: b"root:x:0:0::/:/bin/sh\n"}
    assert [(found.member, found.rule, found.line) for found in content.secrets] == [(2, "private-key", 3)]
    assert content.unpacked == len(archive)


def test_an_empty_layer() -> None:
    """A layer without members, and one without a single byte, hold nothing."""
    assert read(tar([])).members == ()
    assert read(b"").members == ()


REFUSED: dict[str, tuple[dict[str, Any], type[AttestError], str]] = {
    "another digest": ({"blob": tar([]), "digest": digest_of(b"")}, StoreMisbehaved, "has the digest"),
    "another diff_id": ({"blob": gzipped(tar([])), "archive": b"x"}, StoreMisbehaved, "its configuration names"),
    "too long": ({"blob": tar([]), "size": 100}, StoreMisbehaved, "more than the 100 bytes"),
    "too short": ({"blob": tar([]), "size": 20_000}, StoreMisbehaved, "and not the 20000"),
    "damaged gzip": ({"blob": gzipped(tar([]))[:-8] + bytes(8)}, StoreMisbehaved, "damaged"),
    "cut gzip": ({"blob": gzipped(tar([]))[:-4]}, StoreMisbehaved, "cut off"),
    "more after gzip": ({"blob": gzipped(tar([])) + b"more"}, StoreMisbehaved, "something follows"),
    "damaged zstd": ({"blob": zstandard.compress(tar([]))[:4] + b"\xff" * 30}, StoreMisbehaved, "damaged"),
    "cut zstd": (
        {"blob": zstandard.compress(tar([File("a", b"b" * 999)]))[:-4], "archive": tar([File("a", b"b" * 999)])},
        StoreMisbehaved,
        "names|within",
    ),
    "no archive": ({"blob": b"x" * 600}, StoreMisbehaved, "checksum"),
    "a large file of interest": (
        {"blob": tar([File("etc/passwd", b"x" * 11)]), "keep": {"etc/passwd": 10}},
        LimitExceeded,
        "more than 10 bytes",
    ),
    "a long name": ({"blob": tar([File("n" * 5_000)])}, LimitExceeded, "at most 4096"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_that_is_not_what_it_should_be(name: str) -> None:
    """Each wrong digest, size, compression and archive is refused for what it is."""
    arguments, error, reason = REFUSED[name]
    with pytest.raises(error, match=reason):
        read(**arguments)


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that grows beyond the ratio stops being read there, in gzip as in zstd, long before it is all there."""
    monkeypatch.setattr(limits, "LAYER_FREE", 2 * limits.MIB)
    zeros = bytes(64 * limits.MIB)
    for blob in (gzip.compress(zeros), zstandard.compress(zeros)):
        total = 0
        pieces = uncompressed(iter([blob]), size=len(blob), what="it")
        with contextlib.suppress(LimitExceeded):
            for piece in pieces:
                assert len(piece) <= limits.MIB
                total += len(piece)
        assert 0 < total <= max(2 * limits.MIB, len(blob) * limits.LAYER_RATIO)


def test_an_error_of_the_source_ends_the_reading() -> None:
    """What the network raises in the middle of a layer is what the reader raises."""

    def broken() -> Iterator[bytes]:
        yield tar([])[:512]
        raise Unreachable("the registry broke off")

    described = Descriptor(media_type="layer", digest=digest_of(b""), size=10_240)
    with pytest.raises(Unreachable, match="broke off"):
        read_layer(broken(), described, digest_of(b""), keep=lambda _: None, progress=lambda _: None)


def test_secrets_belong_to_one_file() -> None:
    """A secret at the edge of a file is found, and one that only two files together would make is none."""
    token = b"ghp_" + b"a1B2c3D4e5" * 4
    files = [
        File("whole", b"x" * 508 + b"\n" + token),
        File("half", b"x" * 508 + b"ghp_"),
        File("rest", token[4:]),
        File("library.so", b"\x7fELF" + KEY),
        File("token in a program", b"\x7fELF\0\0" + b" " + token + b"\0"),
        File("far", b"\n" * 3_000_000 + token),
        File("example", b"AKIAIOSFODNN7EXAMPLE"),
        File("twice", token + b"\n" + token),
    ]
    found = {files[each.member].name: (each.rule, each.line) for each in read(tar(files), step=65_536).secrets}
    assert found == {
        "whole": ("github-token", 2),
        "token in a program": ("github-token", None),
        "far": ("github-token", None),
        "twice": ("github-token", 1),
    }


def test_a_flood_of_places_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that is made to look like secrets everywhere is refused before it costs long."""
    monkeypatch.setattr(search, "_MOST", 100)
    assert read(tar([File("a", b"://a:bb@ " * 100)])).secrets == ()
    with pytest.raises(LimitExceeded, match="more than 100 places"):
        read(tar([File("a", b"://a:bb@ " * 101)]))


# ---- archives of images


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A layout of one image with two layers."""
    layers = [tar([File("a", b"1")]), tar([File("b", b"2")])]
    write_layout(tmp_path / "layout", layers, blobs=[gzipped(layers[0]), layers[1]])
    return tmp_path / "layout"


def archived(layout: Path, target: Path, *, prefix: str = "") -> Path:
    """The layout in one archive."""
    with tarfile.open(target, "w") as archive:
        for path in sorted(layout.rglob("*")):
            archive.add(path, arcname=prefix + str(path.relative_to(layout)), recursive=False)
    return target


@pytest.mark.parametrize("prefix", ["", "./"])
def test_a_layout_in_an_archive(layout: Path, tmp_path: Path, prefix: str) -> None:
    """The image of an OCI archive is the image of the layout: by its digest, by its name, or as the only one."""
    digest = json.loads((layout / "index.json").read_text())["manifests"][0]["digest"]
    with ArchiveFile(str(archived(layout, tmp_path / "image.tar", prefix=prefix))) as archive:
        for named in ({"digest": None, "tag": None}, {"digest": digest, "tag": None}, {"digest": None, "tag": "t"}):
            source = OciTar(archive, **named)
            manifest = source.manifest(source.root())
            assert isinstance(manifest, Manifest)
            assert source.root().digest == digest
            blobs = [b"".join(source.stream(layer)) for layer in manifest.layers]
            assert [digest_of(blob) for blob in blobs] == [layer.digest for layer in manifest.layers]
        with pytest.raises(NotFound):
            OciTar(archive, digest=None, tag="other")
        with pytest.raises(LimitExceeded):
            source.blob(source.root(), limit=3)


def docker_archive(target: Path, layers: list[bytes], *, images: int = 1, link: bool = False) -> Path:
    """What `docker save` writes, of so many images that differ in their configuration."""
    files = [File(f"{number}/layer.tar", layer) for number, layer in enumerate(layers)]
    if link:
        files.append(symlink("again/layer.tar", "../0/layer.tar"))
    names = [file.name for file in files]
    entries = []
    for number in range(images):
        diff_ids = [digest_of(gzip.decompress(layer) if layer[:2] == b"\x1f\x8b" else layer) for layer in layers]
        document = {
            "os": "linux",
            "architecture": "amd64",
            "author": str(number),
            "rootfs": {"type": "layers", "diff_ids": diff_ids + (diff_ids[:1] if link else [])},
        }
        config = json.dumps(document).encode()
        files.append(File(f"{hashlib.sha256(config).hexdigest()}.json", config))
        entries.append({"Config": files[-1].name, "RepoTags": [f"app:{number}"], "Layers": names})
    files.append(File("manifest.json", json.dumps(entries).encode()))
    target.write_bytes(tar(files))
    return target


def test_what_docker_save_writes(tmp_path: Path) -> None:
    """Plain, compressed and linked layers of a docker-archive are read, each with a digest that holds."""
    layers = [tar([File("a", b"1")]), gzipped(tar([File("b", b"2")]))]
    with ArchiveFile(str(docker_archive(tmp_path / "a.tar", layers, link=True))) as archive:
        source = DockerArchive(archive, digest=None, tag="app:0")
        manifest = source.manifest(source.root())
        assert isinstance(manifest, Manifest)
        assert digest_of(source.blob(manifest.config, limit=limits.CONFIG)) == source.root().digest
        for layer in manifest.layers:
            assert digest_of(b"".join(source.stream(layer))) == layer.digest
        assert [layer.digest for layer in manifest.layers] == [
            digest_of(layers[0]),
            digest_of(layers[1]),
            digest_of(layers[0]),
        ]


def test_one_of_several_images_is_chosen(tmp_path: Path) -> None:
    """Of several images in a docker-archive one is named by its tag or its id; else the choice is refused."""
    with ArchiveFile(str(docker_archive(tmp_path / "a.tar", [tar([])], images=2))) as archive:
        one = DockerArchive(archive, digest=None, tag="app:1").root().digest
        assert DockerArchive(archive, digest=one, tag=None).root().digest == one
        with pytest.raises(ReferenceInvalid, match="holds 2 images"):
            DockerArchive(archive, digest=None, tag=None)
        with pytest.raises(NotFound):
            DockerArchive(archive, digest=None, tag="app:2")


BROKEN = {
    "nothing at all": (b"", "no manifest.json", "no file oci-layout"),
    "no archive": (b"x" * 1024, "checksum", "checksum"),
    "compressed": (gzipped(tar([])), "compressed as a whole", "compressed as a whole"),
    "a file twice": (tar([File("manifest.json"), File("./manifest.json")]), "twice", "twice"),
    "no JSON": (tar([File("manifest.json", b"{"), File("oci-layout", b"{")]), "strict JSON", "strict JSON"),
    "another kind of JSON": (
        tar([File("manifest.json", b"{}"), File("oci-layout", b'{"imageLayoutVersion": "2.0.0"}')]),
        "not an array",
        "version '2.0.0'",
    ),
    "no configuration": (
        tar([File("manifest.json", b"[{}]"), File("oci-layout", b'{"imageLayoutVersion": "1.0.0"}')]),
        "without a configuration",
        "no file index.json",
    ),
    "an absent configuration": (
        tar(
            [
                File("manifest.json", b'[{"Config": "../../etc/passwd", "Layers": [], "RepoTags": null}]'),
                File("oci-layout", b'{"imageLayoutVersion": "1.0.0"}'),
                File("index.json", b"[]"),
            ]
        ),
        "no file ../../etc/passwd",
        "not a JSON object",
    ),
    "layers that are no names": (
        tar([File("manifest.json", b'[{"Config": "c", "Layers": [1]}]'), File("oci-layout", b"[]")]),
        "something else than strings",
        "version None",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_archive_is_refused(name: str, tmp_path: Path) -> None:
    """Files that are no archive of an image, of either kind, are refused for what they are."""
    content, docker, oci = BROKEN[name]
    path = tmp_path / "image.tar"
    path.write_bytes(content)
    for kind, reason in ((DockerArchive, docker), (OciTar, oci)):
        with pytest.raises(StoreError, match=reason), ArchiveFile(str(path)) as archive:
            kind(archive, digest=None, tag=None)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """An absent file, a folder and a name that cannot be one end in errors of ours."""
    for path, error in ((tmp_path / "absent", NotFound), (tmp_path, StoreError), ("a\0b", StoreError)):
        with pytest.raises(error):
            ArchiveFile(str(path))


# ---- RPM databases


def test_no_rpm_database() -> None:
    """Bytes that are no SQLite database, and databases without packages, are refused."""
    for content in (b"", b"SQLite format 3\0", b"SQLite format 3\0" + b"x" * 500, database("CREATE TABLE Other (a)")):
        with pytest.raises(PackagesInvalid):
            read_rpm_database(content)
    view = database("CREATE TABLE T (hnum, blob)", "CREATE VIEW Packages AS SELECT * FROM T")
    with pytest.raises(PackagesInvalid, match="no table"):
        read_rpm_database(view)
    with pytest.raises(PackagesInvalid, match="no header"):
        read_rpm_database(database("CREATE TABLE Packages (hnum, blob)", "INSERT INTO Packages VALUES (1, 'text')"))


def database(*statements: str) -> bytes:
    """A SQLite database in its bytes."""
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)
        return connection.serialize()


@pytest.mark.parts
def test_what_rpm_installs_is_read(tmp_path: Path) -> None:
    """Packages that rpm itself built and installed are read from its database, as `rpm -qa` names them."""
    spec = "Name: {}\nVersion: 1.2\nRelease: 3\n{}Summary: s\nLicense: l\nBuildArch: noarch\n%description\nd\n%files\n"
    rpm = [str(require("rpm")), "--define", "_db_backend sqlite", "--dbpath", str(tmp_path / "db")]
    for name, epoch in (("attest-one", ""), ("attest-two", "Epoch: 4\n")):
        (tmp_path / f"{name}.spec").write_text(spec.format(name, epoch))
        build = [str(require("rpmbuild")), "-bb", "--quiet", "--define", f"_topdir {tmp_path}"]
        subprocess.run([*build, str(tmp_path / f"{name}.spec")], check=True, capture_output=True)
    packages = map(str, sorted(tmp_path.glob("RPMS/noarch/*.rpm")))
    install = [*rpm, "-i", "--justdb", "--nodeps", "--ignoreos", "--ignorearch", *packages]
    subprocess.run(install, check=True, capture_output=True)
    query = [*rpm, "-qa", "--qf", "%{NAME} %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE} %{ARCH}\n"]
    told = subprocess.run(query, check=True, capture_output=True, text=True).stdout.splitlines()
    found = parse_headers(read_rpm_database((tmp_path / "db" / "rpmdb.sqlite").read_bytes()))
    assert sorted(f"{each.name} {each.version} {each.architecture}" for each in found) == sorted(told)
    assert len(told) == 2
    assert {each.source for each in found} == {"attest-one", "attest-two"}
