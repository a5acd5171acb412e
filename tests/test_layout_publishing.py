"""Attaching to an OCI image layout: by many at once, killed at any moment, beside writers who take no lock."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from attest.adapters.layout import LayoutStore, directory
from attest.core import limits, oci
from attest.core.reference import Digest, LayoutImage, digest_of
from attest.errors import AccessDenied, LimitExceeded, NotPublished, StoreError, StoreMisbehaved, Unreachable
from attest.ports import Attached, Published
from tests.layouts import BUNDLE, EMPTY, MANIFEST, REF_NAME, Entry, Layout

PROJECT = Path(__file__).resolve().parents[1]
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
CREATED = "2026-01-02T03:04:05Z"

PUBLISH = f"""
import sys
from attest.adapters.layout import LayoutStore
from attest.core.reference import parse_reference
image = parse_reference(sys.argv[1])
store = LayoutStore()
store.publish(image, store.describe(image), sys.argv[2].encode(), predicate_type="{PREDICATE}", created="{CREATED}")
"""

DIE = """
import os, sys
left = int(sys.argv[3])
def mortal(name):
    whole = getattr(os, name)
    def call(*arguments, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)
        return whole(*arguments, **named)
    setattr(os, name, call)
for name in ("fsync", "replace", "unlink", "fchmod", "fdopen"):
    mortal(name)
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A layout with one image."""
    made = Layout(tmp_path / "layout")
    made.add(made.image())
    return made


def reference(layout: Layout) -> LayoutImage:
    """The image of the layout."""
    return LayoutImage(path=str(layout.path), digest=Digest(layout.read_index()["manifests"][0]["digest"]))


def publish(layout: Layout, bundle: bytes) -> Published:
    """Attach a bundle to the image."""
    store = LayoutStore()
    image = reference(layout)
    return store.publish(image, store.describe(image), bundle, predicate_type=PREDICATE, created=CREATED)


def attached(layout: Layout) -> list[bytes]:
    """The bundles attached to the image."""
    found: list[Attached] = []
    LayoutStore().read(reference(layout), platform=False, receive=found.append)
    return [item.content for item in found]


def start(layout: Layout, bundle: str, *more: str, program: str = PUBLISH) -> subprocess.Popen[bytes]:
    """Attach a bundle in a process of its own."""
    arguments = [sys.executable, "-c", program, str(reference(layout)), bundle, *more]
    return subprocess.Popen(arguments, cwd=PROJECT, stderr=subprocess.PIPE)


def files(layout: Layout) -> set[str]:
    """The names of the files at the top of the layout."""
    return {path.name for path in layout.path.iterdir()}


def test_what_is_published_is_what_cosign_writes(layout: Layout) -> None:
    """The manifest, its blobs and its entry are those of the formats that others read."""
    published = publish(layout, b"a bundle")
    image, entry = layout.read_index()["manifests"]
    content = layout.file_of(published.manifest).read_bytes()
    annotations = {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": PREDICATE,
        "org.opencontainers.image.created": CREATED,
    }
    assert entry == {
        "mediaType": MANIFEST,
        "digest": published.manifest,
        "size": len(content),
        "artifactType": BUNDLE,
        "annotations": annotations,
    }
    assert json.loads(content) == {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": {"mediaType": EMPTY, "digest": oci.EMPTY_DIGEST, "size": 2},
        "layers": [{"mediaType": BUNDLE, "digest": published.bundle, "size": 8}],
        "subject": {name: image[name] for name in ("mediaType", "digest", "size")},
        "annotations": annotations,
    }
    assert layout.file_of(oci.EMPTY_DIGEST).read_bytes() == b"{}"
    assert layout.file_of(published.bundle).read_bytes() == b"a bundle"
    assert attached(layout) == [b"a bundle"]


def test_publishing_twice_changes_nothing(layout: Layout) -> None:
    """The second time the same entry is found, and the index stays as it is, to the byte."""
    first = publish(layout, b"a bundle")
    before = (layout.path / "index.json").stat()
    assert publish(layout, b"a bundle") == first
    assert (layout.path / "index.json").stat().st_ino == before.st_ino
    assert attached(layout) == [b"a bundle"]


def test_a_bundle_that_is_attached_is_not_attached_again_later(layout: Layout) -> None:
    """Another time of day makes no second entry for the same bundle and image."""
    first = publish(layout, b"a bundle")
    store, image = LayoutStore(), reference(layout)
    again = store.publish(
        image, store.describe(image), b"a bundle", predicate_type=PREDICATE, created="2027-01-01T00:00:00Z"
    )
    assert again == first
    assert len(layout.read_index()["manifests"]) == 2


def test_a_bundle_that_only_a_fallback_list_names_is_listed_too(layout: Layout) -> None:
    """Tools that know only `index.json` see what is published, whatever else names it."""
    image = layout.read_index()["manifests"][0]
    listed = layout.referrer(image, b"a bundle")
    layout.add(layout.index([listed]), name=image["digest"].replace(":", "-"))
    published = publish(layout, b"a bundle")
    assert published.manifest in {entry["digest"] for entry in layout.read_index()["manifests"]}
    assert attached(layout) == [b"a bundle"]


def test_what_others_wrote_into_the_index_stays(layout: Layout) -> None:
    """Unknown members, of the index and of entries, and the file's mode survive."""
    document = layout.read_index()
    image = {**document["manifests"][0], "annotations": {REF_NAME: "1.0"}, "org.example.entry": [1, 2.5, None]}
    layout.write_index([image], **{"org.example.index": {"née": True}, "annotations": {"a": "b"}})
    (layout.path / "index.json").chmod(0o640)
    publish(layout, b"a bundle")
    after = layout.read_index()
    assert after["manifests"][0] == image
    assert after["org.example.index"] == {"née": True}
    assert after["annotations"] == {"a": "b"}
    assert stat.S_IMODE((layout.path / "index.json").stat().st_mode) == 0o640


