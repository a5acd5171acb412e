"""What carries the adapter: threads that hand back results, pauses, deadlines, and errors that are attest's own."""

from __future__ import annotations

import ast
import http.client
import random
import socket
import ssl
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import islice
from pathlib import Path

import pytest
import urllib3.exceptions
from urllib3 import HTTPConnectionPool, HTTPHeaderDict

import attest.adapters.registry
from attest.adapters.deadline import Deadline
from attest.adapters.registry import Access, RegistryStore
from attest.adapters.registry.crew import Crew, both
from attest.adapters.registry.retry import _asked, pauses, send_again
from attest.adapters.registry.transport import Answer, ConnectionBroken, ConnectionRefused, Request, Transport
from attest.adapters.registry.url import parse_url
from attest.core import oci
from attest.core.reference import LayoutImage, LayoutTag
from attest.errors import DeadlineExceeded, InternalError, StoreMisbehaved, Undecided, Unreachable
from tests.registry import faults
from tests.registry.conftest import impatient
from tests.registry.faults import FaultyRegistry

# ---- the crew


def test_crew_hands_back_every_result() -> None:
    """Each result reaches its own `done`, in the thread that runs, also of work that results gave rise to."""
    crew = Crew(width=4)
    results: list[int] = []
    threads: set[int] = set()

    def done(number: int) -> None:
        threads.add(threading.get_ident())
        results.append(number)
        if number < 50:
            crew.submit(lambda: number + 50, done, weight=1)

    for number in range(50):
        crew.submit(lambda number=number: number, done, weight=1)  # type: ignore[misc]
    crew.run()
    assert sorted(results) == list(range(100))
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize(("width", "budget", "expected"), [(3, 10**9, 3), (10, 25, 2), (10, 5, 1)])
def test_crew_is_bounded(width: int, budget: int, expected: int) -> None:
    """No more work is in hand than width and budget allow; work above the budget is done alone."""
    crew = Crew(width=width, budget=budget)
    lock = threading.Lock()
    running = most = 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.01)
        with lock:
            running -= 1

    for _ in range(12):
        crew.submit(work, lambda _: None, weight=10)
    crew.run()
    assert most == expected


def test_crew_does_not_wait_after_an_error() -> None:
    """The first error is raised at once, whatever else is still under way."""
    crew = Crew()
    never = threading.Event()
    crew.submit(lambda: never.wait(60), lambda _: None, weight=0)
    crew.submit(lambda: 1 // 0, lambda _: None, weight=0)
    with pytest.raises(ZeroDivisionError):
        crew.run()
    never.set()


def test_both() -> None:
    """Two results come back in their order."""
    assert both(lambda: 1, lambda: "x") == (1, "x")


# ---- pauses and deadlines


def test_pauses_grow_and_differ() -> None:
    """Pauses double up to a bound, and two processes do not pause in step."""
    random.seed(1)
    first, second = (list(islice(pauses(0.2), 12)) for _ in range(2))
    assert first != second
    for number, pause in enumerate(first):
        middle = min(0.2 * 2**number, 5.0)
        assert middle * 0.5 <= pause <= middle * 1.5


def answer(status: int, retry_after: str | None = None) -> Answer:
    """A response without a body."""
    headers = HTTPHeaderDict() if retry_after is None else HTTPHeaderDict({"Retry-After": retry_after})
    return Answer(status=status, headers=headers, body=b"")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("0", 0), ("7", 7), ("3600", 30), ("-1", 0), ("1e3", 0), ("\u0663", 0), ("soon", 0), ("", 0), ("9" * 5000, 0)],
)
def test_retry_after(value: str, expected: float) -> None:
    """`Retry-After` in seconds, at most those that are waited."""
    assert _asked(answer(429, value)) == expected


def test_retry_after_a_date() -> None:
    """`Retry-After` as a date means the time until then."""
    assert 5 < _asked(answer(429, format_datetime(datetime.now(UTC) + timedelta(seconds=10), usegmt=True))) <= 10
    assert _asked(answer(429, "Wed, 21 Oct 2015 07:28:00 GMT")) == 0
    assert _asked(answer(429, "Wed, 21 Oct 2015 07:28:00")) == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 501, 200, 304])
def test_what_is_not_repeated(status: int) -> None:
    """An answer that another try would not change is taken as it is."""
    answers = iter([answer(status)])
    assert send_again(lambda: next(answers), impatient()).status == status


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_is_repeated(status: int) -> None:
    """A passing refusal is tried again, and the next answer counts."""
    answers = iter([answer(status), answer(status), answer(200)])
    assert send_again(lambda: next(answers), impatient()).status == 200


def test_wishes_beyond_the_deadline() -> None:
    """Who asks to wait longer than the command has is not waited for."""
    calls = []

    def exchange() -> Answer:
        calls.append(1)
        return answer(503, "20")

    assert send_again(exchange, impatient(deadline=Deadline(5))).status == 503
    assert len(calls) == 1


@pytest.mark.parametrize("error", [Unreachable("no TLS"), StoreMisbehaved("x"), DeadlineExceeded("x")])
def test_errors_that_are_not_repeated(error: Undecided) -> None:
    """A timeout, a failed TLS handshake and a misbehaviour end it at once."""
    calls = []

    def exchange() -> Answer:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        send_again(exchange, impatient())
    assert len(calls) == 1


@pytest.mark.parametrize(("error", "least", "most"), [(ConnectionBroken("x"), 3, 3), (ConnectionRefused("x"), 2, 60)])
def test_errors_that_are_repeated(error: Undecided, least: int, most: int) -> None:
    """A broken connection is tried three times, a refused one for as long as the settings say."""
    calls = []

    def exchange() -> Answer:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        send_again(exchange, impatient(refused_for=0.05, backoff=0.002))
    assert least <= len(calls) <= most


