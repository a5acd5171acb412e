"""What a delivery came to: from what runs, by digest, and from how healthy it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from attest.core.delivery.machine import Phase
from attest.core.delivery.records import Stage
from attest.core.environment.health import Health, ProbeResult
from attest.core.environment.targets import Match, Observed, compare
from attest.core.reference import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Succeeded, failed, or nobody can tell."""

    phase: Phase
    message: str
    stage: Stage
    """Where it was decided."""


UNCONFIRMED = frozenset({Match.OTHER, Match.ABSENT, Match.UNKNOWN})
"""What does not run the image that it should, as far as anybody can see."""


def matches(observed: Mapping[str, Observed], names: Mapping[str, frozenset[Digest]]) -> dict[str, Match]:
    """How each service stands to the image that it should run; what was not seen at all is unknown."""
    return {
        service: compare(observed[service], digests) if service in observed else Match.UNKNOWN
        for service, digests in names.items()
    }


def unconfirmed(found: Mapping[str, Match], observed: Mapping[str, Observed]) -> str | None:
    """Which services do not run what they should, in words; None where all do."""
    problems = [
        f"{name} {_WRONG[match]}{_seen(observed.get(name))}" for name, match in found.items() if match in _WRONG
    ]
    return "; ".join(problems) or None


_WRONG = {
    Match.OTHER: "runs another image",
    Match.ABSENT: "does not run",
    Match.UNKNOWN: "runs nobody knows what",
}


def _seen(observed: Observed | None) -> str:
    if observed is None or not observed.digests:
        return "" if observed is None or not observed.detail else f" ({observed.detail})"
    return f" ({', '.join(sorted(observed.digests))})"


def restarted(before: Observed, after: Observed) -> bool:
    """Whether an instance was started anew between two looks, although the same one is there."""
    started = {one.name: (one.instance, one.started) for one in before.instances if one.started is not None}
    return any(
        one.name in started and one.started is not None and started[one.name] != (one.instance, one.started)
        for one in after.instances
        if not one.ends
    )


def conclude(
    found: Mapping[str, Match],
    *,
    observed: Mapping[str, Observed],
    probes: Mapping[str, ProbeResult],
    soaks: Mapping[str, ProbeResult],
    anew: frozenset[str] = frozenset(),
) -> Outcome:
    """What follows from the last look, the probes and the soaks.

    The health of something else says nothing about the release, so what runs is asked first. What is known to be bad
    is worse than what is not known.

    Args:
        found: How each service stands to its image, at the end.
        observed: What was seen then.
        probes: What the probe of each service came to, as far as there was one.
        soaks: The same of the time after it.
        anew: Services that were started anew during the soak.
    """
    strangers = {name: match for name, match in found.items() if match in (Match.OTHER, Match.UNKNOWN)}
    if strangers:
        return Outcome(phase=Phase.ERROR, message=unconfirmed(strangers, observed) or "", stage=Stage.CONFIRMING)
    sick = [f"{name}: {why}" for name, why in _sick(found, probes, soaks, anew)]
    if sick:
        return Outcome(phase=Phase.FAILED, message="; ".join(sick), stage=Stage.PROBING)
    missing = unconfirmed(found, observed)
    if missing is not None:
        return Outcome(phase=Phase.ERROR, message=missing, stage=Stage.CONFIRMING)
    unknown = [
        f"{name}: {result.detail}"
        for results in (probes, soaks)
        for name, result in results.items()
        if result.health is Health.ERROR
    ]
    unknown += [f"{name}: nobody looked" for name in found if name not in probes or name not in soaks]
    if unknown:
        return Outcome(phase=Phase.ERROR, message="; ".join(unknown), stage=Stage.PROBING)
    return Outcome(phase=Phase.SUCCEEDED, message="", stage=Stage.PROBING)


def _sick(
    found: Mapping[str, Match],
    probes: Mapping[str, ProbeResult],
    soaks: Mapping[str, ProbeResult],
    anew: frozenset[str],
) -> list[tuple[str, str]]:
    reasons: list[tuple[str, str]] = []
    for name, match in found.items():
        results = [results[name] for results in (probes, soaks) if name in results]
        bad = next((one for one in results if one.health is Health.UNHEALTHY), None)
        if bad is not None:
            reasons.append((name, bad.detail))
        elif match is Match.FAILED:
            reasons.append((name, "it ended as it should not"))
        elif match is Match.WAITING and len(results) == 2:
            reasons.append((name, "it does not go on running"))
        elif name in anew:
            reasons.append((name, "it was started anew while it had to stay healthy"))
    return reasons
