"""Large blobs come in ranges: whole or not at all, also from registries that serve none, break off, or cheat."""

from __future__ import annotations

import re

import pytest

from attest.adapters.registry import RegistryStore, streaming
from attest.core.oci import Descriptor
from attest.core.reference import digest_of
from attest.errors import AttestError, LimitExceeded, NotFound, StoreError, StoreMisbehaved, Unreachable
from tests.registry import faults
from tests.registry.conftest import impatient
from tests.registry.faults import FaultyRegistry, Handler

CONTENT = bytes(range(256)) * 20
BLOB = Descriptor(media_type="layer", digest=digest_of(CONTENT), size=len(CONTENT))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges of 2,000 bytes, so that a blob of 5,120 takes three."""
    monkeypatch.setattr(streaming, "_RANGE", 2_000)


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


def test_pieces_are_smaller_than_ranges(faulty: FaultyRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is handed on at once is a part of a range: whoever keeps a piece back keeps little."""
    monkeypatch.setattr(streaming, "_PIECE", 700)
    faulty.misbehave(ranged, "/blobs/")
    pieces = streamed(faulty)
    assert b"".join(pieces) == CONTENT
    assert [len(piece) for piece in pieces] == [700, 700, 600, 700, 700, 600, 700, 420]


def test_a_small_blob_is_one_request(faulty: FaultyRegistry) -> None:
    """What fits in one range is fetched whole and checked."""
    faulty.add_blob(b"small")
    assert streamed(faulty, Descriptor(media_type="l", digest=digest_of(b"small"), size=5)) == [b"small"]


def test_a_registry_without_ranges(faulty: FaultyRegistry) -> None:
    """A blob of any size comes as one answer, read while it comes, from a registry that serves no ranges."""
    faulty.add_blob(CONTENT)
    assert b"".join(streamed(faulty)) == CONTENT
    assert [handled.method for handled in faulty.seen] == ["GET", "GET"]


@pytest.mark.parametrize("end", ["without an end", "short"])
def test_a_whole_answer_of_another_size_is_refused(end: str, faulty: FaultyRegistry) -> None:
    """Too much is given up when it comes, and too little is no blob."""
    faulty.add_blob(CONTENT)
    faulty.misbehave(faults.serve(CONTENT), "/blobs/", times=1)
    faulty.misbehave(faults.endless_body if end != "short" else faults.serve(CONTENT[:-1]), "/blobs/")
    with pytest.raises((StoreMisbehaved, LimitExceeded)):
        streamed(faulty)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.status(404), NotFound),
        (faults.status(500), StoreError),
        (faults.short_body, Unreachable),
        (faults.reset, Unreachable),
        (faults.claimed_encoding, StoreMisbehaved),
        (faults.drip_body, Unreachable),
    ],
)
def test_a_whole_answer_that_fails_is_an_error(
    fault: faults.Fault, error: type[AttestError], faulty: FaultyRegistry
) -> None:
    """Where the one answer breaks, is encoded, is another one or hardly moves, the reading ends with an error."""
    faulty.add_blob(CONTENT)
    faulty.misbehave(faults.serve(CONTENT), "/blobs/", times=1)
    faulty.misbehave(fault, "/blobs/")
    store = RegistryStore(impatient(response_timeout=0.3))
    with pytest.raises(error):
        list(store.stream(faulty.named(digest_of(b"image")), BLOB))


def test_a_reader_that_stops_leaves_nothing_open(faulty: FaultyRegistry) -> None:
    """Whoever stops reading in the middle ends the request, and the next one is answered."""
    faulty.add_blob(CONTENT)
    store = RegistryStore(impatient())
    pieces = store.stream(faulty.named(digest_of(b"image")), BLOB)
    assert next(pieces)
    pieces.close()  # type: ignore[attr-defined]  # it is a generator
    assert b"".join(store.stream(faulty.named(digest_of(b"image")), BLOB)) == CONTENT


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
        (lambda handler: handler.reply(200, b"o" * 2_001), StoreMisbehaved),
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
