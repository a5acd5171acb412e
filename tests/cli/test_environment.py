"""`attest environment check` and `attest environment schema`."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from attest.adapters.documents import parse_document
from tests.cli.running import attest
from tests.core.environment_cases import RIGHT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an environment in `env/staging.yaml`."""
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "staging.yaml").write_text(RIGHT)
    return tmp_path


def test_check_explains_an_environment(folder: Path) -> None:
    """A valid environment ends with 0 and is told in sentences; nothing that it names has to be there."""
    ended = attest("environment", "check", "env/staging.yaml", cwd=folder)
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == "env/staging.yaml is a valid environment."
    assert "name    staging" in lines
    assert "service backend" in lines
    assert "  Compose of podman, with env/compose.yaml." in lines
    assert sorted(path.name for path in (folder / "env").iterdir()) == ["staging.yaml"]


def test_check_as_json(folder: Path) -> None:
    """The same as one JSON object, with paths that are found from the document's folder on."""
    document = attest("environment", "check", "env/staging.yaml", "--format", "json", cwd=folder).document
    assert document["schema"] == "attest.environment/v1"
    assert document["policy"] == "env/../policies/staging.yaml"
    assert document["ledger"]["url"] == "sqlite:///env/state/ledger.db"


def test_an_absolute_path_stays_one(folder: Path) -> None:
    """Where the document is named absolutely so is the ledger, with the fourth slash that says so."""
    file = folder / "env" / "staging.yaml"
    document = attest("environment", "check", file, "--format", "json", cwd=folder).document
    assert document["ledger"]["url"] == f"sqlite:///{folder}/env/state/ledger.db"


def test_a_wrong_environment_ends_with_2(folder: Path) -> None:
    """The error names file, line and column, as text and as JSON; standard input is no file with a folder."""
    file = folder / "env" / "staging.yaml"
    file.write_text(RIGHT.replace("automatic: true", "automatic: yes"))
    ended = attest("environment", "check", "env/staging.yaml", cwd=folder)
    assert (ended.code, ended.out) == (2, "")
    assert "env/staging.yaml:28:23: `rollback.automatic`: it must be true or false, not 'yes'" in ended.err
    ended = attest("environment", "check", "env/staging.yaml", "--format", "json", cwd=folder)
    assert (ended.code, ended.document["error"]) == (2, "document-invalid")
    ended = attest("environment", "check", "-", cwd=folder, stdin=RIGHT.encode())
    assert ended.code == 2
    assert "an environment is read from a file" in ended.err
    assert attest("environment", "check", "env/missing.yaml", cwd=folder).code == 2


def test_the_schema_is_printed(folder: Path) -> None:
    """What `schema` prints is a JSON Schema that the environment satisfies."""
    schema = attest("environment", "schema", cwd=folder).document
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(parse_document(RIGHT.encode(), file="e").value, schema)
    assert schema["title"] == "attest environment"
