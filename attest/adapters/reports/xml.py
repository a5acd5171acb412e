"""XML of reports, streamed: one element at a time reaches a reader, and the tree is never in memory.

Refused: entity declarations of any kind (XML 1.0, 4.2), references to undeclared entities, a document type with an
internal subset, and every encoding but UTF-8. A document type that only names an external subset, as some writers of
Cobertura put one, is passed over: nothing is ever fetched.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from xml.parsers.expat import XML_PARAM_ENTITY_PARSING_NEVER
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler

from defusedxml.common import DefusedXmlException
from defusedxml.expatreader import DefusedExpatParser

from attest.adapters.reports.common import Content, ReportInvalid
from attest.core import limits
from attest.core.strictjson import shown

_CHUNK: Final = 64 * 1024
_TAG: Final = 4 * limits.MIB
"""Bytes of a tag or comment: expat looks at one that has not ended anew with each chunk."""
_ENCODINGS: Final = frozenset({"", "utf-8", "utf8", "us-ascii", "ascii"})


class Reader(Protocol):
    """Takes the elements of one document."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        """An element begins. The first one is the root, whose name chose this reader."""
        ...

    def end(self, name: str) -> None:
        """It ends."""
        ...

    def finish(self) -> Content:
        """The document has ended.

        Raises:
            ReportInvalid: it is no report that a result may be computed from.
        """
        ...


def read_xml(content: bytes, choose: Callable[[str, Mapping[str, str]], Reader]) -> Content:
    """What an XML report says; `choose` gives the reader for its root element.

    Raises:
        ReportInvalid: it is not well-formed, or has what is refused above, or its reader refuses it.
    """
    if b"\0" in content:  # expat would take it for UTF-16
        raise ReportInvalid("not well-formed: NUL bytes")
    parser, decoder = _Parser(), codecs.getincrementaldecoder("utf-8")()
    handler = _Handler(choose, parser.place)
    parser.setContentHandler(handler)
    try:
        for start in range(0, len(content), _CHUNK):
            chunk = content[start : start + _CHUNK]
            decoder.decode(chunk)  # expat would read Latin-1, if that is what the document declares
            parser.feed(chunk)
            handler.waited(len(chunk))
        decoder.decode(b"", final=True)
        parser.close()
    except ReportInvalid as error:
        if error.line is None:
            error.line, error.column = parser.place()
        raise
    except DefusedXmlException as error:
        line, column = parser.place()
        raise ReportInvalid("it declares or names entities, which is refused", line=line, column=column) from error
    except SAXParseException as error:
        raise ReportInvalid(
            f"not well-formed: {error.getMessage()}",
            line=error.getLineNumber(),
            column=(error.getColumnNumber() or 0) + 1,
        ) from error
    except UnicodeDecodeError as error:
        raise ReportInvalid("not UTF-8") from error
    except (SAXException, ValueError) as error:
        line, column = parser.place()
        raise ReportInvalid(f"not well-formed: {error}", line=line, column=column) from error
    return handler.finish()


class _Parser(DefusedExpatParser):  # type: ignore[misc]  # defusedxml has no types
    """Expat, without entities; a document type may do no more than name itself."""

    def __init__(self) -> None:
        super().__init__(forbid_dtd=True, forbid_entities=True, forbid_external=True)

    def reset(self) -> None:
        super().reset()
        self._parser.XmlDeclHandler = self._declared
        self._parser.SetParamEntityParsing(XML_PARAM_ENTITY_PARSING_NEVER)

    def place(self) -> tuple[int, int]:
        """Line and column of what is being read, from 1."""
        return self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber + 1

    def defused_start_doctype_decl(self, name: str, *rest: Any) -> None:
        """Only a name and the place of an external subset, of Cobertura; expat fetches none.

        With another document type left out entities of attributes would vanish without a word.
        """
        _system, _public, has_internal_subset = rest
        if has_internal_subset or name != "coverage":
            raise ReportInvalid(f"the document type {shown(name)} is refused")

    def _declared(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if (encoding or "").lower() not in _ENCODINGS:
            raise ReportInvalid(f"the encoding {shown(encoding)} is not read; write UTF-8")


class _Handler(ContentHandler):
    def __init__(
        self, choose: Callable[[str, Mapping[str, str]], Reader], place: Callable[[], tuple[int, int]]
    ) -> None:
        super().__init__()
        self._choose = choose
        self._place = place
        self._reader: Reader | None = None
        self._depth = 0
        self._waiting = 0
        """Bytes since the last event."""

    def waited(self, size: int) -> None:
        """Refuse a tag that does not end."""
        self._waiting += size
        if self._waiting > _TAG:
            raise ReportInvalid(f"a tag or comment of more than {_TAG} bytes")

    def characters(self, content: str) -> None:
        del content  # what a case wrote says nothing about how it ended
        self._waiting = 0

    def startElement(self, name: str, attrs: Any) -> None:  # noqa: N802
        self._waiting = 0
        self._depth += 1
        if self._depth > limits.REPORT_DEPTH:
            raise ReportInvalid(f"elements are nested deeper than {limits.REPORT_DEPTH}")
        attributes: dict[str, str] = dict(attrs.items())
        try:
            if self._reader is None:
                self._reader = self._choose(name, attributes)
            self._reader.start(name, attributes)
        except ReportInvalid as error:  # said here, for afterwards expat stands at the end of what it was given
            error.line, error.column = self._place()
            raise

    def endElement(self, name: str) -> None:  # noqa: N802
        self._waiting = 0
        self._depth -= 1
        if self._reader is not None:
            try:
                self._reader.end(name)
            except ReportInvalid as error:
                error.line, error.column = self._place()
                raise

    def skippedEntity(self, name: str) -> None:  # noqa: N802
        raise ReportInvalid(f"the entity {shown(name)} is not declared")

    def finish(self) -> Content:
        if self._reader is None:
            raise ReportInvalid("there is no element")
        return self._reader.finish()
