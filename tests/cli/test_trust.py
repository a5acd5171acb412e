"""`attest trust init` and `attest trust show`, against real services and against ones that answer something else."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.cli.running import Ended, attest, spawn
from tests.parts import loopback, web
from tests.parts.process import LOOPBACK, free_port
from tests.parts.sigstore import PrivateSigstore, log_id
from tests.parts.sigstore_ctlog import spki
from tests.parts.sigstore_keys import (
    Authority,
    make_certificate_authority,
    make_timestamp_authority,
    write_public_key,
)

FILES = ("trusted_root.json", "signing_config.json", "trust_config.json")


def init(folder: Path, *options: object, **named: object) -> Ended:
    """Run `attest trust init` with `--NAME VALUE` for each of `named`, into `folder / "trust"`."""
    arguments = [word for name, value in named.items() for word in (f"--{name.replace('_', '-')}", value)]
    return attest("trust", "init", *arguments, "--output", "trust", *options, cwd=folder)


def of(running: PrivateSigstore, **changes: object) -> dict[str, object]:
    """The options that name a private Sigstore's services; None leaves one out."""
    options = {
        "fulcio": running.fulcio_url,
        "rekor": running.rekor_url,
        "rekor_key": running.log_key_file,
        "tsa": running.tsa_url,
        "ctlog_key": running.ctlog_key_file,
        **changes,
    }
    return {name: value for name, value in options.items() if value is not None}


def load(folder: Path, name: str) -> Any:
    """One of the files that were written."""
    return json.loads((folder / "trust" / name).read_text())


# ---- services that are doubles


class Double:
    """Services that answer what a test wants: status and body, by path."""

    def __init__(self, answers: Mapping[str, tuple[int, bytes]]) -> None:
        self.asked: list[str] = []
        double = self

        class Handler(loopback.Handler):
            def respond(self) -> None:
                self.body()
                double.asked.append(self.path)
                status, body = answers.get(self.path, (404, b"{}"))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                if status == 302:
                    self.send_header("Location", "https://elsewhere.example.org/")
                self.end_headers()
                self.wfile.write(body)

        self._http = loopback.Server(Handler)

    @property
    def url(self) -> str:
        """Where all of them are."""
        return f"http://{self._http.host}"

    @contextlib.contextmanager
    def running(self) -> Iterator[Double]:
        """Answer until the block ends."""
        with self._http.running():
            yield self


def bundle(*authorities: Authority) -> bytes:
    """Fulcio's answer."""
    encoding = serialization.Encoding.PEM
    chains = [{"certificates": [one.public_bytes(encoding).decode() for one in each.chain]} for each in authorities]
    return json.dumps({"chains": chains}).encode()


