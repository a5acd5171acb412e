"""From the facts of an image and a contract to a report: every check that the contract asks for, on every platform."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from attest.core.contract import base, configuration, content, overlap, sizes
from attest.core.contract.case import LOCK, Case
from attest.core.contract.claims import BuildClaim
from attest.core.contract.document import Contract
from attest.core.contract.finding import (
    LOCK_DRIFT,
    CheckResult,
    Exemption,
    ExemptionUse,
    Finding,
    Lock,
    Report,
    Standing,
    Use,
)
from attest.core.contract.glob import Glob, compile_glob
from attest.core.contract.table import CHECKS
from attest.core.contract.tree import Tree
from attest.core.image.facts import ImageFacts
from attest.core.oci import Platform
from attest.core.statement import format_time

CheckFunction = Callable[[Case, Any], Iterator[Finding]]

FUNCTIONS: Final[Mapping[str, CheckFunction]] = {
    "user.nonroot": configuration.user_nonroot,
    "config.entrypoint": configuration.config_entrypoint,
    "config.cmd": configuration.config_cmd,
    "config.workdir": configuration.config_workdir,
    "config.stopsignal": configuration.config_stopsignal,
    "label.required": configuration.label_required,
    "port.allowed": configuration.port_allowed,
    "volume.allowed": configuration.volume_allowed,
    "env.secret": content.env_secret,
    "file.secret": content.file_secret,
    "file.setid": content.file_setid,
    "file.world_writable": content.file_world_writable,
    "path.forbidden": content.path_forbidden,
    "path.allowed": content.path_allowed,
    "package.forbidden": content.package_forbidden,
    "exe.forbidden": content.exe_forbidden,
    "account.empty_password": content.account_empty_password,
    "account.duplicate_id": content.account_duplicate_id,
    "healthcheck.present": configuration.healthcheck_present,
    "base.digest": base.base_digest,
    "size.compressed": sizes.size_compressed,
    "size.unpacked": sizes.size_unpacked,
    "size.delta": sizes.size_delta,
    "layer.count": sizes.layer_count,
    "layer.wasted": sizes.layer_wasted,
    "ci.overlap": overlap.ci_overlap,
}
"""What makes each check of a platform; the second argument is its value in `Contract.checks`. The lock is compared with
the image as a whole."""


def check_image(
    contract: Contract,
    facts: ImageFacts,
    *,
    now: datetime,
    lock: Lock | None = None,
    baseline: ImageFacts | None = None,
    ci_image: ImageFacts | None = None,
    provenance: Sequence[BuildClaim] = (),
) -> Report:
    """What the checks of a contract say of an image, on every platform.

    `now` decides which exceptions have expired. `baseline` is the base image, `ci_image` the image that the tests run
    in, `provenance` what is known of the build; what a check needs and is not given makes it undecided. A lock that is
    given is compared, whether the contract names `lock.drift` or not. The same arguments lead to the same report.
    """
    exemptions = _Exemptions(contract.exemptions, now)
    asked = dict(contract.checks) | ({LOCK_DRIFT: True} if lock is not None else {})
    allowed = contract.checks["base.digest"].digests if "base.digest" in contract.checks else None
    cases = [
        Case(
            check="",
            facts=each,
            tree=Tree(each.files),
            baseline=baseline,
            ci_image=ci_image,
            lock=lock,
            claims=tuple(provenance),
            base_digests=None if allowed is None else frozenset(allowed),
        )
        for each in facts.platforms
    ]
    results: list[CheckResult] = []
    for check in CHECKS:
        if check.id not in asked:
            continue
        if check.id == LOCK_DRIFT:
            found = list(_drift(lock, facts, cases))
        else:
            make = FUNCTIONS[check.id]
            found = [
                finding
                for case in cases
                for finding in make(dataclasses.replace(case, check=check.id), asked[check.id])
            ]
        if not cases:
            found.append(_of_image(check.id, "image", "the image has no platform that could be checked"))
        results += _results(check.id, [case.facts.platform for case in cases], exemptions.applied(found))
    return Report(
        contract=contract.name,
        contract_digest=contract.digest,
        image=facts.digest,
        results=tuple(_with_exemptions(results, exemptions)),
        exemptions=exemptions.uses,
        shared=tuple(shared for case in cases for shared in overlap.shared_layers(case)),
    )


def _of_image(check: str, place: str, message: str, standing: Standing = Standing.UNDECIDED) -> Finding:
    return Finding(check=check, platform=None, place=place, message=message, standing=standing)


def _drift(lock: Lock | None, facts: ImageFacts, cases: Iterable[Case]) -> Iterator[Finding]:
    if lock is not None:
        yield from lock.findings(facts)
        return
    for case in cases:
        one = dataclasses.replace(case, check=LOCK_DRIFT)
        yield one.undecided(LOCK, "no lock was given to compare the image with")


def _results(check: str, platforms: Iterable[Platform], findings: Sequence[Finding]) -> Iterator[CheckResult]:
    """The result of each platform, and that of the image as a whole where something is about it."""
    named = [finding.platform for finding in findings if finding.platform is not None]
    for platform in dict.fromkeys([*platforms, *named]):
        yield CheckResult.of(check, platform, [each for each in findings if each.platform == platform])
    whole = [finding for finding in findings if finding.platform is None]
    if whole:
        yield CheckResult.of(check, None, whole)


class _Exemptions:
    """The exceptions of a contract, and how often each was needed."""

    def __init__(self, exemptions: Sequence[Exemption], now: datetime) -> None:
        self._all: list[tuple[Exemption, Glob]] = [(each, compile_glob(each.path)) for each in exemptions]
        self._expired = [each.expires <= now for each in exemptions]
        self._needed = [0] * len(exemptions)

    def applied(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings, with those that an exception allows marked so."""
        return [self._apply(finding) for finding in findings]

    def _apply(self, finding: Finding) -> Finding:
        """The first exception that fits allows it; those after it were needed as well."""
        by = None
        for position, (exemption, pattern) in enumerate(self._all):
            if self._expired[position] or exemption.id != finding.check or not _can_be_allowed(finding):
                continue
            if pattern.matches(finding.place):
                self._needed[position] += 1
                by = by or exemption
        return finding if by is None else dataclasses.replace(finding, standing=Standing.EXCEPTED, exemption=by)

    @property
    def uses(self) -> tuple[ExemptionUse, ...]:
        """What became of each."""
        return tuple(
            ExemptionUse(
                exemption=exemption,
                use=Use.EXPIRED if self._expired[position] else Use.USED if self._needed[position] else Use.UNUSED,
                findings=self._needed[position],
            )
            for position, (exemption, _) in enumerate(self._all)
        )


