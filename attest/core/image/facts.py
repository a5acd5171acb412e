"""What is known of an image: the only thing that the checks of a contract look at.

Facts are gathered once, by `attest.ops.facts`, from bytes whose digests were checked; everything here is a plain value.
Paths are absolute inside the image, `/usr/bin/env`; bytes of a name that are no UTF-8 are written as `\\xff`. A layer
is named by its position, 0 being the lowest; `PlatformFacts.layers` has its digest and the build step that made it.
What could not be read is in `unread`: whoever decides on packages, accounts or anything else that is listed there
cannot decide. A secret is never part of the facts: where one was found its place is, and configuration, history and
annotations are shown with `REDACTED` in its stead.

Sources: OCI image-spec v1.1, "Image Configuration", "Image Layer Filesystem Changeset"; Docker's image specification
v1.2 for `Healthcheck`, `OnBuild` and `Shell`; purl-spec; capabilities(7).
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from attest.core.oci import Platform
from attest.core.reference import Digest

SCHEMA = "attest.image-facts/v1"
REDACTED = "[redacted]"
"""Stands where a secret was found, in the configuration, in build steps and in annotations."""


class Kind(enum.Enum):
    """What an entry of a filesystem is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    CHARACTER_DEVICE = "character-device"
    BLOCK_DEVICE = "block-device"
    FIFO = "fifo"


class View(enum.Enum):
    """Whether a container sees it, or only whoever downloads the layers."""

    EFFECTIVE = "effective"
    SHADOWED = "shadowed"


class Place(enum.Enum):
    """Where a secret was found."""

    FILE = "file"
    ENV = "env"
    HISTORY = "history"
    LABEL = "label"
    ANNOTATION = "annotation"
    """Of the manifest."""
    CONFIG = "config"
    """Another text of the configuration; it is named as there, `Entrypoint` or `Healthcheck.Test`."""


