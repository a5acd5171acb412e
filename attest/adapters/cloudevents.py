"""Events to a file or an HTTP endpoint, each once as far as that can be known, by a cursor that is kept beside.

Sources: CloudEvents 1.0.2, `formats/json-format.md`, and `bindings/http-protocol-binding.md` 3.2 (structured mode).

The cursor names the last record that was told and its hash. It is written behind each record, so what a crash leaves
untold is told again: to a file, after a look at its last line; to an endpoint, under the same event id.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from attest.adapters.deadline import Deadline
from attest.adapters.files import read_file, write_file
from attest.core import limits
from attest.core.delivery.events import CloudEvent, Position
from attest.core.reference import Digest, is_digest
from attest.core.strictjson import JsonInvalid, loads
from attest.errors import DocumentInvalid, ServiceFailed, UsageError

_SCHEMA: Final = "attest.events-cursor/v1"
_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
_BEGINNING: Final = b'{"specversion":'
"""Of every line that is ours."""
_LAST_LINE: Final = 4 * limits.RECORD
"""Bytes at the end of a file in which its last line is looked for."""
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses that may be another one a moment later."""
_PAUSES: Final = (0.5, 1.0, 2.0, 4.0)
_ATTEMPT: Final = 30.0
"""Seconds for one request."""
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A file that remembers a position for one destination."""

    path: str
    destination: str
    source: str
    """What names the producer in the events: to another one, everything is new."""

    @contextmanager
    def held(self) -> Iterator[Position | None]:
        """The position, or None where nothing was told yet. Nobody else tells there for the time of the block.

        Raises:
            DocumentInvalid: the file is there and is no cursor.
            UsageError: it is that of another destination, or cannot be written.
        """
        try:
            folder = os.open(Path(self.path).resolve().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield self._read()
        finally:
            os.close(folder)

    def move(self, position: Position) -> None:
        """Remember that everything up to there was told.

        Raises:
            UsageError: it cannot be written.
        """
        document = {
            "schema": _SCHEMA,
            "destination": self.destination,
            "source": self.source,
            "seq": position.seq,
            "hash": position.hash,
        }
        write_file(self.path, json.dumps(document, indent=2).encode() + b"\n")

    def _read(self) -> Position | None:
        if not os.path.lexists(self.path):
            return None
        try:
            document: Any = loads(read_file(self.path, limit=limits.DOCUMENT))
        except JsonInvalid as error:
            raise DocumentInvalid(f"no cursor of events: {error}", file=self.path) from error
        if not isinstance(document, dict) or document.get("schema") != _SCHEMA:
            hint = "name another file with --cursor, or remove it to tell everything from the start"
            raise DocumentInvalid(f"no cursor of schema {_SCHEMA}", file=self.path, hint=hint)
        for name, ours in (("destination", self.destination), ("source", self.source)):
            if document.get(name) != ours:
                problem = f"{self.path} is the cursor of the {name} {document.get(name)!r}, not of {ours!r}"
                raise UsageError(problem, hint="give each destination a --cursor of its own")
        seq, digest = document.get("seq"), document.get("hash")
        if type(seq) is not int or seq < 1 or not isinstance(digest, str) or not is_digest(digest):
            raise DocumentInvalid("it names no record and hash", file=self.path)
        return Position(seq=seq, hash=Digest(digest))


class EventFile:
    """Appends events to a file, a line each."""

    def __init__(self, path: str) -> None:
        """Nothing is opened yet."""
        self._path = path
        self._last: str | None = None
        self._looked = False

    def tell(self, events: Sequence[CloudEvent]) -> int:
        """Append those events of one record that do not stand there; how many. When it returns they are durable.

        Raises:
            UsageError: the file cannot be written.
            DocumentInvalid: it holds something else than events.
        """
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            with os.fdopen(descriptor, "r+b", buffering=0) as stream:
                if not self._looked:
                    self._last, self._looked = self._mend(stream.fileno()), True
                ids = [event.id for event in events]
                new = events[ids.index(self._last) + 1 :] if self._last in ids else events
                content = b"".join(encode(event) + b"\n" for event in new)
                while content:
                    content = content[stream.write(content) :]
                os.fsync(stream.fileno())
        except OSError as error:
            raise UsageError(f"{self._path} cannot be written: {error.strerror or error}") from error
        return len(new)

    def _mend(self, descriptor: int) -> str | None:
        """The id of the event in the last line. What was cut off in the middle of a line is taken away."""
        size = os.fstat(descriptor).st_size
        start = max(0, size - _LAST_LINE)
        tail = os.pread(descriptor, size - start, start)
        whole, newline, rest = tail.rpartition(b"\n")
        if start and not newline:
            raise DocumentInvalid("its last line is longer than any event", file=self._path)
        if not (rest.startswith(_BEGINNING) or _BEGINNING.startswith(rest)):
            raise self._foreign()
        last = self._event(whole.rpartition(b"\n")[2]) if newline else None
        if rest:  # after all else: what is taken away is ours
            os.ftruncate(descriptor, size - len(rest))
        return last

    def _event(self, line: bytes) -> str | None:
        """The id of the event that a line is."""
        try:
            document: Any = loads(line)
        except JsonInvalid as error:
            raise self._foreign() from error
        if not isinstance(document, dict) or "specversion" not in document:
            raise self._foreign()
        return document.get("id")

    def _foreign(self) -> DocumentInvalid:
        return DocumentInvalid("its last line is no event", file=self._path, hint="name a file of its own for events")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where events are posted to."""

    url: str
    ca_file: str | None = None
    token: str | None = None
    """Sent as a bearer token."""


