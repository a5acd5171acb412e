"""`where` expressions: what they may be, what holds, and that nothing that goes wrong ever does."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.adapters.conditions import FUNCTIONS, MACROS, METHODS, CelCondition, compile_condition
from attest.core import limits
from attest.core.conditions import ConditionInvalid
from attest.core.strictjson import loads

PREDICATE = {
    "one": 1,
    "point": 1.0,
    "text": "abc",
    "yes": True,
    "nothing": None,
    "list": [1, 2, 3],
    "empty": [],
    "map": {"x": {"y": 1}},
    "with-hyphen": 5,
    "largest": 2**63 - 1,
    "beyond": 2**63,
    "far": 10**19,
    "low": -(2**63) - 1,
    "findings": [{"level": "low", "tags": ["a"]}, {"level": "high", "tags": ["b", "c"]}],
    "time": "2026-01-01T00:00:00Z",
}
IMAGE = {"reference": "a.b/c@sha256:0", "name": "c", "digest": "sha256:0"}


def holds(text: str, predicate: Any = PREDICATE) -> bool:
    return compile_condition(text).holds(
        predicate=predicate, statement={"predicate": predicate}, image=IMAGE, certificate={}
    )


def refused(text: str) -> ConditionInvalid:
    with pytest.raises(ConditionInvalid) as caught:
        compile_condition(text)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "predicate.one == 1",
        "predicate.one == 1.0",
        "predicate.point == 1",
        "predicate['one'] == 1",
        "predicate['with-hyphen'] == 5",
        "predicate.one + 1 == 2 && predicate.one - 1 == 0 && predicate.one * 2 / 2 % 2 == 1",
        "-predicate.one < 0 && predicate.one <= 1 && predicate.one >= 1 && predicate.one > 0 && predicate.one != 2",
        "predicate.text == 'abc'",
        'predicate.text == "abc"',
        "predicate.text == r'abc'",
        "predicate.text in ['abc', 'def']",
        "predicate.text.startsWith('a') && predicate.text.endsWith('c') && predicate.text.contains('b')",
        "predicate.text.size() == 3 && size(predicate.text) == 3",
        "predicate.yes",
        "predicate.yes == true",
        "!(predicate.one == 2)",
        "predicate.nothing == null",
        "size(predicate.list) == 3 && size(predicate.empty) == 0",
        "predicate.list == [1, 2, 3]",
        "2 in predicate.list && !(4 in predicate.list)",
        "predicate.list[0] == 1",
        "'x' in predicate.map && !('y' in predicate.map)",
        "has(predicate.one) && !has(predicate.two) && has(predicate.map.x.y)",
        "predicate.list.all(item, item > 0)",
        "predicate.list.exists(item, item == 2)",
        "predicate.list.exists_one(item, item == 2)",
        "predicate.empty.all(item, false)",
        "predicate.map.all(key, key == 'x')",
        "predicate.findings.all(found, found.level != 'critical')",
        "predicate.findings.exists(found, found.tags.exists(tag, tag == 'c'))",
        "predicate.findings.all(found, found.level in ['low', 'high'])",
        "predicate.findings.exists(image_, image_.level == 'low') && image.name == 'c'",
        "['c', 'd'].exists(name, name == image.name)",
        "predicate.one == 1 ? predicate.yes : false",
        "predicate.one == 2 || predicate.yes",
        "predicate.absent == 1 || predicate.yes",
        "int('5') == 5 && uint(1) == 1u && double('1.5') == 1.5 && string(1) == '1'",
        "timestamp(predicate.time) < timestamp('2026-01-02T00:00:00Z')",
        "timestamp('2026-01-02T00:00:00Z') - timestamp(predicate.time) == duration('24h')",
        "predicate.largest == 9223372036854775807",
        "predicate.beyond > 9223372036854775807",
        "predicate.beyond == 9223372036854775808u",
        "predicate.far > 1 && predicate.low < 0",
        "statement.predicate.one == 1",
        "image.digest == 'sha256:0' && image.reference == 'a.b/c@sha256:0'",
        "predicate.one == 1 // a comment: predicate.two.map(x, y)",
        "predicate\n  .one\n  == 1",
        "'predicate.list.map(x, y)' != ''",
        "'it\\'s' != \"matches(\"",
    ],
)
def test_what_is_true_holds(text: str) -> None:
    """CEL means what it means elsewhere, for every kind of value that JSON has."""
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "predicate.one == 2",
        "predicate.one == '1'",
        "predicate.yes == 1",
        "false",
        # absent, or of another kind
        "predicate.absent == 1",
        "predicate.absent != 1",
        "!(predicate.absent == 1)",
        "predicate.absent",
        "!predicate.absent",
        "has(predicate.absent.deeper)",
        "!has(predicate.absent.deeper)",
        "predicate.one.deeper == 1",
        "predicate.nothing.deeper == null",
        "predicate.nothing > 0",
        "predicate.list[3] == 1",
        "predicate.list[-1] == 3",
        "predicate.one.all(item, true)",
        "predicate.absent.all(item, true)",
        "predicate.findings.all(found, found.absent == 1)",
        "predicate.text > 1",
        "predicate.text + 1 == 'abc1'",
        "size(predicate.one) == 1",
        "predicate.one.startsWith('1')",
        "predicate.yes ? predicate.absent : true",
        "predicate.yes && predicate.absent",
        # errors of arithmetic and conversion
        "predicate.largest + 1 > 0",
        "predicate.one / 0 == 1",
        "predicate.one % 0 == 1",
        "int('x') == 1",
        "int(predicate.far) == 1",
        "uint(-1) == 1u",
        "timestamp('yesterday') < timestamp(predicate.time)",
        "0.0 / 0.0 == 0.0 / 0.0",
        # true, but not True
        "predicate.one",
        "predicate.point",
        "predicate.text",
        "'true'",
        "1",
        "predicate.list",
        "[true]",
        "predicate.nothing",
        "null",
        "timestamp(predicate.time)",
    ],
)
def test_what_is_not_true_does_not_hold(text: str) -> None:
    """An absent field, an error, and a value that is no boolean are false, also under a negation."""
    assert not holds(text)


@pytest.mark.parametrize("predicate", [None, 1, "text", [], [1], True, {}, {"one": None}, {"one": {"one": 1}}])
def test_a_predicate_of_another_shape_does_not_hold(predicate: Any) -> None:
    """Whatever the predicate is, a condition about a field that it does not have is false."""
    assert not holds("predicate.one == 1", predicate)
    assert not holds("predicate.one != 1 && predicate.one != null", predicate) or predicate == {"one": {"one": 1}}


@pytest.mark.parametrize(
    ("text", "offset", "problem"),
    [
        ("", 0, "no CEL"),
        ("predicate.one = 1", 14, "no CEL"),
        ("predicate.one ==", 16, "no CEL"),
        ("predicate.one == 1; true", 18, "no CEL"),
        ("predicate.one\n == 'a", 18, "no CEL"),
        ("predicate.if == 1 && if", 21, "no CEL"),
        ("((((" * 600, None, "no CEL"),
        ("has(predicate)", 4, "no CEL"),
        ("predicate.list.all(1, true)", 19, "no CEL"),
        ("predicate.?one == 1", 9, "no CEL"),
        ("99999999999999999999 == 1", 0, "no CEL"),
        # variables
        ("production == 1", 0, "unknown variable production"),
        ("predicate.one == staging", 17, "unknown variable staging"),
        ("{one: 1}.one == 1", 1, "unknown variable one"),
        ("int == int", 0, "unknown variable int"),
        ("true || nobody", 8, "unknown variable nobody"),
        (".predicate.one == 1", None, "unknown variable .predicate"),
        ("predicate.list.all(x, x > 0) && x == 1", 32, "unknown variable x"),
        ("predicate.list.all(x, y > 0)", 22, "unknown variable y"),
        ("[x].all(x, x > 0)", 1, "unknown variable x"),
        ("predicate.list.all(predicate, predicate > 0)", 19, "predicate cannot be the name of an element"),
        ("predicate.list.all(image, image > 0)", 19, "image cannot be the name of an element"),
        ("predicate.list.all(certificate, certificate > 0)", 19, "certificate cannot be the name of an element"),
        # functions
        ("predicate.text.matches('^a')", 15, "no regular expressions"),
        ("matches(predicate.text, '^a')", 0, "no regular expressions"),
        ("predicate.list.map(x, x) == [1]", 15, "no map"),
        ("predicate.list.filter(x, x > 1) == [2, 3]", 15, "no filter"),
        ("predicate.list.all(x, x.map(y, y) == [])", 24, "no map"),
        ("predicate.text.lowerAscii() == 'abc'", 15, "unknown function lowerAscii"),
        ("max(1, 2) == 2", 0, "unknown function max"),
        ("type(predicate.one) == 1", 0, "unknown function type"),
        ("true || now() > 1", 8, "unknown function now"),
        ("contains(predicate.text, 'a')", 0, "unknown function contains"),
        ("predicate.one.int() == 1", 14, "unknown function int"),
        ("predicate.list.all(x)", 15, "all takes a name and a condition"),
        ("predicate.list.exists(x, y, true)", 15, "exists takes a name and a condition"),
        ("predicate.list.exists_one(x, y, true)", 15, "exists_one takes a name and a condition"),
        ("Message{one: 1} == 1", 0, "no messages"),
        ("a.b.Message{} == 1", None, ""),
        # more than linear
        ("predicate.list.all(x, x in predicate.list)", 27, "only x, image and certificate"),
        ("predicate.list.all(x, statement.one == x)", 22, "only x, image and certificate"),
        ("predicate.list.all(x, predicate.list.all(y, true))", 22, "only x, image and certificate"),
        ("predicate.list.all(x, x.all(y, y == x))", 36, "only y, image and certificate"),
        ("predicate.list.all(x, [1].all(y, x == 1))", 33, "only y, image and certificate"),
    ],
)
def test_what_a_policy_may_not_use_is_refused_when_it_is_loaded(text: str, offset: int | None, problem: str) -> None:
    """Not one day, when an attestation happens to reach that branch: at once, and with the character it is about."""
    error = refused(text)
    assert problem in error.problem
    if offset is not None:
        assert error.offset == offset


@pytest.mark.parametrize(
    ("text", "name"), [("predicate.text.matches('a')", "no regular expressions"), ("now() > 1", "unknown function now")]
)
def test_what_the_scan_would_miss_is_seen_in_the_list_of_the_library(
    text: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were the scan of names to read an expression otherwise than CEL does, CEL's own list of functions counts too."""
    monkeypatch.setattr("attest.adapters.conditions._Scan.check", lambda _: None)
    assert name in refused(text).problem


