"""What starting costs: the time of whole processes by command, and the libraries that each of them loads.

Starting Python is the limit beside which it is measured. What a command loads is read from `python -X importtime`
while it does its work, so that nothing that is loaded late or by another thread is overlooked.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from attest.cli.main import attest
from bench.content import FIVE_TYPES, bundle, layout_image, new_image, publish, result_lanes, write_policy
from bench.processes import run, timed
from bench.results import Row, seconds
from bench.samples import interleave, ratio
from bench.stage import COMMIT, DOCKER_REGISTRY, SOURCE, Stage
from tests.parts.process import Command, plain_environment
from tests.parts.registry import Registry

TITLE: Final = "starting: whole processes beside a bare Python, and what each command loads"

WATCHED: Final = frozenset(
    {"asyncio", "cel", "cryptography", "http", "jsonschema", "nacl", "oras", "pydantic", "requests", "rich"}
    | {"ruamel", "sigstore", "ssl", "urllib3"}
)
"""Top-level modules that take long to load; each command may load those that it needs."""

_HTTP: Final = frozenset({"http", "ssl", "urllib3"})
_PUSH: Final = _HTTP | {"jsonschema", "oras", "requests"}
"""oras loads jsonschema and requests itself."""
_POLICY: Final = frozenset({"cryptography", "pydantic", "ruamel"})
_KEYS: Final = frozenset({"cryptography"})

_PLAIN: Final = result_lanes(5)
_PLACE: Final = "registry.example.org/plex/app"

_LINE: Final = re.compile(r"^import time:\s+(\d+) \|\s+(\d+) \|( *)([\w.]+)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One line of `-X importtime`: what a module took without what it imported itself, in microseconds."""

    module: str
    own: int

    @property
    def top(self) -> str:
        """The library that it belongs to."""
        return self.module.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A command at its work, and which of the watched libraries it needs for that."""

    name: str
    command: Command
    needs: frozenset[str]


def loads(printed: str) -> tuple[Load, ...]:
    """What `-X importtime` printed, among all else on standard error."""
    found = (_LINE.match(line) for line in printed.splitlines())
    return tuple(Load(module=match[4], own=int(match[1])) for match in found if match)


def by_library(loaded: tuple[Load, ...]) -> Mapping[str, int]:
    """The microseconds of each top-level module, the longest first."""
    sums: dict[str, int] = {}
    for load in loaded:
        sums[load.top] = sums.get(load.top, 0) + load.own
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def measure(stage: Stage) -> Iterator[Row]:
    """The rows of this benchmark."""
    yield from _starts(stage)
    for scenario in _scenarios(stage):
        yield loading_row(scenario)


def _starts(stage: Stage) -> Iterator[Row]:
    work = stage.attest().directory
    bare = Command(arguments=[sys.executable, "-c", "pass"], environment=plain_environment(work), directory=work)
    names = attest.list_commands(click.Context(attest))
    commands = {
        "--version": stage.attest("--version"),
        **{f"{name} --help": stage.attest(name, "--help") for name in names},
    }
    contestants = [bare, *commands.values()]
    taken = interleave(stage.rounds, *(timed(one) for one in contestants))
    yield Row(
        what="python -c pass",
        goal="(the limit)",
        measured=seconds(taken[0]),
        met=None,
        values={"seconds": taken[0].values},
    )
    for name, samples in zip(commands, taken[1:], strict=True):
        compared = ratio(samples, taken[0])
        yield Row(
            what=f"attest {name}",
            goal="",
            measured=f"{seconds(samples)}, {compared.median:.1f} times a bare Python",
            met=None,
            values={"seconds": samples.values, "ratio": compared.median},
        )


def loading_row(scenario: Scenario) -> Row:
    """What a command loads while it does its work, and whether it needs all of it."""
    loaded = loads(run(scenario.command).err)
    libraries = by_library(loaded)
    found = WATCHED & libraries.keys()
    needless = found - scenario.needs
    longest = ", ".join(f"{name} {time / 1000:.0f}" for name, time in list(libraries.items())[:6])
    return Row(
        what=f"attest {scenario.name}",
        goal=f"loads of the slow ones only: {', '.join(sorted(scenario.needs)) or 'none'}",
        measured=(f"LOADS {', '.join(sorted(needless))}; " if needless else "")
        + f"{len(loaded)} modules in {sum(libraries.values()) / 1000:.0f} ms: {longest} ...",
        met=not needless,
        values={
            "modules": len(loaded),
            "microseconds": sum(libraries.values()),
            "by_library": libraries,
            "slow": sorted(found),
            "needless": sorted(needless),
        },
    )


def _scenarios(stage: Stage) -> Iterator[Scenario]:
    work = stage.folder / "loading"
    yield _scenario(stage, "--version", frozenset(), "--version")
    yield _scenario(stage, "completion bash", frozenset(), "completion", "bash")
    yield _scenario(stage, "keygen", _KEYS, "keygen", "loading", "--directory", work)
    yield from _in_a_layout(stage, work)
    yield from _in_a_registry(stage, work)


def _in_a_layout(stage: Stage, work: Path) -> Iterator[Scenario]:
    plain = str(layout_image(stage, work / "plain", [(lane, 0) for lane in _PLAIN]))
    typed = str(layout_image(stage, work / "typed", [(lane, 0) for lane in FIVE_TYPES]))
    policy = write_policy(stage, work / "plain.yaml", _PLAIN, [_PLACE])
    conditions = write_policy(stage, work / "typed.yaml", FIVE_TYPES, [_PLACE])
    there = ("--repository", _PLACE)
    yield _scenario(stage, "policy check", _POLICY, "policy", "check", policy)
    yield _scenario(stage, "policy check, with `where`", _POLICY | {"cel"}, "policy", "check", conditions)
    yield _scenario(stage, "resolve, OCI layout", frozenset(), "resolve", plain)
    yield _scenario(stage, "sign, OCI layout", _KEYS, "sign", plain, *_signing(stage))
    yield _scenario(stage, "inspect, OCI layout", _KEYS, "inspect", plain)
    yield _scenario(stage, "verify, OCI layout", _POLICY, "verify", plain, *there, "--policy", policy)
    needs = _POLICY | {"cel"}
    yield _scenario(stage, "verify, OCI layout, with `where`", needs, "verify", typed, *there, "--policy", conditions)


def _in_a_registry(stage: Stage, work: Path) -> Iterator[Scenario]:
    registry = stage.registry(DOCKER_REGISTRY)
    pushed = new_image(registry)
    publish(stage, registry, pushed, _PLAIN)
    image = str(pushed.image)
    policy = write_policy(stage, work / "registry.yaml", _PLAIN, [str(pushed.image.repository)])
    other = work / "bundle.json"
    other.write_bytes(bundle(stage, _PLAIN[0], pushed.image, pushed.image.repository, run=1))
    yield _scenario(stage, "resolve", _HTTP, "resolve", image, registry=registry)
    yield _scenario(stage, "inspect", _HTTP | _KEYS, "inspect", image, registry=registry)
    yield _scenario(stage, "verify", _HTTP | _POLICY, "verify", image, "--policy", policy, registry=registry)
    yield _scenario(stage, "sign", _PUSH | _KEYS, "sign", image, *_signing(stage), registry=registry)
    yield _scenario(stage, "attach", _PUSH, "attach", other, image, registry=registry)


def _signing(stage: Stage) -> tuple[str | Path, ...]:
    what = ("--lane", _PLAIN[0].name, "--key", stage.key(_PLAIN[0].name).private, "--result", "passed")
    return (*what, "--source-repository", SOURCE, "--source-commit", COMMIT)


def _scenario(
    stage: Stage, name: str, needs: frozenset[str], *arguments: str | Path, registry: Registry | None = None
) -> Scenario:
    watching = (sys.executable, "-X", "importtime")
    return Scenario(name=name, command=stage.attest(*arguments, registry=registry, before=watching), needs=needs)
