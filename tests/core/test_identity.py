"""Identities beside certificates: what is equal, what differs first, and what a certificate says of the source."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.certificate import Certificate
from attest.core.identity import (
    CLAIMS,
    Identity,
    certificate_document,
    certified_source,
    distinct,
    nearest,
    party_of,
)
from attest.core.predicates import Source
from attest.core.strictjson import shown
from tests.core import make
from tests.core.make_identity import ISSUER, WORKFLOW, certificate, identity

JOB = make.party("job")
OF_JOB = certificate(JOB)
NAMES = ("issuer", "identity", *CLAIMS)
EVERY_CLAIM = Identity(**{name: getattr(OF_JOB, name) for name in NAMES})


def said(**changes: Any) -> Certificate:
    return certificate(JOB, **changes)


# What is equal


def test_an_identity_demands_what_it_names_and_nothing_else() -> None:
    """Issuer and identity suffice where no claim is named; with every claim named, the certificate that has them."""
    assert identity().is_of(OF_JOB)
    assert EVERY_CLAIM.is_of(OF_JOB)
    assert identity().is_of(said(**dict.fromkeys(CLAIMS), run=None))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("change", ["longer", "shorter", "case", "space", "slash", "other"])
def test_every_value_is_compared_character_by_character(name: str, change: str) -> None:
    """No prefix, no other case, no space and no slash more or less is the value that was demanded (CVE-2026-22772)."""
    value = getattr(OF_JOB, name)
    other = {
        "longer": value + "x",
        "shorter": value[:-1],
        "case": value.upper() if name != "commit" else "C" * 40,
        "space": f"{value} ",
        "slash": f"{value}/",
        "other": "x",
    }[change]
    changed = said(**{name: other})
    assert EVERY_CLAIM.differences(changed) == (name,)
    assert not EVERY_CLAIM.is_of(changed)


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_that_the_certificate_leaves_out_differs(name: str) -> None:
    """What is demanded and not said is a difference; what is said and not demanded is none."""
    assert EVERY_CLAIM.differences(said(**{name: None})) == (name,)
    undemanded: dict[str, Any] = {name: None}
    assert dataclasses.replace(EVERY_CLAIM, **undemanded).is_of(OF_JOB)


def test_differences_come_in_one_order() -> None:
    """Issuer and identity come first, then the claims in their order."""
    nobody = Certificate(issuer="i", identity="n", key=JOB.trusted)
    assert EVERY_CLAIM.differences(nobody) == NAMES


@given(st.fixed_dictionaries({name: st.sampled_from(["a", "b", None]) for name in CLAIMS}), st.randoms())
def test_an_identity_is_of_a_certificate_or_something_differs(claims: dict[str, str | None], chance: Any) -> None:
    """Whatever is demanded: nothing differs exactly where each demanded value is the certificate's own."""
    mine = Identity(issuer="i", identity="n", **claims)
    certified = {name: chance.choice(["a", "b", None]) for name in CLAIMS}
    theirs = Certificate(issuer=chance.choice("ij"), identity=chance.choice("nm"), key=JOB.trusted, **certified)
    equal = all(claims[name] in (None, certified[name]) for name in CLAIMS)
    assert mine.is_of(theirs) == ((theirs.issuer, theirs.identity) == ("i", "n") and equal)


# Parties


def test_a_party_is_a_key_or_an_identity_whatever_it_demands() -> None:
    """Two signers of one identity are one party, with other claims and under other keys too; a key is its own."""
    assert identity(ref="refs/heads/main").party == identity().party == party_of(OF_JOB)
    assert party_of(certificate(make.party("another run"), commit="d" * 40)) == party_of(OF_JOB)
    assert party_of(JOB.trusted) == JOB.trusted.fingerprint
    assert party_of(said(issuer="https://other.example.org")) != party_of(OF_JOB)
    assert party_of(said(identity="other")) != party_of(OF_JOB)


# What it says


