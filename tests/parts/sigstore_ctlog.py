"""A certificate transparency log of the tests' own: it promises every precertificate, and keeps none (RFC 6962)."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import struct
import time
from collections.abc import Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.parts import loopback

_POISON = bytes.fromhex("060a2b06010401d679020403")
"""The DER of the object identifier 1.3.6.1.4.1.11129.2.4.3 (RFC 6962, section 3.1)."""

_EXTENSIONS = 0xA3
"""The context tag of the extensions in a TBSCertificate (RFC 5280, section 4.1)."""


class CtLog:
    """Answers `add-pre-chain` with a signed certificate timestamp under a P-256 key, of its own if none is given."""

    def __init__(self, key: ec.EllipticCurvePrivateKey | None = None) -> None:
        self._key = key or ec.generate_private_key(ec.SECP256R1())
        self._http = loopback.Server(_handler(self))
        self._broken = False

    @property
    def url(self) -> str:
        """The log's address, with its prefix."""
        return f"http://{self._http.host}/tests"

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The key that its promises verify under."""
        return self._key.public_key()

    @contextlib.contextmanager
    def running(self) -> Iterator[CtLog]:
        """Answer requests until the block ends."""
        with self._http.running():
            yield self

    @contextlib.contextmanager
    def broken(self) -> Iterator[None]:
        """Answer 500 to everything until the block ends; with 503 Fulcio would ask again and again."""
        self._broken = True
        try:
            yield
        finally:
            self._broken = False

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, object]]:
        """Status and JSON document for one request (RFC 6962, section 4.2)."""
        if self._broken:
            return 500, {"error": "broken"}
        if (method, path) != ("POST", "/tests/ct/v1/add-pre-chain"):
            return 404, {"error": "not found"}
        chain = [base64.b64decode(certificate) for certificate in json.loads(body)["chain"]]
        precertificate, issuer = (x509.load_der_x509_certificate(der) for der in chain[:2])
        return 200, self._promise(without_poison(precertificate.tbs_certificate_bytes), issuer)

    def _promise(self, tbs: bytes, issuer: x509.Certificate) -> dict[str, object]:
        """The signed certificate timestamp of a precertificate (RFC 6962, section 3.2)."""
        now = time.time_ns() // 1_000_000
        issuer_hash = hashlib.sha256(spki(issuer.public_key())).digest()
        signed = struct.pack(">BBQH", 0, 0, now, 1) + issuer_hash + len(tbs).to_bytes(3) + tbs + b"\x00\x00"
        signature = self._key.sign(signed, ec.ECDSA(hashes.SHA256()))
        # TLS 1.2 names SHA-256 by 4 and ECDSA by 3 (RFC 5246, section 7.4.1.4.1).
        digitally_signed = struct.pack(">BBH", 4, 3, len(signature)) + signature
        return {
            "sct_version": 0,
            "id": base64.b64encode(hashlib.sha256(spki(self.public_key)).digest()).decode(),
            "timestamp": now,
            "extensions": "",
            "signature": base64.b64encode(digitally_signed).decode(),
        }


def spki(key: object) -> bytes:
    """A public key as DER (SubjectPublicKeyInfo)."""
    assert hasattr(key, "public_bytes")
    der: bytes = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return der


def without_poison(tbs: bytes) -> bytes:
    """A TBSCertificate without the extension that makes a precertificate of it (RFC 6962, section 3.2)."""
    fields = list(_elements(_content(tbs)))
    for at, field in enumerate(fields):
        if field[0] == _EXTENSIONS:
            kept = [one for one in _elements(_content(_content(field))) if not _content(one).startswith(_POISON)]
            fields[at] = _encoded(_EXTENSIONS, _encoded(0x30, b"".join(kept)))
    return _encoded(0x30, b"".join(fields))


def _header(der: bytes) -> tuple[int, int]:
    """How long the header of an element is, and its content (X.690, section 8.1)."""
    if der[1] < 0x80:
        return 2, der[1]
    octets = der[1] & 0x7F
    return 2 + octets, int.from_bytes(der[2 : 2 + octets])


def _content(der: bytes) -> bytes:
    header, length = _header(der)
    return der[header : header + length]


def _elements(content: bytes) -> Iterator[bytes]:
    while content:
        header, length = _header(content)
        yield content[: header + length]
        content = content[header + length :]


def _encoded(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes([tag, length]) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + content


def _handler(log: CtLog) -> type[loopback.Handler]:
    class Handler(loopback.Handler):
        def respond(self) -> None:
            status, document = log.answer(self.command, self.path, self.body())
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
