"""Good images and their bad twins: one of each kind that `policies/contracts` has a template for.

They are built by buildah from Debian's packages and a static busybox, with Docker's manifest type, since OCI's
configuration has no place for a health check that buildah would write. `kinds/` holds what they are made of; the bad
twin's Containerfile says itself, line by line, what is wrong in the image that it makes. They are built once for a
machine and kept beside what `.ci/parts` builds.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import os
import random
import re
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.parts.debian import debian_root, root_pin
from tests.parts.find import lacking, require
from tests.parts.images import DOCKER_MANIFEST, BuiltImage, PushedImage
from tests.parts.kept import keep, pin
from tests.parts.process import Command, PartError, plain_environment, run
from tests.parts.registry import Registry

_KINDS: Final = Path(__file__).with_name("kinds")
_TEST_TOOL: Final = "pytest==9.2.0"
_TAG: Final = "twin"
_SECONDS: Final = 900.0
_MB: Final = 1_000_000
_NET_RAW: Final = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)
"""The extended attribute of `setcap cap_net_raw=ep`: revision 2 with the effective bit (linux/capability.h)."""
_NAMES: Final = {"python-web": "python", "node-static": "site", "static-binary": "accounts"}
_BREAKS: Final = re.compile(r"# breaks (?P<check>\S+) at (?P<place>\S+)")


class Kind(enum.Enum):
    """The kinds of images, by the names of their contracts."""

    PYTHON_WEB = "python-web"
    NODE_STATIC = "node-static"
    STATIC_BINARY = "static-binary"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that is wrong in a bad twin."""

    check: str
    place: str
    """Where it is to be found: a pattern of places."""
    layer: int | None
    """The layer that the instruction makes; None where it makes none."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """The images of a kind, in layouts that are for reading only. A registry gets them by `push_twin`."""

    kind: Kind
    base: BuiltImage
    """What the good one is built on."""
    good: BuiltImage
    """Runs, and keeps its contract."""
    bad: BuiltImage
    """Breaks every check of the contract; built on an older base."""
    ci: BuiltImage
    """The good one with a test tool on top, in a layer that the bad one has as well."""
    grown: BuiltImage
    """The good one with one more package, six, in a layer of its own."""
    password: str
    """The secret in its environment."""


def twins(kind: Kind) -> Twins:
    """The images of a kind; the first caller on a machine builds them."""
    for program in ("buildah", "gcc", "openssl", "unshare"):
        require(program)
    if os.getuid() != 0:
        lacking("building the images of the contracts needs root")
    made_of = (_KINDS, Path(__file__), require("busybox"), root_pin(), *_test_tool_pin(kind))
    folder = keep(f"{kind.value}-{pin(*made_of)}", lambda target: _make(kind, target))
    return Twins(
        kind=kind,
        **{name: _read(folder / name) for name in ("base", "good", "bad", "ci", "grown")},
        password=_random_text("password"),
    )


def faults(kind: Kind) -> Iterator[Fault]:
    """All that is wrong in the bad twin, by its Containerfile: the base is one layer, each COPY and RUN makes one."""
    pending: list[re.Match[str]] = []
    layers = 0
    for line in (_KINDS / kind.value / "Containerfile.bad").read_text().splitlines():
        match = _BREAKS.fullmatch(line)
        if match is not None:
            pending.append(match)
        elif not line.startswith(("#", " ", "ARG ")):
            layer = layers if line.startswith(("FROM ", "COPY ", "RUN ")) else None
            layers += layer is not None
            yield from (Fault(check=each["check"], place=each["place"], layer=layer) for each in pending)
            pending.clear()


def push_twin(image: BuiltImage, registry: Registry) -> PushedImage:
    """Push an image of a kind, by its digest, to a repository of its own."""
    target = registry.fresh_repository()
    login = str(registry.docker_config_dir / "config.json")
    options = ("--quiet", "--preserve-digests", "--dest-tls-verify=false", "--dest-authfile", login)
    source = f"dir:{image.layout.parent / 'dir'}"
    command = Command(
        arguments=[require("skopeo"), "copy", *options, source, f"docker://{target}@{image.digest}"],
        environment=plain_environment(registry.docker_config_dir),
        directory=registry.docker_config_dir,
    )
    run(command)
    stored = registry.manifest(target, image.digest)
    if stored.status != 200 or stored.body != image.manifest:
        raise PartError(f"{registry.name} does not hold {target}@{image.digest} as it was pushed: {stored}")
    return PushedImage(repository=target, digest=image.digest, manifest=image.manifest)


def _read(folder: Path) -> BuiltImage:
    manifest = (folder / "dir" / "manifest.json").read_bytes()
    digest = f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    return BuiltImage(layout=folder / "layout", tag=_TAG, digest=digest, manifest=manifest)


# ---- building


def _make(kind: Kind, folder: Path) -> Path:
    context, made = folder / "context", folder / "made"
    shutil.copytree(_KINDS, context)
    made.mkdir()
    shutil.copy(require("busybox"), context / "busybox")
    _step(folder, require("gcc"), "-static", "-Os", "-s", "-o", context / "probe", context / "probe.c")
    _test_tool(kind, folder, context / "ci")
    _one_more(context / "six")
    write = {
        Kind.PYTHON_WEB: _python_web_faults,
        Kind.NODE_STATIC: _node_static_faults,
        Kind.STATIC_BINARY: _static_binary_faults,
    }[kind]
    (context / "faults").mkdir()
    write(context / "faults")
    build = _Build(kind=kind, folder=folder, context=context, made=made)
    packages = [] if kind is Kind.STATIC_BINARY else (context / kind.value / "packages").read_text().split()
    if packages:
        build.debian()
    base = build.image("base", "base", PACKAGES=" ".join(packages))
    name = f"registry.example.org/base/{_NAMES[kind.value]}"
    build.image("good", "", BASE="base", BASE_NAME=name, BASE_DIGEST=base.digest, VERSION="1.0")
    build.image("ci", "ci", IMAGE="good")
    build.image("grown", "grown", IMAGE="good")
    # The older base: one package fewer, and an account that nobody needs.
    (context / "passwd").write_text((_KINDS / "passwd").read_text() + "old:x:65533:65533::/:/usr/sbin/nologin\n")
    build.image("older", "base", PACKAGES=" ".join(packages[:-1]))
    build.image("bad", "bad", BASE="older", BASE_DIGEST=base.digest, PASSWORD=_random_text("password"))
    return made


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Build:
    """buildah with a storage that is gone with its folder."""

    kind: Kind
    folder: Path
    context: Path
    made: Path

    def debian(self) -> None:
        """Have the image that base images copy from."""
        self._buildah("from", "--name", "debian", "scratch")
        self._buildah("copy", "--quiet", "debian", debian_root(), "/")
        self._buildah("commit", "--quiet", "debian", "debian")
        self._buildah("rm", "debian")

    def image(self, name: str, which: str, **arguments: str) -> BuiltImage:
        """Build what a Containerfile of the kind, or of all kinds, says, each step in a layer of its own; keep it."""
        file = f"Containerfile.{which}" if which else "Containerfile"
        own = self.context / self.kind.value / file
        source = own if own.exists() else self.context / file
        given: list[str | Path] = [
            f"--build-arg={each}={value}" for each, value in {"DEBIAN": "debian", **arguments}.items()
        ]
        self._buildah(
            *("build", "--quiet", "--layers", "--format", "docker", "--isolation", "chroot", "--timestamp", "0"),
            *(*given, "--file", source, "--tag", name, self.context),
        )
        made = self.made / name
        made.mkdir()
        self._buildah("push", "--quiet", "--format", "v2s2", name, f"dir:{made / 'dir'}")
        _write_layout(made)
        return _read(made)

    def _buildah(self, *arguments: str | Path) -> None:
        storage = ("--root", self.folder / "root", "--runroot", self.folder / "run", "--storage-driver", "overlay")
        # In a mount namespace of its own: what it mounts is gone with it, even if it is killed.
        alone = (require("unshare"), "--mount", "--propagation", "private")
        _step(self.folder, *alone, require("buildah"), *storage, *arguments)


def _write_layout(folder: Path) -> None:
    """An OCI layout beside what buildah wrote, of the same files."""
    blobs = folder / "layout" / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    image = _read(folder)
    for file in (folder / "dir").iterdir():
        name = image.digest.removeprefix("sha256:") if file.name == "manifest.json" else file.name
        if len(name) == 64:
            os.link(file, blobs / name)
    descriptor = {
        "mediaType": DOCKER_MANIFEST,
        "digest": image.digest,
        "size": len(image.manifest),
        "annotations": {"org.opencontainers.image.ref.name": _TAG},
    }
    (image.layout / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (image.layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [descriptor]}))


def _step(folder: Path, *arguments: str | Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    environment = plain_environment(folder, TMPDIR=str(folder), **inherited)
    run(Command(arguments=arguments, environment=environment, directory=folder), seconds=_SECONDS)


# ---- what is in them


def _test_tool_pin(kind: Kind) -> tuple[str | Path, ...]:
    return (_node_modules().parent / "package-lock.json",) if kind is Kind.NODE_STATIC else (_TEST_TOOL,)


def _node_modules() -> Path:
    """The pinned Playwright, as npm installed it."""
    return require("playwright").parent.parent / "node_modules"


def _test_tool(kind: Kind, folder: Path, target: Path) -> None:
    if kind is Kind.NODE_STATIC:
        # Without its libraries: they are large, and what names the packages is all that checks look at.
        without = shutil.ignore_patterns("lib", "types", "*.d.ts")
        shutil.copytree(_node_modules(), target / "node_modules", symlinks=True, ignore=without)
    else:
        quiet = ("--quiet", "--no-compile", "--target", target)
        _step(folder, sys.executable, "-m", "pip", "install", *quiet, _TEST_TOOL)


def _one_more(target: Path) -> None:
    """six, as Debian has it."""
    (found,) = (debian_root() / "usr/lib/python3/dist-packages").glob("six-*.*-info")
    target.mkdir()
    for file in (found.with_name("six.py"), found):
        (shutil.copytree if file.is_dir() else shutil.copy)(file, target / file.name)


def _python_web_faults(folder: Path) -> None:
    (folder / "env").write_text(f"GITHUB_TOKEN=ghp_{_random_text('token')}\n")
    _with_capability(folder / "ping")
    (folder / "cache.db").write_bytes(b"cached\n")
    (folder / "test_playlist.py").write_text('"""Tests."""\n')
    (folder / "notes.txt").write_text("to do\n")
    accounts = (_KINDS / "passwd").read_text()
    (folder / "passwd").write_text(f"{accounts}admin:x:0:0::/:/bin/sh\nguest:x:1000:1000::/:/bin/sh\n")
    (folder / "shadow").write_text("root:*:20000:0:99999:7:::\nguest::20000:0:99999:7:::\n")
    (folder / "pip.metadata").write_text("Metadata-Version: 2.1\nName: pip\nVersion: 23.0.1\n")
    _bulk(folder)


def _node_static_faults(folder: Path) -> None:
    (folder / "shell").mkdir()
    shutil.copy(require("busybox"), folder / "shell" / "busybox")
    (folder / "shell" / "sh").symlink_to("busybox")
    (folder / "npmrc").write_text(f"//registry.example.org/:_authToken=npm_{_random_text('token')}\n")
    (folder / "elevate").write_bytes(b"\x7fELF")
    (folder / "writable" / "uploads").mkdir(parents=True)
    (folder / "writable" / "uploads").chmod(0o777)
    (folder / "git.config").write_text("[core]\n")
    (folder / "package.json").write_text('{"name": "playlist-site", "version": "1.0.0"}')
    (folder / "typescript.json").write_text('{"name": "typescript", "version": "5.4.2"}')
    (folder / "group").write_text((_KINDS / "group").read_text() + "app:x:1000:\n")
    (folder / "passwd").write_text((_KINDS / "passwd").read_text() + "guest::1000:1000::/:/app/bin/sh\n")
    _bulk(folder)


def _static_binary_faults(folder: Path) -> None:
    _step(folder, require("openssl"), "genpkey", "-algorithm", "ed25519", "-out", folder / "deploy.key")
    _with_capability(folder / "ping")
    (folder / "counter").write_text("0\n")
    (folder / "main.c").write_text("int main(void) { return 0; }\n")
    (folder / "libadded.so").write_bytes(b"\x7fELF")
    (folder / "passwd").write_text(
        (_KINDS / "passwd").read_text() + "same:x:65532:65532::/:/nologin\nguest::1000:1000::/:/nologin\n"
    )
    _bulk(folder)


def _bulk(folder: Path) -> None:
    """What is too large: bytes that do not compress, bytes that do, and some that a later step deletes."""
    noise = random.Random(6)
    (folder / "noise").write_bytes(noise.randbytes(45 * _MB))
    (folder / "wasted").write_bytes(noise.randbytes(8 * _MB))
    (folder / "zeros").write_bytes(bytes(120 * _MB))


def _with_capability(file: Path) -> None:
    file.write_bytes(b"\x7fELF")
    file.chmod(0o755)
    os.setxattr(file, "security.capability", _NET_RAW)


def _random_text(what: str) -> str:
    """36 letters and digits, the same ones for every run; the tests' own, and a key to nothing."""
    return hashlib.sha256(f"twins {what}".encode()).hexdigest()[:36]
