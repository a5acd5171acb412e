"""One registry, as one command speaks to it: authenticated, repeated where that helps, redirected with care."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from attest.adapters.registry.auth import Authenticator
from attest.adapters.registry.credentials import Credentials, find_credentials
from attest.adapters.registry.retry import read_again, send_again
from attest.adapters.registry.settings import RegistrySettings
from attest.adapters.registry.transport import Answer, Request, Streamed, Transport
from attest.adapters.registry.url import Url, registry_origin
from attest.errors import AccessDenied, NotFound, ReferenceInvalid, StoreError, StoreMisbehaved

T = TypeVar("T")

_REDIRECTS: Final = 5
_REDIRECTING: Final = frozenset((301, 302, 303, 307, 308))
_ERROR_CODE = re.compile(rb'"code"\s*:\s*"([A-Z_]{1,40})"')


class Client:
    """A registry by its host. Threads may share it."""

    def __init__(self, host: str, settings: RegistrySettings) -> None:
        """
        Raises:
            ReferenceInvalid: the host is in the grammar of references but is no host.
        """
        self.host = host
        self._settings = settings
        try:
            self.origin = registry_origin(host, plain_http=settings.plain_http, tls=settings.ca_file is not None)
        except ValueError as error:
            raise ReferenceInvalid(f"{host!r} is not a registry host") from error
        self._transport = Transport(settings, registry=self.origin)
        self._authenticator = Authenticator(
            host=host,
            registry=self.origin,
            token_hosts=settings.token_hosts,
            find_credentials=self._find_credentials,
            send=self._send_bare,
        )

    def send(self, request: Request, *, scope: str) -> Answer:
        """Send a request that is not redirected; with credentials if it goes to the registry itself.

        A 401 is answered once.

        Raises:
            AccessDenied: 401 in spite of it, or 403.
            AttestError: as `Transport.exchange`, and what authentication raises.
        """
        if request.url.origin != self.origin:
            return self._checked(self._send_bare(request), request)
        header = self._authenticator.authorization(scope)
        answer = self._send_bare(_with_authorization(request, header))
        if answer.status == 401:
            header = self._authenticator.renew(scope, header, answer)
            answer = self._send_bare(_with_authorization(request, header))
        return self._checked(answer, request)

    def get(
        self,
        url: Url,
        *,
        scope: str,
        what: str,
        limit: int,
        size: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """GET, following a few redirects: never from https to http, and with credentials to the registry only.

        Raises:
            StoreMisbehaved: too many redirects, a loop, or one that may not be followed.
            AttestError: as `send`.
        """
        request = Request(method="GET", url=url, what=what, limit=limit, size=size, headers=headers or {})
        return self._follow(request, scope)

    def open(self, url: Url, *, scope: str, what: str, limit: int) -> Answer:
        """GET what is read while it comes, as `Answer.pieces` of a 200; otherwise as `get`."""
        return self._follow(Request(method="GET", url=url, what=what, limit=limit, keep_open=True), scope)

    def head(self, url: Url, *, scope: str, what: str) -> Answer:
        """HEAD; otherwise as `get`."""
        return self._follow(Request(method="HEAD", url=url, what=what, limit=0), scope)

    def _follow(self, request: Request, scope: str) -> Answer:
        seen: set[Url] = set()
        what = request.what
        authenticated = True
        while True:
            seen.add(request.url)
            authenticated = authenticated and request.url.origin == self.origin
            if authenticated:
                answer = self.send(request, scope=scope)
            else:
                answer = self._checked(self._send_bare(request), request)
            if answer.status not in _REDIRECTING:
                return answer
            target = self._target(request, answer)
            if target in seen or len(seen) > _REDIRECTS:
                raise StoreMisbehaved(f"{self.host} redirects in circles about {what}")
            request = replace(request, url=target)

    def read_again(self, read: Callable[[], T]) -> T:
        """As `retry.read_again`."""
        return read_again(read, self._settings)

    def _target(self, request: Request, answer: Answer) -> Url:
        try:
            target = request.url.join(answer.headers.get("Location", ""))
        except ValueError as error:
            raise StoreMisbehaved(f"{self.host} redirects to no usable place for {request.what}: {error}") from error
        if request.url.origin.scheme == "https" and target.origin.scheme != "https":
            raise StoreMisbehaved(f"{self.host} redirects from https to plain http for {request.what}")
        return target

    def _send_bare(self, request: Request) -> Answer:
        if isinstance(request.body, Streamed):  # nobody can tell how much of it was taken: begin the upload anew
            return self._transport.exchange(request)
        return send_again(lambda: self._transport.exchange(request), self._settings)

    def _checked(self, answer: Answer, request: Request) -> Answer:
        if answer.status in (401, 403):
            raise AccessDenied(
                f"{request.url.origin.authority} denied access to {request.what} ({reason(answer)})",
                hint=f"docker login {self.host}, with an account that has the right to {self._settings.access.value}",
            )
        return answer

    def _find_credentials(self) -> Credentials | None:
        folder = self._settings.docker_config
        return None if folder is None else find_credentials(folder, self.host, deadline=self._settings.deadline)


def reason(answer: Answer) -> str:
    """The status, and the code of the distribution-spec that came with it."""
    code = _ERROR_CODE.search(answer.body)
    return f"{answer.status} {code[1].decode('ascii')}" if code else str(answer.status)


def unexpected(answer: Answer, what: str, host: str) -> StoreError:
    """The error that a status means where none was expected."""
    if answer.status == 404:
        return NotFound(f"{host} does not have {what}")
    if answer.status == 429 or answer.status >= 500:
        return StoreError(f"{host} answered {reason(answer)} about {what}, also when asked again")
    return StoreMisbehaved(f"{host} answered {reason(answer)} about {what}")


def _with_authorization(request: Request, header: str | None) -> Request:
    return request if header is None else replace(request, headers={**request.headers, "Authorization": header})