def test_the_source_is_what_the_certificate_names() -> None:
    """Repository in its normal form, commit and ref; a repository that has none stays as it is, and so will differ."""
    assert certified_source(OF_JOB) == Source(repository=make.REPOSITORY, commit=make.COMMIT, ref="refs/heads/main")
    assert certified_source(said(repository="https://GIT.example.org/plex/playlist.git/")).repository == make.REPOSITORY
    assert certified_source(said(repository="no address")).repository == "no address"
    nothing = said(repository=None, commit=None, ref=None)
    assert certified_source(nothing) == Source(repository=None, commit=None, ref=None)


def test_a_condition_sees_what_the_certificate_says() -> None:
    """Each value under its name, none that is not there, and of a key nothing at all."""
    assert certificate_document(OF_JOB) == {
        "issuer": ISSUER,
        "identity": WORKFLOW,
        "repository": make.REPOSITORY,
        "ref": "refs/heads/main",
        "commit": make.COMMIT,
        "trigger": "push",
        "workflow": WORKFLOW,
        "run": f"{make.REPOSITORY}/actions/runs/100",
    }
    bare = said(**dict.fromkeys(CLAIMS), run=None)
    assert certificate_document(bare) == {"issuer": ISSUER, "identity": WORKFLOW}
    assert certificate_document(JOB.trusted) == {}


# Why it is nobody's

FORGEJO = "https://git.example.org/plex/playlist/.forgejo/workflows/e2e.yml@refs/heads/main"
GITHUB = "https://github.com/plex/playlist/.github/workflows/e2e.yml@refs/heads/main"
GITLAB = "https://gitlab.com/plex/group/playlist//.gitlab-ci.yml@refs/heads/main"


def parts_of(address: str) -> dict[str, str]:
    """Repository, workflow file and ref of such an address."""
    path, _, ref = address.partition("@")
    for mark in ("/.forgejo/", "/.github/", "//"):
        repository, found, file = path.rpartition(mark)
        if found:
            return {"repository": repository, "workflow": f"{mark[1:]}{file}", "ref": ref}
    raise AssertionError(address)


@pytest.mark.parametrize(
    ("changes", "code", "aspect"),
    [
        ({"issuer": "https://git.example.org/api/action"}, "issuer-differs", "issuer"),
        ({"identity": "mirror@example.org"}, "identity-differs", "identity"),
        ({"repository": "https://git.example.org/evil/playlist"}, "certificate-repository-differs", "repository"),
        ({"ref": "refs/heads/feature"}, "certificate-ref-differs", "ref"),
        ({"commit": "d" * 40}, "certificate-commit-differs", "commit"),
        ({"trigger": "pull_request"}, "certificate-trigger-differs", "trigger"),
        ({"trigger": None}, "certificate-trigger-differs", "trigger"),
        ({"workflow": "no address"}, "certificate-workflow-differs", "workflow"),
        ({"workflow": None}, "certificate-workflow-differs", "workflow"),
    ],
)
def test_a_single_deviation_has_a_reason_of_its_own(changes: dict[str, Any], code: str, aspect: str) -> None:
    """Who is a signer but for one value is told which one, what it is and what it must be."""
    found, message = nearest(said(**changes), {"e2e": EVERY_CLAIM})
    assert found == code
    ((name, value),) = changes.items()
    says = "names none" if value is None else f"says {value!r}"
    wanted = getattr(EVERY_CLAIM, name)
    expected = f"it is e2e but for the {aspect}: its certificate {says}, not {wanted!r}"
    assert message == expected.replace(repr(WORKFLOW), shown(WORKFLOW))


@pytest.mark.parametrize("address", [FORGEJO, GITHUB, GITLAB])
@pytest.mark.parametrize(
    ("part", "old", "new"),
    [("repository", "plex/", "evil/"), ("workflow", ".yml@", ".yaml@"), ("ref", "heads/main", "pull/7/head")],
)
def test_the_address_of_a_workflow_is_told_by_its_parts(address: str, part: str, old: str, new: str) -> None:
    """Of the identities of Forgejo, GitHub and GitLab it is told which of repository, workflow and ref is another."""
    other = address.replace(old, new)
    mine, theirs = parts_of(address)[part], parts_of(other)[part]
    assert mine != theirs
    for demanded in (identity(identity=address), identity(identity=address, workflow=address)):
        code, message = nearest(said(identity=other, workflow=other), {"e2e": demanded})
        assert code == f"certificate-{part}-differs"
        assert message == f"it is e2e but for the {part}: its certificate says {theirs!r}, not {mine!r}"