@pytest.mark.slow
def test_fifty_writers_at_once_lose_nothing(layout: Layout) -> None:
    """Fifty processes that publish at the same time all succeed, and all fifty bundles are there afterwards."""
    bundles = [f"bundle {number}" for number in range(50)]
    writers = [start(layout, bundle) for bundle in bundles]
    said = [writer.communicate()[1].decode() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 50, said
    assert sorted(attached(layout)) == sorted(bundle.encode() for bundle in bundles)
    assert files(layout) == {"blobs", "index.json", "oci-layout"}


@pytest.mark.slow
def test_a_writer_killed_at_any_step_leaves_a_valid_layout(layout: Layout, tmp_path: Path) -> None:
    """Killed before each step in turn, the old state or the new one is there, and the next writer cleans up."""
    publish(layout, b"before")
    whole = tmp_path / "whole"
    layout.path.rename(whole)
    outcomes: set[bool] = set()
    for steps in range(100):
        shutil.copytree(whole, layout.path)
        writer = start(layout, "killed", str(steps), program=DIE + PUBLISH)
        said = writer.communicate()[1].decode()
        after = attached(layout)
        assert after in ([b"before"], [b"before", b"killed"])
        if writer.returncode == 0:
            assert after == [b"before", b"killed"]
            break
        assert writer.returncode == -signal.SIGKILL, said
        outcomes.add(len(after) == 2)
        publish(layout, b"after")
        assert attached(layout) == [*after, b"after"]
        assert files(layout) == {"blobs", "index.json", "oci-layout"}
        shutil.rmtree(layout.path)
    else:
        pytest.fail("the writer never came to its end")
    assert outcomes == {True, False}


def test_a_damaged_blob_is_written_anew(layout: Layout) -> None:
    """A blob that another tool left half-written does not stand in the way."""
    damaged = layout.file_of(digest_of(b"a bundle"))
    damaged.write_bytes(b"a bun")
    publish(layout, b"a bundle")
    assert attached(layout) == [b"a bundle"]


def test_a_blob_that_is_a_link_is_replaced_and_not_written_through(layout: Layout, tmp_path: Path) -> None:
    """A planted link does not lead a writer to a file outside."""
    (tmp_path / "private").write_bytes(b"private")
    layout.file_of(digest_of(b"a bundle")).symlink_to(tmp_path / "private")
    publish(layout, b"a bundle")
    assert (tmp_path / "private").read_bytes() == b"private"
    assert attached(layout) == [b"a bundle"]


def test_an_entry_that_another_program_removes_is_written_again(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer without a lock that puts an older index back once is outlived."""
    older = (layout.path / "index.json").read_bytes()
    put_back = _overwriting(monkeypatch, layout, older, times=2)
    publish(layout, b"a bundle")
    assert put_back == [0, 1]
    assert attached(layout) == [b"a bundle"]


def test_an_entry_that_never_stays_is_not_published(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the entry is gone after each try, publishing fails and says so."""
    _overwriting(monkeypatch, layout, (layout.path / "index.json").read_bytes(), times=100)
    with pytest.raises(NotPublished, match="another program removed it"):
        publish(layout, b"a bundle")


def _overwriting(monkeypatch: pytest.MonkeyPatch, layout: Layout, older: bytes, *, times: int) -> list[int]:
    """Put an older index back after each of the next writes, as a program without a lock would."""
    write = directory.LayoutDirectory.write_index
    done: list[int] = []

    def write_and_lose(self: directory.LayoutDirectory, content: bytes) -> None:
        write(self, content)
        if len(done) < times:
            (layout.path / "index.json").write_bytes(older)
            done.append(len(done))

    monkeypatch.setattr(directory.LayoutDirectory, "write_index", write_and_lose)
    return done


def test_no_bundle_is_published_that_no_verifier_reads(layout: Layout) -> None:
    """A bundle over the limit is refused before anything is written."""
    before = set(layout.path.rglob("*"))
    with pytest.raises(LimitExceeded, match="the bundle has"):
        publish(layout, b"0" * (limits.BUNDLE + 1))
    assert set(layout.path.rglob("*")) == before


def test_no_attestation_is_published_that_makes_all_unreadable(layout: Layout) -> None:
    """At the limit of attestations the next one is refused, and the present ones stay readable."""
    image = layout.read_index()["manifests"][0]
    layout.add(layout.referrer(image, *(b"%d" % number for number in range(limits.REFERRERS))))
    with pytest.raises(LimitExceeded, match="no room"):
        publish(layout, b"one more")
    assert len(attached(layout)) == limits.REFERRERS


def test_no_index_is_written_that_nobody_reads(layout: Layout) -> None:
    """An index that would grow over the limit of a manifest is refused."""
    image = layout.read_index()["manifests"]
    layout.write_index(image, padding="0" * (limits.MANIFEST - 500))
    with pytest.raises(LimitExceeded, match="no room"):
        publish(layout, b"one more")
    assert attached(layout) == []


def test_nothing_is_published_where_a_verifier_could_not_decide(layout: Layout) -> None:
    """A listed manifest that is missing makes publishing fail before it writes."""
    gone = layout.add(layout.referrer(layout.image(), b"gone"))
    layout.file_of(gone["digest"]).unlink()
    before = layout.read_index()
    with pytest.raises(StoreMisbehaved, match="may be an attestation"):
        publish(layout, b"a bundle")
    assert layout.read_index() == before


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write anywhere")
def test_a_read_only_layout_is_read_and_not_written(layout: Layout) -> None:
    """Without the right to write, reading works, and publishing says that access is denied."""
    publish(layout, b"a bundle")
    for path in (layout.path, *layout.path.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    program = """
import sys
from attest.adapters.layout import LayoutStore
from attest.core.reference import parse_reference
from attest.errors import AccessDenied
image, store, found = parse_reference(sys.argv[1]), LayoutStore(), []
store.read(image, platform=False, receive=found.append)
assert [item.content for item in found] == [b"a bundle"]
try:
    store.publish(image, store.describe(image), b"other", predicate_type="a:b", created="2026-01-02T03:04:05Z")
except AccessDenied as error:
    sys.exit(7)
"""
    arguments = [sys.executable, "-c", program, str(reference(layout))]
    if os.geteuid() == 0:
        arguments = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--", *arguments]
    result = subprocess.run(arguments, cwd=PROJECT, capture_output=True, check=False)
    assert result.returncode == 7, result.stderr.decode()


def test_a_held_lock_is_waited_for_and_given_up(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that never ends does not stop the others for ever, and is pointed at."""
    monkeypatch.setattr(directory, "_LOCK_SECONDS", 0.1)
    with (layout.path / "oci-layout").open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Unreachable, match="another process has been writing"):
            publish(layout, b"a bundle")
    publish(layout, b"a bundle")


def test_a_file_system_without_locks_is_an_error(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be locked nothing is written."""

    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StoreError, match="cannot be locked: No locks available"):
        publish(layout, b"a bundle")


def test_a_full_disk_is_an_error_and_leaves_the_layout(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails is reported, leaves no file behind, and the old index stays."""
    before = layout.read_index()

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match="No space left on device"):
        publish(layout, b"a bundle")
    assert layout.read_index() == before
    assert files(layout) == {"blobs", "index.json", "oci-layout"}


def test_a_file_system_that_refuses_is_access_denied(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read-only file system is a matter of access."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(AccessDenied, match="Read-only file system"):
        publish(layout, b"a bundle")


def test_any_bytes_can_be_attached(layout: Layout) -> None:
    """A bundle is not looked into."""
    everything = bytes(range(256))
    publish(layout, everything)
    assert attached(layout) == [everything]


def test_a_platform_of_an_index_can_have_attestations_of_its_own(layout: Layout) -> None:
    """Published to a child that only the index lists, a bundle is found under the index and under the child."""
    child: Entry = {**layout.image("child"), "platform": {"os": "linux", "architecture": "amd64"}}
    index = layout.add(layout.index([child]))
    image = LayoutImage(path=str(layout.path), digest=Digest(child["digest"]))
    store = LayoutStore()
    store.publish(image, store.describe(image), b"a bundle", predicate_type=PREDICATE, created=CREATED)
    for digest in (child["digest"], index["digest"]):
        found: list[Attached] = []
        named = LayoutImage(path=str(layout.path), digest=Digest(digest))
        store.read(named, platform=False, receive=found.append)
        assert [(item.content, item.subject) for item in found] == [(b"a bundle", child["digest"])]
