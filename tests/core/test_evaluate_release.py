"""Steps 0 and 1: what refuses a release or an image before its lanes count."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from attest.core.envelope import pae, write_bundle
from attest.core.evaluate import Found, Remembered, evaluate
from attest.core.oci import IN_TOTO, Platform
from attest.core.policy import EvidenceAt, Policy
from attest.core.reference import Digest, digest_of, parse_repository
from attest.core.release import ChildKind, Release, ReleaseImage
from attest.core.verdict import ImageVerdict, Passed, Reason, Refused, State, Verdict
from attest.core.verify import Rejected, Unreadable, verify
from tests.core import make

APP = make.image("app")
CI = make.party("ci")


def asked(**changes: Any) -> Policy:
    return make.policy([make.lane("test")], **changes)


def good(*digests: Digest, lane: str = "test") -> bytes:
    return make.bundle(CI, make.payload(digests or [APP.digest], make.context(lane)))


def reasons(verdict: Verdict) -> list[Reason]:
    """Of the release and of all of its images."""
    images = [refusal.reason for image in verdict.findings.images for refusal in image.refusals]
    return [refusal.reason for refusal in verdict.findings.refusals] + images


def everything(image: ReleaseImage) -> bytes:
    return good(*sorted(image.digests))


# The policy


@pytest.mark.parametrize(
    ("expires", "passes"), [(make.NOW, False), (make.NOW - make.HOUR, False), (make.NOW + timedelta.resolution, True)]
)
def test_an_expired_policy_refuses(expires: Any, passes: bool) -> None:
    """From the moment at which it expires a policy passes nothing."""
    verdict = make.decide(asked(expires=expires), make.release(APP), good())
    assert isinstance(verdict, Passed) == passes
    assert reasons(verdict) == ([] if passes else [Reason.POLICY_EXPIRED])


@pytest.mark.parametrize(
    ("serial", "same", "expected"),
    [
        (6, True, []),
        (6, False, []),
        (7, True, []),
        (7, False, [Reason.POLICY_CHANGED]),
        (8, True, [Reason.SERIAL_TOO_LOW]),
        (8, False, [Reason.SERIAL_TOO_LOW]),
    ],
)
def test_a_serial_never_goes_back(serial: int, same: bool, expected: list[Reason]) -> None:
    """A policy older than one seen before, or another one of the same serial, refuses (CVE-2024-23332)."""
    remembered = Remembered(serial=serial, digest=make.digest("policy" if same else "other policy"))
    verdict = make.decide(asked(), make.release(APP), good(), remembered=remembered)
    assert reasons(verdict) == expected
    assert isinstance(verdict, Refused) == bool(expected)


def test_an_input_that_is_gone_refuses() -> None:
    """Every input of an earlier receipt has to be found again, in whatever state it is now."""
    one, other = good(), make.bundle(make.party("foreign"), make.payload([APP.digest], make.context()))
    demanded = [digest_of(one), digest_of(other), make.digest("gone"), make.digest("gone too")]
    verdict = make.decide(asked(), make.release(APP), one, other, demanded=demanded)
    assert reasons(verdict) == [Reason.INPUT_WITHHELD] * 2
    named = " ".join(refusal.message for refusal in verdict.findings.refusals)
    assert demanded[2] in named
    assert demanded[3] in named
    assert isinstance(make.decide(asked(), make.release(APP), one, other, demanded=demanded[:2]), Passed)


# The images


@pytest.mark.parametrize(
    ("place", "inside"),
    [
        ("registry.example.org/plex/app", True),
        ("registry.example.org/plex/team/app", True),
        ("registry.example.org/plexus/app", False),
        ("registry.example.org/plex", False),
        ("registry.example.org:5000/plex/app", False),
        ("evil.example.org/registry.example.org/plex/app", False),
        ("registry.example.org/other/plex/app", False),
        (None, False),
    ],
)
def test_a_policy_speaks_for_its_images_alone(place: str | None, inside: bool) -> None:
    """`images` is compared whole or as a path prefix, and a layout that stands for nothing is outside."""
    repository = None if place is None else parse_repository(place)
    image = dataclasses.replace(APP, repository=repository)
    verdict = make.decide(asked(), make.release(image), good())
    assert reasons(verdict) == ([] if inside else [Reason.OUTSIDE_POLICY])
    assert isinstance(verdict, Passed) == inside
    named = place or "a layout that stands for no repository (say which with --repository)"
    messages = [refusal.message for refusal in verdict.findings.images[0].refusals]
    assert messages == ([] if inside else [f"the policy's `images` do not name {named}"])


def test_a_named_image_is_that_image() -> None:
    """An entry of `images` without `/*` is that repository and nothing below or beside it."""
    exact = asked(images=("registry.example.org/plex/app", "registry.example.org/other"))
    assert isinstance(make.decide(exact, make.release(APP), good()), Passed)
    for place in ("registry.example.org/plex/app/x", "registry.example.org/plex/apps", "registry.example.org/other/x"):
        image = dataclasses.replace(APP, repository=parse_repository(place))
        assert reasons(make.decide(exact, make.release(image), good())) == [Reason.OUTSIDE_POLICY]


def test_an_image_that_no_lane_covers_is_refused() -> None:
    """`except` in every lane leaves nothing to ask, and nothing asked is no pass (CVE-2026-35205)."""
    web = make.image("web")
    lanes = [make.lane("test", exempt=frozenset({"web"})), make.lane("scan", exempt=frozenset({"web", "app"}))]
    verdict = make.decide(make.policy(lanes), make.release(APP, web), good())
    assert isinstance(verdict, Refused)
    assert [[refusal.reason for refusal in image.refusals] for image in verdict.findings.images] == [
        [],
        [Reason.NO_LANE],
    ]
    assert [len(image.lanes) for image in verdict.findings.images] == [1, 0]


def test_an_exempt_image_needs_the_other_lanes() -> None:
    """A lane covers every image but those that it excepts, by the last component of their path."""
    web = make.image("web")
    asked_for = make.policy([make.lane("test"), make.lane("scan", exempt=frozenset({"web"}))])
    both = [good(APP.digest, web.digest), good(APP.digest, lane="scan")]
    assert isinstance(make.decide(asked_for, make.release(APP, web), *both), Passed)
    assert isinstance(make.decide(asked_for, make.release(APP, web), both[0]), Refused)


def test_nothing_asked_is_no_pass() -> None:
    """Without images, and without lanes, no verdict is Passed."""
    assert isinstance(make.decide(asked(), Release(images=()), good()), Refused)
    assert isinstance(make.decide(make.policy([]), make.release(APP), good()), Refused)


def test_a_revoked_image_is_refused() -> None:
    """Full evidence does not help an image that the policy revokes."""
    verdict = make.decide(asked(revoked=[APP.digest]), make.release(APP), good())
    assert reasons(verdict) == [Reason.IMAGE_REVOKED]


# Platforms


RULE = make.platforms(EvidenceAt.INDEX)


@pytest.mark.parametrize("kind", list(ChildKind))
def test_a_revoked_platform_is_refused(kind: ChildKind) -> None:
    """A revoked child of any kind refuses the index that has it."""
    child = make.child("more", Platform(os="unknown", architecture="unknown"), kind)
    index = make.index("app", [*(make.index().stored.children or ()), child])
    before = make.decide(asked(platforms=RULE), make.release(index), everything(index))
    after = make.decide(asked(platforms=RULE, revoked=[child.digest]), make.release(index), everything(index))
    assert Reason.PLATFORM_REVOKED not in reasons(before)
    assert sorted(reasons(after)) == sorted([Reason.PLATFORM_REVOKED, *reasons(before)])
    assert isinstance(after, Refused)


def children(*platforms: Platform | None) -> list[Any]:
    return [make.child(f"{number}", platform) for number, platform in enumerate(platforms)]


V8 = Platform(os="linux", architecture="arm64", variant="v8")
NESTED = make.child("nested", None, ChildKind.INDEX)
BUILDKIT = make.child("buildkit", Platform(os="unknown", architecture="unknown"), ChildKind.ATTESTATION)
UNDECLARED, MISSING, UNLISTED, DOUBLED = (
    Reason.PLATFORMS_UNDECLARED,
    Reason.PLATFORM_MISSING,
    Reason.PLATFORM_UNLISTED,
    Reason.PLATFORM_DOUBLED,
)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (children(make.AMD64, make.ARM64), []),
        (children(make.ARM64, make.AMD64), []),
        ([*children(make.AMD64, make.ARM64), BUILDKIT, BUILDKIT], []),
        (children(make.AMD64), [MISSING]),
        ([], [MISSING, MISSING]),
        ([BUILDKIT], [MISSING, MISSING]),
        (children(make.AMD64, make.ARM64, Platform(os="windows", architecture="amd64")), [UNLISTED]),
        (children(make.AMD64, V8), [MISSING, UNLISTED]),
        (children(make.AMD64, make.ARM64, None), [UNLISTED]),
        (children(make.AMD64, make.ARM64, make.AMD64), [DOUBLED]),
        (children(make.AMD64, make.ARM64, V8, V8), [UNLISTED, DOUBLED]),
        ([*children(make.AMD64, make.ARM64), NESTED], [Reason.INDEX_NESTED]),
        ([*children(make.AMD64), NESTED], [Reason.INDEX_NESTED, MISSING]),
    ],
)
def test_an_index_has_exactly_the_platforms_of_the_policy(found: list[Any], expected: list[Reason]) -> None:
    """A platform missing, unlisted or doubled and an index in an index refuse; BuildKit's attestations are none."""
    index = make.index("app", found)
    verdict = make.decide(asked(platforms=RULE), make.release(index), everything(index))
    assert reasons(verdict) == expected
    assert isinstance(verdict, Passed) == (not expected)


