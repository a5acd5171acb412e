"""Code that a type checker has to refuse. It is read by mypy and never run; each ignore is an expected error."""

from __future__ import annotations

import dataclasses
from typing import assert_never

from attest.core.policy import Policy
from attest.core.reference import Digest, LayoutTag, RegistryImage, RegistryTag, Repository
from attest.core.release import Release
from attest.core.verdict import Findings, Passed, PassedThen, Refused, Verdict
from attest.core.verify import Outcome, VerifiedStatement


def promote(verdict: Passed) -> None:
    """Stands for everything that changes something."""


def pull(image: RegistryImage) -> None:
    """Stands for everything that reads something."""


def forgets_to_look(verdict: Verdict) -> None:
    promote(verdict)  # type: ignore[arg-type]


def takes_the_past_for_now(verdict: PassedThen) -> None:
    promote(verdict)  # type: ignore[arg-type]


def takes_a_refusal(verdict: Refused) -> None:
    promote(verdict)  # type: ignore[arg-type]


def forgets_one_kind(verdict: Verdict) -> None:
    if not isinstance(verdict, Refused):
        promote(verdict)  # type: ignore[arg-type]


def looks(verdict: Verdict) -> None:
    match verdict:
        case Passed():
            promote(verdict)
        case PassedThen() | Refused():
            pass
        case _:
            assert_never(verdict)


def misses_a_kind(verdict: Verdict) -> None:
    match verdict:
        case Passed() | Refused():
            pass
        case _:
            assert_never(verdict)  # type: ignore[arg-type]


def makes_its_own(findings: Findings) -> Passed:
    return Passed(findings=findings)  # type: ignore[call-arg]


def changes_one(verdict: Passed, findings: Findings) -> None:
    verdict.findings = findings  # type: ignore[misc]
    dataclasses.replace(verdict, findings=findings)  # type: ignore[call-arg]


def takes_any_outcome_for_evidence(outcome: Outcome) -> VerifiedStatement:
    return outcome  # type: ignore[return-value]


def takes_a_tag_for_an_image(tag: RegistryTag, layout: LayoutTag) -> None:
    pull(tag)  # type: ignore[arg-type]
    pull(layout)  # type: ignore[arg-type]


def takes_any_text_for_a_digest(repository: Repository) -> RegistryImage:
    return RegistryImage(repository=repository, digest="latest")  # type: ignore[arg-type]


def swaps_arguments(policy: Policy, release: Release, digest: Digest) -> None:
    Repository("registry.example.org", "app")  # type: ignore[call-arg]
    promote(policy)  # type: ignore[arg-type]
    pull(release)  # type: ignore[arg-type]
    pull(digest)  # type: ignore[arg-type]
