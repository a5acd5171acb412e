"""Probes: real HTTP and TLS servers, good and bad, and what each of them says about a release."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from attest.adapters.probes import Probes, look_at
from attest.core.environment.definition import EnvironmentService, ExecProbe, HttpProbe, OneShot
from attest.core.environment.health import Health, Look, ProbeRule
from attest.core.environment.targets import Instance, Observed, RunState
from attest.core.reference import digest_of, parse_repository
from attest.errors import DocumentInvalid, NotObserved
from tests.faulty_service import (
    Answer,
    Asked,
    FaultyService,
    Handler,
    breaks_off,
    drips,
    drips_headers,
    endless,
    no_http,
    says,
    silent,
)
from tests.parts.ca import issue_server, make_authority

GOOD, BAD, BLIND = Health.HEALTHY, Health.UNHEALTHY, Health.ERROR
RULE = ProbeRule(
    successes=3, timeout=timedelta(seconds=60), interval=timedelta(seconds=1), patience=timedelta(seconds=20)
)


@pytest.fixture
def service() -> Iterator[FaultyService]:
    """A service that answers as a test wants it to."""
    with FaultyService(answer=says(200, b"up")).running() as running:
        yield running


def look(url: str, *, seconds: float = 20) -> Look:
    return look_at(url, trust=ssl.create_default_context(), seconds=seconds)


# ---- one look


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_an_answer_from_200_to_299_is_healthy(service: FaultyService, status: int) -> None:
    """Whatever its content, which nobody reads."""
    service.answer = says(status, b"" if status == 204 else b"down")
    assert look(f"{service.url}/health?deep=1") == Look(
        health=GOOD, detail=f"{service.url}/health?deep=1 answered {status}"
    )
    (asked,) = service.asked
    assert (asked.method, asked.target, asked.headers["user-agent"]) == ("GET", "/health?deep=1", "attest")


@pytest.mark.parametrize("status", [300, 304, 400, 401, 404, 429, 500, 503])
def test_any_other_answer_is_unhealthy(service: FaultyService, status: int) -> None:
    """A service that answers is there: what it answers is the release's doing."""
    service.answer = says(status, b"")
    assert look(service.url) == Look(health=BAD, detail=f"{service.url} answered {status}")


def leads_to(location: str, *, status: int = 302) -> Answer:
    """A redirect from `/`, and 200 from everywhere else."""

    def answer(handler: Handler, asked: Asked) -> None:
        if asked.target == "/":
            handler.send(status, b"", Location=location)
        else:
            handler.send(200, b"")

    return answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/login", "login#top", "{url}/login"])
def test_a_redirect_within_the_service_is_followed(service: FaultyService, status: int, location: str) -> None:
    """To the same scheme, host and port, absolutely or relatively."""
    service.answer = leads_to(location.format(url=service.url), status=status)
    assert look(f"{service.url}/") == Look(health=GOOD, detail=f"{service.url}/login answered 200")


@pytest.mark.parametrize(
    "location",
    [
        *("http://127.0.0.1:9/login", "https://{host}/login", "http://localhost:{port}/login", "//evil.example.org/"),
        *("file:///etc/passwd", "http://[::1/", "http://127.0.0.1:0/"),
    ],
)
def test_a_redirect_to_elsewhere_is_not_followed(service: FaultyService, location: str) -> None:
    """Another service that is well says nothing about this one."""
    host = service.url.removeprefix("http://")
    service.answer = leads_to(location.format(host=host, port=host.rpartition(":")[2]))
    found = look(f"{service.url}/")
    assert found.health is BAD
    assert "another origin" in found.detail
    assert len(service.asked) == 1


def test_redirects_that_never_end_are_unhealthy(service: FaultyService) -> None:
    """A circle is followed a few times; a redirect to nowhere is an answer like any other."""
    service.answer = leads_to("/")
    found = look(f"{service.url}/")
    assert (found.health, found.detail) == (BAD, f"{service.url}/ redirects more than 5 times")
    assert len(service.asked) == 6
    service.answer = says(302, b"")
    assert look(f"{service.url}/").detail == f"{service.url}/ answered 302"


@pytest.mark.parametrize("answer", [silent, drips_headers])
def test_an_answer_that_does_not_come_in_time_is_unhealthy(service: FaultyService, answer: Answer) -> None:
    """A service that accepts and does not answer hangs, also where it sends a byte now and then."""
    service.answer = answer
    assert look(service.url, seconds=1) == Look(health=BAD, detail=f"{service.url} did not answer within 1 s")


@pytest.mark.parametrize("answer", [drips, endless, breaks_off])
def test_the_body_is_not_waited_for(service: FaultyService, answer: Answer) -> None:
    """The status says it; what comes after it may be slow, endless or cut short."""
    service.answer = answer
    assert look(service.url).health is GOOD


def test_another_protocol_is_unhealthy(service: FaultyService) -> None:
    """What answers, and not in HTTP, is not what was to be deployed."""
    service.answer = no_http
    assert look(service.url) == Look(health=BAD, detail=f"{service.url} broke off: BadStatusLine")


