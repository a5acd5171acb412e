"""JUnit XML: what each flavour says, what is counted, and what is refused.

The flavours whose tools are not on the Python and JavaScript indexes are recorded by hand: surefire's after the schema
that it publishes, GoogleTest's and PHPUnit's after their documentation. `tests/test_reports_real.py` has the others
from the tools themselves.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from attest.core import limits
from attest.core.lane.testreport import Format, Outcome
from attest.core.predicates import Result
from tests.reports import F, P, S, W, cases, outcomes, read, refused, result

SUREFIRE = """<?xml version="1.0" encoding="UTF-8"?>
<testsuite xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="3.0.2"
    xsi:noNamespaceSchemaLocation="https://maven.apache.org/surefire/maven-surefire-plugin/xsd/surefire-test-report.xsd"
    name="org.example.CartTest" time="0.108" tests="6" errors="1" skipped="1" failures="1" flakes="1">
  <properties><property name="java.version" value="21"/></properties>
  <testcase name="adds" classname="org.example.CartTest" time="0.01"/>
  <testcase name="removes" classname="org.example.CartTest" time="0.01">
    <failure message="expected: &lt;1&gt; but was: &lt;2&gt;" type="AssertionFailedError"><![CDATA[at ]]></failure>
    <rerunFailure message="again" type="x"><stackTrace>at</stackTrace><system-out>text</system-out></rerunFailure>
  </testcase>
  <testcase name="pays" classname="org.example.CartTest" ><error type="java.lang.NullPointerException"/></testcase>
  <testcase name="ships" classname="org.example.CartTest" time="0.01"><skipped message="later"/></testcase>
  <testcase name="counts" classname="org.example.CartTest" time="0.01">
    <flakyFailure message="first" type="x"><stackTrace>at</stackTrace></flakyFailure>
    <system-out>passed at last</system-out>
  </testcase>
  <testcase name="sums{int}[1]" classname="org.example.CartTest" time="0.01"><system-err/></testcase>
</testsuite>
"""

GOOGLETEST = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="3" failures="1" disabled="1" errors="0" time="0." name="AllTests">
  <testsuite name="Math" tests="3" failures="1" disabled="1" skipped="0" errors="0" time="0.">
    <testcase name="Adds" status="run" result="completed" time="0." classname="Math" />
    <testcase name="DISABLED_Later" status="notrun" result="suppressed" time="0." classname="Math" />
    <testcase name="Subtracts" status="run" result="completed" time="0." classname="Math">
      <failure message="m&#x0A;n" type=""><![CDATA[m]]></failure>
    </testcase>
  </testsuite>
</testsuites>
"""

PHPUNIT = """<?xml version="1.0"?>
<testsuites>
  <testsuite name="app" tests="3" assertions="4" errors="0" failures="1" skipped="0" time="0.01">
    <testsuite name="CartTest" file="CartTest.php" tests="3" assertions="4" errors="0" failures="1" skipped="0">
      <testcase name="testAdds" file="CartTest.php" line="9" class="CartTest" classname="CartTest" assertions="2"/>
      <testcase name="testPays" class="CartTest" classname="CartTest"><failure type="E">no</failure></testcase>
      <testcase name="testOld" class="CartTest" classname="CartTest"><warning type="W">old</warning></testcase>
    </testsuite>
  </testsuite>
</testsuites>
"""


def suite(body: str, attributes: str = "") -> str:
    """A document of one suite."""
    return f"<testsuites><testsuite {attributes}>{body}</testsuite></testsuites>"


def case(body: str = "", name: str = "t", attributes: str = "") -> str:
    """A test case of the class `c`."""
    return f'<testcase classname="c" name="{name}" {attributes}>{body}</testcase>'


def test_surefire() -> None:
    """Failures, errors, skipped and flaky tests of Maven's flavour, with the names that Maven uses."""
    assert outcomes(SUREFIRE) == {
        "org.example.CartTest.adds": P,
        "org.example.CartTest.removes": F,
        "org.example.CartTest.pays": F,
        "org.example.CartTest.ships": S,
        "org.example.CartTest.counts": W,
        "org.example.CartTest.sums{int}[1]": P,
    }
    assert read(SUREFIRE).format is Format.JUNIT


def test_googletest() -> None:
    """A test that only `status` says did not run is skipped, not passed."""
    assert outcomes(GOOGLETEST) == {"Math.Adds": P, "Math.DISABLED_Later": S, "Math.Subtracts": F}


