"""SARIF 2.1.0 (OASIS Standard): what a linter or scanner found.

Each run is a case by the name of its tool, passed where nothing was found, and each finding is a case of its own.
A finding of level `error` is FAILED; `warning` and `note` are WARNED, and so is one that a person has yet to look at
(kind `open` or `review`). One that is suppressed by an accepted suppression, or that is absent from this run (baseline
state `absent`), does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attest.adapters.reports.common import (
    Cases,
    Content,
    ReportInvalid,
    a_number,
    a_text,
    a_word,
    an_array,
    an_object,
    joined,
    tool_name,
)
from attest.core.lane.testreport import Format, Outcome
from attest.core.strictjson import Json, shown

_LEVELS: Final[Mapping[str, Outcome | None]] = {
    "none": None,
    "note": Outcome.WARNED,
    "warning": Outcome.WARNED,
    "error": Outcome.FAILED,
}
"""3.27.10; with `none` the kind decides."""
_KINDS: Final[Mapping[str, Outcome]] = {
    "fail": Outcome.WARNED,
    "pass": Outcome.PASSED,
    "informational": Outcome.PASSED,
    "notApplicable": Outcome.SKIPPED,
    "open": Outcome.WARNED,
    "review": Outcome.WARNED,
}
"""3.27.9. A failure of no level does not say how bad it is."""
_SUPPRESSIONS: Final = frozenset({"accepted", "underReview", "rejected"})
_BASELINE: Final = frozenset({"new", "unchanged", "updated", "absent"})


def read_sarif(document: Mapping[str, Json]) -> Content:
    """What a SARIF log says.

    Raises:
        ReportInvalid: it is none of version 2.1.0, or keeps its results in other files.
    """
    if document.get("version") != "2.1.0":
        raise ReportInvalid(f"SARIF {shown(document.get('version'))} is not read, only '2.1.0'")
    cases = Cases()
    problems: list[str] = []
    tools: dict[str, None] = {}
    for position, item in enumerate(an_array(document["runs"], "runs")):
        run = _Run(an_object(item, f"runs[{position}]"), f"runs[{position}]")
        problems += run.problems()
        run.collect(cases)
        tools[run.tool] = None
    return Content(
        format=Format.SARIF, cases=cases.all(), problems=tuple(problems), tool=", ".join(tools)[:200] or None
    )


class _Run:
    """One run of one tool (3.14)."""

    def __init__(self, run: Mapping[str, Json], where: str) -> None:
        self._run = run
        self._where = where
        driver = an_object(an_object(run.get("tool"), f"{where}.tool").get("driver"), f"{where}.tool.driver")
        self._name = a_text(driver.get("name"), f"{where}.tool.driver.name")
        version = driver.get("semanticVersion") or driver.get("version")
        self.tool = tool_name(self._name, version) or self._name
        self._rules = [
            an_object(rule, f"{where}.tool.driver.rules")
            for rule in _maybe_array(driver.get("rules"), f"{where}.tool.driver.rules")
        ]
        self._by_id = {rule["id"]: rule for rule in self._rules if isinstance(rule.get("id"), str)}
        self._invocations = [
            an_object(item, f"{where}.invocations")
            for item in _maybe_array(run.get("invocations"), f"{where}.invocations")
        ]

    def problems(self) -> list[str]:
        """What went wrong with the tool itself (3.20.14, 3.20.21)."""
        found = []
        for invocation in self._invocations:
            success = invocation.get("executionSuccessful")
            if not isinstance(success, bool):
                raise ReportInvalid(f"{self._where}: an invocation does not say whether it was successful")
            if not success:
                found.append(f"{shown(self._name)} says that it did not run successfully")
            for item in _notifications(invocation, self._where):
                if item.get("level", "warning") == "error":
                    message = item.get("message")
                    text = message.get("text") if isinstance(message, dict) else None
                    found.append(f"{shown(self._name)} says: {shown(text if isinstance(text, str) else '')}")
        if self._run.get("results") is None:
            found.append(f"{shown(self._name)} has no results, as a scan that did not start (3.14.23)")
        return found

    def collect(self, cases: Cases) -> None:
        """Add the cases of this run."""
        outside = self._run.get("externalPropertyFileReferences")
        if isinstance(outside, dict) and "results" in outside:
            raise ReportInvalid(f"{self._where} keeps its results in other files")
        results = _maybe_array(self._run.get("results"), f"{self._where}.results")
        findings = []
        for position, item in enumerate(results):
            where = f"{self._where}.results[{position}]"
            result = an_object(item, where)
            outcome = self._outcome(result, where)
            if outcome is None:
                continue
            findings.append((self._finding(result), outcome))
        clean = all(outcome in {Outcome.PASSED, Outcome.SKIPPED} for _, outcome in findings)
        if clean and self._run.get("results") is not None:
            cases.add(self._name, Outcome.PASSED)
        for name, outcome in findings:
            cases.add(name, outcome)

    def _outcome(self, result: Mapping[str, Json], where: str) -> Outcome | None:
        if a_word(result.get("baselineState", "new"), _BASELINE, f"{where}.baselineState") == "absent":
            return None
        kind = a_word(result.get("kind", "fail"), _KINDS, f"{where}.kind")
        level = self._level(result, where) if kind == "fail" else result.get("level", "none")
        outcome = _LEVELS[a_word(level, _LEVELS, f"{where}.level")] or _KINDS[kind]
        return Outcome.SKIPPED if _is_suppressed(result, where) else outcome

    def _level(self, result: Mapping[str, Json], where: str) -> Json:
        """The level of a failure: its own, else what a run was configured to, else its rule's (3.27.10)."""
        if "level" in result:
            return result["level"]
        rule = self._rule(result, where)
        configured = rule.get("defaultConfiguration")
        level = configured.get("level", "warning") if isinstance(configured, dict) else "warning"
        for invocation in self._invocations:
            overrides = _maybe_array(invocation.get("ruleConfigurationOverrides"), f"{self._where}.invocations")
            for item in overrides:
                if an_object(an_object(item, where).get("configuration"), where).get("level") == "error":
                    level = "error"  # of which rule is not looked at: the worse is believed
        return level

    def _rule(self, result: Mapping[str, Json], where: str) -> Mapping[str, Json]:
        reference = an_object(result.get("rule", {}), f"{where}.rule")
        if "toolComponent" in reference:
            return {}  # a rule of an extension: the default level holds
        index = result.get("ruleIndex", reference.get("index", -1))
        if index != -1:
            if a_number(index, f"{where}.ruleIndex") >= len(self._rules):
                raise ReportInvalid(f"{where} names rule {index}, and there are {len(self._rules)}")
            return self._rules[index]
        identifier = result.get("ruleId", reference.get("id"))
        return self._by_id.get(identifier, {}) if isinstance(identifier, str) else {}

    def _finding(self, result: Mapping[str, Json]) -> str:
        """`tool > rule > file:line`, as far as the result says so."""
        rule = result.get("ruleId") or _path(result, "rule", "id")
        if not isinstance(rule, str):
            message = _path(result, "message", "text")
            rule = message[:80] if isinstance(message, str) and message.strip() else "finding"
        locations = result.get("locations")
        physical = _path(locations[0], "physicalLocation") if isinstance(locations, list) and locations else None
        uri, line = _path(physical, "artifactLocation", "uri"), _path(physical, "region", "startLine")
        place = uri if isinstance(uri, str) else ""
        return joined(self._name, rule, f"{place}:{line}" if place and type(line) is int else place)


def _notifications(invocation: Mapping[str, Json], where: str) -> list[Mapping[str, Json]]:
    names = ("toolExecutionNotifications", "toolConfigurationNotifications")
    items = [item for name in names for item in _maybe_array(invocation.get(name), f"{where}.{name}")]
    return [an_object(item, f"{where}: a notification") for item in items]


def _is_suppressed(result: Mapping[str, Json], where: str) -> bool:
    """Whether somebody has accepted it (3.27.23): there are suppressions, and none is under review or rejected."""
    suppressions = _maybe_array(result.get("suppressions"), f"{where}.suppressions")
    states = [
        a_word(
            an_object(item, f"{where}.suppressions").get("status", "accepted"),
            _SUPPRESSIONS,
            f"{where}.suppressions: the status",
        )
        for item in suppressions
    ]
    return bool(states) and all(state == "accepted" for state in states)


def _maybe_array(value: Json, where: str) -> list[Json]:
    """The array that may stand there; none where nothing does. Anything else is no array, however empty it is."""
    return [] if value is None else an_array(value, where)


def _path(value: Json, *names: str) -> Json:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value
