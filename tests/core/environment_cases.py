"""Environments that are wrong in one way each: one that is right, and what to replace in it.

The errors that they lead to are in tests/golden/environment-errors.txt.
"""

from __future__ import annotations

from typing import Final

RIGHT: Final = """\
version: 1
name: staging
policy: ../policies/staging.yaml
evidence: [registry.example.org/plex/backend, registry.example.org/plex/frontend]
ledger:
  url: sqlite:///state/ledger.db
  signer: keys/ledger.key
  head: registry.example.org/plex/ledger
target:
  compose: {file: compose.yaml, engine: podman}
services:
  backend:
    repository: staging.example.org/plex/backend
    probe:
      http: http://127.0.0.1:8080/health
      successes: 3
      timeout: 60s
    soak: 30s
  frontend:
    repository: staging.example.org/plex/frontend
    probe: {exec: [/bin/check, --quick]}
  migrate:
    repository: staging.example.org/plex/migrate
    oneshot: true
    timeout: 5m
freeze:
  - {from: 2026-12-20T00:00:00Z, to: 2027-01-02T00:00:00Z, reason: the year ends}
rollback: {automatic: true}
"""

COMPOSE: Final = "compose: {file: compose.yaml, engine: podman}"
KUBERNETES: Final = "kubernetes: {manifests: [k8s/app.yaml], context: staging, namespace: plex}"
HOOK: Final = "hook: {argv: [./deploy.py, --quiet]}"
_EXEC: Final = "exec: [/bin/check, --quick]"
_HTTP: Final = "http: http://127.0.0.1:8080/health"
_FREEZE: Final = "{from: 2026-12-20T00:00:00Z, to: 2027-01-02T00:00:00Z, reason: the year ends}"

_SERVICES: Final = RIGHT[RIGHT.index("services:") : RIGHT.index("freeze:")]
_MIGRATE: Final = RIGHT[RIGHT.index("  migrate:") : RIGHT.index("freeze:")]
_EVIDENCE: Final = "[registry.example.org/plex/backend, registry.example.org/plex/frontend]"
_FRONTEND: Final = "staging.example.org/plex/frontend"
_LEDGER: Final = "sqlite:///state/ledger.db"
_BACKEND: Final = "services:\n  backend:\n    repository: staging.example.org/plex"

Case = tuple[str, str, str, bool]
"""A title, what is replaced, by what, and whether the schema refuses it too."""

