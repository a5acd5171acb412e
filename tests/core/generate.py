"""Random policies, releases and evidence: mostly right, so that the few things that are wrong decide."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from random import Random
from typing import Any, TypeVar

from attest.core.evaluate import Found
from attest.core.policy import Bind, EvidenceAt, Lane, Policy, SourceRule
from attest.core.predicates import PROVENANCE_V1, TEST_RESULT, Result, test_result
from attest.core.reference import Digest, digest_of
from attest.core.release import Release, ReleaseImage
from attest.core.statement import NO_CONTEXT, Context
from attest.core.strictjson import Json
from attest.core.verify import Keyring, Outcome, VerifiedStatement, verify
from tests.core import make

T = TypeVar("T")
PARTIES = [make.party(f"party {number}", "ed25519") for number in range(4)]
FOREIGN = make.party("stranger", "ed25519")
HOLDERS = {
    "anne": [PARTIES[0]],
    "bert": [PARTIES[1], PARTIES[2]],
    "cora": [PARTIES[3]],
    "dora": [PARTIES[1]],  # `shared: true`
}
RING = Keyring(who.trusted for who in PARTIES)
OTHER_REPOSITORY = "https://git.example.org/plex/other"
COMMITS = ["c" * 40, "d" * 40]


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """A condition: the predicate has a member `tag` with this value."""

    value: str

    @property
    def text(self) -> str:
        return f"predicate.tag == '{self.value}'"

    def holds(self, *, predicate: Json, statement: Json, image: Json, certificate: Json) -> bool:
        assert isinstance(certificate, dict)
        return bool(predicate.get("tag") == self.value and statement["predicate"] == predicate and image["digest"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Everything that an evaluation is given; `signed` is who signed which payload."""

    policy: Policy
    release: Release
    signed: tuple[tuple[make.Party, bytes], ...]

    def found(self) -> list[Found]:
        """What verification makes of a bundle for each, the strangers' too."""
        return [Found(outcome=_verify(make.bundle(who, payload)), image=None) for who, payload in self.signed]

    def verified(self) -> list[VerifiedStatement]:
        ring = [make.verified(who, payload) for who, payload in self.signed if who is not FOREIGN]
        return list({one.bundle: one for one in ring}.values())


@cache
def _verify(content: bytes) -> Outcome:
    return verify(content, RING)


def case(chance: Random) -> Case:
    """A policy, a release, a full set of good evidence, some of it taken away, and some more of any kind."""
    policy = _policy(chance)
    release = _release(chance, policy)
    signed: list[tuple[make.Party, bytes]] = []
    for image in release.images:
        for lane in policy.lanes:
            signers = sorted(lane.parties)[: lane.threshold] if _mostly(chance, 9) else sorted(lane.parties)[:1]
            for name in signers:
                for about in _digests(policy, release, image, lane):
                    who = _pick(chance, HOLDERS[name][0], *HOLDERS[name], *PARTIES, wild=1)
                    signed.append((who, _payload(chance, release, lane, about, wild=0)))
    while signed and _mostly(chance, 1, of=6):
        signed.pop(chance.randrange(len(signed)))
    for _ in range(chance.choice([0, 0, 0, 1, 2, 4])):
        lane, image = chance.choice(policy.lanes), chance.choice(release.images)
        about = chance.choice(_digests(policy, release, image, lane))
        who = chance.choice([*PARTIES, FOREIGN]) if _mostly(chance, 1) else chance.choice(HOLDERS[min(lane.parties)])
        signed.append((who, _payload(chance, release, lane, about, wild=3)))
    unique = tuple(dict.fromkeys(signed))
    return Case(policy=_revoking(chance, policy, release, unique), release=release, signed=unique)


def _mostly(chance: Random, times: int, *, of: int = 10) -> bool:
    return chance.randrange(of) < times


def _pick(chance: Random, usual: T, *others: T, wild: int) -> T:
    return chance.choice(others) if _mostly(chance, wild, of=20) else usual


def _policy(chance: Random) -> Policy:
    lanes = [_lane(chance, name) for name in ("build", "test", "scan")[: chance.randint(1, 3)]]
    if len({lane.predicate_type for lane in lanes if lane.unlabelled}) < sum(lane.unlabelled for lane in lanes):
        lanes = [dataclasses.replace(lane, unlabelled=False) for lane in lanes]
    evidence = chance.choice([None, None, *EvidenceAt])
    return make.policy(
        lanes,
        HOLDERS,
        source=SourceRule(
            repository=make.REPOSITORY,
            refs=chance.choice([None, None, ("refs/heads/main",), ("refs/heads/main", "refs/tags/*")]),
            bind=chance.choice(
                [(Bind.COMMIT,), (Bind.REPOSITORY, Bind.COMMIT), (Bind.RUN, Bind.REF), (Bind.REPOSITORY,)]
            ),
        ),
        platforms=None if evidence is None else make.platforms(evidence),
        expires=_pick(chance, None, make.NOW, make.NOW + make.HOUR, wild=1),
    )