def test_phpunit() -> None:
    """Suites in suites, whose totals count what is inside of them, and warnings."""
    assert outcomes(PHPUNIT) == {"CartTest.testAdds": P, "CartTest.testPays": F, "CartTest.testOld": W}


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("", P),
        ("<failure/>", F),
        ("<error/>", F),
        ("<skipped/>", S),
        ('<skipped type="pytest.xfail" message="known"/>', S),
        ('<failure message="[XPASS(strict)]"/>', F),
        ('<skipped type="todo"/><failure/>', S),
        ('<skipped type="todo"/><error/>', F),
        ("<skipped/><failure/>", F),
        ('<failure type="todo"/>', F),
        ('<skipped/><failure type="todo"/>', F),
        ("<skipped/><error/>", F),
        ("<flakyFailure/>", W),
        ("<flakyError/><flakyFailure/>", W),
        ("<flakyFailure/><failure/>", F),
        ("<flakyFailure/><skipped/>", S),
        ("<rerunFailure/>", F),
        ("<rerunError/><flakyFailure/>", F),
        ("<warning/>", W),
        (
            "<properties><property name='a' value='failure'/></properties><system-out>error</system-out><system-err/>",
            P,
        ),
    ],
)
def test_the_elements_of_a_case_decide(body: str, outcome: Outcome) -> None:
    """Each element means what its writers mean, the worst of several counts, and output means nothing."""
    assert cases(suite(case(body))) == [("c.t", outcome)]


@pytest.mark.parametrize(
    ("attributes", "outcome"),
    [
        ('status="run" result="completed"', P),
        ('status=""', P),
        ('status="Passed"', P),
        ('status="notrun"', S),
        ('status="disabled"', S),
        ('status="run" result="suppressed"', S),
        ('status="fail"', F),
        ('status="failed" result="skipped"', F),
        ('status="skipped" result="failed"', F),
        ('result="error"', F),
    ],
)
def test_a_status_counts(attributes: str, outcome: Outcome) -> None:
    """What GoogleTest and CTest say in attributes alone is not overlooked."""
    assert cases(suite(case(attributes=attributes))) == [("c.t", outcome)]


@pytest.mark.parametrize(
    ("document", "names"),
    [
        (suite('<testcase name="t"/>', 'name="s"'), ["s > t"]),
        (suite('<testcase name="t" classname=""/>'), ["t"]),
        (suite('<testcase name="t" classname=""/>', 'name="pytest"'), ["t"]),
        (suite('<testsuite name="in"><testcase name="t" classname="test"/></testsuite>', 'name="o"'), ["o > in > t"]),
        (suite('<testcase name=" t " classname="a.B"/>', 'name="s"'), ["a.B. t "]),
        ('<testsuites><testcase name="t" classname="test"/></testsuites>', ["t"]),
        ('<testsuite name="s"><testcase name="t"/></testsuite>', ["s > t"]),
        (suite(case(name="&lt;&#x1F600;&quot;&#x202E;&#10;")), ['c.<\U0001f600"\u202e\n']),
        (suite(case(name="[1]") * 2), ["c.[1]", "c.[1]"]),
    ],
)
def test_names_are_those_of_the_report(document: str, names: list[str]) -> None:
    """Class and name, or the suites where there is no class; nothing is stripped, escaped or made unique."""
    assert [name for name, _ in cases(document)] == names


@pytest.mark.parametrize(
    "totals",
    [
        'tests="2" failures="1" errors="0" skipped="1"',
        'tests="2" failures="1"',
        'failures="0" errors="1"',
        'tests="" failures=""',
        "",
    ],
)
def test_totals_that_agree(totals: str) -> None:
    """Totals are compared where they are given; whether a failure is an error is not theirs to say."""
    assert result(suite(case("<failure/>") + case("<skipped/>", name="u"), totals)) is Result.FAILED


@pytest.mark.parametrize(
    ("totals", "message"),
    [
        ('tests="3"', "says that it has 3 tests, and has 2"),
        ('tests="1"', "says that it has 1 tests, and has 2"),
        ('tests="0"', "says that it has 0 tests"),
        ('failures="1"', "says that 1 tests failed, and has 0"),
        ('errors="2" failures="0"', "says that 2 tests failed"),
        ('tests="two"', "is no natural number"),
        ('failures="-1"', "is no natural number"),
        ('tests="\uff12"', "is no natural number"),
    ],
)
def test_totals_that_contradict(totals: str, message: str) -> None:
    """A report whose totals say something else than its cases is an error, also on the outermost element."""
    body = case() + case(name="u")
    refused(suite(body, f'name="s" {totals}'), message)
    refused(f"<testsuites {totals}><testsuite>{body}</testsuite></testsuites>", message)


@pytest.mark.parametrize(("claimed", "agrees"), [(0, False), (1, False), (2, True), (3, True), (4, False)])
def test_totals_of_suites_in_suites(claimed: int, agrees: bool) -> None:
    """The outermost totals are of all suites inside: of the cases that failed, or of the elements that say so."""
    inner = suite(case("<failure/><failure/>") + case("<error/>", name="u"), "").replace("testsuites", "testsuite")
    document = f'<testsuites tests="2" failures="{claimed}"><testsuite>{inner}</testsuite></testsuites>'
    if agrees:
        assert outcomes(document) == {"c.t": F, "c.u": F}
    else:
        refused(document, f"says that {claimed} tests failed, and has 2")


def test_a_failure_that_totals_deny() -> None:
    """A report that counts no failure and has one is an error, not a pass and not a failure."""
    refused(suite(case("<failure/>"), 'tests="1" failures="0" errors="0"'), "says that 0 tests failed, and has 1")


