"""What the benchmarks play on: registries on loopback, a delay before them, cosign, keys, and commands to run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from attest.adapters.deadline import Deadline
from attest.adapters.keys import generate
from attest.adapters.registry import Access, RegistrySettings, RegistryStore
from bench.processes import attest_program
from tests.parts import docker_registry, gitea, olareg
from tests.parts.cosign import Cosign
from tests.parts.delay import Delayed, delayed
from tests.parts.find import find
from tests.parts.process import Command, plain_environment
from tests.parts.registry import Registry
from tests.parts.sigstore import PROGRAMS, PrivateSigstore, private_sigstore
from tests.parts.token_server import TokenServer

DOCKER_REGISTRY: Final = "docker-registry"
OLAREG: Final = "olareg"
GITEA: Final = "gitea"
WITH_TOKENS: Final = "docker-registry-token"

SOURCE: Final = "https://git.example.org/plex/playlist"
COMMIT: Final = "c" * 40
PASSPHRASE: Final = "correct horse battery staple"


class Absent(Exception):
    """A program that is measured, or measured beside, is not on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFiles:
    """A key pair without a passphrase."""

    private: Path
    public: Path


class Stage:
    """Everything is made when it is first asked for, and is gone when `close` returns."""

    def __init__(self, folder: Path, *, quick: bool) -> None:
        self.folder = folder
        self.quick = quick
        self._open = contextlib.ExitStack()
        self._registries: dict[str, Registry] = {}
        self._delays: dict[tuple[str, int], Delayed] = {}
        self._keys: dict[str, KeyFiles] = {}
        self._cosign: Cosign | None = None
        self._sigstore: PrivateSigstore | None = None
        self._token_server: TokenServer | None = None

    def close(self) -> None:
        """Stop every server."""
        self._open.close()

    @property
    def rounds(self) -> int:
        """How often each contestant runs."""
        return 2 if self.quick else 7

    # Parts

    def registry(self, name: str) -> Registry:
        """A running registry.

        Raises:
            Absent: it is not installed.
        """
        if name not in self._registries:
            _need(DOCKER_REGISTRY if name == WITH_TOKENS else name)
            folder = self.folder / name
            folder.mkdir()
            self._registries[name] = self._start(name, folder)
        return self._registries[name]

    def slow(self, name: str, *, milliseconds: int) -> Delayed:
        """The same registry with so much time before each response; 0 only counts.

        Raises:
            Absent: it is not installed.
        """
        if (name, milliseconds) not in self._delays:
            folder = self.folder / f"{name}-{milliseconds}"
            entered = self._open.enter_context(delayed(self.registry(name), folder, milliseconds=milliseconds))
            self._delays[name, milliseconds] = entered
        return self._delays[name, milliseconds]

    @property
    def token_host(self) -> str | None:
        """Where the registry of `WITH_TOKENS` sends everybody for a token."""
        server = self._token_server
        return None if server is None else server.realm.removeprefix("http://").partition("/")[0]

    @property
    def tokens_asked(self) -> int:
        """How often that place was asked for a token so far."""
        return 0 if self._token_server is None else len(self._token_server.asked)

    def cosign(self) -> Cosign:
        """cosign, with a home of its own.

        Raises:
            Absent: it is not installed.
        """
        if self._cosign is None:
            _need("cosign")
            self._cosign = Cosign(self.folder / "cosign")
        return self._cosign

    def sigstore(self) -> PrivateSigstore:
        """A private Sigstore: Fulcio, Rekor v2 and a timestamp server.

        Raises:
            Absent: one of them is not installed.
        """
        if self._sigstore is None:
            for program in PROGRAMS:
                _need(program)
            self._sigstore = self._open.enter_context(private_sigstore(self.folder / "sigstore"))
        return self._sigstore

    def key(self, name: str) -> KeyFiles:
        """The key pair of this name."""
        if name not in self._keys:
            made = generate(name, self.folder / "keys", "ecdsa-p256", None)
            self._keys[name] = KeyFiles(private=made.private, public=made.public)
        return self._keys[name]

    # Commands

    def attest(self, *arguments: str | Path, registry: Registry | None = None, before: tuple[str, ...] = ()) -> Command:
        """The installed command, in an empty folder and with nothing of the user's environment.

        `before` stands in front of the program: a Python and its options.
        """
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        more = {} if registry is None else {"DOCKER_CONFIG": str(registry.docker_config_dir)}
        return Command(
            arguments=[*before, attest_program(), *arguments],
            environment=plain_environment(work, ATTEST_KEY_PASSWORD=PASSPHRASE, **more),
            directory=work,
        )

    def store(self, registry: Registry) -> RegistryStore:
        """A store that publishes there, in this process."""
        return RegistryStore(
            RegistrySettings(
                deadline=Deadline(600),
                access=Access.PUSH,
                docker_config=registry.docker_config_dir,
                token_hosts=frozenset() if self.token_host is None else frozenset({self.token_host}),
            )
        )

    def _start(self, name: str, folder: Path) -> Registry:
        if name == WITH_TOKENS:
            both = self._open.enter_context(docker_registry.with_tokens(folder))
            self._token_server = both.token_server
            return both.registry
        return self._open.enter_context(_PARTS[name](folder))


def _gitea(folder: Path) -> AbstractContextManager[Registry]:
    template = folder / "template"
    gitea.make_template(template)
    return gitea.gitea(folder / "running", template)


_PARTS: Final[Mapping[str, Callable[[Path], AbstractContextManager[Registry]]]] = {
    DOCKER_REGISTRY: docker_registry.plain,
    OLAREG: olareg.olareg,
    GITEA: _gitea,
}


def _need(program: str) -> None:
    if find(program) is None:
        raise Absent(f"{program} is not here; .ci/parts --install brings it")
