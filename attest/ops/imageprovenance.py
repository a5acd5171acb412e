"""What is said of the build of an image beside it: attached provenance, and what BuildKit put into its index.

None of it is verified. The checks of a contract compare it as they compare labels; that a build lane signed it is for a
policy to demand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from attest.core import limits
from attest.core.contract import BuildClaim, read_claim
from attest.core.envelope import EnvelopeInvalid, read_bundle, read_envelope
from attest.core.lane.buildfacts import FactsInvalid
from attest.core.oci import Index, Manifest, is_buildkit_attestation
from attest.core.predicates import PROVENANCE_V02, PROVENANCE_V1
from attest.core.reference import Digest, ImageReference
from attest.core.statement import Statement, StatementInvalid, read_statement
from attest.errors import LimitExceeded
from attest.ports import Attached, ImageSource, Reads

_PROVENANCE: Final = frozenset({PROVENANCE_V1, PROVENANCE_V02})


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """One provenance of an image."""

    digest: Digest
    """Of the bundle, or of the statement that BuildKit stored."""
    claim: BuildClaim | None
    """What it says; None where it could not be read."""
    problem: str | None = None
    """Why it could not. Foreign text."""


def find_provenance(source: ImageSource, store: Reads, image: ImageReference | None) -> tuple[Provenance, ...]:
    """Every provenance that is about an image or a platform of it, each once, sorted by digest.

    `image` is where bundles may be attached; None for an image in an archive, which has no such place. Whatever else is
    attached, and what is no statement about the image, is passed over.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: something could not be listed or read.
    """
    found: dict[Digest, Provenance] = {}

    def keep(digest: Digest, statement: Statement, subjects: frozenset[Digest]) -> None:
        if statement.predicate_type in _PROVENANCE and statement.digests & subjects:
            found[digest] = _provenance(digest, statement)

    for digest, content, subjects in _from_builder(source):
        with suppress(StatementInvalid):
            keep(digest, read_statement(content), subjects)

    def receive(attached: Attached) -> None:
        with suppress(EnvelopeInvalid, StatementInvalid):
            envelope = read_envelope(attached.content) if attached.legacy else read_bundle(attached.content)
            keep(attached.digest, read_statement(envelope.payload), frozenset({attached.subject}))

    if image is not None:
        store.read(image, platform=False, receive=receive)
    return tuple(found[digest] for digest in sorted(found))


def _provenance(digest: Digest, statement: Statement) -> Provenance:
    try:
        claim = read_claim(statement.predicate_type, statement.predicate, place=digest)
    except FactsInvalid as error:
        return Provenance(digest=digest, claim=None, problem=str(error))
    return Provenance(digest=digest, claim=claim)


def _from_builder(source: ImageSource) -> Iterator[tuple[Digest, bytes, frozenset[Digest]]]:
    """BuildKit's statements in an index, with their digests and what they may be about."""
    document = source.manifest(source.root())
    if isinstance(document, Manifest):
        return
    if len(document.manifests) > limits.PLATFORMS:
        raise LimitExceeded(f"the index has more than {limits.PLATFORMS} children")
    subjects = frozenset(child.digest for child in document.manifests)
    for child in document.manifests:
        manifest = source.manifest(child)
        if isinstance(manifest, Index) or not is_buildkit_attestation(child, manifest):
            continue
        for layer in manifest.layers:
            yield layer.digest, source.blob(layer, limit=limits.BUNDLE), subjects
