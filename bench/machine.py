"""What it was measured on: numbers without that mean nothing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attest
from tests.parts.find import find

_LIBRARIES: Final = ("click", "cryptography", "oras", "pydantic", "ruamel.yaml", "urllib3")
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "cosign": ("version",),
    "docker-registry": ("--version",),
    "gitea": ("--version",),
    "olareg": ("version",),
}
_VERSION: Final = re.compile(r"\bv?(\d+\.\d+\.\d+)\b")


def describe() -> dict[str, Any]:
    """The machine and every program and library that takes part, as JSON values."""
    return {
        "processor": processor(_text("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "attest": attest.__version__,
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "parts": {name: _version_of(name, arguments) for name, arguments in _PARTS.items()},
    }


def lines(machine: Mapping[str, Any]) -> Iterator[str]:
    """The same for people."""
    yield f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, load {machine['load']:.1f}"
    yield f"Python {machine['python']}, attest {machine['attest']}, {_listed(machine['libraries'])}"
    yield f"beside {_listed(machine['parts'])}"


def processor(cpuinfo: str) -> str:
    """The model that `/proc/cpuinfo` names, else what Python knows."""
    named = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return named[1].strip() if named else platform.processor() or platform.machine()


def version_in(printed: str) -> str | None:
    """The first version number in what a program printed."""
    found = _VERSION.search(printed)
    return found[1] if found else None


def _listed(versions: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {version or '(not here)'}" for name, version in versions.items())


def _version_of(name: str, arguments: tuple[str, ...]) -> str | None:
    program = find(name)
    if program is None:
        return None
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=60)
    return version_in(done.stdout) or "(of an unknown version)"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
