"""What builders say of a build: BuildKit's metadata file and provenance, and buildah's description of an image.

Nobody signed any of it in a way that a policy knows, so it is never evidence: it tells the lane that signs a provenance
what to say, and has to agree with everything else that the lane knows.

Sources: `docker buildx build --metadata-file`; BuildKit's SLSA definitions (v0.2 and v1, where it spells `invocationID`
and the specification `invocationId`); `buildah inspect --type image`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from attest.core.predicates import PROVENANCE_V02, PROVENANCE_V1, Source, build_sources
from attest.core.reference import Digest, is_digest
from attest.core.strictjson import Json, shown

_PROVENANCE: Final = "buildx.build.provenance"
_MARKS: Final = (_PROVENANCE, "containerimage.digest", "containerimage.config.digest", "buildx.build.ref")
_ARGUMENT: Final = "build-arg:"
_DIRTY: Final = "-dirty"
_TIME: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8})(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class FactsInvalid(ValueError):
    """What should describe a build does not, or contradicts itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Something that the build took in: a ResourceDescriptor with a URI, a digest, or both."""

    uri: str | None
    digest: Mapping[str, str]

    @property
    def is_image(self) -> bool:
        """Whether its URI is the package URL of an image."""
        return self.uri is not None and self.uri.startswith(("pkg:docker/", "pkg:oci/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFacts:
    """What one place says of a build; None and empty where it says nothing."""

    place: str
    """The file, or whatever else says it, for errors."""
    digests: frozenset[Digest] = frozenset()
    """Of the image that was built, or of its configuration."""
    containerfile: str | None = None
    target: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Build arguments by name."""
    materials: tuple[Material, ...] = ()
    sources: tuple[Source, ...] = ()
    dirty: bool = False
    """The work tree had changes that are not in the commit."""
    builder: str | None = None
    tool: Mapping[str, str] = field(default_factory=dict)
    """The version of the tool that built it, by its name."""
    invocation: str | None = None
    started: datetime | None = None
    finished: datetime | None = None


def read_metadata(document: Json, *, place: str, image: frozenset[Digest]) -> BuildFacts:
    """The facts about an image in BuildKit's metadata file, of `buildx bake` too, or in buildah's description.

    `image` has the digests of the image, of its platforms, and of their configurations.

    Raises:
        FactsInvalid: it is neither, or about another image.
    """
    if not isinstance(document, dict):
        raise FactsInvalid(f"{place} is no JSON object")
    if "FromImageID" in document and "OCIv1" in document:
        return _about(image, [_buildah(document, place)], place)
    if any(_is_mark(key) for key in document):
        return _about(image, [_buildx(document, place)], place)
    targets = [
        _buildx(value, f"{place} ({name[:80]})")
        for name, value in document.items()
        if isinstance(value, dict) and any(_is_mark(key) for key in value)
    ]
    if not targets:
        raise FactsInvalid(
            f"{place} is neither what `docker buildx build --metadata-file` writes nor what `buildah inspect` prints"
        )
    return _about(image, targets, place)


def read_provenance(predicate_type: str, predicate: Mapping[str, Json], *, place: str) -> BuildFacts:
    """The facts in a provenance that BuildKit wrote.

    Raises:
        FactsInvalid: it is of another type, or malformed.
    """
    if predicate_type == PROVENANCE_V1:
        return _v1(predicate, place)
    if predicate_type == PROVENANCE_V02:
        return _v02(predicate, place)
    raise FactsInvalid(f"{place} is no SLSA provenance, but {shown(predicate_type)}")


