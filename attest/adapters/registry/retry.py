"""When a request is sent again: after a refused connection, a broken one, 429 and the passing kinds of 5xx.

All that is sent here may be sent twice: reads, and writes of content by its digest or under a tag of its own.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import Final, TypeVar

from attest.adapters.registry.settings import RegistrySettings
from attest.adapters.registry.transport import Answer, ConnectionBroken, ConnectionRefused
from attest.errors import NotFound, StoreMisbehaved

T = TypeVar("T")

_PASSING: Final = frozenset((429, 500, 502, 503, 504))
_TRIES: Final = 6
_TRIES_BROKEN: Final = 3
_READS: Final = 4
_LONGEST: Final = 5.0
_LONGEST_ASKED: Final = 30.0


def pauses(first: float) -> Iterator[float]:
    """Seconds to wait before each next try: doubling up to a bound, and never the same for two processes."""
    pause = first
    while True:
        yield pause * random.uniform(0.5, 1.5)  # noqa: S311  (it spreads load and keeps no secret)
        pause = min(2 * pause, max(_LONGEST, first))


def send_again(exchange: Callable[[], Answer], settings: RegistrySettings) -> Answer:
    """The answer of an exchange that is repeated while there is hope and time.

    A last 429 or 5xx is returned as it is.

    Raises:
        AttestError: what the last try raised.
    """
    started = time.monotonic()
    waits = pauses(settings.backoff)
    tried = 0
    while True:
        tried += 1
        wait = next(waits)
        try:
            answer = exchange()
            if answer.status not in _PASSING or tried == _TRIES:
                return answer
            wait = max(wait, _asked(answer))
            if not settings.deadline.allows(wait):
                return answer
        except ConnectionRefused:
            if time.monotonic() - started + wait > settings.refused_for or not settings.deadline.allows(wait):
                raise
        except ConnectionBroken:
            if tried == _TRIES_BROKEN or not settings.deadline.allows(wait):
                raise
        time.sleep(wait)


def read_again(read: Callable[[], T], settings: RegistrySettings) -> T:
    """The result of reading what somebody may be writing at this moment.

    Gitea serves a manifest without its type, or not at all, while its tag is written. So what is wrong or missing
    is looked at a few times before that is believed.

    Raises:
        AttestError: what the last try raised.
    """
    for pause in islice(pauses(settings.backoff), _READS - 1):
        try:
            return read()
        except (NotFound, StoreMisbehaved):
            if not settings.deadline.allows(pause):
                raise
            time.sleep(pause)
    return read()


def _asked(answer: Answer) -> float:
    """Seconds that `Retry-After` asks for (RFC 9110, section 10.2.3), at most those we are willing to wait."""
    value = answer.headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit() and len(value) <= 9:
        return min(float(value), _LONGEST_ASKED)
    try:
        when = parsedate_to_datetime(value)
        return min(max((when - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_ASKED)
    except (ValueError, TypeError, OverflowError):
        return 0.0
