"""The main job, on one machine and without any server: five lanes sign an image, and the gate decides.

Run it with `make demo`. It keeps what it makes in `.demo/`, keys included, and makes all of it anew each time.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from sample_image import write_image

HERE = Path(__file__).resolve().parent
WORK = HERE.parent / ".demo"
SAMPLE = HERE / "sample"
REPOSITORY = "registry.example.org/plex/backend"
SOURCE = "https://git.example.org/plex/playlist"
COMMIT = "4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70"
LANES = ("build", "contract", "fast-check", "integration", "e2e")
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
PROVENANCE = "https://slsa.dev/provenance/v1"

shown = 0


def main() -> None:
    """Tell the story; every step checks the exit code that it promises."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    title("Keys: one for each lane. The policy names the public halves; each private half stays with its lane.")
    for lane in (*LANES, "stranger"):
        attest("keygen", lane, "--directory", "keys", "--no-password", quiet=lane != "build")
    write_policy()
    attest("policy", "check", "policy.yaml")

    title("An image, made from bytes, named by its digest from here on.")
    files = {"app/service.py": (SAMPLE / "service.py").read_bytes()}
    digest = write_image(WORK / "image", files)
    say(f"oci:image@{digest}")

    title("A tag is refused: it can be moved between the check and the use.")
    attest("verify", "oci:image", "--policy", "policy.yaml", expect=2)

    title("Four lanes sign. The fast-check lane runs the sample's own tests and signs what came of them.")
    write_provenance()
    sign("image", digest, "build", "--predicate-type", PROVENANCE, "--predicate", "provenance.json", quiet=False)
    sign("image", digest, "contract", "--result", "passed")
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(SAMPLE)],
        cwd=SAMPLE,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )
    sign("image", digest, "fast-check", "--result", "passed" if tests.returncode == 0 else "failed")
    sign("image", digest, "integration", "--result", "passed")

    title("Four of five is not enough: the gate refuses, and says what to run next.")
    verify("image", digest, expect=1, containing="missing")
    shutil.copytree(WORK / "image", WORK / "four")

    title("The fifth lane signs: the gate lets the image pass, and signs a receipt of what it saw.")
    sign("image", digest, "e2e", "--result", "passed")
    verify("image", digest, "--receipt-key", "keys/stranger.key", "--receipt-out", "receipt.json", expect=0)
    attest("inspect", f"oci:image@{digest}", "--policy", "policy.yaml")

    title("A tampered bundle: e2e signed FAILED, somebody wrote PASSED over it. It is no evidence.")
    sign("four", digest, "e2e", "--result", "failed", "--output", "failed.json", "--no-push")
    tamper(WORK / "failed.json", WORK / "tampered.json")
    shutil.copytree(WORK / "four", WORK / "tampered")
    attest("attach", "tampered.json", f"oci:tampered@{digest}", quiet=True)
    verify("tampered", digest, expect=1, containing="foreign-key")

    title("A foreign key: a valid signature, but of nobody whom the policy names.")
    shutil.copytree(WORK / "four", WORK / "foreign")
    sign("foreign", digest, "e2e", "--result", "passed", key="stranger")
    verify("foreign", digest, expect=1, containing="foreign-key")

    title("The key of another lane: known to the policy, but not allowed to speak for e2e.")
    shutil.copytree(WORK / "four", WORK / "borrowed")
    sign("borrowed", digest, "e2e", "--result", "passed", key="integration")
    verify("borrowed", digest, expect=1, containing="untrusted")

    title("A later failure: integration runs again and fails. What it signed before does not count any more.")
    sign("image", digest, "integration", "--result", "failed", run=2)
    verify("image", digest, expect=1, containing="result-failed")

    title("Mended, and run once more: all five lanes stand again.")
    sign("image", digest, "integration", "--result", "passed", run=3)
    verify("image", digest, expect=0)

    title("Evidence taken away: an earlier receipt knows that it was there.")
    verify("four", digest, "--receipt", "receipt.json", expect=1, containing="input-withheld")
    print(f"\n{shown} steps shown. Everything is in .demo/: look around with attest inspect and attest verify.")