def pem(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    """A public key in PEM."""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


class Doubles:
    """What the doubles of all three services are made of: authorities, and the log's key."""

    def __init__(self, folder: Path) -> None:
        self.fulcio = make_certificate_authority(folder)
        self.tsa = make_timestamp_authority(folder)
        self.log = ed25519.Ed25519PrivateKey.generate()
        self.ctlog = ec.generate_private_key(ec.SECP256R1())
        self.log_file = write_public_key(folder / "log.pub", self.log.public_key())
        self.ctlog_file = write_public_key(folder / "ct.pub", self.ctlog.public_key())

    def answers(self) -> dict[str, tuple[int, bytes]]:
        """What right services answer, as a Rekor v2 whose tiles are served beside it."""
        return {
            "/api/v2/trustBundle": (200, bundle(self.fulcio)),
            "/api/v1/timestamp/certchain": (200, self.tsa.chain_file.read_bytes()),
            "/api/v2/checkpoint": (200, self.checkpoint()),
        }

    def checkpoint(self, origin: str = LOOPBACK) -> bytes:
        """The signed head of the log."""
        text = f"{origin}\n1\n{base64.b64encode(bytes(32)).decode()}\n".encode()
        signature = log_id(self.log.public_key(), origin)[:4] + self.log.sign(text)
        return text + f"\n— {origin} {base64.b64encode(signature).decode()}\n".encode()

    def init(
        self, folder: Path, answers: Mapping[str, tuple[int, bytes]], *options: object, **changes: object
    ) -> Ended:
        """Run `attest trust init` against services that give these answers."""
        with Double(answers).running() as double:
            named = {
                "fulcio": double.url,
                "rekor": double.url,
                "rekor_key": self.log_file,
                "tsa": double.url,
                "ctlog_key": self.ctlog_file,
                **changes,
            }
            kept = {name: value for name, value in named.items() if value is not None}
            return init(folder, *options, **kept)


@pytest.fixture
def doubles(tmp_path: Path) -> Doubles:
    """Doubles of all services."""
    (tmp_path / "doubles").mkdir()
    return Doubles(tmp_path / "doubles")


# ---- the real services


@pytest.mark.parts
def test_what_real_services_say_is_written(private_sigstore: PrivateSigstore, tmp_path: Path) -> None:
    """Chains, keys, ids and addresses are those that the services were set up with."""
    done = init(tmp_path, **of(private_sigstore, ctlog=private_sigstore.ctlog.url))
    assert (done.code, done.err) == (0, "")
    expected = private_sigstore.trusted_root_document()
    root, signing, both = (load(tmp_path, name) for name in FILES)
    assert both["trustedRoot"] == root
    assert both["signingConfig"] == signing
    for kind in ("certificateAuthorities", "timestampAuthorities"):
        (entry,), (wanted,) = root[kind], expected[kind]
        assert (entry["uri"], entry["certChain"]) == (wanted["uri"], wanted["certChain"])
    for kind in ("tlogs", "ctlogs"):
        (entry,), (wanted,) = root[kind], expected[kind]
        assert (entry["baseUrl"], entry["logId"]) == (wanted["baseUrl"], wanted["logId"])
        assert entry["publicKey"]["rawBytes"] == wanted["publicKey"]["rawBytes"]
    wanted = private_sigstore.signing_config_document()
    for kind in ("caUrls", "rekorTlogUrls", "tsaUrls"):
        found, named = signing[kind][0], wanted[kind][0]
        assert (found["url"], found["majorApiVersion"]) == (named["url"], named["majorApiVersion"])


@pytest.mark.parts
def test_fingerprints_are_shown(private_sigstore: PrivateSigstore, tmp_path: Path) -> None:
    """Every certificate and key that is believed from now on is shown by its fingerprint, for comparing."""
    done = init(tmp_path, **of(private_sigstore))
    for authority in (private_sigstore.authority, private_sigstore.timestamping):
        for certificate in authority.chain:
            assert f"sha256:{certificate.fingerprint(hashes.SHA256()).hex()}" in done.out
    for key in (private_sigstore.log_key, private_sigstore.ctlog_key):
        assert f"sha256:{hashlib.sha256(spki(key)).hexdigest()}" in done.out
    assert "serves no checkpoint, so --rekor-key could not be compared with it" in done.out
    assert "Nothing to warn of" in done.out


@pytest.mark.parts
def test_what_is_written_signs_and_verifies(private_sigstore: PrivateSigstore, tmp_path: Path) -> None:
    """sigstore-python signs with the trust configuration and verifies with the trusted root that were written."""
    from sigstore.dsse import DigestSet, StatementBuilder, Subject
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken
    from sigstore.sign import SigningContext
    from sigstore.verify import Verifier, policy

    init(tmp_path, **of(private_sigstore))
    config = ClientTrustConfig.from_json((tmp_path / "trust" / "trust_config.json").read_text())
    subject = Subject(name="x", digest=DigestSet(root={"sha256": "00" * 32}))
    statement = StatementBuilder().subjects([subject]).predicate_type("https://example.org/x").predicate({}).build()
    with SigningContext.from_trust_config(config).signer(IdentityToken(private_sigstore.token())) as signer:
        signed = signer.sign_dsse(statement)
    identity = policy.Identity(identity=private_sigstore.identity(), issuer=private_sigstore.issuer)
    payload_type, _ = Verifier(trusted_root=config.trusted_root).verify_dsse(signed, identity)
    assert payload_type == "application/vnd.in-toto+json"


@pytest.mark.parts
def test_rekor_v2_does_not_hand_out_its_key(private_sigstore: PrivateSigstore, tmp_path: Path) -> None:
    """Without --rekor-key a Rekor v2 is a usage error that says what to give, and nothing is written."""
    done = init(tmp_path, **of(private_sigstore, rekor_key=None))
    assert done.code == 2
    assert f"Rekor v2 at {private_sigstore.rekor_url} does not hand out its key" in done.err
    assert "--rekor-key FILE" in done.err
    assert not (tmp_path / "trust").exists()


@pytest.mark.parts
@pytest.mark.parametrize(
    ("option", "named"),
    [("fulcio", "Fulcio at"), ("rekor", "Rekor at"), ("tsa", "the timestamp authority at")],
)
def test_a_service_that_is_down_is_named(
    option: str, named: str, private_sigstore: PrivateSigstore, tmp_path: Path
) -> None:
    """Each service that does not answer is exit 3, named with its address, and nothing is written."""
    dead = f"http://{LOOPBACK}:{free_port()}"
    done = init(tmp_path, **of(private_sigstore, **{option: dead}))
    assert done.code == 3
    assert f"error: {named} {dead}" in done.err
    assert "refused the connection" in done.err
    assert not (tmp_path / "trust").exists()


@pytest.mark.parts
@pytest.mark.parametrize(
    ("option", "other", "problem"),
    [
        ("fulcio", "rekor", "Fulcio at {} answered 404"),
        ("fulcio", "tsa", "Fulcio at {} answered 404"),
        ("rekor", "fulcio", "what is at {} is no Rekor"),
        ("tsa", "fulcio", "the timestamp authority at {}/api/v1/timestamp answered 404"),
    ],
)
def test_services_that_are_mixed_up_are_noticed(
    option: str, other: str, problem: str, private_sigstore: PrivateSigstore, tmp_path: Path
) -> None:
    """A real service in the place of another one is noticed, with its address."""
    url = str(of(private_sigstore)[other]).removesuffix("/api/v1/timestamp")
    done = init(tmp_path, **of(private_sigstore, **{option: url}))
    assert done.code == 3
    assert problem.format(url) in done.err


# ---- doubles: what real services do not do here


def test_a_checkpoint_vouches_for_the_key(doubles: Doubles, tmp_path: Path) -> None:
    """Where the log's checkpoint is served, the given key is compared with it."""
    done = doubles.init(tmp_path, doubles.answers())
    assert (done.code, done.err) == (0, "")
    assert "verifies under --rekor-key" in done.out
    assert load(tmp_path, "signing_config.json")["rekorTlogUrls"][0]["majorApiVersion"] == 2


def test_rekor_v1_hands_out_its_key(doubles: Doubles, tmp_path: Path) -> None:
    """A Rekor v1 is asked for its key, which is ECDSA there; its id is that of the key alone."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    answers = doubles.answers() | {"/api/v1/log/publicKey": (200, pem(key))}
    done = doubles.init(tmp_path, answers, rekor_key=None, tsa=None)
    assert (done.code, done.err) == (0, "")
    assert "handed out its key" in done.out
    (log,) = load(tmp_path, "trusted_root.json")["tlogs"]
    assert base64.b64decode(log["logId"]["keyId"]) == hashlib.sha256(spki(key)).digest()
    assert load(tmp_path, "signing_config.json")["rekorTlogUrls"][0]["majorApiVersion"] == 1
    assert "warning: no-time-source" in done.out


@pytest.mark.parametrize(
    ("path", "answer", "problem"),
    [
        ("/api/v2/trustBundle", (200, b"<html>"), "Fulcio at {} answered what it may not answer: no JSON: "),
        ("/api/v2/trustBundle", (200, b'{"chains": []}'), "Fulcio at {} answered what it may not answer: no chains"),
        ("/api/v2/trustBundle", (500, b""), "Fulcio at {} answered 500"),
        ("/api/v2/trustBundle", (302, b""), "Fulcio at {} answered with a redirect"),
        ("/api/v2/trustBundle", (200, bytes(3_000_000)), "Fulcio at {} answered with more than"),
        ("/api/v1/log/publicKey", (200, b"x"), "Rekor at {} answered what it may not answer: no PEM public key"),
        ("/api/v1/log/publicKey", (403, b""), "Rekor at {} answered 403 when it was asked for its key"),
        ("/api/v2/checkpoint", (200, b"x"), "Rekor at {} answered what it may not answer: no checkpoint"),
        ("/api/v2/checkpoint", (404, b""), "what is at {} is no Rekor"),
        ("/api/v1/timestamp/certchain", (200, b"x"), "the timestamp authority at {}/api/v1/timestamp answered what"),
        ("/api/v1/timestamp/certchain", (404, b""), "the timestamp authority at {}/api/v1/timestamp answered 404"),
    ],
)
def test_garbage_is_named(path: str, answer: tuple[int, bytes], problem: str, doubles: Doubles, tmp_path: Path) -> None:
    """An answer that is none is exit 3, says of which service and what it was, and writes nothing."""
    with Double(doubles.answers() | {path: answer}).running() as double:
        named = {"fulcio": double.url, "rekor": double.url, "tsa": double.url}
        done = init(tmp_path, **named, rekor_key=doubles.log_file, ctlog_key=doubles.ctlog_file)
        assert done.code == 3, done.err
        assert f"error: {problem.format(double.url)}" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "trust").exists()


def test_a_key_that_is_not_the_logs_is_refused(doubles: Doubles, tmp_path: Path) -> None:
    """Another key than the one that a v1 log hands out, or than the one under its checkpoint, is refused."""
    other = write_public_key(tmp_path / "other.pub", ed25519.Ed25519PrivateKey.generate().public_key())
    done = doubles.init(tmp_path, doubles.answers(), rekor_key=other)
    assert done.code == 3
    assert "does not verify under --rekor-key" in done.err
    answers = doubles.answers() | {"/api/v1/log/publicKey": (200, pem(doubles.ctlog.public_key()))}
    done = doubles.init(tmp_path, answers)
    assert done.code == 3
    assert "has another key than --rekor-key" in done.err


def test_another_origin_is_refused(doubles: Doubles, tmp_path: Path) -> None:
    """A log that signs its checkpoints as somebody else would not verify later, and the hint says why."""
    answers = doubles.answers() | {"/api/v2/checkpoint": (200, doubles.checkpoint("log.example.org"))}
    done = doubles.init(tmp_path, answers)
    assert done.code == 3
    assert "signs its checkpoints as log.example.org" in done.err
    assert f"--hostname {LOOPBACK}" in done.err


def test_chains_are_looked_at(doubles: Doubles, tmp_path: Path) -> None:
    """A chain of the wrong kind is refused, whoever serves it."""
    answers = doubles.answers() | {"/api/v1/timestamp/certchain": (200, doubles.fulcio.chain_file.read_bytes())}
    done = doubles.init(tmp_path, answers)
    assert done.code == 3
    assert "is not for timestamps alone" in done.err
    done = doubles.init(tmp_path, doubles.answers() | {"/api/v2/trustBundle": (200, bundle(doubles.tsa))})
    assert done.code == 3
    assert "is no certificate authority" in done.err


def test_a_slow_service_is_given_up(doubles: Doubles, tmp_path: Path) -> None:
    """A service that takes the connection and never answers ends with --timeout, and is named."""
    import socket

    with socket.create_server((LOOPBACK, 0)) as silent:
        url = f"http://{LOOPBACK}:{silent.getsockname()[1]}"
        done = init(tmp_path, fulcio=url, rekor=url, rekor_key=doubles.log_file, timeout=0.5)
    assert done.code == 3
    assert f"Fulcio at {url} did not answer in time" in done.err
    assert "--timeout" in done.err


def test_what_is_missing_is_warned_of(doubles: Doubles, tmp_path: Path) -> None:
    """Without a timestamp authority, or without the CT log's key, it says that nothing will verify."""
    done = doubles.init(tmp_path, doubles.answers(), tsa=None, ctlog_key=None)
    assert done.code == 0
    assert "without --tsa nothing tells the time" in done.out
    assert "without --ctlog-key no certificate's promise of transparency verifies" in done.out
    root = load(tmp_path, "trusted_root.json")
    assert (root["ctlogs"], root["timestampAuthorities"]) == ([], [])
    assert "tsaConfig" not in load(tmp_path, "signing_config.json")


def test_nothing_is_overwritten_unless_asked(doubles: Doubles, tmp_path: Path) -> None:
    """A file that is there stays, a dangling link too, and no service is asked; --force overwrites."""
    (tmp_path / "trust").mkdir()
    there = tmp_path / "trust" / "trust_config.json"
    there.symlink_to("nowhere")
    dead = f"http://{LOOPBACK}:{free_port()}"
    done = init(tmp_path, fulcio=dead, rekor=dead)
    assert done.code == 2
    assert "trust/trust_config.json is there already" in done.err
    there.unlink()
    there.write_text("mine")
    assert doubles.init(tmp_path, doubles.answers()).code == 2
    assert there.read_text() == "mine"
    assert doubles.init(tmp_path, doubles.answers(), "--force").code == 0
    assert load(tmp_path, "trust_config.json")["mediaType"].startswith("application/vnd.dev.sigstore.clienttrust")


def test_the_output_is_also_data(doubles: Doubles, tmp_path: Path) -> None:
    """--format json prints one object with everything that was found and written."""
    done = doubles.init(tmp_path, doubles.answers(), "--format", "json", "--operator", "platform team")
    assert done.document["schema"] == "attest.trust/v1"
    assert done.document["files"] == [f"trust/{name}" for name in FILES]
    assert "verifies under --rekor-key" in done.document["remarks"][0]
    assert done.document["warnings"] == []
    asked = done.document["signing_config"]["certificate_authorities"]["services"][0]
    assert asked["operator"] == "platform team"


# ---- rotation


def test_a_rotation_ends_the_old_windows(doubles: Doubles, tmp_path: Path) -> None:
    """After a service got a new key, its old one ends and the new one follows; the others stay as they were."""
    with Double(doubles.answers()).running() as before:
        url = before.url
        named = {"rekor_key": doubles.log_file, "ctlog_key": doubles.ctlog_file, "fulcio": url, "rekor": url}
        assert init(tmp_path, **named, tsa=url, start="2026-01-01T00:00:00Z").code == 0
        first = load(tmp_path, "trusted_root.json")
        new = write_public_key(tmp_path / "ct-new.pub", ec.generate_private_key(ec.SECP256R1()).public_key())
        rotated = {**named, "ctlog_key": new, "after": "trust/trust_config.json", "start": "2026-03-01T00:00:00Z"}
        done = init(tmp_path, "--force", **rotated, tsa=url, until="2026-03-02T00:00:00Z")
    assert (done.code, done.err) == (0, "")
    root = load(tmp_path, "trusted_root.json")
    assert {kind: root[kind] for kind in root if kind != "ctlogs"} == {k: first[k] for k in first if k != "ctlogs"}
    old, added = root["ctlogs"]
    assert old["publicKey"]["validFor"] == {"start": "2026-01-01T00:00:00Z", "end": "2026-03-02T00:00:00Z"}
    assert old["publicKey"]["rawBytes"] == first["ctlogs"][0]["publicKey"]["rawBytes"]
    assert added["publicKey"]["validFor"] == {"start": "2026-03-01T00:00:00Z"}
    assert "warning: overlap" in done.out
    assert "warning: ended" in done.out


def test_a_rotation_that_cannot_be(doubles: Doubles, tmp_path: Path) -> None:
    """An end before the old window begins, no root to go on from, and an end without a root are usage errors."""
    with Double(doubles.answers()).running() as services:
        named = {"rekor_key": doubles.log_file, "fulcio": services.url, "rekor": services.url, "tsa": services.url}
        assert init(tmp_path, **named, ctlog_key=doubles.ctlog_file).code == 0
        new = write_public_key(tmp_path / "ct-new.pub", ec.generate_private_key(ec.SECP256R1()).public_key())
        rotated = {**named, "ctlog_key": new}
        early = init(tmp_path, "--force", **rotated, after="trust/trusted_root.json", until="2020-01-01T00:00:00Z")
        assert (early.code, "begins after the time at which it would end" in early.err) == (2, True)
        none = init(tmp_path, "--force", **rotated, after="trust/signing_config.json")
        assert (none.code, "there is no trusted root in it" in none.err) == (2, True)
        alone = init(tmp_path, "--force", **rotated, until="2020-01-01T00:00:00Z")
        assert (alone.code, "there is no --after" in alone.err) == (2, True)
        gone = init(tmp_path, "--force", **rotated, after="trust/trusted_root.json", retired="https://x.example.org")
        assert (gone.code, "nothing in it is at https://x.example.org" in gone.err) == (2, True)
    assert load(tmp_path, "trusted_root.json")["ctlogs"][0]["publicKey"]["validFor"].keys() == {"start"}


def test_a_log_that_moves_retires_the_old_address(doubles: Doubles, tmp_path: Path) -> None:
    """A log never changes its key: another one takes its place elsewhere, and what was at the old address ends."""
    (tmp_path / "second").mkdir()
    second = Doubles(tmp_path / "second")
    with Double(doubles.answers()).running() as old, Double(second.answers()).running() as new:
        named = {"ctlog_key": doubles.ctlog_file, "tsa": old.url, "fulcio": old.url}
        first = {"rekor": old.url, "rekor_key": doubles.log_file, "start": "2026-01-01T00:00:00Z"}
        assert init(tmp_path, **named, **first).code == 0
        moved = {"rekor": new.url, "rekor_key": second.log_file, "after": "trust/trusted_root.json"}
        done = init(tmp_path, "--force", **named, **moved, retired=old.url, until="2026-06-01T00:00:00Z")
    assert (done.code, done.err) == (0, "")
    root = load(tmp_path, "trusted_root.json")
    assert [log["baseUrl"] for log in root["tlogs"]] == [old.url, new.url]
    assert root["tlogs"][0]["publicKey"]["validFor"]["end"] == "2026-06-01T00:00:00Z"
    assert root["tlogs"][1]["publicKey"]["validFor"].keys() == {"start"}
    assert root["certificateAuthorities"][0]["validFor"].keys() == {"start"}
    assert load(tmp_path, "signing_config.json")["rekorTlogUrls"][0]["url"] == new.url


# ---- what the command line may not say


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"fulcio": "http://fulcio.example.org"}, "--fulcio http://fulcio.example.org is neither an https address nor"),
        ({"rekor": "rekor.example.org"}, "--rekor rekor.example.org is neither an https address nor on loopback"),
        ({"tsa": "https://user@tsa.example.org"}, "--tsa https://user@tsa.example.org is neither an https address"),
        ({"start": "tomorrow"}, "--start: 'tomorrow' is no time"),
        ({"rekor_key": "missing.pub"}, "missing.pub: cannot be read: No such file or directory"),
        ({"ctlog_key": "garbage.pub"}, "garbage.pub: no PEM public key"),
        ({"after": "garbage.pub"}, "garbage.pub: not JSON"),
        ({"ca_file": "garbage.pub"}, "garbage.pub: no authorities can be read from it"),
    ],
)
def test_usage_errors(changes: dict[str, str], problem: str, tmp_path: Path) -> None:
    """Addresses that are not safe, times that are none and files that cannot be read are exit 2."""
    (tmp_path / "garbage.pub").write_text("x")
    named = {"fulcio": "https://fulcio.example.org", "rekor": "https://rekor.example.org", **changes}
    done = init(tmp_path, **named)
    assert done.code == 2, done.err
    assert problem in done.err


