"""`where` expressions in CEL, the Common Expression Language, by common-expression-language (docs/decisions/0002).

A policy may use less than CEL has. There are no regular expressions (an unanchored one is a substring match,
CVE-2026-25542), and whatever is allowed takes time in proportion to what was signed: `map` and `filter` build lists
in quadratic time, and so would a macro whose body went through `predicate` again for every element.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Final

from attest.core.conditions import ConditionInvalid
from attest.core.policy import Condition
from attest.core.strictjson import Json

_SMALL: Final = ("image", "certificate")
"""Variables of a bounded size, which may be looked at for every element of a list."""
VARIABLES: Final = ("predicate", "statement", "image", "certificate")

MACROS: Final = frozenset({"all", "exists", "exists_one"})
METHODS: Final = frozenset({"contains", "endsWith", "size", "startsWith"})
FUNCTIONS: Final = frozenset({"double", "duration", "has", "int", "size", "string", "timestamp", "uint"})
_OPERATORS: Final = frozenset(
    {"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_", "_&&_", "_||_", "!_", "-_", "_+_", "_-_", "_*_", "_/_", "_%_"}
    | {"_?_:_", "_[_]", "@in", "@not_strictly_false"}
)
_WORDS: Final = frozenset({"true", "false", "null", "in"})
_HINT: Final = f"there are {', '.join(sorted(FUNCTIONS | METHODS | MACROS))}, and the operators"

_TOKEN: Final = re.compile(
    r"""(?P<skip>\s+|//[^\n]*)
      | (?P<text>(?:[bB]?[rR]|[rR][bB])(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
               | [bB]?(?:\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      | (?P<number>(?:0x[0-9A-Fa-f]+|[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?)[uU]?)
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_PLACE: Final = re.compile(r"ERROR: <input>:([0-9]+):([0-9]+): (?:Syntax error: )?([^\n]*)")


def compile_condition(text: str) -> Condition:
    """The condition that a CEL expression stands for. CEL is loaded when this is called first.

    Raises:
        ConditionInvalid: it does not compile, names a variable that is not there, or calls what a policy may not use.
    """
    try:
        program = _cel().compile(text)
    except ValueError as error:  # what the library raises, in full, for every text that is no CEL
        raise _syntax_error(text, str(error)) from error
    for name in MACROS.intersection(
        program.functions()
    ):  # a macro that is called in another way is taken for a function
        raise _unknown_function(name, text.find(f".{name}") + 1)
    _Scan(text).check()
    # The library's own view of the same text: whatever the scan took for something else is found here.
    scanned = {match["word"] for match in _TOKEN.finditer(text) if match["word"]}
    for name in program.variables():
        if name not in scanned:
            raise ConditionInvalid(f"unknown variable {name}", hint=f"there are {', '.join(VARIABLES)}")
    for name in program.functions():
        if name not in _OPERATORS | FUNCTIONS | METHODS:
            raise _unknown_function(name, None)
    return CelCondition(
        text=text,
        program=program,
        variables=tuple(name for name in VARIABLES if name in program.variables()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CelCondition:
    """A compiled expression. Two are equal if their texts are."""

    text: str
    program: Any = field(repr=False, compare=False)
    variables: tuple[str, ...] = field(repr=False, compare=False)
    """The variables that it names: only they are converted for CEL."""

    def holds(self, *, predicate: Json, statement: Json, image: Json, certificate: Json) -> bool:
        """Whether it is true of these values, which come from `attest.core.strictjson`, so their depth is limited.

        Every failure is False, a panic of the library included; so is every value but True.
        """
        given = {"predicate": predicate, "statement": statement, "image": image, "certificate": certificate}
        try:
            value = self.program.execute({name: given[name] for name in self.variables})
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 - pyo3's PanicException is no Exception
            return False
        return value is True


def _cel() -> Any:
    """The library; only its compiled module, if that is where it was. It can be loaded only once in a process.

    The package around it imports a terminal application, which takes half a second and does nothing here.
    """
    module = sys.modules.get("cel.cel") or _module()
    if module is None:
        import cel

        return cel
    return module


def _module() -> ModuleType | None:
    from importlib.machinery import PathFinder
    from importlib.util import find_spec, module_from_spec

    package = find_spec("cel")
    spec = None if package is None else PathFinder.find_spec("cel.cel", package.submodule_search_locations)
    if spec is None or spec.loader is None:
        return None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules["cel.cel"] = module  # so that the package, if anybody imports it, takes this one
    return module


def _syntax_error(text: str, message: str) -> ConditionInvalid:
    found = _PLACE.search(message)
    if found is None:
        return ConditionInvalid("this is no CEL expression")
    line, column, problem = int(found[1]), int(found[2]), found[3].partition(" expecting ")[0]
    before = text.split("\n")[: line - 1]
    offset = sum(len(part) + 1 for part in before) + column - 1
    hint = "compare with ==, join with && and ||, put text in quotes"
    return ConditionInvalid(f"this is no CEL expression: {problem}", offset=min(offset, len(text)), hint=hint)


def _unknown_function(name: str, offset: int | None) -> ConditionInvalid:
    if name == "matches":
        problem = "a policy has no regular expressions; compare with == or with `in`"
        return ConditionInvalid(problem, offset=offset, hint="startsWith, endsWith and contains compare parts of text")
    if name in ("map", "filter"):
        problem = f"a policy has no {name}, whose time grows with the square of what was signed"
        return ConditionInvalid(
            problem, offset=offset, hint="all, exists and exists_one look at the elements of a list"
        )
    if name in MACROS:
        problem = f"{name} takes a name and a condition, as in predicate.list.{name}(item, item.ok == true)"
        return ConditionInvalid(problem, offset=offset)
    return ConditionInvalid(f"unknown function {name}", offset=offset, hint=_HINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Token:
    text: str
    offset: int
    is_word: bool


class _Scan:
    """Reads an expression that compiles, for the names in it and where each of them may stand."""

    def __init__(self, text: str) -> None:
        self._tokens = [
            _Token(text=match[0], offset=match.start(), is_word=match["word"] is not None)
            for match in _TOKEN.finditer(text)
            if match["skip"] is None
        ]
        self._locals: list[tuple[str, int]] = []
        """The variables of the macros around, each with the depth of brackets in which it lives."""

    def check(self) -> None:
        """Refuse what a policy may not name.

        Raises:
            ConditionInvalid: an unknown variable or function, or a macro that is more than linear.
        """
        depth = 0
        for position, token in enumerate(self._tokens):
            if token.text in ("(", "[", "{"):
                depth += 1
                name = self._macro_variable(position)
                if name is not None:
                    self._locals.append((name.text, depth))
            elif token.text in (")", "]", "}"):
                while self._locals and self._locals[-1][1] == depth:
                    self._locals.pop()
                depth -= 1
            elif token.is_word and token.text not in _WORDS:
                self._name(token, self._text(position - 1), self._text(position + 1))

    def _text(self, position: int) -> str:
        return self._tokens[position].text if 0 <= position < len(self._tokens) else ""

    def _macro_variable(self, bracket: int) -> _Token | None:
        """The variable of the macro whose bracket this is: `.all(NAME,`."""
        if self._text(bracket - 2) == "." and self._text(bracket - 1) in MACROS and self._text(bracket + 2) == ",":
            name = self._tokens[bracket + 1]
            if name.text in VARIABLES:
                raise ConditionInvalid(f"{name.text} cannot be the name of an element", offset=name.offset)
            return name
        return None

    def _name(self, token: _Token, before: str, after: str) -> None:
        if after == "(":
            allowed = METHODS | MACROS if before == "." else FUNCTIONS
            if token.text not in allowed:
                raise _unknown_function(token.text, token.offset)
        elif after == "{":
            raise ConditionInvalid("a policy makes no messages", offset=token.offset)
        elif before != ".":
            self._variable(token)

    def _variable(self, token: _Token) -> None:
        innermost = self._locals[-1][0] if self._locals else None
        if token.text in (innermost, *_SMALL):
            return
        if innermost is None:
            if token.text not in VARIABLES:
                hint = f"there are {', '.join(VARIABLES)}; text stands in quotes"
                raise ConditionInvalid(f"unknown variable {token.text}", offset=token.offset, hint=hint)
            return
        if token.text in VARIABLES or any(token.text == name for name, _ in self._locals):
            problem = f"for each element only {innermost}, image and certificate can be looked at, not {token.text}"
            hint = "so that a condition takes no longer than what was signed is long"
            raise ConditionInvalid(problem, offset=token.offset, hint=hint)
        hint = f"there are {innermost}, image and certificate here; text stands in quotes"
        raise ConditionInvalid(f"unknown variable {token.text}", offset=token.offset, hint=hint)
