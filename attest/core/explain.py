"""A policy in plain sentences, and as data: what `attest policy check` says of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import assert_never

from attest.core.conditions import ALWAYS
from attest.core.identity import CLAIMS
from attest.core.policy import EvidenceAt, Lane, Policy, Signer, WaiverRule
from attest.core.policydocument import lifetime
from attest.core.policyfields import PUBLIC_GOOD
from attest.core.predicates import TEST_RESULT
from attest.core.statement import format_time
from attest.core.strictjson import Json
from attest.core.verify import Trust

SCHEMA = "attest.policy/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Sentences about one thing."""

    title: str
    sentences: tuple[str, ...]


def explain(policy: Policy) -> tuple[Section, ...]:
    """The whole policy: images, source, trust, each lane, signers, and what is revoked."""
    trust = policy.keyring.trust
    return (
        Section(title="images", sentences=tuple(_images(policy))),
        Section(title="source", sentences=tuple(_source(policy))),
        *(() if trust is None else (Section(title="trust", sentences=(_trust(policy, trust),)),)),
        *(Section(title=f"lane {lane.name}", sentences=tuple(_lane(lane))) for lane in policy.lanes),
        *(
            Section(title=f"signer {one.name}", sentences=tuple(_signer(policy, one)))
            for one in policy.signers.values()
        ),
        *(() if policy.waivers is None else (Section(title="waivers", sentences=tuple(_waivers(policy.waivers))),)),
        Section(title="revoked", sentences=tuple(_revoked(policy))),
    )


def document(policy: Policy) -> dict[str, Json]:
    """The policy as data, for `--format json`; `explanation` has the sentences."""
    return {
        "schema": SCHEMA,
        "name": policy.name,
        "serial": policy.serial,
        "digest": policy.digest,
        "expires": None if policy.expires is None else format_time(policy.expires),
        "images": list(policy.images),
        "source": {
            "repository": policy.source.repository,
            "refs": None if policy.source.refs is None else list(policy.source.refs),
            "bind": [str(bind) for bind in policy.source.bind],
        },
        "platforms": None
        if policy.platforms is None
        else {
            "evidence": str(policy.platforms.evidence),
            "only": [str(platform) for platform in policy.platforms.only],
        },
        "trust": _trust_document(policy),
        "signers": {name: _signer_document(policy, signer) for name, signer in policy.signers.items()},
        "lanes": [_lane_document(lane) for lane in policy.lanes],
        "waivers": None
        if policy.waivers is None
        else {
            "signer": policy.waivers.signer,
            "parties": sorted(policy.waivers.parties),
            "threshold": policy.waivers.threshold,
            "lanes": sorted(policy.waivers.lanes),
            "max-lifetime": lifetime(policy.waivers.max_lifetime),
        },
        "revoked": sorted(policy.revoked),
        "explanation": [{"title": section.title, "sentences": list(section.sentences)} for section in explain(policy)],
    }


def _trust_document(policy: Policy) -> dict[str, Json] | None:
    trust = policy.keyring.trust
    if trust is None:
        return None
    return {"root": PUBLIC_GOOD, "digest": None} if policy.public_good else {"root": "file", "digest": trust.digest}


def _signer_document(policy: Policy, signer: Signer) -> list[Json]:
    if signer.identity is not None:
        names = ("issuer", "identity", *CLAIMS)
        return [{name: value for name in names if (value := getattr(signer.identity, name)) is not None}]
    return [
        {"fingerprint": key.fingerprint, "algorithm": key.algorithm, "revoked": key.fingerprint in policy.revoked}
        for key in signer.keys
    ]


def _lane_document(lane: Lane) -> dict[str, Json]:
    return {
        "lane": lane.name,
        "predicate-type": lane.predicate_type,
        "signer": lane.signer,
        "parties": sorted(lane.parties),
        "threshold": lane.threshold,
        "where": [condition.text for condition in lane.where],
        "max-age": None if lane.max_age is None else lifetime(lane.max_age),
        "time": "trusted" if lane.trusted_time else None,
        "joint": lane.joint,
        "unlabelled": lane.unlabelled,
        "unbound": lane.unbound,
        "allow-warned": lane.allow_warned,
        "allow-dirty": lane.allow_dirty,
        "source-from": "statement" if lane.source_from_statement else None,
        "except": sorted(lane.exempt),
    }


def _images(policy: Policy) -> Iterator[str]:
    for pattern in policy.images:
        yield f"It speaks for {_below(pattern) if pattern.endswith('/*') else pattern}."
    yield "It refuses every other image."
    if policy.platforms is None:
        yield "It refuses image indexes, since it has no `platforms`."
        return
    yield f"An image is for exactly {_and(str(platform) for platform in policy.platforms.only)}."
    match policy.platforms.evidence:
        case EvidenceAt.INDEX:
            yield "Of an image index, every lane is asked of the index."
        case EvidenceAt.EACH:
            yield "Of an image index, every lane is asked of each platform, joint ones of the index."
        case EvidenceAt.BOTH:
            yield "Of an image index, every lane is asked of the index and of each platform, joint ones of the index."
        case other:
            assert_never(other)


