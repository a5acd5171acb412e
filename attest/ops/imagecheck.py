"""Hold an image against a contract: find out what the checks need to know, each image once, and make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from attest.core.contract import BuildClaim, Contract, check_image
from attest.core.contract.case import on_platform
from attest.core.contract.finding import Lock, Report
from attest.core.image.facts import ImageFacts
from attest.core.reference import Digest
from attest.ops.facts import Progress, Readers, gather_facts, quiet
from attest.ops.glance import glance
from attest.ports import Clock, ImageSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the checks of a contract look at besides the image itself."""

    baseline: bool
    baseline_contents: bool
    """Its layers have to be read, and not only to be known."""
    ci_image: bool
    provenance: bool

    @staticmethod
    def of(contract: Contract) -> Needs:
        """What this contract's checks look at."""
        delta = contract.checks.get("size.delta")
        contents = delta is not None and delta.baseline is not None
        overlap, base = "ci.overlap" in contract.checks, "base.digest" in contract.checks
        return Needs(
            baseline=base or contents or overlap,
            baseline_contents=contents,
            ci_image=overlap,
            provenance=base or overlap,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The images that a check reads."""

    image: ImageSource
    baseline: ImageSource | None = None
    ci_image: ImageSource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The report, and the digests of what was compared with."""

    report: Report
    time: datetime
    """When the exceptions of the contract were looked at, in UTC."""
    baseline: Digest | None
    ci_image: Digest | None


def check(
    sources: Sources,
    contract: Contract,
    *,
    readers: Readers,
    clock: Clock,
    lock: Lock | None = None,
    provenance: Sequence[BuildClaim] = (),
    progress: Callable[[Progress], None] = quiet,
) -> Answer:
    """What a contract says of an image, now.

    Every layer of the image is read and checked. Of the CI image only the configuration is, and of the baseline too
    unless its size counts: layers are compared by their diff_ids, and those of the image are true.

    Raises:
        StoreError: something of an image could not be read, or is not what was described.
        LimitExceeded: something is larger than we are willing to read.
        Undecided: the lock and the image cannot be compared.
    """
    baseline = None if sources.baseline is None else glance(sources.baseline)
    if sources.baseline is not None and baseline is not None and Needs.of(contract).baseline_contents:
        baseline = _sizes(sources.baseline, baseline, glance(sources.image), readers, progress)
    ci_image = None if sources.ci_image is None else glance(sources.ci_image)
    facts = gather_facts(sources.image, readers, progress=progress)
    now = clock.now()
    report = check_image(
        contract,
        facts,
        now=now,
        lock=lock,
        baseline=baseline,
        ci_image=ci_image,
        provenance=provenance,
    )
    return Answer(
        report=report,
        time=now,
        baseline=None if baseline is None else baseline.digest,
        ci_image=None if ci_image is None else ci_image.digest,
    )


def _sizes(
    source: ImageSource,
    glanced: ImageFacts,
    image: ImageFacts,
    readers: Readers,
    progress: Callable[[Progress], None],
) -> ImageFacts:
    """The baseline with its sizes, on the platforms of the image; one at a time, and without its files."""
    platforms = [one.platform for one in glanced.platforms if on_platform(image, one.platform) is not None]
    found = []
    for platform in dict.fromkeys(platforms):
        for read in gather_facts(source, readers, only=[platform], progress=progress).platforms:
            found.append(replace(read, files=(), shadowed=(), packages=(), secrets=(), accounts=(), groups=()))
    return replace(glanced, platforms=tuple(found))