@pytest.mark.parametrize("found", [None, [], [NESTED]])
def test_an_index_needs_a_rule_for_platforms(found: Any) -> None:
    """Without `platforms` in the policy every index is refused, an empty one too."""
    index = make.index("app", found)
    verdict = make.decide(asked(), make.release(index), everything(index))
    assert UNDECLARED in reasons(verdict)
    assert isinstance(verdict, Refused)


@pytest.mark.parametrize(
    ("platform", "expected"),
    [(make.AMD64, []), (make.ARM64, [MISSING, UNLISTED]), (None, [MISSING, UNLISTED])],
)
@pytest.mark.parametrize("evidence", list(EvidenceAt))
def test_a_plain_manifest_is_one_platform(
    platform: Platform | None, expected: list[Reason], evidence: EvidenceAt
) -> None:
    """With `platforms` a plain manifest has to be the only one listed; one without a platform is none."""
    image = make.image("app", platform=platform)
    rule = make.platforms(evidence, make.AMD64)
    assert reasons(make.decide(asked(platforms=rule), make.release(image), good())) == expected


def test_a_plain_manifest_needs_no_rule() -> None:
    """Without `platforms` in the policy the platform of a plain manifest is nobody's business."""
    assert isinstance(make.decide(asked(), make.release(make.image("app", platform=None)), good()), Passed)


