"""cosign as a peer, without any network but the registry: its own home, no transparency log, an empty trusted root."""

from __future__ import annotations

import base64
import dataclasses
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tests.parts.find import require
from tests.parts.process import Command, plain_environment, run
from tests.parts.registry import Registry

_EMPTY_TRUSTED_ROOT = {
    "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
    "tlogs": [],
    "certificateAuthorities": [],
    "ctlogs": [],
    "timestampAuthorities": [],
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """Files of a key pair as cosign writes it: the private one encrypted with `password`, the public one PEM."""

    private: Path
    public: Path
    password: str


class Trust(Protocol):
    """Whom to ask and whom to believe: `tests.parts.sigstore.PrivateSigstore` is one."""

    @property
    def trusted_root(self) -> Path:
        """The file of a trusted root."""
        ...

    @property
    def signing_config(self) -> Path:
        """The file of a signing configuration."""
        ...


class Cosign:
    """cosign with a home of its own in `home`, which holds its keys, its signing config and its trusted root."""

    def __init__(self, home: Path) -> None:
        self._program = require("cosign")
        self._home = home
        home.mkdir(parents=True, exist_ok=True)
        self._trusted_root = home / "trusted-root.json"
        self._trusted_root.write_text(json.dumps(_EMPTY_TRUSTED_ROOT))
        self._signing_config = home / "signing-config.json"
        # No services in it: neither a certificate nor a log entry nor a timestamp is asked for.
        run(self._command("signing-config", "create", "--out", str(self._signing_config)))

    def generate_key_pair(self, name: str = "cosign", *, password: str = "") -> KeyPair:
        """Make an ECDSA P-256 key pair, in `NAME.key` and `NAME.pub`."""
        prefix = self._home / name
        run(self._command("generate-key-pair", "--output-key-prefix", str(prefix), password=password))
        return KeyPair(private=Path(f"{prefix}.key"), public=Path(f"{prefix}.pub"), password=password)

    def import_key_pair(self, pem: Path, name: str, *, password: str = "") -> KeyPair:
        """Turn a private key that another tool wrote (`pem`, unencrypted) into cosign's own form."""
        prefix = self._home / name
        options = ["--key", str(pem), "--output-key-prefix", str(prefix), "--yes"]
        run(self._command("import-key-pair", *options, password=password))
        return KeyPair(private=Path(f"{prefix}.key"), public=Path(f"{prefix}.pub"), password=password)

    def attest(
        self, registry: Registry, reference: str, *, key: KeyPair, predicate_type: str, predicate: Mapping[str, Any]
    ) -> None:
        """Attach an attestation as a Sigstore bundle: a referrer, or an entry of the fallback tag's index."""
        run(self.attesting(registry, reference, key=key, predicate_type=predicate_type, predicate=predicate))

    def attesting(
        self, registry: Registry, reference: str, *, key: KeyPair, predicate_type: str, predicate: Mapping[str, Any]
    ) -> Command:
        """The command of `attest`, for running many at once or counting what one costs."""
        how = ["--signing-config", str(self._signing_config), "--trusted-root", str(self._trusted_root)]
        return self._attesting(registry, reference, key, predicate_type, predicate, how)

    def attest_legacy(
        self, registry: Registry, reference: str, *, key: KeyPair, predicate_type: str, predicate: Mapping[str, Any]
    ) -> None:
        """Attach an attestation as cosign did before version 3: one layer of the image at the tag `sha256-HEX.att`."""
        how = ["--new-bundle-format=false", "--use-signing-config=false", "--tlog-upload=false"]
        run(self._attesting(registry, reference, key, predicate_type, predicate, how))

    def verify_attestation(
        self, registry: Registry, reference: str, *, public_key: Path, predicate_type: str
    ) -> Sequence[dict[str, Any]]:
        """The Statements of one predicate type that a key signed; PartError where cosign refuses."""
        printed = run(self.verifying(registry, reference, public_key=public_key, predicate_type=predicate_type))
        envelopes = [json.loads(line) for line in printed.splitlines()]
        return [json.loads(base64.b64decode(envelope["payload"])) for envelope in envelopes]

    def verifying(self, registry: Registry, reference: str, *, public_key: Path, predicate_type: str) -> Command:
        """The command of `verify_attestation`; it reads bundles, and legacy attestations where there are none."""
        trust = ["--key", str(public_key), "--trusted-root", str(self._trusted_root), "--insecure-ignore-tlog"]
        options = [*trust, *_transport(registry), "--type", predicate_type]
        return self._command("verify-attestation", *options, reference, registry=registry)

    def attest_keyless(
        self,
        registry: Registry,
        reference: str,
        *,
        trust: Trust,
        token: Path,
        predicate_type: str,
        predicate: Mapping[str, Any],
    ) -> None:
        """Attach an attestation that a job signs with its identity token, which may not end in a newline."""
        document = self._predicate(predicate)
        options = ["--yes", "--identity-token", str(token), "--signing-config", str(trust.signing_config)]
        what = ["--trusted-root", str(trust.trusted_root), "--type", predicate_type, "--predicate", str(document)]
        run(self._command("attest", *options, *what, *_transport(registry), reference, registry=registry))

    def verify_identity(
        self, registry: Registry, reference: str, *, trust: Trust, issuer: str, identity: str, predicate_type: str
    ) -> Sequence[dict[str, Any]]:
        """The Statements of one predicate type that an identity signed; PartError where cosign refuses."""
        verifying = self.verifying_identity(
            registry, reference, trust=trust, issuer=issuer, identity=identity, predicate_type=predicate_type
        )
        envelopes = [json.loads(line) for line in run(verifying).splitlines()]
        return [json.loads(base64.b64decode(envelope["payload"])) for envelope in envelopes]

    def verifying_identity(
        self, registry: Registry, reference: str, *, trust: Trust, issuer: str, identity: str, predicate_type: str
    ) -> Command:
        """The command of `verify_identity`; the time is that of a timestamp, as Rekor v2 has none."""
        who = ["--certificate-identity", identity, "--certificate-oidc-issuer", issuer, "--use-signed-timestamps"]
        options = [*who, "--trusted-root", str(trust.trusted_root), *_transport(registry), "--type", predicate_type]
        return self._command("verify-attestation", *options, reference, registry=registry)

    def _predicate(self, predicate: Mapping[str, Any]) -> Path:
        document = self._home / f"predicate-{uuid.uuid4().hex}.json"
        document.write_text(json.dumps(predicate))
        return document

    def _attesting(
        self,
        registry: Registry,
        reference: str,
        key: KeyPair,
        predicate_type: str,
        predicate: Mapping[str, Any],
        how: Sequence[str],
    ) -> Command:
        document = self._predicate(predicate)
        options = ["--yes", "--key", str(key.private), *how, *_transport(registry)]
        what = ["--type", predicate_type, "--predicate", str(document), reference]
        return self._command("attest", *options, *what, registry=registry, password=key.password)

    def _command(self, *arguments: str, registry: Registry | None = None, password: str = "") -> Command:
        credentials = self._home if registry is None else registry.docker_config_dir
        return Command(
            arguments=[self._program, *arguments],
            environment=plain_environment(self._home, DOCKER_CONFIG=str(credentials), COSIGN_PASSWORD=password),
            directory=self._home,
        )


def _transport(registry: Registry) -> Sequence[str]:
    return [] if registry.ca_file is None else ["--registry-cacert", str(registry.ca_file)]
