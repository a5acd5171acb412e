"""The benchmark's own arithmetic and output; what it measures is asserted by nobody."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench.__main__ as command
from attest.core.reference import RegistryImage, digest_of, parse_repository
from bench import content, loading, machine, processes, results, traffic
from bench.results import Row, Section
from bench.samples import Samples, interleave, ratio
from bench.stage import Absent, Stage
from tests.parts.delay import Exchange
from tests.parts.process import Command
from tests.parts.registry import Registry
from tests.project import ROOT
from tests.registry.pushing import Pushed, described

SECONDS = st.lists(st.floats(min_value=0.001, max_value=1000), min_size=1, max_size=20)


def samples(*values: float) -> Samples:
    """Samples of these values."""
    return Samples(values=values)


def row(met: bool | None) -> Row:
    """A row that is met, missed, or without a goal."""
    return Row(what="what", goal="goal", measured="measured", met=met)


def section(*rows: Row, trouble: str | None = None) -> Section:
    """A section with these rows."""
    return Section(name="name", title="title", rows=rows, trouble=trouble)


def python(code: str) -> Command:
    """A program that runs this code."""
    return Command(arguments=[sys.executable, "-I", "-c", code], environment={}, directory=ROOT)


def exchange(path: str, started: float, ended: float, *, status: int = 200) -> Exchange:
    """A request."""
    return Exchange(
        method="GET",
        path=path,
        authorization=None,
        status=status,
        received_bytes=0,
        sent_bytes=0,
        started=started,
        ended=ended,
    )


# ---- samples


def test_contestants_take_turns() -> None:
    """Each contestant warms up once, unmeasured; then they alternate, so that a slow moment meets all of them."""
    turns: list[str] = []

    def contestant(name: str) -> Callable[[], float]:
        def once() -> float:
            turns.append(name)
            return float(len(turns))

        return once

    first, second = interleave(3, contestant("A"), contestant("B"))
    assert "".join(turns) == "AB" + "ABABAB"
    assert first.values == (3.0, 5.0, 7.0)
    assert second.values == (4.0, 6.0, 8.0)


def test_a_ratio_is_of_the_medians_and_its_range_of_the_rounds() -> None:
    """One wild run changes the range of a ratio and not the ratio."""
    compared = ratio(samples(1, 2, 90), samples(4, 4, 4))
    assert (compared.median, compared.low, compared.high) == (0.5, 0.25, 22.5)


@given(SECONDS, st.floats(min_value=0.5, max_value=8))
def test_a_constant_ratio_is_found(values: list[float], factor: float) -> None:
    """What takes a constant multiple of the other has that ratio, in the middle and at both ends."""
    compared = ratio(Samples(values=tuple(value * factor for value in values)), Samples(values=tuple(values)))
    assert [compared.low, compared.median, compared.high] == pytest.approx([factor] * 3)


@pytest.mark.parametrize(("first", "second"), [((1.0, 2.0), (1.0,)), ((1.0,), (0.0,))])
def test_what_cannot_be_compared_is_refused(first: tuple[float, ...], second: tuple[float, ...]) -> None:
    """Another number of rounds, or something that takes no time, gives no ratio."""
    with pytest.raises(ValueError, match=r"argument|no time"):
        ratio(Samples(values=first), Samples(values=second))


# ---- rows


@pytest.mark.parametrize(("took", "met"), [(0.99, True), (1.0, True), (1.01, False)])
def test_a_bound_is_kept_or_missed(took: float, met: bool) -> None:
    """A row about a bound is met up to the bound and not beyond it."""
    made = results.at_most(
        "x", ratio(samples(took), samples(1.0)), 1.0, ("attest", samples(took)), ("cosign", samples(1.0))
    )
    assert made.met is met
    assert made.values["seconds"] == {"attest": (took,), "cosign": (1.0,)}


@pytest.mark.parametrize(
    ("values", "text"), [((0.0524, 0.05, 0.1), "52 ms (50-100)"), ((1.5, 1.25, 70.0), "1.50 s (1.25-70.00)")]
)
def test_times_are_in_the_unit_that_suits_them(values: tuple[float, ...], text: str) -> None:
    """A median below a second is told in milliseconds, with its range."""
    assert results.seconds(Samples(values=values)) == text


def test_the_table_shows_what_is_missed() -> None:
    """A goal that is met, one that is missed, one that does not exist and what could not be measured are told apart."""
    shown = list(results.lines(section(row(True), row(False), row(None), trouble="no cosign")))
    assert shown[0] == "name: title"
    assert [line.split()[-1] for line in shown[2:5]] == ["yes", "NO", "-"]
    assert shown[5:] == ["  NOT MEASURED: no cosign"]


@given(st.lists(st.integers(min_value=0, max_value=60), min_size=3, max_size=3))
def test_the_table_loses_no_word(counts: list[int]) -> None:
    """However long a cell is, every word of it stands in the table."""
    cells = [[f"word-{column}-{number}" for number in range(count)] for column, count in enumerate(counts)]
    what, goal, measured = (" ".join(words) for words in cells)
    shown = " ".join(results.lines(section(Row(what=what, goal=goal, measured=measured, met=None))))
    assert {word for words in cells for word in words} <= set(shown.split())


def test_a_document_gets_the_same_table() -> None:
    """The table for a document has one line for each row, with as many cells as its head, whatever stands in them."""
    shown = list(results.markdown(section(row(True), Row(what="a|b", goal="", measured="c", met=False), trouble="why")))
    assert [line.count("|") for line in shown[:4]] == [5, 5, 5, 5]
    assert [line.split("|")[-2].strip() for line in shown[2:4]] == ["yes", "NO"]
    assert shown[4:] == ["", "Not measured: why"]


def test_the_document_holds_everything() -> None:
    """The JSON form names its schema, the machine, and each row with whether it is met; null where nothing is asked."""
    whole = results.document({"cores": 2}, [section(row(False), row(None), trouble="why")], quick=True)
    (only,) = json.loads(json.dumps(whole))["benchmarks"]
    assert (whole["schema"], whole["machine"], whole["quick"]) == ("attest.bench/v1", {"cores": 2}, True)
    assert ([each["met"] for each in only["rows"]], only["trouble"]) == ([False, None], "why")


@pytest.mark.parametrize(
    ("sections", "in_ci", "code"),
    [
        ([section(row(True), row(None))], True, 0),
        ([section(row(True)), section(row(False))], False, 1),
        ([section(trouble="no cosign")], False, 0),
        ([section(trouble="no cosign")], True, 1),
    ],
)
def test_the_exit_code_says_whether_goals_are_met(sections: list[Section], in_ci: bool, code: int) -> None:
    """A missed goal is 1; what could not be measured is 1 in CI, and only said on a user's machine."""
    assert command.exit_code(sections, in_ci=in_ci) == code


