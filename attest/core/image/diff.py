"""How two images differ: configuration, packages, files, set-id files, executables, sizes and layers, each difference
with the layer and the build step that brought it.

Files are compared by what is known of them, and their bytes are not: a file that another layer wrote again, alike in
everything that is known, is among `rewritten`. Where that is empty, what a container sees is the same.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher

from attest.core.image.change import Change, Changes, Steps, cut, shown
from attest.core.image.facts import FileFacts, ImageFacts, Kind, LayerFacts, PlatformFacts
from attest.core.image.origin import Origin, Origins
from attest.core.jsonpointer import END
from attest.core.lock.document import platform_document
from attest.core.lock.locked import diff_ids, locked_platform, platforms_by_name
from attest.core.reference import Digest
from attest.core.strictjson import Json


class Section(enum.Enum):
    """A group of differences, in the order in which they are told."""

    CONFIG = "config"
    """And annotations of the manifest."""
    PACKAGES = "packages"
    FILES = "files"
    SETID = "setid"
    EXECUTABLES = "executables"
    SIZE = "size"
    LAYERS = "layers"
    """By their uncompressed content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformDiff:
    """How the images of one platform differ."""

    platform: str
    before: PlatformFacts
    after: PlatformFacts
    changes: Mapping[Section, tuple[Change, ...]]
    """Every section, those without a difference too."""
    rewritten: tuple[str, ...]
    """Files of both that different layers wrote, alike in kind, mode, owner and size; whether their bytes are the same
    is not known. Sorted."""

    @property
    def count(self) -> int:
        """How many differences there are."""
        return sum(map(len, self.changes.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDiff:
    """How two images differ."""

    before: Digest
    after: Digest
    platforms: tuple[PlatformDiff, ...]
    """Those that both have, sorted by name."""
    only_before: tuple[str, ...]
    """Platforms that the latter image does not have."""
    only_after: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether there is any difference. Layers are compared by content, so what nobody could read counts as well."""
        return bool(self.only_before or self.only_after or any(each.count for each in self.platforms))


def diff_images(before: ImageFacts, after: ImageFacts) -> ImageDiff:
    """How the latter image differs from the former; platforms are matched by name.

    Raises:
        Undecided: one of the images has a platform twice.
    """
    old, new = platforms_by_name(before), platforms_by_name(after)
    return ImageDiff(
        before=before.digest,
        after=after.digest,
        platforms=tuple(_platform(name, old[name], new[name]) for name in old if name in new),
        only_before=tuple(name for name in old if name not in new),
        only_after=tuple(name for name in new if name not in old),
    )


def _platform(name: str, before: PlatformFacts, after: PlatformFacts) -> PlatformDiff:
    origins, former = Origins(after), Origins(before)
    changes = Changes(before=_document(before), after=_document(after), origins=origins, former=former)
    sections: dict[Section, Callable[[], Iterator[Change]]] = {
        Section.CONFIG: changes.config,
        Section.PACKAGES: changes.packages,
        Section.FILES: lambda: _files(before, after, origins, former),
        Section.SETID: changes.setid,
        Section.EXECUTABLES: changes.executables,
        Section.SIZE: changes.size,
        Section.LAYERS: lambda: _layers(before, after, origins, former),
    }
    return PlatformDiff(
        platform=name,
        before=before,
        after=after,
        changes={section: tuple(found()) for section, found in sections.items()},
        rewritten=tuple(_rewritten(before, after)),
    )


def _document(facts: PlatformFacts) -> dict[str, Json]:
    """As a lock has it, with what a lock leaves out because it differs from build to build."""
    document = platform_document(locked_platform(facts))
    config = facts.config
    document["config"] |= {
        "annotations": dict(facts.annotations),
        "author": config.author,
        "created": config.created,
        "labels": dict(config.labels),
    }
    return document


def _files(before: PlatformFacts, after: PlatformFacts, origins: Origins, former: Origins) -> Iterator[Change]:
    old, new = ({file.path: _attributes(file) for file in facts.files} for facts in (before, after))
    for path in sorted(path for path in old.keys() | new.keys() if old.get(path) != new.get(path)):
        yield Change(
            steps=(path,),
            key=(path,),
            name=path,
            before=old.get(path),
            after=new.get(path),
            message=_sentence(path, old.get(path), new.get(path)),
            origin=origins.of_file(path),
            former=former.of_file(path),
        )


def _attributes(file: FileFacts) -> dict[str, Json]:
    return {
        "kind": file.kind.value,
        "mode": file.mode,
        "uid": file.uid,
        "gid": file.gid,
        "size": file.size,
        "target": file.target,
        "hard_link": file.hard_link,
        "capabilities": file.capabilities,
    }


def _sentence(path: str, before: Mapping[str, Json] | None, after: Mapping[str, Json] | None) -> str:
    path = cut(path)
    if before is None or after is None:
        there = before or after or {}
        what = f"{there['kind']} {path} is {'new' if before is None else 'gone'}"
        link = there["target"] or there["hard_link"]
        if link is not None:
            return f"{what}, a link to {shown(link)}"
        size = f", {there['size']} bytes" if there["kind"] == Kind.FILE.value else ""
        return f"{what}, {there['mode']} {there['uid']}:{there['gid']}{size}"
    differences = (
        f"{key.replace('_', ' ')} was {shown(before[key])} and is {shown(after[key])}"
        for key in before
        if before[key] != after[key]
    )
    return f"{after['kind']} {path}: {', '.join(differences)}"


def _layers(before: PlatformFacts, after: PlatformFacts, origins: Origins, former: Origins) -> Iterator[Change]:
    matcher = SequenceMatcher(None, diff_ids(before), diff_ids(after), autojunk=False)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        for layer in before.layers[start:end]:
            yield _layer(layer, (layer.position,), gone=True, origin=None, former=former.of_layer(layer.position))
        for layer in after.layers[new_start:new_end]:
            yield _layer(layer, (END,), gone=False, origin=origins.of_layer(layer.position), former=None)


def _layer(layer: LayerFacts, steps: Steps, *, gone: bool, origin: Origin | None, former: Origin | None) -> Change:
    value = {
        "position": layer.position,
        "digest": layer.digest,
        "diff_id": layer.diff_id,
        "compressed": layer.compressed,
        "unpacked": layer.unpacked,
    }
    return Change(
        steps=steps,
        key=(layer.diff_id,),
        name=f"layer {layer.position}",
        before=value if gone else None,
        after=None if gone else value,
        message=f"layer {layer.position} of {layer.unpacked} bytes is {'gone' if gone else 'new'}",
        origin=origin,
        former=former,
    )


def _rewritten(before: PlatformFacts, after: PlatformFacts) -> Iterator[str]:
    old = {file.path: file for file in before.files if file.kind is Kind.FILE}
    old_ids, new_ids = diff_ids(before), diff_ids(after)
    shared = next(
        (at for at, (one, other) in enumerate(zip(old_ids, new_ids, strict=False)) if one != other), len(old_ids)
    )
    for file in after.files:
        other = old.get(file.path)
        if other is None or _attributes(other) != _attributes(file):
            continue
        same_layer = old_ids[other.layer] == new_ids[file.layer]
        # the content of a hard link may be that of a lower layer
        if not same_layer or (file.hard_link is not None and max(file.layer, other.layer) >= shared):
            yield file.path