def test_deadline() -> None:
    """A deadline tells what is left, and then that nothing is."""
    deadline = Deadline(60)
    assert 59 < deadline.remaining() <= 60
    assert deadline.allows(59)
    assert not deadline.allows(60)
    assert repr(deadline) == "Deadline(60)"
    with pytest.raises(DeadlineExceeded, match="0 s"):
        Deadline(0).remaining()


# ---- foreign exceptions

POOL = HTTPConnectionPool("localhost")
FOREIGN: list[Exception] = [
    urllib3.exceptions.HTTPError("x"),
    urllib3.exceptions.PoolError(POOL, "x"),
    urllib3.exceptions.MaxRetryError(POOL, "/"),
    urllib3.exceptions.HostChangedError(POOL, "/"),
    urllib3.exceptions.TimeoutStateError("x"),
    urllib3.exceptions.ReadTimeoutError(POOL, "/", "x"),
    urllib3.exceptions.ConnectTimeoutError("x"),
    urllib3.exceptions.NewConnectionError(POOL, "x"),  # type: ignore[arg-type]
    urllib3.exceptions.NameResolutionError("h", POOL, socket.gaierror()),  # type: ignore[arg-type]
    urllib3.exceptions.SSLError("x"),
    urllib3.exceptions.ProxyError("x", Exception()),
    urllib3.exceptions.DecodeError("x"),
    urllib3.exceptions.ProtocolError("x"),
    urllib3.exceptions.ProtocolError("x", TimeoutError()),
    urllib3.exceptions.LocationParseError("x"),
    urllib3.exceptions.ResponseError("x"),
    urllib3.exceptions.InvalidHeader("x"),
    urllib3.exceptions.ClosedPoolError(POOL, "x"),
    http.client.HTTPException("x"),
    http.client.BadStatusLine("x"),
    http.client.IncompleteRead(b""),
    http.client.LineTooLong("x"),
    http.client.InvalidURL("x"),
    ssl.SSLError("x"),
    ssl.SSLCertVerificationError("x"),
    ssl.SSLEOFError("x"),
    socket.gaierror("x"),
    TimeoutError("x"),
    ConnectionResetError("x"),
    BrokenPipeError("x"),
    OSError("x"),
    UnicodeError("x"),
    ValueError("x"),
]


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("moment", ["request", "body"])
def test_every_foreign_exception_is_mapped(
    faulty: FaultyRegistry, monkeypatch: pytest.MonkeyPatch, error: Exception, moment: str
) -> None:
    """Whatever urllib3 and the layers below it raise, before or within a body, becomes an error of attest."""

    def fail(*_: object, **__: object) -> object:
        raise error

    if moment == "request":
        monkeypatch.setattr(HTTPConnectionPool, "urlopen", fail)
    else:
        monkeypatch.setattr(urllib3.HTTPResponse, "read", fail)
    url = parse_url(f"{faulty.url}/v2/")
    transport = Transport(impatient(), registry=url.origin)
    with pytest.raises(Undecided) as raised:
        transport.exchange(Request(method="GET", url=url, what="it", limit=100))
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("size", [0, 100_000])
def test_reason_of_a_refusal(faulty: FaultyRegistry, size: int) -> None:
    """The code that a registry gives is told; a large body is not read for it."""
    image = faulty.add_image()
    faulty.misbehave(faults.status(403, body=b'{"errors":[{"code":"DENIED"}]}' + b" " * size))
    with pytest.raises(Undecided, match="403 DENIED" if size == 0 else "403"):
        RegistryStore(impatient()).describe(image)


# ---- what is loaded

SOURCES = Path(attest.adapters.registry.__file__).parent
READING = {file.stem for file in SOURCES.glob("*.py")} - {"oras_push", "publishing"}
HEAVY = {"requests", "oras", "jsonschema", "pydantic", "rich", "asyncio", "cryptography"}


def test_reading_loads_no_more_than_it_needs() -> None:
    """A fresh process that reads has loaded nothing of what only pushing, policies or terminals need."""
    script = "import sys, attest.adapters.registry; print(*{name.partition('.')[0] for name in sys.modules})"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "urllib3" in ran.stdout.split()
    assert not HEAVY & set(ran.stdout.split())


def test_pushing_is_loaded_meanwhile() -> None:
    """A store that is to push loads oras without being asked, and one that reads does not."""
    script = (
        "import sys, threading; from tests.registry.conftest import impatient;"
        "from attest.adapters.registry import *; RegistryStore(impatient(access=Access.{}));"
        "[thread.join() for thread in threading.enumerate() if thread.daemon]; print('oras' in sys.modules)"
    )
    for access, expected in ((Access.PULL, "False"), (Access.PUSH, "True")):
        command = [sys.executable, "-c", script.format(access.name)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == expected


def test_only_two_modules_know_of_pushing() -> None:
    """No module of the reading side imports requests or oras, or the modules that do."""
    for stem in READING:
        tree = ast.parse((SOURCES / f"{stem}.py").read_text())
        imported = {
            name
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
        }
        assert not {
            name for name in imported if name.split(".")[0] in HEAVY or name.endswith(("oras_push", "publishing"))
        }


def test_layouts_are_not_ours() -> None:
    """A reference to an image layout is a defect of the caller, and said to be one."""
    store = RegistryStore(impatient())
    with pytest.raises(InternalError):
        store.describe(LayoutImage(path="x", digest=oci.EMPTY_DIGEST))
    with pytest.raises(InternalError):
        store.resolve(LayoutTag(path="x", tag=None))
