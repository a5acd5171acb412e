"""docs/private-sigstore.md is true: its commands set up a private Sigstore that works, and rotate its keys."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ruamel.yaml import YAML

from attest.core.trust.words import Concern
from tests.cli.running import clean_environment
from tests.parts import loopback, web
from tests.parts.find import PROJECT, require
from tests.parts.process import LOOPBACK, Command, free_port, plain_environment, serve
from tests.parts.sigstore import fulcio_config
from tests.parts.sigstore_ctlog import CtLog
from tests.parts.sigstore_issuer import COMMIT, TokenIssuer

DOCUMENT = (PROJECT / "docs" / "private-sigstore.md").read_text()
REPOSITORY = "registry.example.org/plex/backend"
WORKFLOW = "plex/playlist/.forgejo/workflows/integration.yml@refs/heads/main"
MAIN_PORTS = ("--port", "--http-port")
READY = {"fulcio": "/api/v2/trustBundle", "rekor-server": "/healthz", "timestamp-server": "/ping"}


def blocks(title: str, language: str) -> list[str]:
    """The blocks of a language in a section of the document, those of its subsections included."""
    level = re.escape(re.match(r"#+", title).group())  # type: ignore[union-attr]
    section = re.search(rf"^{re.escape(title)}\n(.*?)(?=^{level} |\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert section is not None, title
    return re.findall(rf"^```{language}\n(.*?)^```$", section.group(1), re.MULTILINE | re.DOTALL)


def service_commands() -> dict[str, list[str]]:
    """The command line of each service, by the name of its program."""
    (block,) = blocks("## The services", "sh")
    lines = [shlex.split(line) for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    return {line[0]: line for line in lines}


def next_second() -> str:
    """The next whole second, after it has passed: timestamps have no parts of one."""
    begin = int(time.time()) + 1
    while time.time() <= begin + 1:
        time.sleep(0.05)
    return datetime.fromtimestamp(begin, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Front:
    """The proxy in front of a service, whose address stays when the service is replaced.

    Of a log's storage it serves checkpoint and tiles itself.
    """

    def __init__(self, host: str = LOOPBACK) -> None:
        self.backend = ""
        self.storage: Path | None = None
        front = self

        class Handler(loopback.Handler):
            def respond(self) -> None:
                answer = front.answer(self.command, self.path, dict(self.headers), self.body())
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.headers.get("content-type", "text/plain"))
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

        self._http = loopback.Server(Handler)
        self.url = f"http://{host}:{self._http.port}"

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> web.Answer:
        """What the service, or a file of the log, answers."""
        if self.storage is not None and path.startswith(("/api/v2/checkpoint", "/api/v2/tile/")):
            return web.Answer(status=200, headers={}, body=(self.storage / path.removeprefix("/api/v2/")).read_bytes())
        kept = {name: value for name, value in headers.items() if name in {"Authorization", "Content-Type", "Accept"}}
        return web.request(method, self.backend + path, headers=kept, body=body)

    def running(self) -> contextlib.AbstractContextManager[None]:
        """Answer until the block ends."""
        return self._http.running()


class Site:
    """A folder in which the document is followed, and what its example addresses stand for here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stands_for: dict[str, str] = {}
        program = folder / "bin" / "attest"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m attest "$@"\n')
        program.chmod(0o755)

    def here(self, text: str) -> str:
        """The text with the addresses of this site."""
        for example, real in self.stands_for.items():
            text = re.sub(re.escape(example) + r"(?![\w.-])", real, text)
        return text

    def run(self, script: str, *, folder: Path | None = None, expect: int = 0, **variables: str) -> str:
        """Run a block of the document, which ends with the exit code that is expected; what it printed."""
        environment = clean_environment(self.folder, **variables)
        environment["PATH"] = f"{self.folder / 'bin'}{os.pathsep}{environment['PATH']}"
        command = ["bash", "-euo", "pipefail", "-c", self.here(script)]
        where = self.folder if folder is None else folder
        done = subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == expect, (script, done.stdout, done.stderr)
        return done.stdout

    @contextlib.contextmanager
    def serving(self, line: Sequence[str], front: Front, **changes: str) -> Iterator[None]:
        """Run a service with the document's command line, on free ports, behind its proxy."""
        program, *options = line

        def command(port: int) -> Command:
            self.run(shlex.join(service_commands()["rm"]))
            words = [self.here(word) for word in options]
            for at, word in enumerate(words[:-1]):
                if word.removeprefix("--") in changes:
                    words[at + 1] = changes[word.removeprefix("--")]
                elif word in MAIN_PORTS:
                    words[at + 1] = str(port)
                elif word.endswith("-port"):
                    words[at + 1] = str(free_port())
            environment = plain_environment(self.folder)
            return Command(arguments=[require(program), *words], environment=environment, directory=self.folder)

        def answers(port: int) -> bool:
            return web.request("GET", f"http://{LOOPBACK}:{port}{READY[program]}").status == 200

        with serve(command, answers=answers, log=self.folder / f"{program}.log") as server:
            front.backend = f"http://{LOOPBACK}:{server.port}"
            yield

    def sign(self, name: str, issuers: TokenIssuer) -> str:
        """Make an image and sign it as the job of the document's policy; the image."""
        script = PROJECT / "examples" / "sample_image.py"
        image = self.run(shlex.join([sys.executable, str(script), name])).strip()
        (self.folder / "token").write_text(issuers.token(workflow_ref=WORKFLOW))
        forge = issuers.issuer.removesuffix("/api/actions")
        source = f"--source-repository {forge}/plex/playlist --source-commit {COMMIT} --source-ref refs/heads/main"
        how = "--keyless --trust-config trust/trust_config.json --identity-token token"
        what = f"--repository {REPOSITORY} --lane integration --result passed --run-id 1564"
        self.run(f"attest sign {image} {what} {how} {source}")
        return image

    def verify(self, *images: str, expect: int = 0) -> str:
        """Verify images with the document's policy, each by itself; what was printed."""
        lines = [f"attest verify {image} --repository {REPOSITORY} --policy policy.yaml" for image in images]
        return "".join(self.run(line, expect=expect) for line in lines)


