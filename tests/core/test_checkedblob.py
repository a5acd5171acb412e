"""A blob on its way is never handed on whole unless it is the one that was described."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.oci import Descriptor
from attest.core.promotion.checkedblob import BlobDiffers, checked
from attest.core.reference import digest_of


def blob(content: bytes, *, size: int | None = None) -> Descriptor:
    """The descriptor of these bytes, or of as many others."""
    return Descriptor(media_type="x/y", digest=digest_of(content), size=len(content) if size is None else size)


@given(st.lists(st.binary(max_size=8), max_size=8))
def test_what_was_described_arrives(pieces: list[bytes]) -> None:
    """However it is cut, all of it arrives in its order, and no empty piece."""
    content = b"".join(pieces)
    found = list(checked(pieces, blob(content)))
    assert b"".join(found) == content
    assert all(found)


@given(st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=8), st.integers(0, 7), st.integers(1, 255))
def test_one_changed_byte_keeps_the_last_piece_back(pieces: list[bytes], place: int, change: int) -> None:
    """Whichever byte is another, nobody gets all of them."""
    right = b"".join(pieces)
    number = place % len(pieces)
    wrong = [*pieces[:number], bytes((pieces[number][0] ^ change,)) + pieces[number][1:], *pieces[number + 1 :]]
    found: list[bytes] = []
    with pytest.raises(BlobDiffers, match="it has the digest sha256:"):
        found.extend(checked(wrong, blob(right)))
    assert sum(map(len, found)) < len(right)


@pytest.mark.parametrize("pieces", [[], [b"abc"], [b"abc", b"d"]])
def test_too_few_bytes_are_refused(pieces: list[bytes]) -> None:
    """What ends too early is not the blob; the message says both sizes."""
    with pytest.raises(BlobDiffers, match="and not the 5 of its descriptor"):
        list(checked(pieces, blob(b"abcde")))


def test_too_many_bytes_are_refused_as_soon_as_they_come() -> None:
    """A stream without an end is given up at the first piece too many."""
    taken = 0

    def endless() -> object:
        nonlocal taken
        while True:
            taken += 1
            yield b"abc"

    with pytest.raises(BlobDiffers, match="more than the 5 bytes"):
        list(checked(endless(), blob(b"abcde")))  # type: ignore[arg-type]
    assert taken == 2
