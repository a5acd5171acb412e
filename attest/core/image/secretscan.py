"""Finds what looks like a secret in files, in values of variables and labels, and in build steps.

In a file only what `attest.core.secrets` knows by its form counts, and only where the text behind the form is as random
as a secret is: examples and placeholders are not. Variables, labels and build steps are short and written by people;
there a value also counts that is random and stands under a name which says what it is, or that is random in a way
that no name, path or checksum is. A secret in plain hexadecimal digits looks like a checksum, and without a telling
name it is taken for one.

`ANCHOR` is one pattern, in the language of RE2 and of Python alike, that matches wherever a file may hold one: whoever
reads gigabytes searches for it with a fast machine, and asks `confirm` about each place.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Final

from attest.core.secrets import END, FORMS, WORD

BEFORE: Final = 64
"""Bytes before a place that `confirm` should see, where the file has so many."""
AFTER: Final = 2_048
"""Bytes from a place on that it should see."""

_PLAIN = {form.id: form.pattern.replace(WORD, "").replace(END, "") for form in FORMS}
ANCHOR: Final = "|".join(f"(?:{pattern})" for pattern in _PLAIN.values()).encode("ascii")
"""Matches where any form does, and in some places more."""

_FORMS: Final = tuple((form.id, re.compile(form.pattern.encode("ascii"))) for form in FORMS)
_KEY_BODY: Final = re.compile(
    rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:\s|\\[nr])+(?:[A-Za-z-]+: [^\n\\]*(?:\s|\\[nr])+)*[A-Za-z0-9+/=]{32}"
)
_TEXT_FORMS: Final = tuple((form.id, re.compile(form.pattern)) for form in FORMS)
_ENTROPY: Final = 3.0
"""Bits a character, of the random part of a form. Words have less, at this length."""
_RANDOM_ENTROPY: Final = 4.0
"""Bits a character, of a value that has nothing but its randomness to show."""
_RANDOM_LENGTH: Final = 24
_NAMED_LENGTH: Final = 8
_RUN: Final = re.compile(rb"[A-Za-z0-9+/_=~.-]+")
_PLACEHOLDER: Final = re.compile(rb"EXAMPLE|example|xxxx|XXXX|0000000|1234567|abcdefg|ABCDEFG|\.\.\.")
PROGRAMS: Final = (b"\x7fELF", b"!<arch>\n")
"""How compiled code begins: an ELF file, or an archive of them (elf(5), ar(5))."""
_TEMPLATE: Final = re.compile(rb"[${}<>%*]")
_TELLING: Final = re.compile(
    r"(?i)(?:secret|token|passw(?:or)?d|passphrase|credential|(?:api|access|private|auth|signing|encryption)[_-]?key)"
)
_RANDOM: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_NOT_SECRET: Final = re.compile(r"(?:sha(?:1|256|384|512)[-:]|/|\./|~/|\$|https?://[^@]*$).*", re.DOTALL)
_HEX: Final = re.compile(r"(?:0x)?[0-9a-fA-F-]+")
_VALUE: Final = r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"';|&]+))"""
_ASSIGNED: Final = re.compile(rf"(?P<name>[A-Za-z_][A-Za-z0-9_.-]*)={_VALUE}")
_OPTION: Final = re.compile(rf"(?<!\S)--?(?P<name>[A-Za-z][A-Za-z0-9_-]*)\s+(?!-){_VALUE}")


@dataclass(frozen=True, slots=True)
class Span:
    """A secret in a text: which rule found it, and where it stands."""

    rule: str
    start: int
    end: int


def confirm(window: bytes, at: int, *, program: bool) -> str | None:
    """The rule of the secret that begins at `at`, if one does; `window` is the file around it, and nothing else.

    In a `program`, compiled code, a private key is not told: libraries of cryptography test themselves with some.
    """
    for rule, form in _FORMS:
        match = form.match(window, at)
        if match is not None:
            if program and rule == "private-key":
                return None
            return rule if _is_random(rule, window, match) else None
    return None


def find_in_value(name: str, value: str) -> str | None:
    """The rule by which a variable's or label's value is a secret, if it is."""
    for rule, form in _TEXT_FORMS:
        match = form.search(value)
        if match is not None and _counts(rule, match[0].encode("utf-8", "replace")):
            return rule
    if _NOT_SECRET.fullmatch(value) is not None:
        return None
    named = _TELLING.search(name) is not None
    if named and len(value) >= _NAMED_LENGTH and " " not in value and _entropy(value.encode("utf-8")) >= 2.75:
        return None if _PLACEHOLDER.search(value.encode("utf-8")) else "named-secret"
    return "random-value" if _looks_random(value) else None


def find_in_command(text: str) -> list[Span]:
    """The secrets in a build step, in the order of their places."""
    found = [
        Span(rule, match.start(), match.end())
        for rule, form in _TEXT_FORMS
        for match in form.finditer(text)
        if _counts(rule, match[0].encode("utf-8", "replace"))
    ]
    for match in (*_ASSIGNED.finditer(text), *_OPTION.finditer(text)):
        group = next(name for name in ("double", "single", "bare") if match[name] is not None)
        rule = find_in_value(match["name"], match[group])
        if rule is not None:
            found.append(Span(rule, match.start(group), match.end(group)))
    return sorted(found, key=lambda span: (span.start, span.end, span.rule))


def redacted(text: str, spans: list[Span], *, instead: str) -> str:
    """The text with every span replaced."""
    parts, at = [], 0
    for span in sorted(spans, key=lambda span: span.start):
        if span.end <= at:
            continue
        if span.start >= at:
            parts.append(text[at : span.start])
            parts.append(instead)
        at = span.end
    return "".join((*parts, text[at:]))


def _is_random(rule: str, window: bytes, match: re.Match[bytes]) -> bool:
    if rule == "private-key":
        return _KEY_BODY.match(window, match.start()) is not None
    return _counts(rule, match[0])


def _counts(rule: str, text: bytes) -> bool:
    """Whether what has the form of a secret is as random as one."""
    if rule == "private-key":
        return True
    if _PLACEHOLDER.search(text):
        return False
    if rule == "url-password":
        password = text.rpartition(b":")[2].removesuffix(b"@")
        return len(password) >= 8 and not _TEMPLATE.search(password) and _entropy(password) >= 2.8
    if rule == "authorization-header":
        credential = text.split()[-1]
        return len(credential) >= 16 and _entropy(credential) >= _ENTROPY
    longest = max(_RUN.findall(text), key=len, default=b"")
    return _entropy(longest) >= _ENTROPY


def _looks_random(value: str) -> bool:
    if len(value) < _RANDOM_LENGTH or _RANDOM.fullmatch(value) is None or _HEX.fullmatch(value) is not None:
        return False
    kinds = (any(map(test, value)) for test in (str.isupper, str.islower, str.isdigit))
    return all(kinds) and value.count("/") < 3 and _entropy(value.encode("ascii")) >= _RANDOM_ENTROPY


def _entropy(text: bytes) -> float:
    """Shannon's entropy of the bytes of a text, in bits for each."""
    length = len(text)
    return -sum(count / length * math.log2(count / length) for count in Counter(text).values())
