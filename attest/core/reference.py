"""Names of images: by digest, by tag, in a registry or in an OCI image layout.

A reference by digest and a reference by tag are different types, so that a function which decides or
changes something cannot be given a tag by mistake.

Grammar: OCI distribution-spec, "Pull"; OCI image-spec, "Digests". Only sha256 is a digest here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import NewType

from attest.errors import ReferenceInvalid

Digest = NewType("Digest", str)
"""`sha256:` and 64 lower-case hexadecimal digits, and nothing else."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:]+\])(?::[0-9]{{1,5}})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_MAX_NAME = 255
_LAYOUT = "oci:"


def is_digest(text: str) -> bool:
    """Whether the text is exactly a sha256 digest."""
    return _DIGEST.fullmatch(text) is not None


def digest_of(data: bytes) -> Digest:
    """The digest of these bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def parse_digest(text: str) -> Digest:
    """The digest that the text is.

    Raises:
        ReferenceInvalid: it is not `sha256:` and 64 lower-case hexadecimal digits.
    """
    if not is_digest(text):
        raise ReferenceInvalid(f"{text!r} is not a digest", hint="write sha256: and 64 lower-case hexadecimal digits")
    return Digest(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository of a registry: `host[:port]` and a path."""

    host: str
    path: str

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"

    @property
    def name(self) -> str:
        """The last component of the path, by which a policy's `except` names an image."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryImage:
    """An image in a registry, by digest."""

    repository: Repository
    digest: Digest

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutImage:
    """An image in an OCI image layout, by digest. `path` is kept as it was given."""

    path: str
    digest: Digest

    def __str__(self) -> str:
        return f"{_LAYOUT}{self.path}@{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryTag:
    """A tag in a registry: a name for whatever it points to now. It decides nothing."""

    repository: Repository
    tag: str

    def __str__(self) -> str:
        return f"{self.repository}:{self.tag}"

    def at(self, digest: Digest) -> RegistryImage:
        """The reference by digest in the same repository."""
        return RegistryImage(repository=self.repository, digest=digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutTag:
    """A name in an OCI image layout (`org.opencontainers.image.ref.name`), or, without one, its only image."""

    path: str
    tag: str | None

    def __str__(self) -> str:
        return f"{_LAYOUT}{self.path}" + (f":{self.tag}" if self.tag else "")

    def at(self, digest: Digest) -> LayoutImage:
        """The reference by digest in the same layout."""
        return LayoutImage(path=self.path, digest=digest)


ImageReference = RegistryImage | LayoutImage
TagReferences = RegistryTag | LayoutTag


def parse_repository(text: str) -> Repository:
    """`HOST[:PORT]/PATH`.

    Raises:
        ReferenceInvalid: it has no host, or is not in the grammar of the distribution-spec.
    """
    host, slash, path = text.partition("/")
    looks_like_host = "." in host or ":" in host or host == "localhost"
    if not slash or not looks_like_host:
        raise ReferenceInvalid(
            f"{text!r} names no registry",
            hint=f"write HOST[:PORT]/REPOSITORY, as in registry.example.org/{text.rpartition('/')[2] or 'app'}",
        )
    if _HOST.fullmatch(host) is None:
        raise ReferenceInvalid(f"{host!r} is not a registry host", hint="a host is lower-case, with an optional :PORT")
    if len(path) > _MAX_NAME or _REPOSITORY.fullmatch(path) is None:
        raise ReferenceInvalid(
            f"{path!r} is not a repository",
            hint="lower-case letters, digits, and . _ - between them, in components separated by /",
        )
    return Repository(host=host, path=path)


def parse_reference(text: str) -> ImageReference | TagReferences:
    """What the text names: an image by digest, or a tag.

    Raises:
        ReferenceInvalid: it names nothing, or a tag and a digest at once.
    """
    if text.startswith(_LAYOUT):
        return _parse_layout(text[len(_LAYOUT) :])
    name, at, digest = text.partition("@")
    repository, tag = _split_tag(name)
    if at:
        if tag is not None:
            raise ReferenceInvalid(
                f"{text!r} has a tag and a digest, and only one of them can be meant",
                hint=f"leave the tag out: {repository}@{digest}",
            )
        return RegistryImage(repository=parse_repository(repository), digest=parse_digest(digest))
    parsed = parse_repository(repository)
    if tag is None:
        raise ReferenceInvalid(
            f"{text!r} names no image", hint=f"write {text}@sha256:..., `attest resolve {text}:TAG` prints it"
        )
    return RegistryTag(repository=parsed, tag=_checked_tag(tag))


def _parse_layout(rest: str) -> LayoutImage | LayoutTag:
    path, at, digest = rest.rpartition("@")
    if at and digest.startswith("sha256"):
        if not path:
            raise ReferenceInvalid(f"'oci:{rest}' has no path", hint="write oci:PATH@sha256:...")
        return LayoutImage(path=path, digest=parse_digest(digest))
    path, colon, tag = rest.rpartition(":")
    if colon and "/" not in tag:
        if not path:
            raise ReferenceInvalid(f"'oci:{rest}' has no path", hint="write oci:PATH@sha256:...")
        return LayoutTag(path=path, tag=_checked_tag(tag))
    if not rest:
        raise ReferenceInvalid("'oci:' has no path", hint="write oci:PATH@sha256:...")
    return LayoutTag(path=rest, tag=None)


def _split_tag(name: str) -> tuple[str, str | None]:
    head, colon, tail = name.rpartition(":")
    if colon and "/" in head and "/" not in tail:
        return head, tail
    return name, None


def _checked_tag(tag: str) -> str:
    if _TAG.fullmatch(tag) is None:
        raise ReferenceInvalid(f"{tag!r} is not a tag", hint="at most 128 letters, digits, and . _ -")
    return tag
