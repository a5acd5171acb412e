"""The images of Kubernetes manifests: found wherever a list of containers stands, and replaced where they stand.

A manifest is not written anew: of its text only the images change, character by character, so that comments, order,
quotes and line ends stay as their authors wrote them. What could make a reader take another image than the one that
stands in a place, an alias, a merge key or a key that stands twice, is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from attest.core.environment.kubernetes import Role, Workload, repository_of
from attest.core.reference import RegistryImage
from attest.errors import DocumentInvalid

MANIFEST: Final = 8 * 1024 * 1024
"""Bytes of one file."""

_DEPTH: Final = 100
"""Collections in collections; the schemas in a CustomResourceDefinition go deep."""
_QUOTES: Final = {None: "", "'": "'", '"': '"'}
_LISTS: Final = frozenset(Role)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePlace:
    """Where a container's image stands."""

    image: str
    workload: Workload
    namespace: str | None
    container: str
    start: int
    """In characters of the text; there may be a quote."""
    end: int
    quote: str
    line: int
    column: int

    @property
    def repository(self) -> str:
        """Of the image, without its tag and its digest."""
        return repository_of(self.image)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A file of manifests, and every image in it."""

    file: str
    text: str
    places: tuple[ImagePlace, ...]

    def invalid(self, place: ImagePlace, problem: str, *, hint: str | None = None) -> DocumentInvalid:
        """The error that something is wrong with an image."""
        return DocumentInvalid(problem, file=self.file, line=place.line, column=place.column, hint=hint)

    def with_images(self, images: Mapping[str, RegistryImage]) -> str:
        """The text with these images, each by its repository, in place of those of the same repositories."""
        parts, position = [], 0
        for place in sorted(self.places, key=lambda one: one.start):
            reference = images.get(place.repository)
            if reference is None:
                continue
            # A registry that is an IPv6 address begins with a bracket, which without quotes would begin a list.
            quote = place.quote or ('"' if str(reference).startswith("[") else "")
            parts += [self.text[position : place.start], quote, str(reference), quote]
            position = place.end
        return "".join([*parts, self.text[position:]])


def read_manifest(content: bytes, *, file: str) -> Manifest:
    """The manifests in a file, YAML or JSON, of any kind.

    Raises:
        DocumentInvalid: it is no YAML, or one in which two readers could find two images; with the place.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentInvalid(f"it is not UTF-8 from byte {error.start} on", file=file) from error
    return Manifest(file=file, text=text, places=tuple(_Reader(file).places(text)))


class _Reader:
    def __init__(self, file: str) -> None:
        self._file = file

    def places(self, text: str) -> Iterator[ImagePlace]:
        for document in self._documents(text):
            for item in self._items(document):
                yield from self._of_object(item)

    def _documents(self, text: str) -> list[Any]:
        yaml = YAML(typ="safe", pure=True)
        try:
            depth = 0
            for event in yaml.parse(text):
                if isinstance(event, AliasEvent):
                    self._fail(event.start_mark, "an alias (*); write the value out")
                depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
                if depth > _DEPTH:
                    self._fail(event.start_mark, f"nested deeper than {_DEPTH}")
            return [node for node in YAML(typ="safe", pure=True).compose_all(text) if node is not None]
        except MarkedYAMLError as error:
            self._fail(error.problem_mark or error.context_mark, f"this is not YAML: {error.problem or error.context}")
        except (YAMLError, ValueError, RecursionError) as error:
            problem = f"this is not YAML: {str(error).partition(chr(10))[0]}"
            raise DocumentInvalid(problem, file=self._file) from error

    def _items(self, document: Any) -> Iterator[MappingNode]:
        """The objects of a document: itself, or those of a `List`."""
        if not isinstance(document, MappingNode):
            if not (isinstance(document, ScalarNode) and document.value == ""):  # between two `---`
                self._fail(document.start_mark, "no object of Kubernetes: it is no mapping")
            return
        items = self._members(document).get("items")
        if self._text(document, "kind").endswith("List") and isinstance(items, SequenceNode):
            for item in items.value:
                yield from self._items(item)
        else:
            yield document

    def _of_object(self, item: MappingNode) -> Iterator[ImagePlace]:
        metadata = self._members(item).get("metadata")
        named = metadata if isinstance(metadata, MappingNode) else None
        workload = Workload(kind=self._text(item, "kind"), name=self._text(named, "name"))
        namespace = self._text(named, "namespace") or None
        for container in self._containers(item):
            image = self._members(container)["image"]
            if not isinstance(image, ScalarNode) or image.style not in _QUOTES or not image.value:
                place = image if image.value else container  # what is empty begins wherever the next thing stands
                self._fail(place.start_mark, "an image that is no text on one line")
            if not workload.kind or not workload.name:
                self._fail(item.start_mark, "an object with containers that has no `kind`, or no `metadata.name`")
            yield ImagePlace(
                image=image.value,
                workload=workload,
                namespace=namespace,
                container=self._text(container, "name"),
                start=image.start_mark.index,
                end=image.end_mark.index,
                quote=_QUOTES[image.style],
                line=image.start_mark.line + 1,
                column=image.start_mark.column + 1,
            )

    def _containers(self, top: Any) -> Iterator[MappingNode]:
        """Every container with an image, at any depth: a pod's template stands elsewhere in every kind of object."""
        waiting = [top]
        while waiting:
            node = waiting.pop()
            if isinstance(node, SequenceNode):
                waiting += node.value
            elif isinstance(node, MappingNode):
                for key, value in self._members(node).items():
                    waiting.append(value)
                    if key in _LISTS and isinstance(value, SequenceNode):
                        for one in value.value:
                            if isinstance(one, MappingNode) and "image" in self._members(one):
                                yield one

    def _members(self, node: MappingNode) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._fail(key.start_mark, "a key that is a mapping or a list")
            if key.value == "<<" and key.style is None:
                self._fail(key.start_mark, "a merge key (<<); write the values out")
            if key.value in members:
                self._fail(key.start_mark, f"the key {key.value!r} stands here for the second time")
            members[key.value] = value
        return members

    def _text(self, node: MappingNode | None, name: str) -> str:
        found = None if node is None else self._members(node).get(name)
        return found.value if isinstance(found, ScalarNode) else ""

    def _fail(self, mark: Any, problem: str) -> NoReturn:
        raise DocumentInvalid(problem, file=self._file, line=mark.line + 1, column=mark.column + 1)
