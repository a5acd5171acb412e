"""One machine for all of it: the forge, staging's registry, the engine, the keys, and the repository with the example.

    with machine(folder) as m:
        ran = m.run()

Whatever it writes is below the folder, and nothing of it runs any more when the block ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tests.cli.running import Ended, spawn
from tests.parts import docker_registry, images, sigstore
from tests.parts.containers import Podman, podman
from tests.parts.find import lacking, require
from tests.parts.process import Command, PartError, free_port, plain_environment, run
from tests.parts.registry import Registry
from tests.pipeline import bases, runner, signing
from tests.pipeline.forge import OWNER, REPOSITORY, Forge, forge
from tests.pipeline.images import PLAYLIST, SERVICES, builder
from tests.pipeline.rendering import Values, render
from tests.pipeline.runner import Push, RunResult, Script, Workflow
from tests.pipeline.signing import Signing

__all__ = ["Machine", "RunResult", "Signing", "Workflow", "machine"]
"""What the story takes from here."""

_PINNED: Final = ("build", "base", "ci", "e2e")
_SECONDS: Final = 900.0
_RUN: Final = re.compile(r"--runroot (?P<folder>\S+)/run ")
"""Where the engine of `tests.parts.containers` says that it runs: a folder of its own, with a short name."""
_PIP_FILES: Final = (".config/pip/pip.conf", ".pip/pip.conf")


@dataclasses.dataclass(slots=True, kw_only=True)
class Machine:
    """A machine on which the example's repository was pushed and nothing has run yet."""

    folder: Path
    signing: Signing
    forge: Forge
    staging_registry: Registry
    podman: Podman
    keys: Path
    """Private keys, as NAME.key; none of them is in the repository."""
    state: Path
    """What the machine that deploys keeps: the ledger, the key that signs its head."""
    checkout: Path
    """Somebody's work tree of the repository."""
    environment: dict[str, str]
    """A person's shell: programs, credentials, and where images are built to and deployed from."""
    values: Values
    say: Callable[[str], None]
    sigstore: sigstore.PrivateSigstore | None
    commit: str = ""
    """The first commit that was pushed for people to work with."""
    _commits: dict[int, str] = dataclasses.field(default_factory=dict)
    """The commit of each run."""
    _parts: int = 0

    @property
    def registry(self) -> str:
        """The prefix of images where they are built."""
        return self.forge.images

    @property
    def staging(self) -> str:
        """The prefix of images where staging takes them from."""
        return _staging(self.staging_registry)

    def push(self, message: str) -> str:
        """Commit all that changed in the checkout, and push it; the commit."""
        self.forge.commit(self.checkout, message)
        return self.forge.push(self.checkout)

    def run(
        self,
        *,
        run: int | None = None,
        jobs: Sequence[str] = (),
        attempt: int = 1,
        backend: str | None = None,
        frontend: str | None = None,
        workflow: Workflow = Workflow.FORGEJO,
    ) -> RunResult:
        """Run the workflow on the newest commit of `main`: all of it, or these jobs with the build that they need.

        With images nothing is built: the scripts of the jobs run about these images, at the commit of their `run`.
        """
        number = max(self._commits, default=0) + 1 if run is None else run
        commit = self._commits.setdefault(number, self.forge.git(self.checkout, "rev-parse", "HEAD"))
        push = Push(commit=commit, server=self._server(), workflow=workflow, run=number, attempt=attempt)
        if backend is not None and frontend is not None:
            return self._scripts(push, jobs, backend, frontend)
        ran = self._act(push, next((job for job in jobs if job != "build"), "build") if jobs else None)
        rest = [job for job in jobs if job not in ran.jobs]
        if not rest or ran.jobs.get("build") != "success":
            return ran
        return _joined(ran, self._scripts(push, rest, ran.outputs["backend"], ran.outputs["frontend"]))

    def script(self, name: str, **more: str) -> Ended:
        """Run a script of `ci/` by hand, in the checkout, with its own key and these variables."""
        done = runner.by_hand(self.checkout, name, {**self._job(name), **more})
        return Ended(code=done.returncode, raw=done.stdout, err=done.stderr.decode(errors="replace"))

    def attest(self, *words: object, **more: str) -> Ended:
        """Run attest in the checkout, as a person."""
        return spawn(*words, cwd=self.checkout, environment={**self.environment, **more})

    # ---- how

    def _server(self) -> str:
        """The address of the forge, as its jobs hear of it. Identities are those of the issuer."""
        return self.forge.registry.url if self.sigstore is None else self.sigstore.forge

    def _act(self, push: Push, job: str | None) -> RunResult:
        folder = self._place(push)
        variables = {
            "REGISTRY": self.registry,
            "REGISTRY_USER": self.forge.registry.username or "",
            "STAGING": self.staging,
            "STAGING_USER": self.staging_registry.username or "",
            **self._keyless(),
        }
        return runner.run_act(
            self._clone(push, folder / "checkout"),
            push,
            folder,
            environment=self._runner(),
            identity=self._identity(push),
            secrets={**self._passwords(), **signing.secrets(self.keys, self.signing)},
            variables=variables,
            job=job,
            show=self.say,
        )

    def _scripts(self, push: Push, jobs: Sequence[str], backend: str, frontend: str) -> RunResult:
        folder = self._place(push)
        scripts = [
            Script(
                job=job,
                checkout=self._clone(push, folder / job),
                environment={
                    **self._job(job),
                    **push.variables(),
                    **self._identity(push),
                    "GITHUB_JOB": job,
                    "BACKEND": backend,
                    "FRONTEND": frontend,
                },
            )
            for job in jobs
        ]
        return runner.run_scripts(push, folder, scripts, show=self.say)

    def _place(self, push: Push) -> Path:
        """A folder for what a run leaves."""
        self._parts += 1
        return _made(self.folder / "runs" / f"{push.run}-{self._parts}")

    def _clone(self, push: Push, folder: Path) -> Path:
        """What a runner checked out."""
        self.forge.clone(push.commit, folder)
        return folder

    def _runner(self) -> dict[str, str]:
        """What the host of a runner gives to jobs: programs, and no credentials."""
        private = ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "ATTEST_KEY_PASSWORD", "REGISTRY", "STAGING")
        return {name: value for name, value in self.environment.items() if name not in private}

    def _job(self, name: str) -> dict[str, str]:
        """The environment of a job's script."""
        own = signing.GATE if name == "promote" else name
        key = self.keys / f"{own}.key"
        return {**self.environment, **self._keyless(), **({"ATTEST_KEY_FILE": str(key)} if key.exists() else {})}

    def _keyless(self) -> dict[str, str]:
        if self.sigstore is None:
            return {}
        return {"KEYLESS": "1", "TRUST_CONFIG": str(self.sigstore.trust_config)}

    def _identity(self, push: Push) -> dict[str, str]:
        return {} if self.sigstore is None else signing.identity(self.sigstore, push.context())

    def _passwords(self) -> dict[str, str]:
        return {
            "REGISTRY_PASSWORD": self.forge.registry.password or "",
            "STAGING_PASSWORD": self.staging_registry.password or "",
        }


