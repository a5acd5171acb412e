"""The digest of attest's own code: what Go's dirhash says of the package, and what a shell does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from attest.adapters.owncode import code_digest
from tests.project import ROOT


def test_a_shell_says_the_same() -> None:
    """The command in the docstring, run beside the package, prints the same digest."""
    command = next(line for line in (code_digest.__doc__ or "").splitlines() if "find attest" in line)
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split()[0] == code_digest()


def test_other_code_has_another_digest(tmp_path: Path) -> None:
    """A file that is changed, added or renamed changes the digest; what Python compiled does not."""
    shutil.copytree(ROOT / "attest", tmp_path / "attest", ignore=shutil.ignore_patterns("__pycache__"))

    def digest() -> str:
        code = "from attest.adapters.owncode import code_digest; print(code_digest())"
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    copied = digest()
    assert copied == code_digest()
    assert (tmp_path / "attest" / "__pycache__").is_dir()
    found = {copied}
    for change in (
        lambda: (tmp_path / "attest" / "schemas" / "new.json").write_text("{}"),
        lambda: (tmp_path / "attest" / "schemas" / "new.json").rename(tmp_path / "attest" / "schemas" / "other.json"),
        lambda: (tmp_path / "attest" / "ports.py").write_text('"""Nothing."""\n'),
    ):
        change()
        found.add(digest())
    assert len(found) == 4
