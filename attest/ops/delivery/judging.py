"""Whether a release may run: today's policy, on the evidence where it is pulled from and wherever else it is signed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from attest.core.delivery.records import DeliveredRelease
from attest.core.evaluate import Remembered
from attest.core.oci import Descriptor, Manifest
from attest.core.promotion.copyplan import FOREIGN_LAYERS
from attest.core.reference import Digest, ImageReference, RegistryImage, Repository
from attest.core.release import StoredImage
from attest.core.verdict import Passed, PassedThen, Refused
from attest.core.waiver import Allowed, Answer, Presented, Waived
from attest.errors import InternalError, NotFound
from attest.ops.delivery.site import Site
from attest.ops.named import Named
from attest.ops.parallel import each
from attest.ops.reading import Reading
from attest.ops.verify import Question, verify, verify_waived
from attest.ports import Attached, LayerStore, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A verdict on a release, and by which digests its containers will be known."""

    verdict: Allowed | Refused
    names: Mapping[str, tuple[Digest, ...]]
    """Of each service; empty where it was refused."""


def judge(
    site: Site,
    release: DeliveredRelease,
    *,
    remembered: Remembered | None,
    aged_at: datetime | None,
    everywhere: bool,
    presented: Presented | None = None,
) -> Judged:
    """Today's verdict on a release, as `attest verify` would give it.

    Args:
        site: Where it is to run.
        release: The image of each service.
        remembered: The highest serial of the policy that the ledger has seen.
        aged_at: Where `max-age` is measured, on the way back to a release; None for now.
        everywhere: Whether each repository of the environment's `evidence` has to know the release. What was cleaned
            up there since does not forbid the way back.
        presented: A waiver that somebody named for a deployment; never on the way back.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: it could not be decided.
    """
    store = site.open_store()
    images = tuple(dict.fromkeys(release.services.values()))
    union = _Union(store=store, evidence=site.environment.evidence)
    named = [Named(reference=image, repository=image.repository) for image in images]
    verdict: Answer
    with Reading(union, named, platforms=site.policy.platforms is not None) as reading:
        if presented is None:
            question = Question(commit=release.commit, remembered=remembered, aged_at=aged_at)
            verdict = verify(reading, site.policy, question, clock=site.clock)
        else:
            verdict = verify_waived(
                reading, site.policy, presented, commit=release.commit, remembered=remembered, clock=site.clock
            )
    if everywhere:
        union.expect_all()
    match verdict:
        case Refused():
            return Judged(verdict=verdict, names={})
        case Passed() | Waived():
            aliases = dict(zip(images, each(store.aliases, images), strict=True))
            names = {name: tuple(sorted(aliases[image])) for name, image in release.services.items()}
            return Judged(verdict=verdict, names=names)
        case PassedThen():
            raise InternalError("a verdict of the past, though nobody asked for one")


def gone(site: Site, release: DeliveredRelease) -> str | None:
    """What of a release is no longer where it is pulled from, layers too; None where the registry says it has all.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: it could not be found out.
    """
    store = site.open_store()
    return _missing(store, release, store.holds)


def cannot_be_had(site: Site, release: DeliveredRelease) -> str | None:
    """The same, where whoever tried to fetch it could not: each blob is asked for, and its first bytes are read.

    A registry may say that it has a blob, from what it remembers, and then not have it.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: it could not be found out.
    """
    store = site.open_store()

    def begins(image: RegistryImage, blob: Descriptor) -> bool:
        try:
            next(store.stream(image, blob), b"")
        except NotFound:
            return False
        return True

    return _missing(store, release, begins)


def _missing(
    store: LayerStore, release: DeliveredRelease, has: Callable[[RegistryImage, Descriptor], bool]
) -> str | None:
    def missing(image: RegistryImage) -> str | None:
        try:
            blobs = [blob for manifest in _manifests(store, image) for blob in (manifest.config, *manifest.layers)]
        except NotFound as error:
            return error.message
        pulled = {blob.digest: blob for blob in blobs if blob.media_type not in FOREIGN_LAYERS}
        absent = next((blob for blob in pulled.values() if not has(image, blob)), None)
        return None if absent is None else f"{image.repository} no longer has {absent.digest}, a part of {image}"

    return next(filter(None, each(missing, tuple(dict.fromkeys(release.services.values())))), None)


def _manifests(store: LayerStore, image: RegistryImage) -> Iterator[Manifest]:
    """The image's manifest, of an index those of its platforms."""
    found = store.manifest(image)
    if isinstance(found, Manifest):
        yield found
        return
    for child in found.manifests:
        if _BUILDKIT not in child.annotations:  # unsigned statements, which nothing runs
            one = store.manifest(RegistryImage(repository=image.repository, digest=child.digest))
            if isinstance(one, Manifest):  # no policy allows an index in an index
                yield one


_BUILDKIT: Final = "vnd.docker.reference.type"


@dataclass(slots=True, kw_only=True)
class _Union:
    """`attest.ports.Reads` of the place that images are pulled from, and of the environment's `evidence`."""

    store: Store
    evidence: Sequence[Repository]
    _known: set[Repository] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, image: ImageReference, *, platform: bool, receive: Callable[[Attached], None]) -> StoredImage:
        """As `attest.ports.Reads.read`; one place that cannot be read is an error of all."""
        stored = self.store.read(image, platform=platform, receive=receive)
        for repository in self.evidence:
            elsewhere = RegistryImage(repository=repository, digest=image.digest)
            if elsewhere != image:
                try:
                    self.store.describe(elsewhere)
                except NotFound:
                    continue  # an answer: it is not there, and nothing can be attached to it
                self.store.read(elsewhere, platform=False, receive=receive)
            with self._lock:
                self._known.add(repository)
        return stored

    def expect_all(self) -> None:
        """Raise where a repository had none of the images: nothing would ever be found there.

        Raises:
            NotFound: one had none.
        """
        for repository in self.evidence:
            if repository not in self._known:
                raise NotFound(
                    f"{repository}, which the environment's `evidence` names, has none of the images",
                    hint="see whether it is spelt right; where images never come from does not belong there",
                )
