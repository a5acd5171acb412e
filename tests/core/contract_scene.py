"""A small image that keeps every check, and ways to make it break one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from attest.adapters.documents import parse_document
from attest.core.contract import BuildClaim, Contract, check_image, read_contract
from attest.core.contract.finding import CheckResult, Finding, Report, Standing
from attest.core.image.facts import (
    Account,
    Base,
    FileFacts,
    Group,
    Healthcheck,
    ImageConfig,
    ImageFacts,
    Kind,
    LayerFacts,
    Package,
    Password,
    PlatformFacts,
    Sizes,
    Unread,
    View,
)
from attest.core.oci import INDEX, Platform
from attest.core.reference import Digest, digest_of

NOW: Final = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
AMD: Final = Platform(os="linux", architecture="amd64")
ARM: Final = Platform(os="linux", architecture="arm64")
LABELS: Final = {
    "org.opencontainers.image.created": "2026-06-30T10:00:00Z",
    "org.opencontainers.image.source": "https://git.example.org/plex/playlist",
    "org.opencontainers.image.revision": "4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70",
    "org.opencontainers.image.version": "1.4.0",
    "org.opencontainers.image.title": "playlist",
    "org.opencontainers.image.licenses": "Apache-2.0",
    "org.opencontainers.image.base.name": "registry.example.org/base/debian:12",
    "org.opencontainers.image.base.digest": "sha256:" + 64 * "b",
}


def layer(position: int, name: str, *, entries: int = 3, size: int = 1000) -> LayerFacts:
    """A layer; its diff_id follows from its name alone."""
    return LayerFacts(
        position=position,
        digest=digest_of(f"blob {name}".encode()),
        diff_id=diff_of(name),
        media_type="application/vnd.oci.image.layer.v1.tar+gzip",
        compressed=size // 2,
        unpacked=size,
        entries=entries,
        created_by=f"RUN {name}",
    )


def diff_of(name: str) -> Digest:
    """The diff_id of the layer of this name."""
    return digest_of(name.encode())


def layers(*names: str) -> tuple[LayerFacts, ...]:
    """Layers of these names; one that begins with `empty` has no entries."""
    return tuple(
        layer(position, name, entries=0 if name.startswith("empty") else 3) for position, name in enumerate(names)
    )


def file(path: str, mode: str = "0644", **more: Any) -> FileFacts:
    """A regular file of root's, in layer 1 unless said otherwise."""
    given: dict[str, Any] = {"kind": Kind.FILE, "uid": 0, "gid": 0, "size": 10, "layer": 1}
    return FileFacts(path=path, mode=mode, **(given | more))


def link(path: str, target: str, **more: Any) -> FileFacts:
    """A symbolic link."""
    return file(path, "0777", kind=Kind.SYMLINK, size=0, target=target, **more)


def folder(path: str, mode: str = "0755", **more: Any) -> FileFacts:
    """A directory."""
    return file(path, mode, kind=Kind.DIRECTORY, size=0, **more)


def account(name: str, uid: int, password: Password = Password.LOCKED) -> Account:
    """A line of /etc/passwd."""
    return Account(name=name, uid=uid, gid=uid, home="/", shell="/usr/sbin/nologin", password=password)


def group(name: str, gid: int) -> Group:
    """A line of /etc/group."""
    return Group(name=name, gid=gid, members=())


def package(purl: str, *, hidden_by: int | None = None, position: int = 0) -> Package:
    """A package by its URL."""
    name, _, version = purl.partition("?")[0].rpartition("/")[2].partition("@")
    return Package(
        purl=purl,
        type=purl.partition(":")[2].partition("/")[0],
        name=name,
        version=version,
        path="/var/lib/dpkg/status",
        layer=position,
        view=View.EFFECTIVE if hidden_by is None else View.SHADOWED,
        hidden_by=hidden_by,
    )


def unread(what: str, path: str, view: View = View.EFFECTIVE) -> Unread:
    """Something that could not be read."""
    return Unread(what=what, path=path, layer=1, reason="it is broken", view=view)


