"""Which manifests are attached to a digest: the union of all the places where a registry may say so.

The referrers API, the list at the fallback tag, the own tags of attestations, and the tag of cosign before v3.
None of them can be trusted to be complete, and none of them may be skipped. A 404 is "nothing here"; anything
else that is no list is an error, never absence. No entry is passed over for what a list says about its type.
Sources: distribution-spec v1.1, "Listing Referrers", "Referrers Tag Schema", "Listing Tags".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from attest.adapters.registry.crew import Crew, both
from attest.adapters.registry.pages import read_pages
from attest.adapters.registry.repository import Fetched, RemoteRepository, parse_answer
from attest.adapters.registry.transport import Answer
from attest.core import limits
from attest.core.oci import INDEX, Descriptor, Index
from attest.core.reference import Digest
from attest.core.referrers import fallback_tag, is_own_tag, legacy_tag, own_tag
from attest.core.strictjson import Json, JsonInvalid, loads
from attest.errors import LimitExceeded, StoreMisbehaved

_TAGS_A_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """What the two lists of referrers say is attached to `subject`."""

    subject: Digest
    api: tuple[Descriptor, ...] | None
    """Of the referrers API; None where the registry has none."""
    fallback: Fetched | None
    """What the fallback tag stands for, which need not be a list."""

    def entries(self, platforms: tuple[Digest, ...] = ()) -> tuple[Descriptor, ...]:
        """The entries of both, each digest once.

        Some registries (GitLab) take the fallback tag for the digest itself: then the answer is the image, or has
        the image's own `platforms` as children, and lists no referrers.

        Raises:
            StoreMisbehaved: the fallback tag stands for neither a list nor the image, or one digest is listed with
                two sizes or types.
            LimitExceeded: there are more than `limits.REFERRERS`.
        """
        found: dict[Digest, Descriptor] = {}
        for entry in (*(self.api or ()), *self._fallback_entries(platforms)):
            known = found.setdefault(entry.digest, entry)
            if (known.size, known.media_type) != (entry.size, entry.media_type):
                raise StoreMisbehaved(f"{entry.digest} is listed with two sizes or types")
        _check_count(len(found), self.subject)
        return tuple(found.values())

    @property
    def fallback_is_subject(self) -> bool:
        """Whether the registry takes the fallback tag for the digest itself."""
        return self.fallback is not None and self.fallback.digest == self.subject

    def _fallback_entries(self, platforms: tuple[Digest, ...]) -> tuple[Descriptor, ...]:
        if self.fallback is None or self.fallback_is_subject:
            return ()
        document = self.fallback.document
        if not isinstance(document, Index):
            raise StoreMisbehaved(f"the tag {fallback_tag(self.subject)} is no list of referrers")
        entries = document.manifests
        if platforms and entries and {entry.digest for entry in entries} <= set(platforms):
            return ()
        return entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """What the tags of a repository say is attached to `subject`."""

    subject: Digest
    own: tuple[str, ...]
    """The own tags of attestations."""
    legacy: bool
    """Whether there is the tag of cosign before v3."""
    others: tuple[str, ...] = ()
    """All further tags of the scheme: that one too, signatures of cosign before v3, test reports."""

    def without(self, entries: Iterable[Descriptor]) -> tuple[str, ...]:
        """The own tags whose manifests are not among the entries."""
        named = {own_tag(self.subject, entry.digest) for entry in entries}
        return tuple(tag for tag in self.own if tag not in named)


def submit_lists(crew: Crew, repository: RemoteRepository, subject: Digest, done: Callable[[Lists], None]) -> None:
    """Ask for both lists at once, and call `done` when both have answered."""
    api: list[tuple[Descriptor, ...] | None] = []
    fallback: list[Fetched | None] = []

    def check() -> None:
        if api and fallback:
            done(Lists(subject=subject, api=api[0], fallback=fallback[0]))

    def have_api(entries: tuple[Descriptor, ...] | None) -> None:
        api.append(entries)
        check()

    def have_fallback(fetched: Fetched | None) -> None:
        fallback.append(fetched)
        check()

    crew.submit(lambda: _ask_api(repository, subject), have_api, weight=limits.MANIFEST)
    crew.submit(lambda: _ask_fallback(repository, subject), have_fallback, weight=limits.MANIFEST)


def ask_lists(repository: RemoteRepository, subject: Digest) -> Lists:
    """Both lists.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: one of them could not be read.
    """
    api, fallback = both(lambda: _ask_api(repository, subject), lambda: _ask_fallback(repository, subject))
    return Lists(subject=subject, api=api, fallback=fallback)


def ask_tags(repository: RemoteRepository, subject: Digest) -> Tags:
    """The tags of a digest's attestations, which stand right behind its fallback tag where tags are ordered.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: the tags could not be read.
    """
    prefix = fallback_tag(subject)
    found = list_tags(repository, prefix)
    own = tuple(sorted(tag for tag in found if is_own_tag(subject, tag)))
    _check_count(len(own), subject)
    others = tuple(sorted(tag for tag in found.difference(own) if tag.startswith(f"{prefix}.")))
    _check_count(len(others), subject)
    return Tags(subject=subject, own=own, legacy=legacy_tag(subject) in found, others=others)


def list_tags(repository: RemoteRepository, prefix: str) -> frozenset[str]:
    """All tags that begin so; none where the registry knows no such repository.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: the tags could not be read.
    """
    what = f"the tags of {repository.repository}"
    found: set[str] = set()
    first = repository.url(f"tags/list?n={_TAGS_A_PAGE}&last={quote(prefix)}")
    for answer in read_pages(repository, first, what=what):
        tags = _tags(answer, what)
        found.update(tag for tag in tags if tag.startswith(prefix))
        if tags and tags == sorted(tags) and tags[0] > prefix and not tags[-1].startswith(prefix):
            break  # an ordered page that ends behind ours
    return frozenset(found)


def _ask_api(repository: RemoteRepository, subject: Digest) -> tuple[Descriptor, ...] | None:
    what = f"the referrers of {subject} in {repository.repository}"
    found: list[Descriptor] | None = None
    pages = read_pages(repository, repository.url(f"referrers/{subject}"), what=what, accept={"Accept": INDEX})
    for answer in pages:
        page = parse_answer(answer, what)
        if not isinstance(page, Index) or page.media_type != INDEX:
            raise StoreMisbehaved(f"{what}: not an image index")
        found = [*(found or ()), *page.manifests]
        _check_count(len(found), subject)
    return None if found is None else tuple(found)


def _ask_fallback(repository: RemoteRepository, subject: Digest) -> Fetched | None:
    found = repository.tagged(fallback_tag(subject))
    if found is not None and isinstance(found.document, Index):
        _check_count(len(found.document.manifests), subject)
    return found


def _tags(answer: Answer, what: str) -> list[str]:
    try:
        document: Json = loads(answer.body)
    except JsonInvalid as error:
        raise StoreMisbehaved(f"{what}: {error}") from error
    if not isinstance(document, dict) or "tags" not in document:
        raise StoreMisbehaved(f"{what}: no list of tags")
    tags = document["tags"]
    if tags is None:  # docker-registry, for none
        return []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise StoreMisbehaved(f"{what}: no list of tags")
    return tags


def _check_count(count: int, subject: Digest) -> None:
    if count > limits.REFERRERS:
        raise LimitExceeded(f"more than {limits.REFERRERS} manifests are listed as attached to {subject}")