def test_what_is_missing_ends_one_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a part is missing, the rows that were measured by then stay, and the reason is told."""

    def measure(_: Stage) -> Iterator[Row]:
        yield row(True)
        raise Absent("olareg is not here")

    monkeypatch.setattr(command, "BENCHMARKS", {"some": ("title", measure)})
    told: list[str] = []
    made = command.measured("some", Stage(tmp_path, quick=True), told.append)
    assert (made.rows, made.trouble) == ((row(True),), "olareg is not here")
    assert told == ["some: what: measured"]


def test_a_missing_program_is_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry or cosign that is not installed is reported by name, not skipped in silence."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("bench.stage.find", lambda _: None)
    stage = Stage(tmp_path, quick=True)
    with pytest.raises(Absent, match=r"^cosign is not here"):
        stage.cosign()
    with pytest.raises(Absent, match=r"^docker-registry is not here"):
        stage.registry("docker-registry-token")


def test_a_benchmark_that_does_not_exist_is_refused() -> None:
    """A misspelt name ends with 2 and names those that exist."""
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--only", "speed"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert all(name in done.stderr for name in command.BENCHMARKS)


# ---- the machine


def test_the_processor_is_named() -> None:
    """The model comes from the kernel, and without it there is still some name."""
    cpuinfo = "processor\t: 0\nmodel name\t: Fast One 3000\nprocessor\t: 1\nmodel name\t: Fast One 3000\n"
    assert machine.processor(cpuinfo) == "Fast One 3000"
    assert machine.processor("")


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("GitVersion:    v3.1.3\nGoVersion:     go1.26.8", "3.1.3"),
        ("docker-registry github.com/docker/distribution 2.8.2+ds1", "2.8.2"),
        ("gitea version 1.25.5 built with go1.26.8", "1.25.5"),
        ("VCSTag:     devel", None),
    ],
)
def test_versions_are_read_from_what_programs_print(printed: str, version: str | None) -> None:
    """The first version of what cosign, the registries and others print is theirs."""
    assert machine.version_in(printed) == version


# ---- processes


def test_a_process_is_measured_by_itself() -> None:
    """Time, memory and output are of the process, whatever memory the one that measures has."""
    ballast = b"x" * (256 * 1024 * 1024)
    small = processes.run(python("print('out')"))
    large = processes.run(python("import sys; x = b'x' * 64 * 1024 * 1024; print('err', file=sys.stderr)"))
    assert len(ballast) > 2 * large.peak_bytes
    assert (small.out, large.err) == ("out\n", "err\n")
    assert large.peak_bytes - small.peak_bytes > 32 * 1024 * 1024
    assert small.seconds > 0
    assert small.processor_seconds > 0


def test_a_process_that_fails_measures_nothing() -> None:
    """Another exit code than the expected one is an error that shows what was printed."""
    assert processes.run(python("raise SystemExit(1)"), code=1).seconds > 0
    with pytest.raises(processes.BenchError, match="did not end with 0:\nwhy"):
        processes.run(python("import sys; sys.exit('why')"))


def test_a_process_sees_its_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment of the benchmark reaches what it measures."""
    monkeypatch.setenv("ATTEST_BENCH_CANARY", "sings")
    assert "CANARY" not in processes.run(python("import os; print(dict(os.environ))")).out


