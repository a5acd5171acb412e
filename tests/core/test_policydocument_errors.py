"""Every error of a policy document, against what it said before: tests/golden/policy-errors.txt.

`ATTEST_GOLDEN=write python -m pytest tests/core/test_policydocument_errors.py` writes the file anew; read what changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from attest.adapters.conditions import compile_condition
from attest.adapters.documents import parse_document
from attest.adapters.files import read_file
from attest.core.policy import Policy
from attest.errors import EXIT_USAGE, DocumentInvalid
from attest.ops.load import load_policy
from tests.core.policy_cases import CASES, right_files, wrong

GOLDEN = Path(__file__).parents[1] / "golden" / "policy-errors.txt"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the policy that is right and its keys."""
    (tmp_path / "keys").mkdir()
    for name, content in right_files().items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(file: str = "policy.yaml") -> Policy:
    return load_policy(file, read_file=read_file, parse_document=parse_document, compile_condition=compile_condition)


def _error(title: str) -> DocumentInvalid:
    try:
        load()
    except DocumentInvalid as error:
        return error
    pytest.fail(f"{title}: it is not refused")


def _told(error: DocumentInvalid) -> Iterator[str]:
    yield error.message
    if error.hint:
        yield f"  hint: {error.hint}"


def test_every_wrong_policy_is_refused_in_the_words_of_the_golden_file(folder: Path) -> None:
    """Each mistake ends with exit code 2, a line and a column, and exactly the sentence that was agreed on."""
    lines = []
    for title, old, new in CASES:
        (folder / "policy.yaml").write_text(wrong(old, new))
        error = _error(title)
        assert error.exit_code == EXIT_USAGE, title
        assert error.file == "policy.yaml", title
        assert None not in (error.line, error.column), title
        lines += [f"# {title}", *_told(error), ""]
    text = "\n".join(lines)
    if os.environ.get("ATTEST_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_the_policy_that_the_mistakes_are_made_in_is_right(folder: Path) -> None:
    """Without its mistake every policy of the golden file loads, so that nothing else is what is refused."""
    assert load(str(folder / "policy.yaml")).name == "staging"


def test_the_titles_of_the_mistakes_are_distinct() -> None:
    """Each mistake can be found in the golden file by its title."""
    assert len({title for title, _, _ in CASES}) == len(CASES)
