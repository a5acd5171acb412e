"""Keyless bundles: what verifies, and what the library may do; the refusals are in tests/test_sigstore_trust.py."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from sigstore.models import Bundle
from sigstore.verify.verifier import Verifier

from attest.adapters.sigstore.guard import refusing
from attest.adapters.sigstore.steps import STEPS
from attest.adapters.sigstore.trust import SigstoreTrust
from attest.core.certificate import NotCertified, Uncertified, read_certificate
from attest.core.reference import digest_of
from tests.project import ROOT as PROJECT
from tests.sigstore_asking import ALL, ROOT, V1, certify, spoiled
from tests.sigstore_forge import IDENTITY, PAYLOAD, Certificate, Recipe
from tests.sigstore_instance import (
    AT,
    MINUTE,
    TSA,
    YEAR,
    Authority,
    Log,
    b64,
    p256,
)

EVIL_CA = Authority(name="evil")
EVIL_LOG = Log(host="evil.example.org")
EVIL_TSA = Authority(name="evil timestamps", timestamping=True)


@pytest.fixture(scope="module")
def trust() -> SigstoreTrust:
    """The forge's own trusted root."""
    return SigstoreTrust(ROOT)


@pytest.mark.parametrize("kind", ALL)
def test_a_good_bundle_is_certified(kind: str, trust: SigstoreTrust) -> None:
    """Each kind of log entry: the certificate is that of the bundle, the time that of the log or the timestamp."""
    certified = trust.certify(Recipe(kind=kind).content)
    assert certified.certificate == read_certificate(Certificate().der)
    assert certified.certificate.identity == IDENTITY
    assert certified.times == (AT + MINUTE,)


def test_the_digest_is_that_of_the_root() -> None:
    """A policy digest covers the trusted root's bytes, so they are what is digested."""
    assert SigstoreTrust(ROOT).digest == digest_of(ROOT)


@pytest.mark.parametrize("kind", V1)
def test_times_of_both_sources_count(kind: str, trust: SigstoreTrust) -> None:
    """A timestamp and the log's promise give two times, in order."""
    stamps = [(TSA, AT + 3 * MINUTE), (TSA, AT + 2 * MINUTE)]
    assert trust.certify(Recipe(kind=kind, stamps=stamps).content).times == tuple(AT + n * MINUTE for n in (1, 2, 3))


@pytest.mark.parametrize("kind", V1)
def test_a_v1_entry_without_promise_needs_a_timestamp(kind: str, trust: SigstoreTrust) -> None:
    """An integrated time that nobody promised is nobody's word: only the timestamp is a time."""
    recipe = Recipe(kind=kind, promised=False, integrated=AT - YEAR, stamps=[(TSA, AT + 2 * MINUTE)])
    assert trust.certify(recipe.content).times == (AT + 2 * MINUTE,)


def test_a_foreign_timestamp_beside_a_good_one_is_no_time(trust: SigstoreTrust) -> None:
    """What does not verify is not counted; what does is enough."""
    recipe = Recipe(kind="hashedrekord", stamps=[(EVIL_TSA, AT - YEAR), (TSA, AT + MINUTE)])
    assert trust.certify(recipe.content).times == (AT + MINUTE,)


def test_older_bundles_have_a_chain(trust: SigstoreTrust) -> None:
    """The first certificate of a bundle before v0.3 is the one that signed; the others are not asked."""

    def older(document: dict[str, Any]) -> None:
        material = document["verificationMaterial"]
        document["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2"
        chain = [
            material.pop("certificate"),
            {"rawBytes": b64(EVIL_CA.chain[1].public_bytes(serialization.Encoding.DER))},
        ]
        material["x509CertificateChain"] = {"certificates": chain}

    assert trust.certify(spoiled(Recipe(), older)).certificate.identity == IDENTITY


def test_the_steps_are_numbered_and_named() -> None:
    """Steps 6 to 13 stand in order, each with a specification and a code of its own."""
    assert [step.number for step in STEPS] == list(range(6, 14))
    assert len({step.code for step in STEPS}) == len(STEPS)
    assert all(step.specification and step.what for step in STEPS)


def test_every_code_is_described_once() -> None:
    """docs/reasons.md lists the codes of certificates, all of them and no others."""
    section = (PROJECT / "docs" / "reasons.md").read_text().partition("## Certificates\n")[2].partition("\n## ")[0]
    described = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)
    assert sorted(described) == sorted(code.value for code in Uncertified)


