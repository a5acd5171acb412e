"""Hooks: real programs that are asked to deploy, and to say what runs."""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from attest.adapters.hook import Hook
from attest.core.environment.definition import EnvironmentService, HookTarget, HttpProbe, OneShot
from attest.core.environment.health import ProbeRule
from attest.core.environment.targets import DesiredImage, Match, RunState, compare
from attest.core.reference import RegistryImage, digest_of, parse_repository
from attest.errors import NotObserved, TargetFailed, UsageError

DIGEST = digest_of(b"image")
REPOSITORY = parse_repository("registry.example.org/plex/backend")
RULE = ProbeRule(
    successes=1, timeout=timedelta(seconds=5), interval=timedelta(seconds=1), patience=timedelta(seconds=1)
)
SERVICES = {
    "backend": EnvironmentService(
        name="backend",
        repository=REPOSITORY,
        health=HttpProbe(url="http://127.0.0.1:1/", ca_file=None, rule=RULE),
        soak=timedelta(0),
    ),
    "migrate": EnvironmentService(
        name="migrate",
        repository=parse_repository("registry.example.org/plex/migrate"),
        health=OneShot(timeout=timedelta(seconds=5)),
        soak=timedelta(0),
    ),
}
PLAN = [DesiredImage(service="backend", reference=RegistryImage(repository=REPOSITORY, digest=DIGEST))]

# A deployment to a file beside it: what is applied is what runs.
DEPLOYS = """\
import json, sys
request = json.load(sys.stdin)
assert request["schema"] == "attest.hook/v1" and request["environment"] == "staging"
with open("log", "a") as log:
    log.write(request["action"] + "\\n")
if request["action"] == "apply":
    with open("state.json", "w") as file:
        json.dump({name: one["image"].partition("@")[2] for name, one in request["services"].items()}, file)
if request["action"] == "observe":
    with open("state.json") as file:
        state = json.load(file)
    services = {
        name: [{"name": name, "state": "running", "digests": [state[name]]}] if name in state else []
        for name in request["services"]
    }
    print(json.dumps({"schema": "attest.hook/v1", "services": services}))
"""


def hook(folder: Path, code: str, *, seconds: float = 60, name: str = "hook") -> Hook:
    """A hook beside an environment document."""
    program = folder / name
    program.write_text(f"#!{sys.executable}\n{code}")
    program.chmod(0o755)
    place = HookTarget(argv=(str(program), "--quiet"), folder=str(folder), timeout=timedelta(seconds=seconds))
    return Hook(place, SERVICES, environment="staging")


def test_a_hook_deploys_and_says_what_runs(tmp_path: Path) -> None:
    """It runs in the folder of the document, is told what to do, and what it says is what is observed."""
    target = hook(tmp_path, DEPLOYS)
    target.prepare(PLAN)
    assert not (tmp_path / "state.json").exists()
    target.apply(PLAN)
    observed = target.observe()
    assert compare(observed["backend"], frozenset({DIGEST})) is Match.SAME
    assert observed["migrate"].state is RunState.ABSENT
    assert (tmp_path / "log").read_text().split() == ["prepare", "apply", "observe"]


def test_a_hook_is_found_from_where_the_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that is relative to the working directory is not looked for in the document's folder again."""
    hook(tmp_path, "print(open('here').read())", name="deploy")
    (tmp_path / "here").write_text('{"schema": "attest.hook/v1", "services": {"backend": [], "migrate": []}}')
    monkeypatch.chdir(tmp_path.parent)
    place = HookTarget(argv=(f"{tmp_path.name}/deploy",), folder=f"{tmp_path.name}/.", timeout=timedelta(seconds=60))
    observed = Hook(place, SERVICES, environment="staging").observe()
    assert observed["backend"].state is RunState.ABSENT


def test_a_hook_that_fails_did_not_deploy(tmp_path: Path) -> None:
    """Its exit code and its words are the error; nothing is taken from what it printed before."""
    answer = json.dumps({"schema": "attest.hook/v1", "services": {"backend": [], "migrate": []}})
    target = hook(tmp_path, f"import sys; print({answer!r}); sys.exit('no access')")
    with pytest.raises(TargetFailed, match=r"hook, asked to apply, ended with 1: no access"):
        target.apply(PLAN)
    with pytest.raises(NotObserved, match=r"hook, asked to observe, ended with 1: no access"):
        target.observe()


def test_a_hook_that_hangs_is_ended(tmp_path: Path) -> None:
    """Its time is that of the environment document."""
    target = hook(tmp_path, "import time; time.sleep(600)", seconds=0.5)
    with pytest.raises(TargetFailed, match=r"did not end within 0.5 s"):
        target.apply(PLAN)
    with pytest.raises(NotObserved, match=r"did not end within 0.5 s"):
        target.observe()


@pytest.mark.parametrize("printed", ["", "ok", "{}", '{"schema": "attest.hook/v1", "services": {"backend": []}}'])
def test_a_hook_that_does_not_answer_observed_nothing(tmp_path: Path, printed: str) -> None:
    """An answer that is not whole is an error, and never an empty environment."""
    with pytest.raises(NotObserved, match=r"hook printed (no|nothing)"):
        hook(tmp_path, f"print({printed!r})").observe()


def test_a_plan_for_something_else_is_no_plan(tmp_path: Path) -> None:
    """A service is bound to one repository; an image of another, or for no service of ours, reaches no hook."""
    target = hook(tmp_path, DEPLOYS)
    other = RegistryImage(repository=parse_repository("registry.example.org/plex/evil"), digest=DIGEST)
    for service, reference in (("backend", other), ("cache", PLAN[0].reference)):
        for ask in (target.prepare, target.apply):
            with pytest.raises(UsageError, match=f"is no image of the service {service} of staging"):
                ask([DesiredImage(service=service, reference=reference)])
    assert not (tmp_path / "log").exists()
