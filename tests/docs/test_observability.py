"""docs/observability.md names what there is, and its alerts are rules that Prometheus takes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.core.test_delivery_events import VALIDATORS
from tests.core.test_delivery_traces import traced
from tests.docs.console import ROOT
from tests.parts.find import require
from tests.test_prometheus import families

DOCUMENT = (ROOT / "docs" / "observability.md").read_text()


def section(title: str) -> str:
    """A section of the document."""
    return DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def rows(title: str) -> dict[str, str]:
    """The names in the first column of the tables of a section, with what stands in the second."""
    found: dict[str, str] = {}
    for first, second in re.findall(r"^\| (.*?) \| (.*?) \|", section(title), re.M):
        found |= dict.fromkeys(re.findall(r"`([^`]+)`", first), second)
    return found


def test_every_metric_is_documented() -> None:
    """The table has every family with its labels, and no other."""
    documented = {name: tuple(labels.split(", ")) for name, labels in rows("Metrics").items()}
    assert documented == {family.name: family.labels for family in families()}


def test_every_event_is_documented() -> None:
    """The table has every type that is told, and no other."""
    documented = set(rows("Events"))
    resolved = "dev.cdevents.incident.resolved.0.3.0"
    assert (documented - {"resolved"}) | {resolved} == set(VALIDATORS)


def test_every_attribute_is_documented() -> None:
    """The table has every attribute of a delivery's span, and those of its steps."""
    from tests.core.make_story import story

    documented = set(rows("Spans"))
    spans = traced(story())
    assert {name for span in spans for name in span.attributes} == {
        name for name in documented if not name.startswith((".", "cicd.pipeline.task"))
    }
    below = {name for span in spans for one in span.below for name in one.attributes}
    assert below == {f"cicd.pipeline.task{end}" for end in (".name", ".run.id", ".run.result")}


@pytest.mark.parts
def test_the_alerts_are_rules(tmp_path: Path) -> None:
    """promtool takes them, and every metric that they name exists."""
    match = re.search(r"^```yaml\n(.*?)^```$", DOCUMENT, re.M | re.S)
    assert match is not None
    (tmp_path / "rules.yaml").write_text(match[1])
    tool = str(require("promtool"))
    done = subprocess.run(
        [tool, "check", "rules", "rules.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "4 rules found" in done.stdout
    names = {family.name for family in families()}
    assert set(re.findall(r"attest_\w+", match[1])) <= names
