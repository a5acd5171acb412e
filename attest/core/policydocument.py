"""A policy from its document: what no schema can say is checked here, and `attest.core.policy.Policy` is made.

Every error names the place in the document and what would be right. No default widens trust.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

from attest.core.conditions import ALWAYS, Always, CompileCondition, ConditionInvalid
from attest.core.document import Document, Path
from attest.core.keys import KeyInvalid, TrustedKey, public_key
from attest.core.model import read_model
from attest.core.policy import Condition, Lane, PlatformRule, Policy, Signer, SourceRule
from attest.core.policymodel import LaneDocument, PolicyDocument, SignerDocument
from attest.core.predicates import TEST_RESULT
from attest.core.reference import Digest
from attest.core.verify import Keyring
from attest.errors import DocumentInvalid, KeyUnusable

_DIGEST_LABEL: Final = b"attest policy v1\n"

Keys = Mapping[str, tuple[TrustedKey, ...]]
"""The keys of each party, by the name of the signer."""


def read_policy(document: Document) -> PolicyDocument:
    """The document of a policy, checked as far as that goes without the keys.

    Raises:
        DocumentInvalid: it is no policy; with the place.
    """
    policy = read_model(PolicyDocument, document)
    for name, signer in policy.signers.items():
        _check_signer(document, policy, name, signer)
    for name, lane in policy.lanes.items():
        _check_lane(document, policy, name, lane)
    return policy


def named_files(policy: PolicyDocument) -> Iterator[tuple[str, Path]]:
    """Every file that the document names, and where it names it, in its order; a file may come more than once."""
    for name, signer in policy.signers.items():
        for position, file in enumerate(signer.files):
            yield file, ("signers", name, *signer.path(position))


def build_policy(
    document: Document, policy: PolicyDocument, files: Mapping[str, bytes], *, compile_condition: CompileCondition
) -> Policy:
    """The policy that the document and the files that it names are; `files` has all of `named_files`.

    Raises:
        DocumentInvalid: a key that is no key, is held by two signers without their saying so or twice by one, a
            threshold that its keys cannot reach, unlabelled lanes that could not be told apart, or an expression that
            does not compile; with the place.
    """
    keys = _read_keys(document, policy, files)
    holders = _holders(keys)
    _check_shared(document, policy, keys, holders)
    for name, signer in policy.signers.items():
        _check_reachable(document, name, signer, keys)
    lanes = tuple(_lane(document, policy, name, lane, compile_condition) for name, lane in policy.lanes.items())
    _check_unlabelled(document, lanes, keys)
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
        signers={name: Signer(name=name, keys=own) for name, own in keys.items()},
        lanes=lanes,
        revoked=frozenset(policy.revoked or ()),
        keyring=Keyring(key for own in keys.values() for key in own),
        holders=holders,
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
    given = [key for key in ("key", "keys", "threshold", "of") if getattr(signer, key) is not None]
    if given not in (["key"], ["keys"], ["threshold", "of"]):
        problem = f"a signer with `{'` and `'.join(given)}`" if given else "a signer without a key"
        raise document.invalid_key(path, problem, hint="a signer has `key`, or `keys`, or `threshold` with `of`")
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


def _check_lane(document: Document, policy: PolicyDocument, name: str, lane: LaneDocument) -> None:
    path: Path = ("lanes", name)
    if lane.signer not in policy.signers:
        raise document.invalid((*path, "signer"), _unknown_signer(lane.signer, policy))
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


def _read_keys(document: Document, policy: PolicyDocument, files: Mapping[str, bytes]) -> Keys:
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


def _holders(keys: Keys) -> Mapping[Digest, frozenset[str]]:
    holders: dict[Digest, frozenset[str]] = {}
    for name, own in keys.items():
        for key in own:
            holders[key.fingerprint] = holders.get(key.fingerprint, frozenset()) | {name}
    return holders


def _check_shared(
    document: Document, policy: PolicyDocument, keys: Keys, holders: Mapping[Digest, frozenset[str]]
) -> None:
    for name, own in keys.items():
        signer = policy.signers[name]
        others: dict[str, Path] = {}
        for position, key in enumerate(own):
            for other in sorted(holders[key.fingerprint] - {name}):
                others.setdefault(other, ("signers", name, *signer.path(position)))
        if others and not signer.shared:
            other, path = next(iter(others.items()))
            problem = f"{other} holds this key too, so one party could sign for both"
            raise document.invalid(path, problem, hint="give each a key of its own, or `shared: true` to both")


def _check_reachable(document: Document, name: str, signer: SignerDocument, keys: Keys) -> None:
    """Distinct signers count by distinct keys: members that share all of theirs are one."""
    distinct = {key.fingerprint for member in signer.of or () for key in keys[member]}
    if signer.threshold is not None and len(distinct) < signer.threshold:
        problem = f"{signer.threshold} signers need {signer.threshold} keys, and the members have {len(distinct)}"
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


def _check_unlabelled(document: Document, lanes: tuple[Lane, ...], keys: Keys) -> None:
    """Where no statement names its lane, signer and predicate type alone must say which lane it fills."""
    before: list[tuple[Lane, set[Digest]]] = []
    for lane in lanes:
        if not lane.unlabelled:
            continue
        own = {key.fingerprint for party in lane.parties for key in keys[party]}
        for other, theirs in before:
            if other.predicate_type == lane.predicate_type and own & theirs:
                problem = f"the unlabelled lanes {other.name} and {lane.name} could not be told apart"
                hint = "two unlabelled lanes share no predicate type, or no key"
                raise document.invalid_key(("lanes", lane.name, "unlabelled"), problem, hint=hint)
        before.append((lane, own))


def lifetime(age: timedelta) -> str:
    """An age in the words of a policy: `7d`, `36h`, `90s`."""
    seconds = int(age.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
