"""What git says about the folder that a command runs in. No git, and no checkout, is no error: nothing is found."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_SECONDS: Final = 10.0
_NO_SURPRISES: Final = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A work tree at one commit. Each method asks git once."""

    head: str
    """The commit that is checked out."""
    _environment: Mapping[str, str]
    _cwd: str

    def ref(self) -> str | None:
        """The branch that is checked out, as a full ref; None where HEAD is detached."""
        return _git("symbolic-ref", "--quiet", "HEAD", environment=self._environment, cwd=self._cwd)[0]

    def origin(self) -> str | None:
        """The URL of the remote `origin`."""
        return _git("remote", "get-url", "origin", environment=self._environment, cwd=self._cwd)[0]

    def is_dirty(self) -> bool:
        """Whether tracked files differ from the commit, staged or not.

        What cannot be told counts as a difference: nobody may take it for a clean tree.
        """
        arguments = ("status", "--porcelain", "--untracked-files=no", "--ignore-submodules=untracked")
        return _git(*arguments, environment=self._environment, cwd=self._cwd)[0] != ""


def find_checkout(environment: Mapping[str, str], cwd: str) -> tuple[Checkout | None, str | None]:
    """The checkout that `cwd` is in, if it is in one; else why git did not say, where there is more to it than that.

    `environment` is what git runs with: PATH says where it is, `GIT_DIR` and the like are obeyed.
    """
    said, problem = _git("rev-parse", "--is-inside-work-tree", "HEAD^{commit}", environment=environment, cwd=cwd)
    match (said or "").split():
        case ["true", head]:
            return Checkout(head=head, _environment=environment, _cwd=cwd), None
        case _:
            return None, problem


def find_names(environment: Mapping[str, str], cwd: str) -> tuple[str | None, str | None]:
    """The URL of `origin` and the name of the branch, of a repository that need not have a commit yet."""
    origin, _ = _git("remote", "get-url", "origin", environment=environment, cwd=cwd)
    branch, _ = _git("symbolic-ref", "--quiet", "--short", "HEAD", environment=environment, cwd=cwd)
    return origin or None, branch or None


def _git(*arguments: str, environment: Mapping[str, str], cwd: str) -> tuple[str | None, str | None]:
    """What git printed, or None and, in git's words, what stands in the way of a repository that is there."""
    try:
        result = subprocess.run(
            ["git", "-c", "core.fsmonitor=false", *arguments],  # noqa: S607 - the git of the job's PATH is meant
            cwd=cwd,
            env={**environment, **_NO_SURPRISES},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"git {arguments[0]} took longer than {_SECONDS:g} s"
    except (OSError, ValueError):
        return None, None
    if result.returncode == 0:
        return os.fsdecode(result.stdout).strip(), None
    said = os.fsdecode(result.stderr)
    if "dubious ownership" in said:
        return None, "git does not trust the owner of this checkout, and was not asked about changes in it"
    return None, None
