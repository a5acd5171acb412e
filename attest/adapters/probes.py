"""Whether services are well: looked at by HTTP, by a command in their containers, or by how they ended.

Podman's own health checks need systemd's timers and Docker's need a shell in the image, so services are looked at from
outside. Nothing of an answer but its status counts, and no proxy of the environment stands between.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Final, assert_never
from urllib.parse import SplitResult, urljoin, urlsplit

from attest.core.environment.definition import EnvironmentService, ExecProbe, HttpProbe, OneShot
from attest.core.environment.health import NOT_LOOKED, Health, Look, ProbeResult, is_settled, timed_out
from attest.core.environment.targets import Observed, RunState
from attest.errors import AttestError, DocumentInvalid
from attest.targetports import LookInside

_REDIRECTS: Final = 5
_REDIRECTING: Final = frozenset({301, 302, 303, 307, 308})
_PORTS: Final = {"http": 80, "https": 443}
_POLL: Final = 1.0
"""Seconds between two looks at whether a one-shot service has ended."""


class Probes:
    """`attest.targetports.Prober` for the services of one environment."""

    def __init__(
        self,
        services: Mapping[str, EnvironmentService],
        *,
        observe: Callable[[], Mapping[str, Observed]],
        look_inside: LookInside | None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is looked at yet.

        Args:
            services: Those of the environment.
            observe: What its target sees; one-shot services are looked at by it.
            look_inside: Runs commands in containers; None where the target has no way into them.
            now: Seconds on a clock that never goes back.
            sleep: Waits so many seconds.

        Raises:
            DocumentInvalid: the authorities that a probe names cannot be read.
        """
        self._services = services
        self._observe = observe
        self._look_inside = look_inside
        self._now = now
        self._sleep = sleep
        self._trust = {
            name: _context(service.health.ca_file)
            for name, service in services.items()
            if isinstance(service.health, HttpProbe)
        }

    def settle(self, service: str) -> ProbeResult:
        """Look until there were enough successes in a row, or the time is over; the last look has all of its own."""
        health = self._services[service].health
        if isinstance(health, OneShot):
            return self._ended(service, health)
        result, end = NOT_LOOKED, self._now() + health.rule.timeout.total_seconds()
        while self._now() < end:
            result = result.then(self._look(service, health))
            if is_settled(result, health.rule):
                return result
            self._sleep(health.rule.interval.total_seconds())
        return timed_out(result, health.rule)

    def soak(self, service: str) -> ProbeResult:
        """Look for as long as the service has to stay well; the first look that finds it unhealthy ends it."""
        found = self._services[service]
        health, seconds = found.health, found.soak.total_seconds()
        if isinstance(health, OneShot) or not seconds:
            return replace(NOT_LOOKED, health=Health.HEALTHY, detail="there is no soak")
        result, end = NOT_LOOKED, self._now() + seconds
        while True:
            result = result.then(self._look(service, health))
            if result.health is Health.UNHEALTHY or self._now() >= end:
                return result
            self._sleep(min(health.rule.interval.total_seconds(), max(0.0, end - self._now())))

    def _look(self, service: str, health: HttpProbe | ExecProbe) -> Look:
        seconds = health.rule.patience.total_seconds()
        match health:
            case HttpProbe():
                return look_at(health.url, trust=self._trust[service], seconds=seconds)
            case ExecProbe():
                if self._look_inside is None:
                    return Look(health=Health.ERROR, detail="there is no way into its containers")
                return self._look_inside(service, health.argv, seconds=seconds)
            case other:
                assert_never(other)

    def _ended(self, service: str, oneshot: OneShot) -> ProbeResult:
        """Wait until every container of a one-shot service has ended; one that failed decides at once."""
        result, end = NOT_LOOKED, self._now() + oneshot.timeout.total_seconds()
        while True:
            look = self._how_it_ended(service)
            result = result.then(look or _STILL)
            if look is not None and look.health is not Health.ERROR:
                return result
            if self._now() >= end:
                seconds = f"{oneshot.timeout.total_seconds():g} s"
                return replace(result, detail=f"it did not end within {seconds}; at last: {result.detail}")
            self._sleep(_POLL)

    def _how_it_ended(self, service: str) -> Look | None:
        """None while it has not ended."""
        try:
            observed = self._observe()[service]
        except AttestError as error:
            return Look(health=Health.ERROR, detail=error.message)
        for one in observed.instances:
            if one.failed:
                return Look(health=Health.UNHEALTHY, detail=f"{one.name} ended with {one.exit_code}")
        if observed.state is RunState.EXITED and all(one.state is RunState.EXITED for one in observed.instances):
            return Look(health=Health.HEALTHY, detail=f"{service} ended with 0")
        if observed.state is RunState.SCHEDULED:
            return Look(health=Health.HEALTHY, detail=f"{service} is scheduled")
        if observed.state in (RunState.UNKNOWN, RunState.ABSENT):
            return Look(health=Health.ERROR, detail=f"{service} is {observed.state}")
        return None


