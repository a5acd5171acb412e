"""What the tests know about the project's own files."""

from __future__ import annotations

import functools
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


@functools.cache
def tracked_files() -> tuple[Path, ...]:
    """The files that belong to the project: what git tracks or would, else all that stand outside hidden folders."""
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not {".venv", "__pycache__"} & set(path.parts)]
    return tuple(sorted(path for path in paths if path.is_file()))


def python_files(*folders: str) -> tuple[Path, ...]:
    """The project's Python files, all of them or those in the folders named."""
    wanted = [ROOT / folder for folder in folders] or [ROOT]
    return tuple(
        path for path in tracked_files() if path.suffix == ".py" and any(path.is_relative_to(top) for top in wanted)
    )


def module_name(path: Path) -> str:
    """The dotted name of a module by its file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def comments(path: Path) -> Iterator[tuple[int, str]]:
    """Every comment of a Python file, with its line."""
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


def code_lines(path: Path) -> int:
    """Lines with code on them: neither blank, nor comment, nor docstring (strings that stand alone count as none)."""
    lines: set[int] = set()
    with path.open("rb") as file:
        tokens = [
            token
            for token in tokenize.tokenize(file.readline)
            if token.type not in {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
        ]
    structure = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    for position, token in enumerate(tokens):
        if token.type in structure:
            continue
        before = tokens[position - 1].type if position else tokenize.NEWLINE
        alone = token.type == tokenize.STRING and before in structure and tokens[position + 1].type == tokenize.NEWLINE
        if not alone:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines)
