"""What signing takes: a private Sigstore, a folder for keys, and something to sign."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from attest.adapters.deadline import Deadline
from attest.adapters.keys import load_signer
from attest.adapters.keys.generate import generate
from attest.adapters.sigstore.configuration import Services, read_services
from attest.adapters.sigstore.exchange import Network
from attest.adapters.sigstore.signing import Keyless, make_keyless
from attest.adapters.sigstore.tokens import find_token
from attest.adapters.sigstore.trust import SigstoreTrust
from attest.adapters.sigstore.witness import make_witnessed
from attest.core.statement import Context, write_statement
from attest.ports import Signed
from tests.parts.sigstore import PrivateSigstore

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