_STILL: Final = Look(health=Health.UNHEALTHY, detail="it still runs, or waits to")


def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        file = ca_file or "the system's authorities"
        raise DocumentInvalid(f"no certificates of authorities can be read: {error}", file=file) from error


def look_at(url: str, *, trust: ssl.SSLContext, seconds: float) -> Look:
    """Ask an address once, and for a redirect to the same origin a few times.

    A service that answers with anything but 200 to 299, slowly, or not at all although its machine is there, is
    unhealthy. Where the machine cannot be found or reached, or is not who it says it is, nobody can tell.

    Args:
        url: http or https.
        trust: Whose certificates count.
        seconds: For all of it.
    """
    end, here = time.monotonic() + seconds, urlsplit(url)
    for _ in range(_REDIRECTS + 1):
        found = _ask(here, trust=trust, seconds=max(0.001, end - time.monotonic()), allowed=seconds)
        if isinstance(found, Look):
            return found
        status, location = found
        if status not in _REDIRECTING or not location:
            healthy = 200 <= status <= 299  # RFC 9110, 15.3
            said = f"{here.geturl()} answered {status}"
            return Look(health=Health.HEALTHY if healthy else Health.UNHEALTHY, detail=said)
        there = _joined(here, location)
        if there is None or _origin(there) != _origin(here):
            problem = f"{here.geturl()} answered {status} and leads to {location[:200]}, another origin"
            return Look(health=Health.UNHEALTHY, detail=problem)
        here = there
    return Look(health=Health.UNHEALTHY, detail=f"{url} redirects more than {_REDIRECTS} times")


def _joined(here: SplitResult, location: str) -> SplitResult | None:
    try:
        there = urlsplit(urljoin(here.geturl(), location))
        return there._replace(fragment="") if there.hostname and there.port != 0 else None
    except ValueError:
        return None


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _ask(
    address: SplitResult, *, trust: ssl.SSLContext, seconds: float, allowed: float
) -> Look | tuple[int, str | None]:
    """The status and where it leads; or what it means that there is none."""
    where = address.geturl()
    host = address.hostname or ""
    connection = (
        http.client.HTTPSConnection(host, address.port, timeout=seconds, context=trust)
        if address.scheme == "https"
        else http.client.HTTPConnection(host, address.port, timeout=seconds)
    )
    over = threading.Event()
    reached = False
    # A timeout of the socket starts anew with each byte, and a service may send one at a time.
    timer = threading.Timer(seconds, _cut, (connection, over))
    timer.daemon = True
    timer.start()
    try:
        connection.connect()
        reached = True
        target = (address.path or "/") + (f"?{address.query}" if address.query else "")
        connection.request("GET", target, headers={"User-Agent": "attest", "Connection": "close", "Accept": "*/*"})
        answer = connection.getresponse()
        if over.is_set():  # headers that were cut off look whole
            raise TimeoutError
        return answer.status, answer.headers.get("Location")
    except (OSError, http.client.HTTPException, ValueError) as error:
        reached = reached or connection.sock is not None  # what listened may hang in the TLS handshake
        return _meaning(error, where, reached=reached, over=over.is_set(), allowed=allowed)
    finally:
        timer.cancel()
        connection.close()


def _cut(connection: http.client.HTTPConnection, over: threading.Event) -> None:
    over.set()
    with suppress(OSError, AttributeError):  # it may not be connected yet, or not any more
        connection.sock.shutdown(socket.SHUT_RDWR)


def _meaning(error: Exception, where: str, *, reached: bool, over: bool, allowed: float) -> Look:
    late = over or isinstance(error, TimeoutError)
    if late and reached:
        return Look(health=Health.UNHEALTHY, detail=f"{where} did not answer within {allowed:g} s")
    if isinstance(error, ConnectionRefusedError):
        return Look(health=Health.UNHEALTHY, detail=f"nothing listens at {where}")
    if late:
        return Look(health=Health.ERROR, detail=f"no connection to {where} within {allowed:g} s")
    if isinstance(error, ssl.SSLError):
        return Look(health=Health.ERROR, detail=f"no TLS with {where}: {error.reason or error}")
    if isinstance(error, socket.gaierror):
        return Look(health=Health.ERROR, detail=f"the host of {where} cannot be found: {error.strerror}")
    if isinstance(error, ConnectionError | http.client.HTTPException):
        return Look(health=Health.UNHEALTHY, detail=f"{where} broke off: {type(error).__name__}")
    said = error.strerror if isinstance(error, OSError) else None
    return Look(health=Health.ERROR, detail=f"{where} cannot be reached: {said or error}")
