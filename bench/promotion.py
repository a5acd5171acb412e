"""A large image between two registries: memory that does not grow with it, and time beside tools that only copy.

The layers are no file anywhere: they are made while they are uploaded to the first registry. Each contestant copies
them into a repository of its own in the second one, which has none of them there and mounts nothing. attest verifies at
both ends besides, and tags; crane and skopeo do neither.
"""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from attest.core.reference import RegistryImage, parse_repository
from bench.content import publish, result_lanes, write_policy
from bench.processes import BenchError, Finished, run
from bench.results import Row, at_most
from bench.samples import Samples, ratio
from bench.stage import DOCKER_REGISTRY, Absent, Stage
from tests.layerstacks import LAYER
from tests.parts import docker_registry
from tests.parts.find import find
from tests.parts.process import Command, plain_environment
from tests.parts.registry import Registry
from tests.registry.pushing import Pushed, config, described, manifest_of, push_blob, push_manifest

TITLE: Final = "promotion of 5 GB between two docker-registries, beside `crane copy` and `skopeo copy`"

_MIB: Final = 1024 * 1024
_SIZE: Final = 5 * 1024 * _MIB
_QUICK: Final = 300 * _MIB
_LAYERS: Final = 5
_LESS: Final = 4
"""The other image is so many times smaller."""
_MEMORY: Final = 160 * _MIB
"""As in tests/e2e/test_promote_large.py."""
_GROWTH: Final = 1.15
_TIME: Final = 1.5
_ROUNDS: Final = 3
_LANES: Final = result_lanes(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where images come from, and where they go."""

    source: Registry
    target: Registry


def measure(stage: Stage) -> Iterator[Row]:
    """Memory for two sizes, and time and memory beside those who only copy."""
    crane, skopeo = (_program(name) for name in ("crane", "skopeo"))
    size = _QUICK if stage.quick else _SIZE
    source = stage.registry(DOCKER_REGISTRY)
    with docker_registry.plain(stage.folder / "promoted") as target:
        places = _Places(source=source, target=target)
        small, large = (_image(stage, source, each) for each in (size // _LESS, size))
        places_of = [f"{source.host}/*", f"{target.host}/*"]
        policy = write_policy(stage, stage.folder / "promotion.yaml", _LANES, places_of)
        contestants: Sequence[Callable[[], Command]] = [
            lambda: _attest(stage, places, large, policy),
            lambda: _crane(stage, places, large, crane),
            lambda: _skopeo(stage, places, large, skopeo),
        ]
        little = run(_attest(stage, places, small, policy))
        taken: Sequence[list[Finished]] = [[] for _ in contestants]
        for _ in range(1 if stage.quick else _ROUNDS):
            for finished, contestant in zip(taken, contestants, strict=True):
                finished.append(run(contestant()))
    yield from _rows(size, None if stage.quick else _TIME, little, *taken)


def _rows(size: int, bound: float | None, little: Finished, *taken: Sequence[Finished]) -> Iterator[Row]:
    names = ("attest", "crane", "skopeo")
    peaks = [max(one.peak_bytes for one in finished) for finished in taken]
    shown = ", ".join(f"{name} {peak / _MIB:.0f} MiB" for name, peak in zip(names, peaks, strict=True))
    yield Row(
        what=f"memory for {_amount(size)} in {_LAYERS} layers",
        goal=f"attest at most {_MEMORY // _MIB} MiB",
        measured=shown,
        met=peaks[0] <= _MEMORY,
        values={"peak_bytes": dict(zip(names, peaks, strict=True))},
    )
    growth = peaks[0] / little.peak_bytes
    yield Row(
        what=f"memory for {_amount(size)} beside {_amount(size // _LESS)}",
        goal=f"at most {_GROWTH:g} times as much",
        measured=f"{growth:.2f}: {peaks[0] / _MIB:.0f} MiB / {little.peak_bytes / _MIB:.0f} MiB",
        met=growth <= _GROWTH,
        values={"ratio": growth, "bound": _GROWTH, "peak_bytes": [peaks[0], little.peak_bytes]},
    )
    seconds = [Samples(values=tuple(one.seconds for one in finished)) for finished in taken]
    for name, beside, most in zip(names[1:], seconds[1:], (bound, None), strict=True):
        yield at_most(
            f"time for {_amount(size)}, beside {name}",
            ratio(seconds[0], beside),
            most,
            ("attest", seconds[0]),
            (name, beside),
        )


def _amount(size: int) -> str:
    return f"{size / 1024 / _MIB:g} GiB" if size >= 1024 * _MIB else f"{size // _MIB} MiB"


def _program(name: str) -> Path:
    found = find(name)
    if found is None:
        raise Absent(f"{name} is not here, to be measured beside; .ci/parts --install brings it")
    return found


# ---- the image


def _image(stage: Stage, registry: Registry, size: int) -> Pushed:
    """An image of so many bytes with two lanes, in a repository of its own."""
    repository = registry.fresh_repository()
    layers = [_layer(registry, repository, size // _LAYERS // _MIB, number) for number in range(_LAYERS)]
    configuration = config()
    push_blob(registry, repository, configuration)
    manifest = manifest_of(configuration, layers=layers)
    digest = push_manifest(registry, repository, manifest)
    image = RegistryImage(repository=parse_repository(repository), digest=digest)
    pushed = Pushed(image=image, descriptor=described(manifest))
    publish(stage, registry, pushed, _LANES)
    return pushed


def _pieces(count: int, number: int) -> Iterator[bytes]:
    """So many MiB, no two of them alike, that nothing can shorten much: each is a hash, drawn out."""
    for place in range(count):
        seed = hashlib.sha512(f"{number} {place} {count}".encode()).digest()
        yield hashlib.shake_128(seed).digest(64 * 1024) * (_MIB // 64 // 1024)


def _layer(registry: Registry, repository: str, count: int, number: int) -> dict[str, object]:
    """Upload a layer in one request, as it is made."""
    hasher = hashlib.sha256()
    for piece in _pieces(count, number):
        hasher.update(piece)
    digest, size = f"sha256:{hasher.hexdigest()}", count * _MIB
    path = repository.removeprefix(f"{registry.host}/")
    begun = urlsplit(registry.ask("POST", f"/v2/{path}/blobs/uploads/").headers["location"])
    connection = http.client.HTTPConnection(registry.host, timeout=600)
    url = f"{begun.path}?{begun.query}&digest={digest}"
    connection.request("PUT", url, body=_pieces(count, number), headers={"Content-Length": str(size)})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != http.client.CREATED:
        raise BenchError(f"{registry.name} did not take a layer of {_amount(size)}: {answer.status}")
    return {"mediaType": LAYER, "digest": digest, "size": size}


# ---- the contestants


def _attest(stage: Stage, places: _Places, pushed: Pushed, policy: Path) -> Command:
    to = places.target.fresh_repository()
    return stage.attest("promote", str(pushed.image), "--policy", policy, "--to", to, registry=places.source)


def _crane(stage: Stage, places: _Places, pushed: Pushed, program: Path) -> Command:
    to = f"{places.target.fresh_repository()}:copy"
    return _command(stage, places, program, "copy", str(pushed.image), to)


def _skopeo(stage: Stage, places: _Places, pushed: Pushed, program: Path) -> Command:
    plain = ("--src-tls-verify=false", "--dest-tls-verify=false")
    what = (f"docker://{pushed.image}", f"docker://{places.target.fresh_repository()}:copy")
    return _command(stage, places, program, "copy", "--quiet", "--preserve-digests", *plain, *what)


def _command(stage: Stage, places: _Places, program: Path, *arguments: str) -> Command:
    folder = stage.folder / "work"
    folder.mkdir(exist_ok=True)
    environment = plain_environment(folder, DOCKER_CONFIG=str(places.source.docker_config_dir), TMPDIR=str(folder))
    return Command(arguments=[program, *arguments], environment=environment, directory=folder)
