"""The example policies, and the commands `attest policy check` and `attest policy schema`."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from attest.adapters.conditions import FUNCTIONS, MACROS, METHODS, compile_condition
from attest.adapters.documents import parse_document
from attest.adapters.keys import generate
from attest.cli.main import run
from attest.cli.policies import load_policy
from attest.core.policydocument import lifetime
from attest.core.policymodel import schema
from attest.errors import DocumentInvalid, KeyUnusable
from tests.core.policy_cases import RIGHT, right_files
from tests.core.policy_cases_keyless import trusted_root
from tests.project import ROOT

POLICIES = sorted((ROOT / "policies").glob("*.yaml"))
READY = [path for path in POLICIES if path.name != "first.yaml"]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A folder with a policy and its keys."""
    (tmp_path / "keys").mkdir()
    for name, content in right_files().items():
        (tmp_path / name).write_bytes(content)
    return tmp_path / "policy.yaml"


# ---- examples


@pytest.mark.parametrize("path", READY, ids=lambda path: path.name)
def test_an_example_loads_where_it_stands(path: Path) -> None:
    """The policies in the repository are policies, with the keys in the repository."""
    assert load_policy(str(path)).lanes


def test_the_first_policy_loads_beside_the_keys_of_a_beginner(tmp_path: Path) -> None:
    """The policy for a first try works where it says: beside the folder that `attest keygen` makes."""
    shutil.copy(ROOT / "policies" / "first.yaml", tmp_path / "policy.yaml")
    for name in ("builder", "tests"):
        generate(name, tmp_path / "keys", "ecdsa-p256", None)
    policy = load_policy(str(tmp_path / "policy.yaml"))
    assert [lane.name for lane in policy.lanes] == ["contract", "integration"]


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.name)
def test_an_example_is_valid_in_an_editor(path: Path) -> None:
    """The published schema accepts every example."""
    document = parse_document(path.read_bytes(), file=path.name)
    assert list(Draft202012Validator(schema()).iter_errors(document.value)) == []


def test_every_example_key_is_named_by_a_policy() -> None:
    """There is no key in the repository that nobody needs, no private one, and none by the name of a beginner's."""
    named = {
        os.path.normpath(path.parent / name)
        for path in READY
        for name in re.findall(r"\S+\.pub", path.read_text().replace("[", " ").replace("]", " ").replace("}", " "))
        if name.startswith("../")
    }
    there = {str(path) for path in (ROOT / "keys").iterdir() if path.name != "README.md"}
    assert {name.strip(",") for name in named} == there
    assert all(path.suffix == ".pub" for path in map(Path, there))
    assert not {"builder.pub", "tests.pub"} & {Path(path).name for path in there}


def test_the_examples_show_the_whole_language() -> None:
    """Every key that a policy may have stands in at least one example."""
    text = "\n".join(path.read_text() for path in POLICIES)
    definitions = schema()["$defs"].values()
    keys = {key for part in (schema(), *definitions) for key in part["properties"]} - {"shared", "allow-dirty"}
    assert {key for key in keys if not re.search(rf"(?m)^[^#\n]*\b{key}:", text)} == set()


# ---- docs/policy.md


def _documented() -> tuple[str, str]:
    """The policy and the conditions that docs/policy.md shows."""
    policy, conditions = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "policy.md").read_text(), re.DOTALL)
    return policy, conditions


def test_the_documented_policy_loads(tmp_path: Path) -> None:
    """The policy in the documentation is one, and five lanes have to be present, as it says there."""
    (tmp_path / "docs").mkdir()
    shutil.copytree(ROOT / "keys", tmp_path / "keys")
    (tmp_path / "docs" / "policy.yaml").write_text(_documented()[0])
    (tmp_path / "docs" / "trusted_root.json").write_bytes(trusted_root())
    assert len(load_policy(str(tmp_path / "docs" / "policy.yaml")).lanes) == 5


def test_the_documented_conditions_hold_of_what_they_are_for() -> None:
    """The conditions in the documentation compile, and hold of a predicate that is made for them."""
    texts = parse_document(_documented()[1].encode(), file="docs/policy.md").value["where"]
    predicate = {
        "scanner": {"result": [{"severity": [{"method": "cvss_score", "score": "5.2"}]}]},
        "buildDefinition": {"externalParameters": {"request": {"args": {"build-arg:MODE": "release"}}}},
        "approved": True,
    }
    for text in [*texts, "!has(predicate.debug) || predicate.debug != true"]:
        assert compile_condition(text).holds(predicate=predicate, statement={}, image={}, certificate={})
    assert not compile_condition("predicate.debug != true").holds(
        predicate=predicate, statement={}, image={}, certificate={}
    )


def test_every_key_of_the_language_is_documented() -> None:
    """docs/policy.md has every key that a policy may have, and every function that a condition may use."""
    text = (ROOT / "docs" / "policy.md").read_text()
    keys = {key for part in (schema(), *schema()["$defs"].values()) for key in part["properties"]}
    assert {name for name in keys | FUNCTIONS | METHODS | MACROS if not re.search(rf"[`{{ ]{name}[`:]", text)} == set()


