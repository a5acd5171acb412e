"""An environment in sentences and as data."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from attest.adapters.documents import parse_document
from attest.core.environment import words as environmentwords
from attest.core.environment.definition import Environment
from attest.core.environment.document import read_environment
from tests.core.environment_cases import COMPOSE, HOOK, KUBERNETES, RIGHT, wrong

BEFORE, DURING, AFTER = (datetime(year, 1, 1, tzinfo=UTC) for year in (2026, 2027, 2028))


def load(text: str = RIGHT) -> Environment:
    return read_environment(parse_document(text.encode(), file="environment.yaml"), locate=lambda name: name)


def said(text: str, title: str, now: datetime = BEFORE) -> list[str]:
    """The sentences of a section."""
    (found,) = [section for section in environmentwords.explain(load(text), now=now) if section.title == title]
    return list(found.sentences)


def data(text: str = RIGHT) -> dict[str, Any]:
    return environmentwords.document(load(text), now=BEFORE)


def test_the_sections_are_what_the_environment_has() -> None:
    """Evidence, target, each service in its order, deployment and ledger."""
    assert [section.title for section in environmentwords.explain(load(), now=BEFORE)] == [
        *("evidence", "target", "service backend", "service frontend", "service migrate", "deployment", "ledger")
    ]


def test_evidence_is_named_or_said_to_be_none() -> None:
    """Where evidence is looked for stands there, and that it is nowhere else."""
    assert said(RIGHT, "evidence") == [
        "Before anything is deployed or rolled back, the release has to pass the policy ../policies/staging.yaml.",
        "Evidence beside the images counts, and that in:",
        "- registry.example.org/plex/backend",
        "- registry.example.org/plex/frontend",
    ]
    none = wrong("[registry.example.org/plex/backend, registry.example.org/plex/frontend]", "[]")
    assert said(none, "evidence")[1:] == [
        "Only evidence beside the images counts: what is signed elsewhere after promotion is not seen."
    ]


@pytest.mark.parametrize(
    ("old", "new", "sentences"),
    [
        (
            COMPOSE,
            "compose: {file: compose.yaml, engine: podman, project: plex, timeout: 5m}",
            [
                "Compose of podman, with compose.yaml.",
                "attest writes compose.staging.attest.yaml, and nothing else: the image of each service by digest.",
                "The project is plex.",
                "One run of its tools takes at most 5m.",
            ],
        ),
        (
            COMPOSE,
            KUBERNETES,
            [
                "The namespace plex of the cluster that the context staging names.",
                "Digests are written into k8s/app.yaml; nothing else in them is changed.",
                "One run of its tools takes at most 10m.",
            ],
        ),
    ],
)
def test_each_kind_of_target_is_explained(old: str, new: str, sentences: list[str]) -> None:
    """What attest writes and where it goes are said in words."""
    assert said(wrong(old, new), "target") == sentences


def test_a_hook_is_explained() -> None:
    """A program that deploys is named."""
    text = wrong(COMPOSE, HOOK).replace("exec: [/bin/check, --quick]", "http: https://plex.example.org/")
    assert said(text, "target")[0] == "The program ./deploy.py deploys, and says what runs."
    assert data(text)["target"] == {"kind": "hook", "argv": ["./deploy.py", "--quiet"], "timeout": 600}


def test_each_kind_of_health_is_explained() -> None:
    """How a service shows that it is well, how often and for how long, stands in words."""
    text = wrong("successes: 3\n      timeout: 60s", "successes: 1\n      ca-file: ca.pem").replace(
        "http://", "https://"
    )
    assert said(text, "service backend") == [
        "It runs images of staging.example.org/plex/backend, by digest.",
        "It is healthy when https://127.0.0.1:8080/health answers with 200 to 299, once, every 1s, within 1m.",
        "The authorities in ca.pem count for that, and no others.",
        "After that it has to stay so for 30s.",
    ]
    assert said(RIGHT, "service frontend")[1:] == [
        "It is healthy when `/bin/check --quick` ends with 0 in its containers, 3 times in a row, every 1s, within 1m."
    ]
    assert said(RIGHT, "service migrate")[1:] == ["It does its work and ends: with 0, within 5m."]


@pytest.mark.parametrize(("now", "when"), [(BEFORE, ""), (DURING, " (now)"), (AFTER, " (over)")])
def test_a_freeze_says_whether_it_is_now(now: datetime, when: str) -> None:
    """A window that is open or over is told from one that comes."""
    assert said(RIGHT, "deployment", now) == [
        "A release that fails is rolled back at once to the last one that was verified and healthy.",
        f"From 2026-12-20T00:00:00.000000Z to 2027-01-02T00:00:00.000000Z{when} nothing is deployed, "
        "only rolled back: the year ends",
    ]


def test_without_automatic_rollback_a_person_has_to_act() -> None:
    """The sentence names the command to run."""
    assert said(wrong("automatic: true", "automatic: false"), "deployment")[0] == (
        "A release that fails stays until somebody runs `attest rollback`."
    )


def test_a_ledger_says_what_protects_it() -> None:
    """Signed and pushed, signed, or neither: the last of them is said to be weak."""
    signed = "Its head is signed by keys/ledger.key"
    pushed = "  head: registry.example.org/plex/ledger\n"
    assert said(RIGHT, "ledger")[1:] == [f"{signed}, and pushed to registry.example.org/plex/ledger."]
    assert said(wrong(pushed, ""), "ledger")[1:] == [f"{signed}."]
    unsigned = wrong("  signer: keys/ledger.key\n" + pushed, "")
    assert said(unsigned, "ledger")[1:] == ["Its head is not signed: who can write to it could cut off its end unseen."]
    assert data(unsigned)["ledger"] == {"url": "sqlite:///state/ledger.db", "signer": None, "head": None}


def test_the_data_has_every_value() -> None:
    """`--format json` has the whole environment, durations in seconds, and the sentences."""
    document = data()
    assert json.loads(json.dumps(document)) == document
    assert document["schema"] == "attest.environment/v1"
    assert (document["name"], document["policy"]) == ("staging", "../policies/staging.yaml")
    assert document["digest"] == load().digest
    assert document["target"] == {
        "kind": "compose",
        "engine": "podman",
        "files": ["compose.yaml"],
        "project": None,
        "override": "compose.staging.attest.yaml",
        "env-file": None,
        "timeout": 600,
    }
    rule = {"successes": 3, "timeout": 60, "interval": 1, "attempt": 5}
    backend, frontend, migrate = document["services"].values()
    assert backend == {
        "repository": "staging.example.org/plex/backend",
        "health": {"kind": "http", "url": "http://127.0.0.1:8080/health", "ca-file": None, **rule},
        "soak": 30,
    }
    assert frontend["health"] == {"kind": "exec", "argv": ["/bin/check", "--quick"], **rule}
    assert (migrate["health"], migrate["soak"]) == ({"kind": "oneshot", "timeout": 300}, 0)
    assert document["freeze"] == [
        {
            "from": "2026-12-20T00:00:00.000000Z",
            "to": "2027-01-02T00:00:00.000000Z",
            "reason": "the year ends",
        }
    ]
    assert document["rollback"] == {"automatic": True}
    assert document["explanation"][0]["sentences"] == said(RIGHT, "evidence")
    assert data(wrong(COMPOSE, KUBERNETES))["target"] == {
        "kind": "kubernetes",
        "manifests": ["k8s/app.yaml"],
        "context": "staging",
        "namespace": "plex",
        "kubeconfig": None,
        "timeout": 600,
    }
