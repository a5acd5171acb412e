"""Test reports in an OCI image layout: kept durably beside an image, and believed by their digest alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attest.adapters.layout import LayoutStore, directory
from attest.core import limits
from attest.core.lane.reportartifact import TYPE, report_tag, write_manifest
from attest.core.reference import Digest, LayoutImage, LayoutTag, digest_of
from attest.errors import LimitExceeded, NotFound, NotPublished, StoreMisbehaved
from attest.ports import Attached
from tests.layouts import MANIFEST, REF_NAME, Entry, Layout

REPORT = b"<testsuite><testcase name='a'/></testsuite>"
XML = "application/xml"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A layout with one image."""
    made = Layout(tmp_path / "layout")
    made.add(made.image())
    return made


def reference(layout: Layout) -> LayoutImage:
    """The image of the layout."""
    return LayoutImage(path=str(layout.path), digest=Digest(layout.read_index()["manifests"][0]["digest"]))


def keep(layout: Layout, report: bytes = REPORT) -> Entry:
    """Keep a report beside the image; its entry in the index."""
    descriptor = LayoutStore().store_report(reference(layout), report, media_type=XML)
    (entry,) = (one for one in layout.read_index()["manifests"] if one["digest"] == descriptor.digest)
    assert isinstance(entry, dict)
    return entry


def fetch(layout: Layout, report: bytes = REPORT) -> bytes:
    """What is kept beside the image under the digest of a report."""
    return LayoutStore().fetch_report(reference(layout), digest_of(report))


def test_a_report_is_kept(layout: Layout) -> None:
    """It is read back by its digest; keeping it again changes no file."""
    entry = keep(layout)
    assert fetch(layout) == REPORT
    before = {path: path.stat().st_mtime_ns for path in layout.path.rglob("*")}
    assert keep(layout) == entry
    assert {path: path.stat().st_mtime_ns for path in layout.path.rglob("*")} == before
    keep(layout, b"another")
    assert (fetch(layout), fetch(layout, b"another")) == (REPORT, b"another")


def test_the_entry_is_what_a_copy_of_the_tag_would_be(layout: Layout) -> None:
    """Type, size, artifact type and the registry's tag as the reference name stand in `index.json`."""
    manifest = write_manifest(report=REPORT, media_type=XML)
    assert keep(layout) == {
        "mediaType": MANIFEST,
        "digest": digest_of(manifest),
        "size": len(manifest),
        "artifactType": TYPE,
        "annotations": {REF_NAME: report_tag(reference(layout).digest, digest_of(REPORT))},
    }
    assert layout.file_of(digest_of(manifest)).read_bytes() == manifest


def test_a_report_is_no_image_and_no_attestation(layout: Layout) -> None:
    """The layout still has one image, with nothing attached, and reports do not hide what is."""
    keep(layout)
    assert LayoutStore().resolve(LayoutTag(path=str(layout.path), tag=None)) == reference(layout).digest
    found: list[Attached] = []
    LayoutStore().read(reference(layout), platform=True, receive=found.append)
    assert found == []


def test_several_images_keep_the_same_report(layout: Layout) -> None:
    """One manifest has an entry for each image, and each image finds it."""
    other = layout.add(layout.image("arm64"))
    second = LayoutImage(path=str(layout.path), digest=Digest(other["digest"]))
    with pytest.raises(NotFound, match="keeps no report"):
        LayoutStore().fetch_report(second, digest_of(REPORT))
    first = LayoutStore().store_report(reference(layout), REPORT, media_type=XML)
    with pytest.raises(NotFound, match="keeps no report"):
        LayoutStore().fetch_report(second, digest_of(REPORT))
    assert LayoutStore().store_report(second, REPORT, media_type=XML) == first
    assert LayoutStore().fetch_report(second, digest_of(REPORT)) == fetch(layout) == REPORT