@pytest.mark.parametrize(
    "text",
    [
        *(f"{name}(1) == 1" for name in sorted(FUNCTIONS - {"has", "timestamp", "duration", "size"})),
        "has(predicate.one)",
        "timestamp(predicate.time) == timestamp(predicate.time)",
        "duration('1s') == duration('1s')",
        "size('a') == 1",
        "'a'.size() == 1",
        *(f"'a'.{name}('a')" for name in sorted(METHODS - {"size"})),
        *(f"[1].{name}(x, x == 1)" for name in sorted(MACROS)),
    ],
)
def test_everything_that_is_allowed_exists(text: str) -> None:
    """No function is allowed that the library does not have, which would be refused only when it is asked."""
    assert holds(text.replace("string(1) == 1", "string(1) == '1'"))


def test_only_the_variables_that_are_named_are_converted() -> None:
    """A large statement costs nothing where the expression is about the predicate."""
    condition = compile_condition("predicate.one == 1")
    unconvertible = object()
    assert condition.holds(predicate={"one": 1}, statement=unconvertible, image=unconvertible, certificate={})
    assert not condition.holds(predicate=unconvertible, statement={}, image={}, certificate={})


CERTIFICATE = {"issuer": "https://git.example.org", "identity": "e2e", "trigger": "push"}