def test_a_claim_that_follows_from_the_address_is_no_second_deviation() -> None:
    """A run on another branch differs in identity, workflow and ref, and that is one thing: the ref."""
    elsewhere = WORKFLOW.replace("main", "feature")
    certified = said(identity=elsewhere, workflow=elsewhere, ref="refs/heads/feature")
    assert nearest(certified, {"e2e": EVERY_CLAIM})[0] == "certificate-ref-differs"
    fork = {name: getattr(OF_JOB, name).replace("plex", "evil") for name in ("identity", "workflow", "repository")}
    assert nearest(said(**fork), {"e2e": EVERY_CLAIM})[0] == "certificate-repository-differs"


@pytest.mark.parametrize(
    "other",
    [
        "mailto:e2e@example.org",
        "ftp://git.example.org/plex/playlist/.forgejo/workflows/e2e.yml@refs/heads/main",
        "https://git.example.org/plex/playlist/workflows/e2e.yml@refs/heads/main",
        "https://git.example.org/plex/playlist/.forgejo/workflows/e2e.yml",
        f"{FORGEJO}"[len("https://git.example.org") :],
    ],
)
def test_what_is_no_address_of_a_workflow_is_another_identity(other: str) -> None:
    """An identity that has no repository, workflow file and ref is told as a whole."""
    assert nearest(said(identity=other), {"e2e": EVERY_CLAIM})[0] == "identity-differs"
    assert nearest(OF_JOB, {"e2e": dataclasses.replace(EVERY_CLAIM, identity=other)})[0] == "identity-differs"


def test_who_differs_in_more_than_one_thing_is_foreign() -> None:
    """Two deviations make a stranger, who is named by what the certificate says."""
    code, message = nearest(said(ref="refs/heads/feature", trigger="schedule"), {"e2e": EVERY_CLAIM})
    assert code == "foreign-identity"
    assert message == f"signed by {WORKFLOW!r} of {ISSUER!r}, which is no signer of this policy"
    both = WORKFLOW.replace("plex", "evil").replace("main", "feature")
    assert nearest(said(identity=both), {"e2e": EVERY_CLAIM})[0] == "foreign-identity"


def test_an_issuer_that_nobody_names_is_told_first() -> None:
    """Where no signer has the issuer of the certificate that is the reason, whatever else differs."""
    certified = said(issuer="https://evil.example.org", trigger="schedule")
    code, message = nearest(certified, {"e2e": EVERY_CLAIM, "mirror": identity(identity="m")})
    assert code == "issuer-differs"
    assert message == "issued by 'https://evil.example.org', whom no signer of this policy names"
    known = {"e2e": EVERY_CLAIM, "mirror": identity(issuer="https://evil.example.org", identity="m", trigger="push")}
    assert nearest(certified, known)[0] == "foreign-identity"


def test_of_several_signers_the_one_that_is_most_like_is_told() -> None:
    """A signer with one deviation is told before those with more; of two that are alike the first by name."""
    far = identity(issuer="https://other.example.org", identity="x")
    certified = said(trigger="schedule")
    assert nearest(certified, {"a": far, "e2e": EVERY_CLAIM})[1].startswith("it is e2e but for the trigger")
    for order in (("b", "a"), ("a", "b")):
        alike = dict.fromkeys(order, EVERY_CLAIM)
        assert nearest(certified, alike)[1].startswith("it is a but for the trigger")


@pytest.mark.parametrize(
    ("proofs", "count"),
    [
        ({}, 0),
        ({"a": ["1"], "b": ["1"]}, 1),
        ({"a": ["1"], "b": ["1", "2"]}, 2),
        ({"a": ["1"], "b": ["1"], "c": ["2", "3"]}, 2),
        ({"a": ["1", "2"], "b": ["1"], "c": ["2", "3"]}, 3),
        ({"a": []}, 0),
    ],
)
def test_signers_are_distinct_by_proofs_of_their_own(proofs: dict[str, list[str]], count: int) -> None:
    """Each distinct signer has a key or identity that no other one is counted by, however they are shared."""
    assert distinct(proofs) == count
