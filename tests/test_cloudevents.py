"""Events to files and endpoints: each once, whatever breaks, and nowhere but where they may go."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attest.adapters.cloudevents import (
    Cursor,
    Endpoint,
    EventEndpoint,
    EventFile,
    check_endpoint,
    encode,
    read_token,
)
from attest.adapters.deadline import Deadline
from attest.core.delivery.events import CloudEvent, Position, events
from attest.core.delivery.fold import fold
from attest.errors import AttestError, DeadlineExceeded, DocumentInvalid, LedgerError, ServiceFailed, UsageError
from attest.ops.delivery.tell import Told, tell
from tests.core.make import digest
from tests.core.make_delivery import ENVIRONMENT, Book
from tests.core.make_story import story
from tests.parts.process import free_port

BOOK = story()
SOURCE = "/here"


@functools.cache
def told(book: Book = BOOK) -> tuple[CloudEvent, ...]:
    """The events of a ledger, which stays as it is."""
    return events(fold(book), ENVIRONMENT, source=SOURCE)


def run(folder: Path, sink: Any, book: Book = BOOK, *, destination: str = "there", source: str = SOURCE) -> Told:
    """Tell what was not told, with a cursor in the folder."""
    cursor = Cursor(path=str(folder / "cursor"), destination=destination, source=source)
    return tell(book.records, told(book), cursor=cursor, sink=sink)


def ids(file: Path) -> list[str]:
    """The events in a file."""
    return [json.loads(line)["id"] for line in file.read_bytes().splitlines()]


class Mortal:
    """A sink that breaks after so many calls."""

    def __init__(self, sink: Any, calls: int, *, after: bool) -> None:
        self.sink, self.calls, self.after = sink, calls, after

    def tell(self, found: Sequence[CloudEvent]) -> int:
        """Pass on, until it is over: before it was passed on or after."""
        self.calls -= 1
        if self.calls < 0 and not self.after:
            raise KeyboardInterrupt
        count: int = self.sink.tell(found)
        if self.calls < 0:
            raise KeyboardInterrupt
        return count


# ---- files


def test_every_event_is_told_once(tmp_path: Path) -> None:
    """The first time all, then nothing, and after more records those."""
    file = tmp_path / "events.jsonl"
    shorter = Book()
    shorter.records = BOOK.records[:20]
    before = len(told(shorter))
    assert run(tmp_path, EventFile(str(file)), shorter) == Told(new=before, before=0)
    assert run(tmp_path, EventFile(str(file)), shorter) == Told(new=0, before=before)
    assert run(tmp_path, EventFile(str(file))) == Told(new=len(told()) - before, before=before)
    assert file.read_bytes() == b"".join(encode(event) + b"\n" for event in told())


@pytest.mark.parametrize("after", [False, True], ids=["before it was written", "before it was remembered"])
def test_a_crash_anywhere_tells_each_once(tmp_path: Path, after: bool) -> None:
    """Killed at each record, before or behind its events were written, the next run ends as if nothing had happened."""
    expected = [event.id for event in told()]
    steps = len({event.seq for event in told()})
    for step in range(steps):
        folder = tmp_path / str(step)
        folder.mkdir()
        file = folder / "events.jsonl"
        with pytest.raises(KeyboardInterrupt):
            run(folder, Mortal(EventFile(str(file)), step, after=after))
        run(folder, EventFile(str(file)))
        assert ids(file) == expected


@settings(max_examples=25)
@given(st.data())
def test_a_line_that_was_cut_off_is_written_again(data: st.DataObject) -> None:
    """Wherever the last write broke off, no half line stays, and every event stands there once."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "events.jsonl"
        last = [event for event in told() if event.seq == told()[-1].seq]
        shorter = Book()
        shorter.records = BOOK.records[: last[0].seq - 1]
        run(Path(folder), EventFile(str(file)), shorter)
        rest = b"".join(encode(event) + b"\n" for event in last)
        cut = data.draw(st.integers(min_value=0, max_value=len(rest)))
        with file.open("ab") as stream:
            stream.write(rest[:cut])
        run(Path(folder), EventFile(str(file)))
        assert ids(file) == [event.id for event in told()]


def test_a_file_that_was_rotated_goes_on(tmp_path: Path) -> None:
    """Events that were told stay told when their file is moved away."""
    file = tmp_path / "events.jsonl"
    shorter = Book()
    shorter.records = BOOK.records[:20]
    run(tmp_path, EventFile(str(file)), shorter)
    file.rename(tmp_path / "old.jsonl")
    run(tmp_path, EventFile(str(file)))
    assert ids(tmp_path / "old.jsonl") + ids(file) == [event.id for event in told()]


@pytest.mark.parametrize("content", [b"hello\n", b"[1]\n\xff\n", b"[1]\n", b'{"id": "1"}\n'])
def test_a_file_of_something_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """A file whose last line is no JSON, or no event, is no file of events; nothing is added to it."""
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    with pytest.raises(DocumentInvalid, match="no event"):
        run(tmp_path, EventFile(str(file)))
    assert file.read_bytes() == content