@pytest.mark.parametrize(
    ("text", "of_identity", "of_key"),
    [
        ("certificate.trigger == 'push'", True, False),
        ("certificate.trigger in ['push', 'schedule']", True, False),
        ("certificate.trigger != 'schedule'", True, False),
        ("certificate.ref == 'refs/heads/main'", False, False),
        ("has(certificate.trigger)", True, False),
        ("!has(certificate.trigger) || certificate.trigger == 'push'", True, True),
        ("['push', 'x'].exists(one, one == certificate.trigger)", True, False),
        ("predicate.list.all(item, item > 0 && certificate.identity == 'e2e')", True, False),
        ("predicate.one == 1 || certificate.trigger == 'push'", True, True),
    ],
)
def test_a_condition_may_ask_the_certificate(text: str, of_identity: bool, of_key: bool) -> None:
    """What it says is compared, also for every element of a list; what it leaves out, and a key's, does not hold."""
    condition = compile_condition(text)
    for certificate, expected in ((CERTIFICATE, of_identity), ({}, of_key)):
        assert condition.holds(predicate=PREDICATE, statement={}, image=IMAGE, certificate=certificate) is expected


def test_image_may_be_looked_at_for_every_element() -> None:
    """Of an image there are three short values, so a macro may name it."""
    assert holds("predicate.names.exists(name, name == image.name)", {"names": ["a", "c"]})
    assert not holds("predicate.names.exists(name, name == image.name)", {"names": ["a", "b"]})