def test_a_tag_with_its_repository_in_front_is_found(layout: Layout) -> None:
    """Some tools write the whole reference as the name (oras)."""
    entry = keep(layout)
    name = f"registry.example.org/app:{entry['annotations'][REF_NAME]}"
    entries = [one for one in layout.read_index()["manifests"] if one["digest"] != entry["digest"]]
    layout.write_index([*entries, {**entry, "annotations": {REF_NAME: name}}])
    assert fetch(layout) == REPORT


@pytest.mark.parametrize("damage", ["changed", "removed", "linked"])
@pytest.mark.parametrize("which", ["report", "manifest"])
def test_a_damaged_report_is_an_error(layout: Layout, damage: str, which: str) -> None:
    """Changed, missing or linked files are never handed on, and never "not there"; keeping it again mends them."""
    entry = keep(layout)
    file = layout.file_of(digest_of(REPORT) if which == "report" else entry["digest"])
    content = file.read_bytes()
    file.unlink()
    if damage == "changed":
        file.write_bytes(content.replace(b"a", b"b"))
    elif damage == "linked":
        target = layout.path / "elsewhere"
        target.write_bytes(content)
        file.symlink_to(target)
    with pytest.raises(StoreMisbehaved):
        fetch(layout)
    keep(layout)
    assert fetch(layout) == REPORT


@pytest.mark.parametrize(
    "manifest",
    [
        write_manifest(report=b"another", media_type=XML),
        write_manifest(report=REPORT, media_type=XML).replace(TYPE.encode(), b"application/x"),
        b"{}",
    ],
)
def test_something_else_under_the_name(layout: Layout, manifest: bytes) -> None:
    """An entry of that name that is no such report gives no bytes."""
    name = report_tag(reference(layout).digest, digest_of(REPORT))
    layout.add(layout.blob(manifest, MANIFEST), name=name)
    layout.blob(REPORT)
    with pytest.raises(StoreMisbehaved):
        fetch(layout)


def test_limits_keep_nothing(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that is too large, or for which the index has no room, changes nothing."""
    before = (layout.path / "index.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(limits, "REPORT", 10)
        with pytest.raises(LimitExceeded, match="at most 10"):
            keep(layout)
    monkeypatch.setattr(limits, "MANIFEST", len(before) + 10)
    with pytest.raises(LimitExceeded, match="no room"):
        keep(layout)
    assert (layout.path / "index.json").read_bytes() == before


def test_another_writer_takes_it_out(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report whose entry is removed each time is not reported as kept; one that is lost once is kept."""
    whole, lost = directory.LayoutDirectory.write_index, 0

    def lose(self: directory.LayoutDirectory, content: bytes) -> None:
        nonlocal lost
        lost -= 1
        if lost < 0:
            whole(self, content)

    monkeypatch.setattr(directory.LayoutDirectory, "write_index", lose)
    lost = 1
    keep(layout)
    assert fetch(layout) == REPORT
    lost = 100
    with pytest.raises(NotPublished, match="removed it from index"):
        keep(layout, b"another")


@pytest.mark.parametrize("index", [b"[]", b"{}", b'{"schemaVersion":2}', b"\xff"])
def test_a_broken_index_is_an_error(layout: Layout, index: bytes) -> None:
    """An `index.json` that is none is reported, not replaced."""
    image = reference(layout)
    (layout.path / "index.json").write_bytes(index)
    for call in (
        lambda: LayoutStore().fetch_report(image, digest_of(REPORT)),
        lambda: LayoutStore().store_report(image, REPORT, media_type=XML),
    ):
        with pytest.raises(StoreMisbehaved):
            call()
    assert (layout.path / "index.json").read_bytes() == index


def test_others_keep_what_they_wrote(layout: Layout) -> None:
    """Members and entries of `index.json` that are not ours stay as they are."""
    document = layout.read_index()
    layout.write_index(document["manifests"], annotations={"org.example": "kept"})
    keep(layout)
    after = json.loads((layout.path / "index.json").read_bytes())
    assert after["annotations"] == {"org.example": "kept"}
    assert after["manifests"][0] == document["manifests"][0]