def _lane(chance: Random, name: str) -> Lane:
    parties, threshold = chance.choice(
        [({"anne"}, 1), ({"bert"}, 1), ({"anne", "bert"}, 2), ({"bert", "dora"}, 2), ({"anne", "bert", "cora"}, 2)]
    )
    usually_off: dict[str, Any] = {
        option: _mostly(chance, 1)
        for option in ("joint", "unlabelled", "unbound", "allow_warned", "allow_dirty", "source_from_statement")
    }
    return make.lane(
        name,
        signer="+".join(sorted(parties)),
        parties=frozenset(parties),
        threshold=threshold,
        predicate_type=_pick(chance, TEST_RESULT, PROVENANCE_V1, wild=5),
        where=_pick(chance, (), (Says(value="ok"),), wild=5),
        max_age=_pick(chance, None, 3 * make.HOUR, wild=6),
        exempt=_pick(chance, frozenset(), frozenset({"web"}), wild=2),
        **usually_off,
    )


def _release(chance: Random, policy: Policy) -> Release:
    images = []
    for name in ("app", "web")[: chance.choice([1, 1, 2])]:
        children = None
        if policy.platforms is None or _mostly(chance, 2):
            images.append(make.image(name))
            continue
        if _mostly(chance, 1):
            children = [make.child(f"{name} amd64", make.AMD64)]
        images.append(make.index(name, children))
    if policy.platforms is not None and any(image.stored.children is None for image in images):
        one = make.platforms(policy.platforms.evidence, make.AMD64)
        object.__setattr__(policy, "platforms", one)
    return make.release(*images, commit=_pick(chance, None, COMMITS[0], wild=4))


def _digests(policy: Policy, release: Release, image: ReleaseImage, lane: Lane) -> list[tuple[Digest, ...]]:
    """Sets of subjects, each for a statement of its own, that together fill a lane."""
    if lane.joint:
        return [tuple(sorted(release.subjects))]
    if policy.platforms is None or image.stored.children is None or policy.platforms.evidence is EvidenceAt.INDEX:
        return [(image.digest,)]
    return [(digest,) for digest in sorted(image.digests)]


def _payload(chance: Random, release: Release, lane: Lane, about: Sequence[Digest], *, wild: int) -> bytes:
    finished = make.NOW - timedelta(hours=_pick(chance, 1, 0, 2, 3, 4, -1, wild=2 * wild))
    context = Context(
        lane=_pick(chance, lane.name, "build", "test", wild=wild),
        repository=_pick(chance, make.REPOSITORY, OTHER_REPOSITORY, None, wild=wild),
        commit=_pick(chance, COMMITS[0], COMMITS[1], None, wild=wild),
        ref=_pick(chance, "refs/heads/main", "refs/heads/mainx", "refs/tags/v1", None, wild=wild),
        run_id=_pick(chance, "9", "8", "10", "x", None, wild=3 * wild),
        run_attempt=_pick(chance, 1, 2, None, wild=3 * wild),
        job=_pick(chance, "job", "other", None, wild=wild),
        started=_pick(chance, None, finished - timedelta(minutes=30), finished - timedelta(minutes=90), wild=3 * wild),
        finished=_pick(chance, finished, None, wild=wild),
        dirty=_pick(chance, False, True, wild=wild),
    )
    if lane.unlabelled and _mostly(chance, 9):
        context = NO_CONTEXT
    tagged = {"tag": _pick(chance, "ok", "no", wild=wild)}
    if lane.predicate_type == PROVENANCE_V1:
        workflow = {
            "repository": _pick(chance, make.REPOSITORY, OTHER_REPOSITORY, wild=wild),
            "ref": _pick(chance, "refs/heads/main", "refs/heads/mainx", wild=wild),
        }
        config = {"uri": make.REPOSITORY, "digest": {"gitCommit": _pick(chance, COMMITS[0], COMMITS[1], wild=wild)}}
        sources = {"externalParameters": {"workflow": workflow, "configSource": config}}
        predicate: dict[str, Any] = {"buildDefinition": sources, **tagged}
    else:
        predicate = {**test_result(_pick(chance, Result.PASSED, *Result, wild=2 * wild)), **tagged}
    subjects = list(about)
    if _mostly(chance, wild, of=20):
        subjects = chance.choice([[*subjects, make.digest("else")], [make.digest("else")], sorted(release.subjects)])
    return make.payload(dict.fromkeys(subjects), context, predicate_type=lane.predicate_type, predicate=predicate)


def _revoking(chance: Random, policy: Policy, release: Release, signed: Sequence[tuple[make.Party, bytes]]) -> Policy:
    if not signed or _mostly(chance, 8):
        return policy
    who, payload = chance.choice(signed)
    revoked = chance.choice(
        [
            digest_of(make.bundle(who, payload)),
            digest_of(payload),
            who.trusted.fingerprint,
            min(chance.choice(release.images).digests),
        ]
    )
    return dataclasses.replace(policy, revoked=frozenset({revoked}))
