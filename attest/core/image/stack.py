"""From the layers of an image to its facts: what a container sees, what later layers hid, and what both of it means."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from attest.core import limits
from attest.core.image.accounts import AccountsInvalid, parse_group, parse_passwd
from attest.core.image.capabilities import shown_capabilities
from attest.core.image.config import ReadConfig, read_annotations
from attest.core.image.facts import (
    Account,
    Base,
    FileFacts,
    Group,
    Kind,
    LayerFacts,
    PlatformFacts,
    SecretFound,
    ShadowedFile,
    Sizes,
    Unread,
    View,
)
from attest.core.image.facts import Place as SecretKind
from attest.core.image.layercontent import LayerContent
from attest.core.image.overlay import Entry, LayerInvalid, Overlay, Source
from attest.core.image.packages.history import Database, Kept, package_history
from attest.core.image.packages.installed import Distribution, parse_os_release
from attest.core.image.packages.places import FILES, FOLDERS, database_at, size_limit
from attest.core.image.tarball import Member, MemberType
from attest.core.oci import Manifest
from attest.core.reference import Digest
from attest.errors import LimitExceeded, StoreMisbehaved

_KINDS: Final = {
    MemberType.FILE: Kind.FILE,
    MemberType.SYMLINK: Kind.SYMLINK,
    MemberType.CHARACTER_DEVICE: Kind.CHARACTER_DEVICE,
    MemberType.BLOCK_DEVICE: Kind.BLOCK_DEVICE,
    MemberType.DIRECTORY: Kind.DIRECTORY,
    MemberType.FIFO: Kind.FIFO,
}
_ACCOUNTS: Final = "etc/passwd"
_SHADOW: Final = "etc/shadow"
_GROUP: Final = "etc/group"
_OS_RELEASE: Final = ("etc/os-release", "usr/lib/os-release")
_SMALL: Final = frozenset({_ACCOUNTS, _SHADOW, _GROUP, *_OS_RELEASE})
_BASE_NAME: Final = "org.opencontainers.image.base.name"
_BASE_DIGEST: Final = "org.opencontainers.image.base.digest"


def kept_bytes(name: str) -> int | None:
    """How many bytes of a file of this name, as its layer writes it, are kept at most; None if it is of no interest."""
    path = name.removeprefix("./").lstrip("/")
    if path in _SMALL:
        return limits.ACCOUNTS_FILE
    database = database_at(path)
    return None if database is None else size_limit(database)


@dataclass(frozen=True, slots=True)
class _Secret:
    rule: str
    line: int | None


class Stack:
    """Takes the layers of one image, from the lowest up, and then tells its facts."""

    def __init__(self, *, read_rpm: Callable[[bytes], Sequence[bytes]]) -> None:
        self._read_rpm = read_rpm
        self._overlay = Overlay()
        self._layers = 0
        self._entries = 0
        self._names = 0
        self._packages = 0
        self._sizes: dict[Source, int] = {}
        self._small: dict[Source, bytes] = {}
        self._databases: dict[Source, Database] = {}
        self._secrets: dict[Source, list[_Secret]] = {}

    def add(self, content: LayerContent, digest: Digest) -> int:
        """Put a layer on top; the sizes of all its files together.

        Raises:
            StoreMisbehaved: it holds what no layer may hold.
            LimitExceeded: the image has too many entries or packages, or too long ones.
        """
        layer = self._layers
        self._layers += 1
        self._entries += len(content.members)
        if self._entries > limits.ENTRIES:
            raise LimitExceeded(f"the image has more than {limits.ENTRIES} entries")
        self._names += sum(len(member.name) + len(member.link) for member in content.members)
        if self._names > limits.ENTRY_NAMES:
            raise LimitExceeded(f"the paths of the image have more than {limits.ENTRY_NAMES} characters")
        try:
            self._overlay.apply(content.members)
        except LayerInvalid as error:
            raise StoreMisbehaved(f"the layer {digest}: {error}") from error
        for number, kept in content.kept.items():
            path = content.members[number].name.removeprefix("./").lstrip("/")
            kind = database_at(path)
            if kind is None:
                self._small[Source(layer, number)] = kept
            else:
                database = Database.read(kind, kept, self._read_rpm)
                self._packages += len(database.packages)
                if self._packages > limits.PACKAGES:
                    raise LimitExceeded(f"the layers of the image name more than {limits.PACKAGES} packages")
                self._databases[Source(layer, number)] = database
        for secret in content.secrets:
            self._secrets.setdefault(Source(layer, secret.member), []).append(_Secret(secret.rule, secret.line))
        total = 0
        for number, member in enumerate(content.members):
            if member.type is MemberType.FILE:
                self._sizes[Source(layer, number)] = member.size
                total += member.size
        return total

    def facts(
        self, *, manifest: Manifest, digest: Digest, config: ReadConfig, layers: tuple[LayerFacts, ...]
    ) -> PlatformFacts:
        """All that is known of the image."""
        effective = {entry.path: entry for entry in self._overlay.effective()}
        annotations, secrets = read_annotations(manifest.annotations)
        unread: list[Unread] = []
        distribution = self._distribution(effective)
        packages, unread_packages = package_history(self._kept(effective), distribution)
        accounts, groups = self._accounts(effective, unread)
        used = {entry.content for entry in effective.values() if entry.content is not None}
        return PlatformFacts(
            platform=config.platform,
            manifest=digest,
            config_digest=manifest.config.digest,
            annotations=annotations,
            config=config.config,
            history=config.history,
            layers=layers,
            files=tuple(map(_file, effective.values())),
            shadowed=tuple(self._shadowed()),
            packages=packages,
            accounts=accounts,
            groups=groups,
            secrets=(*config.secrets, *secrets, *self._found_secrets(effective)),
            unread=(*unread_packages, *unread),
            sizes=Sizes(
                compressed=sum(layer.compressed for layer in layers),
                unpacked=sum(self._sizes[source] for source in used),
                wasted=sum(size for source, size in self._sizes.items() if source not in used),
            ),
            base=Base(
                name=_named(config, annotations, _BASE_NAME),
                digest=_named(config, annotations, _BASE_DIGEST),
            ),
        )

    def _shadowed(self) -> Iterator[ShadowedFile]:
        for hidden in sorted(
            self._overlay.hidden, key=lambda item: (item.entry.path, item.entry.layer, item.hidden_by)
        ):
            member = hidden.entry.member
            if member is None:  # pragma: no cover - a directory, which is not among what is hidden
                continue
            yield ShadowedFile(
                path=_shown(hidden.entry.path),
                kind=_KINDS[member.type],
                mode=f"{member.mode:04o}",
                uid=member.uid,
                gid=member.gid,
                size=member.size,
                layer=hidden.entry.layer,
                hidden_by=hidden.hidden_by,
                replaced=hidden.replaced,
                capabilities=_capabilities(member),
            )

    # Packages

    def _kept(self, effective: dict[str, Entry]) -> Iterator[Kept]:
        """Every file that names packages, in every layer."""
        for entry in effective.values():
            yield from self._kept_at(entry, None, effective)
        for hidden in self._overlay.hidden:
            yield from self._kept_at(hidden.entry, hidden.hidden_by, effective)
        for path in (*(file for file in FILES if file not in effective), *FOLDERS):
            real = self._overlay.real(path)
            if real is not None and real != path and database_at(real) is None:
                database = Database.unreadable(f"it is {_shown(path)} to programs, through a link")
                layer = effective[real].layer if real in effective else 0
                yield Kept(path=_shown(real), database=database, layer=layer, hidden_by=None)

    def _kept_at(self, entry: Entry, hidden_by: int | None, effective: dict[str, Entry]) -> Iterator[Kept]:
        if entry.member is None or entry.member.type is MemberType.DIRECTORY or database_at(entry.path) is None:
            return
        database = None if entry.content is None else self._databases.get(entry.content)
        if database is None:
            database = Database.unreadable("it is a link to something else, or no regular file")
        elif (log := effective.get(f"{entry.path}-wal")) is not None and log.member is not None and log.member.size:
            database = Database.unreadable("a part of it is in a write-ahead log beside it")
        yield Kept(path=_shown(entry.path), database=database, layer=entry.layer, hidden_by=hidden_by)

    def _distribution(self, effective: dict[str, Entry]) -> Distribution:
        for path in _OS_RELEASE:
            entry = effective.get(path)
            content = None if entry is None or entry.content is None else self._small.get(entry.content)
            if content is not None:
                return parse_os_release(content)
        return Distribution()

    # Accounts

    def _accounts(
        self, effective: dict[str, Entry], unread: list[Unread]
    ) -> tuple[tuple[Account, ...], tuple[Group, ...]]:
        accounts: tuple[Account, ...] = ()
        groups: tuple[Group, ...] = ()
        try:
            passwd = self._content(effective, _ACCOUNTS)
            if passwd is not None:
                accounts = parse_passwd(passwd, self._content(effective, _SHADOW))
        except AccountsInvalid as error:
            unread.append(self._unread("accounts", _ACCOUNTS, effective, str(error)))
        try:
            group = self._content(effective, _GROUP)
            if group is not None:
                groups = parse_group(group)
        except AccountsInvalid as error:
            unread.append(self._unread("groups", _GROUP, effective, str(error)))
        return accounts, groups

    def _content(self, effective: dict[str, Entry], path: str) -> bytes | None:
        """The content of a small file that a container sees; None where there is no such file.

        Raises:
            AccountsInvalid: there is something whose content was not kept.
        """
        entry = effective.get(path)
        if entry is None:
            if self._overlay.real(path) is not None:
                raise AccountsInvalid(f"/{path} is reached through a linked folder")
            return None
        content = None if entry.content is None else self._small.get(entry.content)
        if content is None:
            raise AccountsInvalid(f"/{path} is a link to something else, or no regular file")
        return content

    def _unread(self, what: str, path: str, effective: dict[str, Entry], reason: str) -> Unread:
        there = path if path in effective else self._overlay.real(path) or ""
        layer = effective[there].layer if there in effective else 0
        return Unread(what=what, path=_shown(path), layer=layer, reason=reason)

    # Secrets

    def _found_secrets(self, effective: dict[str, Entry]) -> Iterator[SecretFound]:
        """Each secret once, at a path where a container sees it, else where a lower layer has it."""
        places: dict[Source, tuple[str, int | None]] = {}
        for entry in effective.values():
            if entry.content in self._secrets and entry.content is not None:
                places.setdefault(entry.content, (entry.path, None))
        for hidden in self._overlay.hidden:
            if hidden.entry.content in self._secrets and hidden.entry.content is not None:
                places.setdefault(hidden.entry.content, (hidden.entry.path, hidden.hidden_by))
        for source, secrets in sorted(self._secrets.items(), key=lambda item: (item[0].layer, item[0].member)):
            path, hidden_by = places[source]
            for secret in secrets:
                yield SecretFound(
                    rule=secret.rule,
                    place=SecretKind.FILE,
                    name=_shown(path),
                    layer=source.layer,
                    line=secret.line,
                    view=View.EFFECTIVE if hidden_by is None else View.SHADOWED,
                    hidden_by=hidden_by,
                )


def _file(entry: Entry) -> FileFacts:
    member = entry.member
    if member is None:  # a directory that no layer describes; unpackers make it so
        return FileFacts(
            path=_shown(entry.path), kind=Kind.DIRECTORY, mode="0755", uid=0, gid=0, size=0, layer=entry.layer
        )
    return FileFacts(
        path=_shown(entry.path),
        kind=_KINDS[member.type],
        mode=f"{member.mode:04o}",
        uid=member.uid,
        gid=member.gid,
        size=member.size,
        layer=entry.layer,
        target=_text(member.link) if member.type is MemberType.SYMLINK else None,
        hard_link=None if entry.hard_link is None else _shown(entry.hard_link),
        capabilities=_capabilities(member),
    )


def _capabilities(member: Member) -> str | None:
    return None if member.capability is None else shown_capabilities(member.capability)


def _named(config: ReadConfig, annotations: Mapping[str, str], name: str) -> str | None:
    return annotations.get(name) or config.config.labels.get(name) or None


def _shown(path: str) -> str:
    return "/" + _text(path)


def _text(name: str) -> str:
    """A name without surrogates; bytes that are no UTF-8 are written as `\\xff`."""
    return name if name.isascii() else name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
