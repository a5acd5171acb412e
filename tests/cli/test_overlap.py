"""`attest verify` reads images while it loads the policy: which error is told, what is asked, what is loaded when."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from attest.adapters.registry import crew
from attest.core import oci
from attest.core.reference import RegistryImage, digest_of
from attest.ops import parallel
from tests.cli.running import Ended, clean_environment, spawn, started
from tests.cli.scene import Scene, policy_text
from tests.registry import faults
from tests.registry.faults import Fault, FaultyRegistry, Handler

PLATFORMS = "platforms: {evidence: index, only: [linux/amd64]}"
SLOW_LIBRARIES = {"cel", "cryptography", "pydantic", "ruamel", "ssl", "urllib3"}

FAULTS: dict[str, Fault | None] = {
    "healthy": None,
    "no answer": faults.hang,
    "500": faults.status(500),
    "403": faults.status(403),
    "garbage": faults.garbage,
    "reset": faults.reset,
    "endless body": faults.endless_body,
}


@dataclass(slots=True, kw_only=True)
class Stage:
    """A registry with an image that passes."""

    registry: FaultyRegistry
    image: RegistryImage
    scene: Scene

    def write_policy(self, *, more: str = "", lanes: Sequence[str] = ("unit",)) -> Path:
        """The policy that the image passes, unless it is changed."""
        return self.scene.write_policy(policy_text(lanes, images=[str(self.image.repository)], more=more))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """The stage, healthy until a test spoils it."""
    with FaultyRegistry().running() as registry:
        image = registry.add_image()
        scene = Scene(folder=tmp_path, image=str(image), repository=None)
        made = Stage(registry=registry, image=image, scene=scene)
        scene.make_keys("unit")
        made.write_policy()
        scene.sign("unit", "--output", "unit.json", "--no-push")
        registry.add_attestation(image, (tmp_path / "unit.json").read_bytes())
        registry.forget()
        yield made


def spoil_key(stage: Stage) -> None:
    """The key that the policy names is none."""
    (stage.scene.folder / "keys" / "unit.pub").write_text("no key\n")


def remove_key(stage: Stage) -> None:
    """The key that the policy names is not there."""
    (stage.scene.folder / "keys" / "unit.pub").unlink()


def add_unknown(stage: Stage) -> None:
    """The policy has a key that no policy has."""
    stage.write_policy(more="unknown: 1")


def spoil_condition(stage: Stage) -> None:
    """The policy has a condition that is none."""
    path = stage.write_policy()
    path.write_text(path.read_text().replace("signer: unit}", "signer: unit, where: ['predicate.(']}"))


def empty_list(stage: Stage) -> None:
    """A policy whose document is no mapping."""
    stage.scene.write_policy("[]\n")


def only_number(stage: Stage) -> None:
    """A policy whose document is a number."""
    stage.scene.write_policy("5\n")


WRONG_POLICIES = (spoil_key, remove_key, add_unknown, spoil_condition, empty_list, only_number)


# ---- which error is told


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("spoil", WRONG_POLICIES, ids=lambda spoil: spoil.__name__)
def test_a_wrong_policy_is_told_whatever_the_registry_does(
    spoil: Callable[[Stage], None], fault: str, stage: Stage
) -> None:
    """A policy that does not load ends with 2 and the same words, be the registry healthy, broken, or silent."""
    spoil(stage)
    expected = stage.scene.attest("policy", "check", "policy.yaml")
    assert expected.code == 2
    if (chosen := FAULTS[fault]) is not None:
        stage.registry.misbehave(chosen)
    ended = stage.scene.verify()
    assert (ended.code, ended.raw, ended.err) == (2, b"", expected.err)


@pytest.mark.parametrize("option", ["--bundle", "--receipt", "--receipt-key", "--state"])
def test_a_wrong_option_is_told_whatever_the_registry_does(option: str, stage: Stage) -> None:
    """A named file that cannot be used ends with 2 before anything that the registry says counts."""
    stage.registry.misbehave(faults.status(500))
    more = ("--receipt-out", "out.json") if option == "--receipt-key" else ()
    ended = stage.scene.verify(option, "no/such/file", *more)
    assert (ended.code, ended.raw) == (2, b"")
    assert "no/such/file" in ended.err


def test_a_registry_that_fails_is_told_behind_the_policy(stage: Stage) -> None:
    """With a policy that loads, the same fault is undecided: 3, and it says what the registry did."""
    stage.registry.misbehave(faults.status(403), "/referrers/")
    ended = stage.scene.verify()
    assert ended.code == 3
    assert "403" in ended.err


def test_a_wrong_policy_ends_the_process_while_the_registry_is_silent(stage: Stage) -> None:
    """The process is over, with 2, while all that it asked is still unanswered: nothing is joined at its end."""
    add_unknown(stage)
    stage.registry.misbehave(faults.hang)
    images = [stage.scene.image, f"{stage.image.repository}@{digest_of(b'another')}"]
    ended = spawn("verify", *images, "--policy", "policy.yaml", cwd=stage.scene.folder)
    assert (ended.code, ended.raw) == (2, b"")
    assert "unknown" in ended.err
    assert not stage.registry.stopping.is_set()
    assert stage.registry.seen


@pytest.mark.parametrize("text", [None, "a: [", "a: 1\na: 2\n"], ids=["absent", "no YAML", "twice"])
def test_no_registry_is_asked_about_what_is_no_document(text: str | None, stage: Stage) -> None:
    """Where there is no document at all nothing is read: the first request needs at least a file that can be parsed."""
    path = stage.scene.folder / "policy.yaml"
    path.unlink()
    if text is not None:
        path.write_text(text)
    assert stage.scene.verify().code == 2
    assert stage.registry.seen == []


@pytest.mark.slow
def test_threads_of_a_command_that_ended_early_end_too(stage: Stage) -> None:
    """In a process that lives on, the threads of a verify that ended at its policy go away with the answers."""
    add_unknown(stage)
    stage.registry.misbehave(faults.hang)
    assert stage.scene.verify().code == 2
    ours = [one for one in threading.enumerate() if one.name in (parallel.THREADS, crew.THREADS)]
    assert all(one.daemon for one in ours)
    stage.registry.stopping.set()
    for one in ours:
        one.join(20)
        assert not one.is_alive()


# ---- the answer is the same


def test_what_arrives_before_the_keys_counts(stage: Stage) -> None:
    """Evidence that arrived long before the policy was loaded is verified as ever: it passes, and a failure refuses."""
    assert stage.scene.verify().code == 0
    stage.scene.sign("unit", "--result", "failed", "--run-id", "2", "--output", "failed.json", "--no-push")
    stage.registry.add_attestation(stage.image, (stage.scene.folder / "failed.json").read_bytes())
    assert stage.scene.verify().code == 1


def test_what_arrives_after_the_keys_counts(stage: Stage) -> None:
    """Evidence that arrives long after the policy was loaded is waited for."""

    def late(handler: Handler) -> None:
        handler.pause(1.0)
        handler.registry.serve(handler, b"")

    stage.registry.misbehave(late, "/blobs/")
    assert stage.scene.verify().code == 0


def test_more_bundles_than_may_wait(stage: Stage) -> None:
    """Where more arrives than may wait for the keys, all of it is looked at: the last bundle counts like the first."""
    stage.scene.sign("unit", "--result", "failed", "--run-id", "2", "--output", "failed.json", "--no-push")
    for number in range(5):
        stage.registry.add_attestation(stage.image, b"%d" % number + bytes(6 * 1024 * 1024))
    assert stage.scene.verify().code == 0
    stage.registry.add_attestation(stage.image, (stage.scene.folder / "failed.json").read_bytes())
    ended = stage.scene.verify("--format", "json")
    assert ended.code == 1
    assert len(ended.document["images"][0]["rejected"]) == 5


@pytest.mark.parametrize("key", ["platforms", '"platforms"', r'"\x70latforms"'])
def test_the_platform_is_read_however_the_policy_spells_it(key: str, stage: Stage) -> None:
    """A policy with `platforms` makes the configuration be read, in as many requests as ever, and is kept."""
    stage.write_policy(more=PLATFORMS.replace("platforms", key, 1))
    assert stage.scene.verify().code == 0
    asked = [seen.path for seen in stage.registry.seen]
    assert len(asked) == len(set(asked)) == 7  # manifest, API, tag, tags; configuration, attestation; its bundle
    stage.write_policy(more=PLATFORMS.replace("amd64", "arm64"))
    assert stage.scene.verify().code == 1


def test_no_configuration_is_read_without_platforms(stage: Stage) -> None:
    """A policy without `platforms` asks for no configuration, so that one which is gone is no error."""
    manifest = oci.parse_manifest(stage.registry.manifests[stage.image.digest][1], media_type=None)
    assert isinstance(manifest, oci.Manifest)
    del stage.registry.blobs[manifest.config.digest]
    assert stage.scene.verify().code == 0
    assert not any(manifest.config.digest in seen.path for seen in stage.registry.seen)
    stage.write_policy(more=PLATFORMS)
    assert stage.scene.verify().code == 3


# ---- giving up


@pytest.fixture
def _heeded() -> Iterator[None]:
    """SIGINT is not ignored, as it is by what a script starts in the background, and by all that this starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heeded")
