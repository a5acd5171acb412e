"""Nothing is believed that the command line does not name: no folder, no environment, no network (CVE-2023-32076).

A module that Python imports at its start records every file, socket, process and variable that a command touches.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.running import Ended, clean_environment, spawn
from tests.cli.scene import Scene, policy_text
from tests.parts.process import Command, attempt
from tests.registry.faults import FaultyRegistry

RECORDER = """
import atexit, json, os, sys
seen = {"files": [], "sockets": [], "processes": [], "variables": []}
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        seen["files"].append(os.fsdecode(arguments[0]))
    elif event.startswith("socket."):
        seen["sockets"].append(event)
    elif event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"):
        seen["processes"].append(str(arguments[0]))
real = type(os.environ).__getitem__
def getitem(self, name):
    seen["variables"].append(name)
    return real(self, name)
def write():
    with open({place!r}, "w") as file:
        json.dump(seen, file)
atexit.register(write)
sys.addaudithook(hook)
type(os.environ).__getitem__ = getitem
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What a command touched, and how it ended."""

    ended: Ended
    files: set[str]
    """Opened files, as paths; none of Python's own."""
    sockets: list[str]
    processes: list[str]
    variables: set[str]


def watch(*arguments: object, cwd: Path, **environment: str) -> Touched:
    """Run a command and record what it touches."""
    folder = cwd.parent / f"{cwd.name}-recorder"
    folder.mkdir(exist_ok=True)
    record = folder / "record.json"
    (folder / "sitecustomize.py").write_text(RECORDER.replace("{place!r}", repr(str(record))))
    recorded = clean_environment(cwd, PYTHONPATH=str(folder), PYTHONDONTWRITEBYTECODE="1", **environment)
    ended = spawn(*arguments, cwd=cwd, environment=recorded)
    seen = json.loads(record.read_text())
    python = (sys.prefix, sys.base_prefix, str(Path(sys.modules["attest"].__file__ or "").parents[1]))
    files = {str((cwd / path).resolve()) for path in seen["files"] if not path.startswith(python)}
    return Touched(
        ended=ended,
        files={path for path in files if path != str(record)},
        sockets=seen["sockets"],
        processes=seen["processes"],
        variables=set(seen["variables"]),
    )


BAIT = {
    "policy.yml": "version: 1",
    "attest.yaml": "policy: hostile.yaml",
    "attest.toml": "",
    ".attest.yaml": "",
    "pyproject.toml": "[tool.attest]",
    ".env": "ATTEST_POLICY=hostile.yaml",
    "cosign.pub": "",
    "cosign.key": "",
    "keys.pub": "",
    "trusted_root.json": "{}",
    ".netrc": "machine 127.0.0.1 login a password b",
    "netrc": "machine 127.0.0.1 login a password b",
    ".sigstore/root.json": "{}",
    ".config/attest/config.yaml": "",
    ".dockercfg": "{}",
}
"""Names that some tool believes when it finds them in the working directory or at home."""

HOSTILE = {
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"), "http://127.0.0.1:1"),
    **dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC", "SIGSTORE_ROOT_FILE"), "/nonexistent"),
    **dict.fromkeys(("COSIGN_PUBLIC_KEY", "COSIGN_KEY", "ATTEST_KEY", "ATTEST_PUBLIC_KEY"), "hostile.pub"),
    **dict.fromkeys(("ATTEST_POLICY", "ATTEST_POLICY_FILE", "ATTEST_CONFIG", "ATTEST_VERIFY_POLICY"), "hostile.yaml"),
    "ATTEST_FORMAT": "json",
    "ATTEST_AT": "2020-01-01T00:00:00Z",
    "ATTEST_INSECURE": "1",
    "ATTEST_SKIP_VERIFY": "1",
    "COSIGN_EXPERIMENTAL": "1",
    "COSIGN_IGNORE_TLOG": "1",
    "_ATTEST_COMPLETE": "bash_source",
    "CI": "true",
    "GITHUB_ACTIONS": "true",
}


