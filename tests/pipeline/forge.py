"""The forge of the pipeline: a git repository and a registry at one Gitea, and the git of whoever works with it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.parts import gitea
from tests.parts.process import Command, plain_environment, run
from tests.parts.registry import Registry

OWNER: Final = "plex"
REPOSITORY: Final = "playlist"
BRANCH: Final = "main"
_AUTHOR: Final = {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org"}
_COMMITTER: Final = {"GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@example.org"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Forge:
    """A running Gitea with the empty repository `plex/playlist`."""

    registry: Registry
    clone_url: str

    @property
    def images(self) -> str:
        """The prefix of images in its registry."""
        return f"{self.registry.host}/{OWNER}"

    def git(self, folder: Path, *arguments: str) -> str:
        """Run git as a person who may push; what it prints."""
        environment = plain_environment(
            folder.parent, **_AUTHOR, **_COMMITTER, **gitea.git_credentials(self.registry), GIT_CONFIG_NOSYSTEM="1"
        )
        return run(Command(arguments=["git", *arguments], environment=environment, directory=folder)).decode().strip()

    def make_checkout(self, folder: Path) -> None:
        """Make a work tree of the files in a folder, which has no commit yet."""
        self.git(folder, "init", "--quiet", "--initial-branch", BRANCH)
        self.git(folder, "remote", "add", "origin", self.clone_url)

    def commit(self, checkout: Path, message: str) -> str:
        """Commit all that is new or changed; the commit's id."""
        self.git(checkout, "add", "--all")
        self.git(checkout, "commit", "--quiet", "--message", message)
        return self.git(checkout, "rev-parse", "HEAD")

    def push(self, checkout: Path) -> str:
        """Push `main`; the commit that it is at."""
        self.git(checkout, "push", "--quiet", "origin", BRANCH)
        return self.git(checkout, "rev-parse", "HEAD")

    def clone(self, commit: str, folder: Path) -> None:
        """Check a commit of `main` out, as a runner does."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        self.git(folder.parent, "clone", "--quiet", "--branch", BRANCH, self.clone_url, folder.name)
        self.git(folder, "reset", "--quiet", "--hard", commit)


@contextlib.contextmanager
def forge(folder: Path) -> Iterator[Forge]:
    """A Gitea that runs while the block does; all that it keeps is below `folder`."""
    gitea.make_template(folder / "template")
    with gitea.gitea(folder / "gitea", folder / "template") as registry:
        gitea.make_organization(registry, OWNER)
        yield Forge(registry=registry, clone_url=gitea.make_repository(registry, OWNER, REPOSITORY))
