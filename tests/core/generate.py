"""Random policies, releases and evidence: mostly right, so that the few things that are wrong decide."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from random import Random
from typing import Any, TypeVar

from attest.core.certificate import Certificate
from attest.core.evaluate import Found
from attest.core.identity import Identity
from attest.core.policy import Bind, EvidenceAt, Lane, Policy, SourceRule
from attest.core.predicates import PROVENANCE_V1, TEST_RESULT, Result, test_result
from attest.core.reference import Digest, digest_of
from attest.core.release import Release, ReleaseImage
from attest.core.statement import NO_CONTEXT, Context
from attest.core.strictjson import Json
from attest.core.verify import Keyring, Outcome, VerifiedStatement, verify
from tests.core import make
from tests.core.make_identity import Believing, certificate, certified, identity, stamped, with_identities

T = TypeVar("T")
PARTIES = [make.party(f"party {number}", "ed25519") for number in range(4)]
FOREIGN = make.party("stranger", "ed25519")
HOLDERS = {
    "anne": [PARTIES[0]],
    "bert": [PARTIES[1], PARTIES[2]],
    "cora": [PARTIES[3]],
    "dora": [PARTIES[1]],  # `shared: true`
}
IDENTITIES = {
    "emil": identity(),
    "fred": identity(trigger="push"),  # `shared: true`
    "gina": identity(identity="mirror", ref="refs/heads/main"),
}
RUNS = [make.party(f"run {number}", "ed25519") for number in range(4)]
RING = Keyring((who.trusted for who in PARTIES), identities=IDENTITIES, trust=Believing())
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
class Triggered:
    """A condition: the certificate names the trigger `push`."""

    text: str = "certificate.trigger == 'push'"

    def holds(self, *, predicate: Json, statement: Json, image: Json, certificate: Json) -> bool:
        return bool(certificate.get("trigger") == "push" and statement["predicate"] == predicate and image["digest"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Who signed a payload, under which certificate if any, and when that was seen."""

    who: make.Party
    payload: bytes
    says: Certificate | None = None
    times: tuple[datetime, ...] = ()

    @property
    def foreign(self) -> bool:
        """It is no signer's of any policy here."""
        return self.who is FOREIGN or (self.says is not None and self.says.identity == "stranger")

    def bundle(self, hint: str | None = None) -> bytes:
        """The bundle; another `hint` is another wrapping of the same signature."""
        more = {} if hint is None else {"publicKey": {"hint": hint}}
        if self.says is not None:
            return certified(self.who, self.payload, says=self.says, times=self.times, **{"more": hint} if hint else {})
        if self.times:
            return stamped(self.who, self.payload, *self.times, **more)
        return make.bundle(self.who, self.payload, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Everything that an evaluation is given."""

    policy: Policy
    release: Release
    signed: tuple[Signed, ...]

    def found(self) -> list[Found]:
        """What verification makes of a bundle for each, the strangers' too."""
        return [Found(outcome=verified(one.bundle()), image=None) for one in self.signed]

    def verified(self) -> list[VerifiedStatement]:
        outcomes = [verified(one.bundle()) for one in self.signed if not one.foreign]
        distinct = {one.bundle: one for one in outcomes if isinstance(one, VerifiedStatement)}
        assert {one.bundle for one in outcomes} == set(distinct)  # nothing else is wrong with a bundle here
        return list(distinct.values())


@cache
def verified(content: bytes) -> Outcome:
    return verify(content, RING)


def case(chance: Random) -> Case:
    """A policy, a release, a full set of good evidence, some of it taken away, and some more of any kind."""
    policy = _policy(chance)
    release = _release(chance, policy)
    signed: list[Signed] = []
    for image in release.images:
        for lane in policy.lanes:
            signers = sorted(lane.parties)[: lane.threshold] if _mostly(chance, 9) else sorted(lane.parties)[:1]
            for name in signers:
                for about in _digests(policy, release, image, lane):
                    payload = _payload(chance, release, lane, about, wild=0)
                    signed.append(_signed(chance, name, lane, payload, wild=1))
    while signed and _mostly(chance, 1, of=6):
        signed.pop(chance.randrange(len(signed)))
    for _ in range(chance.choice([0, 0, 0, 1, 2, 4])):
        lane, image = chance.choice(policy.lanes), chance.choice(release.images)
        about = chance.choice(_digests(policy, release, image, lane))
        name = chance.choice([*HOLDERS, *IDENTITIES, "nobody"]) if _mostly(chance, 1) else min(lane.parties)
        payload = _payload(chance, release, lane, about, wild=3)
        signed.append(_signed(chance, name, lane, payload, wild=3))
    if signed and _mostly(chance, 1):  # what was signed, wrapped with other times
        one = chance.choice(signed)
        signed.append(dataclasses.replace(one, times=_times(chance, 10) or one.times))
    unique = tuple(dict.fromkeys(signed))
    return Case(policy=_revoking(chance, policy, release, unique), release=release, signed=unique)


def _signed(chance: Random, name: str, lane: Lane, payload: bytes, *, wild: int) -> Signed:
    """A payload that this signer signed, or once in a while somebody else."""
    name = _pick(chance, name, *HOLDERS, *IDENTITIES, wild=wild)
    if name in HOLDERS:
        who = _pick(chance, HOLDERS[name][0], *HOLDERS[name], *PARTIES, wild=wild)
        return Signed(who=who, payload=payload, times=_times(chance, 17 if lane.trusted_time else 3))
    if name == "nobody" and _mostly(chance, 5):
        return Signed(who=FOREIGN, payload=payload)
    who = chance.choice(RUNS)
    wanted = IDENTITIES.get(name, Identity(issuer="i", identity="stranger"))
    says = certificate(
        who,
        identity=wanted.identity,
        commit=_pick(chance, COMMITS[0], COMMITS[1], None, wild=wild),
        ref=_pick(chance, "refs/heads/main", "refs/heads/mainx", None, wild=1 if name == "gina" else wild),
        trigger=_pick(chance, "push", "schedule", None, wild=wild),
    )
    if name == "gina" and says.ref != "refs/heads/main":
        says = dataclasses.replace(says, identity="stranger")
    return Signed(who=who, payload=payload, says=says, times=_times(chance, 20))


def _times(chance: Random, often: int) -> tuple[datetime, ...]:
    """When a signature was seen: mostly soon after its lane finished, if at all."""
    if not _mostly(chance, often, of=20):
        return ()
    minutes = _pick(chance, 50, 5, 55, 70, 100, 200, 300, -30, wild=4)
    seen = make.NOW - timedelta(minutes=minutes)
    return (seen, seen - timedelta(minutes=chance.choice([-20, 7, 90]))) if _mostly(chance, 1) else (seen,)


def _mostly(chance: Random, times: int, *, of: int = 10) -> bool:
    return chance.randrange(of) < times


def _pick(chance: Random, usual: T, *others: T, wild: int) -> T:
    return chance.choice(others) if _mostly(chance, wild, of=20) else usual


def _policy(chance: Random) -> Policy:
    lanes = [_lane(chance, name) for name in ("build", "test", "scan")[: chance.randint(1, 3)]]
    if len({lane.predicate_type for lane in lanes if lane.unlabelled}) < sum(lane.unlabelled for lane in lanes):
        lanes = [dataclasses.replace(lane, unlabelled=False) for lane in lanes]
    evidence = chance.choice([None, None, *EvidenceAt])
    keys = make.policy(
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
    return with_identities(keys, IDENTITIES)


def _lane(chance: Random, name: str) -> Lane:
    parties, threshold = chance.choice(
        [
            *(
                ({"anne"}, 1),
                ({"bert"}, 1),
                ({"anne", "bert"}, 2),
                ({"bert", "dora"}, 2),
                ({"anne", "bert", "cora"}, 2),
            ),
            *(({"emil"}, 1), ({"fred"}, 1), ({"gina"}, 1), ({"anne", "gina"}, 2), ({"emil", "gina"}, 2)),
            *(({"anne", "emil"}, 2), _pick(chance, ({"anne", "emil", "gina"}, 2), ({"emil", "fred"}, 2), wild=8)),
        ]
    )
    usually_off: dict[str, Any] = {
        option: _mostly(chance, 1)
        for option in ("joint", "unlabelled", "unbound", "allow_warned", "allow_dirty", "source_from_statement")
    }
    usually_off["trusted_time"] = _mostly(chance, 2)
    return make.lane(
        name,
        signer="+".join(sorted(parties)),
        parties=frozenset(parties),
        threshold=threshold,
        predicate_type=_pick(chance, TEST_RESULT, PROVENANCE_V1, wild=5),
        where=_pick(chance, (), (Says(value="ok"),), (Triggered(),) if parties & IDENTITIES.keys() else (), wild=5),
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


def _revoking(chance: Random, policy: Policy, release: Release, signed: Sequence[Signed]) -> Policy:
    if not signed or _mostly(chance, 8):
        return policy
    one = chance.choice(signed)
    revoked = chance.choice(
        [
            digest_of(one.bundle()),
            digest_of(one.payload),
            one.who.trusted.fingerprint,
            min(chance.choice(release.images).digests),
        ]
    )
    return dataclasses.replace(policy, revoked=frozenset({revoked}))
