"""What stands beside the envelope in a bundle: what is read of it, and what is refused."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from attest.core.envelope import EnvelopeInvalid
from attest.core.material import Checkpoint, Material, read_checkpoint, read_material
from tests.sigstore_forge import Certificate, Recipe, canonical
from tests.sigstore_instance import AT, MINUTE, REKOR_V1, REKOR_V2, TSA, b64

V1, V2 = Recipe(stamps=[(TSA, AT), (TSA, AT + MINUTE)]), Recipe(kind="hashedrekord")


def read(document: dict[str, Any]) -> Material:
    return read_material(json.dumps(document).encode())


def changed(path: str, value: Any) -> dict[str, Any]:
    """The bundle with the member at a dotted path set, below its material; `...` takes it out."""
    document = copy.deepcopy(V1.document)
    *parents, last = path.split(".")
    place: Any = document["verificationMaterial"]
    for name in parents:
        place = place[int(name) if name.isdigit() else name]
    if value is ...:
        del place[last]
    else:
        place[int(last) if last.isdigit() else last] = value
    return document


def test_all_of_it_is_read() -> None:
    """Certificate, timestamps and the log entry come out as the bytes and numbers that they are."""
    material = read(V1.document)
    assert material.certificate == Certificate().der
    stamps = V1.document["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    assert [b64(one) for one in material.timestamps] == [one["signedTimestamp"] for one in stamps]
    (entry,) = material.entries
    written = V1.document["verificationMaterial"]["tlogEntries"][0]
    assert (entry.log_id, entry.index, entry.kind, entry.version) == (REKOR_V1.id, 2, "dsse", "0.0.1")
    assert entry.body == V1.its_body
    assert entry.integrated == AT + MINUTE
    assert b64(entry.promise or b"") == written["inclusionPromise"]["signedEntryTimestamp"]
    assert entry.tree_size == 5
    assert entry.checkpoint == written["inclusionProof"]["checkpoint"]["envelope"]


def test_what_is_promised_is_what_the_log_signed() -> None:
    """The promise of a Rekor v1 log verifies over the canonical form of its four members."""
    (entry,) = read(V1.document).entries
    expected = {
        "body": b64(V1.its_body),
        "integratedTime": int((AT + MINUTE).timestamp()),
        "logID": REKOR_V1.id.hex(),
        "logIndex": 2,
    }
    assert entry.promised() == canonical(expected)


def test_nothing_is_promised_without_a_time() -> None:
    """A Rekor v2 entry names no time, and asking what was promised is an error."""
    (entry,) = read(V2.document).entries
    assert (entry.integrated, entry.promise) == (None, None)
    with pytest.raises(ValueError, match="no integrated time"):
        entry.promised()


@pytest.mark.parametrize("absent", [..., None])
def test_what_is_absent_is_none(absent: Any) -> None:
    """A member that is not there and one that is null are the same, as in all of protobuf's JSON."""
    entry = "tlogEntries.0."
    assert read(changed("certificate", absent)).certificate is None
    assert read(changed("timestampVerificationData", absent)).timestamps == ()
    assert read(changed("timestampVerificationData.rfc3161Timestamps", absent)).timestamps == ()
    assert read(changed("tlogEntries", absent)).entries == ()
    assert read(changed(entry + "inclusionPromise", absent)).entries[0].promise is None
    assert read(changed(entry + "integratedTime", absent)).entries[0].integrated is None
    assert read(changed(entry + "logIndex", absent)).entries[0].index == 0
    proofless = read(changed(entry + "inclusionProof", absent)).entries[0]
    assert (proofless.tree_size, proofless.checkpoint) == (None, None)
    assert read(changed(entry + "inclusionProof.treeSize", absent)).entries[0].tree_size == 0
    assert read(changed(entry + "inclusionProof.checkpoint", absent)).entries[0].checkpoint is None


def test_integrated_at_zero_is_no_time() -> None:
    """The second 0 is what protobuf leaves out: no log took anything in 1970."""
    assert read(changed("tlogEntries.0.integratedTime", "0")).entries[0].integrated is None
    last = read(changed("tlogEntries.0.integratedTime", "253402300799")).entries[0]
    assert last.integrated == datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert read(changed("tlogEntries.0.integratedTime", "1")).entries[0].integrated == datetime(
        1970, 1, 1, tzinfo=UTC
    ) + timedelta(seconds=1)


