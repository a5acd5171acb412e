"""The pages of a listing, one after the other (distribution-spec, "Listing Tags"; RFC 8288)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from attest.adapters.registry.repository import RemoteRepository
from attest.adapters.registry.transport import Answer
from attest.adapters.registry.url import Url
from attest.core import limits
from attest.errors import LimitExceeded, StoreMisbehaved

_LINK = re.compile(r'<([^<>]*)>((?:[ \t]*;[ \t]*[A-Za-z*]+(?:[ \t]*=[ \t]*(?:"[^"]*"|[^\s",;]+))?)*)')
_RELATION = re.compile(r';[ \t]*rel[ \t]*=[ \t]*(?:"([^"]*)"|([^\s";,]+))', re.IGNORECASE)


def read_pages(
    repository: RemoteRepository, first: Url, *, what: str, accept: dict[str, str] | None = None
) -> Iterator[Answer]:
    """Each page in turn: a bounded number, all from one origin, and none of them twice. None if the first is a 404.

    Raises:
        LimitExceeded: there are more than `limits.PAGES`, or one is larger than `limits.MANIFEST`.
        StoreError: a page could not be read, or names no usable next one.
    """
    seen: set[Url] = set()
    url: Url | None = first
    while url is not None:
        if len(seen) == limits.PAGES:
            raise LimitExceeded(f"{what} have more than {limits.PAGES} pages")
        answer = repository.get(url, what=what, limit=limits.MANIFEST, accept=accept)
        if answer is None:
            if seen:
                raise StoreMisbehaved(f"{what}: a page of them is not there")
            return
        seen.add(url)
        yield answer
        url = _linked(repository, url, answer, what)
        if url in seen:
            raise StoreMisbehaved(f"{what}: the pages go in circles")


def _linked(repository: RemoteRepository, url: Url, answer: Answer, what: str) -> Url | None:
    link = next_link(answer.headers.getlist("Link"))
    if link is None:
        return None
    try:
        following = url.join(link)
    except ValueError as error:
        raise StoreMisbehaved(f"{what}: the link to the next page is unusable: {error}") from error
    if following.origin != repository.client.origin:
        raise StoreMisbehaved(f"{what}: the next page would be at {following.origin.authority}")
    return following


def next_link(headers: Iterable[str]) -> str | None:
    """The target of the link with the relation `next`, in the values of all `Link` headers."""
    for header in headers:
        for link in _LINK.finditer(header):
            relation = _RELATION.search(link[2])
            if relation is not None and "next" in (relation[1] or relation[2] or "").lower().split():
                return link[1]
    return None
