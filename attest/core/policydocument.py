"""A policy from its document: what no schema can say is checked here, and `attest.core.policy.Policy` is made.

Every error names the place in the document and what would be right. No default widens trust.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from attest.core.conditions import ALWAYS, Always, CompileCondition, ConditionInvalid
from attest.core.document import Document, Path
from attest.core.identity import CLAIMS, Identity, distinct
from attest.core.keys import KeyInvalid, TrustedKey, public_key
from attest.core.model import read_model
from attest.core.policy import Condition, Lane, PlatformRule, Policy, Signer, SourceRule
from attest.core.policyfields import PUBLIC_GOOD
from attest.core.policymodel import LaneDocument, PolicyDocument, SignerDocument
from attest.core.policywaivers import check_waivers, waiver_rule
from attest.core.predicates import TEST_RESULT
from attest.core.reference import Digest
from attest.core.verify import Keyring, Trust
from attest.errors import DocumentInvalid, KeyUnusable

_DIGEST_LABEL: Final = b"attest policy v1\n"

_INSTEAD: Final = "a signer has `key`, or `keys`, or `issuer` and `identity`, or `threshold` with `of`"
_FORMS: Final = (["key"], ["keys"], ["issuer", "identity"], ["threshold", "of"])


class OpenTrust(Protocol):
    """Makes what a policy's `trust` names ready to verify with."""

    def __call__(self, root: bytes | None, *, file: str) -> Trust:
        """The trust of a trusted root; without one that of the public-good Sigstore, fetched when it is first needed.

        Raises:
            DocumentInvalid: the bytes are no trusted root.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Party:
    """Who one signer is: its keys or its identity."""

    keys: tuple[TrustedKey, ...] = ()
    identity: Identity | None = None

    @property
    def proofs(self) -> tuple[str, ...]:
        """By what it is told from others, in the order of the document."""
        return tuple(key.fingerprint for key in self.keys) if self.identity is None else (self.identity.party,)


_Parties = Mapping[str, _Party]
"""By the name of the signer; a threshold is no party."""


def read_policy(document: Document) -> PolicyDocument:
    """The document of a policy, checked as far as that goes without the keys.

    Raises:
        DocumentInvalid: it is no policy; with the place.
    """
    policy = read_model(PolicyDocument, document)
    for name, signer in policy.signers.items():
        _check_signer(document, policy, name, signer)
        _check_identity(document, policy, name, signer)
    for name, lane in policy.lanes.items():
        _check_lane(document, policy, name, lane)
    check_waivers(document, policy)
    return policy


def named_files(policy: PolicyDocument) -> Iterator[tuple[str, Path]]:
    """Every file that the document names, and where it names it, in its order; a file may come more than once."""
    for name, signer in policy.signers.items():
        for position, file in enumerate(signer.files):
            yield file, ("signers", name, *signer.path(position))


def named_root(policy: PolicyDocument) -> tuple[str, Path] | None:
    """The trusted root that the document names, and where."""
    return None if policy.trust is None or policy.trust.file is None else (policy.trust.file, ("trust", "file"))


def build_policy(
    document: Document,
    policy: PolicyDocument,
    files: Mapping[str, bytes],
    *,
    compile_condition: CompileCondition,
    open_trust: OpenTrust,
) -> Policy:
    """The policy that the document and the files that it names are; `files` has all of `named_files` and `named_root`.

    Raises:
        DocumentInvalid: a trusted root that is none, a key that is no key or stands twice, a key or identity of two
            signers who do not say so, a threshold that cannot be reached, unlabelled lanes that could not be told
            apart, or an expression that does not compile; with the place.
    """
    keys = _read_keys(document, policy, files)
    parties: _Parties = {
        name: _Party(keys=keys.get(name, ()), identity=_identity(signer))
        for name, signer in policy.signers.items()
        if signer.of is None
    }
    _check_shared(document, policy, parties)
    for name, signer in policy.signers.items():
        _check_reachable(document, name, signer, parties)
    lanes = tuple(_lane(document, policy, name, lane, compile_condition) for name, lane in policy.lanes.items())
    _check_unlabelled(document, lanes, parties)
    return Policy(
        name=policy.name,
        serial=policy.serial,
        digest=policy_digest(document.content, files),
        expires=policy.expires,
        images=tuple(policy.images),
        source=SourceRule(
            repository=policy.source.repository,
            refs=None if policy.source.refs is None else tuple(policy.source.refs),
            bind=tuple(policy.source.bind),
        ),
        platforms=None
        if policy.platforms is None
        else PlatformRule(evidence=policy.platforms.evidence, only=tuple(policy.platforms.only)),
        signers={name: Signer(name=name, keys=party.keys, identity=party.identity) for name, party in parties.items()},
        lanes=lanes,
        waivers=waiver_rule(document, policy, {name: party.proofs for name, party in parties.items()}),
        revoked=frozenset(policy.revoked or ()),
        public_good=policy.trust is not None and policy.trust.file is None,
        keyring=Keyring(
            (key for party in parties.values() for key in party.keys),
            identities={name: party.identity for name, party in parties.items() if party.identity is not None},
            trust=_trust(document, policy, files, open_trust),
        ),
        holders=_holders(parties),
    )


def policy_digest(content: bytes, files: Mapping[str, bytes]) -> Digest:
    """The digest of a policy: of the document's bytes and of those of every file that it names (docs/policy.md).

    The encoding: a label; the number of files; for each its name and its content, each after its length in bytes. The
    document comes first, under the empty name; the others follow under the names that the document gives them, in
    the order of their bytes. Numbers are unsigned, big-endian, 8 bytes. So where the folder lies does not matter, and
    no two sets of files have the same encoding.
    """
    entries = [(b"", content), *sorted((name.encode("utf-8"), data) for name, data in files.items())]
    state = hashlib.sha256(_DIGEST_LABEL)
    state.update(_number(len(entries)))
    for name, data in entries:
        for part in (name, data):
            state.update(_number(len(part)))
            state.update(part)
    return Digest("sha256:" + state.hexdigest())


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


# Without the keys.


def _check_signer(document: Document, policy: PolicyDocument, name: str, signer: SignerDocument) -> None:
    path: Path = ("signers", name)
    given = [key for form in _FORMS for key in form if getattr(signer, key) is not None]
    if given not in _FORMS:
        problem = f"a signer with `{'` and `'.join(given)}`" if given else "a signer without a key or an identity"
        raise document.invalid_key(path, problem, hint=_INSTEAD)
    if signer.threshold is None or signer.of is None:
        return
    if signer.shared:
        raise document.invalid_key((*path, "shared"), "a threshold has no keys of its own that it could share")
    for position, member in enumerate(signer.of):
        here = (*path, "of", position)
        if member == name:
            raise document.invalid(here, f"{name} cannot be a member of itself")
        if member not in policy.signers:
            raise document.invalid(here, _unknown_signer(member, policy))
        if policy.signers[member].of is not None:
            raise document.invalid(here, f"{member} is a threshold too, and thresholds do not nest; list its members")
    if signer.threshold > len(signer.of):
        problem = (
            f"{signer.threshold} of {len(signer.of)} signers can never sign; the threshold is at most {len(signer.of)}"
        )
        raise document.invalid((*path, "threshold"), problem)


def _check_identity(document: Document, policy: PolicyDocument, name: str, signer: SignerDocument) -> None:
    path: Path = ("signers", name)
    if signer.identity is None:
        for claim in CLAIMS:
            if getattr(signer, claim) is not None:
                problem = f"`{claim}` is what a certificate says, and this signer has none"
                raise document.invalid_key((*path, claim), problem, hint="it stands beside `issuer` and `identity`")
    elif policy.trust is None:
        problem = f"{name} is an identity, and nothing says whose certificates count"
        hint = "give the policy a `trust`: {file: trusted_root.json}, or public-good"
        raise document.invalid_key(path, problem, hint=hint)


def _check_lane(document: Document, policy: PolicyDocument, name: str, lane: LaneDocument) -> None:
    path: Path = ("lanes", name)
    if lane.signer not in policy.signers:
        raise document.invalid((*path, "signer"), _unknown_signer(lane.signer, policy))
    if lane.time is not None and policy.trust is None:
        problem = "`time: trusted` without a `trust`: no time could ever be trusted"
        raise document.invalid_key((*path, "time"), problem, hint="give the policy a `trust`, or use `max-age` alone")
    if lane.predicate_type == TEST_RESULT:
        return
    if lane.where is None:
        raise document.invalid_key(
            path,
            f"the lane {name} does not say what its predicate must say: only a test-result has a result of its own",
            hint='give it a `where`; ["true"] accepts any content',
        )
    if lane.allow_warned:
        raise document.invalid_key((*path, "allow-warned"), "only a test-result can warn; leave `allow-warned` out")


def _unknown_signer(name: str, policy: PolicyDocument) -> str:
    return f"there is no signer {name}; `signers` has {', '.join(policy.signers)}"


# With the keys.


def _identity(signer: SignerDocument) -> Identity | None:
    if signer.issuer is None or signer.identity is None:
        return None
    return Identity(issuer=signer.issuer, identity=signer.identity, **{name: getattr(signer, name) for name in CLAIMS})


def _trust(
    document: Document, policy: PolicyDocument, files: Mapping[str, bytes], open_trust: OpenTrust
) -> Trust | None:
    if policy.trust is None:
        return None
    file = policy.trust.file
    if file is None:
        return open_trust(None, file=PUBLIC_GOOD)
    try:
        return open_trust(files[file], file=file)
    except DocumentInvalid as error:
        raise document.invalid(("trust", "file"), f"{file}: {error.problem}", hint=error.hint) from error


def _read_keys(
    document: Document, policy: PolicyDocument, files: Mapping[str, bytes]
) -> Mapping[str, tuple[TrustedKey, ...]]:
    keys: dict[str, tuple[TrustedKey, ...]] = {}
    for name, signer in policy.signers.items():
        own: list[TrustedKey] = []
        for position, file in enumerate(signer.files):
            path: Path = ("signers", name, *signer.path(position))
            try:
                key = public_key(files[file])
            except KeyInvalid as error:
                private = b"PRIVATE KEY-----" in files[file]
                problem = (
                    "a private key; a policy names public ones, and private ones stay secret" if private else error
                )
                raise key_unusable(document, path, f"{file}: {problem}") from error
            if key in own:
                raise document.invalid(path, f"{file} holds the same key as {signer.files[own.index(key)]}")
            own.append(key)
        if signer.files:
            keys[name] = tuple(own)
    return keys


def key_unusable(document: Document, path: Path, problem: str) -> KeyUnusable:
    """The error that the key file named at the path cannot be used."""
    place = document.place(path)
    return KeyUnusable(problem, file=document.file, line=place.line, column=place.column)


def _holders(parties: _Parties) -> Mapping[Digest, frozenset[str]]:
    holders: dict[Digest, frozenset[str]] = {}
    for name, party in parties.items():
        for key in party.keys:
            holders[key.fingerprint] = holders.get(key.fingerprint, frozenset()) | {name}
    return holders


def _check_shared(document: Document, policy: PolicyDocument, parties: _Parties) -> None:
    for name, party in parties.items():
        signer = policy.signers[name]
        if signer.shared:
            continue
        for position, proof in enumerate(party.proofs):
            others = [other for other, theirs in parties.items() if other != name and proof in theirs.proofs]
            if others:
                what, where = ("identity", ("identity",)) if party.identity else ("key", signer.path(position))
                problem = f"{min(others)} holds this {what} too, so one party could sign for both"
                hint = "give each one of its own, or `shared: true` to both"
                raise document.invalid(("signers", name, *where), problem, hint=hint)


def _check_reachable(document: Document, name: str, signer: SignerDocument, parties: _Parties) -> None:
    """Distinct signers count by distinct keys or identities: members that share all of theirs are one."""
    reachable = distinct({member: parties[member].proofs for member in signer.of or ()})
    if signer.threshold is not None and reachable < signer.threshold:
        need = f"{signer.threshold} signers need {signer.threshold} keys or identities"
        problem = f"{need}, and the members have {reachable} between them"
        raise document.invalid(("signers", name, "threshold"), problem)


def _lane(
    document: Document, policy: PolicyDocument, name: str, lane: LaneDocument, compile_condition: CompileCondition
) -> Lane:
    signer = policy.signers[lane.signer]
    return Lane(
        name=name,
        predicate_type=lane.predicate_type,
        signer=lane.signer,
        parties=frozenset(signer.of or {lane.signer}),
        threshold=signer.threshold or 1,
        where=tuple(
            _condition(document, ("lanes", name, "where", position), text, compile_condition)
            for position, text in enumerate(lane.where or ())
        ),
        max_age=lane.max_age,
        trusted_time=lane.time is not None,
        joint=lane.joint,
        unlabelled=lane.unlabelled,
        unbound=lane.unbound,
        allow_warned=lane.allow_warned,
        allow_dirty=lane.allow_dirty,
        source_from_statement=lane.source_from is not None,
        exempt=frozenset(lane.except_ or ()),
    )


def _condition(document: Document, path: Path, text: str, compile_condition: CompileCondition) -> Condition:
    if text == ALWAYS:
        return Always()
    try:
        return compile_condition(text)
    except ConditionInvalid as error:
        place = document.place_within(path, text, error.offset or 0)
        raise DocumentInvalid(
            error.problem, file=document.file, line=place.line, column=place.column, hint=error.hint
        ) from error


def _check_unlabelled(document: Document, lanes: tuple[Lane, ...], parties: _Parties) -> None:
    """Where no statement names its lane, signer and predicate type alone must say which lane it fills."""
    before: list[tuple[Lane, set[str]]] = []
    for lane in lanes:
        if not lane.unlabelled:
            continue
        own = {proof for name in lane.parties for proof in parties[name].proofs}
        for other, theirs in before:
            if other.predicate_type == lane.predicate_type and own & theirs:
                problem = f"the unlabelled lanes {other.name} and {lane.name} could not be told apart"
                hint = "two unlabelled lanes share no predicate type, or no key and no identity"
                raise document.invalid_key(("lanes", lane.name, "unlabelled"), problem, hint=hint)
        before.append((lane, own))


def lifetime(age: timedelta) -> str:
    """An age in the words of a policy: `7d`, `36h`, `90s`."""
    seconds = int(age.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