@pytest.mark.parametrize("when", ["at the first request", "when everything is loaded"])
@pytest.mark.parametrize("count", [1, 3])
def test_ctrl_c_ends_it_at_any_time(count: int, when: str, stage: Stage) -> None:
    """SIGINT ends the process at once with 130, of one image or several, while modules load and while it waits."""
    others = [f"{stage.image.repository}@{digest_of(b'%d' % number)}" for number in range(1, count)]
    stage.registry.misbehave(faults.hang)
    loaded = stage.scene.folder / "state.json"
    images = [stage.scene.image, *others]
    with started(
        *("verify", *images, "--policy", "policy.yaml", "--state", "state.json"), cwd=stage.scene.folder
    ) as process:
        while process.poll() is None:
            if stage.registry.seen and (when == "at the first request" or loaded.exists()):
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err.decode()
    assert err.decode().strip() == "attest: interrupted"


# ---- what is loaded, and when


def tops(printed: str) -> set[str]:
    """The libraries among modules, one a line."""
    return {line.partition(".")[0] for line in printed.split()}


def run_python(code: str, *arguments: str, cwd: Path) -> Ended:
    """Run Python code with the arguments of a command."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=cwd,
        env=clean_environment(cwd),
        capture_output=True,
        timeout=120,
        check=False,
    )
    return Ended(code=done.returncode, raw=done.stdout, err=done.stderr.decode())


def test_help_loads_nothing_slow(tmp_path: Path) -> None:
    """`attest verify --help` loads no library that only verifying needs."""
    code = (
        "import sys\nfrom attest.cli.main import run\n"
        "assert run(sys.argv[1:]) == 0\nprint(*sys.modules, sep='\\n', file=sys.stderr)"
    )
    ended = run_python(code, "verify", "--help", cwd=tmp_path)
    assert ended.code == 0
    assert "click" in tops(ended.err)
    assert not SLOW_LIBRARIES & tops(ended.err)


def test_reading_begins_before_what_weighs_it_is_loaded(stage: Stage) -> None:
    """When the images begin to be read, nothing is loaded that only the policy, the keys or the verdict need."""
    code = (
        "import sys, attest.ops.reading\nfrom attest.cli.main import run\n"
        "class Spy(attest.ops.reading.Reading):\n"
        "    def __init__(self, *arguments, **named):\n"
        "        print(*sys.modules, sep='\\n', file=sys.stderr)\n"
        "        super().__init__(*arguments, **named)\n"
        "attest.ops.reading.Reading = Spy\n"
        "sys.exit(run(sys.argv[1:]))"
    )
    ended = run_python(code, "verify", stage.scene.image, "--policy", "policy.yaml", cwd=stage.scene.folder)
    assert ended.code == 0
    assert {"urllib3", "ruamel"} <= tops(ended.err)
    assert not {"cel", "pydantic", "sigstore"} & tops(ended.err)
    assert "attest.core.evaluate" not in ended.err.split()