def merge(facts: Sequence[BuildFacts]) -> BuildFacts:
    """All of them as one; they may not contradict each other.

    Raises:
        FactsInvalid: two of them say different things, with their places.
    """
    arguments: dict[str, str] = {}
    tool: dict[str, str] = {}
    for one in facts:
        for name, value in one.arguments.items():
            if arguments.setdefault(name, value) != value:
                raise FactsInvalid(f"the build argument {name} has two values, one of them in {one.place}")
        tool |= one.tool
    return BuildFacts(
        place=", ".join(dict.fromkeys(one.place for one in facts)),
        digests=frozenset[Digest]().union(*(one.digests for one in facts)),
        containerfile=_same("containerfile", ((one.place, one.containerfile) for one in facts)),
        target=_same("target", ((one.place, one.target) for one in facts)),
        arguments=arguments,
        materials=_once(material for one in facts for material in one.materials),
        sources=tuple(dict.fromkeys(source for one in facts for source in one.sources)),
        dirty=any(one.dirty for one in facts),
        builder=_same("builder", ((one.place, one.builder) for one in facts)),
        tool=tool,
        invocation=next((one.invocation for one in facts if one.invocation is not None), None),
        started=min((one.started for one in facts if one.started is not None), default=None),
        finished=max((one.finished for one in facts if one.finished is not None), default=None),
    )


def _same(what: str, said: Iterable[tuple[str, str | None]]) -> str | None:
    """The one value that is said; nothing, where nothing is."""
    found: dict[str, str] = {}
    for place, value in said:
        if value is not None:
            found.setdefault(value, place)
    if len(found) > 1:
        words = " and ".join(f"{shown(value)} ({place})" for value, place in found.items())
        raise FactsInvalid(f"the build has more than one {what}: {words}")
    return next(iter(found), None)


def _once(materials: Iterable[Material]) -> tuple[Material, ...]:
    found: list[Material] = []
    for material in materials:
        if material not in found:
            found.append(material)
    return tuple(found)


def _about(image: frozenset[Digest], builds: Sequence[BuildFacts], place: str) -> BuildFacts:
    """Those of the builds that made the image."""
    of_image = [facts for facts in builds if facts.digests & image]
    if of_image:
        return merge(of_image)
    named = sorted(digest for facts in builds for digest in facts.digests)
    if not named:
        raise FactsInvalid(f"{place} does not say which image it is about")
    raise FactsInvalid(f"{place} is about another image: {', '.join(named[:4])}")


# BuildKit


def _is_mark(key: str) -> bool:
    return key in _MARKS or key.startswith(_PROVENANCE + "/")


def _buildx(document: Mapping[str, Json], place: str) -> BuildFacts:
    """One build of a metadata file. One for several platforms has a provenance for each: `.../linux/amd64`."""
    digests = frozenset(
        digest
        for name in ("containerimage.digest", "containerimage.config.digest")
        if (digest := _digest(document.get(name), f"{place}: {name}")) is not None
    )
    said = [BuildFacts(place=place, digests=digests)]
    for key, value in document.items():
        if key == _PROVENANCE or key.startswith(_PROVENANCE + "/"):
            predicate = _mapping(value, f"{place}: {key}")
            read = _v1 if "buildDefinition" in predicate else _v02
            said.append(read(predicate, place))
    return merge(said)


def _v1(predicate: Mapping[str, Json], place: str) -> BuildFacts:
    definition = _member(predicate, "buildDefinition", place)
    external = _member(definition, "externalParameters", place)
    config = _member(external, "configSource", place)
    details = _member(predicate, "runDetails", place)
    metadata = _member(details, "metadata", place)
    return _buildkit(
        place,
        arguments=_member(_member(external, "request", place), "args", place),
        containerfile=_text(config, "path", place),
        materials=definition.get("resolvedDependencies"),
        sources=build_sources(PROVENANCE_V1, predicate),
        builder=_text(_member(details, "builder", place), "id", place),
        invocation=_text(metadata, "invocationId", place) or _text(metadata, "invocationID", place),
        started=_time(metadata, "startedOn", place),
        finished=_time(metadata, "finishedOn", place),
    )


