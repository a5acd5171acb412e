"""HTTP with Sigstore's services and with a forge's token service, under the rules of this project.

sigstore-python speaks through sessions of `requests` that wait for ever, follow redirects, and read proxies and
`.netrc` from the environment; the latter would even replace the identity token by a password. A session that
`Network` adopts does none of that: each exchange ends with the command's deadline, has a bounded answer, and what
goes wrong is a `ServiceFailed` that names the service.
"""

from __future__ import annotations

import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from attest.adapters.deadline import Deadline
from attest.core import limits
from attest.core.strictjson import JsonInvalid, loads
from attest.errors import AttestError, DeadlineExceeded, DocumentInvalid, ServiceFailed

T = TypeVar("T")

_ANSWER: Final = limits.MIB
"""Bytes of an answer; a certificate chain, a log entry and a timestamp have some 10 KiB each."""
_CHUNK: Final = 64 * 1024
_CONNECT: Final = 10.0
_PASSING: Final = frozenset((429, 502, 503, 504))
_PAUSES: Final = (0.3, 0.9)
"""Seconds before a request is sent again after a failure that passes; each of them may be sent twice."""
_QUOTED: Final = 200
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_WORD = re.compile(r"[A-Za-z0-9_.-]{6,}")
"""What could be a part of a token."""
_LOOPBACK = re.compile(r"localhost|127(?:\.[0-9]{1,3}){3}|::1")


class ServiceRefused(ServiceFailed):
    """A service answered with a status that says no."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service, by what it does and where it is."""

    name: str
    url: str

    def __str__(self) -> str:
        return f"{self.name} at {self.url}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How a command speaks to services."""

    deadline: Deadline
    ca_file: str | None = None
    """PEM file of authorities to trust beside the system's. A registry that is spoken to under authorities of its
    own says nothing about Fulcio, which may be the public one."""

    def session(self, service: Service) -> requests.Session:
        """A new session for one service."""
        return self.adopt(requests.Session(), service)

    def adopt(self, session: requests.Session, service: Service) -> requests.Session:
        """Make a session that a library made keep to the rules.

        Raises:
            DocumentInvalid: `ca_file` cannot be read, or holds no certificate.
        """
        session.trust_env = False
        adapter = _Adapter(service, self)
        for scheme in ("http://", "https://"):
            session.mount(scheme, adapter)
        return session

    def tls(self) -> ssl.SSLContext:
        """TLS that trusts the system's authorities, and those in the file."""
        context = ssl.create_default_context()
        if self.ca_file is not None:
            try:
                context.load_verify_locations(cafile=self.ca_file)
            except OSError as error:
                raise DocumentInvalid(
                    "no authorities can be read from it", file=self.ca_file, hint="--ca-file takes a PEM file"
                ) from error
        return context

    def within(self, service: Service, work: Callable[[], T]) -> T:
        """The result of work that waits for a service, if it comes before the deadline.

        The work goes on in a thread that nothing waits for, since neither a name that is being resolved nor an
        answer that comes a byte a second can be told to stop.

        Raises:
            ServiceFailed: it takes longer.
            Exception: what the work raised.
        """
        try:
            left = self.deadline.remaining()
        except DeadlineExceeded:
            raise _too_slow(service) from None
        outcome: queue.SimpleQueue[Callable[[], T]] = queue.SimpleQueue()

        def run() -> None:
            try:
                result = work()
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is wanted
                outcome.put(_raising(error))
            else:
                outcome.put(lambda: result)

        threading.Thread(target=run, daemon=True).start()
        try:
            finished = outcome.get(timeout=left)
        except queue.Empty:
            raise _too_slow(service) from None
        return finished()


