"""The test-result predicate that reports lead to, and the resources that its `configuration` names.

Sources: in-toto `test-result.md` v0.1, `resource_descriptor.md` v1. Fields that are ours begin with `attest_`, as the
attestation framework asks of extensions ("Parsing rules").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from attest.core import limits
from attest.core.lane.testreport import Counts, Judged, Report, count
from attest.core.predicates import test_result
from attest.core.reference import Digest
from attest.core.strictjson import Json

_REASON: Final = 500
"""Characters of a reason; the whole of it is shown where it is found."""
_REASONS: Final = 10
_LEAST: Final = 4096
"""Bytes that names have, however large the configuration is."""


def judged_predicate(
    judged: Judged, *, configuration: Sequence[Mapping[str, Json]], url: str | None = None
) -> dict[str, Json]:
    """A test-result predicate of what was judged.

    Names stand in `failedTests`, `warnedTests` and `passedTests` in this order as far as `limits.TEST_NAMES` bytes
    reach, which the configuration shares. Where some do not fit, `attest_omittedTests` says how many of each list; the
    counts of `attest_counts` are always those of all cases. A name is written as the report has it.
    """
    names = {"failedTests": judged.failed, "warnedTests": judged.warned, "passedTests": judged.passed}
    room = max(_LEAST, limits.TEST_NAMES - _size(list(configuration)))
    kept: dict[str, list[str]] = {}
    omitted: dict[str, Json] = {}
    for field, all_names in names.items():
        kept[field], room = _fitting(all_names, room)
        if len(kept[field]) < len(all_names):
            omitted[field] = len(all_names) - len(kept[field])
            room = 0  # what follows is less important than what was left out
    predicate = test_result(judged.result, configuration, url=url)
    predicate |= {field: kept[field] for field in ("passedTests", "warnedTests", "failedTests")}
    predicate["attest_counts"] = counts_document(judged.counts)
    predicate["attest_reasons"] = [reason[:_REASON] for reason in judged.reasons[:_REASONS]]
    if omitted:
        predicate["attest_omittedTests"] = omitted
    if judged.min_coverage is not None:
        predicate["attest_minCoverage"] = float(judged.min_coverage)
    return predicate


def report_resource(report: Report, *, manifest: Digest | None) -> dict[str, Json]:
    """The ResourceDescriptor of a report. `manifest` is the artifact that holds it beside the image, if one does."""
    annotations: dict[str, Json] = {"format": report.format.value, "size": report.size}
    if report.tool is not None:
        annotations["tool"] = report.tool
    if report.cases is not None:
        annotations["counts"] = counts_document(count(report.cases))
    if report.coverage is not None:
        annotations["coverage"] = {
            "covered": report.coverage.covered,
            "total": report.coverage.total,
            "percent": float(report.coverage.percent),
        }
    if manifest is not None:
        annotations["manifest"] = manifest
    return _resource(report.file, digest=report.digest, mediaType=report.media_type, annotations=annotations)


def image_resource(name: str, digest: Digest, *, role: str, **annotations: Json) -> dict[str, Json]:
    """The ResourceDescriptor of an image that took part: `role` says as what (`runner`, `container`)."""
    return _resource(name, digest=digest, annotations={"role": role, **annotations})


def tool_resource(name: str, version: str) -> dict[str, Json]:
    """The ResourceDescriptor of a tool by name and version: a package URL without a package type of its own."""
    return _resource(
        name, uri=f"pkg:generic/{quote(name, safe='')}@{quote(version, safe='')}", annotations={"version": version}
    )


def counts_document(counts: Counts) -> dict[str, Json]:
    """Counts by outcome, as JSON."""
    return {
        "passed": counts.passed,
        "warned": counts.warned,
        "failed": counts.failed,
        "skipped": counts.skipped,
    }


def _resource(name: str, *, digest: Digest | None = None, **fields: Any) -> dict[str, Json]:
    resource: dict[str, Json] = {"name": name}
    if digest is not None:
        resource["digest"] = {"sha256": digest.removeprefix("sha256:")}
    return resource | fields


def _size(value: Json) -> int:
    """Bytes of a value as it is signed."""
    return len(json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8"))


def _fitting(names: Iterable[str], room: int) -> tuple[list[str], int]:
    """The first names that fit into so many bytes of JSON, and what is left of the room."""
    kept = []
    for name in names:
        size = _size(name) + 1
        if size > room:
            break
        room -= size
        kept.append(name)
    return kept, room
