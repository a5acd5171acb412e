"""What the verbs need from the world, as Protocols. Adapters implement them; `attest.cli` joins the two."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from attest.core.document import Document
from attest.core.oci import Descriptor, Index, Manifest
from attest.core.reference import Digest, ImageReference, TagReferences
from attest.core.release import StoredImage

if TYPE_CHECKING:  # importing the ports loads no cryptography: what speaks to a registry needs none
    from attest.core.certificate import Certificate
    from attest.core.image.layercontent import LayerContent
    from attest.core.keys import TrustedKey
    from attest.core.lane.observation import Observation
    from attest.core.lane.outcome import Ended
    from attest.core.lane.testreport import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A bundle found beside an image. Nothing about it is verified but its digests."""

    subject: Digest
    """The manifest that it was listed for."""
    manifest: Digest
    """The referrer that carries it."""
    digest: Digest
    """Of `content`."""
    content: bytes
    legacy: bool
    """A bare DSSE envelope, as cosign before v3 stored it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An attestation that is visible through the same listing that `verify` uses."""

    manifest: Digest
    bundle: Digest


class Reads(Protocol):
    """The half of a store that verifying needs; as a `Store` it is an untrusted pipe."""

    def read(self, image: ImageReference, *, platform: bool, receive: Callable[[Attached], None]) -> StoredImage:
        """Read an image's manifests and everything attached to it and, for an index, to its platforms.

        `receive` is called once for each bundle and subject, as they arrive, never from two threads at once, and
        may raise to stop. With `platform` the configuration of a plain manifest is read for its platform.
        """
        ...


class Store(Reads, Protocol):
    """Where images and their attestations live: a registry, or an OCI image layout.

    A store is an untrusted pipe. It checks every byte against the digest that named it, and it never says
    "absent" where the truth is "could not be read": each method raises `attest.errors.StoreError`,
    `LimitExceeded` or `DeadlineExceeded` instead.
    """

    def resolve(self, tag: TagReferences) -> Digest:
        """The digest that a tag stands for at this moment."""
        ...

    def describe(self, image: ImageReference) -> Descriptor:
        """The image's own descriptor, from its manifest."""
        ...

    def manifest(self, image: ImageReference) -> Manifest | Index:
        """What the image's manifest says."""
        ...

    def blob(self, image: ImageReference, blob: Descriptor, *, limit: int) -> bytes:
        """The bytes of something that a manifest beside this image describes, at most `limit` of them."""
        ...

    def aliases(self, image: ImageReference) -> frozenset[Digest]:
        """Every digest that a container of this image may be known by.

        Those of the image, of its platforms, and of the configurations of both: what engines call an image's id.
        """
        ...

    def publish(
        self, image: ImageReference, subject: Descriptor, bundle: bytes, *, predicate_type: str, created: str
    ) -> Published:
        """Attach a bundle, and return once it is visible in the listing. Attaching it twice is no error."""
        ...

    def store_report(self, image: ImageReference, report: bytes, *, media_type: str) -> Descriptor:
        """Keep a test report beside an image; the descriptor of the manifest that holds it.

        It returns once `fetch_report` gives the same bytes. Keeping it twice is no error.
        """
        ...

    def fetch_report(self, image: ImageReference, report: Digest) -> bytes:
        """The test report of this digest that is kept beside an image, its digest checked.

        Raises:
            NotFound: none is kept.
        """
        ...


