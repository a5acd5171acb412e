"""Reports that the real tools write here and now, each about a suite in which every kind of outcome occurs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from attest.adapters.reports import read_report
from attest.core.lane.testreport import Coverage, Empty, Format, Outcome, Report, judge
from attest.core.predicates import Result
from tests.parts import find
from tests.reports import F, P, S, W

PYTEST_SUITE = """
import pytest

@pytest.fixture
def tears_down_badly():
    yield
    raise RuntimeError("tear-down")

@pytest.fixture
def sets_up_badly():
    raise RuntimeError("set-up")

class TestCart:
    def test_adds(self):
        pass

    @pytest.mark.parametrize("value", ["\\x1b[31m", "<&>'\\"", "\\u202e"])
    def test_named(self, value):
        pass

def test_fails():
    print("a line\\x00of output")
    assert 0, "<failure/>"

def test_sets_up(sets_up_badly):
    pass

def test_tears_down(tears_down_badly):
    pass

def test_fails_and_tears_down(tears_down_badly):
    assert 0

def test_skips_and_tears_down(tears_down_badly):
    pytest.skip("later")

@pytest.mark.skip
def test_skipped():
    pass

@pytest.mark.xfail
def test_expected():
    assert 0

@pytest.mark.xfail
def test_unexpected():
    pass

@pytest.mark.xfail(strict=True)
def test_strict():
    pass

def test_subtests(subtests):
    for number in range(3):
        with subtests.test(number=number):
            assert number != 1
"""
PYTEST_OUTCOMES = {
    "TestCart.test_adds": P,
    "TestCart.test_named[\\x1b[31m]": P,
    "TestCart.test_named[<&>'\"]": P,
    "TestCart.test_named[\\u202e]": P,
    "test_fails": F,
    "test_sets_up": F,
    "test_tears_down": F,
    "test_fails_and_tears_down": F,
    "test_skipped": S,
    "test_expected": S,
    "test_unexpected": P,
    "test_strict": F,
    "test_subtests": F,
}
"""By the end of the name; what pytest says besides differs between its reports."""

NODE_SUITE = """
import {test, describe, it} from 'node:test';
import assert from 'node:assert';
describe('cart', () => { describe('with # things', () => { it('adds', () => {}); it('pays', () => assert(0)); }); });
test('top', () => {});
test('later', {skip: 'no time'}, () => {});
test('known', {todo: true}, () => assert(0));
test('parent', async (t) => { await t.test('child', () => {}); });
"""
NODE_OUTCOMES = {
    "cart > with # things > adds": P,
    "cart > with # things > pays": F,
    "top": P,
    "later": S,
    "known": S,
    "parent > child": P,
}

PLAYWRIGHT_SUITE = """
const {test, expect} = require('@playwright/test');
test('passes', () => {});
test.describe('cart', () => {
  test('fails', () => { expect(1).toBe(2); });
  test('is flaky', ({}, info) => { expect(info.retry).toBe(1); });
});
test.skip('skipped', () => {});
test.fixme('to be fixed', () => {});
test('skips itself', () => { test.skip(true, 'why'); });
test.fail('fails as expected', () => { expect(1).toBe(2); });
test.fail('passes unexpectedly', () => {});
"""
PLAYWRIGHT_CONFIG = """
module.exports = { testDir: '.', retries: 1, workers: 1, projects: [{name: 'desk'}, {name: 'phone'}], reporter: [
  ['json', {outputFile: 'report.json'}], ['junit', {outputFile: 'report.xml'}],
  ['junit', {outputFile: 'retries.xml', includeRetries: true}]] };
"""


def ran(arguments: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A program that ran in a folder, with as little of this environment as it needs."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        arguments, cwd=folder, env={**kept, **environment}, check=False, capture_output=True, text=True, timeout=300
    )


def pytest_in(folder: Path, *arguments: str) -> None:
    """Run pytest over what lies in a folder, without the plug-ins and settings of this project."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
        "-p",
        "no:cacheprovider",
    ]
    done = ran([*command, "-p", "no:cacheprovider", *arguments], folder)
    assert done.returncode in (0, 1, 2), done.stdout + done.stderr


def node() -> str:
    """The path of node, from version 20; without it, skip the test, or fail it in CI."""
    program = str(find.require("node"))
    version = ran([program, "--version"], Path("/")).stdout
    if int(version.lstrip("v").partition(".")[0]) < 20:
        find.lacking(f"node {version.strip()} is too old")
    return program


def read(path: Path) -> Report:
    """The report in a file."""
    return read_report(path.read_bytes(), file=path.name)


def outcomes(report: Report) -> dict[str, Outcome]:
    """The worst outcome of each name, as a verdict has it."""
    order = [S, P, W, F]
    found: dict[str, Outcome] = {}
    for case in report.cases or ():
        found[case.name] = max(found.get(case.name, S), case.outcome, key=order.index)
    return found


def result(report: Report) -> Result:
    """What follows from a report alone."""
    return judge([report], empty=Empty.REFUSED, min_coverage=None).result


@pytest.fixture(scope="module")
def pytest_reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what pytest wrote as JUnit XML and as CTRF."""
    folder = tmp_path_factory.mktemp("pytest")
    (folder / "test_shop.py").write_text(PYTEST_SUITE)
    pytest_in(folder, "--junitxml=junit.xml", "--ctrf=ctrf.json")
    return folder


@pytest.mark.slow
def test_junit_of_pytest(pytest_reports: Path) -> None:
    """Every outcome of pytest, with its phases, marks and subtests, and totals that count phases."""
    report = read(pytest_reports / "junit.xml")
    assert report.format is Format.JUNIT
    found = outcomes(report)
    expected = {
        f"test_shop.{name}": outcome for name, outcome in {**PYTEST_OUTCOMES, "test_skips_and_tears_down": F}.items()
    }
    assert found == expected
    assert result(report) is Result.FAILED


def test_ctrf_of_pytest(pytest_reports: Path) -> None:
    """The same run as CTRF says the same of the same tests."""
    report = read(pytest_reports / "ctrf.json")
    assert (report.format, (report.tool or "").split()[0]) == (Format.CTRF, "pytest")
    found = {name.removeprefix("test_shop.py::").replace("::", "."): one for name, one in outcomes(report).items()}
    assert {name: found[name] for name in PYTEST_OUTCOMES} == PYTEST_OUTCOMES
    assert result(report) is Result.FAILED


@pytest.mark.slow
@pytest.mark.parametrize("flag", [[], ["-o", "junit_family=legacy"], ["-o", "junit_logging=all"]])
def test_junit_of_pytest_without_failures(tmp_path: Path, flag: list[str]) -> None:
    """A good run passes in each of pytest's own variants of the format."""
    (tmp_path / "test_a.py").write_text("def test_a():\n    print('out')\n\ndef test_b():\n    pass\n")
    pytest_in(tmp_path, "--junitxml=junit.xml", *flag)
    assert result(read(tmp_path / "junit.xml")) is Result.PASSED


@pytest.mark.slow
def test_junit_of_pytest_without_tests(tmp_path: Path) -> None:
    """A run that collected nothing, and one whose only file cannot be imported, both fail."""
    (tmp_path / "test_a.py").write_text("")
    done = ran([sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--junitxml=none.xml"], tmp_path)
    assert done.returncode == 5
    assert result(read(tmp_path / "none.xml")) is Result.FAILED
    (tmp_path / "test_a.py").write_text("import no_such_module\n")
    pytest_in(tmp_path, "--junitxml=broken.xml")
    report = read(tmp_path / "broken.xml")
    assert outcomes(report) == {"test_a": F}
    assert result(report) is Result.FAILED


def test_sarif_of_ruff(tmp_path: Path) -> None:
    """Findings of ruff are failures with rule and line, a suppressed one is none, and a clean file passes."""
    (tmp_path / "a.py").write_text("import os\nimport sys  # noqa: F401\n")
    ran([sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F401,RUF100",
         "--output-format", "sarif", "--output-file", "found.sarif", "a.py"], tmp_path)  # fmt: skip
    report = read(tmp_path / "found.sarif")
    assert (report.format, (report.tool or "").split()[0]) == (Format.SARIF, "ruff")
    ((name, outcome),) = outcomes(report).items()
    assert (name.startswith("ruff > F401 > "), name.endswith("a.py:1"), outcome) == (True, True, F)
    (tmp_path / "a.py").write_text("")
    ran([sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache",
         "--output-format", "sarif", "--output-file", "clean.sarif", "a.py"], tmp_path)  # fmt: skip
    assert outcomes(read(tmp_path / "clean.sarif")) == {"ruff": P}
    assert result(read(tmp_path / "clean.sarif")) is Result.PASSED


@pytest.mark.slow
@pytest.mark.parametrize(("branch", "numbers"), [([], (4, 5)), (["--branch"], (5, 7))])
def test_reports_of_coverage_py(tmp_path: Path, branch: list[str], numbers: tuple[int, int]) -> None:
    """JSON and XML of one measurement say the same, which is what coverage.py itself says."""
    (tmp_path / "a.py").write_text("def f(x):\n    if x:\n        return 1\n    return 2\n\nf(1)\n")
    module = [sys.executable, "-m", "coverage"]
    for arguments in (["run", *branch, "a.py"], ["json"], ["xml"], ["report"]):
        done = ran([*module, *arguments], tmp_path, COVERAGE_RCFILE=os.devnull)
        assert done.returncode == 0, done.stderr
    as_json, as_xml = read(tmp_path / "coverage.json"), read(tmp_path / "coverage.xml")
    assert (as_json.format, as_xml.format) == (Format.COVERAGE_PY, Format.COBERTURA)
    assert as_json.coverage == as_xml.coverage == Coverage(covered=numbers[0], total=numbers[1])
    told = json.loads((tmp_path / "coverage.json").read_text())["totals"]["percent_covered"]
    assert 0 <= told - float(as_json.coverage.percent) < 0.01


@pytest.mark.parts
@pytest.mark.parametrize(("reporter", "format_"), [("tap", Format.TAP), ("junit", Format.JUNIT)])
def test_reports_of_node(tmp_path: Path, reporter: str, format_: Format) -> None:
    """node's TAP and JUnit XML of one run say the same of suites, subtests, skipped tests and those to be done."""
    (tmp_path / "a.test.mjs").write_text(NODE_SUITE)
    done = ran([node(), "--test", f"--test-reporter={reporter}", "a.test.mjs"], tmp_path)
    (tmp_path / "report").write_text(done.stdout)
    report = read(tmp_path / "report")
    assert report.format is format_
    assert outcomes(report) == NODE_OUTCOMES
    assert result(report) is Result.FAILED


@pytest.fixture(scope="module")
def playwright(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder from which the pinned Playwright runs; none of its tests asks for a browser."""
    program = find.require("playwright")
    node()
    folder = tmp_path_factory.mktemp("playwright")
    (folder / "node_modules").symlink_to(program.parents[1] / "node_modules")
    (folder / "playwright.config.js").write_text(PLAYWRIGHT_CONFIG)
    return folder


def playwright_in(folder: Path, suite: str) -> None:
    """Run Playwright over one file."""
    for old in ("report.json", "report.xml", "retries.xml"):
        (folder / old).unlink(missing_ok=True)
    (folder / "shop.spec.js").write_text(suite)
    program = shutil.which("playwright", path=str(folder / "node_modules" / ".bin"))
    assert program is not None
    ran([program, "test"], folder)


@pytest.mark.parts
@pytest.mark.xdist_group("playwright")
def test_reports_of_playwright(playwright: Path) -> None:
    """JSON and both forms of JUnit XML of one run: flaky is seen where it is told, an unexpected pass is a failure."""
    playwright_in(playwright, PLAYWRIGHT_SUITE)
    report = read(playwright / "report.json")
    assert (report.format, (report.tool or "").split()[0]) == (Format.PLAYWRIGHT, "Playwright")
    file = "shop.spec.js"
    expected = {
        f"{file} > passes": P,
        f"{file} > cart > fails": F,
        f"{file} > cart > is flaky": W,
        f"{file} > skipped": S,
        f"{file} > to be fixed": S,
        f"{file} > skips itself": S,
        f"{file} > fails as expected": S,
        f"{file} > passes unexpectedly": F,
    }
    assert outcomes(report) == {
        f"{name} [{project}]": outcome for name, outcome in expected.items() for project in ("desk", "phone")
    }
    for name, flaky in (("report.xml", P), ("retries.xml", W)):
        found = outcomes(read(playwright / name))
        assert found[f"{file}.passes"] is P
        assert found[f"{file}.cart › fails"] is F  # noqa: RUF001
        assert found[f"{file}.cart › is flaky"] is flaky  # noqa: RUF001
        assert found[f"{file}.skips itself"] is S
        assert found[f"{file}.passes unexpectedly"] is F
        assert result(read(playwright / name)) is Result.FAILED


@pytest.mark.parts
@pytest.mark.xdist_group("playwright")
def test_playwright_that_ran_nothing(playwright: Path) -> None:
    """A file that cannot be loaded is a problem of the JSON report, and no format of it passes."""
    playwright_in(playwright, "throw new Error('broken');")
    report = read(playwright / "report.json")
    assert report.problems[0].startswith("outside of any test: 'Error: broken")
    for name in ("report.json", "report.xml", "retries.xml"):
        assert result(read(playwright / name)) is Result.FAILED


@pytest.mark.parts
@pytest.mark.xdist_group("playwright")
def test_playwright_that_passed(playwright: Path) -> None:
    """A run in which everything passed passes in every format."""
    playwright_in(playwright, "require('@playwright/test').test('passes', () => {});")
    for name in ("report.json", "report.xml", "retries.xml"):
        assert result(read(playwright / name)) is Result.PASSED


def test_the_name_of_a_file_decides_nothing(pytest_reports: Path) -> None:
    """A report is what its content is, whatever it is called."""
    content = (pytest_reports / "ctrf.json").read_bytes()
    formats = {read_report(content, file=name).format for name in ("junit.xml", "a.sarif", "coverage.json", "-")}
    assert formats == {Format.CTRF}