def hangs_up(handler: Handler, _: Asked) -> None:
    """The end of the connection in place of an answer."""
    handler.close_connection = True


def test_a_service_that_hangs_up_is_unhealthy(service: FaultyService) -> None:
    """It was there, and crashed over the request."""
    service.answer = hangs_up
    assert look(service.url) == Look(health=BAD, detail=f"{service.url} broke off: RemoteDisconnected")


def test_a_port_that_nothing_listens_at_is_unhealthy() -> None:
    """The machine is there, and says that the service is not."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        assert look(url) == Look(health=BAD, detail=f"nothing listens at {url}")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://no-such-host.invalid/", "the host of http://no-such-host.invalid/ cannot be found"),
        ("http://255.255.255.255/", "http://255.255.255.255/ cannot be reached"),
        (f"http://{'a' * 64}.example.org/", "cannot be"),
    ],
)
def test_a_machine_that_cannot_be_reached_says_nothing_about_the_release(url: str, words: str) -> None:
    """Names that nobody knows and networks that are not there are no reason to roll back."""
    found = look(url)
    assert found.health is BLIND
    assert words in found.detail


def test_a_connection_that_is_never_made_says_nothing_about_the_release() -> None:
    """A port whose queue is full answers neither yes nor no."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        found = look(url, seconds=1)
    assert found == Look(health=BLIND, detail=f"no connection to {url} within 1 s")


