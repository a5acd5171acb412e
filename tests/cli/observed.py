"""An environment whose ledger holds what a test says happened, and whose services a hook answers for."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from attest.adapters.clock import SystemClock
from attest.adapters.ledger import create_ledger, parse_address
from tests.cli.running import Ended, attest
from tests.core.make_delivery import Book

HOOK = """\
import json, pathlib, sys
request = json.load(sys.stdin)
running = json.loads(pathlib.Path("running.json").read_text())
print(json.dumps({"schema": "attest.hook/v1", "services": {
    name: [{"name": name, "state": "running", "digests": [running[name]]}] for name in request["services"]}}))
"""


class Watched:
    """The environment `staging` with the services `api` and `web`, in a folder."""

    def __init__(self, folder: Path, book: Book) -> None:
        self.folder = folder
        services = [
            f"  {name}: {{repository: registry.example.org/plex/{name}, probe: {{http: 'http://127.0.0.1:1/'}}}}"
            for name in ("api", "web")
        ]
        lines = [
            "version: 1",
            "name: staging",
            "policy: policy.yaml",
            "evidence: []",
            "ledger: {url: 'sqlite:///ledger.db'}",
            f"target: {{hook: {{argv: ['{sys.executable}', hook.py], timeout: 30s}}}}",
            "services:",
            *services,
            "rollback: {automatic: true}",
        ]
        (folder / "staging.yaml").write_text("\n".join(lines) + "\n")
        (folder / "hook.py").write_text(HOOK)
        self.book = book
        self.record(book)

    @property
    def ledger(self) -> Path:
        """The file of the ledger."""
        return self.folder / "ledger.db"

    def record(self, book: Book) -> None:
        """Have a new ledger hold these records."""
        self.ledger.unlink(missing_ok=True)
        with create_ledger(parse_address(f"sqlite:///{self.ledger}"), clock=SystemClock()) as ledger:
            ledger.restore(book.records)

    def run(self, running: Mapping[str, str]) -> None:
        """Have the services run these digests."""
        (self.folder / "running.json").write_text(json.dumps(running))

    def attest(self, verb: str, *arguments: object, stdin: bytes = b"", **environment: str) -> Ended:
        """A command about the environment."""
        return attest(verb, "staging.yaml", *arguments, cwd=self.folder, stdin=stdin, **environment)
