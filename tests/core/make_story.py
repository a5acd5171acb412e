"""A ledger in which everything happened, with verdicts that rest on evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from attest.core.delivery.records import (
    Applying,
    Cause,
    DeliveredRelease,
    Frozen,
    Held,
    Kind,
    Observation,
    Pass,
    PassedOver,
    Probing,
    Refused,
    Released,
    Trigger,
    Unfrozen,
)
from attest.core.delivery.verdicts import (
    Decision,
    RecordedEvidence,
    RecordedImage,
    RecordedLane,
    RecordedRefusal,
    RecordedVerdict,
)
from attest.core.environment.targets import Match
from attest.core.reference import RegistryImage
from attest.core.verdict import Reason, State
from tests.core.make import NOW, digest
from tests.core.make_delivery import Book, planned, release, seen, verdict

SOURCE: Final = {"commit": "4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70", "url": "https://ci.example.org/runs/7"}
NAMES: Final = ("api", "web")
HOUR: Final = timedelta(hours=1)


def evidence(text: str, *, result: str | None = "PASSED", time: datetime | None = NOW) -> RecordedEvidence:
    """A bundle of one signer."""
    return RecordedEvidence(digest=digest(text), signers=("ci",), time=time, result=result, source=SOURCE)


def judged(of: RegistryImage, state: State = State.PRESENT, *, time: datetime | None = NOW) -> RecordedImage:
    """What was found about an image: a lane of tests in some state, and one of provenance."""
    passed = state is State.PRESENT
    tests = RecordedLane(
        lane="e2e",
        state=state,
        reason=Reason.PRESENT if passed else Reason.RESULT_FAILED,
        message="signed by ci" if passed else "the newest result is FAILED",
        evidence=(
            evidence(f"{of.digest} e2e", result="PASSED" if passed else "FAILED", time=time),
            evidence(f"{of.digest} e2e before", result="WARNED", time=None),
        ),
        more=0,
    )
    build = RecordedLane(
        lane="build",
        state=State.PRESENT,
        reason=Reason.PRESENT,
        message="signed by ci",
        evidence=(evidence(f"{of.digest} build", result=None, time=time),),
        more=3,
    )
    return RecordedImage(image=of, refusals=(), lanes=(tests, build), rejected=1)


def about(of: DeliveredRelease, state: State = State.PRESENT, *, time: datetime | None = NOW) -> dict[str, Any]:
    """What is to be changed in a verdict, so that it is about this release."""
    return {"images": tuple(judged(image, state, time=time) for image in of.services.values())}


def no(of: DeliveredRelease, *, whole: bool = False) -> RecordedVerdict:
    """A verdict that refuses: the release as a whole, or for a lane that failed."""
    refusals = (RecordedRefusal(reason=Reason.SERIAL_TOO_LOW, message="serial 3 came before"),) if whole else ()
    return verdict(Decision.REFUSED, **about(of, State.FAILED), refusals=refusals)


class Story(Book):
    """A ledger whose clock is set by hand."""

    def at(self, hours: float) -> Story:
        """What follows is recorded so many hours after NOW."""
        self.time = NOW + timedelta(hours=hours)
        return self

    def again(self, of: DeliveredRelease, end: str = "succeeded", *, seconds: float = 40, **more: Any) -> int:
        """A delivery whose verdict rests on evidence of half an hour before."""
        number = self.deliver(of, "verified", verdicts=about(of, time=self.time - HOUR / 2), **more)
        self.write(Applying(deployment=number))
        self.write(Probing(deployment=number))
        self.time += timedelta(seconds=seconds)
        self.end(number, of, end)
        return number

    def refuse(self, of: DeliveredRelease, why: RecordedVerdict) -> int:
        """A deployment that the policy refuses."""
        number = self.write(planned(of, trigger=Trigger.AUTOMATIC))
        self.write(Refused(deployment=number, cause=Cause.POLICY, message="e2e is failed", verdict=why))
        return number


def of(number: int, names: Sequence[str] = NAMES) -> DeliveredRelease:
    """A release of two services, from a commit."""
    return release(number, services=names, commit=f"{number:x}" * 40)


def story(reason: str = "the first") -> Story:
    """Deployed, upgraded, failed, rolled back, refused, frozen, drifted, repaired, undone by hand, unknown, held."""
    book = Story()
    one, two, three, four = map(of, (1, 2, 3, 4))
    book.again(one, reason=reason)
    book.at(24).again(two, trigger=Trigger.AUTOMATIC)
    bad = book.at(30).again(three, "failed", trigger=Trigger.AUTOMATIC)
    good = book.again(two, kind=Kind.ROLLBACK, trigger=Trigger.AUTOMATIC, reverts=bad)
    held = book.at(31).write(planned(four, trigger=Trigger.AUTOMATIC))
    book.write(Refused(deployment=held, cause=Cause.HELD, message="held"))
    book.refuse(four, no(four))
    book.refuse(four, no(four, whole=True))
    book.at(40).write(Released(hold=True, releases=(), reason="mended"))
    book.write(Frozen(until=NOW + 45 * HOUR, reason="the fair"))
    book.at(44).write(Unfrozen(reason="over"))
    found = {"web": seen(one.services["web"].digest, Match.OTHER)}
    book.at(50).write(Observation(deployment=good, services=found, drift=("web",)))
    book.again(two, kind=Kind.REPAIR, trigger=Trigger.AUTOMATIC, reason="drift of web")
    fourth = book.at(60).again(four)
    over = (PassedOver(deployment=bad, reason=Pass.BAD, message="it failed"),)
    book.at(62).again(two, kind=Kind.ROLLBACK, reverts=fourth, passed_over=over, reason="the login is broken")
    book.at(70).deliver(of(5), "superseded")
    last = book.again(of(6), "error")
    nothing = Held(reverts=last, trigger=Trigger.EXPLICIT, passed_over=over, message="there is nothing to go back to")
    book.at(72).write(nothing)
    return book
