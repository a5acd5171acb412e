"""How Forgejo, Gitea, GitHub and GitLab name the source and the run to a job.

Sources: the references of variables of GitHub Actions, Forgejo Actions and Gitea Actions, and GitLab's predefined
CI/CD variables. A variable that is set and empty counts as one that is not set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from attest.adapters.context.found import Origin, Raw
from attest.core.strictjson import Json, JsonInvalid, loads
from attest.errors import UsageError

_EVENT_FILE_BYTES: Final = 32 * 1024 * 1024
"""GitHub sends events of at most 25 MB."""
_MERGE_REF: Final = re.compile(r"refs/pull/([0-9]+)/merge")
_MERGE_REQUEST_EVENTS: Final = ("merge_request_event", "external_pull_request_event")
_PREFIXES: Final = {
    Origin.FORGEJO: ("FORGEJO_", "GITHUB_"),  # Forgejo says everything twice
    Origin.GITEA: ("GITHUB_",),
    Origin.GITHUB: ("GITHUB_",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What a CI job is told about itself, as it was told."""

    repository: Raw | None = None
    commit: Raw | None = None
    ref: Raw | None = None
    run_id: Raw | None = None
    run_attempt: Raw | None = None
    job: Raw | None = None
    run_url: Raw | None = None
    runs_foreign_code: bool = False
    """A job that has the repository's rights and is made to run the code of a stranger's pull request."""


def find_job(environment: Mapping[str, str], *, needs_commit: bool) -> Job | None:
    """The CI job that this is, if it is one.

    Forgejo and Gitea pretend to be GitHub too, so they are asked about first. Without `needs_commit` a pull
    request's event file need not be there.

    Raises:
        UsageError: the head commit of a pull request is needed and cannot be found out.
    """
    for origin in (Origin.FORGEJO, Origin.GITEA, Origin.GITLAB, Origin.GITHUB):
        if environment.get(origin, "").lower() == "true":
            variables = _Variables(environment, origin)
            return _gitlab(variables) if origin is Origin.GITLAB else _actions(variables, needs_commit=needs_commit)
    return None


class _Variables:
    """The variables of a job of one CI system."""

    def __init__(self, environment: Mapping[str, str], origin: Origin) -> None:
        self.origin = origin
        self._environment = environment
        self._prefixes = _PREFIXES.get(origin, ("CI_",))

    def get(self, name: str) -> Raw | None:
        """The variable of this name, given without its prefix."""
        for prefix in self._prefixes:
            text = self._environment.get(prefix + name)
            if text:
                return self.raw(text, prefix + name)
        return None

    def text(self, name: str) -> str:
        """The same as text, empty where it is not set."""
        found = self.get(name)
        return found.text if found else ""

    def raw(self, text: str, place: str) -> Raw:
        """A value that was made of variables."""
        return Raw(text=text, origin=self.origin, place=place)


def _actions(variables: _Variables, *, needs_commit: bool) -> Job:
    """GitHub, and the forges that speak its language."""
    server, name = variables.get("SERVER_URL"), variables.get("REPOSITORY")
    repository = run_url = None
    if server is not None and name is not None:
        url = f"{server.text.rstrip('/')}/{name.text}"
        repository = variables.raw(url, f"{server.place} and {name.place}")
        # Forgejo and, before 1.26, Gitea count the runs of each repository from one and name them so in URLs.
        run = variables.get("RUN_ID" if variables.origin is Origin.GITHUB else "RUN_NUMBER")
        if run is not None:
            run_url = variables.raw(f"{url}/actions/runs/{run.text}", f"{server.place} and {run.place}")
    commit, ref = variables.get("SHA"), variables.get("REF")
    event = variables.text("EVENT_NAME")
    if needs_commit and event.startswith("pull_request"):
        commit, ref = _of_pull_request(variables, _head_ref(ref))
    return Job(
        repository=repository,
        commit=commit,
        ref=ref,
        run_id=variables.get("RUN_ID"),
        run_attempt=variables.get("RUN_ATTEMPT"),
        job=variables.get("JOB"),
        run_url=run_url,
        runs_foreign_code=event == "pull_request_target",
    )