def test_pytest_counts_phases() -> None:
    """pytest counts a test whose tear-down fails twice; nobody else may be so far off."""
    body = case("<error/>") + case(name="u")
    assert outcomes(suite(body, 'name="pytest" tests="3" errors="1"')) == {"c.t": F, "c.u": P}
    refused(suite(body, 'name="s" tests="4" errors="1"'), "has 4 tests")
    subtests = f'<testsuites name="pytest tests"><testsuite name="pytest" tests="9">{case()}</testsuite></testsuites>'
    assert outcomes(subtests) == {"c.t": P}
    refused(subtests.replace('tests="9"', 'tests="0"'), "has 0 tests")
    refused('<testsuites name="pytest tests"><testsuite name="pytest" tests="9"></testsuite></testsuites>', "9 tests")


@pytest.mark.parametrize("name", ["failure", "error"])
def test_a_failure_of_a_suite(name: str) -> None:
    """What stands in a suite and in no case is a problem that fails the report, and names the suite."""
    document = suite(f'<{name} message="no database">trace</{name}>' + case(), 'name="s"')
    assert read(document).problems == (f"{name} in 's': 'no database'",)
    assert result(document) is Result.FAILED
    assert read(f"<testsuites><error/>{case()}</testsuites>").problems == ("error in 'the whole run': ''",)
    for counted in (0, 1):  # whether it is among the totals, or stands beside them
        assert result(suite(f"<{name}/>" + case(), f'tests="1" failures="{counted}"')) is Result.FAILED
    refused(suite(f"<{name}/>" + case(), 'tests="1" failures="2"'), "says that 2 tests failed")
    quiet = suite("<properties/><system-out>no</system-out><system-err/>" + case())
    assert read(quiet).problems == ()


def test_a_report_without_cases_has_run_nothing() -> None:
    """Suites without cases, and cases that were all skipped, are FAILED: nothing was shown."""
    for document in ("<testsuites/>", suite(""), suite(case("<skipped/>"))):
        assert result(document) is Result.FAILED


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (case("<Failure/>"), "<Failure> in <testcase> is not known"),
        (case("<broken/>"), "<broken> in <testcase> is not known"),
        (case('<x:failure xmlns:x="urn:x"/>'), "<x:failure> in <testcase> is not known"),
        (case(case(name="in")), "<testcase> in <testcase> is not known"),
        (case("<system-out><failure/></system-out>"), "<failure> has no place in <system-out>"),
        (f"<properties>{case('<failure/>')}</properties>", "<testcase> has no place in <properties>"),
        ("<system-err><testsuite/></system-err>", "<testsuite> has no place in <system-err>"),
        ("<system-err><a><testsuites/></a></system-err>", "<testsuites> has no place in <a>"),
        ("<results/>", "<results> in <testsuite> is not known"),
        ("<testsuites/>", "<testsuites> in <testsuite> is not known"),
        (case(attributes='status="maybe"'), "the status 'maybe' of a test case is not known"),
        (case(attributes='result="?"'), "the result '?' of a test case is not known"),
        ("<testcase classname='c'/>", "a test case without a name"),
        ("<testcase name=' '/>", "a test case without a name"),
    ],
)
def test_what_is_not_known_is_refused(body: str, message: str) -> None:
    """An element, a status or a place that may hide a failure is an error, with its line."""
    assert refused(suite(body), message).line == 1


def test_the_place_of_an_error_is_named() -> None:
    """Line and column say where a report is wrong."""
    error = refused("<testsuites>\n <testsuite>\n  <testcase/>\n </testsuite>\n</testsuites>", "without a name")
    assert (error.line, error.column) == (3, 3)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many cases, or too long a name, are refused; at the limit they are read."""
    monkeypatch.setattr(limits, "REPORT_CASES", 3)
    assert len(cases(suite(case() * 3))) == 3
    refused(suite(case() * 4), "more than 3 cases")
    monkeypatch.setattr(limits, "TEST_NAME", 10)
    assert cases(suite(case(name="n" * 8))) == [("c." + "n" * 8, P)]
    refused(suite(case(name="n" * 9)), "has more than 10 characters")


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), min_size=1, max_size=30
).filter(str.strip)


@given(
    st.lists(
        st.lists(st.tuples(NAMES, NAMES.filter(lambda name: name != "test"), st.sampled_from([P, F, S])), max_size=5),
        max_size=4,
    )
)
def test_what_an_independent_writer_writes_is_read(suites: list[list[tuple[str, str, Outcome]]]) -> None:
    """Whatever cases junitparser writes, with totals that it counted, come back in order with name and outcome."""
    document = JUnitXml()
    for number, contents in enumerate(suites):
        written = TestSuite(f"suite {number}")
        for position, (of_class, name, outcome) in enumerate(contents):
            one = TestCase(name, of_class)
            if outcome is not P:
                one.result = [Skipped("later") if outcome is S else (Failure, Error)[position % 2]("no", "type")]
            written.add_testcase(one)
        document.add_testsuite(written)
    expected = [(f"{of_class}.{name}", outcome) for contents in suites for of_class, name, outcome in contents]
    content: bytes = document.tostring()  # type: ignore[no-untyped-call]
    assert cases(content) == expected
