"""Where a promotion goes and how its tag is written, decided before anything moves."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from attest.core.policy import Bind, Policy, SourceRule
from attest.core.predicates import PROVENANCE_V1, TEST_RESULT
from attest.core.promotion.destination import TAG_FORMAT, Place, check_places, commit_of, parse_tag_format, places
from attest.core.reference import Digest, Repository, parse_repository
from attest.core.verdict import Passed
from attest.errors import ReferenceInvalid, UsageError
from tests.core import make, test_waiver

BACKEND = parse_repository("registry.example.org/plex/backend")
FRONTEND = parse_repository("registry.example.org/plex/frontend")
DIGEST = Digest("sha256:" + "0123456789abcdef" * 4)
COMMIT = "c" * 40


# ---- tags


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        (TAG_FORMAT, f"sha-{COMMIT}-0123456789ab"),
        ("{commit12}.{digest12}", "cccccccccccc.0123456789ab"),
        ("v1-{digest}", "v1-" + "0123456789abcdef" * 4),
        ("{digest12}{digest12}", "0123456789ab0123456789ab"),
    ],
)
def test_a_tag_is_written(text: str, tag: str) -> None:
    """Each field stands for what it names, and the rest for itself."""
    assert parse_tag_format(text).tag(DIGEST, COMMIT) == tag


def test_the_longest_commit_fits() -> None:
    """A commit of SHA-256 and the default format make a tag."""
    assert len(parse_tag_format(TAG_FORMAT).tag(DIGEST, "d" * 64)) == 81


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{tag}-{digest12}", "unknown field {tag}"),
        ("{}-{digest12}", "unknown field {}"),
        ("{commit}", "names no digest"),
        ("latest", "names no digest"),
        ("", "names no digest"),
        ("sha256-{digest}", "those of attestations"),
        ("{digest12", "names no digest"),
        ("{digest12}}", "is not a tag"),
        ("{{digest12}}", "is not a tag"),
        ("-{digest12}", "is not a tag"),
        ("a/{digest12}", "is not a tag"),
        ("{digest12}\n", "is not a tag"),
        ("x" * 117 + "{digest12}", "is not a tag"),
        ("{digest}{digest}x", "is not a tag"),
    ],
)
def test_what_is_no_format_is_refused_before_anything_moves(text: str, message: str) -> None:
    """An unknown field, a tag that two images could claim, one of an attestation, and what is no tag at all."""
    with pytest.raises(UsageError, match=message):
        parse_tag_format(text)


def test_a_commit_that_makes_it_too_long_is_refused() -> None:
    """A format that fits a short commit alone is refused for a long one, when it is known."""
    made = parse_tag_format("x" * 70 + "{commit}-{digest12}")
    with pytest.raises(UsageError, match="is not a tag"):
        made.tag(DIGEST, "d" * 64)


def test_a_tag_without_its_commit_is_refused() -> None:
    """Where the commit is asked for and not known there is no tag; where it is not asked for there is."""
    with pytest.raises(UsageError, match="does not name one commit"):
        parse_tag_format(TAG_FORMAT).tag(DIGEST, None)
    assert parse_tag_format("sha-{digest12}").tag(DIGEST, None) == "sha-0123456789ab"


# ---- places


def test_one_image_goes_to_a_repository() -> None:
    """Without a slash at the end the destination is meant as it stands, whatever the image is called."""
    (place,) = places("prod.example.org/app", [BACKEND], release=None)
    assert place == Place(repository=parse_repository("prod.example.org/app"))
    assert str(place.image(DIGEST)) == f"prod.example.org/app@{DIGEST}"
    assert str(place.tag("t")) == "prod.example.org/app:t"


@pytest.mark.parametrize(("to", "release"), [("prod.example.org/a/", None), ("prod.example.org/a", "release.yaml")])
def test_a_prefix_gets_the_last_part_of_each_name(to: str, release: str | None) -> None:
    """With a slash at the end, and always for a release, each image keeps its own name."""
    found = places(to, [BACKEND, FRONTEND], release=release)
    assert [str(place.repository) for place in found] == ["prod.example.org/a/backend", "prod.example.org/a/frontend"]


def test_a_slash_and_a_release_add_one_slash() -> None:
    """A prefix may be written either way for a release."""
    (place,) = places("prod.example.org/a/", [BACKEND], release="release.yaml")
    assert str(place.repository) == "prod.example.org/a/backend"


def test_a_host_alone_is_a_prefix() -> None:
    """Images may go to the top of a registry."""
    (place,) = places("prod.example.org/", [BACKEND], release=None)
    assert str(place.repository) == "prod.example.org/backend"


def test_a_layout_stands_for_what_its_source_stood_for() -> None:
    """A path is no repository that a policy could name, so the layout keeps the image's own."""
    (place,) = places("oci:out/image", [BACKEND], release=None)
    assert place == Place(repository=BACKEND, layout="out/image")
    assert str(place.image(DIGEST)) == f"oci:out/image@{DIGEST}"
    assert str(place.tag("t")) == "oci:out/image:t"
    below = places("oci:out/", [BACKEND, FRONTEND], release=None)
    assert [one.layout for one in below] == ["out/backend", "out/frontend"]


