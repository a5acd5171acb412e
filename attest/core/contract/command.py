"""Argument vectors of a configuration: which need a shell, and which program they start.

Sources: image-spec, "Image Configuration" (`Entrypoint`, `Cmd`); the Dockerfile reference, "Shell and exec form";
execvp(3) for how a program without a slash is found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Final

from attest.core.contract.tree import Tree
from attest.core.image.facts import FileFacts, ImageConfig

SHELLS: Final = frozenset({"sh", "bash", "dash", "ash", "hush", "zsh", "ksh", "mksh", "fish", "csh", "tcsh", "rbash"})
_COMMAND: Final = re.compile(r"-[A-Za-z]*c[A-Za-z]*")
_WITH_VALUE: Final = re.compile(r"[-+][A-Za-z]*[oO]|--(?:rcfile|init-file)")
"""Options that the next word belongs to: `-o pipefail`, `-euo pipefail`, `--rcfile FILE`."""
_SU_COMMAND: Final = re.compile(r"-[A-Za-z]*c[A-Za-z]*|--(?:session-)?command(?:=.*)?", re.DOTALL)
_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def is_shell_form(vector: Sequence[str], shell: Sequence[str] | None) -> bool:
    """Whether a shell is handed a command as text, at the beginning or after a program that starts others.

    `shell` is that of the configuration, which the shell form of a build puts before the text.
    """
    if shell and tuple(vector[: len(shell)]) == tuple(shell):
        return True
    for position, word in enumerate(vector):
        name = word.rpartition("/")[2]
        if name == "su" and any(map(_SU_COMMAND.fullmatch, vector[position + 1 :])):
            return True  # su hands the text to the shell of the account (su(1))
        if name not in SHELLS:
            continue
        options = iter(vector[position + 1 :])
        for option in options:
            if not option.startswith(("-", "+")) or option == "--":
                break
            if _COMMAND.fullmatch(option):
                return True
            if _WITH_VALUE.fullmatch(option):
                next(options, None)
    return False


def program(name: str, config: ImageConfig, tree: Tree) -> FileFacts | None:
    """The executable file that a container starts by this name: from its working directory, or along its PATH."""
    if "/" in name:
        return _executable(tree, f"{config.workdir}/{name}" if not name.startswith("/") else name)
    path = next((value for key, value in reversed(config.env) if key == "PATH"), _DEFAULT_PATH)
    for folder in path.split(":"):
        place = folder if folder.startswith("/") else f"{config.workdir}/{folder}"
        found = _executable(tree, f"{place}/{name}")
        if found is not None:
            return found
    return None


def shown(vector: Sequence[str]) -> str:
    """An argument vector for people, as a build writes it."""
    return json.dumps(list(vector), ensure_ascii=False)


def _executable(tree: Tree, path: str) -> FileFacts | None:
    file = tree.at(path)
    return file if file is not None and file.is_executable else None
