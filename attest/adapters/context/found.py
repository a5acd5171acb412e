"""A value of the context, where it came from, and what it may look like.

What is malformed is an error that names the flag or the variable: a claim that is signed by mistake cannot be
taken back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar

from attest.core.source import normalise_repository
from attest.core.statement import is_commit
from attest.errors import UsageError

T = TypeVar("T", str, int)

_LINE: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,1024}")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,17}")
_REF: Final = re.compile(r"refs(?:/[^\x00-\x20\x7f-\x9f~^:?*\[\\/]+)+")
_REF_WRONG: Final = re.compile(r"\.\.|@\{|/\.|\.lock(?:/|$)|\.$")
_USER: Final = re.compile(r"//[^/]*@")
"""Credentials in a URL: errors end up in public logs."""
_URL: Final = re.compile(r"https?://[^\x00-\x20\x7f-\x9f@/?#]+(?:[/?#][^\x00-\x20\x7f-\x9f]*)?")


class Origin(StrEnum):
    """What a value comes from; of several CI systems, the variable that says which one it is."""

    FLAG = "flag"
    FORGEJO = "FORGEJO_ACTIONS"
    GITEA = "GITEA_ACTIONS"
    GITLAB = "GITLAB_CI"
    GITHUB = "GITHUB_ACTIONS"
    GIT = "git"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found(Generic[T]):
    """A value of the context. `place` is the flag, the variable or the git command that gave it."""

    value: T
    origin: Origin
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """A text that was found and not yet looked at."""

    text: str
    origin: Origin
    place: str

    def _found(self, value: T) -> Found[T]:
        return Found(value=value, origin=self.origin, place=self.place)

    def _wrong(self, what: str) -> UsageError:
        shown = _USER.sub("//", self.text)[:80]
        return UsageError(f"{self.place}: {shown!r} is no {what}")

    def repository(self) -> Found[str]:
        """A repository's URL, in its normal form."""
        try:
            return self._found(normalise_repository(self.text))
        except ValueError as error:
            raise UsageError(f"{self.place}: {error}") from error

    def commit(self) -> Found[str]:
        """A full commit id."""
        if not is_commit(self.text):
            raise self._wrong("full commit id, which is 40 or 64 lower-case hexadecimal digits")
        return self._found(self.text)

    def ref(self) -> Found[str]:
        """A full ref (git-check-ref-format)."""
        if _REF.fullmatch(self.text) is None or _REF_WRONG.search(self.text) or len(self.text) > 1024:
            raise self._wrong("full ref, as refs/heads/main or refs/tags/v1.0 is")
        return self._found(self.text)

    def line(self) -> Found[str]:
        """One line of text."""
        if _LINE.fullmatch(self.text) is None:
            raise self._wrong("line of at most 1024 printable characters")
        return self._found(self.text)

    def number(self) -> Found[int]:
        """A number that is not negative."""
        if _NUMBER.fullmatch(self.text) is None:
            raise self._wrong("number")
        return self._found(int(self.text))

    def url(self) -> Found[str]:
        """A web address without credentials."""
        if _URL.fullmatch(self.text) is None or len(self.text) > 1024:
            raise self._wrong("http or https URL without credentials")
        return self._found(self.text)
