"""Strict YAML, by ruamel.yaml: one document of mappings, lists and scalars, with the place of everything in it.

Only the parser's events are used. So there are no tags, no anchors and no aliases to resolve, nothing recurses, and
a plain scalar is what YAML 1.2 (10.3, "Core Schema") says, decimal: `yes`, `on`, `0o17`, `007` and dates are text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from attest.core import limits
from attest.core.document import Document, Path, Place, show
from attest.errors import DocumentInvalid

_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)\.[0-9]*|(?:0|[1-9][0-9]*)(?=[eE]))(?:[eE][-+]?[0-9]+)?")
_BEYOND = re.compile(r"\\U(?!000|0010)[0-9A-Fa-f]{8}")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

# What a reader of the document would not see, or see elsewhere than it stands (Unicode TR 36, "Trojan Source",
# CVE-2021-42574): control characters, bidirectional overrides and isolates, lone surrogates.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def parse_document(content: bytes, *, file: str) -> Document:
    """The one document that the bytes are.

    Raises:
        DocumentInvalid: longer than `limits.DOCUMENT`, not UTF-8, not YAML, empty or more than one document, a tag, an
            anchor, an alias, a merge key, a key that is no text or stands twice, a key without a value, a number that
            no JSON reader would keep, a character that nobody sees, or nested deeper than `limits.JSON_DEPTH`.
    """
    if len(content) > limits.DOCUMENT:
        raise DocumentInvalid(f"it has {len(content)} bytes; at most {limits.DOCUMENT} are read", file=file)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line, column = _position(content[: error.start].decode("utf-8"))
        raise DocumentInvalid("it is not UTF-8 from here on", file=file, line=line, column=column) from error
    text = text.replace("\r\n", "\n")
    unseen = _UNSEEN.search(text)
    if unseen is not None:
        line, column = _position(text[: unseen.start()])
        problem = f"the character U+{ord(unseen[0]):04X}, which nobody sees; remove it"
        raise DocumentInvalid(problem, file=file, line=line, column=column)
    return _Builder(file=file, content=content).build(text)


def _position(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@dataclass(slots=True, kw_only=True)
class _Open:
    """A mapping or list that has not ended yet."""

    path: Path
    value: dict[str, Any] | list[Any]
    key: str | None = None
    """Of a mapping: the key whose value comes next."""


@dataclass(slots=True, kw_only=True)
class _Builder:
    file: str
    content: bytes
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    stack: list[_Open] = field(default_factory=list)
    root: list[Any] = field(default_factory=list)

    def build(self, text: str) -> Document:
        start: Event | None = None
        for event in self._events(text):
            match event:
                case DocumentStartEvent():
                    if start is not None:
                        self._fail(event, "a second document; a file holds one")
                    if event.version is not None or event.tags:
                        self._fail(event, "a directive (%); leave it out")
                    start = event
                case AliasEvent():
                    self._fail(event, "an alias (*); write the value out")
                case NodeEvent():
                    self._node(event)
                case MappingEndEvent() | SequenceEndEvent():
                    self.stack.pop()
                case _:
                    pass
        if not self.root:
            raise DocumentInvalid("it is empty", file=self.file, line=1, column=1)
        return Document(file=self.file, content=self.content, value=self.root[0], keys=self.keys, values=self.values)

    def _events(self, text: str) -> Iterator[Event]:
        last = Place(line=1, column=1)
        try:
            for event in YAML(typ="safe", pure=True).parse(text):
                last = Place(line=event.end_mark.line + 1, column=event.end_mark.column + 1)
                yield event
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            problem = f"this is not YAML: {error.problem or error.context}"
            raise DocumentInvalid(problem, file=self.file, line=mark.line + 1, column=mark.column + 1) from error
        except ValueError as error:  # of chr(), for an escape that names no character
            beyond = _BEYOND.search(text)
            line, column = _position(text[: beyond.start()]) if beyond else (last.line, last.column)
            problem = "this is not YAML: an escape of a character that there is not"
            raise DocumentInvalid(problem, file=self.file, line=line, column=column) from error
        except YAMLError as error:
            problem = f"this is not YAML: {str(error).partition(chr(10))[0]}"
            raise DocumentInvalid(problem, file=self.file, line=last.line, column=last.column) from error

    def _node(self, event: Any) -> None:
        if event.anchor is not None:
            self._fail(event, "an anchor (&); write the value out where it is needed")
        if event.tag is not None:
            self._fail(event, "a tag (!); leave it out")
        parent = self.stack[-1] if self.stack else None
        if parent is not None and isinstance(parent.value, dict) and parent.key is None:
            parent.key = self._key(event, parent)
            return
        path = self._path(parent)
        self.values[path] = _place(event)
        if isinstance(event, CollectionStartEvent):
            if len(self.stack) >= limits.JSON_DEPTH:
                self._fail(event, f"nested deeper than {limits.JSON_DEPTH}")
            value: Any = {} if isinstance(event, MappingStartEvent) else []
            self._add(parent, value)
            self.stack.append(_Open(path=path, value=value))
        else:
            self._add(parent, self._scalar(event, path))

    def _path(self, parent: _Open | None) -> Path:
        if parent is None:
            return ()
        if isinstance(parent.value, dict):
            return (*parent.path, parent.key or "")
        return (*parent.path, len(parent.value))

    def _add(self, parent: _Open | None, value: Any) -> None:
        if parent is None:
            self.root.append(value)
        elif isinstance(parent.value, dict):
            parent.value[parent.key or ""] = value
            parent.key = None
        else:
            parent.value.append(value)

    def _key(self, event: Any, parent: _Open) -> str:
        if not isinstance(event, ScalarEvent):
            self._fail(event, "a key that is a mapping or a list; a key is text")
        if event.implicit[0] and event.value == "<<":
            self._fail(event, "a merge key (<<); write the values out")
        key = self._plain(event) if event.implicit[0] else event.value
        if not isinstance(key, str):
            self._fail(event, f"the key {event.value or 'null'} is not text; put it in quotes")
        path = (*parent.path, key)
        if path in self.keys:
            self._fail(event, f"the key {key!r} stands here for the second time, after line {self.keys[path].line}")
        self.keys[path] = _place(event)
        self._check_text(event, key)
        return key

    def _scalar(self, event: Any, path: Path) -> Any:
        if not event.implicit[0]:
            self._check_text(event, event.value)
            return event.value
        value = self._plain(event)
        if value is None:
            name = f"`{show(path)}`" if path else "the document"
            place = self.keys.get(path) or _place(event)  # an empty value begins wherever the next key stands
            self._fail_at(place, f"{name} has no value; give it one, or leave the key out")
        return value

    def _plain(self, event: Any) -> Any:
        """What a scalar without quotes is."""
        text: str = event.value
        if text in _NULLS:
            return None
        if text in _BOOLEANS:
            return _BOOLEANS[text]
        if _INTEGER.fullmatch(text) is not None:
            if len(text) > limits.JSON_DIGITS:
                self._fail(event, f"a number of more than {limits.JSON_DIGITS} digits")
            return int(text)
        if _FLOAT.fullmatch(text) is not None:
            if math.isinf(float(text)):
                self._fail(event, "a number that is too large")
            return float(text)
        return text

    def _check_text(self, event: Any, text: str) -> None:
        unseen = _UNSEEN.search(text)
        if unseen is not None:
            self._fail(event, f"the text has the character U+{ord(unseen[0]):04X}, which nobody sees; remove it")

    def _fail(self, event: Any, problem: str) -> NoReturn:
        self._fail_at(_place(event), problem)

    def _fail_at(self, place: Place, problem: str) -> NoReturn:
        raise DocumentInvalid(problem, file=self.file, line=place.line, column=place.column)


def _place(event: Any) -> Place:
    return Place(line=event.start_mark.line + 1, column=event.start_mark.column + 1)
