"""How far a promotion is stands on a terminal, on standard error, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from attest.cli.progress import amount
from tests.cli.scene import REPOSITORY, Scene, policy_text
from tests.cli.terminal import Terminal
from tests.registry.faults import REPOSITORY as PATH
from tests.registry.faults import FaultyRegistry, Handler


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1_234_567, "1.2 MB"),
        (5_000_000_000, "5.0 GB"),
        (2 * 10**15, "2000.0 TB"),
    ],
)
def test_bytes_are_told_as_people_say_them(size: int, text: str) -> None:
    """A thousand of one unit is one of the next."""
    assert amount(size) == text


@pytest.fixture
def faulty_target() -> Iterator[FaultyRegistry]:
    """A registry to promote to."""
    with FaultyRegistry().running() as registry:
        yield registry


def arguments(scene: Scene, registry: FaultyRegistry) -> list[str]:
    """The promotion to a registry."""
    where = f"{registry.host}/{PATH}"
    scene.write_policy(policy_text(("unit", "e2e"), images=[REPOSITORY, where]))
    return ["promote", scene.image, "--repository", REPOSITORY, "--policy", "policy.yaml", "--to", where]


@pytest.mark.slow
def test_a_terminal_shows_how_far_it_is(passing: Scene, faulty_target: FaultyRegistry) -> None:
    """While a layer is on its way, what is done and how much of it is shown."""

    def slowly(handler: Handler) -> None:
        handler.pause(1.5)
        faulty_target.serve(handler, faulty_target.seen[-1].body)

    faulty_target.misbehave(slowly, "/uploads/", method="PUT", times=1)
    with Terminal(arguments(passing, faulty_target), cwd=passing.folder) as terminal:
        terminal.read_until(lambda shown: b"copying" in shown)
        assert b" of " in terminal.shown
        terminal.read_until(lambda shown: b"promoted" in shown)
        assert b"promoted" in terminal.shown


def test_elsewhere_nothing_is_shown(passing: Scene, faulty_target: FaultyRegistry) -> None:
    """Where nobody watches, standard error stays empty."""
    ended = passing.attest(*arguments(passing, faulty_target))
    assert (ended.code, ended.err) == (0, "")
