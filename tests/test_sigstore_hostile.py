"""Bytes flipped in a keyless bundle: nothing is certified whose verified content changed, and nothing is raised."""

from __future__ import annotations

import base64
import copy
import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.adapters.sigstore.trust import SigstoreTrust
from attest.core.certificate import Certified, NotCertified
from attest.core.envelope import Envelope, EnvelopeInvalid, read_bundle
from tests.sigstore_forge import Recipe
from tests.sigstore_instance import AT, MINUTE, TSA, b64, trusted_root

TRUST: Final = SigstoreTrust(trusted_root())
STAMPS: Final = [(TSA, AT + 2 * MINUTE)]
GOOD: Final = {
    "dsse": Recipe(stamps=STAMPS),
    "intoto": Recipe(kind="intoto", stamps=STAMPS),
    "hashedrekord": Recipe(kind="hashedrekord", stamps=STAMPS),
}
ENTRY: Final = "verificationMaterial.tlogEntries.0."
BYTES: Final = (
    "verificationMaterial.certificate.rawBytes",
    "verificationMaterial.timestampVerificationData.rfc3161Timestamps.0.signedTimestamp",
    ENTRY + "canonicalizedBody",
    ENTRY + "logId.keyId",
    ENTRY + "inclusionPromise.signedEntryTimestamp",
    ENTRY + "inclusionProof.rootHash",
    ENTRY + "inclusionProof.hashes.0",
    ENTRY + "inclusionProof.hashes.1",
    ENTRY + "inclusionProof.hashes.2",
    "dsseEnvelope.payload",
    "dsseEnvelope.signatures.0.sig",
)
"""Fields of bytes, in base64."""
TEXTS: Final = (
    ENTRY + "inclusionProof.checkpoint.envelope",
    ENTRY + "inclusionProof.logIndex",
    ENTRY + "inclusionProof.treeSize",
    ENTRY + "logIndex",
    ENTRY + "integratedTime",
    ENTRY + "kindVersion.kind",
    ENTRY + "kindVersion.version",
    "dsseEnvelope.payloadType",
    "mediaType",
)
"""Fields of text."""
POSITIONS: Final = 120
"""Where a field is flipped, spread over all of it; a field that is shorter, at every fifth byte."""


@dataclass(frozen=True, slots=True)
class Verified:
    """All that a verdict takes from a bundle."""

    certified: Certified
    envelope: Envelope


def verified(content: bytes) -> Verified | None:
    """What is certified of a bundle, as the core reads it; None where it is refused, as only `NotCertified` may say."""
    try:
        certified = TRUST.certify(content)
    except NotCertified:
        return None
    return Verified(certified, read_bundle(content))


@functools.cache
def unspoiled(kind: str) -> Verified:
    """What is certified of a bundle as it was made."""
    good = verified(GOOD[kind].content)
    assert good is not None
    return good


def accepted(kind: str, content: bytes) -> bool:
    """Whether it is still certified; whatever is, says the same as before, or of two times that it had one."""
    found, good = verified(content), unspoiled(kind)
    if found is None:
        return False
    assert found.certified.certificate == good.certified.certificate
    assert set(found.certified.times) <= set(good.certified.times)
    assert found.envelope.payload_type == good.envelope.payload_type
    assert found.envelope.payload == good.envelope.payload
    return True


def place(document: dict[str, Any], path: str) -> tuple[Any, Any]:
    """The object that a path leads into, and the key in it."""
    *parents, last = path.split(".")
    at: Any = document
    for name in parents:
        at = at[int(name) if name.isdigit() else name]
    return at, int(last) if last.isdigit() else last


def has(kind: str, path: str) -> bool:
    """Whether a bundle of this kind has the field."""
    try:
        at, key = place(GOOD[kind].document, path)
    except KeyError:
        return False
    return isinstance(key, int) or key in at


