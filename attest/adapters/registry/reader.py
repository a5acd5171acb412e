"""Reading an image and all that is attached to it: three requests deep, however much is attached.

1. the image's manifest, and the places of `listing` that say what is attached;
2. the attached manifests; the configuration of a plain image; the children of an index, and what is attached to
   those;
3. the bundles, where they do not stand in the manifests themselves.

An index adds one step, since its children are known after the first. What was listed and cannot be read is an
error: it may be the very attestation that refuses the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from attest.adapters.registry.budget import Budget
from attest.adapters.registry.crew import Crew
from attest.adapters.registry.listing import Lists, Tags, ask_tags, submit_lists
from attest.adapters.registry.repository import Fetched, RemoteRepository
from attest.core import limits
from attest.core.oci import (
    DOCKER_LIST,
    INDEX,
    Descriptor,
    Index,
    Manifest,
    OciInvalid,
    Platform,
    config_platform,
    is_buildkit_attestation,
)
from attest.core.reference import Digest
from attest.core.referrers import BundleLayer, bundle_layers, legacy_tag, own_tag
from attest.core.release import ChildKind, StoredChild, StoredImage
from attest.errors import LimitExceeded, NotFound, StoreError, StoreMisbehaved
from attest.ports import Attached


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a bundle was found: for which subject, in which manifest, and of which form."""

    subject: Digest
    manifest: Digest
    legacy: bool


