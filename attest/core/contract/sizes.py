"""Checks of how large an image is. All sizes are in bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attest.core.contract.case import BASELINE, LOCK, Case, on_platform
from attest.core.contract.document import DeltaParameters
from attest.core.contract.finding import Finding
from attest.core.image.facts import LayerFacts

_TOLD = 3
"""Files that a message names."""


def size_compressed(case: Case, most: int) -> Iterator[Finding]:
    """The layers as they are stored take at most so many bytes."""
    return _size(case, "compressed", "compressed", case.facts.sizes.compressed, most, lambda layer: layer.compressed)


def size_unpacked(case: Case, most: int) -> Iterator[Finding]:
    """The files that a container sees take at most so many bytes."""
    return _size(case, "unpacked", "unpacked", case.facts.sizes.unpacked, most, lambda layer: layer.unpacked)


def _size(
    case: Case, place: str, what: str, size: int, most: int, of_layer: Callable[[LayerFacts], int]
) -> Iterator[Finding]:
    if size > most:
        largest = max(case.facts.layers, key=of_layer, default=None)
        told = f"the image has {size:,} bytes {what}; the contract allows {most:,}"
        if largest is not None:
            told += f"; the largest layer is {largest.position}, of {of_layer(largest):,}"
        yield case.violation(place, told, None if largest is None else largest.position)


def size_delta(case: Case, parameters: DeltaParameters) -> Iterator[Finding]:
    """The unpacked image is larger than the baseline, and than it was locked, by at most so many bytes."""
    if parameters.baseline is not None:
        base = None if case.baseline is None else on_platform(case.baseline, case.facts.platform)
        before = None if base is None else base.sizes.unpacked
        yield from _delta(case, BASELINE, before, parameters.baseline, given=case.baseline is not None)
    if parameters.lock is not None:
        sizes = None if case.lock is None else case.lock.sizes(case.facts.platform)
        before = None if sizes is None else sizes.unpacked
        yield from _delta(case, LOCK, before, parameters.lock, given=case.lock is not None)


def _delta(case: Case, what: str, before: int | None, most: int, *, given: bool) -> Iterator[Finding]:
    if before is None:
        problem = f"the {what} has no {case.facts.platform}" if given else f"no {what} was given to compare sizes with"
        yield case.undecided(what, problem)
        return
    more = case.facts.sizes.unpacked - before
    if more > most:
        told = f"the image has {more:,} bytes unpacked more than the {what}; the contract allows {most:,}"
        yield case.violation(what, told)


def layer_count(case: Case, most: int) -> Iterator[Finding]:
    """There are at most so many layers."""
    count = len(case.facts.layers)
    if count > most:
        yield case.violation("layers", f"the image has {count} layers; the contract allows {most}", count - 1)


def layer_wasted(case: Case, most: int) -> Iterator[Finding]:
    """The files that some layer has and no container sees take at most so many bytes."""
    wasted = case.facts.sizes.wasted
    if wasted <= most:
        return
    by_layer: dict[int, int] = {}
    for file in case.facts.shadowed:
        by_layer[file.layer] = by_layer.get(file.layer, 0) + file.size
    layer = max(sorted(by_layer), key=by_layer.__getitem__, default=None)
    largest = sorted(case.facts.shadowed, key=lambda file: (-file.size, file.path, file.layer))[:_TOLD]
    files = ", ".join(f"{file.path} (layer {file.layer}, hidden by {file.hidden_by})" for file in largest)
    told = f"{wasted:,} bytes of files are in layers and no container sees them; the contract allows {most:,}"
    yield case.violation("wasted", f"{told}; the largest: {files}" if files else told, layer)