def _source(policy: Policy) -> Iterator[str]:
    yield f"Everything is about the repository {policy.source.repository}."
    if policy.source.refs is not None:
        refs = _or(_below(ref) if ref.endswith("/*") else ref for ref in policy.source.refs)
        yield f"The ref is {refs}."
    yield f"All lanes of all images of a release are about the same {_and(str(bind) for bind in policy.source.bind)}."


def _lane(lane: Lane) -> Iterator[str]:
    scope = "every image" if not lane.exempt else f"every image but {_and(sorted(lane.exempt))}"
    yield f"Needed for {scope}."
    if lane.predicate_type == TEST_RESULT:
        yield f"A test-result that says {'PASSED or WARNED' if lane.allow_warned else 'PASSED'}."
    else:
        yield f"A statement of the type {lane.predicate_type}."
    if lane.threshold > 1 or lane.parties != {lane.signer}:
        yield f"Signed by {lane.threshold} of {_and(sorted(lane.parties))} ({lane.signer})."
    else:
        yield f"Signed by {lane.signer}."
    if lane.unlabelled:
        yield "It carries no lane name: predicate type and signer alone say that it is this lane."
    if lane.joint:
        yield "It is about exactly the images of the release, all of them together."
    for condition in lane.where:
        yield "Its content may be anything." if condition.text == ALWAYS else f"It must be true that: {condition.text}"
    if lane.trusted_time:
        yield "A trusted timestamp or log says when it was signed."
    yield "It may be of any age." if lane.max_age is None else f"It is at most {lifetime(lane.max_age)} old."
    if lane.unbound:
        yield "It need not share or name what the other lanes share; what it names is compared with the policy."
    if lane.source_from_statement:
        yield "Its source is what its context says; other places in it may name another."
    if lane.allow_dirty:
        yield "It may come from a work tree with changes that are in no commit."


def _signer(policy: Policy, signer: Signer) -> Iterator[str]:
    lanes = [lane.name for lane in policy.lanes if signer.name in lane.parties]
    if policy.waivers is not None and signer.name in policy.waivers.parties:
        yield "May waive lanes, and sign none."
    else:
        yield f"May sign {_and(lanes)}." if lanes else "May sign nothing: no lane needs it."
    if signer.identity is not None:
        yield f"Is {signer.identity.identity}, as {signer.identity.issuer} says."
        for claim in CLAIMS:
            wanted = getattr(signer.identity, claim)
            if wanted is not None:
                yield f"Its certificate names the {claim} {wanted}."
        sharing = [
            name
            for name, identity in sorted(policy.keyring.identities.items())
            if name != signer.name and identity.party == signer.identity.party
        ]
        if sharing:
            yield f"Shares this identity with {_and(sharing)}."
    for key in signer.keys:
        retired = " (revoked: what it signed as good does not count)" if key.fingerprint in policy.revoked else ""
        yield f"Has the {key.algorithm} key {key.fingerprint}{retired}."
        others = policy.holders[key.fingerprint] - {signer.name}
        if others:
            yield f"Shares this key with {_and(sorted(others))}."


def _waivers(rule: WaiverRule) -> Iterator[str]:
    if rule.threshold > 1 or rule.parties != {rule.signer}:
        who = f"{rule.threshold} of {_and(sorted(rule.parties))} ({rule.signer})"
    else:
        who = rule.signer
    yield f"In an emergency {who} may waive {_and(sorted(rule.lanes))}, for at most {lifetime(rule.max_lifetime)}."
    yield "What runs by a waiver has not passed, and is never gone back to."


def _trust(policy: Policy, trust: Trust) -> str:
    whose = (
        "the public-good Sigstore, fetched through TUF" if policy.public_good else f"the trusted root {trust.digest}"
    )
    return f"Certificates, logs and timestamps are those of {whose}."


def _revoked(policy: Policy) -> Iterator[str]:
    for digest in sorted(policy.revoked):
        names = policy.holders.get(digest)
        yield f"{digest}, a key of {_and(sorted(names))}." if names else f"{digest}."
    if not policy.revoked:
        yield "Nothing is revoked."


def _below(pattern: str) -> str:
    return f"everything below {pattern.removesuffix('/*')}"


def _and(items: Iterable[str]) -> str:
    return _list(list(items), "and")


def _or(items: Iterable[str]) -> str:
    return _list(list(items), "or")


def _list(items: list[str], word: str) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {word} {items[-1]}"
