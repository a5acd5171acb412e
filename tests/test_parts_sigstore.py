"""The private Sigstore is what the other tests take it for: real services, and doubles that behave like them."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import json
import os
import shlex
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.cli.running import spawn
from tests.core.make_trust import NOW, START
from tests.parts import web
from tests.parts.find import PROJECT, require
from tests.parts.sigstore import PROGRAMS, PrivateSigstore
from tests.parts.sigstore_ctlog import spki, without_poison
from tests.parts.sigstore_issuer import COMMIT

pytestmark = pytest.mark.parts

EXTENSION = "1.3.6.1.4.1.57264.1"


def ask_for_certificate(running: PrivateSigstore, token: str) -> tuple[int, x509.Certificate | None]:
    """Fulcio's status, and the certificate that it issued for a new key and this token."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    pem = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    answer = web.request(
        "POST",
        f"{running.fulcio_url}/api/v2/signingCert",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        body=json.dumps({"certificateSigningRequest": pem}).encode(),
    )
    if answer.status != 200:
        return answer.status, None
    chain = json.loads(answer.body)["signedCertificateEmbeddedSct"]["chain"]["certificates"]
    return 200, x509.load_pem_x509_certificate(chain[0].encode())


def said(certificate: x509.Certificate | None, number: int) -> str:
    """A claim of a Fulcio certificate."""
    assert certificate is not None
    found = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(f"{EXTENSION}.{number}")).value
    assert isinstance(found, x509.UnrecognizedExtension)
    assert found.value[0] == 0x0C  # UTF8String
    assert found.value[1] == len(found.value) - 2
    return found.value[2:].decode()


def test_a_certificate_says_what_the_job_is(private_sigstore: PrivateSigstore) -> None:
    """Fulcio puts the job's claims into the extensions that its documentation lists, and the workflow into the name."""
    status, certificate = ask_for_certificate(private_sigstore, private_sigstore.token())
    assert status == 200
    assert certificate is not None
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [private_sigstore.identity()]
    repository = f"{private_sigstore.forge}/plex/playlist"
    assert {number: said(certificate, number) for number in (8, 12, 13, 14, 18, 20, 21)} == {
        8: private_sigstore.issuer,
        12: repository,
        13: COMMIT,
        14: "refs/heads/main",
        18: private_sigstore.identity(),
        20: "push",
        21: f"{repository}/actions/runs/43",
    }


def test_the_log_promises_what_fulcio_issues(private_sigstore: PrivateSigstore) -> None:
    """The certificate carries one promise of the CT log, over the certificate without the promise."""
    _, certificate = ask_for_certificate(private_sigstore, private_sigstore.token())
    assert certificate is not None
    promises = certificate.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps)
    (promise,) = promises.value
    assert promise.log_id == hashlib.sha256(spki(private_sigstore.ctlog_key)).digest()
    issuer = hashlib.sha256(spki(private_sigstore.authority.chain[0].public_key())).digest()
    tbs = certificate.tbs_precertificate_bytes
    moment = round(promise.timestamp.replace(tzinfo=datetime.UTC).timestamp() * 1000)
    head = struct.pack(">BBQH", 0, 0, moment, 1)
    signed = head + issuer + len(tbs).to_bytes(3) + tbs + bytes(2)
    private_sigstore.ctlog_key.verify(promise.signature, signed, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "somebody else"},
        {"exp": 1},
        {"exp": None},
        {"iss": "https://forge.example.org/api/actions"},
        {"sha": None},
        {"workflow_ref": None},
    ],
)
def test_fulcio_refuses_what_it_was_not_told_to_take(
    claims: Mapping[str, object], private_sigstore: PrivateSigstore
) -> None:
    """Another audience, a token whose time is over, an unknown issuer or a claim that is missing: no certificate."""
    status, certificate = ask_for_certificate(private_sigstore, private_sigstore.token(**claims))
    assert status in {400, 401, 500}
    assert certificate is None


def test_fulcio_refuses_a_forged_token(private_sigstore: PrivateSigstore) -> None:
    """A token under a key that the issuer does not publish is refused, and so is one of an issuer nobody configured."""
    assert ask_for_certificate(private_sigstore, private_sigstore.issuers.forged())[0] in {400, 401}
    unknown = private_sigstore.token(iss=private_sigstore.issuers.unknown_issuer)
    assert ask_for_certificate(private_sigstore, unknown)[0] in {400, 401}


def test_there_is_a_second_forge(private_sigstore: PrivateSigstore) -> None:
    """Fulcio takes tokens of another forge as well, and the certificate names that one."""
    other = private_sigstore.issuers.other_issuer
    status, certificate = ask_for_certificate(private_sigstore, private_sigstore.token(iss=other))
    assert status == 200
    assert said(certificate, 8) == other
    assert said(certificate, 12) == f"{other.removesuffix('/api/actions')}/plex/playlist"


