"""Real keys, signed bundles, policies and releases for tests. Nothing random, nothing of the clock: runs repeat."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from attest.core import oci
from attest.core.envelope import pae, write_bundle
from attest.core.evaluate import Found, evaluate
from attest.core.keys import TrustedKey, public_key
from attest.core.policy import Bind, EvidenceAt, Lane, PlatformRule, Policy, Signer, SourceRule
from attest.core.predicates import TEST_RESULT, Result, test_result
from attest.core.reference import Digest, digest_of, parse_repository
from attest.core.release import ChildKind, Release, ReleaseImage, StoredChild, StoredImage
from attest.core.statement import Context, write_statement
from attest.core.verdict import LaneVerdict, Verdict
from attest.core.verify import Keyring, Outcome, VerifiedStatement, verify

NOW: Final = datetime(2026, 7, 1, 12, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
REPOSITORY: Final = "https://git.example.org/plex/playlist"
COMMIT: Final = "c" * 40
AMD64: Final = oci.Platform(os="linux", architecture="amd64")
ARM64: Final = oci.Platform(os="linux", architecture="arm64")

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
_CURVES: Final[Mapping[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]]] = {
    "ecdsa-p256": (ec.SECP256R1(), hashes.SHA256()),
    "ecdsa-p384": (ec.SECP384R1(), hashes.SHA384()),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Party:
    """Somebody with a key of their own."""

    private: PrivateKey
    trusted: TrustedKey

    def sign(self, message: bytes) -> bytes:
        """The same signature over the same message every time, in the form that `TrustedKey.verifies` reads."""
        if isinstance(self.private, ec.EllipticCurvePrivateKey):
            algorithm = _CURVES[self.trusted.algorithm][1]
            return self.private.sign(message, ec.ECDSA(algorithm, deterministic_signing=True))
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(message)
        return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())


@cache
def party(name: str, algorithm: str = "ecdsa-p256") -> Party:
    """The party of this name; the key follows from the name, except an RSA key."""
    seed = hashlib.sha256(name.encode()).digest()
    private: PrivateKey
    if algorithm in _CURVES:
        private = ec.derive_private_key(int.from_bytes(seed, "big") >> 1, _CURVES[algorithm][0])
    elif algorithm == "ed25519":
        private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    else:
        private = rsa.generate_private_key(65537, int(algorithm.removeprefix("rsa-")))
    return Party(private=private, trusted=public_key(pem(private.public_key())))


def pem(key: Any) -> bytes:
    """A public key as a PEM file has it."""
    written: bytes = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return written


def digest(text: str) -> Digest:
    """Some digest, another one for every text."""
    return digest_of(text.encode())


# What is signed


def context(lane: str | None = "test", **changes: Any) -> Context:
    """A complete context: run 100, attempt 1, finished an hour ago."""
    whole = Context(
        lane=lane,
        repository=REPOSITORY,
        commit=COMMIT,
        ref="refs/heads/main",
        run_id="100",
        run_attempt=1,
        job=lane,
        run_url=f"{REPOSITORY}/actions/runs/100",
        started=NOW - 2 * HOUR,
        finished=NOW - HOUR,
    )
    return whole._replace(**changes)


def payload(
    subjects: Iterable[Digest],
    about: Context,
    *,
    result: Result = Result.PASSED,
    predicate_type: str = TEST_RESULT,
    predicate: Mapping[str, Any] | None = None,
) -> bytes:
    """A Statement about these digests; a test-result with this result unless a predicate is given."""
    return write_statement(
        subjects=dict.fromkeys(subjects, "image"),
        context=about,
        predicate_type=predicate_type,
        predicate=test_result(result) if predicate is None else predicate,
    )


@cache
def _signature(who: Party, message: bytes) -> bytes:
    return who.sign(message)


def bundle(who: Party, signed: bytes, *, hint: str | None = None) -> bytes:
    """A Sigstore bundle around a payload; another `hint` is another wrapping of the same signature."""
    signature = _signature(who, pae(oci.IN_TOTO, signed))
    return write_bundle(payload=signed, signature=signature, hint=who.trusted.hint if hint is None else hint)


@cache
def verified(who: Party, signed: bytes, *, hint: str | None = None) -> VerifiedStatement:
    """A payload, signed and verified."""
    outcome = verify(bundle(who, signed, hint=hint), Keyring([who.trusted]))
    assert isinstance(outcome, VerifiedStatement), outcome
    return outcome


# What is asked


def lane(name: str, signer: str = "ci", **changes: Any) -> Lane:
    """A lane that wants a test-result of one signer."""
    whole = Lane(name=name, predicate_type=TEST_RESULT, signer=signer, parties=frozenset({signer}), threshold=1)
    return dataclasses.replace(whole, **changes)


def policy(
    lanes: Sequence[Lane],
    signers: Mapping[str, Sequence[Party]] | None = None,
    *,
    revoked: Iterable[Digest] = (),
    **changes: Any,
) -> Policy:
    """A policy for everything below registry.example.org/plex; without `signers` there is `ci` with one key."""
    signers = {"ci": [party("ci")]} if signers is None else signers
    holders: dict[Digest, frozenset[str]] = {}
    for name, parties in signers.items():
        for one in parties:
            holders[one.trusted.fingerprint] = holders.get(one.trusted.fingerprint, frozenset()) | {name}
    whole = Policy(
        name="staging",
        serial=7,
        digest=digest("policy"),
        expires=None,
        images=("registry.example.org/plex/*",),
        source=SourceRule(repository=REPOSITORY, refs=None, bind=(Bind.REPOSITORY, Bind.COMMIT)),
        platforms=None,
        signers={
            name: Signer(name=name, keys=tuple(one.trusted for one in parties)) for name, parties in signers.items()
        },
        lanes=tuple(lanes),
        revoked=frozenset(revoked),
        keyring=Keyring(one.trusted for parties in signers.values() for one in parties),
        holders=holders,
    )
    return dataclasses.replace(whole, **changes)


def platforms(evidence: EvidenceAt, *only: oci.Platform) -> PlatformRule:
    """A rule for image indexes; without a list it is linux/amd64 and linux/arm64."""
    return PlatformRule(evidence=evidence, only=only or (AMD64, ARM64))


def image(name: str = "app", *, at: Digest | None = None, platform: oci.Platform | None = AMD64) -> ReleaseImage:
    """A plain image in registry.example.org/plex."""
    return _image(name, digest(f"image {name}") if at is None else at, oci.MANIFEST, None, platform)


def child(name: str, platform: oci.Platform | None, kind: ChildKind = ChildKind.PLATFORM) -> StoredChild:
    """A child of an image index."""
    return StoredChild(digest=digest(f"child {name}"), platform=platform, kind=kind)


def index(name: str = "app", children: Sequence[StoredChild] | None = None) -> ReleaseImage:
    """An image index in registry.example.org/plex; without `children` it has linux/amd64 and linux/arm64."""
    if children is None:
        children = [child(f"{name} amd64", AMD64), child(f"{name} arm64", ARM64)]
    return _image(name, digest(f"index {name}"), oci.INDEX, tuple(children), None)


def _image(
    name: str,
    at: Digest,
    media_type: str,
    children: tuple[StoredChild, ...] | None,
    platform: oci.Platform | None,
) -> ReleaseImage:
    repository = parse_repository(f"registry.example.org/plex/{name}")
    stored = StoredImage(
        descriptor=oci.Descriptor(media_type=media_type, digest=at, size=512), children=children, platform=platform
    )
    return ReleaseImage(reference=f"{repository}@{at}", repository=repository, stored=stored)


def release(*images: ReleaseImage, commit: str | None = None) -> Release:
    """A release; without images it is one plain image, `app`."""
    return Release(images=images or (image(),), commit=commit)


# What is found, and what follows


def found(asked: Policy, *bundles: bytes, on: Digest | None = None) -> list[Found]:
    """What verification under the policy's keys makes of these bundles."""
    return [Found(outcome=verify(content, asked.keyring), image=on) for content in bundles]


def outcomes(*values: Outcome, on: Digest | None = None) -> list[Found]:
    """The same for outcomes that are there already."""
    return [Found(outcome=value, image=on) for value in values]


def decide(asked: Policy, what: Release, *bundles: bytes, now: datetime = NOW, **more: Any) -> Verdict:
    """The verdict on a release with these bundles."""
    return evaluate(asked, what, found(asked, *bundles), now=now, **more)


def only_lane(verdict: Verdict) -> LaneVerdict:
    """The lane of a verdict on one image with one lane."""
    (one,) = verdict.findings.images
    (state,) = one.lanes
    return state