def _head_ref(ref: Raw | None) -> Raw | None:
    """The ref of a pull request's head, for that of the merge commit that the forge made up; else None.

    What is no ref of a pull request is that of the branch it goes to, where the code is not yet.
    """
    match = _MERGE_REF.fullmatch(ref.text) if ref else None
    if ref is None:
        return None
    if match is not None:
        return Raw(text=f"refs/pull/{match[1]}/head", origin=ref.origin, place=ref.place)
    return ref if ref.text.startswith("refs/pull/") else None


def _of_pull_request(variables: _Variables, ref: Raw | None) -> tuple[Raw, Raw | None]:
    """Commit and ref of a pull request's head, from the event that started the job."""
    file = variables.get("EVENT_PATH")
    hint = "--source-commit names the head commit of the pull request"
    if file is None:
        raise UsageError("a pull request, but EVENT_PATH does not say where the event is", hint=hint)
    request = _member(_event(file, hint), "pull_request")
    commit, number = _member(_member(request, "head"), "sha"), _member(request, "number")
    if not isinstance(commit, str):
        raise UsageError(f"{file.place}: the event {file.text} names no head commit", hint=hint)
    if type(number) is int and number > 0:
        ref = variables.raw(f"refs/pull/{number}/head", file.place)
    return variables.raw(commit, file.place), ref


def _event(file: Raw, hint: str) -> Json:
    try:
        with Path(file.text).open("rb") as opened:
            content = opened.read(_EVENT_FILE_BYTES + 1)
        if len(content) > _EVENT_FILE_BYTES:
            raise UsageError(f"{file.place}: {file.text} has more than {_EVENT_FILE_BYTES} bytes", hint=hint)
        return loads(content)
    except (OSError, ValueError) as error:
        said = str(error) if isinstance(error, JsonInvalid) else getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{file.place}: the event {file.text} cannot be read: {said}", hint=hint) from error


def _member(document: Json, name: str) -> Json:
    return document.get(name) if isinstance(document, dict) else None


def _gitlab(variables: _Variables) -> Job:
    return Job(
        repository=variables.get("PROJECT_URL"),
        # Set in a merged-results pipeline only, where COMMIT_SHA is a commit that GitLab made up.
        commit=variables.get("MERGE_REQUEST_SOURCE_BRANCH_SHA") or variables.get("COMMIT_SHA"),
        ref=_gitlab_ref(variables),
        run_id=variables.get("PIPELINE_ID"),
        run_attempt=variables.get("JOB_ID"),  # GitLab counts no attempts, but a retried job has a higher id
        job=variables.get("JOB_NAME"),
        run_url=variables.get("JOB_URL"),
    )


def _gitlab_ref(variables: _Variables) -> Raw | None:
    """The full ref. A merge request's COMMIT_REF_NAME is its source branch, which in a fork may be called `main`."""
    tag, branch = variables.get("COMMIT_TAG"), variables.get("COMMIT_BRANCH") or variables.get("COMMIT_REF_NAME")
    merge_request = variables.get("MERGE_REQUEST_REF_PATH")
    if tag is not None:
        return variables.raw(f"refs/tags/{tag.text}", tag.place)
    if merge_request is not None:
        return merge_request
    foreign = variables.text("PIPELINE_SOURCE") in _MERGE_REQUEST_EVENTS or any(
        map(variables.get, ("MERGE_REQUEST_IID", "EXTERNAL_PULL_REQUEST_IID"))
    )
    if branch is None or foreign:
        return None
    return branch if branch.text.startswith("refs/") else variables.raw(f"refs/heads/{branch.text}", branch.place)
