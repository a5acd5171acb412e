"""docs/lanes.md is true: its hook is read, its condition is CEL, its fields and exit codes are those of the code."""

from __future__ import annotations

import re
import shlex

import pytest

from attest.adapters.conditions import compile_condition
from attest.adapters.documents import parse_document
from attest.adapters.process import GRACE, TIMED_OUT
from attest.core.lane.observation import Observation, Seen, describe, read_hook
from attest.core.lane.outcome import Ended
from attest.core.lane.outcome import describe as describe_end
from attest.core.reference import digest_of
from tests.cli.test_help import parse
from tests.project import ROOT

DOCUMENT = (ROOT / "docs" / "lanes.md").read_text()


def blocks(language: str) -> list[str]:
    """The blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


def test_the_hook_s_answer_is_read() -> None:
    """What the document shows is what `--observe` accepts."""
    (shown,) = blocks("json")
    answer = shown.replace("sha256:...", digest_of(b"x"))
    (seen,) = read_hook(answer.encode(), hook="h")
    assert (seen.instance, seen.started) == ("backend-7d4f", "2026-06-30T12:00:00Z")


@pytest.mark.parametrize(("mounts", "holds"), [((), True), (("/app",), False)])
def test_the_condition_holds_where_it_should(mounts: tuple[str, ...], holds: bool) -> None:
    """It is CEL, true of a container of the image without mounts, and not of one with a mount or of another image."""
    (shown,) = blocks("yaml")
    value = parse_document(shown.encode(), file="docs/lanes.md").value
    assert isinstance(value, dict)
    (text,) = value["lanes"]["integration"]["where"]
    condition = compile_condition(text)
    image = digest_of(b"image")
    observation = Observation(container="c", runtime="podman", digests=frozenset({image}), mounts=mounts)
    predicate = {"attest_observed": describe([Seen(observation=observation, image=image)])}
    for digest, expected in ((image, holds), (digest_of(b"other"), False)):
        asked = {"reference": "", "name": "", "digest": digest}
        assert condition.holds(predicate=predicate, statement={}, image=asked, certificate=None) == expected


def test_the_commands_parse() -> None:
    """Every command line that is shown has only options that exist."""
    shown = [shlex.split(line) for block in blocks("sh") for line in block.replace("\\\n", " ").splitlines()]
    assert len(shown) == 2
    for words in shown:
        parse(words)


def test_every_field_is_described() -> None:
    """What stands in the extensions is named by the document."""
    observation = Observation(container="c", runtime="hook", digests=frozenset())
    (entry,) = describe([Seen(observation=observation, image=digest_of(b"x"))])
    for field in (*entry, *describe_end(Ended(status=0))):
        assert f"`{field}`" in DOCUMENT, field


def test_the_numbers_are_those_of_the_code() -> None:
    """The status of a timeout, and how long a group has to end."""
    assert f"{TIMED_OUT} where its `--timeout` was over" in DOCUMENT
    assert GRACE == 10
    assert "ten seconds later, SIGKILL" in DOCUMENT
