"""Services that fail while something is signed, in each way that they can, and services that lie."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import CertificateSigningRequestBuilder, Name

from attest.adapters.deadline import Deadline
from attest.adapters.sigstore.exchange import Network
from attest.adapters.sigstore.signing import make_keyless
from attest.adapters.sigstore.tokens import find_token
from attest.core.material import read_material
from attest.errors import AttestError, ServiceFailed
from tests import faulty_service as faulty
from tests.faulty_service import FaultyService
from tests.parts import web
from tests.parts.process import LOOPBACK, free_port
from tests.parts.sigstore import PrivateSigstore
from tests.parts.sigstore_keys import make_certificate_authority, make_timestamp_authority
from tests.sigstore_scene import BOTH, PAYLOAD, How, Signing

pytestmark = pytest.mark.parts


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
    """A certificate authority whose own log is down says so, and nothing is signed."""
    with signing.sigstore.ctlog.broken(), pytest.raises(ServiceFailed, match=r"certificate authority at .* answered 5"):
        signing.sign()


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
