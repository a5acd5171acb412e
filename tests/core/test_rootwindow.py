"""What of a trusted root may be asked at which time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.certificate import NotCertified, Uncertified
from attest.core.trust.window import Authority, Log, Selection, Window, select

AT = datetime(2026, 7, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ALWAYS = Window()
HOLDS = Window(start=AT - DAY, end=AT + DAY)
ENDED = Window(start=AT - 3 * DAY, end=AT - DAY)
LATER = Window(start=AT + DAY)
LOG, CT = b"log" * 11, b"ct" * 16


def authority(window: Window, *chain: Window, name: str = "ca") -> Authority:
    return Authority(name=name, window=window, chain=chain)


def log(log_id: bytes, window: Window, *more: bytes) -> Log:
    return Log(name=f"log {log_id[:3].decode()}", ids=frozenset({log_id, *more}), window=window)


def chosen(
    *,
    authorities: tuple[Authority, ...] = (authority(HOLDS, HOLDS, HOLDS),),
    logs: tuple[Log, ...] = (log(LOG, HOLDS),),
    ct_logs: tuple[Log, ...] = (log(CT, HOLDS),),
    times: tuple[datetime, ...] = (AT,),
) -> Selection:
    return select(authorities=authorities, logs=logs, ct_logs=ct_logs, log_id=LOG, ct_log_id=CT, times=times)


@given(st.datetimes(), st.datetimes(), st.datetimes())
def test_a_window_is_closed(start: datetime, moment: datetime, end: datetime) -> None:
    """A window holds its ends and what lies between them, and nothing else."""
    start, moment, end = (one.replace(tzinfo=UTC) for one in (start, moment, end))
    assert Window(start=start, end=end).holds(moment) == (start <= moment <= end)
    assert Window(start=start).holds(moment) == (start <= moment)
    assert Window(end=end).holds(moment) == (moment <= end)
    assert ALWAYS.holds(moment)
    assert Window(start=moment, end=moment).holds(moment)


def test_a_window_says_what_it_is() -> None:
    """The words of a window name the bounds that it has."""
    assert str(HOLDS) == "from 2026-06-30T12:00:00.000000Z until 2026-07-02T12:00:00.000000Z"
    assert str(LATER) == "from 2026-07-02T12:00:00.000000Z"
    assert str(Window(end=AT)) == "until 2026-07-01T12:00:00.000000Z"
    assert str(ALWAYS) == "always"


@pytest.mark.parametrize("window", [ENDED, LATER])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_an_authority_needs_its_window_and_its_chain(position: int, window: Window) -> None:
    """An authority whose window or any of whose certificates ended, or begins later, is not asked."""
    windows = [HOLDS, HOLDS, HOLDS]
    windows[position] = window
    spoiled = authority(windows[0], *windows[1:])
    with pytest.raises(NotCertified, match=r"no certificate authority .* 2026-07-01T12:00:00.000000Z") as caught:
        chosen(authorities=(spoiled,))
    assert caught.value.code is Uncertified.ROOT_WINDOW
    assert chosen(authorities=(spoiled, authority(HOLDS, HOLDS))).authorities == (1,)


def test_no_authority_is_refused() -> None:
    """A root without authorities certifies nothing."""
    with pytest.raises(NotCertified) as caught:
        chosen(authorities=())
    assert caught.value.code is Uncertified.ROOT_WINDOW


def test_all_that_is_valid_is_chosen() -> None:
    """Several valid authorities are all asked, in their order; of the logs only the one named, by any of its ids."""
    selection = chosen(
        authorities=(authority(HOLDS), authority(ENDED), authority(ALWAYS)),
        logs=(log(b"another", HOLDS), log(b"second", HOLDS, LOG), log(LOG, ENDED)),
        ct_logs=(log(LOG, HOLDS), log(CT, HOLDS), log(CT, ALWAYS)),
    )
    assert selection == Selection(authorities=(0, 2), logs=(1,), ct_logs=(1, 2))


@pytest.mark.parametrize("window", [ENDED, LATER])
def test_a_log_outside_its_window_is_refused(window: Window) -> None:
    """Each of the two logs has to be valid at the time, and the refusal names it and its window."""
    with pytest.raises(NotCertified, match=r"^the transparency log was not valid .* log log from") as caught:
        chosen(logs=(log(LOG, window),))
    assert caught.value.code is Uncertified.ROOT_WINDOW
    with pytest.raises(NotCertified, match=r"^the certificate transparency log was not valid .* ct") as caught:
        chosen(ct_logs=(log(CT, window),))
    assert caught.value.code is Uncertified.ROOT_WINDOW


def test_an_unknown_log_is_refused() -> None:
    """A log that the root does not name is never replaced by one that it does."""
    with pytest.raises(NotCertified, match=r"^the transparency log 6c6f676c6f676c6f\.\.\. is none") as caught:
        chosen(logs=(log(CT, HOLDS),))
    assert caught.value.code is Uncertified.LOG_UNKNOWN
    with pytest.raises(NotCertified, match=r"^the certificate transparency log .* is none") as caught:
        chosen(ct_logs=(log(LOG, HOLDS),))
    assert caught.value.code is Uncertified.SCT_INVALID


@pytest.mark.parametrize("other", [AT - 2 * DAY, AT + 2 * DAY])
def test_every_time_has_to_be_held(other: datetime) -> None:
    """Of several times each has to lie in every window, whichever comes first."""
    for times in ((AT, other), (other, AT)):
        for refused in (
            {"authorities": (authority(HOLDS),), "logs": (log(LOG, ALWAYS),), "ct_logs": (log(CT, ALWAYS),)},
            {"authorities": (authority(ALWAYS),), "logs": (log(LOG, HOLDS),), "ct_logs": (log(CT, ALWAYS),)},
            {"authorities": (authority(ALWAYS),), "logs": (log(LOG, ALWAYS),), "ct_logs": (log(CT, HOLDS),)},
        ):
            with pytest.raises(NotCertified) as caught:
                chosen(**refused, times=times)  # type: ignore[arg-type]
            assert caught.value.code is Uncertified.ROOT_WINDOW
    two = (AT - DAY, AT + DAY)
    assert chosen(times=two) == Selection(authorities=(0,), logs=(0,), ct_logs=(0,))
