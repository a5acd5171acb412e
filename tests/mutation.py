"""Mutation testing of the core: break one thing in a module, and see whether a test notices.

    python -m tests.mutation strictjson evaluate      # or none, for all of TRUSTED

Each mutant is one changed node of a module's syntax tree. A process that has imported the tests forks for each, puts
the changed code into the functions that are there, and runs the tests of that module until one fails. Texts for
people (messages, hints, docstrings) and annotations are not mutated. What survives is printed.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import os
import resource
import signal
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

CORE = Path(__file__).parents[1] / "attest" / "core"
TESTS = Path(__file__).parent / "core"
WORKERS = 2
SECONDS = 120
MEMORY = 2 * 1024**3
SLOW = "not no_valid_set and not sees_every_kind"
"""Which tests to leave out: they look at so many cases that each surviving mutant would take minutes."""
EVALUATION = [
    "evaluate_standing",
    "evaluate_supersession",
    "evaluate_binding",
    "evaluate_release",
    "evaluate_nearmiss",
    "evaluate_sets",
    "evaluate_identity",
]
TRUSTED: dict[str, list[str]] = {
    "strictjson": ["strictjson"],
    "reference": ["reference"],
    "oci": ["oci"],
    "envelope": ["envelope", "verify", "verify_identity"],
    "statement": ["statement"],
    "identity": ["identity"],
    "verify": ["verify", "verify_identity", "verify_hostile"],
    "policy": ["policy", "evaluate_release", "evaluate_binding", "evaluate_identity"],
    "evaluate": [*EVALUATION, "evaluate_properties"],
    "candidates": [*EVALUATION, "evaluate_properties"],
    "binding": [*EVALUATION, "evaluate_properties"],
}
"""The tests that have to notice, for each module."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A changed module. `function` is the qualified name of the function that changed, None for a constant."""

    line: int
    change: str
    function: str | None
    code: types.CodeType
    tables: types.CodeType
    """The module without its classes, which makes its constants anew."""


def mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of a module."""
    tree = ast.parse(path.read_text())
    for index, (node, function) in enumerate(_nodes(tree)):
        for number in range(len(list(_changes(node)))):
            changed = copy.deepcopy(tree)
            victim, _ = list(_nodes(changed))[index]
            before = ast.unparse(victim).partition("\n")[0]
            after = list(_changes(victim))[number]
            if after is not victim:
                _replace(changed, victim, after)
            ast.fix_missing_locations(changed)
            text = ast.unparse(after).partition("\n")[0]
            yield _mutant(path, changed, getattr(node, "lineno", 0), f"{before}  ->  {text}", function)


def _mutant(path: Path, tree: ast.Module, line: int, change: str, function: str | None) -> Mutant:
    code = compile(tree, str(path), "exec")
    without = ast.Module(body=[node for node in tree.body if not isinstance(node, ast.ClassDef)], type_ignores=[])
    tables = compile(without, str(path), "exec")
    return Mutant(line=line, change=change, function=function, code=code, tables=tables)


def _nodes(tree: ast.AST, function: str | None = None, scope: str = "") -> Iterator[tuple[ast.AST, str | None]]:
    """Every node that may be mutated, with the outermost function that it stands in."""
    for name, value in ast.iter_fields(tree):
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST) or _is_text(node, tree, name):
                continue
            if isinstance(node, ast.FunctionDef) and function is None:
                yield from _nodes(node, scope + node.name, "")
            elif isinstance(node, ast.ClassDef) and function is None:
                yield from _nodes(node, None, f"{scope}{node.name}.")
            else:
                if function is not None or (not scope and isinstance(tree, ast.Assign | ast.Call | ast.BinOp)):
                    yield node, function
                yield from _nodes(node, function, scope)


_NOT_BEHAVIOUR = ("annotation", "returns", "decorator_list", "bases", "defaults", "kw_defaults")


def _is_text(node: ast.AST, parent: ast.AST, field: str) -> bool:
    """What people read, and what no behaviour follows from."""
    if isinstance(node, ast.JoinedStr) or field in _NOT_BEHAVIOUR:
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True  # a docstring
    if isinstance(node, ast.keyword) and node.arg in ("message", "hint"):
        return True
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "message":
        return True
    if isinstance(parent, ast.Call) and field == "args" and isinstance(node, ast.Constant):
        called = parent.func
        if isinstance(called, ast.Name) and called.id.endswith(("Invalid", "Error")):
            return True
        if isinstance(called, ast.Attribute) and called.attr in ("encode", "decode"):
            return True  # the name of an encoding, of which many spellings are the same
    return isinstance(node, ast.Assert | ast.Import | ast.ImportFrom)


_COMPARE: dict[type[ast.cmpop], list[ast.cmpop]] = {
    ast.Eq: [ast.NotEq()],
    ast.NotEq: [ast.Eq()],
    ast.Lt: [ast.LtE(), ast.GtE()],
    ast.LtE: [ast.Lt(), ast.Gt()],
    ast.Gt: [ast.GtE(), ast.LtE()],
    ast.GtE: [ast.Gt(), ast.Lt()],
    ast.In: [ast.NotIn()],
    ast.NotIn: [ast.In()],
    ast.Is: [ast.IsNot()],
    ast.IsNot: [ast.Is()],
}
_BINARY: dict[type[ast.operator], ast.operator] = {
    ast.Add: ast.Sub(),
    ast.Sub: ast.Add(),
    ast.BitAnd: ast.BitOr(),
    ast.BitOr: ast.BitAnd(),
    ast.LShift: ast.RShift(),
}


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """What a node may become; the node itself, changed, or another one."""
    match node:
        case ast.Compare(ops=[operator]):
            for other in _COMPARE[type(operator)]:
                yield ast.Compare(left=node.left, ops=[other], comparators=node.comparators)
        case ast.BoolOp():
            yield ast.BoolOp(op=ast.And() if isinstance(node.op, ast.Or) else ast.Or(), values=node.values)
            for dropped in range(len(node.values)):
                values = node.values[:dropped] + node.values[dropped + 1 :]
                yield values[0] if len(values) == 1 else ast.BoolOp(op=node.op, values=values)
        case ast.UnaryOp(op=ast.Not()):
            yield node.operand
        case ast.BinOp() if type(node.op) in _BINARY:
            yield ast.BinOp(left=node.left, op=_BINARY[type(node.op)], right=node.right)
        case ast.If() | ast.IfExp():
            for value in (True, False):
                yield type(node)(test=ast.Constant(value), body=node.body, orelse=node.orelse)  # type: ignore[arg-type]
        case ast.comprehension(ifs=[_, *_]):
            yield ast.comprehension(target=node.target, iter=node.iter, ifs=[], is_async=0)
        case ast.Constant(value=bool()):
            yield ast.Constant(not node.value)
        case ast.Constant(value=int() as number):
            yield ast.Constant(number + 1)
        case ast.Constant(value=str() as text):
            yield ast.Constant(text + "~")
        case ast.Constant(value=bytes() as data):
            yield ast.Constant(data[:-1] if len(data) > 1 else data + b"~")
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(value=ast.Constant(None))
        case ast.Raise() | ast.AugAssign() | ast.Continue() | ast.Expr():
            yield ast.Pass()
        case _:
            pass


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if value is old:
                setattr(node, name, new)
            elif isinstance(value, list):
                for position, item in enumerate(value):
                    if item is old:
                        value[position] = new


def install(module: types.ModuleType, mutant: Mutant) -> None:
    """Puts the changed code where the unchanged is: callers keep the functions and classes that they imported."""
    if mutant.function is not None:
        target: Any = module
        for name in mutant.function.split("."):
            target = vars(target)[name]
        function = getattr(target, "fget", getattr(target, "__func__", target))
        function.__code__ = _code(mutant.code, mutant.function.split("."))
    fresh = {name: value for name, value in vars(module).items() if isinstance(value, type) or name.startswith("__")}
    exec(mutant.tables, fresh)  # constants, and tables of functions that others made
    for name, value in fresh.items():
        if name.startswith("_") and not name.startswith("__") and not isinstance(value, type | types.FunctionType):
            vars(module)[name] = value


def _code(code: types.CodeType, names: list[str]) -> types.CodeType:
    for name in names:
        code = next(part for part in code.co_consts if isinstance(part, types.CodeType) and part.co_name == name)
    return code


def start(module: types.ModuleType, mutant: Mutant, files: list[str]) -> int:
    """A process that runs the tests with the mutant in place; it ends with 0 if every one of them passes."""
    child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            signal.alarm(SECONDS)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            install(module, mutant)
            status = int(bool(_run(["-x", *files])))
        os._exit(status)
    return child


def surviving(module: types.ModuleType, wanted: Sequence[Mutant], files: list[str]) -> list[Mutant]:
    """The mutants with which every test passes; a crash and a test that does not end are failures."""
    alive: list[int] = []
    running: dict[int, int] = {}
    for place in range(len(wanted) + WORKERS):
        if running and (place >= len(wanted) or len(running) == WORKERS):
            child, status = os.wait()
            ended = running.pop(child)
            alive += [ended] if status == 0 else []
        if place < len(wanted):
            running[start(module, wanted[place], files)] = place
    return [wanted[place] for place in sorted(alive)]


_AGAIN = "ignore::pytest.PytestAssertRewriteWarning"
"""What pytest says when it runs again in the same process."""


def _run(arguments: list[str]) -> int:
    import pytest

    with contextlib.redirect_stdout(io.StringIO()):
        options = ["-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-m", "not fuzz", "-W", _AGAIN, "-k", SLOW]
        return int(pytest.main([*options, *arguments]))


def examine(name: str) -> tuple[int, list[Mutant]]:
    """How many mutants a module has, and those that survive.

    Raises:
        RuntimeError: the tests fail without any mutant, so that they would notice nothing.
    """
    from hypothesis import settings

    settings.register_profile("mutation", deadline=None, derandomize=True, database=None, max_examples=40)
    settings.load_profile("mutation")
    files = [str(TESTS / f"test_{file}.py") for file in TRUSTED[name]]
    module = import_module(f"attest.core.{name}")
    _run(["--collect-only", *files])  # imports the tests; nothing is computed that a child would find in a cache
    path = CORE / f"{name}.py"
    tree = ast.parse(path.read_text())
    functions = sorted({function for _, function in _nodes(tree) if function is not None})
    unchanged = [_mutant(path, tree, 0, "nothing", function) for function in (None, functions[-1])]
    if surviving(module, unchanged, files) != unchanged:
        raise RuntimeError(f"the tests of {name} fail without a mutant, so they would notice nothing")
    all_of_them = list(mutants(path))
    return len(all_of_them), surviving(module, all_of_them, files)


def main(names: list[str]) -> int:
    """Examines modules and says what survives; 1 where a score is below 95 %."""
    low = 0
    for name in names or TRUSTED:
        count, alive = examine(name)
        score = 100 * (count - len(alive)) / count
        print(f"{name}: {count - len(alive)} of {count} mutants noticed, {score:.1f} %", flush=True)
        for mutant in alive:
            print(f"  {name}.py:{mutant.line}: {mutant.change}", flush=True)
        low |= score < 95
    return low


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
