"""`make sigstore`: a private Sigstore on loopback to try things out with, until Ctrl-C.

Everything that it writes is in `.sigstore/`, made anew each time and left there: what was signed still verifies
afterwards, when nothing runs any more.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType

from tests.parts.find import PROJECT, find
from tests.parts.process import PartError
from tests.parts.sigstore import PROGRAMS, PrivateSigstore, private_sigstore
from tests.parts.sigstore_issuer import COMMIT

FOLDER = ".sigstore"
IMAGE = "registry.example.org/plex/backend"
_TOKEN_EVERY = 600.0
"""Seconds until the token file is written anew; a token is good for an hour."""


def main() -> int:
    """Start, say what to type, wait for the end; the exit code."""
    if any(find(program) is None for program in PROGRAMS):
        print("Fulcio, Rekor and the timestamp server are built first, once; this takes minutes.", flush=True)
        if subprocess.run([PROJECT / ".ci" / "parts", "sigstore"], stdout=subprocess.DEVNULL, check=False).returncode:
            return 1
    folder = Path(FOLDER)
    shutil.rmtree(folder, ignore_errors=True)
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        with private_sigstore(folder.absolute()) as running:
            image = _image(folder / "image")
            _token(running, folder)
            (folder / "policy.yaml").write_text(policy(running))
            print(instructions(running, image), flush=True)
            while not stopped.wait(_TOKEN_EVERY):
                _token(running, folder)
    except PartError as error:
        print(f"make sigstore: {error}", file=sys.stderr)
        return 1
    print(f"\nEverything is stopped; {FOLDER}/ is left, and what was signed still verifies with it.")
    return 0


def policy(running: PrivateSigstore) -> str:
    """A policy that wants one lane, signed by the workflow that the tokens are of."""
    return f"""\
version: 1
name: try
serial: 1
images: [{IMAGE}]
trust: {{file: trusted_root.json}}
source:
  repository: {running.forge}/plex/playlist
  refs: [refs/heads/main]
  bind: [repository, commit]
signers:
  check:
    issuer: {running.issuer}
    identity: {running.identity()}
lanes:
  integration:
    predicate-type: https://in-toto.io/attestation/test-result/v0.1
    signer: check
"""


def instructions(running: PrivateSigstore, image: str) -> str:
    """What runs, and what to type next."""
    config = json.loads(running.trust_config.read_text())
    rekor = config["signingConfig"]["rekorTlogUrls"][0]["url"]
    return f"""
A private Sigstore is running:
  Fulcio      {running.fulcio_url}
  Rekor v2    {rekor}
  timestamps  {running.tsa_url}
  issuer      {running.issuer}

In another terminal, in this folder:

  attest trust show {FOLDER}/trust_config.json

  attest sign {image} --repository {IMAGE} \\
      --lane integration --result passed \\
      --keyless --trust-config {FOLDER}/trust_config.json --identity-token {FOLDER}/token \\
      --source-repository {running.forge}/plex/playlist --source-commit {COMMIT} \\
      --source-ref refs/heads/main --run-id 1564

  attest verify {image} --repository {IMAGE} --policy {FOLDER}/policy.yaml

The same trusted root, put together from the running services:

  attest trust init --fulcio {running.fulcio_url} --rekor {running.rekor_url} \\
      --rekor-key {FOLDER}/rekor.pub --tsa {running.tsa_url} \\
      --ctlog-key {FOLDER}/ctlog.pub --output trust

Ctrl-C stops it."""


def _image(target: Path) -> str:
    script = PROJECT / "examples" / "sample_image.py"
    printed = subprocess.run([sys.executable, script, target], check=True, capture_output=True, text=True)
    return printed.stdout.strip()


def _token(running: PrivateSigstore, folder: Path) -> None:
    running.token_file(folder / "token").chmod(0o600)


if __name__ == "__main__":
    sys.exit(main())