def test_the_certificate_of_an_older_bundle_is_the_first_of_its_chain() -> None:
    """Bundles before v0.3 have a chain, of which the first certificate is the one that signed."""
    document = changed("certificate", ...)
    mine, other = ({"rawBytes": b64(one)} for one in (b"mine", b"other"))
    document["verificationMaterial"]["x509CertificateChain"] = {"certificates": [mine, other]}
    assert read(document).certificate == b"mine"
    document["verificationMaterial"]["x509CertificateChain"] = {"certificates": []}
    with pytest.raises(EnvelopeInvalid, match="chain is empty"):
        read(document)


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("certificate", "text", "certificate is not an object"),
        ("certificate.rawBytes", ..., "rawBytes is not a string"),
        ("certificate.rawBytes", 1, "rawBytes is not a string"),
        ("certificate.rawBytes", "", "rawBytes is not canonical base64"),
        ("certificate.rawBytes", "AAA", "rawBytes is not base64"),
        ("certificate.rawBytes", "é", "rawBytes is not base64"),
        ("certificate.rawBytes", "AA==\n", "rawBytes is not canonical base64"),
        ("certificate.rawBytes", "AB==", "rawBytes is not canonical base64"),
        ("certificate.rawBytes", "__8=", "rawBytes is not base64"),
        ("timestampVerificationData", [], "timestampVerificationData is not an object"),
        ("timestampVerificationData.rfc3161Timestamps", {}, "rfc3161Timestamps is not an array"),
        ("timestampVerificationData.rfc3161Timestamps.0", "text", "'text' stands where an object has to"),
        ("timestampVerificationData.rfc3161Timestamps.0", {}, "signedTimestamp is not a string"),
        ("tlogEntries", {}, "tlogEntries is not an array"),
        ("tlogEntries.0", None, "None stands where an object has to"),
        ("tlogEntries.0.logId", ..., "logId is not an object"),
        ("tlogEntries.0.logId.keyId", ..., "keyId is not a string"),
        ("tlogEntries.0.kindVersion", ..., "kindVersion is not an object"),
        ("tlogEntries.0.kindVersion.kind", 1, "kind is not a string"),
        ("tlogEntries.0.kindVersion.version", ..., "version is not a string"),
        ("tlogEntries.0.canonicalizedBody", ..., "canonicalizedBody is not a string"),
        ("tlogEntries.0.logIndex", 2, "logIndex is not a number in a string"),
        ("tlogEntries.0.logIndex", "-1", "logIndex is not a number in a string"),
        ("tlogEntries.0.logIndex", "02", "logIndex is not a number in a string"),
        ("tlogEntries.0.logIndex", "2\n", "logIndex is not a number in a string"),
        ("tlogEntries.0.logIndex", "\u0661", "logIndex is not a number in a string"),
        ("tlogEntries.0.logIndex", "1" * 20, "logIndex is not a number in a string"),
        ("tlogEntries.0.integratedTime", "1_0", "integratedTime is not a number in a string"),
        ("tlogEntries.0.integratedTime", "253402300800", "integratedTime 253402300800 is no time"),
        ("tlogEntries.0.inclusionPromise", "text", "inclusionPromise is not an object"),
        ("tlogEntries.0.inclusionPromise.signedEntryTimestamp", "", "signedEntryTimestamp is not canonical"),
        ("tlogEntries.0.inclusionProof", [], "inclusionProof is not an object"),
        ("tlogEntries.0.inclusionProof.treeSize", 5, "treeSize is not a number in a string"),
        ("tlogEntries.0.inclusionProof.checkpoint", "text", "checkpoint is not an object"),
        ("tlogEntries.0.inclusionProof.checkpoint.envelope", [], "envelope is not a string"),
    ],
)
def test_what_is_malformed_refuses(path: str, value: Any, why: str) -> None:
    """Whatever is not as the bundle's specification has it refuses the whole bundle, and says what."""
    with pytest.raises(EnvelopeInvalid) as caught:
        read(changed(path, value))
    assert caught.value.code == "bundle-invalid"
    assert str(caught.value).startswith(why)


def test_a_bundle_without_material_is_refused() -> None:
    """There is no bundle without verification material."""
    with pytest.raises(EnvelopeInvalid, match="verificationMaterial is not an object"):
        read({})


def test_a_checkpoint_says_of_which_tree_it_is_and_who_signed() -> None:
    """Origin, size, and for each signature the name and the hint at the key; other lines are not looked at."""
    first, second = b64(b"abcdsignature"), b64(b"efghi")
    text = f"log.example.org - 7\n5\nroot\nmore\n\n\u2014 log.example.org {first}\n\u2014 witness {second}\n"
    signers = (("log.example.org", b"abcd"), ("witness", b"efgh"))
    assert read_checkpoint(text) == Checkpoint(origin="log.example.org - 7", size=5, signers=signers)
    shortest = f"a\n0\n\n\u2014 b {second}\n"
    assert read_checkpoint(shortest) == Checkpoint(origin="a", size=0, signers=(("b", b"efgh"),))
    (entry,) = read(V2.document).entries
    assert read_checkpoint(entry.checkpoint or "").signers == ((REKOR_V2.host, REKOR_V2.id[:4]),)


SIGNED = f"\n\n\u2014 name {b64(b'abcde')}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a\n5\nroot\n",
        SIGNED,
        "a" + SIGNED,
        "\n5" + SIGNED,
        "a\n05" + SIGNED,
        "a\n-5" + SIGNED,
        "a\n5 " + SIGNED,
        "a\n\u0665" + SIGNED,
        "a\n" + "1" * 20 + SIGNED,
        "a\n5\n\n",
        "a\n5" + SIGNED[:-1],
    ],
)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    """No note with signatures under it, no origin, and a size that is not a plain number are an error."""
    with pytest.raises(ValueError, match="no signed note that begins with an origin and a size"):
        read_checkpoint(text)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "no signature"),
        ("- name YWJjZGU=", "no signature"),
        ("\u2014 name", "no signature"),
        ("\u2014  YWJjZGU=", "no signature"),
        ("\u2014 a name YWJjZGU=", "no signature"),
        ("\u2014 name YWJjZGU= more", "no signature"),
        ("\u2014 name YWJj\u00e9", "no signature"),
        ("\u2014 name __jjZGU=", "no signature"),
        ("\u2014 name YWJjZA==", "not canonical base64"),
        ("\u2014 name YWJjZGV=", "not canonical base64"),
        ("\u2014 name YWJjZGU", "padding"),
    ],
)
def test_a_malformed_signature_of_a_checkpoint_is_refused(line: str, why: str) -> None:
    """Each line under the note is one signature (c2sp.org/signed-note), with a hint and something behind it."""
    for text in (f"a\n5\n\n{line}\n", f"a\n5{SIGNED}{line}\n"):
        with pytest.raises(ValueError, match=why):
            read_checkpoint(text)