# ---- what is counted


def test_requests_for_a_token_are_told_apart() -> None:
    """What was refused for lack of a token and the exchange for one count for themselves, in number and in depth."""
    runs = (
        exchange("/v2/", 0, 1, status=401),
        exchange("/v2/token?scope=repository:a:pull", 1, 2),
        exchange("/v2/a/manifests/latest", 2, 3),
        exchange("/v2/a/manifests/token", 2, 3),
        exchange("/v2/a/blobs/b", 3, 4),
    )
    seen = traffic.Traffic(runs=(runs,))
    assert (seen.requests, seen.for_tokens, seen.depth) == (3, 2, 2)


def test_the_worst_number_and_the_best_depth_count() -> None:
    """Noise makes requests look dependent and never makes them fewer: so the most requests, and the least depth."""
    parallel = (exchange("/a", 0, 1), exchange("/b", 0, 1))
    delayed = (*parallel, exchange("/c", 2, 3))
    seen = traffic.Traffic(runs=(delayed, parallel))
    assert (seen.requests, seen.depth) == (3, 1)


def test_loads_are_read_from_among_other_output() -> None:
    """What Python says about imports is found between what the command itself prints; time is summed by library."""
    printed = """\
import time: self [us] | cumulative | imported package
import time:       100 |        100 |   urllib3.util.url
error: something else
import time:        40 |         40 | ssl
import time:        30 |        170 | urllib3
"""
    loaded = loading.loads(printed)
    assert [load.module for load in loaded] == ["urllib3.util.url", "ssl", "urllib3"]
    assert list(loading.by_library(loaded).items()) == [("urllib3", 130), ("ssl", 40)]


def test_a_needless_library_is_a_missed_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that loads one slow library more than it needs does not meet its goal, and the row names it."""
    watched = python("import ssl, json")
    watched = Command(
        arguments=[sys.executable, "-X", "importtime", *watched.arguments[1:]], environment={}, directory=ROOT
    )
    monkeypatch.setattr(loading, "WATCHED", frozenset({"ssl", "urllib3"}))
    needless = loading.loading_row(loading.Scenario(name="x", command=watched, needs=frozenset({"urllib3"})))
    assert (needless.met, needless.values["needless"]) == (False, ["ssl"])
    assert needless.measured.startswith("LOADS ssl; ")
    assert loading.loading_row(loading.Scenario(name="x", command=watched, needs=frozenset({"ssl"}))).met


# ---- content


def test_five_types_are_five_types() -> None:
    """The two sets of five lanes are what their names say: five predicate types, or one of five signers."""
    assert len({lane.predicate_type for lane in content.FIVE_TYPES}) == 5
    assert len({lane.predicate_type for lane in content.FIVE_SIGNERS}) == 1
    assert len({lane.name for lane in content.FIVE_SIGNERS}) == 5


def test_an_image_is_named_behind_its_delay(tmp_path: Path) -> None:
    """The same repository and digest at the address of the delay."""
    image = RegistryImage(repository=parse_repository("127.0.0.1:5000/a/b"), digest=digest_of(b"x"))
    registry = Registry(name="r", host="127.0.0.1:5000", scheme="http", docker_config_dir=tmp_path)
    slow = Registry(name="r", host="127.0.0.1:6000", scheme="http", docker_config_dir=tmp_path)
    seen = content.seen_at(Pushed(image=image, descriptor=described(b"x")), registry, slow)
    assert str(seen) == f"127.0.0.1:6000/a/b@{image.digest}"
