"""Every error of a policy document, against what it said before: tests/golden/policy-errors.txt and
policy-errors-keyless.txt.

`ATTEST_GOLDEN=write python -m pytest tests/core/test_policydocument_errors.py` writes them anew; read what changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from attest.adapters.conditions import compile_condition
from attest.adapters.documents import parse_document
from attest.adapters.files import read_file
from attest.adapters.sigstore.trust import SigstoreTrust
from attest.core.policy import Policy
from attest.core.verify import Trust
from attest.errors import EXIT_USAGE, DocumentInvalid
from attest.ops.load import load_policy
from tests.core import policy_cases
from tests.core import policy_cases_keyless as keyless

FOLDER = Path(__file__).parents[1] / "golden"
Cases = tuple[tuple[str, str, str], ...]


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """The policy among these files, in a folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return folder / "policy.yaml"


def open_trust(root: bytes | None, *, file: str) -> Trust:
    """The trust of a trusted root, in whose words its errors are."""
    assert root is not None
    return SigstoreTrust(root, file=file)


def load(file: str = "policy.yaml") -> Policy:
    return load_policy(
        file,
        read_file=read_file,
        parse_document=parse_document,
        compile_condition=compile_condition,
        open_trust=open_trust,
    )


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


@pytest.mark.parametrize(
    ("golden", "files", "cases", "wrong"),
    [
        ("policy-errors.txt", policy_cases.right_files(), policy_cases.CASES, policy_cases.wrong),
        ("policy-errors-keyless.txt", keyless.right_keyless_files(), keyless.CASES, keyless.wrong),
    ],
    ids=["keys", "identities"],
)
def test_every_wrong_policy_is_refused_in_the_words_of_the_golden_file(
    golden: str,
    files: Mapping[str, bytes],
    cases: Cases,
    wrong: Callable[[str, str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each mistake ends with exit code 2, a line and a column, and exactly the sentence that was agreed on."""
    monkeypatch.chdir(tmp_path)
    policy = write(tmp_path, files)
    lines = []
    for title, old, new in cases:
        policy.write_text(wrong(old, new))
        error = _error(title)
        assert error.exit_code == EXIT_USAGE, title
        assert error.file == "policy.yaml", title
        assert None not in (error.line, error.column), title
        lines += [f"# {title}", *_told(error), ""]
    text = "\n".join(lines)
    if os.environ.get("ATTEST_GOLDEN") == "write":
        (FOLDER / golden).write_text(text)
    assert text == (FOLDER / golden).read_text()


@pytest.mark.parametrize(
    ("files", "name"), [(policy_cases.right_files(), "staging"), (keyless.right_keyless_files(), "keyless")]
)
def test_the_policy_that_the_mistakes_are_made_in_is_right(
    files: Mapping[str, bytes], name: str, tmp_path: Path
) -> None:
    """Without its mistake every policy of the golden file loads, so that nothing else is what is refused."""
    assert load(str(write(tmp_path, files))).name == name


def test_the_titles_of_the_mistakes_are_distinct() -> None:
    """Each mistake can be found in the golden files by its title."""
    titles = [title for title, _, _ in policy_cases.CASES + keyless.CASES]
    assert len(set(titles)) == len(titles)