def test_no_proxy_stands_between(service: FaultyService, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked is the service, whatever the environment says."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert look(service.url).health is GOOD


# ---- TLS


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[FaultyService]:
    """A service over TLS, with a certificate of an authority that no system knows (`attest-tests.crt`)."""
    server = issue_server(make_authority(tmp_path), tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate_file, server.key_file)
    with FaultyService(answer=says(200, b"up"), tls=context).running() as running:
        yield running


def probes(
    health: HttpProbe | ExecProbe | OneShot, *, soak: float = 0, clock: Clock | None = None, **more: object
) -> Probes:
    """Probes of one service, `backend`, by a clock that only sleeping moves."""
    backend = EnvironmentService(
        name="backend",
        repository=parse_repository("registry.example.org/plex/backend"),
        health=health,
        soak=timedelta(seconds=soak),
    )
    clock = clock or Clock()
    options = {"observe": dict, "look_inside": None, **more}
    return Probes({"backend": backend}, now=clock.now, sleep=clock.sleep, **options)  # type: ignore[arg-type]


@dataclass
class Clock:
    """Seconds that pass when somebody sleeps, and while something is looked at."""

    seconds: float = 0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


def test_a_certificate_of_the_authorities_that_are_named_counts(secure: FaultyService, tmp_path: Path) -> None:
    """With `ca-file` the service is who it says; without it nobody can tell, and it is no reason to roll back."""
    named = HttpProbe(url=secure.url, ca_file=str(tmp_path / "attest-tests.crt"), rule=RULE)
    assert probes(named).settle("backend").health is GOOD
    found = look(secure.url)
    assert (found.health, found.detail) == (BLIND, f"no TLS with {secure.url}: CERTIFICATE_VERIFY_FAILED")


def test_a_handshake_that_hangs_is_unhealthy() -> None:
    """What accepts a connection and then does nothing hangs, before TLS as after it."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(8)
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        assert look(url, seconds=1) == Look(health=BAD, detail=f"{url} did not answer within 1 s")


def test_authorities_that_cannot_be_read_are_an_error_at_once(tmp_path: Path) -> None:
    """Before anything is deployed it is said that a probe could never be made."""
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(DocumentInvalid, match="no certificates of authorities can be read"):
            probes(HttpProbe(url="https://127.0.0.1/", ca_file=str(tmp_path / name), rule=RULE))


# ---- many looks


def answers(*looks: Health, clock: Clock | None = None, seconds: float = 0) -> Callable[..., Look]:
    """Looks inside that find this, one after the other; the last one again and again."""
    left = list(looks)

    def look_inside(service: str, argv: Sequence[str], *, seconds: float) -> Look:
        assert (service, argv, seconds) == ("backend", ("check",), RULE.patience.total_seconds())
        if clock is not None:
            clock.seconds += taken
        health = left.pop(0) if len(left) > 1 else left[0]
        return Look(health=health, detail=f"look {health}")

    taken = seconds
    return look_inside


CHECK = ExecProbe(argv=("check",), rule=RULE)


def test_it_takes_successes_in_a_row() -> None:
    """A failure, or a look that could not be made, starts the count anew; there is a pause after each look."""
    clock = Clock()
    result = probes(CHECK, clock=clock, look_inside=answers(BAD, GOOD, GOOD, BLIND, GOOD)).settle("backend")
    assert (result.health, result.looks, result.streak) == (GOOD, 7, 3)
    assert clock.slept == [1.0] * 6


@pytest.mark.parametrize("health", [BAD, BLIND])
def test_a_service_that_does_not_get_well_is_what_was_seen_last(health: Health) -> None:
    """When the time is over, a bad release and one that nobody could look at are told apart."""
    clock = Clock()
    result = probes(CHECK, clock=clock, look_inside=answers(GOOD, GOOD, health)).settle("backend")
    assert (result.health, result.looks, clock.seconds) == (health, 60, 60.0)
    assert result.detail == f"not healthy within 60 s; at last: look {health}"


def test_a_look_has_all_of_its_time() -> None:
    """The last look may begin just before the time is over, and still decides with its full patience."""
    clock = Clock()
    result = probes(CHECK, clock=clock, look_inside=answers(GOOD, clock=clock, seconds=29)).settle("backend")
    assert (result.health, clock.seconds) == (BLIND, 60.0)
    assert result.detail == "2 of 3 successes in a row within 60 s"
    late = Clock()
    result = probes(CHECK, clock=late, look_inside=answers(GOOD, clock=late, seconds=28)).settle("backend")
    assert (result.health, late.seconds) == (GOOD, 86.0)


def test_a_soak_ends_with_the_first_failure() -> None:
    """A service that was well and is not any more has failed, at once."""
    clock = Clock()
    look_inside = answers(GOOD, BLIND, GOOD, BAD, GOOD)
    result = probes(CHECK, soak=30, clock=clock, look_inside=look_inside).soak("backend")
    assert (result.health, result.looks, clock.seconds) == (BAD, 4, 3.0)


@pytest.mark.parametrize(("looks", "health"), [([GOOD], GOOD), ([BLIND, GOOD], GOOD), ([GOOD, GOOD, BLIND], BLIND)])
def test_a_soak_lasts_its_time(looks: list[Health], health: Health) -> None:
    """Without a failure it goes on to its end, where a last look is taken; if that one cannot be made, nobody knows."""
    clock = Clock()
    rule = replace(RULE, interval=timedelta(seconds=4))
    found = probes(replace(CHECK, rule=rule), soak=10, clock=clock, look_inside=answers(*looks)).soak("backend")
    assert (found.health, clock.slept) == (health, [4.0, 4.0, 2.0])


def test_without_a_soak_nothing_is_looked_at() -> None:
    """A service without a soak, and a one-shot one, have nothing to stay."""
    for health in (CHECK, OneShot(timeout=timedelta(seconds=5))):
        result = probes(health, look_inside=answers(BAD)).soak("backend")
        assert (result.health, result.looks) == (GOOD, 0)


def test_without_a_way_into_containers_nobody_can_tell() -> None:
    """An exec probe where the target gives no way in is no healthy service."""
    assert probes(CHECK).settle("backend").health is BLIND


# ---- one-shot services


def ended(*states: tuple[RunState, int | None]) -> Observed:
    """Instances of a one-shot service."""
    instances = tuple(
        Instance(name=f"b-{number}", state=state, digests=frozenset({digest_of(b"a")}), exit_code=code, ends=True)
        for number, (state, code) in enumerate(states)
    )
    return Observed(service="backend", instances=instances)


def sees(*observed: Observed | Exception) -> Callable[[], Mapping[str, Observed]]:
    """A target that sees this, one after the other; the last one again and again."""
    left = list(observed)

    def observe() -> Mapping[str, Observed]:
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return {"backend": found}

    return observe


RUNNING = ended((RunState.RUNNING, None))
DONE = ended((RunState.EXITED, 0))
ONESHOT = OneShot(timeout=timedelta(seconds=5))
LATE = "it did not end within 5 s; at last: "
UNSEEN = NotObserved("nobody knows")


@pytest.mark.parametrize(
    ("observed", "health", "detail"),
    [
        ([DONE], GOOD, "backend ended with 0"),
        ([RUNNING, ended((RunState.WAITING, None)), DONE], GOOD, "backend ended with 0"),
        ([ended((RunState.SCHEDULED, None))], GOOD, "backend is scheduled"),
        ([RUNNING, ended((RunState.EXITED, 0), (RunState.EXITED, 3))], BAD, "b-1 ended with 3"),
        ([ended((RunState.RUNNING, None), (RunState.EXITED, 3))], BAD, "b-1 ended with 3"),
        ([RUNNING], BAD, LATE + "it still runs, or waits to"),
        ([ended((RunState.EXITED, 0), (RunState.RUNNING, None))], BAD, LATE + "it still runs, or waits to"),
        ([UNSEEN, DONE], GOOD, "backend ended with 0"),
        ([UNSEEN], BLIND, LATE + "nobody knows"),
        ([ended()], BLIND, LATE + "backend is absent"),
        ([ended((RunState.UNKNOWN, None))], BLIND, LATE + "backend is unknown"),
    ],
)  # fmt: skip
def test_a_one_shot_service_is_well_when_it_has_ended_with_0(
    observed: list[Observed | Exception], health: Health, detail: str
) -> None:
    """All of it: one that failed is a bad release, one that goes on too, and one that nobody sees is neither."""
    result = probes(ONESHOT, observe=sees(*observed)).settle("backend")
    assert (result.health, result.detail) == (health, detail)
