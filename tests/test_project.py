"""The project's own files: what it declares, locks, sets up and leaves out."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import attest
from tests.architecture import imports
from tests.project import ROOT, module_name, python_files, tracked_files

PYPROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())
DIRECT: Final = [Requirement(text) for text in PYPROJECT["project"]["dependencies"]]
EXTRA: Final = [Requirement(text) for text in PYPROJECT["project"]["optional-dependencies"]["otel"]]
DEVELOPMENT: Final = [Requirement(text) for text in PYPROJECT["project"]["optional-dependencies"]["dev"]]

LOCKS: Final = ("runtime", "dev", "lock")
LOCKED: Final = re.compile(r"([a-z0-9-]+)==([^ ]+)((?: ; [^\\]+)?)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n")
"""One entry of a lock: name, version, marker, hashes; and nothing else, so no address, path or option."""


def lock(name: str) -> str:
    """The text of a lock."""
    return (ROOT / "requirements" / f"{name}.txt").read_text()


def versions(name: str) -> dict[str, str]:
    """What a lock pins."""
    return {match[1]: match[2] for match in LOCKED.finditer(lock(name))}


# ---- locks


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_hashes_and_nothing_else(name: str) -> None:
    """Every line of a lock belongs to a pinned version with hashes: no address, no path, no option."""
    assert versions(name)
    assert LOCKED.sub("", lock(name)) == ""


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://example.org/simple\n",
        "--find-links /wheels\n",
        "-e .\n",
        "a @ https://example.org/a.whl\n",
        "a==1\n",
        "a==1 \\\n    --hash=md5:00\n",
        "a>=1 \\\n    --hash=sha256:" + 64 * "0" + "\n",
    ],
)
def test_a_line_that_is_no_pin_is_found(line: str) -> None:
    """An address, a path, an option, an open version or a missing hash does not read as an entry of a lock."""
    assert LOCKED.sub("", line) == line


def test_the_locks_agree() -> None:
    """What is tested is what is locked for use: both locks pin the same versions."""
    development = versions("dev")
    assert {name: development.get(name) for name in versions("runtime")} == versions("runtime")


@pytest.mark.parametrize(("name", "declared"), [("runtime", DIRECT), ("dev", DIRECT + DEVELOPMENT)])
def test_the_locks_keep_to_what_is_declared(name: str, declared: list[Requirement]) -> None:
    """Every declared dependency is locked, in a version that its range allows."""
    pinned = versions(name)
    for requirement in declared:
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("minor", [11, 12, 13, 14])
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_a_declared_dependency_is_locked_for_every_python(minor: int, system: str) -> None:
    """No declared dependency is left out by a marker on a supported Python and system."""
    environment = {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.0", "sys_platform": system}
    environment |= {"platform_python_implementation": "CPython", "implementation_name": "cpython"}
    entries = {match[1]: match[3] for match in LOCKED.finditer(lock("dev"))}
    for requirement in DIRECT + DEVELOPMENT:
        marker = Requirement(f"x{entries[canonicalize_name(requirement.name)]}").marker
        assert marker is None or marker.evaluate(environment), requirement


def _names(requirements: list[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements}


def test_every_library_in_use_is_declared() -> None:
    """attest imports no library but those that its metadata asks for, and asks for none that it does not import."""
    known = frozenset(module_name(path) for path in python_files("attest"))
    used: set[str] = set()
    for path in python_files("attest"):
        for imported in imports(module_name(path), ast.parse(path.read_text()), known):
            used.add(imported.module.partition(".")[0])
    # pydantic_core is the compiled half of pydantic; typing_extensions is imported for the type checker alone.
    used -= {"attest", "pydantic_core", "typing_extensions"} | sys.stdlib_module_names
    installed = importlib.metadata.packages_distributions()
    declared = _names(DIRECT + EXTRA)
    provided = {top: {canonicalize_name(name) for name in installed[top]} & declared for top in used}
    assert {top for top, distributions in provided.items() if not distributions} == set()
    assert declared - set().union(*provided.values()) == set()
    alone = {top for top, names in provided.items() if names.isdisjoint(_names(DIRECT))}
    assert alone == {"opentelemetry"}  # an extra may be absent, and only what says so then may be of one


# ---- versions and metadata


def test_the_version_is_told_once() -> None:
    """The package, its metadata and the newest entry of the changelog name one version."""
    version = PYPROJECT["project"]["version"]
    assert attest.__version__ == version
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version


def test_the_supported_pythons_are_named() -> None:
    """The classifiers name the Pythons that the lock is for, and the oldest is the one that the range begins with."""
    classifiers = [text for text in PYPROJECT["project"]["classifiers"] if re.fullmatch(r".*:: 3\.\d+", text)]
    assert [text.rpartition(" ")[2] for text in classifiers] == ["3.11", "3.12", "3.13", "3.14"]
    assert PYPROJECT["project"]["requires-python"] == ">=3.11"


# ---- setting up


def find_python(folder: Path, python: str | None = None) -> subprocess.CompletedProcess[str]:
    """`scripts/find-python` on a machine whose PATH is this folder."""
    environment = {"PATH": str(folder)} | ({"PYTHON": python} if python else {})
    return subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "find-python")], env=environment, capture_output=True, text=True, check=False
    )


def fake_python(folder: Path, name: str, before: str = "") -> Path:
    """A Python under this name that runs the statements `before` ahead of what it is asked to."""
    program = folder / name
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{before}\n$2"\n')
    program.chmod(0o755)
    return program


WITHOUT_VENV: Final = "import sys; sys.modules['ensurepip'] = None"
TOO_OLD: Final = "import sys; sys.version_info = (3, 9, 2, 'final', 0)"


def test_a_python_that_fits_is_found(tmp_path: Path) -> None:
    """The first Python that is new enough and has venv is taken, past those that do not fit."""
    fake_python(tmp_path, "python3", TOO_OLD)
    fake_python(tmp_path, "python3.13", WITHOUT_VENV)
    fake_python(tmp_path, "python3.12")
    found = find_python(tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert Path(found.stdout.strip()).resolve() == Path(sys.executable).resolve()


def test_a_python_without_venv_gets_one_clear_line(tmp_path: Path) -> None:
    """Where Python lacks venv, one line says so and what to install; no traceback."""
    fake_python(tmp_path, "python3", WITHOUT_VENV)
    found = find_python(tmp_path)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == (
        "attest: python3 has no venv module; install it (Debian: apt install python3-venv) and try again\n"
    )


def test_an_old_python_gets_one_clear_line(tmp_path: Path) -> None:
    """Where Python is too old, one line names its version and the one that is needed."""
    fake_python(tmp_path, "python3", TOO_OLD)
    found = find_python(tmp_path)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == (
        "attest: Python 3.11 or newer is needed; found only python3 (3.9); name another with PYTHON=/path/to/python\n"
    )


def test_no_python_gets_one_clear_line(tmp_path: Path) -> None:
    """Without any Python, one line says what to install."""
    found = find_python(tmp_path)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.count("\n") == 1
    assert found.stderr.startswith("attest: no Python found; install Python 3.11 or newer")


def test_the_python_that_is_named_is_the_only_one_tried(tmp_path: Path) -> None:
    """PYTHON names a Python that does not run: that is an error, although another would do."""
    fake_python(tmp_path, "python3")
    absent = str(tmp_path / "no such python")
    found = find_python(tmp_path, absent)
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == f"attest: PYTHON={absent} cannot be run; Python 3.11 or newer is needed\n"


def test_make_alone_lists_every_target() -> None:
    """`make` without a target names and explains each one, and does nothing else."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    shown = subprocess.run(["make"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert declared is not None
    assert re.findall(r"^  make (\w+) +\S", shown, re.MULTILINE) == declared[1].split()


