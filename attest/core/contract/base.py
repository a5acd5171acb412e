"""The check of what an image is built on: only layers prove it; labels and provenance may not say otherwise.

Source: image-spec, "Image Configuration" (`rootfs`), and "Pre-Defined Annotation Keys" (`base.digest`).
"""

from __future__ import annotations

from collections.abc import Iterator

from attest.core.contract.case import BASELINE, PROVENANCE, Case, on_platform
from attest.core.contract.document import BaseParameters
from attest.core.contract.finding import Finding
from attest.core.image.facts import ImageFacts, PlatformFacts
from attest.core.lane.provenance import is_built_on
from attest.core.reference import Digest

LABEL = "org.opencontainers.image.base.digest"


def diff_ids(facts: PlatformFacts) -> tuple[Digest, ...]:
    """The digests of the unpacked layers, lowest first."""
    return tuple(layer.diff_id for layer in facts.layers)


def base_layers(case: Case) -> int | None:
    """How many layers are the base's; None where nobody knows: without a baseline that the layers prove and the
    contract allows."""
    if case.baseline is None:
        return None
    base = on_platform(case.baseline, case.facts.platform)
    if base is None or not is_built_on(diff_ids(case.facts), diff_ids(base)):
        return None
    if case.base_digests is not None and not case.base_digests & _names(case.baseline, base):
        return None
    return len(base.layers)


def base_digest(case: Case, _: BaseParameters) -> Iterator[Finding]:
    """The layers begin with those of the baseline; the contract allows it; label and provenance name it."""
    names = case.base_digests
    if case.baseline is None:
        yield case.undecided(BASELINE, "no baseline was given, and a label alone does not prove what the base is")
    elif (base := on_platform(case.baseline, case.facts.platform)) is None:
        yield case.undecided(BASELINE, f"the baseline has no {case.facts.platform}")
    else:
        names = _names(case.baseline, base)
        if case.base_digests is not None and not case.base_digests & names:
            yield case.violation(BASELINE, f"the baseline {case.baseline.digest} is not one that the contract allows")
        yield from _layers(case, base)
    if names is not None:
        yield from _claims(case, names)


def _names(image: ImageFacts, facts: PlatformFacts) -> frozenset[Digest]:
    """What an image may be called: by the digest that was asked for, or that of its platform."""
    return frozenset({image.digest, facts.manifest})


def _layers(case: Case, base: PlatformFacts) -> Iterator[Finding]:
    mine, theirs = diff_ids(case.facts), diff_ids(base)
    if not theirs:
        yield case.undecided(BASELINE, "the baseline has no layers, and proves nothing")
    elif not is_built_on(mine, theirs):
        alike = common(mine, theirs)
        layer = alike if alike < len(mine) else None
        told = f"the image is not built on the baseline: of its {len(theirs)} layers the first {alike} are there"
        yield case.violation(BASELINE, told, layer)


def common(one: tuple[Digest, ...], other: tuple[Digest, ...]) -> int:
    """How many layers two images have in common at their beginning."""
    alike = 0
    while alike < min(len(one), len(other)) and one[alike] == other[alike]:
        alike += 1
    return alike


def _claims(case: Case, names: frozenset[Digest]) -> Iterator[Finding]:
    """What the image and its provenance say of the base; `names` is what it is, or may be."""
    is_it = ", ".join(sorted(names))
    said = case.facts.base.digest
    if said is not None and said not in names:
        yield case.violation(LABEL, f"the image says that its base is {said[:80]!r}, and it is {is_it}")
    for claim in case.claims:
        if claim.bases and not claim.bases & names:
            bases = ", ".join(sorted(claim.bases))
            yield case.violation(PROVENANCE, f"the provenance {claim.place} says that the base is {bases}, not {is_it}")
        elif not claim.bases and claim.images and not claim.images & names:
            told = f"the provenance {claim.place} names the images that went into the build, without {is_it}"
            yield case.violation(PROVENANCE, told)
