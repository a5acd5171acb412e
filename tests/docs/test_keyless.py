"""docs/keyless.md is true: its workflows sign, its claims are those that are compared, its codes exist."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from attest import errors
from attest.adapters.sigstore.trust import SigstoreTrust
from attest.cli import sign
from attest.core.lane import identitytoken
from attest.errors import AttestError
from tests.cli.conftest import scene
from tests.cli.running import clean_environment
from tests.cli.scene import Scene
from tests.parts.process import Command, attempt
from tests.parts.sigstore import PrivateSigstore
from tests.parts.sigstore_issuer import COMMIT
from tests.project import ROOT

__all__ = ["scene"]

DOCUMENT = (ROOT / "docs" / "keyless.md").read_text()
WORKFLOWS = re.findall(r"```yaml\n# (\S+)\n(.*?)```", DOCUMENT, re.DOTALL)
COMMAND = re.compile(r"attest sign [^\n|`]+--[^\n|`]+")


def steps(name: str) -> list[str]:
    """What a workflow runs, in its order."""
    (text,) = [text for path, text in WORKFLOWS if path.startswith(name)]
    document: Any = YAML(typ="safe").load(text)
    if "jobs" in document:
        return [step["run"] for step in document["jobs"]["unit"]["steps"]]
    return list(document["unit"]["script"])


def rows(title: str) -> list[list[str]]:
    """The cells of the table in a section, without its head."""
    text = DOCUMENT.partition(f"## {title}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    assert len(lines) > 2, title
    return [[cell.strip() for cell in line] for line in lines[2:]]


def test_there_is_a_workflow_for_each_forge() -> None:
    """Forgejo, GitHub and GitLab have one each, in the file where the forge looks for it."""
    assert [path for path, _ in WORKFLOWS] == [
        ".forgejo/workflows/check.yml",
        ".github/workflows/check.yml",
        ".gitlab-ci.yml",
    ]


@pytest.mark.parametrize("line", COMMAND.findall(DOCUMENT))
def test_every_command_parses(line: str) -> None:
    """Each command line of the page names only options that exist."""
    words = shlex.split(line)[2:]
    with click.Context(sign.command, info_name="sign") as context:
        sign.command.parse_args(context, words)


def test_commands_were_found() -> None:
    """The page shows a command for each forge, for a merge commit, and for a key before witnesses."""
    assert len(COMMAND.findall(DOCUMENT)) == 5


@pytest.mark.parts
@pytest.mark.parametrize("forge", [".forgejo", ".gitlab"])
def test_the_workflow_signs(forge: str, scene: Scene, private_sigstore: PrivateSigstore) -> None:
    """What the page tells a job to run signs, with the variables that the forge sets, against real services.

    The private Sigstore of the tests trusts one forge; so the GitLab job is given a token of that one.
    """
    home = scene.folder
    (home / "sigstore.json").write_bytes(private_sigstore.trust_config.read_bytes())
    program = home / "bin" / "attest"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m attest "$@"\n')
    program.chmod(0o755)
    job = {"GITLAB_CI": "true", "CI_PROJECT_URL": f"{private_sigstore.forge}/plex/playlist", "CI_COMMIT_SHA": COMMIT}
    if forge == ".forgejo":
        job = {
            "FORGEJO_ACTIONS": "true",
            "FORGEJO_SERVER_URL": private_sigstore.forge,
            "FORGEJO_REPOSITORY": "plex/playlist",
            "FORGEJO_SHA": COMMIT,
            "FORGEJO_REF": "refs/heads/main",
            "FORGEJO_RUN_ID": "1564",
            **private_sigstore.issuers.job_environment(),
        }
    else:
        job["SIGSTORE_ID_TOKEN"] = private_sigstore.token()
    (line,) = [step for step in steps(forge) if step.startswith("attest")]
    if "--trust-config" not in line:  # public Sigstore, which tests cannot reach
        line += " --trust-config sigstore.json"
    environment = clean_environment(home, IMAGE=scene.image, PYTHONPATH=str(ROOT), **job)
    environment["PATH"] = f"{program.parent}:{environment['PATH']}"
    done = attempt(Command(arguments=["sh", "-c", f"{line} --output b.json"], environment=environment, directory=home))
    assert done.returncode == 0, done.stderr.decode()
    trust = SigstoreTrust(private_sigstore.trusted_root.read_bytes())
    assert trust.certify((home / "b.json").read_bytes()).certificate.identity == private_sigstore.identity()


def test_the_claims_are_those_that_are_read() -> None:
    """Each claim in the table of what has to agree is one that the code reads."""
    source = Path(identitytoken.__file__).read_text()
    named = {claim for row in rows("What has to agree") for cell in row[1:] for claim in re.findall(r"`(\w+)`", cell)}
    assert len(named) == 10
    assert {claim for claim in named if f'"{claim}"' not in source} == set()


def test_the_codes_are_those_of_the_errors() -> None:
    """Each code in the table of what can go wrong is an error's, with its exit code."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AttestError)]
    known = {(str(kind.exit_code), f"`{kind.code}`") for kind in kinds}
    assert {(row[0], row[1]) for row in rows("What can go wrong")} <= known


def test_the_members_are_those_that_are_printed() -> None:
    """The table of `--format json` has the members that say who signed, and no others."""
    from attest.cli.signers import Chosen, signed_document
    from attest.ops.sign import Unwitnessed
    from attest.ports import Signed

    class Nobody:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    nobody: Any = Nobody()
    printed = signed_document(Signed(bundle=b"", fingerprint=nobody), Chosen(signer=Unwitnessed(key=nobody)))
    named = [name for row in rows("Which services are asked") for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(named) == sorted(printed)
