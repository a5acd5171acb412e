"""The import rules of the project, as a function from sources to what breaks them.

The layers, from the inside out; each may import what stands before it and what `_LAYERS` names, nothing else:

    errors    the standard library alone
    core      errors, cryptography, pydantic, and the modules of `PURE`: no files, sockets, clock, randomness
    ports     core, errors; `attest.ports`, and a file of its own for a larger subject (`attest.ledgerports`)
    adapters  ports, core, errors; the libraries that `ADAPTER_LIBRARIES` gives to each; never another adapter
    ops       ports, core, errors; no I/O of its own
    cli       all of them, commands by name too; nobody but `attest.__main__` imports it
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

# fmt: off
PURE: Final = frozenset({
    "__future__", "abc", "base64", "binascii", "bisect", "collections", "collections.abc", "contextlib", "copy",
    "dataclasses", "datetime", "decimal", "difflib", "enum", "functools", "hashlib", "heapq", "hmac", "ipaddress",
    "itertools", "json", "json.decoder", "math", "operator", "re", "string", "struct", "textwrap", "types",
    "typing", "unicodedata", "urllib.parse",
})
# fmt: on
"""Modules of the standard library that compute and do nothing else."""

_CONCURRENT: Final = frozenset({"concurrent.futures", "contextvars", "queue", "threading"})
_EVERYTHING: Final = frozenset({"*"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """What the modules of a layer may import and do."""

    layers: frozenset[str]
    """Layers of this project."""
    standard: frozenset[str]
    """Modules of the standard library, by their full names; `*` is all of them."""
    libraries: frozenset[str]
    """Top-level names of other distributions."""
    pure: bool
    """No call that reads a clock, writes or asks."""


_LAYERS: Final[Mapping[str, Layer]] = {
    "errors": Layer(layers=frozenset(), standard=_EVERYTHING, libraries=frozenset(), pure=True),
    "core": Layer(
        layers=frozenset({"errors", "core"}),
        standard=PURE,
        libraries=frozenset({"cryptography", "pydantic", "pydantic_core"}),
        pure=True,
    ),
    "ports": Layer(layers=frozenset({"errors", "core", "ports"}), standard=PURE, libraries=frozenset(), pure=True),
    "adapters": Layer(
        layers=frozenset({"errors", "core", "ports"}), standard=_EVERYTHING, libraries=frozenset(), pure=False
    ),
    "ops": Layer(
        layers=frozenset({"errors", "core", "ports", "ops", "__version__"}),
        standard=PURE | _CONCURRENT,
        libraries=frozenset(),
        pure=True,
    ),
    "cli": Layer(
        layers=frozenset({"errors", "core", "ports", "adapters", "ops", "cli", "__version__"}),
        standard=_EVERYTHING,
        libraries=frozenset({"click", "rich"}),
        pure=False,
    ),
    "__main__": Layer(layers=frozenset({"errors", "cli"}), standard=_EVERYTHING, libraries=frozenset(), pure=False),
    # The public API: what a program that imports attest may rely on.
    "attest": Layer(
        layers=frozenset({"errors", "core", "ports", "ops"}), standard=PURE, libraries=frozenset(), pure=True
    ),
}

ADAPTER_LIBRARIES: Final[Mapping[str, frozenset[str]]] = {
    "archives": frozenset({"re2", "zstandard"}),
    "clock": frozenset(),
    "cloudevents": frozenset({"urllib3"}),
    "compose": frozenset({"ruamel"}),
    "conditions": frozenset({"cel"}),
    "containers": frozenset(),
    "context": frozenset(),
    "deadline": frozenset(),
    "documents": frozenset({"ruamel"}),
    "files": frozenset(),
    "folder": frozenset(),
    "fresh": frozenset(),
    "hook": frozenset(),
    "junitxml": frozenset({"junitparser"}),
    "keys": frozenset({"cryptography", "nacl"}),
    "kubernetes": frozenset({"ruamel"}),
    "layout": frozenset(),
    "ledger": frozenset({"psycopg", "sqlalchemy"}),
    "links": frozenset({"in_toto"}),
    "owncode": frozenset(),
    "page": frozenset({"jinja2"}),
    "probes": frozenset(),
    "process": frozenset(),
    "programs": frozenset(),
    "prometheus": frozenset({"prometheus_client"}),
    "registry": frozenset({"oras", "requests", "typing_extensions", "urllib3"}),
    "reports": frozenset({"defusedxml"}),
    "sigstore": frozenset({"cryptography", "requests", "rfc3161_client", "sigstore", "sigstore_models", "tuf"}),
    "spans": frozenset({"opentelemetry"}),
    "state": frozenset(),
    "templates": frozenset({"jinja2"}),
}
"""The libraries that each adapter is there for. A new adapter gets a line here."""

SHARED_BY_ADAPTERS: Final = frozenset({"containers", "deadline", "files", "programs"})
"""What every adapter may import although it is one: it needs no library and no other adapter."""

HEAVY: Final = frozenset(
    {"cel", "id", "in_toto", "jinja2", "jsonschema", "junitparser", "nacl", "oras"}
    | {"opentelemetry", "prometheus_client", "psycopg", "requests"}
    | {"rfc3161_client", "rich", "re2", "sigstore", "sigstore_models", "sqlalchemy", "tuf", "zstandard"}
)
"""Libraries that take long to load: imported inside the function that uses them."""

HEAVY_HOMES: Final[Mapping[str, frozenset[str]]] = {
    "attest.adapters.ledger.database": frozenset({"sqlalchemy"}),
    "attest.adapters.ledger.leases": frozenset({"sqlalchemy"}),
    "attest.adapters.ledger.sqlledger": frozenset({"sqlalchemy"}),
    "attest.adapters.registry.oras_push": frozenset({"oras", "requests"}),
    "attest.adapters.registry.publishing": frozenset(),
    "attest.adapters.sigstore.clients": frozenset({"sigstore"}),
    "attest.adapters.sigstore.configuration": frozenset(),
    "attest.adapters.sigstore.exchange": frozenset({"requests"}),
    "attest.adapters.sigstore.signing": frozenset({"sigstore", "sigstore_models"}),
    "attest.adapters.sigstore.tuffetcher": frozenset({"tuf"}),
    "attest.adapters.sigstore.witness": frozenset({"sigstore", "sigstore_models"}),
}
"""Modules that are themselves imported only where they are used: they may load these libraries, and each other."""

_FORBIDDEN_CALLS: Final = frozenset({"breakpoint", "compile", "eval", "exec", "input", "open", "print"})
_CLOCK: Final = frozenset({"now", "today", "utcnow"})
_NAMESPACES: Final = frozenset({"concurrent", "importlib", "urllib"})
"""Packages whose members are modules worth telling apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One import: of which module, in which line, and whether it happens when the importing module loads."""

    module: str
    line: int
    at_load: bool


def violations(sources: Mapping[str, str], *, known: frozenset[str] = frozenset()) -> list[str]:
    """Every breach of the import rules in `sources` (dotted module name to text), each with module and line.

    `known` names modules that exist besides, so that `from package import module` is understood.
    """
    known = known | set(sources)
    found: list[str] = []
    for module, source in sources.items():
        tree = ast.parse(source)
        for line, message in sorted({*_of_imports(module, tree, known), *_of_calls(module, tree)}):
            found.append(f"{module}:{line}: {message}")
    return found


def imports(module: str, tree: ast.AST, known: frozenset[str]) -> Iterator[Imported]:
    """Every import of a module, also those that only the type checker or a function's caller triggers."""
    deferred = _deferred(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = _members(node, module, known)
        else:
            continue
        for name in names:
            yield Imported(module=name, line=node.lineno, at_load=node not in deferred)


def _members(node: ast.ImportFrom, module: str, known: frozenset[str]) -> list[str]:
    source = node.module or ""
    if node.level:
        package = module if any(name.startswith(f"{module}.") for name in known) else module.rpartition(".")[0]
        for _ in range(node.level - 1):
            package = package.rpartition(".")[0]
        source = f"{package}.{source}" if source else package
    full = [f"{source}.{alias.name}" for alias in node.names]
    return [name if name in {*known, "attest.__version__"} or source in _NAMESPACES else source for name in full]


def _deferred(tree: ast.AST) -> frozenset[ast.AST]:
    """The nodes that do not run when the module loads: bodies of functions, and `if TYPE_CHECKING:`."""
    inside: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside.update(ast.walk(node))
        elif isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            for statement in node.body:
                inside.update(ast.walk(statement))
    return frozenset(inside)


def layer_of(module: str) -> str:
    """The layer of a module of this project: `attest.core.oci` is of `core`, `attest` itself of `attest`.

    Ports have a file for each subject: `attest.ledgerports` is of `ports`.
    """
    parts = module.split(".")
    name = parts[1] if len(parts) > 1 else parts[0]
    return "ports" if len(parts) == 2 and name.endswith("ports") else name


def adapter_of(module: str) -> str | None:
    """The adapter that a module belongs to: `attest.adapters.registry.client` is of `registry`."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 and parts[1] == "adapters" else None


def _of_imports(module: str, tree: ast.AST, known: frozenset[str]) -> Iterator[tuple[int, str]]:
    name = layer_of(module)
    layer = _LAYERS.get(name)
    if layer is None:
        yield 1, f"{name} is no layer"
        return
    for imported in imports(module, tree, known):
        top = imported.module.partition(".")[0]
        if top == "attest":
            message = _inside(module, layer, imported)
        elif top in sys.stdlib_module_names:
            message = _standard(module, layer, imported)
        else:
            message = _library(module, layer, imported)
        if message:
            yield imported.line, message


def _inside(module: str, layer: Layer, imported: Imported) -> str | None:
    target = layer_of(imported.module)
    mine, theirs = adapter_of(module), adapter_of(imported.module)
    if mine is not None and target == "adapters":
        if theirs == mine or (theirs in SHARED_BY_ADAPTERS and mine not in SHARED_BY_ADAPTERS):
            return _eager(module, imported)
        return f"adapter {mine} imports adapter {theirs or 'package'}"
    if target not in layer.layers:
        return f"{layer_of(module)} imports {imported.module}"
    return _eager(module, imported)


def _eager(module: str, imported: Imported) -> str | None:
    if imported.at_load and imported.module in HEAVY_HOMES and module not in HEAVY_HOMES:
        return f"loads {imported.module} at start; import it where it is used"
    return None


def _standard(module: str, layer: Layer, imported: Imported) -> str | None:
    if imported.module in {"importlib", "importlib.import_module"} and layer_of(module) != "cli":
        return "imports by name, which no rule can read"
    if "*" in layer.standard or imported.module in layer.standard:
        return None
    return f"imports {imported.module}, which is not on the list of its layer"


def _library(module: str, layer: Layer, imported: Imported) -> str | None:
    top = imported.module.partition(".")[0]
    adapter = adapter_of(module)
    allowed = layer.libraries if adapter is None else ADAPTER_LIBRARIES.get(adapter, frozenset())
    if top not in allowed:
        owner = layer_of(module) if adapter is None else f"adapter {adapter}"
        return f"{owner} imports {top}, which tests/architecture.py does not give it"
    if top in HEAVY and imported.at_load and top not in HEAVY_HOMES.get(module, frozenset()):
        return f"loads {top} at start; import it where it is used"
    return None


def _of_calls(module: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    layer = _LAYERS.get(layer_of(module))
    clocks = _clock_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id == "__import__":
            yield node.lineno, "imports by name, which no rule can read"
        if layer is None or not layer.pure:
            continue
        if isinstance(node, ast.Call):
            yield from _impure_call(node)
        if isinstance(node, ast.Attribute) and node.attr in _CLOCK and ast.unparse(node.value) in clocks:
            yield node.lineno, f"reads the clock: {ast.unparse(node)}"


def _impure_call(node: ast.Call) -> Iterator[tuple[int, str]]:
    match node.func:
        case ast.Name(id=name) if name in _FORBIDDEN_CALLS:
            yield node.lineno, f"calls {name}()"
        case ast.Attribute(attr=name) if name in {"utcnow", "today"}:
            yield node.lineno, f"reads the clock: {ast.unparse(node.func)}"
        case ast.Attribute(attr="astimezone") if not node.args and not node.keywords:
            yield node.lineno, "reads the time zone of the machine: astimezone() without a zone"


def _clock_names(tree: ast.AST) -> frozenset[str]:
    """How this module calls `datetime.datetime` and `datetime.date`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "datetime":
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name == "datetime":
                    local = alias.asname or alias.name
                    names.update({f"{local}.datetime", f"{local}.date"})
    return frozenset(names)