def flips(kind: str, path: str, mask: int, *, every: bool = False) -> Iterator[bytes]:
    """The bundle with one byte of a field flipped, over a stride that goes through all of it, or at every byte."""
    document = copy.deepcopy(GOOD[kind].document)
    at, key = place(document, path)
    good = base64.b64decode(at[key]) if path in BYTES else at[key].encode()
    stride = 1 if every else max(5, len(good) // POSITIONS)
    for position in sorted({*range(0, len(good), stride), len(good) - 1}):
        flipped = bytearray(good)
        flipped[position] ^= mask
        at[key] = b64(bytes(flipped)) if path in BYTES else flipped.decode("utf-8", "replace")
        yield json.dumps(document).encode()


FIELDS: Final = [(kind, path) for kind in GOOD for path in (*BYTES, *TEXTS) if has(kind, path)]


def test_every_field_is_flipped() -> None:
    """No field of the bundles is left out: each leaf of their JSON is in one of the lists."""

    def leaves(value: Any, path: str) -> Iterator[str]:
        pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for name, member in pairs:
            yield from leaves(member, f"{path}.{name}" if path else str(name))
        if isinstance(value, str):
            yield path

    for kind, recipe in GOOD.items():
        assert set(leaves(recipe.document, "")) == {path for one, path in FIELDS if one == kind}


@pytest.mark.parametrize("kind", GOOD)
def test_the_good_ones_are_good(kind: str) -> None:
    """Before anything is flipped, it verifies, with the times that it has."""
    assert accepted(kind, GOOD[kind].content)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "path"), FIELDS)
def test_no_flip_in_a_field_changes_what_is_certified(kind: str, path: str) -> None:
    """Each field, flipped over a stride: refused, or nothing that was verified is another."""
    survivors = sum(accepted(kind, content) for content in flips(kind, path, 0x01))
    assert survivors == 0 or (kind, path) in UNBOUND


UNBOUND: Final = {
    ("hashedrekord", ENTRY + "logIndex"),  # Rekor v2 promises no index, and the proof has one of its own
    *((kind, path) for kind, path in FIELDS if path.endswith("signedTimestamp")),
}
"""Fields that nobody signs all of. A token holds a certificate and a version beside what is signed, and under Rekor v1
a timestamp that does not verify is just none: the promise is a time by itself.
"""


@pytest.mark.parametrize("kind", GOOD)
def test_no_truncation_is_certified(kind: str) -> None:
    """A bundle that lost its end is none."""
    content = GOOD[kind].content
    for length in range(0, len(content), 97):
        assert verified(content[:length]) is None


@given(st.sampled_from(sorted(GOOD)), st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_flip_anywhere_changes_what_is_certified(kind: str, position: int, mask: int) -> None:
    """One byte of the bundle's JSON, wherever: refused, or what was verified is the same."""
    content = bytearray(GOOD[kind].content)
    content[position % len(content)] ^= mask
    accepted(kind, bytes(content))


@pytest.mark.fuzz
@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80, 0xFF])
@pytest.mark.parametrize(("kind", "path"), FIELDS)
def test_no_flip_of_any_byte_changes_what_is_certified(kind: str, path: str, mask: int) -> None:
    """Each byte of each field, flipped in four ways."""
    for content in flips(kind, path, mask, every=True):
        accepted(kind, content)


@given(st.sampled_from(sorted(GOOD)), st.sampled_from(FIELDS), st.sampled_from(sorted(GOOD)))
def test_no_field_of_another_bundle_fits(kind: str, field: tuple[str, str], other: str) -> None:
    """A field of a bundle of another kind, put in place of its own: refused, or the same is verified."""
    path = field[1]
    if not has(kind, path) or not has(other, path):
        return
    document = copy.deepcopy(GOOD[kind].document)
    (at, key), (theirs, _) = place(document, path), place(GOOD[other].document, path)
    at[key] = theirs[key]
    accepted(kind, json.dumps(document).encode())


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(content: bytes) -> None:
    """Bytes of any kind are refused as what they are: no bundle."""
    with pytest.raises(NotCertified) as caught:
        TRUST.certify(content)
    assert caught.value.code == "bundle-invalid"
    with pytest.raises(EnvelopeInvalid):
        read_bundle(content)