@pytest.fixture
def baited(passing: Scene) -> Scene:
    """A passing scene in a folder full of files that a careless tool would read, its home as well."""
    for name, content in BAIT.items():
        path = passing.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return passing


def inside(touched: Touched, folder: Path) -> set[str]:
    """The files in a folder that were opened, relative to it. Blobs of a layout are opened relative to the layout."""
    names = {str(Path(path).relative_to(folder)) for path in touched.files if Path(path).is_relative_to(folder)}
    return {name for name in names if (folder / name).is_file()}


def test_verify_reads_only_what_is_named(baited: Scene) -> None:
    """Of a folder full of bait, `verify` opens the policy, the keys that it names and the layout, and nothing else."""
    touched = watch(
        *("verify", baited.image, "--repository", "registry.example.org/plex/backend", "--policy", "policy.yaml"),
        cwd=baited.folder,
        **HOSTILE,
    )
    assert touched.ended.code == 0, touched.ended.err
    assert inside(touched, baited.folder) == {"policy.yaml", "keys/unit.pub", "keys/e2e.pub"}
    assert touched.processes == []


@pytest.mark.slow
def test_the_recorder_sees_what_is_read(baited: Scene) -> None:
    """The proof above can fail: a file that is named is seen, as is a process, a variable and a socket."""
    (baited.folder / "more.json").write_text("{}")
    touched = watch(*("verify", baited.image, "--policy", "policy.yaml", "--bundle", "more.json"), cwd=baited.folder)
    assert "more.json" in inside(touched, baited.folder)
    signed = watch(
        "sign", baited.image, "--lane", "unit", "--key", "keys/unit.key", "--result", "passed", cwd=baited.folder
    )
    assert any("git" in process for process in signed.processes)
    assert "FORGEJO_ACTIONS" in signed.variables
    unreachable = watch("resolve", "127.0.0.1:1/a:v1", "--timeout", "1", cwd=baited.folder)
    assert "socket.connect" in unreachable.sockets


def test_the_environment_decides_nothing(baited: Scene) -> None:
    """No variable that speaks of policies, keys, trust, proxies or CI is even looked at by `verify` with a layout."""
    touched = watch(
        *("verify", baited.image, "--repository", "registry.example.org/plex/backend", "--policy", "policy.yaml"),
        cwd=baited.folder,
        **HOSTILE,
    )
    assert touched.ended.code == 0
    assert touched.variables & (HOSTILE.keys() | {"DOCKER_CONFIG", "ATTEST_KEY_PASSWORD"}) == set()


@pytest.mark.slow
@pytest.mark.parametrize("expected", [0, 1])
def test_a_verdict_is_the_same_everywhere(expected: int, baited: Scene, tmp_path: Path) -> None:
    """Bait and hostile variables change no byte of a verdict, whether it passes or refuses."""
    if expected == 1:
        baited.sign("e2e", "--result", "failed", "--run-id", "2")
    elsewhere = tmp_path / "empty"
    elsewhere.mkdir()
    image = baited.image.replace("oci:image", f"oci:{baited.folder}/image")
    arguments = ["verify", image, "--repository", "registry.example.org/plex/backend", "--format", "json"]
    policy = ["--policy", str(baited.folder / "policy.yaml")]
    verdicts = []
    for cwd, environment in ((elsewhere, dict[str, str]()), (baited.folder, HOSTILE)):
        ended = spawn(*arguments, *policy, cwd=cwd, environment=clean_environment(cwd, **environment))
        assert ended.code == expected, ended.err
        document = ended.document
        del document["time"]
        verdicts.append(document)
    assert verdicts[0] == verdicts[1]


def test_code_in_the_working_directory_is_not_run(baited: Scene) -> None:
    """Modules that lie in the working directory under the names of ours, and of libraries, are not imported."""
    for name in ("attest", "click", "json", "sitecustomize", "cryptography", "ruamel", "cel"):
        (baited.folder / f"{name}.py").write_text("import os; os._exit(0)")
    baited.sign("e2e", "--result", "failed", "--run-id", "2")
    program = Path(sys.executable).with_name("attest")
    done = attempt(
        Command(
            arguments=[program, "verify", baited.image, "--policy", "policy.yaml"],
            environment=clean_environment(baited.folder),
            directory=baited.folder,
        )
    )
    assert done.returncode == 1, done.stderr