@pytest.mark.parametrize("evidence", list(EvidenceAt))
@pytest.mark.parametrize("about", range(8))
def test_evidence_is_asked_of_the_digests_that_the_rule_names(evidence: EvidenceAt, about: int) -> None:
    """`index` asks the index, `each` asks every platform, `both` all of them; nothing is inherited."""
    index = make.index("app")
    digests = [index.digest, *(digest for digest, _ in index.platforms)]
    named = [digest for bit, digest in enumerate(digests) if about >> bit & 1]
    bundles = [good(digest) for digest in named]
    wanted = {EvidenceAt.INDEX: {0}, EvidenceAt.EACH: {1, 2}, EvidenceAt.BOTH: {0, 1, 2}}[evidence]
    verdict = make.decide(asked(platforms=make.platforms(evidence)), make.release(index), *bundles)
    enough = wanted <= {bit for bit in range(3) if about >> bit & 1}
    assert isinstance(verdict, Passed) == enough
    assert reasons(verdict) == []
    lane = make.only_lane(verdict)
    if not enough:
        lacking = min(wanted - {bit for bit in range(3) if about >> bit & 1})
        assert (f"asked of the platform {digests[lacking]}" in lane.message) == (lacking > 0)
    if enough:
        assert {digest for one in lane.evidence for digest in one.statement.digests} == {digests[bit] for bit in wanted}


@pytest.mark.parametrize("evidence", list(EvidenceAt))
def test_joint_evidence_is_asked_of_the_images_as_given(evidence: EvidenceAt) -> None:
    """A joint lane of an index asks for the index's digest, whatever the rule says of the other lanes."""
    index = make.index("app")
    policy = make.policy([make.lane("test", joint=True)], platforms=make.platforms(evidence))
    assert isinstance(make.decide(policy, make.release(index), good(index.digest)), Passed)
    assert isinstance(make.decide(policy, make.release(index), everything(index)), Refused)


# Unreadable and rejected