@pytest.mark.parts
@pytest.mark.slow
def test_what_the_document_says_works(tmp_path: Path) -> None:
    """Followed as it stands, the document sets services up, whose evidence passes, also after each key was rotated."""
    for program in (*READY, "openssl"):
        require(program)
    site = Site(tmp_path)
    (keys,) = blocks("## Keys", "sh")
    site.run(keys)
    ct_key = serialization.load_pem_private_key((tmp_path / "ctlog.key").read_bytes(), None)
    assert isinstance(ct_key, ec.EllipticCurvePrivateKey)
    services = service_commands()
    fulcio, rekor, tsa = Front(), Front(), Front()
    rekor_2 = Front("localhost")
    with contextlib.ExitStack() as stack:
        issuers = stack.enter_context(TokenIssuer().running())
        ctlog = stack.enter_context(CtLog(ct_key).running())
        for front in (fulcio, rekor, tsa, rekor_2):
            stack.enter_context(front.running())
        site.stands_for = {
            "https://forge.example.org": issuers.issuer.removesuffix("/api/actions"),
            "https://fulcio.example.org": fulcio.url,
            "https://rekor.example.org": rekor.url,
            "https://rekor-2.example.org": rekor_2.url,
            "https://tsa.example.org": tsa.url,
            "rekor.example.org": LOOPBACK,
            "http://127.0.0.1:6962": ctlog.url,
        }
        (config,) = blocks("## The configuration of Fulcio", "yaml")
        (tmp_path / "fulcio.yaml").write_text(site.here(config))
        (policy,) = blocks("## The trusted root", "yaml")
        (tmp_path / "policy.yaml").write_text(site.here(policy))
        init, compare = blocks("## The trusted root", "sh")
        rotate, move = blocks("## Rotating keys", "sh")

        stack.enter_context(site.serving(services["rekor-server"], rekor))
        rekor.storage = tmp_path / "rekor"
        with site.serving(services["fulcio"], fulcio), site.serving(services["timestamp-server"], tsa):
            shown = site.run(init)
            assert "verifies under --rekor-key" in shown
            assert "Nothing to warn of" in shown
            certificate, key = site.run(compare).splitlines()
            assert f"sha256:{certificate.partition('=')[2].replace(':', '').lower()}" in shown
            assert f"key sha256:{key.split()[0]} (PKIX_ED25519)" in shown
            first = site.sign("first", issuers)
            site.verify(first)
            lost = next_second()
            stolen = site.sign("stolen", issuers)
            site.verify(stolen)

        # New keys of Fulcio and the timestamp authority.
        (tmp_path / "new").mkdir()
        site.run(keys, folder=tmp_path / "new")
        for name in ("fulcio-chain.pem", "fulcio.key", "fulcio-secrets.yaml", "tsa-chain.pem", "tsa.key"):
            shutil.copy(tmp_path / "new" / name, tmp_path / name)
        changed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with site.serving(services["fulcio"], fulcio), site.serving(services["timestamp-server"], tsa):
            site.run(f"{rotate.rstrip()} --until {lost}".replace("--output trust ", "--output lost "), changed=changed)
            assert site.run(rotate, changed=changed).count(" (ended)") == 2
            second = site.sign("second", issuers)
            site.verify(first, second)

            # Another log, under another name.
            shutil.copy(tmp_path / "new" / "rekor.pub", tmp_path / "rekor-2.pub")
            other = {"hostname": "localhost", "storage-dir": "rekor-2", "signer-filepath": "new/rekor.key"}
            with site.serving(services["rekor-server"], rekor_2, **other):
                rekor_2.storage = tmp_path / "rekor-2"
                site.run(move, changed=changed)
                third = site.sign("third", issuers)
    site.verify(first, second, third)

    # With the keys of Fulcio and the timestamp authority ended when they were lost, what came later is refused.
    site.verify(stolen)
    (tmp_path / "policy.yaml").write_text(site.here(policy).replace("trust/trusted_root", "lost/trusted_root"))
    site.verify(first)
    assert "[timestamp-invalid]" in site.verify(stolen, expect=1)


def test_every_warning_is_explained() -> None:
    """The table of warnings names each code once, and no other."""
    table = re.findall(r"^\| `([a-z-]+)` \| ", DOCUMENT.partition("## Rotating keys\n")[2], re.MULTILINE)
    assert table == [str(concern) for concern in Concern]


def test_the_configuration_is_the_one_of_the_tests() -> None:
    """The document's configuration of Fulcio is what all tests with a private Sigstore run it with."""
    (config,) = blocks("## The configuration of Fulcio", "yaml")
    ours = fulcio_config(["https://forge.example.org/api/actions"])
    assert YAML(typ="safe").load(config.replace("forgejo", "forge0")) == ours


@pytest.mark.parts
@pytest.mark.parametrize("program", READY)
def test_every_option_exists(program: str) -> None:
    """Each option of the document's command lines, and each that its text names of a program, is one that it knows."""
    done = subprocess.run(
        [require(program), "serve", "--help"], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    known = set(re.findall(r"(?<![\w-])--?([a-z0-9][a-z0-9.-]+)", done.stdout + done.stderr))
    named = {word.removeprefix("--") for word in service_commands()[program] if word.startswith("--")}
    if program == "rekor-server":
        named.add("read-only")
    assert named - known == set()