def is_safe(url: str) -> bool:
    """Whether a service may be spoken to at this address: https, or plain http on loopback."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.username is not None or _UNPRINTABLE.search(url) or " " in url or not host:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _LOOPBACK.fullmatch(host) is not None)


@contextmanager
def answering(service: Service) -> Iterator[None]:
    """What a library cannot make anything of is the fault of the service that answered it.

    Raises:
        ServiceFailed: anything went wrong that is not an error of attest already.
    """
    try:
        yield
    except AttestError:
        raise
    except Exception as error:  # a library's reader of answers fails in any way
        raise ServiceFailed(f"{service} answered what it may not answer ({type(error).__name__})") from error


class _Adapter(HTTPAdapter):
    """Carries the requests of one session to one service."""

    def __init__(self, service: Service, network: Network) -> None:
        self._service = service
        self._network = network
        super().__init__()

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **keywords: Any) -> None:
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._network.tls(), **keywords)  # type: ignore[no-untyped-call,unused-ignore]

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """The pool's own TLS context says whom to trust; `requests` would name a bundle of its own beside it."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        service = self._service
        if not is_safe(request.url or ""):
            raise ServiceFailed(f"{service} would be spoken to over plain http, which is for loopback only")
        for pause in (*_PAUSES, None):
            response = self._network.within(service, lambda: self._exchange(request))
            if response.status_code not in _PASSING or pause is None or not self._network.deadline.allows(pause):
                break
            time.sleep(pause)
        if 300 <= response.status_code < 400:
            raise ServiceFailed(f"{service} answered with a redirect, and none is followed")
        if response.status_code >= 400:
            status = response.status_code
            raise ServiceRefused(f"{service} answered {status}{_reason(response)}", status=status)
        return response

    def _exchange(self, request: requests.PreparedRequest) -> requests.Response:
        request.headers["Accept-Encoding"] = "identity"
        try:
            left = self._network.deadline.remaining()
            response = super().send(request, stream=True, timeout=(min(_CONNECT, left), left), verify=True)
            with response:
                body = bytearray()
                for chunk in response.iter_content(_CHUNK):
                    body += chunk
                    if len(body) > _ANSWER:
                        raise ServiceFailed(f"{self._service} answered with more than {_ANSWER} bytes")
        except DeadlineExceeded:
            raise _too_slow(self._service) from None
        except (requests.RequestException, OSError, ValueError) as error:
            raise _translated(error, self._service) from error
        response._content = bytes(body)
        return response


def _raising(error: BaseException) -> Callable[[], Any]:
    def reraise() -> Any:
        raise error

    return reraise


def _too_slow(service: Service) -> ServiceFailed:
    return ServiceFailed(f"{service} did not answer in time", hint="--timeout SECONDS gives the command more time")


def _translated(error: Exception, service: Service) -> ServiceFailed:
    """What an exception from below means to the user. Its own text may quote the peer, and is not passed on."""
    if isinstance(error, requests.exceptions.SSLError):
        hint = "its certificate must be for this name and from an authority of this system, or of --ca-file"
        return ServiceFailed(f"{service}: no TLS connection could be made", hint=hint)
    if isinstance(error, requests.exceptions.Timeout):
        return _too_slow(service)
    causes = set(map(type, _causes(error)))
    if ConnectionRefusedError in causes:
        return ServiceFailed(f"{service} refused the connection", hint="is it running, and is this its address?")
    if socket.gaierror in causes:
        return ServiceFailed(f"{service}: no address is known for this name")
    if isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return ServiceFailed(f"{service} cannot be connected to, or broke off")
    return ServiceFailed(f"{service} did not answer in HTTP")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or following.__context__


def _reason(response: requests.Response) -> str:
    """What the service says about its refusal, without anything secret that it may repeat."""
    try:
        document = loads(response.content)
    except JsonInvalid:
        return ""
    message = document.get("message") if isinstance(document, dict) else None
    if not isinstance(message, str) or not message:
        return ""
    authorization = response.request.headers.get("Authorization") or ""
    secret = str(authorization).partition(" ")[2]
    pieces = [piece for piece in secret.split(".") if piece]

    def hide(match: re.Match[str]) -> str:
        word = match[0].strip(".")
        return "***" if word in secret or any(piece in word for piece in pieces) else match[0]

    message = _UNPRINTABLE.sub(" ", _WORD.sub(hide, message) if secret else message)
    return f": {message if len(message) <= _QUOTED else message[:_QUOTED] + '...'}"