def test_without_the_ct_log_there_is_no_certificate(private_sigstore: PrivateSigstore) -> None:
    """While the CT log is broken Fulcio issues nothing, and afterwards it does again."""
    with private_sigstore.ctlog.broken():
        assert ask_for_certificate(private_sigstore, private_sigstore.token())[0] >= 500
    assert ask_for_certificate(private_sigstore, private_sigstore.token())[0] == 200


def test_a_job_asks_its_forge_for_a_token(private_sigstore: PrivateSigstore) -> None:
    """The variables of a job lead to a token for the audience that it asks for; a stranger gets none."""
    variables = private_sigstore.issuers.job_environment(sha="0" * 40)
    url = variables["ACTIONS_ID_TOKEN_REQUEST_URL"] + "&audience=sigstore"
    right = {"Authorization": f"bearer {variables['ACTIONS_ID_TOKEN_REQUEST_TOKEN']}"}
    answer = web.request("GET", url, headers=right)
    status, certificate = ask_for_certificate(private_sigstore, json.loads(answer.body)["value"])
    assert (answer.status, status, said(certificate, 13)) == (200, 200, "0" * 40)
    assert web.request("GET", url).status == 401
    default = json.loads(web.request("GET", variables["ACTIONS_ID_TOKEN_REQUEST_URL"], headers=right).body)["value"]
    assert ask_for_certificate(private_sigstore, default)[0] in {400, 401}


def test_a_variant_changes_files_only(private_sigstore: PrivateSigstore, tmp_path: Path) -> None:
    """A variant has other addresses and keys in files of its own; the original keeps its own."""
    before = private_sigstore.trust_config.read_bytes()
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    variant = private_sigstore.variant(tmp_path, rekor_url="http://127.0.0.1:1", ctlog_key=other)
    config = json.loads(variant.trust_config.read_text())
    assert config["signingConfig"]["rekorTlogUrls"][0]["url"] == "http://127.0.0.1:1"
    original = json.loads(before)
    assert config["trustedRoot"]["ctlogs"][0]["logId"] != original["trustedRoot"]["ctlogs"][0]["logId"]
    assert private_sigstore.trust_config.read_bytes() == before


def test_only_the_poison_is_removed() -> None:
    """What the CT log signs is the certificate's own TBS when nothing was to be removed, also with long lengths."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x" * 60)])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(START).not_valid_after(NOW)
    usage = x509.SubjectAlternativeName([x509.UniformResourceIdentifier("https://example.org/" + "y" * 300)])
    builder = builder.add_extension(usage, critical=True)
    plain = builder.sign(key, hashes.SHA256()).tbs_certificate_bytes
    poisoned = builder.add_extension(x509.PrecertPoison(), critical=True).sign(key, hashes.SHA256())
    assert without_poison(plain) == plain
    assert without_poison(poisoned.tbs_certificate_bytes) == plain
    assert poisoned.tbs_certificate_bytes != plain


@contextlib.contextmanager
def make_sigstore(folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """What `make sigstore` runs, in a folder of its own, and what it printed until it was up."""
    for program in PROGRAMS:
        require(program)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.parts.sigstore_try"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            assert process.stdout is not None
            lines = []
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if line.startswith("Ctrl-C"):
                    break
            yield process, lines
        finally:
            if process.poll() is None:
                process.terminate()


def commands(lines: Sequence[str]) -> list[list[str]]:
    """The `attest` command lines among them, continued lines joined."""
    text = "\n".join(lines).replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("  attest ")]


def test_what_make_sigstore_says_is_true(tmp_path: Path) -> None:
    """Every command that `make sigstore` proposes works, and verifying also does when everything is stopped."""
    with make_sigstore(tmp_path) as (process, lines):
        proposed = commands(lines)
        assert [words[0] for words in proposed] == ["trust", "sign", "verify", "trust"]
        for words in proposed:
            done = spawn(*words, cwd=tmp_path)
            assert done.code == 0, (words, done.err)
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        assert process.stdout is not None
        assert "Everything is stopped" in process.stdout.read()
        (verify,) = (words for words in proposed if words[0] == "verify")
        assert spawn(*verify, cwd=tmp_path).code == 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_make_sigstore_leaves_nothing_running(sent: signal.Signals, tmp_path: Path) -> None:
    """Told to stop, `make sigstore` ends with 0 and with everything that it started."""
    with make_sigstore(tmp_path) as (process, _):
        config = json.loads((tmp_path / ".sigstore" / "trust_config.json").read_text())["signingConfig"]
        fulcio = config["caUrls"][0]["url"]
        assert web.request("GET", f"{fulcio}/api/v2/trustBundle").status == 200
        process.send_signal(sent)
        assert process.wait(30) == 0
    with pytest.raises(OSError, match="refused"):
        web.request("GET", f"{fulcio}/api/v2/trustBundle")
