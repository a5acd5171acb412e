"""One repository of a registry: manifests and blobs, each checked against what named it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from attest.adapters.registry.client import Client, unexpected
from attest.adapters.registry.settings import Access
from attest.adapters.registry.transport import Answer
from attest.adapters.registry.url import Url
from attest.core import limits
from attest.core.oci import MANIFEST_TYPES, Descriptor, Index, Manifest, OciInvalid, parse_manifest
from attest.core.reference import Digest, Repository, digest_of
from attest.errors import LimitExceeded, StoreMisbehaved

_ACCEPT: Final = {"Accept": ", ".join(MANIFEST_TYPES)}
_PARSING: Final = threading.Lock()
"""Held while a manifest is parsed: a hostile one grows in memory, and no two of them should at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A manifest or index, the bytes that it was read from, and their digest."""

    digest: Digest
    content: bytes
    document: Manifest | Index


class RemoteRepository:
    """Reads one repository. Threads may share it."""

    def __init__(self, client: Client, repository: Repository, access: Access) -> None:
        self.client = client
        self.repository = repository
        self.path: Final = self.path_of(repository)
        self.scope: Final = f"repository:{self.path}:{access.value}"

    @staticmethod
    def path_of(repository: Repository) -> str:
        """What a repository of a registry is called in its API."""
        if repository.host == "docker.io" and "/" not in repository.path:
            return f"library/{repository.path}"
        return repository.path

    def url(self, tail: str) -> Url:
        """The URL of something in this repository."""
        return Url(origin=self.client.origin, target=f"/v2/{self.path}/{tail}")

    def get(self, url: Url, *, what: str, limit: int, accept: dict[str, str] | None = None) -> Answer | None:
        """GET something that may be absent: None for 404.

        Raises:
            StoreError: any other status than 200 and 404.
        """
        answer = self.client.get(url, scope=self.scope, what=what, limit=limit, headers=accept)
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise unexpected(answer, what, self.client.host)
        return answer

    def manifest(self, digest: Digest, described: Descriptor | None = None) -> Fetched:
        """The manifest or index of a digest, of the size and type of its descriptor where there is one.

        Raises:
            NotFound: it is not there.
            LimitExceeded: it is larger than `limits.MANIFEST`.
            StoreError: it could not be read, or is not what was asked for.
        """
        what = f"the manifest {digest} of {self.repository}"
        if described is not None and described.size > limits.MANIFEST:
            raise LimitExceeded(f"{what} is larger than {limits.MANIFEST} bytes")
        answer = self.client.get(
            self.url(f"manifests/{digest}"),
            scope=self.scope,
            what=what,
            limit=limits.MANIFEST,
            size=None if described is None else described.size,
            headers=_ACCEPT,
        )
        if answer.status != 200:
            raise unexpected(answer, what, self.client.host)
        fetched = _parsed(answer, what)
        if fetched.digest != digest:
            raise StoreMisbehaved(f"{self.client.host} served other bytes, of digest {fetched.digest}, as {what}")
        if described is not None and described.media_type != fetched.document.media_type:
            raise StoreMisbehaved(f"{what} is not of the type that it is listed with, {described.media_type!r}")
        return fetched

    def tagged(self, tag: str) -> Fetched | None:
        """What a tag stands for now, or None.

        Raises:
            StoreError, LimitExceeded: it could not be read.
        """
        what = f"the tag {tag} of {self.repository}"

        def read() -> Fetched | None:
            answer = self.get(self.url(f"manifests/{quote(tag)}"), what=what, limit=limits.MANIFEST, accept=_ACCEPT)
            return None if answer is None else _parsed(answer, what)

        return self.client.read_again(read)

    def blob(self, descriptor: Descriptor, *, limit: int) -> bytes:
        """The bytes of a blob.

        Raises:
            LimitExceeded: the descriptor names more than `limit` bytes.
            StoreError: it could not be read, or is not what was described.
        """
        what = f"the blob {descriptor.digest} of {self.repository}"
        if descriptor.size > limit:
            raise LimitExceeded(f"{what} is larger than {limit} bytes")
        answer = self.client.get(
            self.url(f"blobs/{descriptor.digest}"), scope=self.scope, what=what, limit=limit, size=descriptor.size
        )
        if answer.status != 200:
            raise unexpected(answer, what, self.client.host)
        if not descriptor.describes(answer.body):
            raise StoreMisbehaved(f"{self.client.host} served other bytes as {what}")
        return answer.body


def parse_answer(answer: Answer, what: str) -> Manifest | Index:
    """The manifest or index in a response, whose Content-Type must agree with it (CVE-2021-41190).

    Raises:
        StoreMisbehaved: there is none, or it is of another type than it was served as.
    """
    try:
        with _PARSING:
            return parse_manifest(answer.body, media_type=answer.media_type)
    except OciInvalid as error:
        raise StoreMisbehaved(f"{what}: {error}") from error


def _parsed(answer: Answer, what: str) -> Fetched:
    return Fetched(digest=digest_of(answer.body), content=answer.body, document=parse_answer(answer, what))
