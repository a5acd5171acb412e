"""What Podman says that a container runs, commands in a container of an exact image, and hooks."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from attest.adapters.containers import (
    Engine,
    EngineName,
    RunnerOptions,
    find_engine,
    observe_by_hook,
    observe_container,
    runner,
    split_hook,
)
from attest.core.reference import RegistryImage, digest_of, parse_reference
from attest.errors import NotObserved, UsageError
from tests.parts.containers import Podman
from tests.parts.images import BuiltImage, PushedImage, push
from tests.parts.registry import Registry

SECONDS = 120


@pytest.fixture
def engine(podman: Podman, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """The engine as a command finds it."""
    monkeypatch.setenv("PATH", podman.path)
    return find_engine(None)


@pytest.fixture(scope="module")
def pulled(podman: Podman, docker_registry: Registry, sample_image: BuiltImage) -> PushedImage:
    """The sample image, which the engine has from a registry."""
    pushed = push(sample_image, docker_registry)
    podman.pull(pushed)
    return pushed


def config_of(image: PushedImage | BuiltImage) -> str:
    """The digest of an image's configuration."""
    digest: str = json.loads(image.manifest)["config"]["digest"]
    return digest


# ---- what a container runs


@pytest.mark.parts
def test_a_container_is_known_by_the_digest_that_was_pulled(
    engine: Engine, podman: Podman, pulled: PushedImage
) -> None:
    """Manifest and configuration are both said, with the container's id, its start and no mount."""
    with podman.container(pulled.reference) as name:
        seen = observe_container(engine, name)
        assert {pulled.digest, config_of(pulled)} <= seen.digests
        assert (seen.container, seen.runtime, seen.mounts) == (name, "podman", ())
        assert seen.instance == podman.inspect(name)["Id"]
        assert observe_container(engine, name) == seen


@pytest.mark.parts
def test_a_container_of_another_image_has_none_of_its_digests(
    engine: Engine, podman: Podman, pulled: PushedImage, other_image: BuiltImage
) -> None:
    """An image that was loaded from somewhere else is known by its own configuration, and by nothing of the other."""
    podman.load(other_image, "localhost/other:1")
    with podman.container("localhost/other:1") as name:
        digests = observe_container(engine, name).digests
        assert config_of(other_image) in digests
        assert digests.isdisjoint({pulled.digest, config_of(pulled)})


@pytest.mark.parts
def test_a_moved_tag_changes_nothing(
    engine: Engine, podman: Podman, pulled: PushedImage, other_image: BuiltImage
) -> None:
    """A container is of the image that it was made of, whatever its tag stands for by now."""
    podman.load(other_image, "localhost/moving:1")
    with podman.container("localhost/moving:1") as name:
        podman.run("tag", pulled.reference, "localhost/moving:1")
        digests = observe_container(engine, name).digests
        assert config_of(other_image) in digests
        assert digests.isdisjoint({pulled.digest, config_of(pulled)})


@pytest.mark.parts
def test_another_start_and_another_container_are_told(engine: Engine, podman: Podman, pulled: PushedImage) -> None:
    """A restart has another start; a new container of the same name has another id."""
    with podman.container(pulled.reference) as name:
        first = observe_container(engine, name)
        podman.run("restart", "--time", "0", name)
        second = observe_container(engine, name)
        assert (second.instance, second.digests) == (first.instance, first.digests)
        assert second.started != first.started
        podman.remove(name)
        with podman.container(pulled.reference, name=name):
            assert observe_container(engine, name).instance != first.instance


@pytest.mark.parts
def test_mounts_are_told(engine: Engine, podman: Podman, pulled: PushedImage, tmp_path: Path) -> None:
    """What lies over the image's own files is no part of the image, and stands in the observation."""
    with podman.container(pulled.reference, options=["--volume", f"{tmp_path}:/app/data"]) as name:
        assert observe_container(engine, name).mounts == ("/app/data",)


@pytest.mark.parts
def test_what_does_not_run_is_not_observed(engine: Engine, podman: Podman, pulled: PushedImage) -> None:
    """A container that ended, one that is unknown and one whose name is an option are errors."""
    with podman.container(pulled.reference, "/bin/true") as name:
        podman.run("wait", name)
        with pytest.raises(NotObserved, match="does not run"):
            observe_container(engine, name)
    for unknown in ("no-such-container", "--help", ""):
        with pytest.raises(NotObserved):
            observe_container(engine, unknown)


