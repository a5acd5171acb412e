"""The context of an attestation: what a flag says, else what the CI says, else what git says.

Values of the environment are claims of the job; the policy decides what they are worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from attest.adapters.context.forges import Job, find_job
from attest.adapters.context.found import Found, Origin, Raw, T
from attest.adapters.context.git import Checkout, find_checkout
from attest.core.statement import Context
from attest.errors import UsageError


class ForeignCode(Enum):
    """What to do in a `pull_request_target` job, which runs a stranger's code with the repository's rights."""

    REFUSE = "refuse"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What the command line says; None where it says nothing."""

    source_repository: str | None = None
    source_commit: str | None = None
    source_ref: str | None = None
    run_id: str | None = None
    run_attempt: str | None = None
    job: str | None = None
    run_url: str | None = None

    def raw(self, name: str) -> Raw | None:
        """The flag of this attribute. An empty one is an error of its own, not one that was left out."""
        text: str | None = getattr(self, name)
        flag = "--" + name.replace("_", "-")
        return None if text is None else Raw(text=text, origin=Origin.FLAG, place=flag)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """What was found, each with its origin; None where nothing was."""

    repository: Found[str] | None
    commit: Found[str] | None
    ref: Found[str] | None
    run_id: Found[str] | None
    run_attempt: Found[int] | None
    job: Found[str] | None
    run_url: Found[str] | None
    dirty: bool
    """Whether the checkout of this very commit has changes in tracked files."""
    warnings: tuple[str, ...]
    """What could not be found out, in sentences."""

    def context(self, *, lane: str, started: datetime | None, finished: datetime) -> Context:
        """The context to sign.

        Raises:
            UsageError: no repository, or no commit, was found.
        """
        if self.repository is None or self.commit is None:
            lacking = "repository" if self.repository is None else "commit"
            raise UsageError(
                f"no source {lacking} is known: no flag, no CI and no git checkout says one",
                hint=". ".join((f"name it with --source-{lacking}", *self.warnings)),
            )
        return Context(
            lane=lane,
            repository=self.repository.value,
            commit=self.commit.value,
            ref=_value(self.ref),
            run_id=_value(self.run_id),
            run_attempt=_value(self.run_attempt),
            job=_value(self.job),
            run_url=_value(self.run_url),
            started=started,
            finished=finished,
            dirty=self.dirty,
        )


def detect(
    environment: Mapping[str, str],
    cwd: str,
    *,
    flags: Flags = Flags(),
    foreign_code: ForeignCode = ForeignCode.REFUSE,
) -> Detected:
    """Find the context out.

    A ref is said of a commit: where a flag names another commit than the CI or git does, their ref is not used.

    Raises:
        UsageError: a value is malformed, a pull request's head commit cannot be found out, or the job is a
            `pull_request_target` and `foreign_code` does not allow it.
    """
    job = find_job(environment, needs_commit=flags.source_commit is None)
    told = job or Job()
    if told.runs_foreign_code and foreign_code is ForeignCode.REFUSE:
        raise UsageError(
            "a pull_request_target job runs a stranger's code with the rights of the repository, "
            "so what it signs proves nothing",
            hint="sign in a push or pull_request job; --allow-pull-request-target signs all the same",
        )
    checkout, problem = find_checkout(environment, cwd)
    warnings = [problem] if problem else []
    head = Raw(text=checkout.head, origin=Origin.GIT, place="git HEAD") if checkout else None
    commit = _first(Raw.commit, flags.raw("source_commit"), told.commit, head)
    repository = _first(Raw.repository, flags.raw("source_repository"), told.repository)
    if repository is None and checkout is not None:
        repository = _origin_of(checkout, warnings)
    ref = flags.raw("source_ref")
    if ref is None and commit is not None:
        ref = _ref_of(commit.value, job, checkout)
    return Detected(
        repository=repository,
        commit=commit,
        ref=_first(Raw.ref, ref),
        run_id=_first(Raw.line, flags.raw("run_id"), told.run_id),
        run_attempt=_first(Raw.number, flags.raw("run_attempt"), told.run_attempt),
        job=_first(Raw.line, flags.raw("job"), told.job),
        run_url=_first(Raw.url, flags.raw("run_url"), told.run_url),
        dirty=checkout is not None and commit is not None and checkout.head == commit.value and checkout.is_dirty(),
        warnings=tuple(warnings),
    )


def _first(read: Callable[[Raw], Found[T]], *found: Raw | None) -> Found[T] | None:
    """The first value that there is, checked. One that is malformed hides no later one: it is an error."""
    for raw in found:
        if raw is not None:
            return read(raw)
    return None


def _ref_of(commit: str, job: Job | None, checkout: Checkout | None) -> Raw | None:
    """The ref that this commit was said to be at. In a CI job git's branch names are nobody's claim."""
    if job is not None:
        return job.ref if job.commit is not None and job.commit.text == commit else None
    branch = checkout.ref() if checkout is not None and checkout.head == commit else None
    return Raw(text=branch, origin=Origin.GIT, place="git symbolic-ref HEAD") if branch else None


def _origin_of(checkout: Checkout, warnings: list[str]) -> Found[str] | None:
    """The repository of the remote `origin`; a folder on this machine names none."""
    url = checkout.origin()
    if not url:
        return None
    try:
        return Raw(text=url, origin=Origin.GIT, place="git remote get-url origin").repository()
    except UsageError:
        warnings.append("the git remote origin is no repository that others can name")  # not shown: it may hold a token
        return None


def _value(found: Found[T] | None) -> T | None:
    return found.value if found is not None else None
