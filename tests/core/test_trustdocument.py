"""Trusted roots, signing configurations and trust configurations are read strictly and written as they were read."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from sigstore_models.trustroot import v1 as models

from attest.core.strictjson import Json
from attest.core.trust.document import (
    SIGNING_CONFIG,
    TRUST_CONFIG,
    TRUSTED_ROOT,
    TrustInvalid,
    config_document,
    read_trust,
    root_document,
    signing_document,
    write_time,
    write_trust,
)
from attest.core.trust.root import Selector, log_of
from attest.core.trust.window import Window
from tests.core.make_trust import NOW, OPEN, START, authority, log, root, rsa_key, service, signing

Change = Callable[[dict[str, Any]], object]


def _config() -> dict[str, Any]:
    return copy.deepcopy(config_document(root(), signing(log_selector=Selector(selector="EXACT", count=1))))


def _refused(document: Json) -> str:
    with pytest.raises(TrustInvalid) as caught:
        read_trust(json.dumps(document).encode())
    return str(caught.value)


def test_each_kind_is_read_as_it_was_written() -> None:
    """What is written is read again as the same, for each kind of document."""
    signs = signing(log_selector=Selector(selector="EXACT", count=1))
    full = root(
        certificate_authorities=(replace(authority(window=Window(start=START, end=NOW)), operator="example.org"),),
        logs=(replace(log(), checkpoint_key_id=b"four", operator="example.org"), log(window=Window())),
    )
    for document, media_type, expected in (
        (root_document(full), TRUSTED_ROOT, (full, None)),
        (signing_document(signs), SIGNING_CONFIG, (None, signs)),
        (config_document(full, signs), TRUST_CONFIG, (full, signs)),
    ):
        again = read_trust(write_trust(document))
        assert (again.media_type, (again.root, again.signing)) == (media_type, expected)


def test_sigstores_own_models_read_what_is_written() -> None:
    """Documents written here are documents to sigstore-python, which forbids unknown members."""
    written = write_trust(config_document(root(), signing(log_selector=Selector(selector="ANY"))))
    model = models.ClientTrustConfig.from_json(written)
    assert model.trusted_root.tlogs[0].base_url == "https://rekor.example.org"
    assert model.signing_config.rekor_tlog_urls[0].major_api_version == 2


def test_written_documents_can_be_reviewed() -> None:
    """A document is indented and ends in a newline."""
    written = write_trust(root_document(root())).decode()
    assert written.startswith('{\n  "mediaType": ')
    assert written.endswith("}\n")


def test_lists_may_be_missing() -> None:
    """Empty lists are left out by some writers, and are empty."""
    read = read_trust(json.dumps({"mediaType": TRUSTED_ROOT}).encode()).root
    assert read is not None
    assert (read.certificate_authorities, read.logs, read.ct_logs, read.timestamp_authorities) == ((), (), (), ())


def test_optional_members_may_be_missing() -> None:
    """Addresses, names and windows of logs and services may be missing."""
    document = _config()
    log_entry = document["trustedRoot"]["tlogs"][0]
    del log_entry["baseUrl"], log_entry["publicKey"]["validFor"]
    authority_entry = document["trustedRoot"]["certificateAuthorities"][0]
    del authority_entry["uri"]
    authority_entry["subject"] = {}
    del document["signingConfig"]["caUrls"][0]["validFor"]
    read = read_trust(json.dumps(document).encode())
    assert read.root is not None
    assert read.signing is not None
    assert (read.root.logs[0].url, read.root.logs[0].window) == ("", Window())
    first = read.root.certificate_authorities[0]
    assert (first.url, first.organization, first.common_name) == ("", "", "")
    assert read.signing.certificate_authorities[0].window == Window()
    assert "validFor" not in signing_document(read.signing)["caUrls"][0]


def test_nanoseconds_are_cut() -> None:
    """Go writes nine digits of a second, of which six are kept."""
    document = _config()
    document["trustedRoot"]["tlogs"][0]["publicKey"]["validFor"] = {"start": "2026-01-01T00:00:00.123456789Z"}
    read = read_trust(json.dumps(document).encode()).root
    assert read is not None
    assert read.logs[0].window.start == datetime(2026, 1, 1, microsecond=123456, tzinfo=UTC)


def test_an_old_rsa_key_is_read() -> None:
    """The first certificate transparency logs have RSA keys in an encoding of their own."""
    key = rsa_key().public_key()
    old = replace(
        log_of("https://ct.example.org", key, b"id", OPEN),
        key=key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1),
        details="PKCS1_RSA_PKCS1V5",
    )
    read = read_trust(write_trust(root_document(root(ct_logs=(old,))))).root
    assert read is not None
    assert read.ct_logs == (old,)


def test_times_are_written_in_utc() -> None:
    """Whole seconds are written without a fraction, and nothing is written for no time."""
    assert write_time(START) == "2026-01-01T00:00:00Z"
    assert write_time(START.replace(microsecond=5)) == "2026-01-01T00:00:00.000005Z"
    assert write_time(None) is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not JSON: "),
        (b'{"mediaType": "x", "mediaType": "x"}', "not JSON: the key 'mediaType' stands twice"),
        (b"[]", "no JSON object with a mediaType"),
        (b'{"mediaType": 1}', "no JSON object with a mediaType"),
        (b'{"mediaType": "text/plain"}', "mediaType: 'text/plain' is none of application/vnd.dev.sigstore."),
    ],
)
def test_other_bytes_are_refused(content: bytes, problem: str) -> None:
    """Bytes that are no such document are refused, with what they are instead."""
    with pytest.raises(TrustInvalid) as caught:
        read_trust(content)
    assert str(caught.value).startswith(problem)


def _set(*path: str | int, to: Json) -> Change:
    def change(document: dict[str, Any]) -> None:
        inner: Any = document
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = to

    return change


def _without(*path: str | int) -> Change:
    def change(document: dict[str, Any]) -> None:
        inner: Any = document
        for step in path[:-1]:
            inner = inner[step]
        del inner[path[-1]]

    return change


CA = ("trustedRoot", "certificateAuthorities", 0)
LOG = ("trustedRoot", "tlogs", 0)
SERVICE = ("signingConfig", "caUrls", 0)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_without("trustedRoot"), "trustedRoot is missing"),
        (_without("signingConfig"), "signingConfig is missing"),
        (_set("more", to=1), "there is no member 'more'"),
        (_set("trustedRoot", to=[]), "trustedRoot: an array is no object"),
        (_set("trustedRoot", "mediaType", to=TRUST_CONFIG), "trustedRoot.mediaType: "),
        (_without("signingConfig", "mediaType"), "signingConfig: mediaType is missing"),
        (_set("trustedRoot", "tlogs", to={}), "trustedRoot.tlogs: an object is no list"),
        (_set(*CA, "validfor", to={}), "trustedRoot.certificateAuthorities[0]: there is no member 'validfor'"),
        (_without(*CA, "validFor"), "trustedRoot.certificateAuthorities[0]: validFor is missing"),
        (_without(*CA, "subject"), "trustedRoot.certificateAuthorities[0]: subject is missing"),
        (_set(*CA, "uri", to=1), "trustedRoot.certificateAuthorities[0].uri: 1 is no text"),
        (_set(*CA, "certChain", to={}), "trustedRoot.certificateAuthorities[0].certChain.certificates: empty"),
        (
            _set(*CA, "certChain", "certificates", 0, "rawBytes", to="AAAA"),
            "trustedRoot.certificateAuthorities[0].certChain.certificates[0].rawBytes: no X.509 certificate in DER",
        ),
        (
            _set(*CA, "certChain", "certificates", 0, "rawBytes", to="A\u00e9"),
            "trustedRoot.certificateAuthorities[0].certChain.certificates[0].rawBytes: not base64",
        ),
        (
            _set(*CA, "validFor", to={"start": "2026-01-01T00:00:00Z", "end": "2025-01-01T00:00:00Z"}),
            "trustedRoot.certificateAuthorities[0].validFor: it ends before it starts",
        ),
        (_set(*CA, "validFor", to={}), "trustedRoot.certificateAuthorities[0].validFor: start is missing"),
        (
            _set(*CA, "validFor", "start", to="2026-01-01"),
            "trustedRoot.certificateAuthorities[0].validFor.start: '2026-01-01' is no time",
        ),
        (_set(*CA, "validFor", "start", to=0), "trustedRoot.certificateAuthorities[0].validFor.start: 0 is no text"),
        (_set(*LOG, "hashAlgorithm", to="MD5"), "trustedRoot.tlogs[0].hashAlgorithm: 'MD5' is none of SHA2_256"),
        (_set(*LOG, "publicKey", "rawBytes", to="AAAA"), "trustedRoot.tlogs[0].publicKey.rawBytes: no public key"),
        (_set(*LOG, "publicKey", "rawBytes", to="!"), "trustedRoot.tlogs[0].publicKey.rawBytes: not base64"),
        (
            _set(*LOG, "publicKey", "keyDetails", to="PKIX_ECDSA_P256_SHA_256"),
            "trustedRoot.tlogs[0].publicKey.keyDetails: 'PKIX_ECDSA_P256_SHA_256', and the key is PKIX_ED25519",
        ),
        (
            _set(*LOG, "publicKey", "keyDetails", to="PKCS1_RSA_PKCS1V5"),
            "trustedRoot.tlogs[0].publicKey.keyDetails: 'PKCS1_RSA_PKCS1V5', and the key is PKIX_ED25519",
        ),
        (_set(*LOG, "logId", to={}), "trustedRoot.tlogs[0].logId: keyId is missing"),
        (_set(*SERVICE, "url", to="ftp://x"), "signingConfig.caUrls[0].url: 'ftp://x' is no http or https address"),
        (_set(*SERVICE, "url", to="https:///x"), "signingConfig.caUrls[0].url: 'https:///x' is no http or https"),
        (_set(*SERVICE, "majorApiVersion", to=0), "signingConfig.caUrls[0].majorApiVersion: 0 is no version"),
        (_set(*SERVICE, "majorApiVersion", to=True), "signingConfig.caUrls[0].majorApiVersion: True is no version"),
        (_without(*SERVICE, "operator"), "signingConfig.caUrls[0]: operator is missing"),
        (
            _set("signingConfig", "rekorTlogConfig", "selector", to="SOME"),
            "signingConfig.rekorTlogConfig.selector: 'SOME' is none of ALL, ANY, EXACT",
        ),
        (_without("signingConfig", "rekorTlogConfig", "count"), "signingConfig.rekorTlogConfig.count: EXACT needs"),
        (_set("signingConfig", "rekorTlogConfig", "count", to=0), "signingConfig.rekorTlogConfig.count: EXACT needs"),
        (_set("signingConfig", "rekorTlogConfig", "count", to="1"), "signingConfig.rekorTlogConfig.count: EXACT"),
        (_set("signingConfig", "tsaConfig", to={"selector": "ANY", "count": 1}), "signingConfig.tsaConfig.count: "),
    ],
)
def test_what_is_wrong_is_named_with_its_place(change: Change, problem: str) -> None:
    """One wrong member refuses the document, and the message begins with where it stands."""
    document = _config()
    assert read_trust(json.dumps(document).encode()).media_type == TRUST_CONFIG
    change(document)
    assert _refused(document).startswith(problem)


def test_a_malformed_address_is_refused() -> None:
    """Text that cannot be taken apart as an address is no address."""
    document = _config()
    document["signingConfig"]["caUrls"][0]["url"] = "https://[x"
    assert _refused(document).startswith("signingConfig.caUrls[0].url: 'https://[x' is no http or https address")


def test_a_key_that_no_client_verifies_with_is_refused() -> None:
    """A key of an unusual size is refused where it stands."""
    document = root_document(root())
    key = rsa_key(1024).public_key()
    small = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    entry: Any = document["tlogs"][0]
    entry["publicKey"] = {"rawBytes": base64.b64encode(small).decode(), "keyDetails": "PKIX_RSA_PKCS1V15_2048_SHA256"}
    assert "an RSA key of 1024 bits" in _refused(document)


def test_services_keep_their_order() -> None:
    """Services are listed as they stand; which one is asked is the signer's affair."""
    several = (service("https://b.example.org"), service("https://a.example.org"))
    read = read_trust(write_trust(signing_document(signing(logs=several)))).signing
    assert read is not None
    assert read.logs == several
