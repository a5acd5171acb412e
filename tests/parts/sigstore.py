"""A private Sigstore on loopback: real Fulcio, Rekor v2 and timestamp server, doubles of issuer and CT log."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from ruamel.yaml import YAML

from tests.parts import web
from tests.parts.find import require
from tests.parts.process import LOOPBACK, Command, Server, free_port, plain_environment, serve
from tests.parts.sigstore_ctlog import CtLog, spki
from tests.parts.sigstore_issuer import TokenIssuer
from tests.parts.sigstore_keys import (
    Authority,
    make_certificate_authority,
    make_timestamp_authority,
    write_log_key,
    write_public_key,
)

PROGRAMS = ("fulcio", "rekor-server", "timestamp-server")
ORIGIN = LOOPBACK
"""The origin of the log's checkpoints: the host name of its URL, as cosign expects it."""

LogKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PrivateSigstore:
    """A running private Sigstore, or a view of one with other addresses or keys (`variant`).

    `trusted_root`, `signing_config` and `trust_config` are files of a trusted root v0.1, a signing config v0.2
    and a client trust config v0.1 of both. `tsa_url` is the whole address that timestamps are asked of.
    """

    directory: Path
    fulcio_url: str
    rekor_url: str
    tsa_url: str
    issuer: str
    issuers: TokenIssuer = dataclasses.field(repr=False)
    ctlog: CtLog = dataclasses.field(repr=False)
    authority: Authority = dataclasses.field(repr=False)
    timestamping: Authority = dataclasses.field(repr=False)
    log_key: LogKey = dataclasses.field(repr=False)
    ctlog_key: ec.EllipticCurvePublicKey = dataclasses.field(repr=False)
    servers: Mapping[str, Server] = dataclasses.field(repr=False)

    @property
    def trusted_root(self) -> Path:
        """The file of the trusted root."""
        return self.directory / "trusted_root.json"

    @property
    def signing_config(self) -> Path:
        """The file of the signing configuration."""
        return self.directory / "signing_config.json"

    @property
    def trust_config(self) -> Path:
        """The file of the client trust configuration: trusted root and signing configuration in one."""
        return self.directory / "trust_config.json"

    @property
    def log_key_file(self) -> Path:
        """The log's public key as PEM."""
        return self.directory / "rekor.pub"

    @property
    def ctlog_key_file(self) -> Path:
        """The certificate transparency log's public key as PEM."""
        return self.directory / "ctlog.pub"

    @property
    def forge(self) -> str:
        """The address of the forge whose tokens `token` makes."""
        return self.issuer.removesuffix("/api/actions")

    def token(self, **claims: object) -> str:
        """An identity token as of a Forgejo Actions job; a claim given here replaces the usual one, None removes it."""
        return self.issuers.token(**claims)

    def token_file(self, path: Path, **claims: object) -> Path:
        """Write such a token to a file, without a newline at its end, which cosign would not take."""
        path.write_text(self.token(**claims))
        return path

    def identity(self, workflow_ref: str = "plex/playlist/.forgejo/workflows/check.yml@refs/heads/main") -> str:
        """The subject alternative name that Fulcio gives a job of this workflow."""
        return f"{self.forge}/{workflow_ref}"

    def variant(self, directory: Path, **changes: Any) -> PrivateSigstore:
        """A view with other `fulcio_url`, `rekor_url`, `tsa_url`, `log_key`, `ctlog_key` ..., with files of its own."""
        directory.mkdir(parents=True, exist_ok=True)
        changed = dataclasses.replace(self, directory=directory, **changes)
        changed._write()
        return changed

    def trusted_root_document(self) -> dict[str, Any]:
        """The trusted root as JSON, to be changed by a test that wants another one."""
        start = _time(datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1))
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [_log(self.rekor_url, self.log_key, log_id(self.log_key, ORIGIN), start)],
            "certificateAuthorities": [_authority(self.fulcio_url, self.authority.chain, start)],
            "ctlogs": [_log(self.ctlog.url, self.ctlog_key, hashlib.sha256(spki(self.ctlog_key)).digest(), start)],
            "timestampAuthorities": [_authority(self.tsa_url, self.timestamping.chain, start)],
        }

    def signing_config_document(self) -> dict[str, Any]:
        """The signing configuration as JSON."""
        start = _time(datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1))
        return {
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [_service(self.fulcio_url, 1, start)],
            "oidcUrls": [_service(self.issuer, 1, start)],
            "rekorTlogUrls": [_service(self.rekor_url, 2, start)],
            "tsaUrls": [_service(self.tsa_url, 1, start)],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        }

    def _write(self) -> None:
        root, signing = self.trusted_root_document(), self.signing_config_document()
        media_type = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"
        both = {"mediaType": media_type, "trustedRoot": root, "signingConfig": signing}
        for path, document in ((self.trusted_root, root), (self.signing_config, signing), (self.trust_config, both)):
            path.write_text(json.dumps(document, indent=2) + "\n")
        write_public_key(self.log_key_file, self.log_key)
        write_public_key(self.ctlog_key_file, self.ctlog_key)


