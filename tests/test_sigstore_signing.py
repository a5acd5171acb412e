"""Signing keyless, and before witnesses: with real services, and with each of them failing in each way."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import CertificateSigningRequestBuilder, Name

from attest.adapters.deadline import Deadline
from attest.adapters.keys import load_signer
from attest.adapters.keys.generate import generate
from attest.adapters.sigstore.configuration import LogVersion, Services, read_services
from attest.adapters.sigstore.exchange import Network
from attest.adapters.sigstore.signing import Keyless, make_keyless
from attest.adapters.sigstore.tokens import find_token
from attest.adapters.sigstore.trust import SigstoreTrust
from attest.adapters.sigstore.witness import make_witnessed
from attest.core.envelope import pae, read_bundle
from attest.core.material import read_material
from attest.core.oci import IN_TOTO
from attest.core.statement import Context, write_statement
from attest.errors import AttestError, DocumentInvalid, ServiceFailed, TokenUnusable, UsageError
from attest.ports import Signed
from tests import faulty_service as faulty
from tests.faulty_service import FaultyService
from tests.openssl_keys import key_pair, write
from tests.parts.process import LOOPBACK, free_port
from tests.parts.sigstore import PrivateSigstore
from tests.parts.sigstore_keys import make_certificate_authority, make_timestamp_authority
from tests.rekor_v1 import RekorV1

pytestmark = pytest.mark.parts

DIGEST = "sha256:" + 64 * "a"
PAYLOAD = write_statement(
    subjects={DIGEST: "registry.example.org/plex/backend"},  # type: ignore[dict-item]  # a digest is a string
    context=Context(lane="unit", repository="https://git.example.org/plex/playlist", commit=40 * "a"),
    predicate_type="https://example.org/review/v1",
    predicate={"text": "caf\u00e9 \u2028 <>&"},
)
How = Literal["keyless", "witnessed"]
BOTH: tuple[How, ...] = ("keyless", "witnessed")


@dataclass(frozen=True, kw_only=True)
class Signing:
    """Signs with the services of a private Sigstore, in either way."""

    sigstore: PrivateSigstore
    folder: Path

    def services(self, change: Callable[[dict[str, Any]], None] | None = None) -> Services:
        """Its services, after a change to the configuration."""
        document = json.loads(self.sigstore.trust_config.read_text())
        if change is not None:
            change(document)
        return read_services(json.dumps(document).encode(), file="trust.json")

    def sign(
        self, how: How = "keyless", *, services: Services | None = None, seconds: float = 60, **claims: object
    ) -> Signed:
        """A signature over `PAYLOAD`."""
        network = Network(deadline=Deadline(seconds))
        chosen = self.services() if services is None else services
        if how == "witnessed":
            if not (self.folder / "unit.key").exists():
                generate("unit", self.folder, "ecdsa-p256", None)
            return make_witnessed(load_signer(self.folder / "unit.key", None), chosen, network).sign(PAYLOAD)
        return self.keyless(chosen, network, **claims).sign(PAYLOAD)

    def keyless(self, services: Services, network: Network, **claims: object) -> Keyless:
        """A signer for a token with these claims."""
        environment = {"SIGSTORE_ID_TOKEN": self.sigstore.token(**claims)}
        token = find_token(environment, file=None, network=network, now=datetime.now(UTC))
        return make_keyless(services, network, token)

    def trust(self) -> SigstoreTrust:
        """What verifies it."""
        return SigstoreTrust(self.sigstore.trusted_root.read_bytes())

    def variant(self, name: str, **changes: Any) -> Signing:
        """The same with other addresses, or keys in the trusted root."""
        return Signing(sigstore=self.sigstore.variant(self.folder / name, **changes), folder=self.folder)


@pytest.fixture
def signing(private_sigstore: PrivateSigstore, tmp_path: Path) -> Signing:
    """With everything as it should be."""
    return Signing(sigstore=private_sigstore, folder=tmp_path)


@pytest.fixture
def before(signing: Signing) -> Iterator[Callable[[str], FaultyService]]:
    """Puts a service that fails before the real one of a kind: `fulcio`, `rekor` or `tsa`."""
    with ExitStack() as stack:

        def put(kind: str) -> FaultyService:
            return stack.enter_context(FaultyService(behind=getattr(signing.sigstore, f"{kind}_url")).running())

        yield put


# ---- as it should be


def test_a_job_signs_as_what_it_is(signing: Signing) -> None:
    """The bundle verifies under the trusted root, is of exactly the payload, and says what the token says."""
    signed = signing.sign(sha=40 * "c", ref="refs/tags/v1", event_name="release")
    certified = signing.trust().certify(signed.bundle)
    assert (certified.certificate, certified.times) == (signed.certificate, signed.times)
    said, forge = certified.certificate, signing.sigstore.forge
    assert (said.issuer, said.repository) == (signing.sigstore.issuer, f"{forge}/plex/playlist")
    assert (said.commit, said.ref, said.trigger) == (40 * "c", "refs/tags/v1", "release")
    assert said.identity == signing.sigstore.identity()
    assert signed.fingerprint == said.fingerprint
    envelope = read_bundle(signed.bundle)
    assert (envelope.payload_type, envelope.payload) == (IN_TOTO, PAYLOAD)
    assert said.key.verifies(envelope.signature, pae(IN_TOTO, PAYLOAD))


def test_each_signature_has_a_key_of_its_own(signing: Signing) -> None:
    """Two signatures share neither key nor certificate, and neither key is anywhere to be found in the bundle."""
    first, second = signing.sign(), signing.sign()
    assert first.fingerprint != second.fingerprint
    assert b"PRIVATE" not in first.bundle


def test_sigstore_python_accepts_it(signing: Signing) -> None:
    """The library's own verifier, with its own policy of an identity, accepts what was signed."""
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier
    from sigstore.verify.policy import Identity

    signed = signing.sign()
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(signing.sigstore.trusted_root)))
    policy = Identity(identity=signing.sigstore.identity(), issuer=signing.sigstore.issuer)
    assert verifier.verify_dsse(Bundle.from_json(signed.bundle), policy) == (IN_TOTO, PAYLOAD)