class _Panic(BaseException):
    """As pyo3's PanicException is: no Exception."""


class _Program:
    def __init__(self, outcome: Any) -> None:
        self._outcome = outcome

    def execute(self, _: Any) -> Any:
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome


def _made(outcome: Any) -> CelCondition:
    return CelCondition(text="x", program=_Program(outcome), variables=())


@pytest.mark.parametrize("outcome", [_Panic(), ValueError(), RecursionError(), MemoryError(), 1, "true", [True], None])
def test_every_failure_of_the_library_is_false(outcome: Any) -> None:
    """A panic, any exception, and any value but True do not hold."""
    assert not _made(outcome).holds(predicate={}, statement={}, image={}, certificate={})
    assert _made(True).holds(predicate={}, statement={}, image={}, certificate={})


@pytest.mark.parametrize("outcome", [KeyboardInterrupt(), SystemExit()])
def test_whoever_wants_to_stop_can(outcome: BaseException) -> None:
    """Ctrl-C while a condition is evaluated ends the program, and is not taken for false."""
    with pytest.raises(type(outcome)):
        _made(outcome).holds(predicate={}, statement={}, image={}, certificate={})


def test_the_deepest_and_largest_that_strict_json_lets_through_is_survived() -> None:
    """Values at the limits of depth, count and digits are converted without a crash."""
    depth = limits.JSON_DEPTH
    deepest = loads(b'{"a":' * depth + b"1" + b"}" * depth)
    assert holds("predicate" + ".a" * depth + " == 1", deepest)
    many = loads(b'{"list":[' + b",".join([b"[]"] * 50_000) + b"]}")
    assert holds("predicate.list.all(item, size(item) == 0)", many)
    assert holds("predicate.n == predicate.n", loads(b'{"n":' + b"9" * limits.JSON_DIGITS + b"}"))
    assert holds("predicate.text.size() == 1000000", {"text": "x" * 1_000_000})