@pytest.mark.parametrize("content", [b"one line", b"a\nb", b'{"a": 1}\n{"b": 2', b'{"specversion":"1.0"}\nb'])
def test_nothing_of_another_file_is_taken_away(tmp_path: Path, content: bytes) -> None:
    """A file that does not end with a line's end loses nothing, unless what is cut off was an event of ours."""
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    with pytest.raises(DocumentInvalid, match="no event"):
        run(tmp_path, EventFile(str(file)))
    assert file.read_bytes() == content


def test_a_line_longer_than_any_event_is_no_event(tmp_path: Path) -> None:
    """A large file without a line's end is not cut off."""
    file = tmp_path / "large"
    file.write_bytes(b"x" * (5 * 1024 * 1024))
    with pytest.raises(DocumentInvalid, match="longer than any event"):
        run(tmp_path, EventFile(str(file)))
    assert file.stat().st_size == 5 * 1024 * 1024


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A folder, or a file in no folder, is a wrong command line."""
    for path in (tmp_path, tmp_path / "no" / "events.jsonl"):
        with pytest.raises(UsageError, match="cannot be written"):
            run(tmp_path, EventFile(str(path)))


# ---- the cursor


def test_another_ledger_is_noticed(tmp_path: Path) -> None:
    """A ledger that lacks the record that was told last, or has another in its place, is told of nowhere."""
    run(tmp_path, EventFile(str(tmp_path / "events.jsonl")))
    before = (tmp_path / "events.jsonl").read_bytes()
    shorter = Book()
    shorter.records = BOOK.records[:20]
    for other in (story("another"), shorter):
        with pytest.raises(LedgerError, match="is not in this ledger"):
            run(tmp_path, EventFile(str(tmp_path / "events.jsonl")), other)
    assert (tmp_path / "events.jsonl").read_bytes() == before


def test_a_cursor_is_for_one_destination_and_producer(tmp_path: Path) -> None:
    """Told elsewhere, or under another name, everything would be new: that takes another cursor."""
    run(tmp_path, EventFile(str(tmp_path / "a")))
    for changes in ({"destination": "elsewhere"}, {"source": "/there"}):
        with pytest.raises(UsageError, match="is the cursor of"):
            run(tmp_path, EventFile(str(tmp_path / "b")), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"schema": "attest.events-cursor/v1", "destination": "there", "source": "/here", "seq": 0, "hash": "x"}',
        b'{"schema": "attest.events-cursor/v1", "destination": "there", "source": "/here", "seq": true, "hash": "x"}',
        b'{"schema": "attest.events-cursor/v1", "destination": "there", "source": "/here", "seq": 1, "hash": "x"}',
    ],
)
def test_a_damaged_cursor_is_an_error(tmp_path: Path, content: bytes) -> None:
    """It is never taken for none: everything would be told again."""
    (tmp_path / "cursor").write_bytes(content)
    with pytest.raises(DocumentInvalid):
        run(tmp_path, EventFile(str(tmp_path / "events.jsonl")))
    assert not (tmp_path / "events.jsonl").exists()


def test_a_cursor_without_a_folder_is_said(tmp_path: Path) -> None:
    """Nothing is told that could not be remembered."""
    cursor = Cursor(path=str(tmp_path / "no" / "cursor"), destination="there", source=SOURCE)
    with pytest.raises(UsageError, match="cannot be written"), cursor.held():
        pass


def test_a_position_is_read_back(tmp_path: Path) -> None:
    """What was remembered is what is found."""
    cursor = Cursor(path=str(tmp_path / "cursor"), destination="there", source=SOURCE)
    position = Position(seq=7, hash=digest("seven"))
    with cursor.held() as before:
        assert before is None
        cursor.move(position)
    with cursor.held() as after:
        assert after == position


# ---- endpoints


@dataclass(slots=True)
class Heard:
    """What an endpoint was sent, and what it answers: the statuses in turn, then 202."""

    url: str
    answers: list[int] = field(default_factory=list)
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def ids(self) -> list[str]:
        """The events of all requests."""
        return [json.loads(body)["id"] for _, body in self.requests]


@pytest.fixture
def endpoint() -> Iterator[Heard]:
    """A real HTTP server."""
    heard = Heard("")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status = heard.answers.pop(0) if heard.answers else 202
            self.send_response(status)
            if status == 302:
                self.send_header("Location", heard.url + "elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature of the base
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        heard.url = f"http://127.0.0.1:{server.server_address[1]}/"
        yield heard
        server.shutdown()


def posting(url: str, *, seconds: float = 60, token: str | None = None, pauses: list[float] | None = None) -> Any:
    """A sink that waits for nothing."""
    waited: list[float] = [] if pauses is None else pauses
    return EventEndpoint(Endpoint(url=url, token=token), Deadline(seconds), pause=waited.append)


def test_events_are_posted_in_structured_mode(tmp_path: Path, endpoint: Heard) -> None:
    """One request for each event, in their order, with the media type of CloudEvents; and none of them again."""
    assert run(tmp_path, posting(endpoint.url)).new == len(told())
    assert [json.loads(body) for _, body in endpoint.requests] == [event.document for event in told()]
    for headers, _ in endpoint.requests:
        assert headers["content-type"] == "application/cloudevents+json; charset=UTF-8"
        assert "authorization" not in headers
    run(tmp_path, posting(endpoint.url))
    assert len(endpoint.requests) == len(told())


def test_a_token_is_sent(tmp_path: Path, endpoint: Heard) -> None:
    """As a bearer token (RFC 6750, 2.1)."""
    run(tmp_path, posting(endpoint.url, token="secret"))
    assert {headers["authorization"] for headers, _ in endpoint.requests} == {"Bearer secret"}


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_busy_endpoint_is_asked_again(tmp_path: Path, endpoint: Heard, status: int) -> None:
    """A status that may pass is waited for, longer each time, under the same event id."""
    endpoint.answers = [status, status]
    pauses: list[float] = []
    run(tmp_path, posting(endpoint.url, pauses=pauses))
    first = told()[0].id
    assert endpoint.ids() == [first, first, *(event.id for event in told())]
    assert pauses == [0.5, 1.0]


@pytest.mark.parametrize("status", [302, 400, 401, 404, 501])
def test_an_endpoint_that_refuses_is_not_asked_again(tmp_path: Path, endpoint: Heard, status: int) -> None:
    """Nothing is followed, nothing behind the refused event is sent, and what was taken is not sent again."""
    endpoint.answers = [202, status]
    with pytest.raises(ServiceFailed, match=str(status)):
        run(tmp_path, posting(endpoint.url))
    assert len(endpoint.requests) == 2
    run(tmp_path, posting(endpoint.url))
    assert set(endpoint.ids()) == {event.id for event in told()}


def test_an_endpoint_that_never_recovers_is_given_up(tmp_path: Path, endpoint: Heard) -> None:
    """After five attempts."""
    endpoint.answers = [503] * 9
    with pytest.raises(ServiceFailed, match="503"):
        run(tmp_path, posting(endpoint.url))
    assert len(endpoint.requests) == 5


def test_nobody_there_is_said(tmp_path: Path) -> None:
    """With the event that was not taken; there is no cursor, for nothing was told."""
    with pytest.raises(ServiceFailed, match="did not take event"):
        run(tmp_path, posting(f"http://127.0.0.1:{free_port()}/"))
    assert not (tmp_path / "cursor").exists()


def test_the_deadline_ends_it(tmp_path: Path, endpoint: Heard) -> None:
    """A deadline that is over sends nothing."""
    with pytest.raises(DeadlineExceeded):
        run(tmp_path, posting(endpoint.url, seconds=0))
    assert endpoint.requests == []


@pytest.mark.parametrize(
    "url", ["https://e.example.org/x", "http://127.0.0.1:1/", "http://localhost/", "http://[::1]/"]
)
def test_endpoints_that_may_be_sent_to(url: str) -> None:
    """https anywhere, http on this machine."""
    check_endpoint(url, plain_http=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://events.example.org/",
        "ftp://127.0.0.1/",
        "https://",
        "https://user:secret@e.example.org/",
        "https://e.example.org:port/",
        "https://[::1/",
        "https://e.example.org/#x",
    ],
)
def test_endpoints_that_may_not(url: str) -> None:
    """No plain http over a network unless somebody says so, no passwords, nothing that is no URL."""
    with pytest.raises(UsageError):
        check_endpoint(url, plain_http=False)


def test_plain_http_is_allowed_by_word() -> None:
    """Whoever says so may."""
    check_endpoint("http://events.example.org/", plain_http=True)


def test_authorities_that_are_none_are_said(tmp_path: Path) -> None:
    """A file that is not there or holds no certificate is a wrong command line."""
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "absent.pem"):
        with pytest.raises(UsageError, match="certificate authorities"):
            EventEndpoint(Endpoint(url="https://e.example.org", ca_file=str(tmp_path / name)), Deadline(1))


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"caf\xc3\xa9", b"a\r\nX-Evil: 1"])
def test_a_file_without_a_token_is_an_error(tmp_path: Path, content: bytes) -> None:
    """A token is one word of ASCII: nothing else becomes a header."""
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(AttestError, match="no bearer token"):
        read_token(str(tmp_path / "token"))


def test_a_token_is_read(tmp_path: Path) -> None:
    """Without the newline at its end."""
    (tmp_path / "token").write_bytes(b"abc.def\n")
    assert read_token(str(tmp_path / "token")) == "abc.def"