def test_a_key_signs_before_witnesses(signing: Signing) -> None:
    """The bundle of a managed key carries a log entry and a timestamp, which bound its time."""
    start = datetime.now(UTC).replace(microsecond=0)
    signed = signing.sign("witnessed")
    assert signed.certificate is None
    key = load_signer(signing.folder / "unit.key", None)
    envelope, material = read_bundle(signed.bundle), read_material(signed.bundle)
    assert envelope.payload == PAYLOAD
    assert envelope.hint == key.hint
    assert key.public.verifies(envelope.signature, pae(IN_TOTO, PAYLOAD))
    assert (len(material.entries), len(material.timestamps), material.certificate) == (1, 1, None)
    assert signed.times == signing.trust().times(signed.bundle)
    assert start <= signed.times[0] <= datetime.now(UTC) + timedelta(seconds=1)


@pytest.mark.parametrize("algorithm", ["ecdsa-p384", "rsa-2048"])
def test_keys_of_other_algorithms_are_witnessed(algorithm: str, signing: Signing) -> None:
    """A Rekor v2 log takes P-384 with SHA-384 and RSA under the names that the algorithm registry gives them."""
    private, _ = key_pair(algorithm)
    key = load_signer(write(signing.folder / "other.key", private), None)
    signed = make_witnessed(key, signing.services(), Network(deadline=Deadline(60))).sign(PAYLOAD)
    assert len(signed.times) == 1


