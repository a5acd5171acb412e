"""Both ends of a copy in a registry: reading a repository for it, and writing one.

Every manifest goes by its digest first, and only then under tags: some registries (Gitea, Forgejo) delete what was only
ever pushed by a tag as soon as that tag moves. What is attached gets what attestations of ours have, a tag of its own,
and is put into the list of referrers where the registry does not keep that itself (docs/decisions/0004-publication.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from attest.adapters.registry.crew import Crew, both
from attest.adapters.registry.listing import Lists, Tags, ask_lists, ask_tags
from attest.adapters.registry.repository import Fetched, RemoteRepository
from attest.adapters.registry.retry import pauses
from attest.adapters.registry.settings import RegistrySettings
from attest.adapters.registry.streaming import stream_blob
from attest.adapters.registry.uploading import Uploader
from attest.copyports import Held, Moved
from attest.core import limits
from attest.core.oci import INDEX, Descriptor
from attest.core.promotion.copyplan import Attachment, CopyInvalid, Listed, Part, newer_name
from attest.core.reference import Digest, Repository
from attest.core.referrers import fallback_tag, is_companion_tag, merged_index, own_tag
from attest.core.strictjson import loads, shown
from attest.errors import LimitExceeded, NotFound, NotPublished, StoreError, StoreMisbehaved, TagTaken

if TYPE_CHECKING:
    from attest.adapters.registry.oras_push import Pusher

_WIDTH: Final = 8
"""Requests at once where the work goes through a list of tags."""
_LOOKS: Final = 6
_LISTS: Final = 3
"""How often the list is written where a registry does not take it."""


class RepositorySource:
    """Implements `attest.copyports.CopySource` for an image in a repository. Threads may share it."""

    def __init__(self, repository: RemoteRepository, image: Digest) -> None:
        self._repository = repository
        self._image = image

    @property
    def repository(self) -> Repository:
        """As `attest.copyports.CopySource.repository`."""
        return self._repository.repository

    def image(self) -> Held:
        """As `attest.copyports.CopySource.image`."""
        return _held(self._repository.manifest(self._image))

    def manifest(self, described: Descriptor) -> Held:
        """As `attest.copyports.CopySource.manifest`."""
        try:
            return _held(
                self._repository.client.read_again(lambda: self._repository.manifest(described.digest, described))
            )
        except NotFound as error:
            raise StoreError(
                f"{described.digest} is listed in {self._repository.repository}, but is not there",
                hint="it may have been deleted; its entry must go, too, or it must come back",
            ) from error

    def attached(self, subject: Digest, children: Sequence[Digest]) -> Listed:
        """As `attest.copyports.CopySource.attached`: what both lists and all tags of the scheme name."""
        lists, tags = both(lambda: ask_lists(self._repository, subject), lambda: ask_tags(self._repository, subject))
        entries = lists.entries(tuple(children))
        unlisted = tags.without(entries)
        if len(entries) + len(unlisted) > limits.REFERRERS:
            raise LimitExceeded(f"more than {limits.REFERRERS} manifests are attached to {subject}")
        for tag in tags.others:
            if not is_companion_tag(subject, tag):  # as part of a URL it would lead elsewhere
                raise StoreMisbehaved(f"{self._repository.client.host} lists {shown(tag)} as a tag, which is none")
        found = self._tagged((*unlisted, *tags.others))
        for tag in unlisted:
            if own_tag(subject, found[tag].digest) != tag:
                raise StoreMisbehaved(f"the tag {tag} of {self._repository.repository} was moved")
        return Listed(
            referrers=(*entries, *(found[tag] for tag in unlisted)), names={tag: found[tag] for tag in tags.others}
        )

    def stream(self, blob: Descriptor) -> Iterator[bytes]:
        """As `attest.copyports.CopySource.stream`."""
        return stream_blob(self._repository, blob)

    def _tagged(self, tags: Sequence[str]) -> Mapping[str, Descriptor]:
        found: dict[str, Descriptor] = {}

        def look(tag: str) -> Callable[[], Descriptor]:
            return lambda: self._look(tag)

        def keep(tag: str) -> Callable[[Descriptor], None]:
            return lambda descriptor: found.update({tag: descriptor})

        crew = Crew(width=_WIDTH)
        for tag in tags:
            crew.submit(look(tag), keep(tag), weight=limits.MANIFEST)
        crew.run()
        return found

    def _look(self, tag: str) -> Descriptor:
        fetched = self._repository.tagged(tag)
        if fetched is None:
            raise StoreMisbehaved(f"the tag {tag} is listed in {self._repository.repository}, but is not there")
        return _descriptor(fetched)


class RepositoryTarget:
    """Implements `attest.copyports.CopyTarget` for a repository. Threads may share it."""

    def __init__(self, repository: RemoteRepository, settings: RegistrySettings, pusher: Pusher) -> None:
        self._repository = repository
        self._settings = settings
        self._pusher = pusher
        self._uploader = Uploader(repository, settings)

    def tagged(self, tag: str) -> Digest | None:
        """As `attest.copyports.CopyTarget.tagged`."""
        found = self._repository.tagged(tag)
        return None if found is None else found.digest

    def prepare(self) -> None:
        """As `attest.copyports.CopyTarget.prepare`: a repository is there with the first thing in it."""

    def has(self, blob: Descriptor) -> bool:
        """As `attest.copyports.CopyTarget.has`."""
        return self._uploader.has(blob)

    def take(self, blob: Descriptor, pieces: Callable[[], Iterator[bytes]], *, origin: Repository | None) -> Moved:
        """As `attest.copyports.CopyTarget.take`."""
        return self._uploader.take(blob, pieces, origin=origin)

    def put(self, manifest: Held) -> None:
        """As `attest.copyports.CopyTarget.put`."""
        described = manifest.descriptor
        with suppress(NotFound, StoreMisbehaved):  # what is absent or damaged is pushed
            self._repository.manifest(described.digest, described)
            return
        self._pusher.push_manifest(described.digest, manifest.content, media_type=described.media_type)
        self._repository.client.read_again(lambda: self._repository.manifest(described.digest, described))

    def attach(self, attachment: Attachment) -> None:
        """As `attest.copyports.CopyTarget.attach`."""
        lists, tags = self._ask(attachment)
        self._check_room(attachment, lists, tags)
        self._write_own_tags(attachment, tags)
        for _, pause in zip(range(_LISTS), pauses(self._settings.backoff), strict=False):
            try:
                self._list(attachment)
                break
            except StoreError:  # the list is for other tools; the own tags do not depend on it
                if not self._settings.deadline.allows(pause):
                    break
                time.sleep(pause)
        self._see(attachment)

    def keep_name(self, name: str, part: Part) -> None:
        """As `attest.copyports.CopyTarget.keep_name`."""
        present = self._repository.tagged(name)
        if present is not None and present.digest == part.digest:
            return
        ours = self._repository.manifest(part.digest, part.descriptor)
        try:
            if present is not None and not newer_name(ours.document, present.document):
                return
        except CopyInvalid as error:
            raise StoreError(f"the tag {name} of {self._repository.repository} cannot be copied: {error}") from error
        self._push_at(name, ours)

    def tag(self, tag: str, image: Descriptor) -> None:
        """As `attest.copyports.CopyTarget.tag`."""
        present = self.tagged(tag)
        if present is None:
            self._push_at(tag, self._repository.manifest(image.digest, image))
            present = self.tagged(tag)
        if present != image.digest:
            raise TagTaken(
                f"the tag {tag} of {self._repository.repository} stands for {present or 'nothing'}, not {image.digest}",
                hint="a tag of a promotion is never moved; find out who wrote it, or use another --tag-format",
            )

    def _push_at(self, tag: str, fetched: Fetched) -> None:
        self._pusher.push_manifest(tag, fetched.content, media_type=fetched.document.media_type)

    def _ask(self, attachment: Attachment) -> tuple[Lists, Tags]:
        subject = attachment.subject.digest
        return both(lambda: ask_lists(self._repository, subject), lambda: ask_tags(self._repository, subject))

    def _check_room(self, attachment: Attachment, lists: Lists, tags: Tags) -> None:
        entries = lists.entries()
        coming = {own_tag(attachment.subject.digest, part.digest) for part in attachment.referrers}
        known = {own_tag(attachment.subject.digest, entry.digest) for entry in entries}
        if len(coming | known | set(tags.own)) > limits.REFERRERS:
            raise LimitExceeded(
                f"{attachment.subject.digest} would have more than {limits.REFERRERS} attestations in "
                f"{self._repository.repository}"
            )

    def _write_own_tags(self, attachment: Attachment, tags: Tags) -> None:
        subject = attachment.subject.digest

        def write(part: Part) -> Callable[[], None]:
            def work() -> None:
                self._push_at(own_tag(subject, part.digest), self._repository.manifest(part.digest, part.descriptor))

            return work

        crew = Crew(width=_WIDTH)
        for part in attachment.referrers:
            if own_tag(subject, part.digest) not in tags.own:
                crew.submit(write(part), lambda _: None, weight=part.descriptor.size)
        crew.run()

    def _list(self, attachment: Attachment) -> None:
        """Put into the list at the fallback tag what the registry itself does not list."""
        lists = ask_lists(self._repository, attachment.subject.digest)
        if lists.fallback_is_subject:
            return
        if lists.api is not None and {part.digest for part in attachment.referrers} <= {
            one.digest for one in lists.api
        }:
            return
        present: Mapping[str, Any] | None = None if lists.fallback is None else loads(lists.fallback.content)
        content = merged_index(present, [part.entry for part in attachment.referrers])
        if content is not None:
            self._pusher.push_manifest(fallback_tag(attachment.subject.digest), content, media_type=INDEX)

    def _see(self, attachment: Attachment) -> None:
        """List as a verifier does, until all of it is there."""
        subject = attachment.subject.digest
        for looked, pause in enumerate(pauses(self._settings.backoff), start=1):
            lists, tags = self._ask(attachment)
            listed = {entry.digest for entry in lists.entries()}
            missing = [
                part.digest
                for part in attachment.referrers
                if part.digest not in listed and own_tag(subject, part.digest) not in tags.own
            ]
            if not missing:
                return
            if looked == _LOOKS or not self._settings.deadline.allows(pause):
                break
            time.sleep(pause)
        raise NotPublished(
            f"{missing[0]} is in {self._repository.repository}, which does not list it as attached to {subject}",
            hint="promoting again goes on where this ended; if it stays so, this registry cannot hold attestations",
        )


def _held(fetched: Fetched) -> Held:
    return Held(content=fetched.content, document=fetched.document)


def _descriptor(fetched: Fetched) -> Descriptor:
    return _held(fetched).descriptor