def _can_be_allowed(finding: Finding) -> bool:
    """What could not be read at a path can be; that something was not given cannot."""
    return finding.standing is Standing.VIOLATION or finding.place.startswith("/")


def _with_exemptions(results: Iterable[CheckResult], exemptions: _Exemptions) -> Iterator[CheckResult]:
    """The results, with a finding for each exception that has expired or is not needed."""
    told: dict[str, list[Finding]] = {}
    for use in exemptions.uses:
        one = use.exemption
        if use.use is Use.EXPIRED:
            problem = f"the exception for {one.path} of {one.owner} expired at {format_time(one.expires)}: {one.reason}"
            told.setdefault(one.id, []).append(_of_image(one.id, one.path, problem, Standing.VIOLATION))
        elif use.use is Use.UNUSED:
            problem = f"nothing needs the exception for {one.path} of {one.owner} any more"
            told.setdefault(one.id, []).append(_of_image(one.id, one.path, problem, Standing.WARNING))
    waiting = list(results)
    for position, result in enumerate(waiting):
        last = position + 1 == len(waiting) or waiting[position + 1].check != result.check
        own = told.get(result.check, []) if last else []
        if result.platform is None:
            yield CheckResult.of(result.check, None, [*result.findings, *own])
        else:
            yield result
            if own:
                yield CheckResult.of(result.check, None, own)