@contextlib.contextmanager
def private_sigstore(directory: Path) -> Iterator[PrivateSigstore]:
    """Start everything in `directory`, and stop it when the block ends."""
    for program in PROGRAMS:
        require(program)
    directory.mkdir(parents=True, exist_ok=True)
    authority = make_certificate_authority(directory)
    timestamping = make_timestamp_authority(directory)
    log_key = write_log_key(directory / "rekor.key")
    with contextlib.ExitStack() as stack:
        issuers = stack.enter_context(TokenIssuer().running())
        ctlog = stack.enter_context(CtLog().running())
        write_public_key(directory / "ctlog.pub", ctlog.public_key)
        fulcio = stack.enter_context(_fulcio(directory, authority, issuers, ctlog))
        rekor = stack.enter_context(_rekor(directory))
        tsa = stack.enter_context(_timestamp_server(directory, timestamping))
        running = PrivateSigstore(
            directory=directory,
            fulcio_url=f"http://{LOOPBACK}:{fulcio.port}",
            rekor_url=f"http://{LOOPBACK}:{rekor.port}",
            tsa_url=f"http://{LOOPBACK}:{tsa.port}/api/v1/timestamp",
            issuer=issuers.issuer,
            issuers=issuers,
            ctlog=ctlog,
            authority=authority,
            timestamping=timestamping,
            log_key=log_key,
            ctlog_key=ctlog.public_key,
            servers={"fulcio": fulcio, "rekor": rekor, "timestamp": tsa},
        )
        running._write()
        yield running


def log_id(key: LogKey, origin: str) -> bytes:
    """The identity of a log (C2SP signed-note, "Signatures"; ECDSA as the hash of the key alone)."""
    match key:
        case ed25519.Ed25519PublicKey():
            raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
            return hashlib.sha256(origin.encode() + b"\n\x01" + raw).digest()
        case _:
            return hashlib.sha256(spki(key)).digest()


def fulcio_config(issuers: Sequence[str]) -> dict[str, object]:
    """Fulcio's configuration for forges with Forgejo Actions, by their issuers."""
    return {
        "oidc-issuers": {
            issuer: {"issuer-url": issuer, "client-id": "sigstore", "type": "ci-provider", "ci-provider": f"forge{at}"}
            for at, issuer in enumerate(issuers)
        },
        "ci-issuer-metadata": {
            f"forge{at}": _templates(issuer.removesuffix("/api/actions")) for at, issuer in enumerate(issuers)
        },
    }


def _templates(forge: str) -> dict[str, object]:
    workflow = f"{forge}/{{{{ .workflow_ref }}}}"
    return {
        "subject-alternative-name-template": workflow,
        "extension-templates": {
            "build-signer-uri": workflow,
            "build-config-uri": workflow,
            "build-trigger": "event_name",
            "run-invocation-uri": f"{forge}/{{{{ .repository }}}}/actions/runs/{{{{ .run_number }}}}",
            "source-repository-uri": f"{forge}/{{{{ .repository }}}}",
            "source-repository-digest": "sha",
            "source-repository-ref": "ref",
            "source-repository-identifier": "repository_id",
            "source-repository-owner-uri": f"{forge}/{{{{ .repository_owner }}}}",
            "source-repository-owner-identifier": "repository_owner_id",
        },
    }