@pytest.mark.parametrize(
    "text", ["!" * 4000 + "true", "1+" * 2000 + "1 > 0", "true&&" * 600 + "true", "predicate" + ".a" * 2000 + " == 1"]
)
def test_the_longest_expressions_are_survived(text: str) -> None:
    """Expressions as long and deep as a policy may have them are compiled and evaluated without a crash."""
    assert holds(text) is (".a.a" not in text)


_NAMES = st.sampled_from(["predicate", "image", "certificate", "x", "y", "foo", "size", "has"])


def _expressions() -> st.SearchStrategy[str]:
    leaf = st.builds("{}.a == 1".format, _NAMES) | _NAMES | st.sampled_from(["true", "'x'", "[1]", "1"])
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds("({} && {})".format, inner, inner),
            st.builds("{}.all({}, {})".format, inner, _NAMES, inner),
            st.builds("{}.exists({}, {})".format, inner, _NAMES, inner),
            st.builds("{{'k': {}, {}: 1}}".format, inner, inner),
            st.builds("[{}, {}]".format, inner, inner),
            st.builds("size({})".format, inner),
            st.builds("{} // x\n".format, inner),
            st.builds("has({}.z)".format, inner),
        ),
        max_leaves=6,
    )


@given(_expressions())
def test_what_loads_never_asks_for_a_name_that_is_not_there(text: str) -> None:
    """The scan of names agrees with the library: no expression that was accepted has an undefined name in any branch.

    `&&`, `||` and lists are evaluated with values that reach them all.
    """
    try:
        condition = compile_condition(text)
    except ConditionInvalid:
        return
    assert isinstance(condition, CelCondition)
    try:
        condition.program.execute({"predicate": {"a": 1}, "statement": {}, "image": {"a": 1}, "certificate": {"a": 1}})
    except RuntimeError as error:
        # of a function with values of another kind the library says the same as of one that is not there
        asked = re.search("Undefined variable or function: '([^']*)'", str(error))
        assert asked is None or asked[1] in FUNCTIONS
    except (KeyError, TypeError, IndexError, ValueError):
        pass


@given(st.text("ab.()[]{}'\"\\,=&|!?:/ \n0x<>-+rb#`", max_size=24))
def test_any_text_is_a_condition_or_refused(text: str) -> None:
    """No text leads to anything but a condition, or an error with a character of it."""
    error: ConditionInvalid | None = None
    try:
        compile_condition(text)
    except ConditionInvalid as caught:
        error = caught
    assert error is None or error.offset is None or 0 <= error.offset <= len(text)


def test_conditions_are_equal_by_their_text() -> None:
    """Two policies that say the same are equal."""
    assert compile_condition("predicate.a == 1") == compile_condition("predicate.a == 1")
    assert compile_condition("predicate.a == 1") != compile_condition("predicate.a == 2")


def test_the_library_is_loaded_when_it_is_needed_and_without_its_terminal() -> None:
    """Loading the adapter loads no CEL; compiling loads the compiled module alone, not the application around it."""
    program = """
import sys
from attest.adapters.conditions import compile_condition
assert not [name for name in sys.modules if name.startswith("cel")], "loaded too early"
condition = compile_condition("predicate.a == 1")
assert condition.holds(predicate={"a": 1}, statement=None, image=None, certificate={})
heavy = {"typer", "prompt_toolkit", "pygments", "rich"} & set(sys.modules)
assert not heavy, heavy
import cel
assert cel.compile is sys.modules["cel.cel"].compile
assert compile_condition("predicate.a == 1") == condition
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_package_is_taken_whole_where_its_module_is_not_found() -> None:
    """If the library one day keeps its compiled module elsewhere, it is imported as anybody would."""
    program = """
from attest.adapters import conditions
conditions._module = lambda: None
condition = conditions.compile_condition("predicate.a == 1")
assert condition.holds(predicate={"a": 1}, statement=None, image=None, certificate={})
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
