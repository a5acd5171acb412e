"""What runs against what should: each instance counts, and what nobody could see is not what was wanted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.environment.targets import Instance, Match, Observed, RunState, compare, describe, drifted
from attest.core.reference import Digest, digest_of

INDEX, MANIFEST, CONFIG, OTHER = (digest_of(name.encode()) for name in ("index", "manifest", "config", "other"))
NAMES = frozenset({INDEX, MANIFEST, CONFIG})


def one(state: RunState = RunState.RUNNING, *digests: Digest, **fields: Any) -> Instance:
    """An instance with an image of these names; without any, of the wanted one."""
    return Instance(name="backend-1", state=state, digests=frozenset(digests or {MANIFEST}), **fields)


def seen(*instances: Instance) -> Observed:
    """A service with these instances."""
    return Observed(service="backend", instances=instances)


@pytest.mark.parametrize("name", [INDEX, MANIFEST, CONFIG])
def test_an_image_is_known_by_each_of_its_names(name: Digest) -> None:
    """Whichever of its digests a target names, it is this image."""
    assert compare(seen(one(RunState.RUNNING, name)), NAMES) is Match.SAME


@pytest.mark.parametrize("state", list(RunState))
def test_one_instance_of_another_image_is_another_image(state: RunState) -> None:
    """A single replica of another image outweighs all of the right one, whatever it does, unless it is not there."""
    expected = Match.ABSENT if state is RunState.ABSENT else Match.OTHER
    assert compare(seen(one(state, OTHER)), NAMES) is expected
    assert compare(seen(one(), one(), one(state, OTHER)), NAMES) is Match.OTHER


@pytest.mark.parametrize(
    ("instances", "expected"),
    [
        ((), Match.ABSENT),
        ((one(RunState.ABSENT),), Match.ABSENT),
        ((one(), one(RunState.ABSENT)), Match.WAITING),
        ((one(RunState.WAITING),), Match.WAITING),
        ((Instance(name="b", state=RunState.WAITING),), Match.WAITING),
        ((one(), one(RunState.WAITING)), Match.WAITING),
        ((one(RunState.UNKNOWN),), Match.UNKNOWN),
        ((one(), one(RunState.UNKNOWN)), Match.UNKNOWN),
        ((Instance(name="b", state=RunState.RUNNING),), Match.UNKNOWN),
        ((Instance(name="b", state=RunState.EXITED, exit_code=0, ends=True),), Match.UNKNOWN),
        ((Instance(name="b", state=RunState.SCHEDULED),), Match.UNKNOWN),
        ((one(RunState.EXITED, exit_code=0),), Match.FAILED),
        ((one(RunState.EXITED, exit_code=1, ends=True),), Match.FAILED),
        ((one(RunState.EXITED, ends=True),), Match.FAILED),
        ((one(RunState.EXITED, exit_code=0, ends=True),), Match.SAME),
        ((one(), one(RunState.EXITED, exit_code=0, ends=True)), Match.SAME),
        ((one(RunState.RUNNING, ends=True),), Match.WAITING),
        ((one(RunState.SCHEDULED),), Match.SAME),
    ],
)
def test_what_an_instance_does_decides_with_its_image(instances: tuple[Instance, ...], expected: Match) -> None:
    """Running, or ended as it should, is the same; nothing, waiting, failed and unknown are told apart."""
    assert compare(seen(*instances), NAMES) is expected


INSTANCES = st.builds(
    Instance,
    name=st.just("backend-1"),
    state=st.sampled_from(RunState),
    digests=st.frozensets(st.sampled_from([INDEX, MANIFEST, CONFIG, OTHER])),
    exit_code=st.sampled_from([None, 0, 1]),
    ends=st.booleans(),
)


@given(st.lists(INSTANCES, max_size=4))
def test_only_what_is_wanted_everywhere_is_the_same(instances: list[Instance]) -> None:
    """The same means: something is there, and each instance names one of the digests and runs, or ended with 0."""
    if compare(seen(*instances), NAMES) is Match.SAME:
        assert instances
        for instance in instances:
            assert instance.digests & NAMES
            assert instance.state in (RunState.RUNNING, RunState.SCHEDULED, RunState.EXITED)
            assert not instance.failed


@given(st.lists(INSTANCES, max_size=4), INSTANCES)
def test_one_more_instance_never_makes_another_image_the_right_one(instances: list[Instance], more: Instance) -> None:
    """What is known to be another image, or not to be known, stays so, whatever is seen besides."""
    if compare(seen(*instances), NAMES) is Match.OTHER:
        assert compare(seen(*instances, more), NAMES) is Match.OTHER
    if compare(seen(*instances), NAMES) is Match.UNKNOWN:
        assert compare(seen(*instances, more), NAMES) in (Match.UNKNOWN, Match.OTHER)


def test_the_state_of_a_service_is_that_of_its_worst_instance() -> None:
    """One instance that nobody knows of hides behind no other; a service without any is absent."""
    assert seen().state is RunState.ABSENT
    assert seen(one(), one(RunState.EXITED)).state is RunState.EXITED
    assert seen(one(RunState.UNKNOWN), one(RunState.EXITED)).state is RunState.UNKNOWN
    assert seen(one(), one()).state is RunState.RUNNING


def test_what_was_seen_can_be_written_down() -> None:
    """The document is JSON and has every instance with its digests in order."""
    document = describe(seen(one(RunState.RUNNING, OTHER, INDEX), one(RunState.EXITED, exit_code=3, detail="oom")))
    assert json.loads(json.dumps(document)) == document
    assert document["digests"] == sorted({OTHER, INDEX, MANIFEST})
    assert [item["exit-code"] for item in document["instances"]] == [None, 3]
    assert [item["digests"] for item in document["instances"]] == [sorted({OTHER, INDEX}), [MANIFEST]]
    assert document["state"] == "exited"


def test_drift_names_the_services_that_differ() -> None:
    """A service of another image drifted, and so did one that nobody saw."""
    observed = {"backend": seen(one(RunState.RUNNING, OTHER)), "frontend": seen(one())}
    assert drifted(observed, dict.fromkeys(("backend", "frontend", "worker"), NAMES)) == ("backend", "worker")