@contextlib.contextmanager
def machine(
    folder: Path, *, signing: Signing = Signing.KEYS, say: Callable[[str], None] = lambda _: None
) -> Iterator[Machine]:
    """A machine with nothing deployed. `say` hears what it does, line by line, and what jobs print.

    Raises PartError where something does not start. Without root, or a part, the test is skipped, or fails in CI.
    """
    if os.getuid() != 0:
        lacking("the pipeline needs root, for its containers")
    for program in ("act", "buildah", "skopeo", "git", "podman"):
        require(program)
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with contextlib.ExitStack() as stack:
            made = _started(stack, folder, signing, say)
            # First what a run that was broken off left: it would go on starting containers. Those end with the engine.
            stack.callback(runner.end_marked, str(folder), sparing=["conmon"])
            yield made
    finally:
        if left := runner.end_marked(str(folder)):
            say(f"ended {len(left)} processes that were left")
        _forget(folder)


def _started(stack: contextlib.ExitStack, folder: Path, how: Signing, say: Callable[[str], None]) -> Machine:
    say("making the images that everything is built from and tested in (minutes, once for a machine)")
    made = bases.prepare(folder / "bases")
    say("starting the forge, staging's registry and the engine")
    forge_ = stack.enter_context(forge(folder / "forge"))
    staging = stack.enter_context(docker_registry.with_htpasswd(folder / "staging"))
    engine = stack.enter_context(podman(_made(folder / "podman")))
    for registry in (forge_.registry, staging):
        engine.trust(registry.host)
    services = None
    if how is Signing.KEYLESS:
        services = stack.enter_context(sigstore.private_sigstore(_made(folder / "sigstore")))
    keys, state = _made(folder / "keys"), _made(folder / "state")
    signing.make_keys(keys, how)
    shutil.copy(keys / f"{signing.DEPLOYER}.key", state / f"{signing.DEPLOYER}.key")
    say("pushing the pinned images to the forge")
    pinned = {name: _pushed(getattr(made, name), forge_, name) for name in _PINNED}
    server = forge_.registry.url if services is None else services.forge
    values = Values(
        source=f"{server}/{OWNER}/{REPOSITORY}",
        issuer=server if services is None else services.issuer,
        registry=forge_.images,
        staging=_staging(staging),
        state=str(state),
        base=pinned["base"].rpartition(":")[2],
        ci_image=pinned["ci"].rpartition(":")[2],
        e2e_image=pinned["e2e"].rpartition(":")[2],
        backend_port=str(free_port()),
        frontend_port=str(free_port()),
    )
    machine = Machine(
        folder=folder,
        signing=how,
        forge=forge_,
        staging_registry=staging,
        podman=engine,
        keys=keys,
        state=state,
        checkout=folder / "checkout",
        environment=_environment(folder, engine, forge_.registry, staging),
        values=values,
        say=say,
        sigstore=services,
    )
    _first_commit(machine, pinned)
    return machine


