"""A Rekor v1 of the tests' own: it checks what it is asked to log, and gives a promise with a time and a proof.

Sources: Rekor's `openapi.yaml` (POST /api/v1/log/entries), `pkg/types/dsse/v0.0.1`. A real one needs a database
cluster behind it.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

from attest.core.envelope import pae
from tests.parts import loopback
from tests.parts.process import LOOPBACK
from tests.sigstore_forge import Log, b64, canonical, leaf_hash, node_hash, sign


@dataclasses.dataclass(slots=True)
class RekorV1:
    """Answers on a loopback port until the block of `running` ends."""

    log: Log = dataclasses.field(default_factory=lambda: Log(host=LOOPBACK, tree=77))
    entries: list[bytes] = dataclasses.field(default_factory=list)
    """The bodies, as they were logged."""
    url: str = ""
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Members of the next answers that a test wants otherwise."""
    origin: str | None = None
    """Of its checkpoints, where that is not the log's."""
    size: int = 2
    """Of the tree, as its checkpoints say."""
    now: datetime | None = None
    """What its clock shows, where that is wrong."""

    @contextlib.contextmanager
    def running(self) -> Iterator[RekorV1]:
        """Answer requests until the block ends."""
        server = loopback.Server(_handler(self))
        self.url = f"http://{server.host}"
        with server.running():
            yield self

    def described(self) -> dict[str, Any]:
        """As a trusted root has it."""
        return {**self.log.described(), "baseUrl": self.url}

    def add(self, proposed: Mapping[str, Any]) -> dict[str, Any]:
        """Log a dsse entry; ValueError where its signature does not verify."""
        if (proposed["kind"], proposed["apiVersion"]) != ("dsse", "0.0.1"):
            raise ValueError("another kind")
        content = proposed["spec"]["proposedContent"]
        envelope, (verifier,) = json.loads(content["envelope"]), content["verifiers"]
        payload = base64.b64decode(envelope["payload"])
        (signature,) = envelope["signatures"]
        message = pae(envelope["payloadType"], payload)
        _check(base64.b64decode(verifier), base64.b64decode(signature["sig"]), message)
        body = canonical(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": _hash(content["envelope"].encode()),
                    "payloadHash": _hash(payload),
                    "signatures": [{"signature": signature["sig"], "verifier": verifier}],
                },
            }
        )
        self.entries.append(body)
        return {leaf_hash(body).hex(): {**self._entry(body), **self.changes}}

    def _entry(self, body: bytes) -> dict[str, Any]:
        """The second leaf of two."""
        seconds = int((self.now or datetime.now(UTC)).timestamp())
        before, leaf = leaf_hash(b"before"), leaf_hash(body)
        root = node_hash(before, leaf)
        note = f"{self.origin or self.log.origin}\n{self.size}\n{b64(root)}\n"
        signed = b64(self.log.id[:4] + sign(self.log.key, note.encode()))
        promise = {"body": b64(body), "integratedTime": seconds, "logID": self.log.id.hex(), "logIndex": 1}
        return {
            **promise,
            "verification": {
                "signedEntryTimestamp": b64(sign(self.log.key, canonical(promise))),
                "inclusionProof": {
                    "checkpoint": f"{note}\n\u2014 {self.log.host} {signed}\n",
                    "hashes": [before.hex()],
                    "logIndex": 1,
                    "rootHash": root.hex(),
                    "treeSize": 2,
                },
            },
        }


def _hash(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _check(pem: bytes, signature: bytes, message: bytes) -> None:
    certificate = b"CERTIFICATE" in pem
    key = x509.load_pem_x509_certificate(pem).public_key() if certificate else serialization.load_pem_public_key(pem)
    match key:
        case ec.EllipticCurvePublicKey():
            key.verify(signature, message, ec.ECDSA(hashes.SHA384() if key.key_size == 384 else hashes.SHA256()))
        case ed25519.Ed25519PublicKey():
            key.verify(signature, message)
        case rsa.RSAPublicKey():
            key.verify(signature, message, PKCS1v15(), hashes.SHA256())
        case _:
            raise ValueError("another kind of key")


def _handler(rekor: RekorV1) -> type[loopback.Handler]:
    class Handler(loopback.Handler):
        def respond(self) -> None:
            body = self.body()
            if (self.command, self.path) == ("POST", "/api/v1/log/entries"):
                status, document = 201, rekor.add(json.loads(body))
            else:
                status, document = 404, {"code": 404, "message": "not found"}
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    return Handler
