"""Which manifests are attached to a digest: the union of all the places where a registry may say so.

The referrers API, the list at the fallback tag, the own tags of attestations, and the tag of cosign before v3.
None of them can be trusted to be complete, and none of them may be skipped. A 404 is "nothing here"; anything
else that is no list is an error, never absence.
Sources: distribution-spec v1.1, "Listing Referrers", "Referrers Tag Schema", "Listing Tags"; RFC 8288.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from attest.adapters.registry.crew import Crew
from attest.adapters.registry.repository import Fetched, RemoteRepository, parse_answer
from attest.adapters.registry.transport import Answer
from attest.adapters.registry.url import Url
from attest.core import limits
from attest.core.oci import INDEX, Descriptor, Index
from attest.core.reference import Digest
from attest.core.referrers import fallback_tag, is_own_tag, legacy_tag, own_tag
from attest.core.strictjson import Json, JsonInvalid, loads
from attest.errors import LimitExceeded, StoreMisbehaved

_TAGS_A_PAGE: Final = 1000
_LINK = re.compile(r'[ \t,]*<([^<>]*)>((?:[ \t]*;[ \t]*[A-Za-z*]+(?:[ \t]*=[ \t]*(?:"[^"]*"|[^\s",;]+))?)*)')
_RELATION = re.compile(r';[ \t]*rel[ \t]*=[ \t]*(?:"([^"]*)"|([^\s";,]+))', re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What is attached to `subject`, before anything of it was read."""

    subject: Digest
    api: tuple[Descriptor, ...] | None
    """Of the referrers API; None where the registry has none."""
    fallback: Fetched | None
    """What the fallback tag stands for; see `fallback_list`."""
    legacy: Fetched | None
    tags: tuple[str, ...]
    """The own tags of attestations."""

    def fallback_list(self, platforms: tuple[Digest, ...] = ()) -> tuple[Descriptor, ...]:
        """The entries of the list at the fallback tag.

        Some registries (GitLab) take that tag for the digest itself: then the answer is the image, or has the
        image's own `platforms` as children, and lists no referrers.

        Raises:
            StoreMisbehaved: what the tag stands for is neither a list nor the image.
        """
        if self.fallback is None or self.fallback.digest == self.subject:
            return ()
        document = self.fallback.document
        if not isinstance(document, Index):
            raise StoreMisbehaved(f"the tag {fallback_tag(self.subject)} is no list of referrers")
        entries = document.manifests
        if platforms and entries and {entry.digest for entry in entries} <= set(platforms):
            return ()
        return entries

    def listed(self, platforms: tuple[Digest, ...] = ()) -> tuple[Descriptor, ...]:
        """The entries of the API and of the fallback list, each digest once.

        Raises:
            StoreMisbehaved: one digest has two sizes or types, or as `fallback_list`.
        """
        found: dict[Digest, Descriptor] = {}
        for entry in (*(self.api or ()), *self.fallback_list(platforms)):
            known = found.setdefault(entry.digest, entry)
            if (known.size, known.media_type) != (entry.size, entry.media_type):
                raise StoreMisbehaved(f"{entry.digest} is listed with two sizes or types")
        return tuple(found.values())

    def unlisted_tags(self, platforms: tuple[Digest, ...] = ()) -> tuple[str, ...]:
        """The own tags whose manifests are in no list."""
        named = {own_tag(self.subject, entry.digest) for entry in self.listed(platforms)}
        return tuple(tag for tag in self.tags if tag not in named)


def submit_listing(crew: Crew, repository: RemoteRepository, subject: Digest, done: Callable[[Listing], None]) -> None:
    """Ask all places at once, and call `done` when all have answered.

    Raises (from `Crew.run`):
        StoreError, LimitExceeded, DeadlineExceeded: a place could not be asked.
    """
    parts: dict[str, object] = {}

    def part(name: str) -> Callable[[object], None]:
        def keep(result: object) -> None:
            parts[name] = result
            if len(parts) == len(_PLACES):
                done(Listing(subject=subject, **parts))  # type: ignore[arg-type]

        return keep

    for name, ask in _PLACES.items():
        crew.submit(_asking(ask, repository, subject), part(name), weight=limits.MANIFEST)


def list_now(repository: RemoteRepository, subject: Digest) -> Listing:
    """Ask all places at once, and wait for their answers.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: a place could not be asked.
    """
    found: list[Listing] = []
    crew = Crew()
    submit_listing(crew, repository, subject, found.append)
    crew.run()
    return found[0]


def _asking(
    ask: Callable[[RemoteRepository, Digest], object], repository: RemoteRepository, subject: Digest
) -> Callable[[], object]:
    return lambda: ask(repository, subject)