def _first_commit(machine: Machine, pinned: dict[str, str]) -> None:
    """The example, with what differs by machine filled in, and locks of the images that are built of it today."""
    checkout = machine.checkout
    shutil.copytree(PLAYLIST, checkout, ignore=shutil.ignore_patterns("__pycache__", ".*_cache", "artifacts"))
    render(checkout, machine.values)
    signing.publish_keys(machine.keys, checkout, machine.sigstore)
    lines = [f"{name.upper()}_IMAGE={image}\n" for name, image in pinned.items()]
    (checkout / "ci" / "images.env").write_text("".join(lines))
    machine.forge.make_checkout(checkout)
    machine.forge.commit(checkout, "Begin")
    machine.say("building the example, to write down what its images hold today")
    for service in SERVICES:
        environment = {**machine.environment, **dict(line.strip().split("=", 1) for line in lines)}
        command = Command(arguments=["ci/build-image", service], environment=environment, directory=checkout)
        image = run(command, seconds=_SECONDS).decode().strip()
        (checkout / service / "contract.lock.json").unlink(missing_ok=True)
        ended = machine.attest(
            *("image", "lock", image, "--contract", f"{service}/contract.yaml", "--baseline", pinned["base"]),
            *("--output", f"{service}/contract.lock.json"),
        )
        if ended.code != 0:
            raise PartError(f"the {service} cannot be locked: {ended.err}")
    machine.commit = machine.push("Lock what the images hold")
    ended = machine.attest("ledger", "init", f"sqlite:///{machine.state / 'staging.db'}")
    if ended.code != 0:
        raise PartError(f"the ledger cannot be made: {ended.err}")


def _environment(folder: Path, engine: Podman, *registries: Registry) -> dict[str, str]:
    programs = [builder(folder / "buildah"), engine.programs, Path(sys.executable).parent]
    auths: dict[str, Any] = {}
    for registry in registries:
        auths |= json.loads((registry.docker_config_dir / "config.json").read_text())["auths"]
    login = _made(folder / "docker") / "config.json"
    login.write_text(json.dumps({"auths": auths}))
    login.chmod(0o600)
    forge_, staging = registries
    # skopeo looks for it here, and does not know the variable.
    (_made(folder / "home" / ".config" / "containers") / "registries.conf").symlink_to(
        engine.folder / "registries.conf"
    )
    own = {
        "PATH": os.pathsep.join([*map(str, programs), os.environ.get("PATH", os.defpath)]),
        "CONTAINERS_REGISTRIES_CONF": str(engine.folder / "registries.conf"),
        "DOCKER_CONFIG": str(login.parent),
        "REGISTRY_AUTH_FILE": str(login),
        "REGISTRY": f"{forge_.host}/{OWNER}",
        "STAGING": _staging(staging),
        "ATTEST_KEY_PASSWORD": signing.PASSWORD,
        "TMPDIR": str(_made(folder / "tmp")),
        runner.MARK: str(folder),
    }
    return {**plain_environment(_made(folder / "home")), **_inherited(), **own}


def _inherited() -> dict[str, str]:
    """How this machine reaches package indexes. What is on it is not asked for through a proxy."""
    found = bases.inherited()
    for name in ("no_proxy", "NO_PROXY"):
        if found.get("http_proxy") or found.get("HTTP_PROXY") or found.get("https_proxy"):
            found[name] = ",".join(filter(None, (found.get(name), "127.0.0.1,localhost")))
    files = [Path.home() / name for name in _PIP_FILES if (Path.home() / name).is_file()]
    return {**({"PIP_CONFIG_FILE": str(files[0])} if files else {}), **found}


def _pushed(image: images.BuiltImage, where: Forge, name: str) -> str:
    return images.push(image, where.registry, f"{where.images}/{name}", tag="1").reference


def _joined(first: RunResult, second: RunResult) -> RunResult:
    return dataclasses.replace(
        first,
        code=first.code or second.code,
        jobs={**first.jobs, **second.jobs},
        logs={**first.logs, **second.logs},
        log=f"{first.log}\n{second.log}",
    )


def _staging(registry: Registry) -> str:
    return f"{registry.host}/{OWNER}"


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _forget(folder: Path) -> None:
    """Remove what takes much room or is secret: storages of engines, keys, and what registries hold."""
    script = folder / "podman" / "bin" / "podman"
    if script.exists() and (named := _RUN.search(script.read_text())):
        # Helpers of containers that are being removed write there while the engine's own folders go.
        shutil.rmtree(named["folder"], ignore_errors=True)
    for name in ("podman", "buildah", "keys", "forge", "staging", "tmp", "docker"):
        shutil.rmtree(folder / name, ignore_errors=True)