# ---- engines that fail


def fake_engine(folder: Path, script: str) -> Engine:
    """An engine that answers as no real one does."""
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return Engine(name=EngineName.DOCKER, program=str(program))


RUNNING = {"State": {"Running": True, "StartedAt": "x"}, "Id": "c0ffee", "Name": "/backend"}


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ("not JSON", "cannot be read"),
        ("[]", "cannot be read"),
        ("[1]", "is no object"),
        ("[" * 100_000, "cannot be read"),
        ("[{}]", "does not run"),
        (json.dumps([{**RUNNING, "State": {"Running": True, "Paused": True}}]), "does not run"),
        (json.dumps([{**RUNNING, "State": {"Running": True, "Restarting": True}}]), "does not run"),
        (json.dumps([{**RUNNING, "State": {"Running": True}}]), "does not say which container"),
        (json.dumps([{**RUNNING, "Id": ""}]), "does not say which container"),
        (json.dumps([RUNNING]), "does not say which image"),
        (json.dumps([{**RUNNING, "ImageDigest": "latest", "Image": 7}]), "does not say which image"),
    ],
)
def test_an_engine_that_does_not_say_is_not_believed(container: str, words: str, tmp_path: Path) -> None:
    """Nothing, half an answer and something else than the truth about a running container are errors."""
    (tmp_path / "answer").write_text(container)
    with pytest.raises(NotObserved, match=words):
        observe_container(fake_engine(tmp_path, f"cat {tmp_path}/answer"), "backend")


def test_dockers_names_are_understood(tmp_path: Path) -> None:
    """With its containerd store Docker says the index as the image, the manifest beside it, and repository digests."""
    one, two, three = (digest_of(text) for text in (b"1", b"2", b"3"))
    container = {**RUNNING, "Image": one, "ImageManifestDescriptor": {"digest": two}}
    image = {"Id": one, "RepoDigests": [f"registry.example.org/plex/backend@{three}", "nonsense"]}
    for kind, document in (("container", container), ("image", image)):
        (tmp_path / kind).write_text(json.dumps([document]))
    engine = fake_engine(tmp_path, f'cat "{tmp_path}/$1"')
    assert observe_container(engine, "backend").digests == {one, two, three}


@pytest.mark.parametrize(
    ("script", "words"),
    [("echo no daemon >&2; exit 1", "ended with 1: no daemon"), ("yes | head -c 17000000", "printed more than")],
)
def test_an_engine_that_fails_is_quoted(script: str, words: str, tmp_path: Path) -> None:
    """What a failing engine says is told, and endless output is no answer."""
    with pytest.raises(NotObserved, match=words):
        observe_container(fake_engine(tmp_path, script), "backend")


def test_an_engine_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an engine on PATH, or without the one that was asked for, the error says what to do."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="neither podman nor docker"):
        find_engine(None)
    fake_engine(tmp_path, "true")
    assert find_engine(None).name is EngineName.DOCKER
    with pytest.raises(UsageError, match="podman is not on PATH"):
        find_engine(EngineName.PODMAN)


# ---- hooks


def test_a_hook_is_run_without_a_shell(tmp_path: Path) -> None:
    """Its words are split as a shell splits them, and nothing of them is expanded."""
    digest = digest_of(b"x")
    file = tmp_path / "what runs"
    file.write_text(json.dumps({"digests": [digest]}))
    (seen,) = observe_by_hook(f"cat '{file}'")
    assert seen.digests == {digest}
    assert split_hook("a 'b c' $HOME `d` *") == ["a", "b c", "$HOME", "`d`", "*"]


@pytest.mark.parametrize("hook", ["", "  ", "'"])
def test_a_hook_without_words_is_an_error(hook: str) -> None:
    """Nothing to run, and a quote that is never closed, are wrong command lines."""
    with pytest.raises(UsageError):
        split_hook(hook)


@pytest.mark.parametrize("hook", ["false", "echo {}", "/no/such/hook", "head -c 2000000 /dev/zero"])
def test_a_hook_that_fails_or_says_nothing_is_an_error(hook: str) -> None:
    """A failing hook, an empty answer, one that is not there and one that says too much observe nothing."""
    with pytest.raises(NotObserved):
        observe_by_hook(hook)


