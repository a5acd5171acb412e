"""`WWW-Authenticate` (RFC 9110, section 11.6.1; RFC 6750, section 3), read strictly."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"[ \t,]*({_WORD})(?=[ \t,]|$)")
_PARAMETER = re.compile(
    rf"[ \t,]*({_WORD})[ \t]*=[ \t]*(?:({_WORD})|\"((?:[^\"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~])*)\")[ \t]*(?=,|$)"
)
_TOKEN68 = re.compile(r"[ \t]+[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)")
_END = re.compile(r"[ \t,]*\Z")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One authentication scheme, in lower case, and its parameters, whose names are in lower case, too."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """The challenges in the values of all `WWW-Authenticate` headers, in their order.

    Raises:
        ValueError: a value is not in the grammar, or a parameter stands twice in a challenge.
    """
    return tuple(challenge for header in headers for challenge in _parse(header))


def _parse(header: str) -> list[Challenge]:
    found: list[Challenge] = []
    position = 0
    while _END.match(header, position) is None:
        scheme = _SCHEME.match(header, position)
        if scheme is None:
            raise ValueError("a challenge without a scheme")
        position = scheme.end()
        parameters: dict[str, str] = {}
        while (parameter := _PARAMETER.match(header, position)) is not None:
            name = parameter[1].lower()
            if name in parameters:
                raise ValueError(f"the parameter {name!r} stands twice")
            quoted = parameter[3]
            parameters[name] = parameter[2] if quoted is None else _ESCAPED.sub(r"\1", quoted)
            position = parameter.end()
        if not parameters and (token := _TOKEN68.match(header, position)) is not None:
            position = token.end()
        found.append(Challenge(scheme=scheme[1].lower(), parameters=parameters))
    return found
