"""The wall between CI images and runtime images: which layers both have, and what that means.

Layers are compared by their diff_ids, which stay the same however a layer is compressed. Why each case is decided as it
is stands in docs/decisions/0018-contract.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from attest.core.contract.base import base_layers, common, diff_ids
from attest.core.contract.case import CI_IMAGE, PROVENANCE, Case
from attest.core.contract.document import OverlapParameters
from attest.core.contract.finding import Finding, FoundLayer, SharedAs, SharedLayer
from attest.core.image.facts import PlatformFacts


def ci_overlap(case: Case, parameters: OverlapParameters) -> Iterator[Finding]:
    """No layer of the CI image is in the runtime image, unless it came from the base or from the runtime image."""
    if case.ci_image is None:
        yield case.undecided(CI_IMAGE, "no CI image was given to compare layers with")
    worst: dict[int, SharedLayer] = {}
    for shared in shared_layers(case):
        if shared.shared_as in (SharedAs.LEAK, SharedAs.UNKNOWN):
            before = worst.setdefault(shared.runtime.position, shared)
            if before.shared_as is SharedAs.UNKNOWN:
                worst[shared.runtime.position] = shared
    for position, shared in sorted(worst.items()):
        told = f"layer {position} is layer {shared.ci.position} of the CI image ({shared.ci_platform})"
        if shared.shared_as is SharedAs.LEAK:
            yield case.violation(shared.diff_id, f"{told} as well", position)
        else:
            yield case.undecided(shared.diff_id, f"{told}, and nobody said whether it is of the base", position)
    if parameters.target is not None:
        yield from _targets(case, parameters.target)


def shared_layers(case: Case) -> Iterator[SharedLayer]:
    """Every layer that the runtime image and the CI image have both, of each platform of the CI image.

    A layer without entries is passed over: all empty layers are alike.
    """
    if case.ci_image is None:
        return
    for ci in case.ci_image.platforms:
        positions = {layer.diff_id: layer.position for layer in reversed(ci.layers)}
        meaning = _Meaning(case, ci)
        for layer in case.facts.layers:
            there = positions.get(layer.diff_id)
            mine, theirs = FoundLayer.of(case.facts, layer.position), FoundLayer.of(ci, there)
            if mine is not None and theirs is not None and layer.entries:
                yield SharedLayer(
                    diff_id=layer.diff_id,
                    platform=case.facts.platform,
                    runtime=mine,
                    ci_platform=ci.platform,
                    ci=theirs,
                    shared_as=meaning.of(layer.position),
                )


class _Meaning:
    """Why the layers of a runtime image may be in one platform of a CI image as well."""

    def __init__(self, case: Case, ci: PlatformFacts) -> None:
        mine, theirs = diff_ids(case.facts), diff_ids(ci)
        self._alike = common(mine, theirs)
        self._on_runtime = self._alike == len(mine) < len(theirs)
        self._on_ci = self._alike == len(theirs)
        self._base = base_layers(case)

    def of(self, position: int) -> SharedAs:
        """Why the layer at a position of the runtime image is in both."""
        if self._on_runtime:
            return SharedAs.RUNTIME
        if self._on_ci:
            return SharedAs.LEAK  # whatever is called the base: it would be the CI image, or end in it
        if self._base is not None:
            return SharedAs.BASE if position < self._base else SharedAs.LEAK
        return SharedAs.UNKNOWN if position < self._alike else SharedAs.LEAK


def _targets(case: Case, allowed: list[str]) -> Iterator[Finding]:
    words = ", ".join(allowed)
    if not case.claims:
        yield case.undecided(PROVENANCE, f"no provenance says which target was built; the contract demands {words}")
    for claim in case.claims:
        if claim.target is None:
            yield case.undecided(PROVENANCE, f"the provenance {claim.place} does not say which target was built")
        elif claim.target not in allowed:
            told = f"the provenance {claim.place} says that the target {claim.target[:80]!r} was built"
            yield case.violation(PROVENANCE, f"{told}; the contract demands {words}")