def test_an_ed25519_key_is_refused_by_rekor_v2_in_words(signing: Signing) -> None:
    """Pure Ed25519 has no digest that Rekor v2 could log: that is said before anything is asked."""
    generate("ed", signing.folder, "ed25519", None)
    key = load_signer(signing.folder / "ed.key", None)
    with pytest.raises(UsageError, match="ed25519") as caught:
        make_witnessed(key, signing.services(), Network(deadline=Deadline(60)))
    assert "ECDSA" in (caught.value.hint or "")


@pytest.mark.parametrize("how", BOTH)
def test_every_timestamp_authority_is_asked(how: How, signing: Signing, before: Callable[[str], FaultyService]) -> None:
    """With the selector ALL each operator's authority gives a timestamp, and all of them are in the bundle."""
    others = [before("tsa"), before("tsa")]

    def all_of_them(document: dict[str, Any]) -> None:
        config = document["signingConfig"]
        (first,) = config["tsaUrls"]
        config["tsaUrls"] += [{**first, "url": one.url, "operator": one.url} for one in others]
        config["tsaConfig"] = {"selector": "ALL"}

    services = signing.services(all_of_them)
    assert len(services.timestamps) == 3
    assert list(services.names())[1:4] == [f"timestamp authority {number}" for number in (1, 2, 3)]
    signed = signing.sign(how, services=services)
    assert len(read_material(signed.bundle).timestamps) == 3
    assert [len(one.asked) for one in others] == [1, 1]


def test_a_token_of_a_clock_that_is_ahead_is_waited_for(signing: Signing) -> None:
    """A token that begins a second from now, by a clock that is a little ahead, is used when it has begun."""
    soon = int(datetime.now(UTC).timestamp()) + 2
    assert signing.sign(nbf=soon, iat=soon).certificate is not None


def test_a_token_is_not_waited_for_beyond_the_deadline(signing: Signing) -> None:
    """Waiting for a token to begin ends with the command's time."""
    soon = int(datetime.now(UTC).timestamp()) + 50
    with pytest.raises(TokenUnusable):
        signing.sign(seconds=0.5, nbf=soon)


# ---- Rekor v1


@pytest.fixture
def rekor_v1(signing: Signing) -> Iterator[tuple[RekorV1, Signing, Callable[[dict[str, Any]], None]]]:
    """A Rekor v1 in place of the real log, what signs with it, and the change that names it in a configuration."""
    with RekorV1().running() as rekor:

        def name_it(document: dict[str, Any]) -> None:
            (log,) = document["signingConfig"]["rekorTlogUrls"]
            document["signingConfig"]["rekorTlogUrls"] = [{**log, "url": rekor.url, "majorApiVersion": 1}]
            document["signingConfig"].update(tsaUrls=[])
            document["trustedRoot"]["tlogs"] = [rekor.described()]

        yield rekor, signing, name_it


@pytest.mark.parametrize("how", BOTH)
def test_rekor_v1_logs_it_and_tells_the_time(
    how: How, rekor_v1: tuple[RekorV1, Signing, Callable[[dict[str, Any]], None]]
) -> None:
    """A Rekor v1 gets an entry of type dsse; without any timestamp authority its promise says when it was."""
    rekor, signing, name_it = rekor_v1
    services = signing.services(name_it)
    assert (services.log_version, services.timestamps) == (LogVersion.REKOR_V1, ())
    signed = signing.sign(how, services=services)
    (entry,) = read_material(signed.bundle).entries
    assert (entry.kind, entry.body) == ("dsse", rekor.entries[0])
    assert signed.times == (entry.integrated,)
    trust = SigstoreTrust(services.trusted_root)
    assert (trust.certify(signed.bundle).times if how == "keyless" else trust.times(signed.bundle)) == signed.times


def test_rekor_v1_takes_an_ed25519_key(
    rekor_v1: tuple[RekorV1, Signing, Callable[[dict[str, Any]], None]],
) -> None:
    """An entry of type dsse verifies the message itself, so a pure Ed25519 key can be witnessed there."""
    _, signing, name_it = rekor_v1
    generate("ed", signing.folder, "ed25519", None)
    key = load_signer(signing.folder / "ed.key", None)
    signed = make_witnessed(key, signing.services(name_it), Network(deadline=Deadline(60))).sign(PAYLOAD)
    assert len(signed.times) == 1