def _v02(predicate: Mapping[str, Json], place: str) -> BuildFacts:
    invocation = _member(predicate, "invocation", place)
    metadata = _member(predicate, "metadata", place)
    return _buildkit(
        place,
        arguments=_member(_member(invocation, "parameters", place), "args", place),
        containerfile=_text(_member(invocation, "configSource", place), "entryPoint", place),
        materials=predicate.get("materials"),
        sources=build_sources(PROVENANCE_V02, predicate),
        builder=_text(_member(predicate, "builder", place), "id", place),
        invocation=_text(metadata, "buildInvocationID", place) or _text(metadata, "buildInvocationId", place),
        started=_time(metadata, "buildStartedOn", place),
        finished=_time(metadata, "buildFinishedOn", place),
    )


def _buildkit(
    place: str, *, arguments: Mapping[str, Json], materials: Json, sources: Sequence[Source], **said: Any
) -> BuildFacts:
    return BuildFacts(
        place=place,
        target=_text(arguments, "target", place),
        arguments={
            name.removeprefix(_ARGUMENT): _text(arguments, name, place) or ""
            for name in arguments
            if name.startswith(_ARGUMENT)
        },
        materials=tuple(_materials(materials, place)),
        sources=tuple(_clean(source) for source in sources),
        dirty=any((source.commit or "").endswith(_DIRTY) for source in sources),
        **said,
    )


def _clean(source: Source) -> Source:
    """buildx marks the commit of a changed work tree."""
    commit = None if source.commit is None else source.commit.removesuffix(_DIRTY)
    return Source(repository=source.repository, commit=commit, ref=source.ref)


def _materials(items: Json, place: str) -> Iterator[Material]:
    if items is None:
        return
    if not isinstance(items, list):
        raise FactsInvalid(f"{place}: its materials are no list")
    for item in items:
        material = _mapping(item, f"{place}: a material")
        uri, digest = _text(material, "uri", place), _member(material, "digest", place)
        if not all(isinstance(value, str) for value in digest.values()):
            raise FactsInvalid(f"{place}: a material with a malformed digest")
        if uri is None and not digest:
            raise FactsInvalid(f"{place}: a material with neither a URI nor a digest")
        yield Material(uri=uri, digest={name: str(value) for name, value in digest.items()})


# buildah


def _buildah(document: Mapping[str, Json], place: str) -> BuildFacts:
    """`FromImageID` is the configuration's digest; the manifest's changes when layers are compressed for a registry."""
    identity = _text(document, "FromImageID", place) or ""
    if _SHA256.fullmatch(identity) is None:
        raise FactsInvalid(f"{place}: FromImageID is no image id")
    labels = _member(_member(_member(document, "OCIv1", place), "config", place), "Labels", place)
    version = _text(labels, "io.buildah.version", place)
    return BuildFacts(
        place=place,
        digests=frozenset({Digest(f"sha256:{identity}")}),
        tool={} if version is None else {"buildah": version},
    )


# Values


def _mapping(value: Json, what: str) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise FactsInvalid(f"{what} is no JSON object")
    return value


def _member(document: Mapping[str, Json], name: str, place: str) -> Mapping[str, Json]:
    """The object of this name; one that is absent or null is empty."""
    value = document.get(name)
    return {} if value is None else _mapping(value, f"{place}: {name}")


def _text(document: Mapping[str, Json], name: str, place: str) -> str | None:
    """The text of this name; empty text is none."""
    value = document.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > 4096 or not value.isprintable():
        raise FactsInvalid(f"{place}: {name[:80]} is no line of text")
    return value


def _digest(value: Json, what: str) -> Digest | None:
    if value is None:
        return None
    if not isinstance(value, str) or not is_digest(value):
        raise FactsInvalid(f"{what} is no digest")
    return Digest(value)


def _time(document: Mapping[str, Json], name: str, place: str) -> datetime | None:
    """A time of RFC 3339, in UTC; Go writes nanoseconds, of which microseconds are kept."""
    text = _text(document, name, place)
    if text is None:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        raise FactsInvalid(f"{place}: {name} is no time")
    try:
        return datetime.fromisoformat(f"{match[1]}{(match[2] or '')[:7]}{match[3]}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise FactsInvalid(f"{place}: {name} is no time") from error