JUNK = write_bundle(payload=b"junk", signature=CI.sign(pae(IN_TOTO, b"junk")), hint="hint")


@pytest.mark.parametrize("on", [None, APP.digest, make.digest("somewhere else")])
def test_what_a_trusted_key_signed_and_nobody_can_read_refuses(on: Digest | None) -> None:
    """One unreadable statement refuses the image beside full evidence, and the message says who signed what."""
    found = make.found(asked(), good()) + make.found(asked(), JUNK, JUNK, on=on)
    verdict = evaluate(asked(), make.release(APP), found, now=make.NOW)
    assert isinstance(verdict, Refused)
    assert reasons(verdict) == [Reason.STATEMENT_UNREADABLE]
    (refusal,) = verdict.findings.images[0].refusals
    assert refusal.message.startswith("ci signed what is no valid statement (not strict JSON")
    assert digest_of(JUNK) in refusal.message


def test_an_unreadable_statement_refuses_the_image_that_it_is_found_on() -> None:
    """It is shown on that image, on the index of that platform, or on all where nobody knows."""
    web = make.index("web")
    release = make.release(APP, web)
    policy = asked(platforms=RULE)

    def shown(on: Digest | None) -> list[bool]:
        verdict = evaluate(policy, release, make.found(policy, JUNK, on=on), now=make.NOW)
        return [
            Reason.STATEMENT_UNREADABLE in [one.reason for one in image.refusals] for image in verdict.findings.images
        ]

    assert shown(APP.digest) == [True, False]
    assert shown(web.digest) == [False, True]
    assert shown(web.platforms[0][0]) == [False, True]
    assert shown(None) == [True, True]
    assert shown(make.digest("somewhere else")) == [True, True]


def test_an_unreadable_statement_can_be_revoked() -> None:
    """By the digest of its bundle, or of what was signed, which holds for every wrapping; nothing else removes it."""
    rewrapped = write_bundle(payload=b"junk", signature=CI.sign(pae(IN_TOTO, b"junk")), hint="another")
    for revoked, content, passes in [
        (digest_of(JUNK), JUNK, True),
        (digest_of(JUNK), rewrapped, False),
        (digest_of(b"junk"), JUNK, True),
        (digest_of(b"junk"), rewrapped, True),
        (CI.trusted.fingerprint, JUNK, False),
        (make.digest("else"), JUNK, False),
    ]:
        policy = asked(revoked=[revoked])
        verdict = make.decide(policy, make.release(APP), good(), content)
        assert (reasons(verdict) == []) == passes
        outcome = verify(content, policy.keyring)
        assert isinstance(outcome, Unreadable)


def test_unreadable_statements_are_listed_in_order() -> None:
    """Several are each named once, in the order of their digests, so that output is stable."""
    bundles = [write_bundle(payload=b"junk", signature=CI.sign(pae(IN_TOTO, b"junk")), hint=str(n)) for n in range(9)]
    verdict = make.decide(asked(), make.release(APP), *bundles, *bundles)
    messages = [refusal.message for refusal in verdict.findings.images[0].refusals]
    assert [message.rpartition(" ")[2] for message in messages] == sorted(map(digest_of, bundles))


def test_a_statement_without_a_holder_is_still_unreadable() -> None:
    """An outcome of another keyring, under a key that no signer holds, refuses too; a shared key names all holders."""
    stranger = make.party("foreign")
    outcome = Unreadable(
        bundle=make.digest("b"),
        payload=make.digest("p"),
        credential=stranger.trusted,
        reason="statement-invalid",
        message="x",
    )
    found = [*make.found(asked(), good()), *make.outcomes(outcome)]
    assert reasons(evaluate(asked(), make.release(APP), found, now=make.NOW)) == [Reason.STATEMENT_UNREADABLE]
    shared = make.policy([make.lane("test")], {"zoe": [stranger], "ann": [stranger]})
    (refusal,) = evaluate(shared, make.release(APP), make.outcomes(outcome), now=make.NOW).findings.images[0].refusals
    assert refusal.message.startswith("ann or zoe signed")