@pytest.mark.parametrize("kind", ALL)
def test_the_payload_type_is_the_callers_business(kind: str, trust: SigstoreTrust) -> None:
    """Certifying says who signed; what was signed, the core looks at."""
    assert trust.certify(Recipe(kind=kind, payload_type="text/plain", payload=b"hello").content).times


def test_one_root_serves_many_threads() -> None:
    """Verifying at once from many threads gives each its own answer."""
    fresh, gate = SigstoreTrust(ROOT), threading.Barrier(8)
    contents = [Recipe(kind=kind).content for kind in ALL] + [Recipe(signer=p256("evil")).content]

    def ask(number: int) -> list[tuple[bytes, object]]:
        gate.wait(timeout=60)
        answers: list[tuple[bytes, object]] = []
        for content in contents[number % 4 :] + contents[: number % 4]:
            try:
                answers.append((content, fresh.certify(content).times))
            except NotCertified as error:
                answers.append((content, error.code))
        return answers

    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(ask, range(8)):
            assert len(answers) == 4
            good: dict[bytes, object] = dict.fromkeys(contents[:3], (AT + MINUTE,))
            assert dict(answers) == good | {contents[3]: "signature-invalid"}


# What the library might do some day.


@pytest.mark.parametrize("kind", ["dsse", "hashedrekord"])
def test_a_refusal_that_no_step_explains_is_one(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library decides: where it refuses and every step holds, the bundle is refused, with the code for that."""

    def refuse(*_: object) -> None:
        raise RuntimeError("something new")

    monkeypatch.setattr(Verifier, "verify_dsse", refuse)
    with pytest.raises(NotCertified, match=r"^sigstore: something new$") as caught:
        certify(Recipe(kind=kind))
    assert caught.value.code == "not-certified"


OTHER_PAYLOAD = Recipe(payload=PAYLOAD + b" ")
OTHER_CERTIFICATE = Recipe(certificate=Certificate(not_after=AT + 9 * MINUTE))


@pytest.mark.parametrize("other", [OTHER_PAYLOAD, OTHER_CERTIFICATE])
def test_two_readings_of_one_bundle_are_refused(other: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the library read another signature or certificate out of the same bytes, nobody is to be believed."""
    read = Bundle.from_json
    monkeypatch.setattr(Bundle, "from_json", lambda _: read(other.content))
    with pytest.raises(NotCertified, match=r"two (signatures|certificates) can be read") as caught:
        certify(Recipe())
    assert caught.value.code == "bundle-invalid"


@pytest.mark.parametrize("seen", [("text/plain", PAYLOAD), (Recipe().payload_type, PAYLOAD + b" ")])
def test_two_readings_of_one_payload_are_refused(seen: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """What the library says that it verified has to be what we have read."""
    monkeypatch.setattr(Verifier, "verify_dsse", lambda *_: seen)
    with pytest.raises(NotCertified, match="two payloads can be read") as caught:
        certify(Recipe())
    assert caught.value.code == "bundle-invalid"


# Whatever the library raises.


class PanicException(BaseException):
    """As Rust code raises it."""


@pytest.mark.parametrize(
    "error", [ValueError("a\nb\x1b[31m" + "x" * 999), KeyError("x"), RecursionError(), PanicException("p")]
)
def test_whatever_the_library_raises_is_a_refusal(error: BaseException) -> None:
    """Every exception becomes a refusal with the code, in one short printable line."""
    with pytest.raises(NotCertified) as caught, refusing(Uncertified.CHAIN_INVALID, "the chain"):
        raise error
    assert caught.value.code is Uncertified.CHAIN_INVALID
    assert str(caught.value).startswith("the chain: ")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "error", [MemoryError(), KeyboardInterrupt(), SystemExit(), NotCertified(Uncertified.TIME_MISSING, "no time")]
)
def test_what_is_no_fault_of_the_input_passes(error: BaseException) -> None:
    """No memory, a user who stops the program, and a refusal that already has its code stay what they are."""
    with pytest.raises(type(error)) as caught, refusing(Uncertified.CHAIN_INVALID, "the chain"):
        raise error
    assert caught.value is error
