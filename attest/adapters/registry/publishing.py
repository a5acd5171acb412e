"""Attaching a bundle so that it stays attached, however many others do the same at once.

1. the bundle and the empty configuration: an upload is begun, 2. and ended, while tags are asked for;
3. the manifest, by its digest, while it is asked what is listed already;
4. the attestation's own tag and, on a registry without the referrers API, its entry in the list at the fallback
   tag, together with every other attestation that has a tag and no entry;
5. it is listed as a verifier lists, until the attestation is there.

The own tag is what counts: nobody else writes it. The list is for tools that know nothing else; others may
overwrite it at any time, registries that keep it themselves have been seen to lose entries of it under load, and
whoever sees that puts the entries back. Why so: docs/decisions/0004-publication.md.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Final

from attest.adapters.registry.crew import both
from attest.adapters.registry.listing import Lists, Tags, ask_lists, ask_tags
from attest.adapters.registry.oras_push import Pusher
from attest.adapters.registry.repository import RemoteRepository
from attest.adapters.registry.retry import pauses
from attest.adapters.registry.settings import RegistrySettings
from attest.core import limits
from attest.core.oci import EMPTY_BLOB, INDEX, MANIFEST, Descriptor, Manifest, attestation_manifest, parse_manifest
from attest.core.reference import digest_of
from attest.core.referrers import fallback_tag, merged_index, own_tag, referrer_descriptor
from attest.core.strictjson import loads
from attest.errors import LimitExceeded, NotPublished, StoreError, Undecided
from attest.ports import Published

_INLINE: Final = 64 * 1024
"""Bytes of a bundle up to which it also stands in the manifest, where readers have it one request earlier."""
_LOOKS: Final = 9
_MERGES: Final = 3


class Publication:
    """One bundle on its way to one image; used once, by one thread."""

    def __init__(
        self,
        repository: RemoteRepository,
        settings: RegistrySettings,
        *,
        subject: Descriptor,
        bundle: bytes,
        predicate_type: str,
        created: str,
    ) -> None:
        self._repository = repository
        self._settings = settings
        self._pusher = Pusher(repository)
        self._subject = subject
        self._bundle = bundle
        self._manifest = attestation_manifest(
            bundle=bundle,
            subject=subject,
            predicate_type=predicate_type,
            created=created,
            inline=len(bundle) <= _INLINE,
        )
        parsed = parse_manifest(self._manifest)
        if not isinstance(parsed, Manifest):
            raise AssertionError("an attestation is a manifest")
        self._parsed = parsed
        self._digest = digest_of(self._manifest)
        self._own_tag = own_tag(subject.digest, self._digest)
        self._listed = False

    def publish(self) -> Published:
        """Push, make visible, read back.

        Raises:
            NotPublished: it does not become visible.
            LimitExceeded: so much is attached already that no verifier would read one more.
            StoreError, DeadlineExceeded: the registry did not take it, or could not be asked.
        """
        _, tags = both(self._push_blobs, self._ask_tags)
        headers, lists = both(
            lambda: self._pusher.push_manifest(self._digest, self._manifest, media_type=MANIFEST), self._ask_lists
        )
        self._check_room(lists, tags)
        if headers.get("OCI-Subject") == self._subject.digest and lists.api is not None:
            self._write_own_tag()  # the registry keeps the list, yet not every registry keeps all of it
        else:
            self._tag(lists, tags)
        self._settle(*self._see())
        return Published(manifest=self._digest, bundle=digest_of(self._bundle))

    def _push_blobs(self) -> None:
        both(lambda: self._pusher.push_blob(self._bundle), lambda: self._pusher.push_blob(EMPTY_BLOB))

    def _ask_lists(self) -> Lists:
        return ask_lists(self._repository, self._subject.digest)

    def _ask_tags(self) -> Tags:
        return ask_tags(self._repository, self._subject.digest)

    def _check_room(self, lists: Lists, tags: Tags) -> None:
        entries = lists.entries()
        known = {self._digest, *(entry.digest for entry in entries)}
        if len(known) + len([tag for tag in tags.without(entries) if tag != self._own_tag]) > limits.REFERRERS:
            raise LimitExceeded(f"{self._subject.digest} has {limits.REFERRERS} attestations already")

    def _write_own_tag(self) -> None:
        self._pusher.push_manifest(self._own_tag, self._manifest, media_type=MANIFEST)

    def _tag(self, lists: Lists, tags: Tags) -> None:
        """Write the own tag, and beside it the list."""
        _, written = both(self._write_own_tag, lambda: self._try_to_write_list(lists, tags))
        if not written:  # docker-registry cannot find a manifest while a tag of it is written
            self._try_to_write_list(lists, tags)
        self._listed = True

    def _see(self) -> tuple[Lists, Tags]:
        """List until the attestation is there."""
        for looked, pause in enumerate(pauses(self._settings.backoff), start=1):
            lists, tags = both(self._ask_lists, self._ask_tags)
            if self._own_tag in tags.own or any(entry.digest == self._digest for entry in lists.entries()):
                return lists, tags
            if not self._listed:  # the registry said that it lists, and does not
                self._tag(lists, tags)
            elif looked < _LOOKS and self._settings.deadline.allows(pause):
                time.sleep(pause)
            else:
                break
        raise NotPublished(
            f"{self._digest} was pushed to {self._repository.repository}, which does not list it as attached to "
            f"{self._subject.digest}",
            hint="signing again does no harm; if it stays so, this registry cannot hold attestations",
        )

    def _settle(self, lists: Lists, tags: Tags) -> None:
        """Put entries back that others took out of the list; the attestation is visible in any case."""
        with suppress(Undecided):
            for looked, pause in enumerate(islice(pauses(self._settings.backoff), _MERGES)):
                if not tags.without(lists.entries()) or not self._settings.deadline.allows(pause):
                    return
                time.sleep(pause)
                lists, tags = both(self._ask_lists, self._ask_tags)
                if lists.api is not None and looked == 0:
                    self._push_again(lists, tags)
                else:
                    self._write_list(lists, tags)

    def _push_again(self, lists: Lists, tags: Tags) -> None:
        """A registry that lost entries of its own list takes them up once more with their manifests."""
        for tag in tags.without(lists.entries()):
            found = self._repository.tagged(tag)
            if found is not None and isinstance(found.document, Manifest):
                self._pusher.push_manifest(found.digest, found.content, media_type=found.document.media_type)

    def _try_to_write_list(self, lists: Lists, tags: Tags) -> bool:
        """Whether it was written. If not, `_settle` tries again, and the own tag does not depend on it."""
        try:
            self._write_list(lists, tags)
        except StoreError:
            return False
        return True

    def _write_list(self, lists: Lists, tags: Tags) -> None:
        """Add to the list what has a tag and no entry. There is none to write where the tag means the image."""
        if lists.fallback_is_subject:
            return
        entries = [referrer_descriptor(self._manifest, self._parsed)]
        for tag in tags.without(lists.entries()):
            if tag != self._own_tag:
                entries.extend(self._entry(tag))
        present: Mapping[str, Any] | None = None if lists.fallback is None else loads(lists.fallback.content)
        content = merged_index(present, entries)
        if content is not None:
            self._pusher.push_manifest(fallback_tag(self._subject.digest), content, media_type=INDEX)

    def _entry(self, tag: str) -> list[dict[str, Any]]:
        found = self._repository.tagged(tag)
        if found is None or not isinstance(found.document, Manifest):
            return []
        return [referrer_descriptor(found.content, found.document)]