# ---- commands in a container


def reference(image: PushedImage) -> RegistryImage:
    """The image as a runner image."""
    parsed = parse_reference(image.reference)
    assert isinstance(parsed, RegistryImage)
    return parsed


@pytest.mark.parts
def test_the_command_runs_in_the_container(
    engine: Engine, podman: Podman, pulled: PushedImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs in the folder, without the image's entrypoint, as us, with the variables that were named alone."""
    monkeypatch.setenv("TOLD", "yes")
    monkeypatch.setenv("UNTOLD", "secret")
    script = 'pwd; id -u; echo "$TOLD-$UNTOLD-$GREETING"; ls /app; echo written > out.txt; exit 3'
    options = RunnerOptions(image=reference(pulled), network="host", environment=["TOLD", "ABSENT"])
    with runner(engine, options, ["/bin/sh", "-c", script], folder=str(tmp_path)) as made:
        done = subprocess.run(made.argv, capture_output=True, timeout=SECONDS, check=False)
        name = made.argv[-1]
    assert done.stdout.decode().splitlines() == [str(tmp_path), str(os.getuid()), "yes--hello", "greet"]
    assert done.returncode == 3
    assert (tmp_path / "out.txt").read_text() == "written\n"
    assert pulled.digest in made.digests
    assert name not in podman.run("ps", "--all", "--format", "{{.Names}}").decode().split()


@pytest.mark.parts
def test_a_bracket_is_a_program_too(engine: Engine, pulled: PushedImage, tmp_path: Path) -> None:
    """`[` is run, and not taken for JSON."""
    with runner(
        engine, RunnerOptions(image=reference(pulled)), ["[", "a", "=", "b", "]"], folder=str(tmp_path)
    ) as made:
        assert subprocess.run(made.argv, timeout=SECONDS, check=False, capture_output=True).returncode == 1


@pytest.mark.parts
def test_what_still_runs_ends_with_the_block(
    engine: Engine, podman: Podman, pulled: PushedImage, tmp_path: Path
) -> None:
    """A container whose client was killed is gone afterwards all the same."""
    options = RunnerOptions(image=reference(pulled), user="1234:1234")
    with runner(engine, options, ["/bin/sleep", "100000"], folder=str(tmp_path)) as made:
        name = made.argv[-1]
        with subprocess.Popen(made.argv) as client:
            while podman.inspect(name)["State"]["Status"] != "running":
                pass
            client.kill()
        assert podman.inspect(name)["State"]["Running"] is True
        assert podman.inspect(name)["Config"]["User"] == "1234:1234"
    assert name not in podman.run("ps", "--all", "--format", "{{.Names}}").decode().split()


@pytest.mark.parts
def test_an_image_that_cannot_be_had_is_an_error(engine: Engine, pulled: PushedImage, tmp_path: Path) -> None:
    """No container is made of an image that the registry does not have."""
    unknown = parse_reference(f"{pulled.repository}@{digest_of(b'unknown')}")
    assert isinstance(unknown, RegistryImage)
    with (
        pytest.raises(NotObserved, match="podman pull ended with"),
        runner(engine, RunnerOptions(image=unknown), ["true"], folder=str(tmp_path)),
    ):
        pytest.fail("a container was made")


def test_a_container_of_something_else_is_refused(tmp_path: Path) -> None:
    """An engine that makes a container of another image than it was told to is not believed, and cleans up."""
    (tmp_path / "answer").write_text(json.dumps([{"Image": digest_of(b"other"), "Id": digest_of(b"other")}]))
    engine = fake_engine(tmp_path, f'echo "$1" >> {tmp_path}/asked; cat {tmp_path}/answer')
    image = parse_reference(f"registry.example.org/ci/runner@{digest_of(b'wanted')}")
    assert isinstance(image, RegistryImage)
    with (
        pytest.raises(NotObserved, match="made a container of"),
        runner(engine, RunnerOptions(image=image), [sys.executable], folder=str(tmp_path)),
    ):
        pytest.fail("a container was handed out")
    assert (tmp_path / "asked").read_text().split()[-1] == "rm"