def check_endpoint(url: str, *, plain_http: bool) -> None:
    """Let events go to https, and to http where that is on this machine or allowed.

    Raises:
        UsageError: it is no such URL.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{url!r} is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host or parts.fragment:
        raise UsageError(f"{url!r} is no URL of an endpoint", hint="write https://HOST/PATH, or the name of a file")
    if parts.username is not None or parts.password is not None:
        raise UsageError("a URL with a password in it ends up in logs", hint="use --token-file")
    if parts.scheme == "http" and host not in _LOOPBACK and not plain_http:
        raise UsageError(f"{url} would be sent in the clear", hint="use https, or say --plain-http")


class EventEndpoint:
    """Posts events, one after the other."""

    def __init__(self, endpoint: Endpoint, deadline: Deadline, *, pause: Callable[[float], None] = time.sleep) -> None:
        """Nothing is sent yet."""
        import ssl

        import urllib3

        try:
            context = ssl.create_default_context(cafile=endpoint.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"{endpoint.ca_file} holds no certificate authorities: {error}") from error
        self._endpoint = endpoint
        self._deadline = deadline
        self._pause = pause
        self._pool = urllib3.PoolManager(ssl_context=context, retries=False)

    def tell(self, events: Sequence[CloudEvent]) -> int:
        """Post the events of one record; how many. Each was taken when it returns.

        Raises:
            ServiceFailed: the endpoint did not take one.
            DeadlineExceeded: the time is over.
        """
        for event in events:
            self._post(event)
        return len(events)

    def _post(self, event: CloudEvent) -> None:
        headers = {"Content-Type": _TYPE}
        if self._endpoint.token is not None:
            headers["Authorization"] = f"Bearer {self._endpoint.token}"
        body = encode(event)
        problem = self._attempt(body, headers)
        for pause in _PAUSES:
            if problem is None or not problem.again or not self._deadline.allows(pause):
                break
            self._pause(pause)
            problem = self._attempt(body, headers)
        if problem is not None:
            self._deadline.remaining()
            raise ServiceFailed(
                f"{self._endpoint.url} did not take event {event.id} of record {event.seq}: {problem.words}",
                hint="what it took is not sent again; run the same command when it answers",
            )

    def _attempt(self, body: bytes, headers: dict[str, str]) -> _Problem | None:
        import urllib3

        left = min(self._deadline.remaining(), _ATTEMPT)
        try:
            answer = self._pool.request(
                "POST",
                self._endpoint.url,
                body=body,
                headers=headers,
                redirect=False,
                preload_content=False,
                timeout=urllib3.Timeout(total=left),
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            return _Problem(words=_words(error), again=True)
        answer.close()  # the status says whether it was taken
        if 200 <= answer.status < 300:
            return None
        return _Problem(words=f"it answered {answer.status}", again=answer.status in _AGAIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Problem:
    words: str
    again: bool


def _words(error: Exception) -> str:
    return type(error).__name__ if "object at 0x" in str(error) else str(error)


def encode(event: CloudEvent) -> bytes:
    """An event in the JSON format of CloudEvents, in one line of ASCII."""
    return json.dumps(event.document, separators=(",", ":")).encode()


def read_token(path: str) -> str:
    """The bearer token in a file.

    Raises:
        DocumentInvalid: it holds none.
    """
    token = read_file(path, limit=limits.KEY_FILE).strip()
    if not token or not all(0x21 <= byte < 0x7F for byte in token):
        raise DocumentInvalid("it holds no bearer token: one line of ASCII without spaces", file=path)
    return token.decode("ascii")