@pytest.mark.parametrize("how", BOTH)
@pytest.mark.parametrize("changes", [{"integratedTime": 1}, {"logIndex": 5}, {"logID": 64 * "0"}, {"body": "e30="}])
def test_a_changed_answer_of_rekor_v1_is_refused(
    changes: Mapping[str, Any],
    how: How,
    rekor_v1: tuple[RekorV1, Signing, Callable[[dict[str, Any]], None]],
) -> None:
    """A promise that is not for this entry, time or log is no promise: nothing is handed out, and the log is named."""
    rekor, signing, name_it = rekor_v1
    rekor.changes = changes
    with pytest.raises(ServiceFailed, match=f"log at {rekor.url}"):
        signing.sign(how, services=signing.services(name_it))


# ---- services that fail

KINDS = {"fulcio": "certificate authority", "rekor": "transparency log", "tsa": "timestamp authority"}
FAULTS: Mapping[str, faulty.Answer] = {
    "nothing": faulty.says(200, b""),
    "garbage": faulty.says(200, b"\x00\xff garbage"),
    "an object": faulty.says(200, {}),
    "an array": faulty.says(201, [1, 2]),
    "null": faulty.says(201, b"null"),
    "a number": faulty.says(200, b"5"),
    "deep": faulty.says(200, b"[" * 100_000),
    "wrong types": faulty.says(201, {"signedCertificateEmbeddedSct": {"chain": {"certificates": [1, {}]}}}),
    "no certificates": faulty.says(201, {"signedCertificateEmbeddedSct": {"chain": {"certificates": ["a", "b"]}}}),
    "400": faulty.says(400, {"code": 3, "message": "no thanks"}),
    "404": faulty.says(404, b"<html>"),
    "409": faulty.says(409, {"code": 409, "message": "there already"}),
    "500": faulty.says(500, b""),
    "redirect": faulty.redirects,
    "breaks off": faulty.breaks_off,
    "no http": faulty.no_http,
    "endless": faulty.endless,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_service_that_answers_wrongly_is_named(
    kind: str, fault: str, signing: Signing, before: Callable[[str], FaultyService]
) -> None:
    """Whatever a service answers in place of doing its part: 3, by its name and address, and no other exception."""
    service = before(kind)
    service.answer = FAULTS[fault]
    with pytest.raises(ServiceFailed) as caught:
        signing.variant("faulty", **{f"{kind}_url": service.url}).sign()
    assert f"{KINDS[kind]} at {service.url}" in caught.value.message
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("how", BOTH)
@pytest.mark.parametrize("kind", ["rekor", "tsa"])
@pytest.mark.parametrize("fault", ["an object", "500"])
def test_witnesses_that_fail_are_named(
    kind: str, fault: str, how: How, signing: Signing, before: Callable[[str], FaultyService]
) -> None:
    """The same for what witnesses a key's signature."""
    service = before(kind)
    service.answer = FAULTS[fault]
    with pytest.raises(ServiceFailed, match=f"{KINDS[kind]} at {service.url}"):
        signing.variant("faulty", **{f"{kind}_url": service.url}).sign(how)


@pytest.mark.parametrize("answer", [faulty.silent, faulty.drips])
@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_service_ends_with_the_deadline(
    kind: str, answer: faulty.Answer, signing: Signing, before: Callable[[str], FaultyService]
) -> None:
    """A service that does not answer in time is named, and the command does not wait for it beyond its time."""
    service = before(kind)
    service.answer = answer
    with pytest.raises(ServiceFailed, match=f"{KINDS[kind]} at {service.url} did not answer in time"):
        signing.variant("slow", **{f"{kind}_url": service.url}).sign(seconds=3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dead_service_is_named(kind: str, signing: Signing) -> None:
    """Where nobody listens, the error says whom it was to ask."""
    url = f"http://{LOOPBACK}:{free_port()}"
    with pytest.raises(ServiceFailed, match=f"{KINDS[kind]} at {url} refused the connection"):
        signing.variant("dead", **{f"{kind}_url": url}).sign()


def test_the_certificate_transparency_log_may_be_down(signing: Signing) -> None:
    """A certificate authority that waits for a log of its own is not waited for beyond the deadline."""
    with signing.sigstore.ctlog.broken(), pytest.raises(ServiceFailed, match=r"certificate authority at .* in time"):
        signing.sign(seconds=3)


def test_one_timestamp_authority_of_several_may_not_fail(
    signing: Signing, before: Callable[[str], FaultyService]
) -> None:
    """Where two are asked and one fails nothing is signed, and the log is not even asked."""
    log, good = before("rekor"), before("tsa")
    dead = f"http://{LOOPBACK}:{free_port()}"

    def two(document: dict[str, Any]) -> None:
        config = document["signingConfig"]
        (first,) = config["tsaUrls"]
        config["tsaUrls"] = [{**first, "url": url, "operator": url} for url in (good.url, dead)]
        config["tsaConfig"] = {"selector": "EXACT", "count": 2}
        config["rekorTlogUrls"][0]["url"] = log.url

    with pytest.raises(ServiceFailed, match=f"timestamp authority at {dead}"):
        signing.sign(services=signing.services(two))
    assert (len(good.asked), len(log.asked)) == (1, 0)


def test_a_busy_service_is_asked_again(signing: Signing, before: Callable[[str], FaultyService]) -> None:
    """A failure that passes is no failure."""
    services = {kind: before(kind) for kind in KINDS}
    for service in services.values():
        service.answer, service.times = faulty.says(503, b""), 1
    changed = {f"{kind}_url": service.url for kind, service in services.items()}
    assert signing.variant("busy", **changed).sign().certificate is not None
    assert [len(service.asked) for service in services.values()] == [2, 2, 2]


# ---- services that lie


def test_a_promise_of_another_log_of_certificates_is_refused(
    signing: Signing, before: Callable[[str], FaultyService]
) -> None:
    """A certificate with a timestamp by another log than the trusted root's is not signed with."""
    other, log = ec.generate_private_key(ec.SECP256R1()).public_key(), before("rekor")
    with pytest.raises(ServiceFailed, match="certificate transparency"):
        signing.variant("sct", ctlog_key=other, rekor_url=log.url).sign()
    assert log.asked == []


def test_another_certificate_authority_is_refused(signing: Signing) -> None:
    """A certificate by an authority that is not in the trusted root is refused before it is handed out."""
    other = make_certificate_authority(signing.folder, "other")
    with pytest.raises(ServiceFailed, match=r"certificate authority at .* does not verify .*chain-invalid"):
        signing.variant("authority", authority=other).sign()


@pytest.mark.parametrize("how", BOTH)
def test_another_timestamp_authority_is_refused(
    how: How, signing: Signing, before: Callable[[str], FaultyService]
) -> None:
    """A timestamp by an authority that is not in the trusted root is refused before the log is asked."""
    log = before("rekor")
    other = make_timestamp_authority(signing.folder, "other")
    with pytest.raises(ServiceFailed, match=r"timestamp authority at .* does not verify"):
        signing.variant("stamps", timestamping=other, rekor_url=log.url).sign(how)
    assert log.asked == []


@pytest.mark.parametrize("how", BOTH)
def test_another_log_is_refused(how: How, signing: Signing) -> None:
    """An entry whose checkpoint another log signed is refused before anything is handed out."""
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(ServiceFailed, match=r"transparency log at .* does not verify"):
        signing.variant("log", log_key=other).sign(how)


@pytest.mark.parametrize("how", BOTH)
def test_an_old_timestamp_is_refused(how: How, signing: Signing, before: Callable[[str], FaultyService]) -> None:
    """A timestamp over another signature, real as it is, is none over this one."""
    tsa = before("tsa")
    variant = signing.variant("replay", tsa_url=tsa.url)
    old = read_material(variant.sign(how).bundle).timestamps[0]
    tsa.answer = faulty.says(201, old)
    with pytest.raises(ServiceFailed, match=f"timestamp authority at {tsa.url} gave a timestamp that does not verify"):
        variant.sign(how)


@pytest.mark.parametrize("how", BOTH)
def test_the_entry_of_another_envelope_is_refused(
    how: How, signing: Signing, before: Callable[[str], FaultyService]
) -> None:
    """A log that answers with a real entry of an earlier envelope proves nothing about this one."""
    log = before("rekor")
    variant = signing.variant("entry", rekor_url=log.url)
    bundle = json.loads(variant.sign(how).bundle)
    log.answer = faulty.says(201, bundle["verificationMaterial"]["tlogEntries"][0])
    with pytest.raises(ServiceFailed, match=f"log at {log.url}"):
        variant.sign(how)


@pytest.mark.parametrize("how", BOTH)
@pytest.mark.parametrize(
    "path",
    [
        ("inclusionProof", "rootHash"),
        ("inclusionProof", "checkpoint"),
        ("inclusionProof", "hashes"),
        ("inclusionProof", "treeSize"),
        ("inclusionProof",),
        ("canonicalizedBody",),
        ("logId",),
        ("kindVersion",),
    ],
    ids=".".join,
)
def test_a_spoiled_entry_is_refused(
    path: tuple[str, ...], how: How, signing: Signing, before: Callable[[str], FaultyService]
) -> None:
    """An entry of which any part is missing or of another entry is refused, and the log is named."""
    log = before("rekor")
    variant = signing.variant("spoiled", rekor_url=log.url)
    log.answer = faulty.changed(lambda entry: _without(entry, path), signing.sigstore.rekor_url)
    signing.sign(how)  # so that a proof has hashes
    with pytest.raises(ServiceFailed, match=f"log at {log.url}"):
        variant.sign(how)


def _without(document: Any, path: tuple[str, ...]) -> Any:
    if len(path) > 1:
        return {**document, path[0]: _without(document[path[0]], path[1:])}
    return {name: value for name, value in document.items() if name != path[0]}


@pytest.mark.parametrize(
    ("claims", "what"),
    [
        ({"sha": 40 * "d"}, "commit"),
        ({"ref": "refs/heads/other"}, "ref"),
        ({"repository": "plex/other"}, "repository"),
    ],
)
def test_a_certificate_that_says_something_else_is_refused(
    claims: dict[str, object], what: str, signing: Signing, before: Callable[[str], FaultyService]
) -> None:
    """A certificate that names another source than the token is not signed with, and the log is not asked."""
    fulcio, log = before("fulcio"), before("rekor")
    other = signing.sigstore.token(**claims)

    def with_another_token(handler: faulty.Handler, asked: faulty.Asked) -> None:
        asked.headers["authorization"] = f"Bearer {other}"
        fulcio.answer = None
        _pass_on(fulcio, handler, asked)

    fulcio.answer = with_another_token
    with pytest.raises(ServiceFailed, match=f"certificate with the {what} "):
        signing.variant("says", fulcio_url=fulcio.url, rekor_url=log.url).sign()
    assert log.asked == []


def test_a_certificate_of_another_issuer_is_refused(signing: Signing, before: Callable[[str], FaultyService]) -> None:
    """The issuer in the certificate has to be the token's, character by character."""
    fulcio = before("fulcio")
    other = signing.sigstore.token(iss=signing.sigstore.issuers.other_issuer)

    def with_another_token(handler: faulty.Handler, asked: faulty.Asked) -> None:
        asked.headers["authorization"] = f"Bearer {other}"
        _pass_on(fulcio, handler, asked)

    fulcio.answer = with_another_token
    with pytest.raises(ServiceFailed, match="certificate with the issuer "):
        signing.variant("issuer", fulcio_url=fulcio.url).sign()


def test_a_certificate_for_another_key_is_refused(signing: Signing, before: Callable[[str], FaultyService]) -> None:
    """A certificate for a key that is not the one which signs is of no use, and the log is not asked."""
    fulcio, log = before("fulcio"), before("rekor")
    key = ec.generate_private_key(ec.SECP256R1())
    request = CertificateSigningRequestBuilder().subject_name(Name([])).sign(key, hashes.SHA256())
    pem = request.public_bytes(serialization.Encoding.PEM)

    def for_another_key(handler: faulty.Handler, asked: faulty.Asked) -> None:
        body = json.dumps({"certificateSigningRequest": base64.b64encode(pem).decode()}).encode()
        headers = {name: value for name, value in asked.headers.items() if name != "content-length"}
        _pass_on(fulcio, handler, faulty.Asked(method="POST", target=asked.target, headers=headers, body=body))

    fulcio.answer = for_another_key
    with pytest.raises(ServiceFailed, match="certificate for another key"):
        signing.variant("key", fulcio_url=fulcio.url, rekor_url=log.url).sign()
    assert log.asked == []


def _pass_on(service: FaultyService, handler: faulty.Handler, asked: faulty.Asked) -> None:
    from tests.parts import web

    assert service.behind is not None
    passed = {name: value for name, value in asked.headers.items() if name not in {"host", "connection"}}
    answer = web.request(asked.method, service.behind + asked.target, headers=passed, body=asked.body)
    handler.send(answer.status, answer.body)


# ---- tokens that Fulcio refuses


@pytest.mark.parametrize("kind", ["forged", "unknown issuer"])
def test_what_fulcio_refuses_is_told(kind: str, signing: Signing) -> None:
    """A token under another key or of an issuer that Fulcio was not told about: its refusal is passed on."""
    issuers = signing.sigstore.issuers
    text = issuers.forged() if kind == "forged" else issuers.token(iss=issuers.unknown_issuer)
    network = Network(deadline=Deadline(60))
    token = find_token({"SIGSTORE_ID_TOKEN": text}, file=None, network=network, now=datetime.now(UTC))
    with pytest.raises(ServiceFailed, match=r"certificate authority at .* answered 4\d\d: \w"):
        make_keyless(signing.services(), network, token).sign(PAYLOAD)


@pytest.mark.parametrize("kind", KINDS)
def test_no_service_can_make_us_show_the_token(
    kind: str, signing: Signing, before: Callable[[str], FaultyService], capfd: pytest.CaptureFixture[str]
) -> None:
    """A refusal that repeats the request shows neither the token nor a part of it, nor does anything on the way."""
    service = before(kind)
    service.answer = faulty.repeats_authorization
    with pytest.raises(AttestError) as caught:
        signing.variant("secret", **{f"{kind}_url": service.url}).sign(jti="canary")
    said = [capfd.readouterr().err]
    following: BaseException | None = caught.value
    while following is not None:
        said += [str(following), repr(following)]
        following = following.__cause__
    text = "\n".join(said)
    assert "eyJ" not in text
    assert len(service.asked) == 1


# ---- configurations that cannot be used


def _config(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    return lambda document: change(document["signingConfig"])


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        inner: Any = document
        *parents, last = path.split(".")
        for name in parents:
            inner = inner[int(name) if name.isdigit() else name]
        inner[last] = value

    return change


def _twice(document: dict[str, Any]) -> None:
    config = document["signingConfig"]
    config["rekorTlogUrls"] = [{**config["rekorTlogUrls"][0], "operator": name} for name in "ab"]
    config["rekorTlogConfig"] = {"selector": "ALL"}


PAST = {"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}
LATER = {"start": "2999-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("mediaType", "x"), "mediaType"),
        (_set("trustedRoot", {}), "trustedRoot"),
        (_set("unknown", 1), "unknown"),
        (lambda document: document.pop("trustedRoot"), "no trustedRoot"),
        (lambda document: document.pop("signingConfig"), "no signingConfig|or no signingConfig"),
        (_set("signingConfig.mediaType", "application/vnd.dev.sigstore.signingconfig.v0.1+json"), "signing config"),
        (_set("signingConfig.caUrls", []), "No valid Fulcio"),
        (_set("signingConfig.caUrls.0.validFor", PAST), "No valid Fulcio"),
        (_set("signingConfig.caUrls.0.validFor", LATER), "No valid Fulcio"),
        (_set("signingConfig.caUrls.0.majorApiVersion", 7), "No valid Fulcio"),
        (_set("signingConfig.rekorTlogUrls", []), "No valid Rekor"),
        (_set("signingConfig.rekorTlogUrls.0.validFor", PAST), "No valid Rekor"),
        (_set("signingConfig.tsaUrls", []), "tells no time"),
        (_set("signingConfig.tsaUrls.0.validFor", PAST), "none of its timestamp authorities is in its time"),
        (_set("signingConfig.tsaConfig", {"selector": "EXACT", "count": 2}), "Expected 2"),
        (_twice, "entries in 2 logs"),
        (_set("signingConfig.caUrls.0.url", "http://fulcio.example.org"), "certificate authority is neither https"),
        (_set("signingConfig.rekorTlogUrls.0.url", "http://rekor.example.org"), "log is neither https"),
        (_set("signingConfig.tsaUrls.0.url", "ftp://127.0.0.1"), "timestamp authority is neither https"),
        (_set("signingConfig.caUrls.0.url", 5), "caUrls"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_an_error_of_the_file(
    change: Callable[[dict[str, Any]], None], words: str, signing: Signing
) -> None:
    """What is malformed, out of its time, unsafe or of no use is told with the file's name; nothing is asked."""
    with pytest.raises(DocumentInvalid, match=words) as caught:
        signing.services(change)
    assert (caught.value.file, caught.value.exit_code) == ("trust.json", 2)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b"\xff", b'{"a":1,"a":2}', b"[" * 100])
def test_what_is_no_configuration_is_an_error_of_the_file(content: bytes) -> None:
    """Bytes that are no JSON object, or two at once, are refused by name."""
    with pytest.raises(DocumentInvalid, match=r"^trust\.json: "):
        read_services(content, file="trust.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("trustedRoot.ctlogs.0.publicKey.validFor", PAST), "certificate transparency log"),
        (_set("trustedRoot.tlogs.0.publicKey.validFor", PAST), "no log"),
        (_set("trustedRoot.tlogs", []), "transparency log|tlogs"),
        (_set("trustedRoot.certificateAuthorities", []), "certificate authority"),
    ],
)
def test_a_trusted_root_out_of_its_time_is_an_error_of_the_file(
    change: Callable[[dict[str, Any]], None], words: str, signing: Signing
) -> None:
    """A trusted root that no signature of this moment could verify under is told as the file's fault."""
    with pytest.raises(DocumentInvalid, match=words) as caught:
        signing.sign(services=signing.services(change))
    assert caught.value.file == "trust.json"


def test_the_newest_version_of_an_operator_is_used(
    rekor_v1: tuple[RekorV1, Signing, Callable[[dict[str, Any]], None]],
) -> None:
    """Of two logs of one operator the one with the newer protocol is asked, as the specification says."""
    rekor, signing, _ = rekor_v1

    def both(document: dict[str, Any]) -> None:
        (log,) = document["signingConfig"]["rekorTlogUrls"]
        document["signingConfig"]["rekorTlogUrls"] += [{**log, "url": rekor.url, "majorApiVersion": 1}]

    services = signing.services(both)
    assert (services.log_version, services.log.url) == (LogVersion.REKOR_V2, signing.sigstore.rekor_url)
