"""Make the provenance of an image: look at the image and at its bases, and ask the builder's own papers for facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from attest.core import limits
from attest.core.lane.buildfacts import BuildFacts, FactsInvalid, merge, read_metadata, read_provenance
from attest.core.lane.provenance import ProvenanceInvalid, Recipe, diff_ids, is_built_on, provenance, used
from attest.core.oci import (
    Descriptor,
    Index,
    Manifest,
    OciInvalid,
    Platform,
    config_platform,
    is_buildkit_attestation,
)
from attest.core.reference import Digest, ImageReference, LayoutImage, RegistryImage, digest_of
from attest.core.statement import Context, StatementInvalid, read_statement
from attest.core.strictjson import Json
from attest.errors import LimitExceeded, StoreMisbehaved, UsageError
from attest.ports import Store

_OF_INDEX = "the provenance in the image index"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """A platform of an image, and the unpacked layers that it has there."""

    platform: Platform
    diff_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a provenance is asked for, besides what the builder's papers and the image say."""

    image: ImageReference
    recipe: Recipe
    bases: Sequence[RegistryImage] = ()
    """Images that IMAGE is said to be built on: looked at, layer by layer."""
    images: Sequence[RegistryImage] = ()
    """Other images that the build used: each of them is there."""
    containerfile: bytes | None = None
    papers: Mapping[str, Json] | None = None
    """Of each file that describes the build, by name, what it holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A provenance predicate, and what it was made from."""

    predicate: Mapping[str, Json]
    facts: BuildFacts


def make_provenance(store: Store, wanted: Wanted, context: Context) -> Made:
    """The provenance of an image that is there.

    Raises:
        UsageError: what is known does not fit together: papers of another build, a base that is none, a contradiction.
        StoreError, LimitExceeded, DeadlineExceeded: an image could not be read.
    """
    own = platforms_of(store, wanted.image)
    for base in wanted.bases:
        _check_base(own, platforms_of(store, base), wanted.image, base)
    for image in wanted.images:
        store.describe(image)
    try:
        aliases = store.aliases(wanted.image) if wanted.papers else frozenset[Digest]()
        papers = [
            read_metadata(document, place=place, image=aliases) for place, document in (wanted.papers or {}).items()
        ]
        facts = merge([*papers, *_buildkit(store, wanted.image)])
        recipe = replace(
            wanted.recipe,
            bases=[used(base) for base in wanted.bases],
            images=[used(image) for image in wanted.images],
            containerfile_digest=None if wanted.containerfile is None else digest_of(wanted.containerfile),
            platforms=[str(one.platform) for one in own],
        )
        return Made(predicate=provenance(recipe, facts, context), facts=facts)
    except (FactsInvalid, ProvenanceInvalid) as error:
        raise UsageError(f"no provenance: {error}") from error


def platforms_of(store: Store, image: ImageReference) -> tuple[Layers, ...]:
    """The platforms of an image, each with its layers.

    Raises:
        StoreError, LimitExceeded, DeadlineExceeded: it could not be read.
    """
    return tuple(
        _layers(store, image, manifest)
        for child, manifest in _manifests(store, image)
        if child is None or not is_buildkit_attestation(child, manifest)
    )


def _manifests(store: Store, image: ImageReference) -> Iterator[tuple[Descriptor | None, Manifest]]:
    """The image manifests of an image, each with its descriptor in the index if there is one."""
    document = store.manifest(image)
    if isinstance(document, Manifest):
        yield None, document
        return
    if len(document.manifests) > limits.PLATFORMS:
        raise LimitExceeded(f"{image} has more than {limits.PLATFORMS} children")
    for child in document.manifests:
        manifest = store.manifest(_beside(image, child.digest))
        if isinstance(manifest, Index):
            raise StoreMisbehaved(f"{image} has an index in the index, which no policy allows")
        yield child, manifest


def _beside(image: ImageReference, digest: Digest) -> ImageReference:
    if isinstance(image, LayoutImage):
        return LayoutImage(path=image.path, digest=digest)
    return RegistryImage(repository=image.repository, digest=digest)


def _layers(store: Store, image: ImageReference, manifest: Manifest) -> Layers:
    config = store.blob(image, manifest.config, limit=limits.CONFIG)
    try:
        return Layers(platform=config_platform(config), diff_ids=diff_ids(config))
    except OciInvalid as error:
        raise StoreMisbehaved(f"{image}: {error}") from error


def _check_base(own: Sequence[Layers], base: Sequence[Layers], image: ImageReference, named: ImageReference) -> None:
    """A label alone proves nothing: on every platform the image has to begin with the base's layers."""
    by_platform = {one.platform: one.diff_ids for one in base}
    for one in own:
        if not is_built_on(one.diff_ids, by_platform.get(one.platform, ())):
            raise UsageError(
                f"{image} is not built on {named}: on {one.platform} it does not begin with its layers",
                hint="name the image that the last FROM stands for; one that was flattened shows no base",
            )


def _buildkit(store: Store, image: ImageReference) -> Iterator[BuildFacts]:
    """What BuildKit says in the image's index, of each platform."""
    document = store.manifest(image)
    if isinstance(document, Manifest):
        return
    own = {child.digest for child in document.manifests}
    for child, manifest in _manifests(store, image):
        if child is None or not is_buildkit_attestation(child, manifest):
            continue
        for layer in manifest.layers:
            if layer.annotations.get("in-toto.io/predicate-type", "").startswith("https://slsa.dev/provenance/"):
                yield _statement(store.blob(image, layer, limit=limits.BUNDLE), own)


def _statement(content: bytes, own: set[Digest]) -> BuildFacts:
    try:
        statement = read_statement(content)
    except StatementInvalid as error:
        raise FactsInvalid(f"{_OF_INDEX}: {error}") from error
    if not statement.digests & own:
        raise FactsInvalid(f"{_OF_INDEX} is about another image")
    return read_provenance(statement.predicate_type, statement.predicate, place=_OF_INDEX)