@contextlib.contextmanager
def _fulcio(directory: Path, authority: Authority, issuers: TokenIssuer, ctlog: CtLog) -> Iterator[Server]:
    # JSON would be taken for another form of the configuration, with other names.
    with (directory / "fulcio.yaml").open("w") as file:
        YAML(typ="safe").dump(fulcio_config([issuers.issuer, issuers.other_issuer]), file)

    def command(port: int) -> Command:
        (directory / "fulcio.sock").unlink(missing_ok=True)  # it stays when Fulcio ends, and would be in the way
        options = {
            "--host": LOOPBACK,
            "--port": port,
            "--grpc-host": LOOPBACK,
            "--grpc-port": free_port(),
            "--metrics-port": free_port(),
            "--ca": "fileca",
            "--fileca-cert": authority.chain_file,
            "--fileca-key": authority.key_file,
            "--fileca-key-passwd": "of no use, the key is not encrypted",
            "--fileca-watch": "false",
            "--ct-log-url": ctlog.url,
            "--ct-log-public-key-path": directory / "ctlog.pub",
            "--config-path": directory / "fulcio.yaml",
            "--legacy-unix-domain-socket": "./fulcio.sock",  # a socket's path has to be short (unix(7))
        }
        arguments = [f"{name}={value}" for name, value in options.items()]
        return _command("fulcio", directory, ["serve", *arguments])

    def answers(port: int) -> bool:
        return web.request("GET", f"http://{LOOPBACK}:{port}/api/v2/trustBundle").status == 200

    with serve(command, answers=answers, log=directory / "fulcio.log") as server:
        yield server


@contextlib.contextmanager
def _rekor(directory: Path) -> Iterator[Server]:
    storage = directory / "rekor"
    storage.mkdir(exist_ok=True)

    def command(port: int) -> Command:
        options = {
            "--http-address": LOOPBACK,
            "--http-port": port,
            "--http-metrics-port": free_port(),
            "--grpc-address": LOOPBACK,
            "--grpc-port": free_port(),
            "--hostname": ORIGIN,
            "--storage-dir": storage,
            "--signer-filepath": directory / "rekor.key",
            "--checkpoint-interval": "500ms",
            "--batch-max-age": "20ms",
        }
        return _command("rekor-server", directory, ["serve", *(f"{name}={value}" for name, value in options.items())])

    def answers(port: int) -> bool:
        return web.request("GET", f"http://{LOOPBACK}:{port}/healthz").status == 200

    with serve(command, answers=answers, log=directory / "rekor.log") as server:
        yield server


@contextlib.contextmanager
def _timestamp_server(directory: Path, authority: Authority) -> Iterator[Server]:
    def command(port: int) -> Command:
        options = {
            "--host": LOOPBACK,
            "--port": port,
            "--timestamp-signer": "file",
            "--certificate-chain-path": authority.chain_file,
            "--file-signer-key-path": authority.key_file,
            "--disable-ntp-monitoring": "true",
        }
        arguments = [f"{name}={value}" for name, value in options.items()]
        return _command("timestamp-server", directory, ["serve", *arguments])

    def answers(port: int) -> bool:
        return web.request("GET", f"http://{LOOPBACK}:{port}/ping").status == 200

    with serve(command, answers=answers, log=directory / "timestamp.log") as server:
        yield server


def _command(program: str, directory: Path, arguments: Sequence[str]) -> Command:
    environment = plain_environment(directory, NO_PROXY=LOOPBACK)
    return Command(arguments=[require(program), *arguments], environment=environment, directory=directory)


def _service(url: str, version: int, start: str) -> dict[str, Any]:
    return {"url": url, "majorApiVersion": version, "validFor": {"start": start}, "operator": "attest tests"}


def _log(url: str, key: LogKey, identity: bytes, start: str) -> dict[str, Any]:
    details = "PKIX_ED25519" if isinstance(key, ed25519.Ed25519PublicKey) else "PKIX_ECDSA_P256_SHA_256"
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": _base64(spki(key)), "keyDetails": details, "validFor": {"start": start}},
        "logId": {"keyId": _base64(identity)},
    }


def _authority(url: str, chain: Sequence[x509.Certificate], start: str) -> dict[str, Any]:
    certificates = [{"rawBytes": _base64(one.public_bytes(serialization.Encoding.DER))} for one in chain]
    return {
        "subject": {"organization": "attest tests", "commonName": "attest tests"},
        "uri": url,
        "certChain": {"certificates": certificates},
        "validFor": {"start": start},
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _time(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
