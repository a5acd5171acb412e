"""The example's documents are valid as they stand, demand what they should, and are made a machine's by replacement."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from attest.adapters.keys import generate
from attest.cli.policies import load_policy
from tests.cli.running import attest
from tests.core.policy_cases_keyless import trusted_root
from tests.pipeline.rendering import FILES, TEXTS, Values, render, unrendered
from tests.project import ROOT

EXAMPLE: Final = ROOT / "examples" / "playlist"
LANES: Final = ("build", "contract", "source", "integration", "e2e")
KEYS: Final = (*LANES, "gate", "alice", "bob")
VALUES: Final = Values(
    source="http://127.0.0.1:3000/plex/playlist",
    issuer="http://127.0.0.1:4000/api/actions",
    registry="127.0.0.1:3000/plex",
    staging="127.0.0.1:5000/plex",
    state="/srv/deployer",
    base="1" * 64,
    ci_image="2" * 64,
    e2e_image="3" * 64,
    backend_port="19001",
    frontend_port="19002",
)


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The documents of the example, with keys."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(EXAMPLE / name, tmp_path / name)
    for name in KEYS:
        generate(name, tmp_path / "keys", "ecdsa-p256", None)
    (tmp_path / "keys" / "trusted_root.json").write_bytes(trusted_root())
    return tmp_path


def read(file: Path) -> dict[str, Any]:
    """A YAML document as plain values."""
    loaded = YAML(typ="safe").load(file)
    assert isinstance(loaded, dict)
    return loaded


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("policies/")])
def test_a_policy_demands_all_lanes(example: Path, name: str) -> None:
    """Each policy loads beside the keys that keys/README.md tells to make, and has the five lanes, for both images."""
    policy = load_policy(str(example / name))
    assert sorted(lane.name for lane in policy.lanes) == sorted(LANES)
    assert not any(lane.exempt for lane in policy.lanes)
    assert attest("policy", "check", name, cwd=example).code == 0
    rules = read(example / name)["lanes"]
    for lane, texts in {
        "source": [TEXTS["ci_image"]],
        "integration": [TEXTS["ci_image"], "attest_observed"],
        "e2e": [TEXTS["e2e_image"], "attest_observed"],
        "contract": [TEXTS["base"], TEXTS["ci_image"], "'lock'"],
        "build": [TEXTS["base"], "'runtime'"],
    }.items():
        assert [text for text in texts if text not in "\n".join(rules[lane]["where"])] == []
    assert rules["e2e"]["joint"] is True


def test_each_lane_has_a_key_of_its_own(example: Path) -> None:
    """Where lanes have keys, no key signs two of them, and those who waive sign none."""
    for name in ("promote", "staging"):
        rules = read(example / f"policies/{name}.yaml")
        assert {lane: rule["signer"] for lane, rule in rules["lanes"].items()} == {lane: lane for lane in LANES}
        assert {lane: rules["signers"][lane]["key"] for lane in LANES} == {
            lane: f"../keys/{lane}.pub" for lane in LANES
        }
    assert read(example / "policies/staging.yaml")["waivers"] == {
        "signer": "duty",
        "lanes": ["e2e"],
        "max-lifetime": "12h",
    }
    assert "waivers" not in read(example / "policies/promote.yaml")


@pytest.mark.parametrize("name", ["promote", "staging"])
def test_keyless_differs_in_who_signs_alone(example: Path, name: str) -> None:
    """The policies for identities demand what those for keys demand."""
    keyed, keyless = (read(example / f"policies/{prefix}{name}.yaml") for prefix in ("", "keyless-"))
    assert keyless.pop("trust") == {"file": "../keys/trusted_root.json"}
    signers, identities = keyed.pop("signers"), keyless.pop("signers")
    assert {one: rule for one, rule in signers.items() if one not in LANES} == {
        one: rule for one, rule in identities.items() if one != "pipeline"
    }
    for rule in (*keyed["lanes"].values(), *keyless["lanes"].values()):
        del rule["signer"]
    assert keyed == keyless


def test_staging_asks_what_promotion_asked(example: Path) -> None:
    """The lanes of both policies are the same, but for how old tests may be."""
    promote, staging = (read(example / f"policies/{name}.yaml")["lanes"] for name in ("promote", "staging"))
    assert {rule.pop("max-age", None) for rule in promote.values()} == {None, "24h"}
    assert {rule.pop("max-age", None) for rule in staging.values()} == {None, "7d"}
    assert promote == staging


def test_the_environment_is_one(example: Path) -> None:
    """`attest environment check` takes it, and Compose's file has the services that it has, without a digest."""
    ended = attest("environment", "check", "environment.yaml", cwd=example)
    assert (ended.code, ended.err) == (0, "")
    services = read(example / "environment.yaml")["services"]
    composed = read(example / "compose.yaml")["services"]
    assert {name: rule["repository"] for name, rule in services.items()} == {
        name: rule["image"] for name, rule in composed.items()
    }
    assert all(rule["read_only"] is True and rule["cap_drop"] == ["ALL"] for rule in composed.values())


def test_the_keys_are_those_that_are_told_of(example: Path) -> None:
    """keys/README.md names every key that a document names, and its command makes them."""
    text = (EXAMPLE / "keys" / "README.md").read_text()
    (made,) = re.findall(r"for name in (.*?); do attest keygen", text)
    named = {name for file in FILES for name in re.findall(r"keys/(\w+)\.pub", (example / file).read_text())}
    assert set(made.split()) == {*named, "deployer"}
    assert all(f"`{name}`" in text for name in made.split())
    assert [path.name for path in (EXAMPLE / "keys").iterdir()] == ["README.md"]


def test_a_machine_puts_its_own_in(example: Path) -> None:
    """Nothing of the example's is left, what comes out is valid, and what is printed there reads as the example's."""
    before = {name: (example / name).read_text() for name in FILES}
    render(example, VALUES)
    after = {name: (example / name).read_text() for name in FILES}
    for text in TEXTS.values():
        assert [name for name in FILES if text in after[name]] == []
    assert not any("example.com" in text for text in after.values())
    assert attest("environment", "check", "environment.yaml", cwd=example).code == 0
    assert attest("policy", "check", "policies/promote.yaml", cwd=example).code == 0
    back = {name: unrendered(text, VALUES) for name, text in after.items()}
    assert back == before


@pytest.mark.parametrize("field", sorted(TEXTS))
def test_a_value_without_a_place_is_an_error(example: Path, field: str) -> None:
    """A text of the example that no document has is found, and nothing is written."""
    for name in FILES:
        file = example / name
        file.write_text(file.read_text().replace(TEXTS[field], "gone"))
    before = {name: (example / name).read_bytes() for name in FILES}
    with pytest.raises(ValueError, match=f"{field}: none of the documents"):
        render(example, VALUES)
    assert {name: (example / name).read_bytes() for name in FILES} == before


def test_a_value_that_is_the_examples_is_an_error(example: Path) -> None:
    """A value with a text of the example in it could not be told from it afterwards."""
    with pytest.raises(ValueError, match=r"^registry: 'proxy/registry\.example\.com/plex'"):
        render(example, dataclasses.replace(VALUES, registry=f"proxy/{TEXTS['registry']}"))