@pytest.mark.parametrize("name", [".ci/run", ".ci/parts", "scripts/find-python", "scripts/lock", "scripts/setup"])
def test_scripts_run_and_stop_at_errors(name: str) -> None:
    """Each script can be executed, parses, and stops at undefined names and, but for the one that probes, at errors."""
    path = ROOT / name
    text = path.read_text()
    assert path.stat().st_mode & stat.S_IXUSR
    shell = text.splitlines()[0].rpartition("/")[2].removeprefix("env ")
    subprocess.run([shell, "-n", str(path)], check=True)
    assert re.search(r"^set -(?:u|eu|euo pipefail)$", text, re.MULTILINE)


# ---- what is left out

PRIVATE_KEY: Final = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+(?:[A-Za-z-]+: .*\s+)*[A-Za-z0-9+/=]{16}")
ONE_MACHINE: Final = re.compile(
    r"""(?<![\w.~$}/-]) / (?:home|root|Users|wor[k]|far[m]) / [\w.]   # folders of one machine
    | pythonhoste[d] | pypi\.or[g] | extra-index-ur[l] | registry\.npmj[s]     # addresses of package indexes
    | \bfar[m]-""",
    re.VERBOSE,
)


def test_no_word_of_one_machine() -> None:
    """No file of the project names a folder of the machine it was written on, or an address of a package index."""
    texts = {path: path.read_text(errors="replace") for path in tracked_files() if path.name != "go.sum"}
    found = {str(path.relative_to(ROOT)): ONE_MACHINE.findall(text) for path, text in texts.items()}
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see /hom{}e/ann/key", True),
        ("PATH=/roo{}t/bin", True),
        ("--extra-index{}-url X", True),
        ("https://pypi{}.org/simple", True),
        ("https://host.example/home{}/x", False),
        ("$HOME/root{}/x and ~/home/x", False),
        ("the work{}/rest balance", False),
    ],
)
def test_a_word_of_one_machine_is_found(text: str, found: bool) -> None:
    """Folders of one machine are told from parts of URLs and relative paths."""
    assert bool(ONE_MACHINE.search(text.replace("{}", ""))) is found


def test_no_private_key_is_committed() -> None:
    """No file of the project holds a private key; keys are made when the demo and the tests run."""
    assert [str(path) for path in tracked_files() if PRIVATE_KEY.search(path.read_bytes())] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n", True),
        (b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMHcCAQEEIIGL4Vl0\n", True),
        (b"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n", False),
        (b'if b"-----BEGIN PRIVATE KEY-----" in text:\n', False),
    ],
)
def test_a_private_key_is_recognised(text: bytes, found: bool) -> None:
    """A private key is told from a public one and from code that speaks of keys."""
    assert bool(PRIVATE_KEY.search(text)) is found
