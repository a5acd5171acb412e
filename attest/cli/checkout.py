"""The checkout that a lane runs in, against the source that it signs about."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from attest.adapters.context.git import Checkout, find_checkout
from attest.core.source import normalise_repository
from attest.core.statement import Context
from attest.core.strictjson import Json
from attest.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """Where the command runs. None is no checkout at all, as where black-box tests were only unpacked."""

    checkout: Checkout | None
    dirty: bool

    def descriptor(self) -> dict[str, Json] | None:
        """A ResourceDescriptor of the commit that is checked out, for `configuration`."""
        if self.checkout is None:
            return None
        made: dict[str, Json] = {"name": "checkout", "digest": {"gitCommit": self.checkout.head}}
        origin = self.checkout.origin()
        if origin is not None:
            with suppress(ValueError):  # a folder, which others cannot name
                made["uri"] = f"git+{normalise_repository(origin)}@{self.checkout.head}"
        if self.dirty:
            made["annotations"] = {"attest_dirty": True}
        return made


def look_here(context: Context, *, elsewhere: bool) -> Here:
    """The checkout of the working directory; unless the lane says otherwise it is of the commit that will be signed.

    Raises:
        UsageError: HEAD is another commit, or git cannot say what it is.
    """
    checkout, problem = find_checkout(os.environ, str(Path.cwd()))
    here = Here(checkout=checkout, dirty=checkout is not None and checkout.is_dirty())
    if elsewhere:
        return here
    hint = "--source-elsewhere says that what runs here is of another repository than what is signed about"
    if checkout is None and (problem is not None or _is_in_repository()):
        said = problem or "git does not say which commit is checked out here"
        raise UsageError(f"{said}, so it may be another than the commit that would be signed", hint=hint)
    if checkout is not None and checkout.head != context.commit:
        raise UsageError(
            f"the commit that would be signed is {context.commit}, but {checkout.head} is checked out here",
            hint=f"check out that commit (of a pull request its head, not the merge that the forge makes); or {hint}",
        )
    return here


def _is_in_repository() -> bool:
    here = Path.cwd()
    return any(os.path.lexists(folder / ".git") for folder in (here, *here.parents))
