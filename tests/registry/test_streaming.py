"""Large blobs come in ranges: whole or not at all, also from registries that serve none, break off, or cheat."""

from __future__ import annotations

import re

import pytest

from attest.adapters.registry import RegistryStore, streaming
from attest.core.oci import Descriptor
from attest.core.reference import digest_of
from attest.errors import AttestError, NotFound, StoreError, StoreMisbehaved, Unreachable
from tests.registry import faults
from tests.registry.conftest import impatient
from tests.registry.faults import FaultyRegistry, Handler

CONTENT = bytes(range(256)) * 20
BLOB = Descriptor(media_type="layer", digest=digest_of(CONTENT), size=len(CONTENT))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of 2,000 bytes, so that a blob of 5,120 takes three."""
    monkeypatch.setattr(streaming, "_RANGE", 2_000)
    monkeypatch.setattr(streaming, "_WHOLE", 10_000)


def ranged(handler: Handler) -> None:
    """Answer with the range that was asked for, as RFC 9110 has it."""
    match = re.fullmatch(r"bytes=(\d+)-(\d+)", handler.headers["Range"])
    assert match is not None
    start, end = int(match[1]), int(match[2])
    handler.reply(206, CONTENT[start : end + 1], {"Content-Range": f"bytes {start}-{end}/{len(CONTENT)}"})


def streamed(faulty: FaultyRegistry, blob: Descriptor = BLOB) -> list[bytes]:
    """The pieces of a blob from this registry."""
    return list(RegistryStore(impatient()).stream(faulty.named(digest_of(b"image")), blob))


def test_ranges(faulty: FaultyRegistry) -> None:
    """A large blob comes in as many requests as it has ranges, each with the bytes of its own."""
    faulty.misbehave(ranged, "/blobs/")
    assert b"".join(streamed(faulty)) == CONTENT
    assert len(faulty.seen) == 3


def test_a_small_blob_is_one_request(faulty: FaultyRegistry) -> None:
    """What fits in one range is fetched whole and checked."""
    faulty.add_blob(b"small")
    assert streamed(faulty, Descriptor(media_type="l", digest=digest_of(b"small"), size=5)) == [b"small"]


def test_a_registry_without_ranges(faulty: FaultyRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A blob comes whole from a registry that serves no ranges, and is refused with a way out where it is too large."""
    faulty.add_blob(CONTENT)
    assert b"".join(streamed(faulty)) == CONTENT
    monkeypatch.setattr(streaming, "_WHOLE", 3_000)
    with pytest.raises(StoreMisbehaved, match="serves no parts") as caught:
        streamed(faulty)
    assert "skopeo copy" in (caught.value.hint or "")


def test_a_range_that_breaks_is_asked_for_again(faulty: FaultyRegistry) -> None:
    """One broken answer among the ranges costs that range alone."""
    faulty.misbehave(faults.reset, "/blobs/", times=1)
    faulty.misbehave(faults.status(503), "/blobs/", times=1)
    faulty.misbehave(ranged, "/blobs/")
    assert b"".join(streamed(faulty)) == CONTENT
    assert len(faulty.seen) == 5


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (lambda handler: handler.reply(206, b"short"), StoreMisbehaved),
        (lambda handler: handler.reply(206, b"x" * 2_001), StoreMisbehaved),
        (lambda handler: handler.reply(200, b"other"), StoreMisbehaved),
        (faults.status(404), NotFound),
        (faults.status(416), StoreMisbehaved),
        (faults.status(500), StoreError),
        (faults.reset, Unreachable),
        (faults.garbage, AttestError),
    ],
)
def test_what_is_no_range_is_refused(faulty: FaultyRegistry, fault: faults.Fault, error: type[AttestError]) -> None:
    """A range of another length, a whole blob of another size, an error and a broken connection end the reading."""
    faulty.misbehave(fault, "/blobs/")
    with pytest.raises(error):
        streamed(faulty)


def test_a_whole_blob_in_the_middle_is_refused(faulty: FaultyRegistry) -> None:
    """A registry that serves one range and then the whole blob would have its beginning read twice."""
    faulty.misbehave(ranged, "/blobs/", times=1)
    faulty.misbehave(faults.serve(CONTENT, "application/octet-stream"), "/blobs/")
    with pytest.raises(StoreMisbehaved):
        streamed(faulty)