def sign(
    layout: str, digest: str, lane: str, *options: str, key: str | None = None, run: int = 1, quiet: bool = True
) -> None:
    """One lane signs, as a job of a forge would."""
    attest(
        "sign",
        f"oci:{layout}@{digest}",
        *("--repository", REPOSITORY),
        *("--lane", lane),
        *("--key", f"keys/{key or lane}.key"),
        *("--source-repository", SOURCE),
        *("--source-commit", COMMIT),
        *("--source-ref", "refs/heads/main"),
        *("--run-id", str(run)),
        *options,
        quiet=quiet,
    )


def verify(layout: str, digest: str, *options: str, expect: int, containing: str = "") -> None:
    """Ask the gate."""
    attest(
        "verify",
        f"oci:{layout}@{digest}",
        *("--repository", REPOSITORY),
        *("--policy", "policy.yaml"),
        *options,
        expect=expect,
        containing=containing,
    )


def attest(*arguments: str, expect: int = 0, containing: str = "", quiet: bool = False) -> None:
    """Run the command as a person would, and check how it ended."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(CI_VARIABLES)}
    if not quiet:
        say(f"$ attest {' '.join(_short(argument) for argument in arguments)}")
    done = subprocess.run(
        [sys.executable, "-m", "attest", *arguments],
        cwd=WORK,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if not quiet or done.returncode != expect:
        for line in done.stdout.splitlines():
            say(line)
    if done.returncode != expect or containing not in done.stdout:
        sys.exit(f"demo: expected exit code {expect} and {containing!r}, got exit code {done.returncode}")
    if not quiet:
        say(f"(exit code {done.returncode})")


CI_VARIABLES = ("GITHUB_", "FORGEJO_", "GITEA_", "GITLAB_", "CI")


def write_policy() -> None:
    """Five lanes, a key for each, bound to one repository and commit."""
    lanes = "".join(
        f"  {lane}: {{predicate-type: {TEST_RESULT}, signer: {lane}, max-age: 7d}}\n"
        for lane in LANES
        if lane != "build"
    )
    signers = "".join(f"  {lane}: {{key: keys/{lane}.pub}}\n" for lane in LANES)
    (WORK / "policy.yaml").write_text(
        f"""\
version: 1
name: demo
serial: 1
images: [{REPOSITORY}]
source:
  repository: {SOURCE}
  refs: [refs/heads/main]
  bind: [repository, commit]
signers:
{signers}lanes:
  build:
    predicate-type: {PROVENANCE}
    signer: build
    where:
      - predicate.buildDefinition.externalParameters.target == 'runtime'
{lanes}"""
    )


def write_provenance() -> None:
    """What the builder says about its build."""
    provenance = {
        "buildDefinition": {
            "buildType": "https://example.org/build/v1",
            "externalParameters": {"target": "runtime"},
            "resolvedDependencies": [{"uri": f"git+{SOURCE}@refs/heads/main", "digest": {"gitCommit": COMMIT}}],
        },
        "runDetails": {"builder": {"id": "https://example.org/builder"}},
    }
    (WORK / "provenance.json").write_text(json.dumps(provenance))


def tamper(source: Path, target: Path) -> None:
    """Write PASSED over FAILED in the signed payload, and leave the signature as it is."""
    bundle = json.loads(source.read_text())
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b'"FAILED"', b'"PASSED"')
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    target.write_text(json.dumps(bundle))


def title(text: str) -> None:
    """Begin a step."""
    global shown  # noqa: PLW0603 - a script that counts its steps
    shown += 1
    print(f"\n{shown}. {text}", flush=True)


def say(text: str) -> None:
    """Show a line of what happens."""
    print(f"   {text}", flush=True)


def _short(argument: str) -> str:
    head, at, digest = argument.partition("@sha256:")
    return f"{head}{at}{digest[:12]}..." if at else argument


if __name__ == "__main__":
    main()
