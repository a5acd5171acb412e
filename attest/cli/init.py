"""`attest init`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from attest import __version__
from attest.adapters.context import find_names
from attest.adapters.folder import WorkTree
from attest.cli.options import format_option, password_option
from attest.cli.terminal import escape, json_text
from attest.core.reference import Repository, parse_repository
from attest.core.source import normalise_repository
from attest.core.statement import is_lane
from attest.errors import EXIT_PASSED, ReferenceInvalid, UsageError
from attest.ops.init import LANES, Forge, Outcome, Project, Report, initialise, missing_keys

_BRANCH: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_EXAMPLE_SOURCE: Final = "https://git.example.org/example"
_EXAMPLE_REGISTRY: Final = "registry.example.org/example"


@click.command(
    "init",
    epilog="""\b
Examples:
  attest init --service backend --service frontend
  attest init --forge github --registry ghcr.io/plex/playlist
  attest init --forge forgejo --forge gitlab --source-repository https://git.example.org/plex/playlist --no-password
""",
)
@click.option(
    "--forge",
    "forges",
    type=click.Choice([forge.value for forge in Forge]),
    multiple=True,
    default=[Forge.FORGEJO.value],
    show_default=True,
    help="Write the workflows of this forge; once for each.",
)
@click.option(
    "--service",
    "services",
    metavar="NAME",
    multiple=True,
    help="A service with an image of its own; once for each. Else one, named as the repository is.",
)
@click.option("--registry", metavar="HOST/PATH", help="Below which the images are; else where the forge keeps them.")
@click.option("--source-repository", metavar="URL", help="The repository of the source; else git's origin.")
@click.option("--branch", metavar="NAME", help="The branch that releases come from; else the one checked out, or main.")
@click.option(
    "--directory",
    metavar="DIR",
    type=click.Path(),
    default=".",
    show_default=True,
    help="The repository to write into.",
)
@password_option
@click.option("--no-password", is_flag=True, help="Write the private keys without encryption.")
@format_option
def command(
    forges: tuple[str, ...],
    services: tuple[str, ...],
    registry: str | None,
    source_repository: str | None,
    branch: str | None,
    directory: str,
    password_file: str | None,
    no_password: bool,
    output: str,
) -> int:
    """Write a first gate into a repository: a policy, a key for each lane, and workflows with all lanes.

    Every file says what it is for, and is yours from then on: what is there already is never changed, and running
    this twice changes nothing. Private keys are kept out of commits by .gitignore; give them to the forge as secrets.
    """
    if no_password and password_file is not None:
        raise UsageError("--no-password and --password-file exclude each other")
    root = Path(directory)
    if not root.is_dir():
        raise UsageError(f"{directory} is no folder", hint="make it first, with `git init`")
    notes: list[str] = []
    project = _project(root, services, registry, source_repository, branch, [Forge(one) for one in forges], notes)
    folder = WorkTree(root)
    make_key = _maker(root, password_file, asks=not no_password and bool(missing_keys(folder)))

    def render(template: str, *, project: Project, forge: Forge | None = None) -> str:
        from attest.adapters import templates

        return templates.render(template, project=project, forge=forge, lanes=LANES)

    reports = initialise(project, [Forge(one) for one in forges], folder=folder, render=render, make_key=make_key)
    if output == "json":
        document = {
            "schema": "attest.init/v1",
            "files": [{"path": one.path, "outcome": one.outcome.value} for one in reports],
            "notes": notes,
        }
        click.echo(json_text(document))
        return EXIT_PASSED
    for line in _lines(reports, notes):
        click.echo(line)
    return EXIT_PASSED


def _project(
    root: Path,
    services: Sequence[str],
    registry: str | None,
    source: str | None,
    branch: str | None,
    forges: Sequence[Forge],
    notes: list[str],
) -> Project:
    """What the files are written for; what nobody says is an example, and a note says so."""
    origin, current = find_names(os.environ, str(root))
    repository = _repository(source, origin)
    if repository is None:
        repository = f"{_EXAMPLE_SOURCE}/{_name(root.resolve().name)}"
        notes.append(f"the source repository is not known: {repository} is an example; change it wherever it stands")
    place = _registry(registry, None if repository.startswith(_EXAMPLE_SOURCE) else repository, forges)
    if place is None:
        place = parse_repository(_EXAMPLE_REGISTRY)
        notes.append(f"the registry is not known: {place} is an example; change it wherever it stands")
    chosen = list(services) or [_name(repository.rpartition("/")[2])]
    for service in chosen:
        _check_service(service, place, chosen)
    if branch is None:
        branch = current if current is not None and _BRANCH.fullmatch(current) else "main"
    if _BRANCH.fullmatch(branch) is None or branch.endswith((".lock", ".")) or ".." in branch:
        raise UsageError(f"--branch: {branch[:80]!r} cannot be the name of a branch here")
    return Project(repository=repository, registry=place, services=chosen, branch=branch, version=__version__)


def _repository(option: str | None, origin: str | None) -> str | None:
    if option is not None:
        try:
            return normalise_repository(option)
        except ValueError as error:
            raise UsageError(f"--source-repository: {error}") from error
    try:
        return None if origin is None else normalise_repository(origin)
    except ValueError:  # a folder on this machine, which others cannot name
        return None


def _registry(option: str | None, source: str | None, forges: Sequence[Forge]) -> Repository | None:
    """Where the images are: forges keep them under the name of the repository."""
    if option is not None:
        return parse_repository(option)
    if source is None:
        return None
    parts = urlsplit(source)
    path = parts.path.strip("/").lower()
    host = parts.netloc
    if Forge.GITHUB in forges and host == "github.com":
        host = "ghcr.io"
    elif Forge.GITLAB in forges and Forge.FORGEJO not in forges:
        host = f"registry.{host}"
    try:
        return parse_repository(f"{host}/{path}")
    except ReferenceInvalid:
        return None


def _name(text: str) -> str:
    """A name made of any text."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:64].strip("-") or "app"