CONFIG: Final = ImageConfig(
    user="app:app",
    entrypoint=("/usr/bin/service", "--serve"),
    cmd=("--port", "8080"),
    workdir="/srv/app",
    stop_signal="SIGTERM",
    env=(("PATH", "/usr/local/bin:/usr/bin"),),
    labels=LABELS,
    exposed_ports=("8080/tcp",),
    volumes=("/srv/data",),
    healthcheck=Healthcheck(test=("CMD", "/usr/bin/service", "--check")),
)
GOOD: Final = PlatformFacts(
    platform=AMD,
    manifest=Digest("sha256:" + 64 * "1"),
    config_digest=Digest("sha256:" + 64 * "2"),
    annotations={},
    config=CONFIG,
    history=(),
    layers=layers("base", "os", "app"),
    files=(
        folder("/etc"),
        file("/etc/passwd"),
        folder("/srv/app"),
        folder("/usr"),
        folder("/usr/bin"),
        file("/usr/bin/service", "0755", layer=2),
    ),
    shadowed=(),
    packages=(package("pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12"),),
    accounts=(account("root", 0), account("app", 1000)),
    groups=(group("root", 0), group("app", 1000)),
    secrets=(),
    unread=(),
    sizes=Sizes(compressed=1500, unpacked=3000, wasted=0),
    base=Base(name="registry.example.org/base/debian:12", digest="sha256:" + 64 * "b"),
)


def with_config(facts: PlatformFacts = GOOD, /, **changes: Any) -> PlatformFacts:
    """The image with another configuration."""
    return dataclasses.replace(facts, config=dataclasses.replace(facts.config, **changes))


def with_files(*files: FileFacts) -> PlatformFacts:
    """The image with more files, or others at their paths."""
    by_path = {each.path: each for each in (*GOOD.files, *files)}
    return dataclasses.replace(GOOD, files=tuple(by_path[path] for path in sorted(by_path)))


def image(*platforms: PlatformFacts, digest: str = "sha256:" + 64 * "9") -> ImageFacts:
    """An index of these."""
    return ImageFacts(digest=Digest(digest), media_type=INDEX, platforms=platforms)


BASE_IMAGE: Final = image(
    dataclasses.replace(
        GOOD,
        layers=layers("base"),
        manifest=Digest("sha256:" + 64 * "c"),
        sizes=Sizes(compressed=1, unpacked=1000, wasted=0),
    ),
    digest="sha256:" + 64 * "b",
)


def of(*names: str, platform: Platform = AMD, **changes: Any) -> PlatformFacts:
    """The good image with these layers."""
    return dataclasses.replace(GOOD, layers=layers(*names), platform=platform, **changes)


def claim(*, target: str | None = None, bases: Sequence[Digest] = (), images: Sequence[Digest] = ()) -> BuildClaim:
    """What a provenance says."""
    every = frozenset({*bases, *images})
    return BuildClaim(place="sha256:5e", target=target, bases=frozenset(bases), images=every)


def contract(text: str) -> Contract:
    """A contract that asks for this."""
    return read_contract(parse_document(f"version: 1\nname: test\n{text}\n".encode(), file="contract.yaml"))


def check(text: str, *platforms: PlatformFacts, **more: Any) -> Report:
    """What the checks of a contract say of an image."""
    return check_image(contract(text), image(*platforms), **({"now": NOW} | more))


def places(report: Report, standing: Standing = Standing.VIOLATION) -> list[str]:
    """Where the report found something of this standing."""
    return [finding.place for finding in report.findings if finding.standing is standing]


def messages(report: Report) -> str:
    """All that the report says."""
    return "\n".join(finding.message for finding in report.findings)


class FakeLock:
    """A lock that says what it is told to."""

    def __init__(self, sizes: Mapping[Platform, int], findings: Sequence[Finding] = ()) -> None:
        self._sizes, self._found = sizes, findings

    def sizes(self, platform: Platform) -> Sizes | None:
        size = self._sizes.get(platform)
        return None if size is None else Sizes(compressed=size, unpacked=size, wasted=0)

    def findings(self, _: ImageFacts) -> Sequence[Finding]:
        return self._found


def outcomes(results: Iterable[CheckResult]) -> list[tuple[str, str | None, str]]:
    """Each result, in short."""
    return [(one.check, None if one.platform is None else str(one.platform), one.outcome.value) for one in results]
