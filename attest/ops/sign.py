"""Sign a lane's outcome about images, and attach it to each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attest.core.envelope import pae, read_bundle, write_bundle
from attest.core.lane.identitytoken import TokenClaims, disagreements
from attest.core.oci import IN_TOTO, Descriptor
from attest.core.predicates import result_of
from attest.core.reference import Digest, ImageReference, digest_of
from attest.core.statement import Context, format_time, read_statement, write_statement
from attest.core.strictjson import Json
from attest.errors import TokenDisagrees
from attest.ops.named import Named
from attest.ops.parallel import each
from attest.ports import BundleSigner, Clock, Published, Signed, Signer, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An image that is there, with the descriptor that an attestation names it by."""

    image: ImageReference
    descriptor: Descriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Where an attestation is visible now."""

    image: ImageReference
    published: Published


@dataclass(frozen=True, slots=True, kw_only=True)
class Unwitnessed:
    """Signs with a managed key and nobody else; `attest.ports.BundleSigner`."""

    key: Signer

    def sign(self, payload: bytes) -> Signed:
        """A bundle whose time nobody vouches for."""
        signature = self.key.sign(pae(IN_TOTO, payload))
        bundle = write_bundle(payload=payload, signature=signature, hint=self.key.hint)
        return Signed(bundle=bundle, fingerprint=self.key.fingerprint)


def agree(claims: TokenClaims, context: Context) -> None:
    """Let a signature be made only over a context that the identity token confirms.

    Raises:
        TokenDisagrees: source or run is another one; the message names each difference.
    """
    found = disagreements(claims, context)
    if not found:
        return
    hint = "sign in the job that the token is of, without options that name another source or run"
    if claims.job is not None and claims.job.proposed and {one.what for one in found} & {"commit", "ref"}:
        hint = (
            "the token of a pull or merge request may name the merge commit that the forge made up: sign where the "
            "change was pushed; or, if that commit is what was tested, name it with --source-commit and --source-ref"
        )
    raise TokenDisagrees(f"the identity token does not confirm the context: {'; '.join(map(str, found))}", hint=hint)


def describe(store: Store, images: Sequence[ImageReference]) -> tuple[Target, ...]:
    """Find the images, before anything is signed about them.

    Raises:
        StoreError: an image is not there, or could not be read.
    """
    descriptors = each(store.describe, images)
    return tuple(
        Target(image=image, descriptor=descriptor) for image, descriptor in zip(images, descriptors, strict=True)
    )


def sign(
    images: Sequence[Named],
    *,
    signer: BundleSigner,
    context: Context,
    predicate_type: str,
    predicate: Mapping[str, Json],
) -> Signed:
    """One bundle with one Statement v1 about all the images.

    Raises:
        StatementInvalid, PredicateInvalid: what would be signed is nothing that `attest verify` reads.
        ServiceFailed: a service that has a part in signing did not do it.
    """
    result_of(predicate_type, predicate)
    subjects: dict[Digest, str] = {}
    for image in images:
        subjects.setdefault(image.reference.digest, subject_name(image))
    payload = write_statement(subjects=subjects, context=context, predicate_type=predicate_type, predicate=predicate)
    return signer.sign(payload)


def attach(store: Store, targets: Sequence[Target], bundle: bytes, *, clock: Clock) -> tuple[Attachment, ...]:
    """Attach a bundle to each image, and return once it is visible beside all of them.

    Raises:
        EnvelopeInvalid, StatementInvalid: the bytes are no bundle of an in-toto Statement.
        StoreError, NotPublished: at least one image does not show it. Running the same command again is safe.
    """
    statement = read_statement(read_bundle(bundle).payload)
    # The time in the manifest is that of the statement, so that attaching again makes the same manifest.
    created = format_time(statement.context.finished or clock.now())

    def publish(target: Target) -> Attachment:
        published = store.publish(
            target.image, target.descriptor, bundle, predicate_type=statement.predicate_type, created=created
        )
        return Attachment(image=target.image, published=published)

    return tuple(each(publish, targets))


def subject_name(image: Named) -> str:
    """The name that a subject carries for people; nothing ever compares it."""
    return image.reference.digest if image.repository is None else str(image.repository)


def bundle_digest(bundle: bytes) -> Digest:
    """How receipts, `revoked` and people name the bundle."""
    return digest_of(bundle)
