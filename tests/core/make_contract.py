"""Reports of a contract's checks, made by hand: what the writers of reports are tested with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from attest.core.contract.finding import (
    Check,
    CheckResult,
    Exemption,
    ExemptionUse,
    Finding,
    FoundLayer,
    Report,
    SharedAs,
    SharedLayer,
    Standing,
    Use,
)
from attest.core.contract.report import Checked, Input, Role, Tool
from attest.core.oci import Platform
from attest.core.reference import Digest

AMD: Final = Platform(os="linux", architecture="amd64")
ARM: Final = Platform(os="linux", architecture="arm64")
IMAGE: Final = "registry.example.org:5000/plex/backend@sha256:" + 64 * "1"
DIGEST: Final = Digest("sha256:" + 64 * "1")
TIME: Final = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
USER: Final = Check(
    id="user.nonroot",
    aliases=("CIS-DI-0001", "DS-0002"),
    why="Whoever breaks out of the service is root.",
    fix="Set USER to an account of its own.",
)
SETID: Final = Check(id="file.setid", aliases=(), why="It runs with another's rights.", fix="Remove the bit.")
DRIFT: Final = Check(id="lock.drift", aliases=(), why="Nobody agreed to it.", fix="Lock the image again.")
TABLE: Final = {check.id: check for check in (USER, SETID, DRIFT)}
LAYER: Final = FoundLayer(position=2, digest=Digest("sha256:" + 64 * "2"), created_by="RUN apt-get install sudo")
EXEMPTION: Final = Exemption(
    id="file.setid",
    path="/usr/bin/*",
    reason="needed until the next release",
    owner="ops@example.org",
    expires=datetime(2026, 12, 31, tzinfo=UTC),
)


def finding(
    check: Check = SETID,
    place: str = "/usr/bin/sudo",
    message: str = "it is set-user-id",
    *,
    standing: Standing = Standing.VIOLATION,
    platform: Platform | None = AMD,
    layer: FoundLayer | None = LAYER,
) -> Finding:
    """A finding; an excepted one has the exemption of this module."""
    return Finding(
        check=check.id,
        platform=platform,
        place=place,
        message=message,
        standing=standing,
        layer=layer,
        exemption=EXEMPTION if standing is Standing.EXCEPTED else None,
    )


def result(check: Check, *findings: Finding, platform: Platform | None = AMD) -> CheckResult:
    """How a check ended with these findings."""
    return CheckResult.of(check.id, platform, findings)


def checked(
    *results: CheckResult, uses: Sequence[ExemptionUse] = (), shared: Sequence[SharedLayer] = (), image: str = IMAGE
) -> Checked:
    """A report of these results, with a contract and a lock."""
    return Checked(
        report=Report(
            contract="python-web",
            contract_digest=Digest("sha256:" + 64 * "3"),
            image=DIGEST,
            results=results,
            exemptions=tuple(uses),
            shared=tuple(shared),
        ),
        image=image,
        time=TIME,
        inputs=(
            Input(role=Role.CONTRACT, name="contract.yaml", digest=Digest("sha256:" + 64 * "3")),
            Input(role=Role.LOCK, name="contract.lock.json", digest=Digest("sha256:" + 64 * "4")),
        ),
        tool=Tool(name="attest", version="0.1.0", code=64 * "a"),
        table=TABLE,
    )


USED: Final = ExemptionUse(exemption=EXEMPTION, use=Use.USED, findings=1)
SHARED: Final = SharedLayer(
    diff_id=Digest("sha256:" + 64 * "5"),
    platform=AMD,
    runtime=LAYER,
    ci_platform=AMD,
    ci=FoundLayer(position=0, digest=Digest("sha256:" + 64 * "6"), created_by=None),
    shared_as=SharedAs.LEAK,
)


def everything() -> Checked:
    """A report with a result of each kind, on two platforms and on none."""
    return checked(
        result(USER, finding(USER, "root", "it runs as root", layer=None)),
        result(USER, finding(USER, "user", "no passwd", standing=Standing.UNDECIDED, platform=ARM), platform=ARM),
        result(SETID, finding(standing=Standing.EXCEPTED)),
        result(SETID, platform=ARM),
        result(
            DRIFT,
            finding(DRIFT, "/platforms", "one too many", platform=None, layer=None),
            finding(DRIFT, "/old", "nothing needs it", platform=None, layer=None, standing=Standing.WARNING),
            platform=None,
        ),
        uses=[USED],
        shared=[SHARED],
    )
