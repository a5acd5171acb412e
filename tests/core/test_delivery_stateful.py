"""The fold of deliveries against a naive model, over whatever commands and crashes hypothesis thinks of."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from attest.core.delivery.candidates import candidates
from attest.core.delivery.fold import fold
from attest.core.delivery.history import Delivery, EnvironmentHistory
from attest.core.delivery.machine import ENDS, UNFINISHED, Phase
from attest.core.delivery.records import (
    Applying,
    Cause,
    Erred,
    Failed,
    Held,
    Kind,
    Probing,
    Refused,
    Released,
    Stage,
    Superseded,
    Trigger,
)
from attest.core.reference import Repository
from tests.core.make import digest
from tests.core.make_delivery import ENVIRONMENT, Book, planned, release, verified, waived

NUMBERS = st.integers(1, 4)
SERVICES = {"app": Repository(host="registry.example.org", path="plex/app")}


@dataclass(slots=True)
class Naive:
    """What a person would keep on a sheet of paper."""

    release_of: dict[int, int] = field(default_factory=dict)
    waiver: set[int] = field(default_factory=set)
    """Planned with one."""
    waived: set[int] = field(default_factory=set)
    reverts: dict[int, int] = field(default_factory=dict)
    undoes: dict[int, int] = field(default_factory=dict)
    """The same, and of what brings a rollback again what that one undoes."""
    again: set[int] = field(default_factory=set)
    """Rollbacks, and what brings one again that nobody could tell of."""
    phase: dict[int, str] = field(default_factory=dict)
    touched: list[int] = field(default_factory=list)
    """In the order in which they first changed the environment."""
    good: list[int] = field(default_factory=list)
    """In the order in which they were planned."""
    bad: set[int] = field(default_factory=set)
    """Numbers of releases."""
    hold: bool = False

    @property
    def open(self) -> int | None:
        """The delivery that is not finished."""
        busy = [number for number, phase in self.phase.items() if phase in {str(one) for one in UNFINISHED}]
        return busy[-1] if busy else None

    @property
    def undecided(self) -> int | None:
        """The rollback that changed the environment last, where nobody could tell."""
        last = self.touched[-1] if self.touched else None
        return last if last in self.again and self.phase[last] == "error" else None


class Deliveries(RuleBasedStateMachine):
    """One environment, by its commands."""

    def __init__(self) -> None:
        super().__init__()
        self.book = Book()
        self.naive = Naive()
        self.folded = (0, EnvironmentHistory(name=ENVIRONMENT))

    def here(self) -> EnvironmentHistory:
        """What the fold says."""
        length = len(self.book.records)
        if self.folded[0] != length:
            self.folded = (length, fold(self.book).of(ENVIRONMENT))
        return self.folded[1]

    def _plan(self, of: int, kind: Kind, *, waiver: bool = False, reverts: int | None = None) -> int:
        named = digest("waiver") if waiver else None
        number = self.book.write(planned(release(of), kind, waiver=named, reverts=reverts))
        undecided = self.naive.undecided
        brought = None if undecided is None else self.naive.release_of[undecided]
        if reverts is not None or (kind is Kind.REPAIR and of == brought):
            self.naive.again.add(number)
            undone = reverts if undecided is None or reverts is not None else self.naive.undoes[undecided]
            assert undone is not None
            self.naive.undoes[number] = undone
        self.naive.release_of[number] = of
        self.naive.phase[number] = "planned"
        if waiver:
            self.naive.waiver.add(number)
        if reverts is not None:
            self.naive.reverts[number] = reverts
        return number

    def _end(self, number: int, phase: str) -> None:
        naive = self.naive
        naive.phase[number] = phase
        undone = naive.undoes.get(number)
        if undone is not None and number in naive.touched:
            naive.phase[undone] = "rolled-back" if phase == "succeeded" else "rollback-failed"

    @precondition(lambda self: self.naive.open is None)
    @rule(of=NUMBERS, waiver=st.booleans(), repair=st.booleans())
    def plan(self, of: int, waiver: bool, repair: bool) -> None:
        """Somebody wants a release, and may have a waiver for it."""
        self._plan(of, Kind.REPAIR if repair else Kind.DEPLOY, waiver=waiver and not repair)

    @precondition(lambda self: self.naive.open is None and self.naive.undecided is not None)
    @rule()
    def bring_again(self) -> None:
        """Somebody wants back once more, behind a rollback of which nobody could tell: the same release."""
        undecided = self.here().undecided_rollback
        assert undecided is not None
        assert undecided.release.key not in self.here().bad
        self._plan(self.naive.release_of[undecided.number], Kind.REPAIR)

    def _verify(self, number: int, needed: bool) -> None:
        """It passes, or needs the waiver that it was planned with."""
        of = release(self.naive.release_of[number])
        if needed and number in self.naive.waiver:
            self.book.write(waived(number, of))
            self.naive.waived.add(number)
        else:
            self.book.write(verified(number, of))
            self.naive.waived.discard(number)
        self.naive.phase[number] = "verified"

    @precondition(lambda self: self.naive.open is None and self.naive.touched)
    @rule(data=st.data())
    def plan_rollback(self, data: st.DataObject) -> None:
        """Somebody wants back, to whatever the candidates offer."""
        here = self.here()
        assert here.current is not None
        offered = [one for one in candidates(here, SERVICES, undone=here.current) if isinstance(one, Delivery)]
        if not offered:
            held = Held(reverts=here.current.number, trigger=Trigger.EXPLICIT, passed_over=(), message="nothing")
            self.book.write(held)
            self.naive.phase[here.current.number] = "held"
            self.naive.bad.add(self.naive.release_of[here.current.number])
            self.naive.hold = True
            return
        chosen = data.draw(st.sampled_from(offered))
        assert self.naive.release_of[chosen.number] not in self.naive.bad
        self._plan(self.naive.release_of[chosen.number], Kind.ROLLBACK, reverts=here.current.number)

    @precondition(lambda self: self.naive.open is not None)
    @rule(needed=st.booleans())
    def go_on(self, needed: bool) -> None:
        """The next step that goes well; or the same again, after a crash."""
        number = self.naive.open
        assert number is not None
        match self.naive.phase[number]:
            case "planned":
                self._verify(number, needed)
            case "verified":
                self._apply(number)
            case "applying":
                self.book.write(Probing(deployment=number))
                self.naive.phase[number] = "probing"
            case _:
                self.book.end(number, release(self.naive.release_of[number]), "succeeded")
                self.naive.good.append(number)
                self._end(number, "succeeded")

    def _apply(self, number: int) -> None:
        naive = self.naive
        self.book.write(Applying(deployment=number))
        naive.phase[number] = "applying"
        if number in naive.touched:
            return
        if naive.touched:
            old = naive.touched[-1]
            if number in naive.reverts:
                naive.phase[old] = "rolling-back"
                naive.bad.add(naive.release_of[old])
                naive.hold = True
            elif naive.phase[old] != "rolled-back":
                naive.phase[old] = "superseded"
            if number in naive.undoes:
                naive.phase[naive.undoes[number]] = "rolling-back"
        naive.touched.append(number)

    @precondition(lambda self: self.naive.open is not None and self.naive.open in self.naive.touched)
    @rule(needed=st.booleans())
    def resume(self, needed: bool) -> None:
        """Somebody was killed; the next one verifies again."""
        number = self.naive.open
        assert number is not None
        self._verify(number, needed)

    @precondition(lambda self: self.naive.open is not None)
    @rule(failed=st.booleans())
    def go_wrong(self, failed: bool) -> None:
        """It fails, or nobody can tell, or it is refused or given up where nothing was touched."""
        number = self.naive.open
        assert number is not None
        if number not in self.naive.touched:
            if self.naive.phase[number] == "planned" and failed:
                self.book.write(Refused(deployment=number, cause=Cause.POLICY, message="no"))
                self.naive.phase[number] = "refused"
            else:
                self.book.write(Superseded(deployment=number, message="given up"))
                self.naive.phase[number] = "superseded"
                self.naive.hold |= number in self.naive.reverts  # what somebody asked for still stands
        elif failed:
            self.book.write(Failed(deployment=number, message="bad", services={}, rollback=False))
            self.naive.bad.add(self.naive.release_of[number])
            self._end(number, "failed")
        else:
            self.book.write(Erred(deployment=number, stage=Stage.PROBING, message="nobody knows"))
            self._end(number, "error")

    @rule(of=NUMBERS, hold=st.booleans())
    def lift(self, of: int, hold: bool) -> None:
        """Somebody ends the hold, or lifts a mark."""
        self.book.write(Released(hold=hold, releases=() if hold else (release(of).key,), reason="so"))
        if hold:
            self.naive.hold = False
        else:
            self.naive.bad.discard(of)

    @invariant()
    def the_fold_says_what_the_sheet_says(self) -> None:
        """States, what should run, what was good last, what is bad, and the hold."""
        here, naive = self.here(), self.naive
        assert {number: str(one.phase) for number, one in here.deliveries.items()} == naive.phase
        assert (None if here.current is None else here.current.number) == (naive.touched[-1] if naive.touched else None)
        assert (None if here.unfinished is None else here.unfinished.number) == naive.open
        undecided = here.undecided_rollback
        assert (None if undecided is None else undecided.number) == naive.undecided
        assert {number for number, one in here.deliveries.items() if one.way_back} == naive.again
        assert {number: one.undoes for number, one in here.deliveries.items() if one.undoes} == naive.undoes
        assert {release(number).key for number in naive.bad} == set(here.bad)
        assert (here.hold is not None) == naive.hold
        good = [
            number for number in naive.good if number not in naive.waived and naive.release_of[number] not in naive.bad
        ]
        assert (None if here.verified_good is None else here.verified_good.number) == (max(good) if good else None)

    @invariant()
    def nothing_ran_that_was_not_verified(self) -> None:
        """Whatever was touched has a verdict; what ended stays ended; and one delivery at most is not finished."""
        here = self.here()
        assert all(one.verdict is not None for one in here.deliveries.values() if one.touched)
        assert sum(one.is_unfinished for one in here.deliveries.values()) <= 1
        for one in here.deliveries.values():
            if one.phase in ENDS:
                assert one != here.current or one.phase is Phase.ROLLED_BACK


TestDeliveries = Deliveries.TestCase
TestDeliveries.settings = settings(stateful_step_count=25)
"""Every command in every order leaves the environment as a person would say that it is."""