class LayerStore(Store, Protocol):
    """A store that hands out layers too, which are too large to be held in memory."""

    def stream(self, image: ImageReference, blob: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob beside this image, piece by piece. Neither their number nor their digest is checked.

        Raises:
            attest.errors.NotFound: it is not there.
        """
        ...

    def holds(self, image: ImageReference, blob: Descriptor) -> bool:
        """Whether a blob of this image can be had from here; it is not fetched."""
        ...


class ImageSource(Protocol):
    """One image with its layers, in a store or in an archive, read without trust."""

    def root(self) -> Descriptor:
        """What was named: an image, or an index of several."""
        ...

    def manifest(self, described: Descriptor) -> Manifest | Index:
        """What a manifest says: that of `root`, or of a child of its index. Its digest was checked."""
        ...

    def blob(self, blob: Descriptor, *, limit: int) -> bytes:
        """The bytes of a blob, at most `limit` of them; size and digest were checked."""
        ...

    def stream(self, blob: Descriptor) -> Iterator[bytes]:
        """The bytes of a blob, piece by piece. Neither their number nor their digest is checked."""
        ...


class ReadLayer(Protocol):
    """Reads a layer from the bytes of its blob, whether they are gzip, zstd or plain."""

    def __call__(
        self,
        pieces: Iterator[bytes],
        layer: Descriptor,
        diff_id: Digest,
        *,
        keep: Callable[[str], int | None],
        progress: Callable[[int], None],
    ) -> LayerContent:
        """The layer, its size, digest and diff_id checked; nothing is unpacked.

        `keep` says of a file's name how many bytes of it are to be kept, or None for nothing of it; a larger one is
        refused. `progress` is told how many bytes of the blob were read so far.

        Raises:
            attest.errors.StoreMisbehaved: the bytes are not those that were described, or no layer.
            attest.errors.LimitExceeded: something in it is larger than we are willing to read.
        """
        ...


class ReadRpmDatabase(Protocol):
    """Reads the package headers in an RPM database of the kind sqlite."""

    def __call__(self, content: bytes) -> Sequence[bytes]:
        """The headers.

        Raises:
            attest.core.image.packages.installed.PackagesInvalid: it is no such database.
        """
        ...


class Signer(Protocol):
    """Signs with one key; the key itself stays behind it."""

    @property
    def public(self) -> TrustedKey:
        """The public half."""
        ...

    @property
    def hint(self) -> str:
        """`verificationMaterial.publicKey.hint` of a bundle: base64 of the SHA-256 of the DER public key."""
        ...

    @property
    def fingerprint(self) -> Digest:
        """SHA-256 of the DER public key, as a policy's `revoked` names it."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature over the message, in the encoding of the DSSE and Sigstore specifications."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A finished bundle, and who signed it since when."""

    bundle: bytes
    fingerprint: Digest
    """SHA-256 of the DER public key that verifies it."""
    certificate: Certificate | None = None
    """Whom the key was certified for; None for a managed key."""
    times: tuple[datetime, ...] = ()
    """When timestamp authorities and logs saw the signature, verified, in UTC."""


class BundleSigner(Protocol):
    """Signs Statements: with a managed key, with one whose signatures are witnessed, or as what a job is."""

    def sign(self, payload: bytes) -> Signed:
        """A Sigstore bundle of the in-toto Statement that the payload is.

        Raises:
            attest.errors.ServiceFailed: a service that has a part in it failed. Nothing was attached to anything.
        """
        ...


class Clock(Protocol):
    """The time of day."""

    def now(self) -> datetime:
        """Now, in UTC."""
        ...


class ReadFile(Protocol):
    """Reads files that a command line, or a document that it names, names."""

    def __call__(self, path: str, *, limit: int) -> bytes:
        """The bytes of a regular file, at most `limit` of them.

        Raises:
            attest.errors.DocumentInvalid: it is not there, no regular file, not readable, or larger.
        """
        ...


class ParseDocument(Protocol):
    """Reads the notation of documents that people write."""

    def __call__(self, content: bytes, *, file: str) -> Document:
        """The document that the bytes are; `file` is for its errors.

        Raises:
            attest.errors.DocumentInvalid: they are none, with the place.
        """
        ...


class RunCommand(Protocol):
    """Runs the command of a lane, with its output passed through."""

    def __call__(self, argv: Sequence[str], *, timeout: float | None) -> Ended:
        """How it ended, however long it took, or after `timeout` seconds.

        Raises:
            attest.errors.UsageError: it could not be started.
        """
        ...


class Observe(Protocol):
    """Asks a container runtime what it runs."""

    def __call__(self) -> Sequence[Observation]:
        """What runs now.

        Raises:
            attest.errors.NotObserved: it is not there, or does not run, or the runtime does not say.
        """
        ...


class RecordArtifacts(Protocol):
    """Hashes files, as in-toto records materials and products."""

    def __call__(self, paths: Sequence[str]) -> Mapping[str, Digest]:
        """The SHA-256 of each file, and of all files below each folder, by its path.

        Raises:
            attest.errors.DocumentInvalid: one of the paths is not there or cannot be read.
        """
        ...


class ReadReports(Protocol):
    """Reads the reports that a lane's command wrote."""

    def __call__(self) -> Sequence[Report]:
        """All of them.

        Raises:
            attest.errors.DocumentInvalid: one is not there, is the one from before the command, or cannot be read.
        """
        ...
