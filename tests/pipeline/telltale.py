"""Package indexes and a proxy under names that nobody else uses, so that a trace of them in an image would be found.

The proxy is real: it wants a password, and hands on what is asked of the telltale hosts to where this machine gets its
packages. A build that did not use the settings of its machine is noticed, and so is one that wrote them down.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import gzip
import http.server
import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tests.parts.process import Command, plain_environment, run
from tests.parts.registry import Registry

_HANDED_ON: Final = ("Accept", "If-Modified-Since", "Range")
_HANDED_BACK: Final = ("Content-Type", "Last-Modified", "ETag", "Content-Range", "Location")
_CHUNK: Final = 1 << 16


@dataclasses.dataclass(slots=True, kw_only=True)
class Telltale:
    """A running proxy, and what it was asked."""

    mark: str
    """The text in every name, password and option."""
    environment: dict[str, str]
    """The variables of a machine that is set up to use it."""
    asked: list[str]
    """The addresses that were asked for, with the program that did."""

    def files(self, ending: str) -> int:
        """How many files were got whose names end so."""
        return sum(urlsplit(one.split()[0]).path.endswith(ending) for one in self.asked)


@contextlib.contextmanager
def telltale(folder: Path) -> Iterator[Telltale]:
    """The settings of a machine whose packages come from telltale hosts through a telltale proxy."""
    mark = f"telltale{uuid.uuid4().hex[:10]}"
    hosts: dict[str, str] = {}
    asked: list[str] = []

    def named(url: str) -> str:
        """The telltale address for a true one."""
        parts = urlsplit(url)
        host = f"host{len(hosts)}.{mark}.example.org"
        hosts[host] = f"{parts.scheme}://{parts.netloc}"
        return f"http://{host}{parts.path}"

    lines = [f"deb {named(uri)} {release} main\n" for uri, release in _apt_sources(folder)]
    index = named(_pip_index())
    password = f"{mark}password"
    server = _Server(hosts, f"{mark}:{password}", asked)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        proxy = f"http://{mark}:{password}@127.0.0.1:{server.server_port}"
        environment = {
            "APT_CONFIG": str(_write_apt(folder / "apt", lines, proxy, mark)),
            "PIP_INDEX_URL": index,
            "PIP_TRUSTED_HOST": urlsplit(index).netloc,
            "http_proxy": proxy,
            "no_proxy": f"127.0.0.1,localhost,nowhere.{mark}.example.org",
        }
        # `ci/settings` asks apt, which has to have seen the lists.
        update = Command(
            arguments=["apt-get", "update", "-qq"],
            environment={**plain_environment(folder), **environment},
            directory=folder,
        )
        run(update, seconds=300)
        asked.clear()
        yield Telltale(mark=mark, environment=environment, asked=asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def traces(registry: Registry, reference: str, mark: str) -> list[str]:
    """Where a text stands in an image: its manifest, its configuration with the history, names and files of layers."""
    repository, _, digest = reference.partition("@")
    manifest = registry.manifest(repository, digest).body
    document: dict[str, Any] = json.loads(manifest)
    parts = {"the manifest": manifest}
    for descriptor in (document["config"], *document["layers"]):
        path = f"/v2/{repository.removeprefix(registry.host + '/')}/blobs/{descriptor['digest']}"
        blob = registry.ask("GET", path).body
        # A layer is searched as the tar that it is: names, links, headers and contents of all its files.
        parts[f"{descriptor['mediaType']} {descriptor['digest']}"] = (
            gzip.decompress(blob) if blob.startswith(b"\x1f\x8b") else blob
        )
    return [name for name, content in parts.items() if mark.encode() in content]


class _Server(http.server.ThreadingHTTPServer):
    """The proxy."""

    def __init__(self, hosts: Mapping[str, str], credentials: str, asked: list[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hosts = hosts
        self.authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        self.asked = asked


class _Handler(http.server.BaseHTTPRequestHandler):
    """Hands on what is asked of a telltale host."""

    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """Get it from the true host."""
        parts = urlsplit(self.path)
        place = self.server.hosts.get(parts.hostname or "")
        if self.headers.get("Proxy-Authorization") != self.server.authorization:
            self._answer(407, {"Proxy-Authenticate": 'Basic realm="telltale"'}, b"")
        elif place is None:
            self._answer(502, {}, b"")
        else:
            self.server.asked.append(f"{self.path} {self.headers.get('User-Agent')}")
            self._hand_on(f"{place}{parts.path}{'?' + parts.query if parts.query else ''}")

    def _hand_on(self, url: str) -> None:
        headers = {name: self.headers[name] for name in _HANDED_ON if name in self.headers}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as answer:
                status, got, content = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, got, content = error.code, error.headers, error.read()
        except OSError:
            status, got, content = 502, {}, b""
        self._answer(status, {name: got[name] for name in _HANDED_BACK if name in got}, content)

    def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 304:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        for start in range(0, len(content), _CHUNK):
            self.wfile.write(content[start : start + _CHUNK])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the signature of the base
        """Nothing."""


def _apt_sources(folder: Path) -> list[tuple[str, str]]:
    """Where this machine's apt gets Debian's packages: address and release."""
    template = "$(ORIGIN) $(COMPONENT) $(REPO_URI) $(RELEASE)"
    command = Command(
        arguments=["apt-get", "indextargets", "--format", template, "Created-By: Packages"],
        environment=plain_environment(folder),
        directory=folder,
    )
    lines = {tuple(line.split()) for line in run(command).decode().splitlines()}
    return sorted((line[2], line[3]) for line in lines if line[:2] == ("Debian", "main"))


def _pip_index() -> str:
    """Where this machine's pip gets packages."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False
    )
    usual = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
    default = subprocess.run([sys.executable, "-c", usual], capture_output=True, text=True, check=True)
    return os.environ.get("PIP_INDEX_URL") or asked.stdout.strip() or default.stdout.strip()


def _write_apt(folder: Path, lines: list[str], proxy: str, mark: str) -> Path:
    """The configuration of an apt that knows nothing but these sources."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "sources.list").write_text("".join(lines))
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Acquire::http::Proxy": proxy,
        "Acquire::http::User-Agent": f"{mark} apt",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
    }
    file = folder / "apt.conf"
    file.write_text("".join(f'{name} "{value}";\n' for name, value in options.items()))
    return file