def test_what_was_rejected_is_listed_where_it_was_found() -> None:
    """Rejected bundles are reported once, in the order of their digests, on the image they hang on."""
    web = make.image("web")
    release = make.release(APP, web)
    foreign = [
        make.bundle(make.party("foreign"), make.payload([APP.digest], make.context(job=str(n)))) for n in range(5)
    ]
    found = make.found(asked(), good(APP.digest, web.digest))
    found += make.found(asked(), *foreign, *foreign, on=APP.digest) + make.found(asked(), b"handed in")
    verdict = evaluate(asked(), release, found, now=make.NOW)
    assert isinstance(verdict, Passed)

    def listed(image: ImageVerdict) -> list[Digest]:
        return [one.bundle for one in image.rejected]

    of_app, of_web = verdict.findings.images
    assert listed(of_app) == sorted([*map(digest_of, foreign), digest_of(b"handed in")])
    assert listed(of_web) == [digest_of(b"handed in")]
    assert all(isinstance(one, Rejected) for one in of_app.rejected)


def test_what_fell_is_shown_for_the_platform_that_lacks_evidence() -> None:
    """Stale evidence about one platform does not explain why another has none."""
    index = make.index("app")
    (first, _), (second, _) = index.platforms
    policy = make.policy([make.lane("test", max_age=make.HOUR)], platforms=make.platforms(EvidenceAt.EACH))
    stale = make.bundle(CI, make.payload([second], make.context(finished=make.NOW - 9 * make.HOUR)))
    verdict = make.decide(policy, make.release(index), stale)
    assert make.only_lane(verdict).state is State.MISSING
    assert make.only_lane(make.decide(policy, make.release(index), good(first), stale)).state is State.STALE


def test_an_index_without_platforms_is_asked_itself() -> None:
    """Where a rule asks each platform and there is none, the lanes still find nothing, and nothing passes."""
    index = make.index("app", [])
    policy = asked(platforms=make.platforms(EvidenceAt.EACH))
    verdict = make.decide(policy, make.release(index))
    assert make.only_lane(verdict).state is State.MISSING
    assert isinstance(verdict, Refused)


def test_only_signers_of_the_lane_are_named() -> None:
    """A key that is shared with a party of another lane is named for the parties of this one."""
    policy = make.policy([make.lane("test")], {"ci": [CI], "other": [CI]})
    assert make.only_lane(make.decide(policy, make.release(APP), good())).message == "signed by ci"


def test_evidence_counts_wherever_it_was_found() -> None:
    """What is found on one image counts for the other that it is about."""
    web = make.image("web")
    found = make.found(asked(), good(APP.digest, web.digest), on=web.digest)
    assert isinstance(evaluate(asked(), make.release(APP, web), found, now=make.NOW), Passed)


def test_a_verdict_says_what_it_rests_on() -> None:
    """Policy, time, references as given and the bundles of all verified evidence stand in every verdict."""
    superseded = make.bundle(
        CI, make.payload([APP.digest], make.context(run_id="1", finished=make.NOW - 9 * make.HOUR))
    )
    other_lane = good(lane="other")
    verdict = make.decide(asked(), make.release(APP), good(), superseded, other_lane, b"rejected")
    findings = verdict.findings
    assert (findings.policy, findings.serial, findings.policy_digest) == ("staging", 7, make.digest("policy"))
    assert findings.time == make.NOW
    assert findings.inputs == {digest_of(good()), digest_of(superseded), digest_of(other_lane)}
    (image,) = findings.images
    assert (image.image, image.digest) == (APP.reference, APP.digest)
    lane = make.only_lane(verdict)
    assert lane.state is State.PRESENT
    assert lane.message == "signed by ci"
    assert [one.bundle for one in lane.evidence] == [digest_of(good()), digest_of(superseded)]


def test_an_image_that_is_given_twice_is_judged_twice() -> None:
    """Two references to one image each have their own lanes, once."""
    verdict = evaluate(asked(), make.release(APP, APP), make.found(asked(), good()), now=make.NOW)
    assert [[lane.lane for lane in image.lanes] for image in verdict.findings.images] == [["test"], ["test"]]


def test_found_outcomes_of_other_kinds_are_kept_apart() -> None:
    """A bundle that is verified in one reading and rejected in another is evidence and is listed."""
    policy = asked()
    outcome = verify(good(), policy.keyring)
    legacy = verify(good(), policy.keyring, legacy=True)
    found = [Found(outcome=legacy, image=None), Found(outcome=outcome, image=None), Found(outcome=legacy, image=None)]
    verdict = evaluate(policy, make.release(APP), found, now=make.NOW)
    assert isinstance(verdict, Passed)
    assert len(verdict.findings.images[0].rejected) == 1
