"""Write a first gate into a repository: a policy, keys, lanes and workflows. What is there already is never changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from attest.core.reference import Repository

LANES: Final = ("build", "contract", "fast-check", "integration", "e2e")
"""The lanes that are written, in the order in which they run; `e2e` is about all images of a release together."""

IGNORED: Final = "/keys/*.key"
"""The line of .gitignore that keeps private keys out of every commit."""


class Forge(StrEnum):
    """Where the workflows run."""

    FORGEJO = "forgejo"
    GITHUB = "github"
    GITLAB = "gitlab"


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What the files are written for."""

    repository: str
    """The URL of the source, in its normal form."""
    registry: Repository
    """Below which the images are: each service has a repository of its own there."""
    services: Sequence[str]
    branch: str
    version: str
    """The version of attest that the workflows install."""


class Outcome(StrEnum):
    """What became of a file."""

    WRITTEN = "written"
    SAME = "unchanged"
    """It says already what would have been written."""
    KEPT = "kept"
    """It is there and says something else, which nobody but its owner may change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One file, and what became of it."""

    path: str
    outcome: Outcome


class Render(Protocol):
    """Fills in a template."""

    def __call__(self, template: str, *, project: Project, forge: Forge | None = None) -> str:
        """The text of the file that the template is of."""
        ...


class Folder(Protocol):
    """The work tree that files are written into. Paths are relative, with /."""

    def read(self, path: str) -> bytes | None:
        """What a file holds; None where there is none.

        Raises:
            attest.errors.DocumentInvalid: something is there that cannot be read as a file.
        """
        ...

    def create(self, path: str, content: bytes, *, executable: bool) -> None:
        """Write a file that is not there yet, with the folders above it.

        Raises:
            attest.errors.UsageError: it cannot be written, or appeared meanwhile.
        """
        ...

    def append(self, path: str, content: bytes) -> None:
        """Add to the end of a file, which is made where it is missing.

        Raises:
            attest.errors.UsageError: it cannot be written.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """A file that is to be there."""

    path: str
    template: str
    forge: Forge | None = None
    executable: bool = False


_ALWAYS: Final = (
    _File(path="policies/release.yaml", template="policy.yaml"),
    _File(path="release.example.yaml", template="release.example.yaml"),
    _File(path="keys/README.md", template="keys.md"),
    _File(path="ci/start", template="start.sh", executable=True),
    _File(path="ci/fast-check", template="fast-check.sh", executable=True),
    _File(path="ci/contract", template="contract.py", executable=True),
    _File(path="ci/integration", template="integration.sh", executable=True),
    _File(path="ci/e2e", template="e2e.sh", executable=True),
)
_WORKFLOWS: Final = {
    Forge.FORGEJO: _File(path=".forgejo/workflows/release.yml", template="actions.yml", forge=Forge.FORGEJO),
    Forge.GITHUB: _File(path=".github/workflows/release.yml", template="actions.yml", forge=Forge.GITHUB),
    Forge.GITLAB: _File(path=".gitlab-ci.yml", template="gitlab.yml", forge=Forge.GITLAB),
}


def missing_keys(folder: Folder) -> tuple[str, ...]:
    """The lanes whose public key is not there yet. A private key need not be there: it stays with the lane."""
    return tuple(lane for lane in LANES if folder.read(f"keys/{lane}.pub") is None)


def initialise(
    project: Project,
    forges: Sequence[Forge],
    *,
    folder: Folder,
    render: Render,
    make_key: Callable[[str], None],
) -> tuple[Report, ...]:
    """Write what is missing. Doing it twice changes nothing.

    `make_key` writes the key pair of a lane into `keys`. Private keys are kept out of commits before there are any.

    Raises:
        UsageError, DocumentInvalid, KeyUnusable: a file cannot be read or written.
    """
    return tuple(_each(project, forges, folder=folder, render=render, make_key=make_key))


def _each(
    project: Project,
    forges: Sequence[Forge],
    *,
    folder: Folder,
    render: Render,
    make_key: Callable[[str], None],
) -> Iterator[Report]:
    files = [*_ALWAYS, *(_WORKFLOWS[forge] for forge in dict.fromkeys(forges))]
    contents = [render(file.template, project=project, forge=file.forge).encode() for file in files]
    found = [folder.read(file.path) for file in files]  # what cannot be read stops it before anything is written
    missing = missing_keys(folder)
    yield _ignore(folder)
    for lane in LANES:
        if lane in missing:
            make_key(lane)
        yield Report(path=f"keys/{lane}.pub", outcome=Outcome.WRITTEN if lane in missing else Outcome.SAME)
    for file, content, before in zip(files, contents, found, strict=True):
        if before is None:
            folder.create(file.path, content, executable=file.executable)
            yield Report(path=file.path, outcome=Outcome.WRITTEN)
        else:
            yield Report(path=file.path, outcome=Outcome.SAME if before == content else Outcome.KEPT)


def _ignore(folder: Folder) -> Report:
    found = folder.read(".gitignore")
    if found is not None and IGNORED in found.decode("utf-8", "replace").splitlines():
        return Report(path=".gitignore", outcome=Outcome.SAME)
    start = b"" if not found or found.endswith(b"\n") else b"\n"
    note = f"# The private keys of lanes: they stay with the lanes, as secrets of the forge.\n{IGNORED}\n"
    folder.append(".gitignore", start + note.encode())
    return Report(path=".gitignore", outcome=Outcome.WRITTEN)