class Password(enum.Enum):
    """What stands where an account's password would (shadow(5), passwd(5))."""

    EMPTY = "empty"
    """Nothing: anybody may log in."""
    LOCKED = "locked"
    """Something that no password is ever equal to, as `!` and `*`."""
    SET = "set"
    """A hash, or what is taken for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """How a container is asked whether it is well. Times are in nanoseconds, 0 being the engine's default."""

    test: tuple[str, ...]
    """`NONE`; or `CMD` and an argument vector; or `CMD-SHELL` and one text for a shell; empty inherits."""
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """How a container of the image is started, as the configuration says, with secrets redacted."""

    user: str = ""
    """`name`, `uid`, `name:group` and so on; empty is root."""
    entrypoint: tuple[str, ...] | None = None
    """The argument vector; the shell form of a build is `("/bin/sh", "-c", TEXT)` here."""
    cmd: tuple[str, ...] | None = None
    workdir: str = ""
    stop_signal: str = ""
    env: tuple[tuple[str, str], ...] = ()
    """Name and value, in the order of the configuration."""
    labels: Mapping[str, str]
    exposed_ports: tuple[str, ...] = ()
    """`8080/tcp`, sorted."""
    volumes: tuple[str, ...] = ()
    """Paths, sorted."""
    healthcheck: Healthcheck | None = None
    on_build: tuple[str, ...] = ()
    shell: tuple[str, ...] | None = None
    created: str | None = None
    """RFC 3339, as it stands there."""
    author: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildStep:
    """One entry of the history. `layer` is the one that it made; None for a step that made none."""

    created_by: str
    comment: str = ""
    created: str | None = None
    layer: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFacts:
    """One layer. Sizes are in bytes."""

    position: int
    digest: Digest
    """Of the blob, as it is stored."""
    diff_id: Digest
    """Of the uncompressed archive, checked."""
    media_type: str
    compressed: int
    """The size of the blob."""
    unpacked: int
    """The sizes of all files that it adds, together."""
    entries: int
    created_by: str | None
    """The build step that made it; None where the history does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFacts:
    """One entry of the filesystem that a container sees.

    A symbolic link has a `target`; a hard link is a file of its own with `hard_link` naming the path that its content
    came by. `layer` is the last one that wrote the entry, for a directory the last one that wrote its attributes.
    """

    path: str
    kind: Kind
    mode: str
    """Permissions with set-id and sticky bits: four octal digits, as chmod takes them."""
    uid: int
    gid: int
    size: int
    """Bytes of a regular file; 0 for everything else."""
    layer: int
    target: str | None = None
    hard_link: str | None = None
    capabilities: str | None = None
    """File capabilities, as `cap_net_bind_service=ep`; set by the extended attribute security.capability."""

    @property
    def bits(self) -> int:
        """`mode` as a number."""
        return int(self.mode, 8)

    @property
    def is_executable(self) -> bool:
        """A regular file that somebody may execute."""
        return self.kind is Kind.FILE and bool(self.bits & 0o111)

    @property
    def is_setid(self) -> bool:
        """A regular file that runs with another's rights: set-user-id, set-group-id if executable, or capabilities."""
        if self.kind is not Kind.FILE:
            return False
        bits = self.bits
        return bool(bits & 0o4000) or bits & 0o2010 == 0o2010 or self.capabilities is not None

    @property
    def is_world_writable(self) -> bool:
        """Anybody may write to it: not so for links, and for directories where the sticky bit guards the entries."""
        bits = self.bits
        if self.kind is Kind.SYMLINK or not bits & 0o002:
            return False
        return not (self.kind is Kind.DIRECTORY and bits & 0o1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowedFile:
    """A file that a later layer deleted or replaced; whoever downloads the layers still has it."""

    path: str
    kind: Kind
    mode: str
    uid: int
    gid: int
    size: int
    layer: int
    """The layer that holds it."""
    hidden_by: int
    """The layer that hid it."""
    replaced: bool
    """Whether something else stands at its path since."""
    capabilities: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed package."""

    purl: str
    type: str
    """The purl type: `deb`, `apk`, `rpm`, `pypi` or `npm`."""
    name: str
    version: str
    """As the package manager shows it."""
    architecture: str | None = None
    source: str | None = None
    """The source package that it was built from, where the database names one."""
    path: str
    """The database, or the package's own file, that says so."""
    layer: int
    """The layer that brought it in this version."""
    view: View = View.EFFECTIVE
    hidden_by: int | None = None
    """For a shadowed package, the layer that removed it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFound:
    """Where something is that looks like a secret. Never what it is."""

    rule: str
    """Which kind: an id of `attest.core.image.secretscan`."""
    place: Place
    name: str
    """The path; the name of the variable, label or annotation; for a build step its number in the history, from 0."""
    layer: int | None
    """Of a file, or of a build step that made one."""
    line: int | None = None
    """Of a text file, from 1."""
    view: View = View.EFFECTIVE
    hidden_by: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A line of /etc/passwd, with what /etc/shadow adds to it."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    password: Password


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A line of /etc/group."""

    name: str
    gid: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Something that is there and could not be read, so that nobody may decide as if it were not."""

    what: str
    """`packages`, `accounts` or `groups`."""
    path: str
    layer: int
    reason: str
    view: View = View.EFFECTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """What the image says that it was built on; a claim, until compared with that image's layers."""

    name: str | None
    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """In bytes."""

    compressed: int
    """All layers as they are stored."""
    unpacked: int
    """All files that a container sees; content shared by hard links counts once."""
    wasted: int
    """Files in some layer that a container does not see."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFacts:
    """Everything that is known of one runnable image."""

    platform: Platform
    manifest: Digest
    config_digest: Digest
    annotations: Mapping[str, str]
    """Of the manifest, with secrets redacted."""
    config: ImageConfig
    history: tuple[BuildStep, ...]
    layers: tuple[LayerFacts, ...]
    files: tuple[FileFacts, ...]
    """Sorted by path; the root itself is `/`, if a layer has it."""
    shadowed: tuple[ShadowedFile, ...]
    """Sorted by path, then layer; directories are not listed."""
    packages: tuple[Package, ...]
    """Sorted by purl, path and layer; shadowed ones among them."""
    accounts: tuple[Account, ...]
    """In the order of /etc/passwd."""
    groups: tuple[Group, ...]
    secrets: tuple[SecretFound, ...]
    unread: tuple[Unread, ...]
    sizes: Sizes
    base: Base

    @property
    def executables(self) -> Iterator[FileFacts]:
        """Regular files that somebody may execute."""
        return (file for file in self.files if file.is_executable)

    @property
    def setid(self) -> Iterator[FileFacts]:
        """Regular files that run with another's rights."""
        return (file for file in self.files if file.is_setid)

    @property
    def world_writable(self) -> Iterator[FileFacts]:
        """What anybody may write to."""
        return (file for file in self.files if file.is_world_writable)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFacts:
    """Everything that is known of an image."""

    digest: Digest
    """Of the manifest or index that was asked for; for a docker-archive, of the image's configuration."""
    media_type: str
    platforms: tuple[PlatformFacts, ...]
    """In the order of the index; BuildKit's attestation manifests are left out."""