def _referrers(repository: RemoteRepository, subject: Digest) -> tuple[Descriptor, ...] | None:
    """All pages of the referrers API, or None where there is no such API."""
    what = f"the referrers of {subject} in {repository.repository}"
    found: list[Descriptor] = []
    pages = _Pages(repository, repository.url(f"referrers/{subject}"), what)
    while (answer := pages.next(accept={"Accept": INDEX})) is not None:
        page = parse_answer(answer, what)
        if not isinstance(page, Index) or page.media_type != INDEX:
            raise StoreMisbehaved(f"{what}: not an image index")
        found.extend(page.manifests)
        _check_count(len(found), what)
    if pages.absent:
        return None
    return tuple(found)


def _fallback(repository: RemoteRepository, subject: Digest) -> Fetched | None:
    found = repository.tagged(fallback_tag(subject))
    if found is not None and isinstance(found.document, Index):
        _check_count(len(found.document.manifests), f"the list at {fallback_tag(subject)}")
    return found


def _legacy(repository: RemoteRepository, subject: Digest) -> Fetched | None:
    return repository.tagged(legacy_tag(subject))


def _own_tags(repository: RemoteRepository, subject: Digest) -> tuple[str, ...]:
    """The own tags of a digest's attestations, which stand right behind its fallback tag where tags are ordered."""
    prefix = fallback_tag(subject)
    what = f"the tags of {repository.repository}"
    own: set[str] = set()
    pages = _Pages(repository, repository.url(f"tags/list?n={_TAGS_A_PAGE}&last={quote(prefix)}"), what)
    while (answer := pages.next()) is not None:
        tags = _tags(answer, what)
        own.update(tag for tag in tags if is_own_tag(subject, tag))
        _check_count(len(own), what)
        if tags and tags == sorted(tags) and tags[0] > prefix and not tags[-1].startswith(prefix):
            break  # an ordered page that ends behind ours
    return tuple(sorted(own))


def _tags(answer: Answer, what: str) -> list[str]:
    try:
        document: Json = loads(answer.body)
    except JsonInvalid as error:
        raise StoreMisbehaved(f"{what}: {error}") from error
    tags = document.get("tags", ()) if isinstance(document, dict) else ()
    if tags is None:
        return []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise StoreMisbehaved(f"{what}: no list of tags")
    return tags


_PLACES: Final[dict[str, Callable[[RemoteRepository, Digest], object]]] = {
    "api": _referrers,
    "fallback": _fallback,
    "legacy": _legacy,
    "tags": _own_tags,
}


class _Pages:
    """The pages of a listing, one after the other: bounded, from one origin, and none of them twice."""

    def __init__(self, repository: RemoteRepository, first: Url, what: str) -> None:
        self._repository = repository
        self._next: Url | None = first
        self._seen: set[Url] = set()
        self._what = what
        self.absent = False
        """Whether the first page answered 404."""

    def next(self, accept: dict[str, str] | None = None) -> Answer | None:
        """The next page, or None after the last one."""
        url = self._next
        if url is None:
            return None
        if len(self._seen) == limits.PAGES:
            raise LimitExceeded(f"{self._what} have more than {limits.PAGES} pages")
        answer = self._repository.get(url, what=self._what, limit=limits.MANIFEST, accept=accept)
        if answer is None:
            if self._seen:
                raise StoreMisbehaved(f"{self._what}: a page of them is not there")
            self.absent = True
            return None
        self._seen.add(url)
        self._next = self._linked(url, answer)
        return answer

    def _linked(self, url: Url, answer: Answer) -> Url | None:
        link = next_link(answer.headers.getlist("Link"))
        if link is None:
            return None
        try:
            following = url.join(link)
        except ValueError as error:
            raise StoreMisbehaved(f"{self._what}: the link to the next page is unusable: {error}") from error
        if following.origin != self._repository.client.origin:
            raise StoreMisbehaved(f"{self._what}: the next page would be at {following.origin.authority}")
        if following in self._seen:
            raise StoreMisbehaved(f"{self._what}: the pages go in circles")
        return following


def next_link(headers: list[str]) -> str | None:
    """The target of the link with the relation `next` (RFC 8288)."""
    for header in headers:
        for link in _LINK.finditer(header):
            relation = _RELATION.search(link[2])
            if relation is not None and "next" in (relation[1] or relation[2] or "").lower().split():
                return link[1]
    return None


def _check_count(count: int, what: str) -> None:
    if count > limits.REFERRERS:
        raise LimitExceeded(f"{what} are more than {limits.REFERRERS}")
