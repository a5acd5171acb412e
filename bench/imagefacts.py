"""The facts of a large image: time beside a bare uncompressing and hashing of the same bytes, and memory.

The image is made of real files, those of the Python that runs the benchmark, as often as it takes. Its secrets are
searched for, and all of its facts are printed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from bench.processes import run, timed
from bench.results import Row, at_most
from bench.samples import interleave, ratio
from bench.stage import Absent, Stage
from tests.layerstacks import LAYER, Written, describe_layout
from tests.parts.find import find
from tests.parts.process import Command, plain_environment

TITLE: Final = "facts of an image of 1 GB, secrets searched for, beside gzip and sha256sum on the same bytes"

_MIB: Final = 1024 * 1024
_SIZE: Final = 1024 * _MIB
_QUICK: Final = 48 * _MIB
_TIMES: Final = 5
_LEAST: Final = 16 * 1024
"""Bytes of the smallest file that is taken: with all of them there would be four times as many as an image has."""
_BOUND: Final = 2.0
_MEMORY: Final = 256 * _MIB


def measure(stage: Stage) -> Iterator[Row]:
    """Time, memory, and both of syft where it is here."""
    folder = stage.folder / "image-facts"
    archive = _archive(folder, _QUICK if stage.quick else _SIZE)
    blob = archive.with_suffix(".tar.gz")
    with blob.open("wb") as output:
        subprocess.run(["gzip", "-6", "-c", archive], stdout=output, check=True)
    once = _image(folder / "once", archive, blob, 1)
    environment = plain_environment(folder)
    facts = _facts(once, folder)
    bare = Command(
        arguments=["/bin/sh", "-c", 'gzip -dc "$0" | sha256sum', blob], environment=environment, directory=folder
    )
    taken, least = interleave(min(stage.rounds, 3), timed(facts), timed(bare))
    size = f"{archive.stat().st_size // _MIB} MiB"
    yield at_most(
        f"all facts of {size} in one layer of gzip",
        ratio(taken, least),
        _BOUND,
        ("attest", taken),
        ("gzip | sha256sum", least),
    )
    many = run(_facts(_image(folder / "many", archive, blob, _TIMES), folder))
    yield Row(
        what=f"memory for an image of {_TIMES} times {size}",
        goal=f"at most {_MEMORY // _MIB} MiB",
        measured=f"{many.peak_bytes / _MIB:.0f} MiB",
        met=many.peak_bytes <= _MEMORY,
        values={"peak_bytes": many.peak_bytes},
    )
    syft = find("syft")
    if syft is None:
        raise Absent("syft is not here, to be measured beside")
    scan = Command(
        arguments=[syft, "scan", f"oci-dir:{once.layout}", "--quiet", "--output", "json"],
        environment={**environment, "SYFT_CHECK_FOR_APP_UPDATE": "false"},
        directory=folder,
    )
    mine, theirs = interleave(min(stage.rounds, 3), timed(facts), timed(scan))
    yield at_most(f"beside syft, {size}", ratio(mine, theirs), None, ("attest", mine), ("syft", theirs))
    ours, peer = run(facts), run(scan)
    yield Row(
        what=f"memory beside syft, {size}",
        goal="attest / syft",
        measured=f"{ours.peak_bytes / _MIB:.0f} MiB / {peer.peak_bytes / _MIB:.0f} MiB",
        met=None,
        values={"attest": ours.peak_bytes, "syft": peer.peak_bytes},
    )


def _facts(image: Written, folder: Path) -> Command:
    root = Path(__file__).parents[1]
    return Command(
        arguments=[sys.executable, "-m", "bench.gather", image.reference],
        environment=plain_environment(folder, PYTHONPATH=str(root)),
        directory=root,
    )


def _archive(folder: Path, size: int) -> Path:
    """An archive of real files, of about so many bytes."""
    source = Path(sysconfig.get_paths()["stdlib"])
    tree = folder / "tree"
    tree.mkdir(parents=True)
    files = sorted(path for path in source.rglob("*") if path.is_file() and not path.is_symlink())
    files = [path for path in files if path.stat().st_size >= _LEAST]
    copied = number = 0
    while copied < size:
        for path in files:
            target = tree / str(number) / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
            copied += target.stat().st_size
            if copied >= size:
                break
        number += 1
    archive = folder / "layer.tar"
    subprocess.run(["tar", "-C", tree, "-cf", archive, "."], check=True)
    shutil.rmtree(tree)
    return archive


def _image(layout: Path, archive: Path, blob: Path, times: int) -> Written:
    """An image whose layers are this one, so many times over."""
    return describe_layout(layout, [(archive, blob)] * times, media_type=f"{LAYER}+gzip")