# ---- no network

LAYOUT_COMMANDS = {
    "verify": ("verify", "IMAGE", "--policy", "policy.yaml", "--format", "json"),
    "verify with a receipt": (
        *("verify", "IMAGE", "--policy", "policy.yaml", "--state", "state.json"),
        *("--receipt-key", "keys/unit.key", "--receipt-out", "receipt.json"),
    ),
    "inspect": ("inspect", "IMAGE", "--policy", "policy.yaml"),
    "resolve": ("resolve", "oci:image"),
    "sign": (
        *("sign", "IMAGE", "--lane", "unit", "--key", "keys/unit.key", "--result", "passed"),
        *("--source-repository", "https://git.example.org/a/b", "--source-commit", 40 * "a"),
    ),
    "keygen": ("keygen", "new", "--no-password"),
    "policy check": ("policy", "check", "policy.yaml"),
    "help": ("--help",),
}


def test_no_plugin_has_a_part_in_reading_a_policy(passing: Scene, tmp_path: Path) -> None:
    """A pydantic plugin that happens to be installed, which could change what any document means, is not loaded."""
    plugins = tmp_path / "plugins"
    (plugins / "meddler-1.0.dist-info").mkdir(parents=True)
    (plugins / "meddler-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: meddler\nVersion: 1.0\n")
    (plugins / "meddler-1.0.dist-info" / "entry_points.txt").write_text("[pydantic]\nmeddler = meddler:plugin\n")
    (plugins / "meddler.py").write_text("raise SystemExit('loaded')\n")
    ended = spawn("policy", "check", "policy.yaml", cwd=passing.folder, PYTHONPATH=str(plugins))
    assert ended.code == 0, ended.err


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYOUT_COMMANDS)
def test_a_layout_needs_no_network(name: str, passing: Scene) -> None:
    """With an `oci:` layout no command opens a socket or looks up a name, not even while libraries are imported."""
    arguments = [passing.image if part == "IMAGE" else part for part in LAYOUT_COMMANDS[name]]
    touched = watch(*arguments, cwd=passing.folder)
    assert touched.ended.code in {0, 1}, touched.ended.err
    assert touched.sockets == []


def test_a_foreign_layout_reference_leads_nowhere(passing: Scene) -> None:
    """A bundle that is attached beside the image is read from the layout alone; URLs in it are not followed."""
    passing.sign("unit", "--run-id", "2", "--run-url", "http://127.0.0.1:1/run")
    touched = watch("inspect", passing.image, cwd=passing.folder)
    assert touched.ended.code == 0
    assert touched.sockets == []


# ---- a registry


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    """A registry with one image."""
    with FaultyRegistry().running() as running:
        yield running


def test_a_registry_needs_nothing_of_the_environment(baited: Scene, registry: FaultyRegistry) -> None:
    """Proxies, netrc files and CA bundles of the environment are not used for a registry."""
    image = registry.add_image()
    policy = policy_text(("unit",), images=[str(image.repository)], signers={"unit": "{key: keys/unit.pub}"})
    baited.write_policy(policy)
    arguments = baited.sign_arguments("unit", image=str(image))
    signed = watch(*arguments, cwd=baited.folder, **HOSTILE)
    assert signed.ended.code == 0, signed.ended.err
    verified = watch("verify", image, "--policy", "policy.yaml", cwd=baited.folder, **HOSTILE)
    assert verified.ended.code == 0, verified.ended.err
    opened = inside(signed, baited.folder) | inside(verified, baited.folder)
    assert opened <= {"policy.yaml", "keys/unit.pub", "keys/unit.key", ".docker/config.json"}
    assert {seen.authorization for seen in registry.seen} == {None}
