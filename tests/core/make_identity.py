"""Bundles of identities, witnessed ones of keys, and a trust that believes what stands in them.

Certifying is another layer's; what the core makes of it is tested here. So the "certificate" of these bundles is JSON
of what it would say, and a "timestamp" is a time. The signatures over the envelopes are real.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from attest.core.certificate import Certificate, Certified, NotCertified, Uncertified
from attest.core.envelope import pae
from attest.core.identity import CLAIMS, Identity
from attest.core.keys import public_key
from attest.core.oci import BUNDLE, IN_TOTO
from attest.core.policy import Policy, Signer
from attest.core.reference import Digest, digest_of
from attest.core.statement import format_time, parse_time
from attest.core.verify import Keyring, Trust
from tests.core import make

ISSUER: Final = "https://git.example.org/api/actions"
WORKFLOW: Final = f"{make.REPOSITORY}/.forgejo/workflows/e2e.yml@refs/heads/main"
ROOT: Final = make.digest("trusted root")
SEEN: Final = make.NOW - make.HOUR / 2
"""When the signature was seen, unless a test says otherwise: half an hour after its lane finished."""
_SAID: Final = ("issuer", "identity", *CLAIMS, "run")


def identity(**changes: Any) -> Identity:
    """The identity of the job that `certificate` is of, with no claim demanded."""
    return dataclasses.replace(Identity(issuer=ISSUER, identity=WORKFLOW), **changes)


def certificate(who: make.Party, **changes: Any) -> Certificate:
    """What a certificate for a run of that job says, with every claim that there is."""
    whole = Certificate(
        issuer=ISSUER,
        identity=WORKFLOW,
        repository=make.REPOSITORY,
        commit=make.COMMIT,
        ref="refs/heads/main",
        workflow=WORKFLOW,
        trigger="push",
        run=f"{make.REPOSITORY}/actions/runs/100",
        key=who.trusted,
    )
    return dataclasses.replace(whole, **changes)


class Believing:
    """A trust that believes what stands in a bundle of `certified` or `stamped`, and remembers what it was asked."""

    def __init__(self, digest: Digest | None = ROOT) -> None:
        self.digest: Digest | None = digest
        self.asked: list[str] = []

    def certify(self, bundle: bytes) -> Certified:
        """The certificate that stands in the bundle, with its times; without times it is refused."""
        self.asked.append("certify")
        material = json.loads(bundle)["verificationMaterial"]
        said = json.loads(base64.b64decode(material["certificate"]["rawBytes"]))
        key = public_key(said.pop("key").encode())
        times = _times(material)
        if not times:
            raise NotCertified(Uncertified.TIME_MISSING, "nothing says when it was signed")
        return Certified(certificate=Certificate(**said, key=key), times=times)

    def times(self, bundle: bytes) -> tuple[datetime, ...]:
        """The times that stand in the bundle."""
        self.asked.append("times")
        return _times(json.loads(bundle)["verificationMaterial"])


def _times(material: Mapping[str, Any]) -> tuple[datetime, ...]:
    return tuple(
        parse_time(text) for text in material.get("timestampVerificationData", {}).get("rfc3161Timestamps", ())
    )


class Refusing(Believing):
    """A trust that certifies nothing, for one reason."""

    def __init__(self, code: Uncertified) -> None:
        super().__init__()
        self._code = code

    def certify(self, bundle: bytes) -> Certified:
        """Refuses it."""
        raise NotCertified(self._code, f"refused, all {len(bundle)} bytes")


def certified(
    who: make.Party,
    payload: bytes,
    *,
    says: Certificate | None = None,
    times: Sequence[datetime] = (SEEN,),
    payload_type: str = IN_TOTO,
    **more: Any,
) -> bytes:
    """A bundle around a payload that the party signed under a certificate; `more` members stand beside it."""
    said = certificate(who) if says is None else says
    written = {name: value for name in _SAID if (value := getattr(said, name)) is not None}
    document = {**written, "key": make.pem(said.key.key).decode()}
    material = {"certificate": {"rawBytes": base64.b64encode(json.dumps(document).encode()).decode()}}
    return _bundle(who, payload, {**material, **_stamps(times), **more}, payload_type)


def stamped(who: make.Party, payload: bytes, *times: datetime, **more: Any) -> bytes:
    """A bundle around a payload that the party signed with a key that a policy names, and when that was seen."""
    return _bundle(who, payload, {"publicKey": {"hint": who.trusted.hint}, **_stamps(times), **more}, IN_TOTO)


def _stamps(times: Sequence[datetime]) -> dict[str, Any]:
    return {"timestampVerificationData": {"rfc3161Timestamps": [format_time(time) for time in times]}} if times else {}


@cache
def _signature(who: make.Party, message: bytes) -> bytes:
    return who.sign(message)


def _bundle(who: make.Party, payload: bytes, material: Mapping[str, Any], payload_type: str) -> bytes:
    document = {
        "mediaType": BUNDLE,
        "verificationMaterial": material,
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"sig": base64.b64encode(_signature(who, pae(payload_type, payload))).decode()}],
        },
    }
    return json.dumps(document).encode()


def keyring(identities: Mapping[str, Identity] | None = None, *keys: make.Party, trust: Trust | None = None) -> Keyring:
    """Identities and keys, with a trust that believes them; without identities there is `e2e`."""
    return Keyring(
        (who.trusted for who in keys),
        identities={"e2e": identity()} if identities is None else identities,
        trust=Believing() if trust is None else trust,
    )


def with_identities(policy: Policy, identities: Mapping[str, Identity], trust: Trust | None = None) -> Policy:
    """The policy with these identities among its signers, and the trust behind them."""
    ring = Keyring(policy.keyring.keys, identities=identities, trust=Believing() if trust is None else trust)
    signers = {name: Signer(name=name, identity=one) for name, one in identities.items()}
    return dataclasses.replace(policy, signers={**policy.signers, **signers}, keyring=ring)


def open_trust(root: bytes | None, *, file: str) -> Trust:
    """The `open_trust` of tests: it believes, whatever the trusted root says."""
    assert file
    return Believing(None if root is None else digest_of(root))
