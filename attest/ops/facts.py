"""Finding out what is known of an image: each layer is read once, from the lowest up, and nothing is unpacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from attest.core import limits
from attest.core.image.config import ReadConfig, read_config
from attest.core.image.facts import ImageFacts, LayerFacts, PlatformFacts
from attest.core.image.stack import Stack, kept_bytes
from attest.core.oci import Descriptor, Index, Manifest, OciInvalid, Platform, is_buildkit_attestation
from attest.core.reference import ImageReference
from attest.errors import LimitExceeded, NotFound, StoreMisbehaved, UsageError
from attest.ports import ImageSource, LayerStore, ReadLayer, ReadRpmDatabase


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the reading of a layer is."""

    platform: Platform
    layer: int
    """From 1."""
    layers: int
    done: int
    """Bytes of its blob."""
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """What layers and databases are read with."""

    layer: ReadLayer
    rpm: ReadRpmDatabase


def quiet(_: Progress) -> None:
    """Tell nobody."""


class StoredImageSource:
    """An image in a store as `attest.ports.ImageSource`."""

    def __init__(self, store: LayerStore, image: ImageReference) -> None:
        self._store = store
        self._image = image

    def root(self) -> Descriptor:
        """As `attest.ports.ImageSource.root`."""
        return self._store.describe(self._image)

    def manifest(self, described: Descriptor) -> Manifest | Index:
        """As `attest.ports.ImageSource.manifest`."""
        found = self._store.manifest(replace(self._image, digest=described.digest))
        if found.media_type != described.media_type:
            raise StoreMisbehaved(f"{described.digest} is not of the type that it is listed with")
        return found

    def blob(self, blob: Descriptor, *, limit: int) -> bytes:
        """As `attest.ports.ImageSource.blob`."""
        return self._store.blob(self._image, blob, limit=limit)

    def stream(self, blob: Descriptor) -> Iterator[bytes]:
        """As `attest.ports.ImageSource.stream`."""
        return self._store.stream(self._image, blob)


def gather_facts(
    source: ImageSource,
    readers: Readers,
    *,
    only: Sequence[Platform] = (),
    progress: Callable[[Progress], None] = quiet,
) -> ImageFacts:
    """Everything that is known of an image, of every platform of it or of those in `only`.

    Raises:
        UsageError: the image has none of a platform in `only`.
        StoreError: something of it could not be read, or is not what was described.
        LimitExceeded: something of it is larger than we are willing to read.
    """
    root = source.root()
    images = list(_images(source, root))
    found = []
    for described, manifest in images:
        config = _config(source, manifest)
        if described.platform is not None and not _same(described.platform, config.platform):
            raise StoreMisbehaved(
                f"{described.digest} is listed for {described.platform}, and its configuration says {config.platform}"
            )
        if not only or any(_same(wanted, config.platform) for wanted in only):
            found.append(_platform_facts(source, described, manifest, config, readers, progress))
    for wanted in only:
        if not any(_same(wanted, facts.platform) for facts in found):
            raise UsageError(f"the image has nothing for {wanted}")
    if not found:
        raise NotFound(f"{root.digest} holds no image that could run")
    return ImageFacts(digest=root.digest, media_type=root.media_type, platforms=tuple(found))


def _images(source: ImageSource, root: Descriptor) -> Iterator[tuple[Descriptor, Manifest]]:
    document = source.manifest(root)
    if isinstance(document, Manifest):
        yield root, document
        return
    if len(document.manifests) > limits.PLATFORMS:
        raise LimitExceeded(f"{root.digest} has more than {limits.PLATFORMS} children")
    for child in document.manifests:
        manifest = source.manifest(child)
        if isinstance(manifest, Index):
            raise StoreMisbehaved(f"{child.digest} is an index in the index {root.digest}, and no image")
        if not is_buildkit_attestation(child, manifest):
            yield child, manifest


def _same(one: Platform, other: Platform) -> bool:
    """Whether two platforms may be the same: a variant counts where both have one."""
    variants = one.variant is None or other.variant is None or one.variant == other.variant
    return (one.os, one.architecture) == (other.os, other.architecture) and variants


def _config(source: ImageSource, manifest: Manifest) -> ReadConfig:
    try:
        config = read_config(source.blob(manifest.config, limit=limits.CONFIG))
    except OciInvalid as error:
        raise StoreMisbehaved(f"the configuration {manifest.config.digest}: {error}") from error
    if len(config.diff_ids) != len(manifest.layers):
        raise StoreMisbehaved(
            f"the configuration {manifest.config.digest} names {len(config.diff_ids)} layers, "
            f"and the manifest {len(manifest.layers)}"
        )
    return config


def _platform_facts(
    source: ImageSource,
    described: Descriptor,
    manifest: Manifest,
    config: ReadConfig,
    readers: Readers,
    progress: Callable[[Progress], None],
) -> PlatformFacts:
    stack = Stack(read_rpm=readers.rpm)
    layers = []
    for position, (layer, diff_id) in enumerate(zip(manifest.layers, config.diff_ids, strict=True)):

        def tell(done: int, position: int = position, layer: Descriptor = layer) -> None:
            progress(
                Progress(
                    platform=config.platform,
                    layer=position + 1,
                    layers=len(manifest.layers),
                    done=done,
                    size=layer.size,
                )
            )

        content = readers.layer(source.stream(layer), layer, diff_id, keep=kept_bytes, progress=tell)
        unpacked = stack.add(content, layer.digest)
        layers.append(
            LayerFacts(
                position=position,
                digest=layer.digest,
                diff_id=diff_id,
                media_type=layer.media_type,
                compressed=layer.size,
                unpacked=unpacked,
                entries=len(content.members),
                created_by=config.created_by(position),
            )
        )
    return stack.facts(manifest=manifest, digest=described.digest, config=config, layers=tuple(layers))
