"""What may go to a terminal: no control characters, no bidirectional tricks, no workflow commands.

Text from registries and bundles can carry escape sequences, or `::set-output` lines that a CI runner obeys
(CVE-2026-44245). Everything foreign passes through `escape` before it is printed.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

_KEEP = frozenset({"L", "M", "N", "P", "S"})
"""Unicode's major classes: letters, marks, numbers, punctuation, symbols."""


def escape(text: str) -> str:
    """The text with everything but letters, marks, digits, punctuation, symbols and spaces written as `\\uXXXX`.

    The two openings that CI runners take for commands, `::` at a start and `##[` anywhere, are written so as well.
    """
    if not (text.isascii() and text.isprintable()):
        text = "".join(character if _is_plain(character) else _code(character) for character in text)
    text = text.replace("##[", f"{_code('#')}#[")
    return _code(":") + text.lstrip()[1:] if text.lstrip().startswith("::") else text


def json_text(document: Any) -> str:
    """The document as JSON in ASCII. `##[` can stand in strings alone, and is written so that no runner obeys it."""
    text = json.dumps(document, indent=2)
    return text.replace("##[", "\\u0023#[").replace("\x7f", "\\u007f")


def _is_plain(character: str) -> bool:
    return character == " " or unicodedata.category(character)[0] in _KEEP


def _code(character: str) -> str:
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