# ---- attest policy check


def test_check_explains_a_policy(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A valid policy is explained, with serial and digest, and the exit code is 0."""
    assert run(["policy", "check", str(policy)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"{policy} is a valid policy."
    assert f"digest   {load_policy(str(policy)).digest}" in out
    assert "serial   7" in out
    assert "expires  2027-06-30T00:00:00.000000Z" in out
    assert "lane approval" in out
    assert "  Signed by 2 of alice and bob (reviewers)." in out


def test_check_says_when_a_policy_has_expired(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A policy that refuses everything is valid, and this is said of it."""
    policy.write_text(RIGHT.replace("2027-06-30", "2020-06-30"))
    assert run(["policy", "check", str(policy)]) == 0
    assert "expires  2020-06-30T00:00:00.000000Z (passed: it refuses everything)" in capsys.readouterr().out
    policy.write_text(RIGHT.replace("expires: 2027-06-30T00:00:00Z\n", ""))
    assert run(["policy", "check", str(policy)]) == 0
    assert "expires  never" in capsys.readouterr().out


def test_check_prints_data(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--format json` prints one JSON document and nothing else."""
    assert run(["policy", "check", str(policy), "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["schema"] == "attest.policy/v1"
    assert data["digest"] == load_policy(str(policy)).digest
    assert [lane["lane"] for lane in data["lanes"]] == ["build", "contract", "approval"]


def test_check_shows_a_condition_of_several_lines(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A condition keeps its lines, further in than the sentence that it belongs to."""
    lines = "where:\n      - |\n        predicate.a == 1 &&\n        predicate.b == '::warning::'"
    policy.write_text(RIGHT.replace('where: ["predicate.a == 1"]', lines))
    assert run(["policy", "check", str(policy)]) == 0
    out = capsys.readouterr().out
    assert "\n  It must be true that: predicate.a == 1 &&\n    predicate.b == '::warning::'\n" in out


def test_check_refuses_with_the_place(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An invalid policy ends with exit code 2 and an error that names file, line and column, and nothing on stdout."""
    policy.write_text(RIGHT.replace("serial: 7", "serial: 0"))
    assert run(["policy", "check", str(policy)]) == 2
    captured = capsys.readouterr()
    assert f"{policy}:3:9: `serial`: it must be 1 or more, not 0" in captured.err
    assert captured.out == ""


def test_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """`attest policy schema` prints the schema and nothing else."""
    assert run(["policy", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


# ---- files


def test_a_policy_that_is_not_there(tmp_path: Path) -> None:
    """A policy that cannot be read is an error of the document."""
    with pytest.raises(DocumentInvalid, match=r"absent\.yaml: cannot be read: No such file"):
        load_policy(str(tmp_path / "absent.yaml"))
    with pytest.raises(DocumentInvalid, match="cannot be read"):
        load_policy(str(tmp_path))


def test_a_key_that_is_a_pipe_is_refused_at_once(policy: Path) -> None:
    """A key file that would never end is not waited for."""
    (policy.parent / "keys" / "builder.pub").unlink()
    os.mkfifo(policy.parent / "keys" / "builder.pub")
    with pytest.raises(KeyUnusable, match=r":12:18: keys/builder\.pub: not a regular file"):
        load_policy(str(policy))


def test_a_policy_is_the_same_from_every_working_directory(
    policy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The working directory adds nothing to a policy and takes nothing away, however the file is named."""
    expected = load_policy(str(policy))
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(policy.parent / "keys", elsewhere / "keys")
    shutil.copy(elsewhere / "keys" / "alice.pub", elsewhere / "keys" / "builder.pub")
    monkeypatch.chdir(elsewhere)
    assert load_policy(str(policy)).digest == expected.digest
    assert load_policy(os.path.relpath(policy)).digest == expected.digest
    monkeypatch.chdir(policy.parent)
    assert load_policy("policy.yaml").digest == expected.digest
    assert load_policy("./policy.yaml").digest == expected.digest


def test_a_link_to_a_policy_reads_keys_beside_the_link(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Paths start at the folder of the name that was given, as for a mounted configuration that consists of links."""
    elsewhere = tmp_path_factory.mktemp("mounted")
    (elsewhere / "policy.yaml").symlink_to(policy)
    with pytest.raises(KeyUnusable, match=r"keys/builder\.pub: cannot be read"):
        load_policy(str(elsewhere / "policy.yaml"))
    (elsewhere / "keys").symlink_to(policy.parent / "keys")
    assert load_policy(str(elsewhere / "policy.yaml")).digest == load_policy(str(policy)).digest


def test_an_age_is_told_in_the_largest_unit_that_fits() -> None:
    """Ages are told in the words of a policy."""
    policy = load_policy(str(ROOT / "policies" / "staging.yaml"))
    ages = {lane.name: lifetime(lane.max_age) for lane in policy.lanes if lane.max_age is not None}
    assert ages == {"integration": "7d", "e2e": "1d"}