CASES: Final[tuple[Case, ...]] = (
    # keys
    ("an unknown key", "policy: ", "polices: ", True),
    ("an unknown key in a service", "    soak: 30s", "    soke: 30s", True),
    ("an unknown key in a probe", "successes: 3", "sucesses: 3", True),
    ("an unknown key in a target", "engine: podman", "engine: podman, build: true", True),
    ("an unknown kind of target", COMPOSE, "swarm: {file: stack.yaml}", True),
    ("an unknown key in the ledger", "  signer: keys/ledger.key", "  key: keys/ledger.key", True),
    ("an unknown key in a freeze", "reason: the year ends", "reason: the year ends, until: 2027", True),
    ("no evidence", "evidence: [registry.example.org/plex/backend, registry.example.org/plex/frontend]\n", "", True),
    ("no rollback", "rollback: {automatic: true}\n", "", True),
    ("a rollback that says nothing", "{automatic: true}", "{}", True),
    ("no engine", ", engine: podman", "", True),
    ("no repository", "    repository: staging.example.org/plex/migrate\n", "", True),
    ("a freeze without a reason", ", reason: the year ends", "", True),
    ("a freeze without an end", "to: 2027-01-02T00:00:00Z, ", "", True),
    # kinds of values
    ("another version", "version: 1", "version: 2", True),
    ("a name with capitals", "name: staging", "name: Staging", True),
    ("evidence that is one repository", _EVIDENCE, "registry.example.org/plex/backend", True),
    ("a rollback that is a word", "automatic: true", "automatic: yes", True),
    ("services that are a list", _SERVICES, "services: [backend]\n", True),
    ("no services", _SERVICES, "services: {}\n", True),
    ("a service with capitals", "  migrate:", "  Migrate:", True),
    ("a service that is text", _MIGRATE, "  migrate: staging.example.org/plex/migrate\n", True),
    ("a freeze that is a mapping", f"\n  - {_FREEZE}", f" {_FREEZE}", True),
    # repositories
    ("evidence twice", "plex/frontend]", "plex/backend]", True),
    ("evidence below a path", "registry.example.org/plex/frontend]", "registry.example.org/plex/*]", True),
    ("a repository with a digest", _FRONTEND, f"{_FRONTEND}@sha256:{'0' * 64}", True),
    ("a repository with a tag", _FRONTEND, "staging.example.org/plex/frontend:main", True),
    ("a repository without a registry", _FRONTEND, "plex/frontend", True),
    ("a repository that is empty", _FRONTEND, '""', True),
    # the ledger
    ("a ledger in memory", _LEDGER, '"sqlite:///:memory:"', False),
    ("a ledger with options", _LEDGER, "sqlite:///state/ledger.db?mode=ro", True),
    ("a ledger without a file", _LEDGER, "sqlite:///", True),
    ("a ledger that is a folder", _LEDGER, "sqlite:///state/", False),
    ("a ledger of another kind", _LEDGER, "mysql://db.example.org/ledger", True),
    ("a ledger that is a path", _LEDGER, "state/ledger.db", True),
    ("a ledger with a password", _LEDGER, "postgresql://attest:hunter2@db.example.org/ledger", False),
    ("a ledger with a password behind it", _LEDGER, "postgresql://db.example.org/ledger?password=hunter2", False),
    ("a ledger of another kind with a password", _LEDGER, "mysql://me:hunter2@db.example.org/ledger", True),
    ("a ledger with a password that cannot be read", _LEDGER, '"postgresql://me:hunter2 @db.example.org/x"', False),
    ("a ledger in no database", _LEDGER, "postgresql://db.example.org/", True),
    ("a ledger at no port", _LEDGER, "postgresql://db.example.org:99999/ledger", False),
    ("a head that nobody signs", "  signer: keys/ledger.key\n", "", False),
    ("a signer that is empty", "signer: keys/ledger.key", 'signer: ""', True),
    # targets
    ("a target of no kind", f"\n  {COMPOSE}", " {}", True),
    ("a target of two kinds", COMPOSE, f"{COMPOSE}\n  {KUBERNETES}", True),
    ("a target of three kinds", COMPOSE, f"{COMPOSE}\n  {KUBERNETES}\n  {HOOK}", True),
    ("another engine", "engine: podman", "engine: nerdctl", True),
    ("a compose without a file", "file: compose.yaml, ", "", True),
    ("a compose with both", "file: compose.yaml", "file: compose.yaml, files: [other.yaml]", True),
    ("a compose with no files", "file: compose.yaml", "files: []", True),
    ("a file twice", "file: compose.yaml", "files: [compose.yaml, compose.yaml]", True),
    ("an override that is the file", "engine: podman", "engine: podman, override: compose.yaml", False),
    ("a project with capitals", "engine: podman", "engine: podman, project: Plex", True),
    ("a timeout of nothing", "engine: podman", "engine: podman, timeout: 0s", True),
    ("a timeout in words", "engine: podman", "engine: podman, timeout: 10 minutes", True),
    ("no manifests", COMPOSE, KUBERNETES.replace("[k8s/app.yaml]", "[]"), True),
    ("no context", COMPOSE, KUBERNETES.replace("context: staging, ", ""), True),
    ("an empty context", COMPOSE, KUBERNETES.replace("context: staging", 'context: ""'), True),
    ("a context that is an option", COMPOSE, KUBERNETES.replace("context: staging", "context: --all"), True),
    ("no namespace", COMPOSE, KUBERNETES.replace(", namespace: plex", ""), True),
    ("a namespace with a dot", COMPOSE, KUBERNETES.replace("namespace: plex", "namespace: plex.app"), True),
    ("a repository twice in manifests", f"{COMPOSE}\n{_BACKEND}/backend", f"{KUBERNETES}\n{_BACKEND}/migrate", False),
    ("a hook without a program", COMPOSE, "hook: {argv: []}", True),
    ("a hook whose program is an option", COMPOSE, "hook: {argv: [--deploy]}", False),
    ("a hook that is one text", COMPOSE, "hook: {argv: ./deploy.py --quiet}", True),
    ("a hook with a number", COMPOSE, "hook: {argv: [./deploy.py, 7]}", True),
    ("a hook with many words", COMPOSE, f"hook: {{argv: [deploy{', x' * 64}]}}", True),
    ("a hook with an exec probe", COMPOSE, HOOK, False),
    # services and probes
    ("a service that shows nothing", f"    probe: {{{_EXEC}}}\n", "", True),
    ("a one-shot that is probed", "    oneshot: true\n", f"    oneshot: true\n    probe: {{{_EXEC}}}\n", True),
    ("a one-shot that soaks", "    oneshot: true\n", "    oneshot: true\n    soak: 30s\n", True),
    ("a service that is not one-shot and has none", "    oneshot: true\n", "    oneshot: false\n", True),
    ("a timeout of a service", "    soak: 30s", "    timeout: 30s", True),
    ("a probe of no kind", _EXEC, "successes: 2", True),
    ("a probe of two kinds", _EXEC, f"{_EXEC}, {_HTTP}", True),
    ("a probe that is an address", f"{{{_EXEC}}}", "http://127.0.0.1/", True),
    ("an address without a scheme", _HTTP, "http: 127.0.0.1:8080/health", True),
    ("an address of a file", _HTTP, "http: file:///etc/passwd", True),
    ("an address without a host", _HTTP, "http: http:///health", True),
    ("an address with a password", _HTTP, "http: http://me:hunter2@127.0.0.1:8080/", True),
    ("an address of another kind with a password", _HTTP, "http: ftp://me:hunter2@127.0.0.1/", True),
    ("an address with a fragment", _HTTP, '"http": "http://127.0.0.1:8080/#up"', True),
    ("an address with a space", _HTTP, "http: http://127.0.0.1:8080/a b", False),
    ("an address with no such port", _HTTP, "http: http://127.0.0.1:80800/", False),
    ("an address with port 0", _HTTP, "http: http://127.0.0.1:0/", False),
    ("an address that is broken", _HTTP, "http: http://[::1/", False),
    ("no successes", "successes: 3", "successes: 0", True),
    ("more successes than anybody waits for", "successes: 3", "successes: 101", True),
    ("successes that can never be had", "timeout: 60s", "interval: 30s\n      timeout: 60s", False),
    ("a probe that takes no time", "timeout: 60s", "timeout: 0s", True),
    ("authorities without https", _HTTP, f"{_HTTP}\n      ca-file: ca.pem", False),
    ("authorities of a command", _EXEC, f"{_EXEC}, ca-file: ca.pem", True),
    ("a command of nothing", _EXEC, 'exec: [""]', False),
    ("a soak in words", "soak: 30s", "soak: a while", True),
    # freezes
    ("a freeze that ends before it begins", "to: 2027-01-02", "to: 2026-01-02", False),
    ("a freeze that ends when it begins", "to: 2027-01-02T", "to: 2026-12-20T", False),
    ("a freeze on a day", "from: 2026-12-20T00:00:00Z", "from: 2026-12-20", True),
    ("a freeze for no reason", "reason: the year ends", 'reason: " "', True),
)  # fmt: skip


def wrong(old: str, new: str) -> str:
    """The environment with what is wrong."""
    assert RIGHT.count(old) == 1, old
    return RIGHT.replace(old, new)
