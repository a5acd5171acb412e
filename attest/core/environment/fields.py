"""The values of an environment document: how each is read from the text that stands there, and what editors see of it.

`attest.core.environment.model` puts them together. What policies have too is in `attest.core.policyfields`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import PlainValidator, WithJsonSchema

from attest.core.model import text_of
from attest.core.policyfields import PATH
from attest.core.reference import Repository, parse_repository
from attest.core.strictjson import Json
from attest.errors import ReferenceInvalid

URL: Final = 2048
"""Characters of an address."""
WORDS: Final = 64
"""Words of a command."""
WORD: Final = 4096
"""Characters of one of them."""
REASON: Final = 1024
"""Characters of why something is frozen."""
SQLITE: Final = "sqlite:///"
"""What stands before the path of a ledger's file. An absolute path has a fourth slash."""

_UNITS: Final = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_PROJECT: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")  # compose-spec, "Name top-level element"
_NAMESPACE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")  # RFC 1123, as Kubernetes has it


class ComposeEngine(StrEnum):
    """Whose Compose is used."""

    DOCKER = "docker"
    PODMAN = "podman"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerUrl:
    """Where the ledger is: `file`, as the document names it, or else the URL of a PostgreSQL database."""

    url: str
    file: str | None


def _duration(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    valid = number.isascii() and number.isdigit() and len(number) <= 6 and unit in _UNITS
    if not valid or int(number) == 0:
        raise ValueError(f"{_shown(text)} is no duration; write 90s, 30m, 24h or 7d, and more than none")
    return timedelta(**{_UNITS[unit]: int(number)})


def _shown(text: str) -> str:
    return f"{text[:80]!r}" if text else "empty text"


def _unspoken(text: str) -> str:
    """An address for a message, unless there may be a password in it."""
    return "it" if "@" in text else _shown(text)


def _file(text: str) -> str:
    if not text or len(text) > PATH or not text.isprintable():
        raise ValueError(f"{_shown(text)} is no path of a file")
    return text


def _repository(text: str) -> Repository:
    try:
        return parse_repository(text)
    except ReferenceInvalid as error:
        form = "HOST/REPOSITORY, without a tag, a digest or a pattern, as in registry.example.org/shop/backend"
        raise ValueError(f"{_shown(text)} is no repository; write {form}") from error


def _split(text: str) -> SplitResult | None:
    """The parts of an address, if it is one."""
    if len(text) > URL or not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        return None
    try:
        parts = urlsplit(text)
        return None if parts.port == 0 else parts
    except ValueError:
        return None


def _address(text: str) -> str:
    parts = _split(text)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{_unspoken(text)} is no address; write it in full, as in http://127.0.0.1:8080/health")
    if "@" in parts.netloc:
        raise ValueError("an address with a user or a password in it; whoever reads this document would have them")
    if "#" in text:
        raise ValueError(f"{_shown(text)} has a fragment (#), which no server ever sees")
    return text


def _ledger(text: str) -> LedgerUrl:
    if text.startswith(SQLITE):
        return LedgerUrl(url=text, file=_ledger_file(text.removeprefix(SQLITE)))
    parts = _split(text)
    if parts is not None and (parts.password is not None or "password" in parts.query.lower()):
        raise ValueError("the address has a password in it; leave it out, and give it by PGPASSFILE or ~/.pgpass")
    if parts is None or parts.scheme != "postgresql" or not parts.path.strip("/"):
        raise ValueError(f"{_unspoken(text)} is no ledger; write {SQLITE}FILE or postgresql://HOST/DATABASE")
    return LedgerUrl(url=text, file=None)


def _ledger_file(path: str) -> str:
    if not path.strip("/") or len(path) > PATH or not path.isprintable() or path.endswith("/"):
        raise ValueError(f"{SQLITE} has to be followed by the path of a file, as in {SQLITE}ledger.db")
    if path.startswith(":") or any(mark in path for mark in "?#%"):
        raise ValueError(f"{_shown(path)} is no plain path of a file; a ledger has to outlive its process")
    return path


def _project(text: str) -> str:
    if _PROJECT.fullmatch(text) is None:
        raise ValueError(f"{_shown(text)} is no name of a project; write lower-case letters, digits, - and _")
    return text


def _namespace(text: str) -> str:
    if _NAMESPACE.fullmatch(text) is None:
        raise ValueError(f"{_shown(text)} is no namespace; write at most 63 lower-case letters, digits and -")
    return text


def _context(text: str) -> str:
    if not text or len(text) > PATH or not text.isprintable() or text.startswith("-"):
        raise ValueError(f"{_shown(text)} is no context; `kubectl config get-contexts` lists them")
    return text


def _reason(text: str) -> str:
    if not text.strip() or len(text) > REASON or not text.isprintable():
        raise ValueError(f"{_shown(text)} is no reason; say in one line why nothing may be deployed")
    return text


def _engine(text: str) -> ComposeEngine:
    if text not in list(ComposeEngine):
        raise ValueError(f"it must be {' or '.join(ComposeEngine)}, not {_shown(text)}")
    return ComposeEngine(text)


def _argv(value: Json) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError("it must be a list of words, each of them text, as in [curl, --fail, http://127.0.0.1/]")
    if not value or not value[0] or value[0].startswith("-"):
        raise ValueError("its first word has to be a program")
    if len(value) > WORDS or any(len(word) > WORD or "\0" in word for word in value):
        raise ValueError(f"at most {WORDS} words of at most {WORD} characters")
    return tuple(value)


Duration = Annotated[
    timedelta,
    *text_of(_duration, pattern="^0*[1-9][0-9]{0,5}[dhms]$", describe="a duration, as in 90s, 30m, 24h or 7d"),
]
EnvironmentFile = Annotated[
    str,
    *text_of(
        _file, pattern="^.+$", longest=PATH, describe="a file, from the document's folder on unless it is absolute"
    ),
]
RepositoryName = Annotated[
    Repository,
    *text_of(
        _repository,
        pattern=r"^(localhost|[^/@*]*[.:][^/@*]*)/[^@:*]+$",
        describe="HOST/REPOSITORY, one exact repository",
    ),
]
Address = Annotated[
    str,
    *text_of(_address, pattern=r"^https?://[^/?@#]+([/?][^#]*)?$", longest=URL, describe="an http or https address"),
]
Ledger = Annotated[
    LedgerUrl,
    *text_of(
        _ledger,
        pattern=r"^(sqlite:///[^?#%]+|postgresql://.*/.+)$",
        longest=URL,
        describe="sqlite:///FILE, or postgresql://HOST/DATABASE without a password",
    ),
]
Project = Annotated[
    str, *text_of(_project, pattern="^[a-z0-9][a-z0-9_-]{0,62}$", describe="the name of a Compose project")
]
Namespace = Annotated[
    str, *text_of(_namespace, pattern="^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", describe="a Kubernetes namespace")
]
Context = Annotated[
    str, *text_of(_context, pattern="^[^-]", longest=PATH, describe="a context of the kubeconfig, by its name")
]
Reason = Annotated[
    str, *text_of(_reason, pattern=r"\S", longest=REASON, describe="why nothing may be deployed, in one line")
]
Engine = Annotated[
    ComposeEngine, *text_of(_engine, pattern="^(docker|podman)$", describe="whose Compose: docker or podman")
]
Argv = Annotated[
    tuple[str, ...],
    PlainValidator(_argv),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"type": "string", "maxLength": WORD},
            "minItems": 1,
            "maxItems": WORDS,
            "description": "a program and its arguments; no shell reads them",
        }
    ),
]