class ImageReader:
    """One reading of one image; used once, by one thread."""

    def __init__(
        self,
        repository: RemoteRepository,
        image: Digest,
        *,
        platform: bool,
        budget: Budget,
        receive: Callable[[Attached], None],
    ) -> None:
        self._repository = repository
        self._image = image
        self._want_platform = platform
        self._budget = budget
        self._receive = receive
        self._crew = Crew()
        self._root: Fetched | None = None
        self._root_lists: Lists | None = None
        self._entries: dict[Digest, tuple[Descriptor, ...]] = {}
        """By subject whose lists are known: what they name."""
        self._tags: dict[Digest, Tags] = {}
        self._platform: Platform | None = None
        self._kinds: dict[Digest, ChildKind] = {}
        self._subjects: dict[Digest, list[Digest]] = {}
        """By an attached manifest that is on its way: what it is attached to."""
        self._places: dict[Digest, list[_Place]] = {}
        """By a bundle that is on its way: where it stands."""
        self._received: set[tuple[Digest, Digest, bool]] = set()

    def read(self) -> StoredImage:
        """Read everything; `receive` gets each bundle as it arrives.

        Raises:
            NotFound: the image is not there.
            StoreError, LimitExceeded, DeadlineExceeded: something of it could not be read.
        """
        self._crew.submit(lambda: self._repository.manifest(self._image), self._have_root, weight=limits.MANIFEST)
        submit_lists(self._crew, self._repository, self._image, self._have_root_lists)
        self._ask_tags(self._image)
        self._crew.run()
        if self._root is None:
            raise AssertionError("the crew is done without the root")
        document = self._root.document
        return StoredImage(
            descriptor=Descriptor(
                media_type=document.media_type, digest=self._root.digest, size=len(self._root.content)
            ),
            children=tuple(
                StoredChild(digest=child.digest, platform=child.platform, kind=self._kinds[child.digest])
                for child in document.manifests
            )
            if isinstance(document, Index)
            else None,
            platform=self._platform,
        )

    # The image itself

    def _have_root(self, root: Fetched) -> None:
        self._root = root
        match root.document:
            case Index() as index:
                self._read_children(index)
            case Manifest() as manifest:
                if self._want_platform:
                    self._crew.submit(
                        lambda: self._repository.blob(manifest.config, limit=limits.CONFIG),
                        self._have_config,
                        weight=manifest.config.size,
                    )
        self._root_is_listed()

    def _have_root_lists(self, lists: Lists) -> None:
        self._root_lists = lists
        self._root_is_listed()

    def _root_is_listed(self) -> None:
        """Once both are there: a list is told from the image itself by the image's own children."""
        if self._root is None or self._root_lists is None:
            return
        children = self._root.document.manifests if isinstance(self._root.document, Index) else ()
        self._have_lists(self._root_lists, tuple(child.digest for child in children))

    def _have_config(self, config: bytes) -> None:
        try:
            self._platform = config_platform(config)
        except OciInvalid as error:
            raise StoreMisbehaved(f"{self._image} of {self._repository.repository}: {error}") from error

    # The children of an index

    def _read_children(self, index: Index) -> None:
        if len(index.manifests) > limits.PLATFORMS:
            raise LimitExceeded(f"the index {self._image} has more than {limits.PLATFORMS} children")
        by_digest = {child.digest: child for child in index.manifests}
        for child in by_digest.values():
            self._crew.submit(self._fetching(child), self._classifying(child), weight=child.size)
            if child.media_type not in (INDEX, DOCKER_LIST) and not _claims_to_be_buildkit(child):
                self._list_child(child.digest)

    def _classifying(self, child: Descriptor) -> Callable[[Fetched], None]:
        def classify(fetched: Fetched) -> None:
            match fetched.document:
                case Index():
                    self._kinds[child.digest] = ChildKind.INDEX
                case Manifest() as manifest if is_buildkit_attestation(child, manifest):
                    self._kinds[child.digest] = ChildKind.ATTESTATION
                case Manifest():
                    self._kinds[child.digest] = ChildKind.PLATFORM
                    if _claims_to_be_buildkit(child):
                        self._list_child(child.digest)

        return classify

    def _list_child(self, child: Digest) -> None:
        submit_lists(self._crew, self._repository, child, self._have_lists)
        self._ask_tags(child)

    # What is attached

    def _have_lists(self, lists: Lists, platforms: tuple[Digest, ...] = ()) -> None:
        entries = lists.entries(platforms)
        self._entries[lists.subject] = entries
        for entry in entries:
            self._read_entry(lists.subject, entry)
        self._subject_is_listed(lists.subject)

    def _ask_tags(self, subject: Digest) -> None:
        self._crew.submit(lambda: ask_tags(self._repository, subject), self._have_tags, weight=limits.MANIFEST)

    def _have_tags(self, tags: Tags) -> None:
        self._tags[tags.subject] = tags
        if tags.legacy:
            self._crew.submit(
                lambda: self._fetch_tag(legacy_tag(tags.subject)),
                lambda found: self._read_attached(tags.subject, found),
                weight=limits.MANIFEST,
            )
        self._subject_is_listed(tags.subject)

    def _subject_is_listed(self, subject: Digest) -> None:
        """Once lists and tags are there: read what only its own tag names."""
        if subject not in self._entries or subject not in self._tags:
            return
        entries = self._entries[subject]
        unlisted = self._tags[subject].without(entries)
        if len(entries) + len(unlisted) > limits.REFERRERS:
            raise LimitExceeded(f"more than {limits.REFERRERS} manifests are attached to {subject}")
        for tag in unlisted:
            self._crew.submit(
                self._fetching_own(subject, tag),
                lambda found: self._read_attached(subject, found),
                weight=limits.MANIFEST,
            )

    def _read_entry(self, subject: Digest, entry: Descriptor) -> None:
        subjects = self._subjects.setdefault(entry.digest, [])
        subjects.append(subject)
        if len(subjects) > 1:
            return  # it is on its way

        def attached(fetched: Fetched) -> None:
            for each in self._subjects.pop(entry.digest):
                self._read_attached(each, fetched)

        self._crew.submit(self._fetching_listed(entry), attached, weight=entry.size)

    def _read_attached(self, subject: Digest, fetched: Fetched) -> None:
        if isinstance(fetched.document, Index):
            return
        layers = bundle_layers(fetched.document)
        if len(layers) > limits.REFERRERS:
            raise LimitExceeded(f"{fetched.digest} holds more than {limits.REFERRERS} attestations")
        for layer in layers:
            place = _Place(subject, fetched.digest, layer.legacy)
            self._read_bundle(place, layer)

    # Bundles

    def _read_bundle(self, place: _Place, layer: BundleLayer) -> None:
        bundle = layer.descriptor
        if bundle.data is not None:
            if not bundle.describes(bundle.data):  # its size is bounded by the manifest's
                raise StoreMisbehaved(f"{place.manifest} holds other bytes than it describes as {bundle.digest}")
            self._budget.spend(bundle.size)
            self._hand_on(place, bundle.digest, bundle.data)
            return
        places = self._places.setdefault(bundle.digest, [])
        places.append(place)
        if len(places) > 1:
            return
        self._budget.spend(bundle.size)

        def arrived(content: bytes) -> None:
            for each in self._places.pop(bundle.digest):
                self._hand_on(each, bundle.digest, content)

        self._crew.submit(lambda: self._repository.blob(bundle, limit=limits.BUNDLE), arrived, weight=bundle.size)

    def _hand_on(self, place: _Place, digest: Digest, content: bytes) -> None:
        key = (place.subject, digest, place.legacy)
        if key in self._received:
            return
        self._received.add(key)
        self._receive(
            Attached(
                subject=place.subject,
                manifest=place.manifest,
                digest=digest,
                content=content,
                legacy=place.legacy,
            )
        )

    # Work for other threads

    def _fetching(self, described: Descriptor) -> Callable[[], Fetched]:
        return lambda: self._repository.manifest(described.digest, described)

    def _fetching_listed(self, entry: Descriptor) -> Callable[[], Fetched]:
        def fetch() -> Fetched:
            try:
                return self._repository.client.read_again(lambda: self._repository.manifest(entry.digest, entry))
            except NotFound as error:
                raise StoreError(
                    f"{entry.digest} is listed as attached in {self._repository.repository}, but is not there",
                    hint="it may have been deleted; its entry in the list must go, too, or it must come back",
                ) from error

        return fetch

    def _fetching_own(self, subject: Digest, tag: str) -> Callable[[], Fetched]:
        def fetch() -> Fetched:
            found = self._fetch_tag(tag)
            if own_tag(subject, found.digest) != tag:
                raise StoreMisbehaved(f"the tag {tag} of {self._repository.repository} was moved")
            return found

        return fetch

    def _fetch_tag(self, tag: str) -> Fetched:
        def fetch() -> Fetched:
            found = self._repository.tagged(tag)
            if found is None:
                raise StoreMisbehaved(f"the tag {tag} is listed in {self._repository.repository}, but is not there")
            return found

        return self._repository.client.read_again(fetch)


def _claims_to_be_buildkit(child: Descriptor) -> bool:
    """Whether the index says that a child is BuildKit's; its manifest has the last word."""
    return child.platform == Platform(os="unknown", architecture="unknown")