def test_a_folder_that_cannot_be_made(doubles: Doubles, tmp_path: Path) -> None:
    """Where a file stands in the place of the folder, that is said."""
    (tmp_path / "trust").write_text("")
    done = doubles.init(tmp_path, doubles.answers())
    assert (done.code, "trust cannot be made: " in done.err) == (2, True)


# ---- attest trust show


@pytest.mark.parts
def test_show_explains_each_file(private_sigstore: PrivateSigstore, tmp_path: Path) -> None:
    """A trusted root, a signing configuration and a trust configuration are explained, and not taken for each other."""
    for path, kind, shown, not_shown in (
        (private_sigstore.trusted_root, "trusted root", "transparency logs", "signers ask"),
        (private_sigstore.signing_config, "signing configuration", "signers ask: transparency logs", "log id"),
        (private_sigstore.trust_config, "client trust configuration", "signers ask: transparency logs", "\0"),
    ):
        done = attest("trust", "show", path, cwd=tmp_path)
        assert (done.code, done.err) == (0, "")
        assert f"{path} is a {kind}." in done.out
        assert f"digest  sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" in done.out
        assert shown in done.out
        assert not_shown not in done.out


def test_show_warns(doubles: Doubles, tmp_path: Path) -> None:
    """A window that ended is a warning, in words and as data, and exit 0."""
    doubles.init(tmp_path, doubles.answers(), start="2026-01-01T00:00:00Z")
    root = load(tmp_path, "trusted_root.json")
    root["tlogs"][0]["publicKey"]["validFor"]["end"] = "2026-01-02T00:00:00Z"
    (tmp_path / "old.json").write_text(json.dumps(root))
    done = attest("trust", "show", "old.json", cwd=tmp_path)
    assert done.code == 0
    assert "warning: ended: " in done.out
    assert "warning: none-now: none of the transparency logs is believed now" in done.out
    data = attest("trust", "show", "old.json", "--format", "json", cwd=tmp_path).document
    assert [one["code"] for one in data["warnings"]] == ["ended", "none-now"]
    assert data["digest"] == f"sha256:{hashlib.sha256((tmp_path / 'old.json').read_bytes()).hexdigest()}"
    certificate = x509.load_pem_x509_certificate(doubles.fulcio.chain_file.read_bytes())
    (authority,) = data["trusted_root"]["certificate_authorities"]
    assert authority["chain"][0]["fingerprint"] == f"sha256:{certificate.fingerprint(hashes.SHA256()).hex()}"


