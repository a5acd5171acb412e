"""oras, pushing under the rules of this adapter.

oras 0.2 knows how blobs and manifests are uploaded. Left to itself it also follows redirects, repeats a request
after any exception, re-serialises manifests, reads proxies and `.netrc` from the environment, and sends
credentials to whatever realm a registry names. So its session gets a transport of ours, its authentication is
taken away (the transport does it), and bytes go out as they are.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from typing import Any, Final

import oras.auth.base
import oras.container
import oras.provider
import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict

from attest.adapters.registry.client import Client, reason
from attest.adapters.registry.repository import RemoteRepository
from attest.adapters.registry.transport import Answer, Request
from attest.adapters.registry.url import parse_url
from attest.core import limits
from attest.core.reference import digest_of
from attest.errors import NotFound, StoreError, StoreMisbehaved

_DONE: Final = frozenset((200, 201, 202, 204))
_UPLOADS: Final = 3


class Pusher(oras.provider.Registry):  # type: ignore[misc]  # oras has no types
    """Pushes to one repository. Threads may share it."""

    def __init__(self, repository: RemoteRepository) -> None:
        origin = repository.client.origin
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        registry = f"{host}:{origin.port}"  # oras takes a host for one only by its dot or colon
        super().__init__(hostname=registry, insecure=origin.scheme == "http")
        self._repository = repository
        self._what = f"an upload to {repository.repository}"
        self._container = oras.container.Container(f"{registry}/{repository.path}")
        self.auth = _NoAuthentication()
        self.session.trust_env = False
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, _Adapter(repository.client, repository.scope, self._what))

    def push_blob(self, content: bytes) -> None:
        """Upload a blob. One that is there already is no error.

        Raises:
            StoreError, LimitExceeded, DeadlineExceeded: it was not taken.
        """
        try:
            with tempfile.NamedTemporaryFile() as file:  # oras uploads files
                file.write(content)
                file.flush()
                self._upload(file.name, {"digest": digest_of(content), "size": len(content)})
        except OSError as error:
            raise StoreError(
                f"{self._what} needs a temporary file, which cannot be written: {error.strerror}",
                hint="TMPDIR names a folder for it",
            ) from error

    def _upload(self, file: str, layer: dict[str, Any]) -> None:
        for tried in range(1, _UPLOADS + 1):
            try:
                self.put_upload(file, self._container, layer)
                return
            except NotFound:  # an upload whose answer was lost is over: begin another
                if tried == _UPLOADS:
                    raise

    def push_manifest(self, reference: str, content: bytes, *, media_type: str) -> Mapping[str, str]:
        """Put a manifest's bytes at a digest or a tag; the headers of the response.

        Raises:
            StoreError, LimitExceeded, DeadlineExceeded: it was not taken.
        """
        response = self.do_request(
            f"{self.prefix}://{self._container.manifest_url(reference)}",
            "PUT",
            data=content,
            headers={"Content-Type": media_type},
        )
        return response.headers

    def do_request(
        self,
        url: str,
        method: str = "GET",
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        json: None = None,
        stream: bool = False,
    ) -> requests.Response:
        """What oras sends everything through; this one neither repeats nor redirects nor authenticates.

        Raises:
            NotFound: 404.
            StoreError: any other answer than success.
        """
        if json is not None or stream:
            raise AssertionError("nothing here sends JSON or streams")
        try:
            response: requests.Response = self.session.request(
                method, url, data=data, headers=headers, allow_redirects=False
            )
        except requests.RequestException as error:
            raise StoreMisbehaved(f"{self._repository.client.host} cannot be asked for {self._what}") from error
        if response.status_code not in _DONE:
            kind = NotFound if response.status_code == 404 else StoreError
            raise kind(f"{self._repository.client.host} answered {response.reason} to {self._what}")
        return response

    def _get_location(self, r: requests.Response, container: oras.container.Container) -> str:
        """Where to upload to; relative or absolute, and never from https to plain http."""
        del container
        here = parse_url(r.url)
        try:
            target = here.join(r.headers.get("Location", ""))
        except ValueError as error:
            raise StoreMisbehaved(f"{self._repository.client.host} names no usable place for {self._what}") from error
        if here.origin.scheme == "https" and target.origin.scheme != "https":
            raise StoreMisbehaved(f"{self._repository.client.host} leads from https to plain http for {self._what}")
        return str(target)


class _NoAuthentication(oras.auth.base.AuthBackend):  # type: ignore[misc]  # oras has no types
    """Never adds, asks for or reads a credential: the transport below has done what there is to do."""

    def get_auth_header(self) -> dict[str, str]:
        return {}

    def authenticate_request(
        self, original: requests.Response, headers: dict[str, str], refresh: bool = False
    ) -> tuple[dict[str, str], bool]:
        del original, refresh
        return headers, False

    def load_configs(self, *args: Any, **keywords: Any) -> None:
        """The caller of `RegistryStore` says which configuration is read."""


class _Adapter(BaseAdapter):
    """Sends what `requests` prepared through the client that reading goes through, too."""

    def __init__(self, client: Client, scope: str, what: str) -> None:
        super().__init__()
        self._client = client
        self._scope = scope
        self._what = what

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        try:
            url = parse_url(request.url or "")
        except ValueError as error:
            raise StoreMisbehaved(f"{self._client.host} names no usable place for {self._what}") from error
        content_type = request.headers.get("Content-Type")
        body = request.body
        answer = self._client.send(
            Request(
                method=request.method or "",
                url=url,
                what=self._what,
                limit=limits.TOKEN_ANSWER,
                headers={} if content_type is None else {"Content-Type": content_type},
                body=body.encode() if isinstance(body, str) else body,
            ),
            scope=self._scope,
        )
        return _response(answer, request)

    def close(self) -> None:
        """Connections belong to the client."""


def _response(answer: Answer, request: requests.PreparedRequest) -> requests.Response:
    response = requests.Response()
    response.status_code = answer.status
    response.reason = reason(answer)
    response.headers = CaseInsensitiveDict(answer.headers)
    response.url = request.url or ""
    response.request = request
    response._content = answer.body
    return response