@pytest.mark.parametrize(
    "to", ["", "backend", "prod.example.org", "prod.example.org/App", "prod.example.org/app:v1", f"h.org/a@{DIGEST}"]
)
def test_what_is_no_repository_is_refused(to: str) -> None:
    """A name without a host, a tag and a digest are no places."""
    with pytest.raises(ReferenceInvalid):
        places(to, [BACKEND], release=None)


@pytest.mark.parametrize("to", ["oci:", "oci:out:v1", f"oci:out@{DIGEST}"])
def test_what_is_no_layout_is_refused(to: str) -> None:
    """A layout is named by its path alone; the tag has an option of its own."""
    with pytest.raises(ReferenceInvalid, match="not the place of an image layout"):
        places(to, [BACKEND], release=None)


def test_several_images_need_a_prefix() -> None:
    """Two images cannot go to one repository; the hint says how they can go below it."""
    with pytest.raises(UsageError, match="2 images cannot all go to") as caught:
        places("prod.example.org/a", [BACKEND, FRONTEND], release=None)
    assert caught.value.hint is not None
    assert "--to prod.example.org/a/" in caught.value.hint


@pytest.mark.parametrize("to", ["prod.example.org/a/", "oci:out/"])
def test_two_images_of_one_name_cannot_go_below_one_prefix(to: str) -> None:
    """What would meet at the destination is refused before anything moves."""
    other = parse_repository("registry.example.org/other/backend")
    with pytest.raises(UsageError, match="two images would go to"):
        places(to, [BACKEND, other], release=None)


@pytest.mark.parametrize(("repository", "speaks"), [(BACKEND, True), (Repository(host="evil.org", path="a"), False)])
def test_a_place_outside_the_policy_is_refused(repository: Repository, speaks: bool) -> None:
    """An image goes only where the policy speaks; nothing moves elsewhere."""
    policy = make.policy([make.lane("unit")])
    found = [Place(repository=BACKEND), Place(repository=repository)]
    if speaks:
        check_places(policy, found)
    else:
        with pytest.raises(UsageError, match=r"does not speak for evil\.org/a; nothing was moved"):
            check_places(policy, found)


# ---- the commit of a tag


def found_commit(policy: Policy, *bundles: bytes) -> str | None:
    """The commit for the tag of a release that these bundles let pass."""
    verdict = make.decide(policy, make.release(), *bundles)
    assert isinstance(verdict, Passed), verdict
    return commit_of(policy, verdict.findings)


def signed(
    lane: str, *, predicate_type: str = TEST_RESULT, predicate: dict[str, Any] | None = None, **changes: Any
) -> bytes:
    """A bundle of a lane about the image."""
    about = make.context(lane, **changes)
    payload = make.payload([make.image().digest], about, predicate_type=predicate_type, predicate=predicate)
    return make.bundle(make.party("ci"), payload)


def provenance(commit: str) -> dict[str, Any]:
    """SLSA provenance that names a commit of the source."""
    source = {"uri": f"git+{make.REPOSITORY}", "digest": {"gitCommit": commit}}
    return {"buildDefinition": {"externalParameters": {}, "resolvedDependencies": [source]}}


def test_the_commit_is_that_of_the_evidence() -> None:
    """What all lanes are about is what the tag says."""
    policy = make.policy([make.lane("unit"), make.lane("e2e")])
    assert found_commit(policy, signed("unit"), signed("e2e")) == make.COMMIT


def test_a_lane_of_another_repository_names_no_commit() -> None:
    """An unbound lane may be about anything, and does not count."""
    policy = make.policy([make.lane("unit"), make.lane("scan", unbound=True)])
    assert found_commit(policy, signed("unit"), signed("scan", commit="d" * 40)) == make.COMMIT


def test_two_commits_are_none() -> None:
    """Where the policy lets lanes be about different commits, none of them is the image's."""
    source = SourceRule(repository=make.REPOSITORY, refs=None, bind=(Bind.REPOSITORY,))
    policy = make.policy([make.lane("unit"), make.lane("e2e")], source=source)
    assert found_commit(policy, signed("unit"), signed("e2e", commit="d" * 40)) is None


def test_evidence_without_a_commit_names_none() -> None:
    """A policy that does not compare commits may pass evidence that names none."""
    source = SourceRule(repository=make.REPOSITORY, refs=None, bind=(Bind.REPOSITORY,))
    policy = make.policy([make.lane("unit")], source=source)
    assert found_commit(policy, signed("unit", commit=None)) is None


def test_provenance_may_name_the_commit() -> None:
    """A build whose context names no commit names it in its predicate, unless its lane looks at the context alone."""
    source = SourceRule(repository=make.REPOSITORY, refs=None, bind=(Bind.REPOSITORY,))
    lane = make.lane("build", predicate_type=PROVENANCE_V1)
    bundle = signed("build", predicate_type=PROVENANCE_V1, predicate=provenance("d" * 40), commit=None)
    assert found_commit(make.policy([lane], source=source), bundle) == "d" * 40
    alone = dataclasses.replace(lane, source_from_statement=True)
    assert found_commit(make.policy([alone], source=source), bundle) is None


def test_what_is_waived_does_not_name_the_commit() -> None:
    """A lane that is lacking may have evidence of another commit; the tag is that of the lanes that are there."""
    verdict = test_waiver.waived("d" * 40)
    assert "e2e" in verdict.lacking
    assert verdict.findings.images[0].lanes[-1].evidence
    assert commit_of(test_waiver.policy(), verdict.findings) == make.COMMIT