def _check_service(service: str, registry: Repository, all_of_them: Sequence[str]) -> None:
    try:
        valid = is_lane(service) and parse_repository(f"{registry}/{service}").name == service
    except ReferenceInvalid:
        valid = False
    if not valid:
        raise UsageError(
            f"--service: {service[:80]!r} cannot name an image",
            hint="lower-case letters, digits and . _ - between them",
        )
    if all_of_them.count(service) > 1:
        raise UsageError(f"--service: {service} is named twice")


def _maker(root: Path, password_file: str | None, *, asks: bool) -> Callable[[str], None]:
    """What makes the key pair of a lane; all of them get one passphrase, which is asked for at most once."""
    passphrase: bytes | None = None
    if asks:
        from attest.adapters.keys import read_passphrase
        from attest.cli.signers import prompt_for

        passphrase = read_passphrase(
            password_file=None if password_file is None else Path(password_file),
            environment=os.environ,
            prompt=prompt_for("Passphrase for the new keys", confirm=True),
        )

    def make(lane: str) -> None:
        from attest.adapters.keys import ALGORITHMS, generate

        generate(lane, root / "keys", ALGORITHMS[0], passphrase)

    return make


_SAID: Final[dict[Outcome, Any]] = {Outcome.WRITTEN: "green", Outcome.SAME: None, Outcome.KEPT: "yellow"}


def _lines(reports: Sequence[Report], notes: Sequence[str]) -> Iterator[str]:
    for report in reports:
        more = "  it says something else, and stays as it is" if report.outcome is Outcome.KEPT else ""
        yield f"{click.style(f'{report.outcome:<9}', fg=_SAID[report.outcome])}  {escape(report.path)}{more}"
    for note in notes:
        yield f"{click.style('note', fg='yellow')}: {escape(note)}"
    if any(report.outcome is Outcome.WRITTEN for report in reports):
        yield "next: `attest policy check policies/release.yaml`; keys/README.md says where the private keys belong;"
        yield "      ci/fast-check, ci/integration and ci/e2e fail until you say what they run"
