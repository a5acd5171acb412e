"""Entries of a Rekor v1 log: which are of an envelope, and each way in which one is of another."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from attest.core.certificate import NotCertified, Uncertified
from attest.core.envelope import Envelope, read_bundle
from attest.core.material import LogEntry, read_material
from attest.core.trust.logentry import logged_verifier
from tests.sigstore_forge import PAYLOAD, Certificate, Recipe, canonical
from tests.sigstore_instance import b64

KINDS = ["dsse", "intoto"]
Change = Callable[[dict[str, Any]], object]


def parts(recipe: Recipe) -> tuple[LogEntry, Envelope]:
    content = recipe.content
    return read_material(content).entries[0], read_bundle(content)


def refused(recipe: Recipe) -> str:
    """Why the entry is not of the envelope, always with the one code."""
    with pytest.raises(NotCertified) as caught:
        logged_verifier(*parts(recipe))
    assert caught.value.code is Uncertified.LOG_ENTRY_DIFFERS
    return str(caught.value)


def spoiled(kind: str, change: Change) -> Recipe:
    """A bundle whose log entry's body was changed."""
    body = json.loads(Recipe(kind=kind).its_body)
    change(body)
    return Recipe(kind=kind, signature=Recipe(kind=kind).its_signature, body=canonical(body))


def content_of(body: dict[str, Any]) -> dict[str, Any]:
    """Where the body's hash of the payload stands."""
    spec: dict[str, Any] = body["spec"]
    return spec if body["kind"] == "dsse" else spec["content"]


def signatures_of(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Where its signatures stand."""
    content = content_of(body)
    found: list[dict[str, Any]] = (content if body["kind"] == "dsse" else content["envelope"])["signatures"]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_of_the_envelope_gives_its_verifier(kind: str) -> None:
    """Payload, payload type and signature are the envelope's, and what verified it comes back as it was logged."""
    assert logged_verifier(*parts(Recipe(kind=kind))) == Certificate().pem


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_of_another_payload_is_refused(kind: str) -> None:
    """The logged hash has to be that of the payload, as SHA-256."""
    assert "of another payload" in refused(Recipe(kind=kind, logged_payload=PAYLOAD + b" "))
    shown = spoiled(kind, lambda body: content_of(body)["payloadHash"].update(algorithm="sha512"))
    assert "of another payload" in refused(shown)
    shown = spoiled(kind, lambda body: content_of(body)["payloadHash"].pop("value"))
    assert "of another payload" in refused(shown)
    assert "has no payloadHash" in refused(spoiled(kind, lambda body: content_of(body).pop("payloadHash")))


@pytest.mark.parametrize("kind", KINDS)
def test_an_entry_of_another_signature_is_refused(kind: str) -> None:
    """A second, valid signature over the same payload by the same key is still another signature."""
    assert "of another signature" in refused(Recipe(kind=kind, logged_signature=Recipe().its_signature[:-1]))


def test_the_intoto_entry_keeps_base64_in_base64() -> None:
    """The bare signature in an intoto entry is not what Rekor writes, so it is another."""
    signature = b64(Recipe(kind="intoto").its_signature)
    bare = spoiled("intoto", lambda body: signatures_of(body)[0].update(sig=signature))
    assert "of another signature" in refused(bare)


def test_an_entry_of_another_payload_type_is_refused() -> None:
    """An intoto entry keeps the payload type beside the payload's hash."""
    shown = spoiled("intoto", lambda body: content_of(body)["envelope"].update(payloadType="text/plain"))
    assert "of another payloadType" in refused(shown)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda body: body.pop("spec"), "has no spec"),
        (lambda body: body.update(spec=[]), "has no spec"),
        (lambda body: body.update(kind="rekord"), "of another kind than the bundle says"),
        (lambda body: body.update(apiVersion="0.0.3"), "of another kind than the bundle says"),
        (lambda body: signatures_of(body).clear(), "not exactly one signature"),
        (lambda body: signatures_of(body).append({}), "not exactly one signature"),
        (lambda body: signatures_of(body).__setitem__(0, "text"), "not exactly one signature"),  # type: ignore[call-overload]
        (lambda body: signatures_of(body).__setitem__(0, {}), "is not base64"),
        (lambda body: [one.update(dict.fromkeys(one, "é")) for one in signatures_of(body)], "is not base64"),
        (lambda body: [one.update(dict.fromkeys(one, "AAA")) for one in signatures_of(body)], "is not base64"),
        (lambda body: [one.update(dict.fromkeys(one, "AB==")) for one in signatures_of(body)], "canonical base64"),
    ],
)
def test_a_malformed_body_is_refused(kind: str, change: Change, why: str) -> None:
    """A body that is not what its type says is an entry of something else."""
    assert why in refused(spoiled(kind, change))


def test_an_intoto_entry_without_its_envelope_is_refused() -> None:
    """The parts that only the intoto type has are asked for, too."""
    assert "has no content" in refused(spoiled("intoto", lambda body: body["spec"].pop("content")))
    assert "has no envelope" in refused(spoiled("intoto", lambda body: content_of(body).pop("envelope")))


@pytest.mark.parametrize("body", [b"junk", b'{"kind":"dsse","kind":"dsse"}', b"[]", b"{}"])
def test_a_body_that_is_no_strict_object_is_refused(body: bytes) -> None:
    """Readers that disagree about a body would disagree about what was logged."""
    assert "body" in refused(Recipe(body=body))


@pytest.mark.parametrize(("kind", "version"), [("hashedrekord", "0.0.2"), ("dsse", "0.0.2"), ("intoto", "0.0.1")])
def test_an_entry_of_another_type_is_refused(kind: str, version: str) -> None:
    """Only the two types that Rekor v1 makes of an attestation are read here."""
    entry, envelope = parts(Recipe())
    body = canonical({**json.loads(entry.body), "kind": kind, "apiVersion": version})
    with pytest.raises(NotCertified, match="its kind is") as caught:
        logged_verifier(replace(entry, kind=kind, version=version, body=body), envelope)
    assert caught.value.code is Uncertified.LOG_ENTRY_DIFFERS