def test_show_reads_standard_input(doubles: Doubles, tmp_path: Path) -> None:
    """`-` is standard input."""
    doubles.init(tmp_path, doubles.answers())
    content = (tmp_path / "trust" / "trusted_root.json").read_bytes()
    done = spawn("trust", "show", "-", "--format", "json", cwd=tmp_path, stdin=content)
    assert (done.code, done.document["kind"]) == (0, "trusted root")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "file.json: not JSON"),
        (b"[]", "file.json: no JSON object with a mediaType"),
        (b'{"signed": {"_type": "root"}, "signatures": []}', "file.json: no JSON object with a mediaType"),
        (b"\xff", "file.json: not JSON"),
        (b"[" * 100_000, "file.json: not JSON"),
    ],
)
def test_show_refuses_other_files(content: bytes, problem: str, tmp_path: Path) -> None:
    """Anything else is exit 2 and never a traceback."""
    (tmp_path / "file.json").write_bytes(content)
    done = attest("trust", "show", "file.json", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert problem in done.err
    assert "Traceback" not in done.err


def test_hostile_text_is_escaped(doubles: Doubles, tmp_path: Path) -> None:
    """Control characters in names and addresses never reach the terminal."""
    doubles.init(tmp_path, doubles.answers())
    root = load(tmp_path, "trusted_root.json")
    root["tlogs"][0]["baseUrl"] = "https://\x1b[2Jlog.example.org\n    key sha256:forged\n\u202e"
    (tmp_path / "root.json").write_text(json.dumps(root))
    done = attest("trust", "show", "root.json", cwd=tmp_path)
    assert done.code == 0
    assert "\x1b" not in done.out
    assert "\n    key sha256:forged" not in done.out
    assert "\u202e" not in done.out


@pytest.mark.parts
def test_the_services_of_the_tests_are_real(private_sigstore: PrivateSigstore) -> None:
    """The addresses of the fixture lead to Fulcio, Rekor v2 and a timestamp authority."""
    expected: dict[str, Callable[[web.Answer], bool]] = {
        private_sigstore.fulcio_url + "/api/v2/configuration": lambda answer: b"issuers" in answer.body,
        private_sigstore.rekor_url + "/healthz": lambda answer: b"SERVING" in answer.body,
        private_sigstore.tsa_url + "/certchain": lambda answer: b"BEGIN CERTIFICATE" in answer.body,
    }
    for url, holds in expected.items():
        assert holds(web.request("GET", url)), url
