"""Who may read and write: passwords, tokens, and certificates of an authority that no system knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.scene import Scene, policy_text
from tests.e2e.conftest import SceneIn
from tests.parts import ca
from tests.parts.docker_registry import TokenRegistry
from tests.parts.images import BuiltImage
from tests.parts.registry import Registry, write_docker_config

pytestmark = pytest.mark.parts


def sign_and_verify(scene: Scene) -> tuple[int, int]:
    """The exit codes of a lane that signs, and of the gate."""
    if not (scene.folder / "keys").exists():
        scene.make_keys("unit")
    scene.write_policy(policy_text(("unit",), images=[scene.image.partition("@")[0]]))
    return scene.attest(*scene.sign_arguments("unit")).code, scene.verify().code


@pytest.mark.parametrize("name", ["docker_registry_htpasswd", "gitea", "docker_registry_tls"])
def test_credentials_of_docker_are_used(
    name: str, request: pytest.FixtureRequest, sample_image: BuiltImage, scene_in: SceneIn
) -> None:
    """With docker's credentials, or the CA file, for the registry a lane signs and the gate passes."""
    assert sign_and_verify(scene_in(request.getfixturevalue(name), sample_image)) == (0, 0)


@pytest.mark.parametrize("name", ["docker_registry_htpasswd", "docker_registry_token", "gitea"])
@pytest.mark.parametrize("password", [None, "a wrong word"])
def test_without_the_right_password_nothing_is_decided(
    name: str, password: str | None, request: pytest.FixtureRequest, sample_image: BuiltImage, scene_in: SceneIn
) -> None:
    """No password or a wrong one ends with 3, names the registry, and does not repeat the password."""
    registry: Registry = request.getfixturevalue(name)
    scene = scene_in(registry, sample_image)
    user = None if password is None else registry.username
    config = write_docker_config(scene.folder / "docker", registry.host, user, password)
    scene.environment["DOCKER_CONFIG"] = str(config)
    assert sign_and_verify(scene)[0] == 3
    ended = scene.attest(*scene.sign_arguments("unit"))
    assert ended.code == 3
    assert registry.host in ended.err
    assert "a wrong word" not in ended.err
    # Gitea lets everybody read: then there is a verdict, on an image that nobody could sign.
    assert scene.verify().code == (1 if name == "gitea" and password is None else 3)


def test_docker_credentials_at_home_are_found(
    docker_registry_htpasswd: Registry, sample_image: BuiltImage, scene_in: SceneIn
) -> None:
    """Without DOCKER_CONFIG the file `.docker/config.json` of the home folder is read."""
    scene = scene_in(docker_registry_htpasswd, sample_image)
    del scene.environment["DOCKER_CONFIG"]
    registry = docker_registry_htpasswd
    write_docker_config(scene.folder / ".docker", registry.host, registry.username, registry.password)
    assert sign_and_verify(scene) == (0, 0)


# ---- tokens


@pytest.fixture(params=["another port", "another host"])
def realm(
    request: pytest.FixtureRequest, token_registry: TokenRegistry, sample_image: BuiltImage, scene_in: SceneIn
) -> tuple[Scene, str]:
    """A scene in a registry whose tokens come from another port, or another host, and the place of its realm."""
    registry = token_registry.registry
    scene = scene_in(registry, sample_image)
    if request.param == "another host":
        host = registry.host.replace("localhost", "127.0.0.1")
        scene.image = scene.image.replace(registry.host, host)
        config = write_docker_config(scene.folder / "docker", host, registry.username, registry.password)
        scene.environment["DOCKER_CONFIG"] = str(config)
    return scene, token_registry.token_server.realm.split("/")[2]


def test_a_realm_elsewhere_is_not_asked(realm: tuple[Scene, str], token_registry: TokenRegistry) -> None:
    """Credentials do not go where only the registry says: 3, the hint names --token-host, and nothing was sent."""
    scene, place = realm
    before = len(token_registry.token_server.asked)
    assert sign_and_verify(scene) == (3, 3)
    assert f"--token-host {place}" in scene.verify().err
    assert len(token_registry.token_server.asked) == before


def test_a_realm_that_the_user_names_is_asked(realm: tuple[Scene, str]) -> None:
    """--token-host allows exactly the place that it names."""
    scene, place = realm
    scene.options = ("--token-host", place)
    assert sign_and_verify(scene) == (0, 0)
    scene.options = ("--token-host", "other.example.org")
    assert scene.verify().code == 3


# ---- TLS


@pytest.mark.parametrize("options", [(), ("--ca-file", "other.crt"), ("--plain-http",)])
def test_an_unknown_authority_is_not_trusted(
    options: tuple[str, ...], docker_registry_tls: Registry, sample_image: BuiltImage, scene_in: SceneIn
) -> None:
    """Without its CA file, with another one, or over plain http a TLS registry cannot be read: 3, never a refusal."""
    scene = scene_in(docker_registry_tls, sample_image)
    scene.make_keys("unit")
    assert sign_and_verify(scene) == (0, 0)
    other = ca.make_authority(scene.folder, "other")
    assert other.certificate_file == scene.folder / "other.crt"
    scene.options = (*options, "--timeout", "20")
    assert scene.verify().code == 3
    assert scene.attest(*scene.sign_arguments("unit")).code == 3


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_ca_file_that_is_none_is_an_error(
    content: bytes | None, docker_registry_tls: Registry, sample_image: BuiltImage, scene_in: SceneIn
) -> None:
    """A CA file that is missing or holds no certificate ends with 2 and its name; the system's are not used instead."""
    scene = scene_in(docker_registry_tls, sample_image)
    scene.make_keys("unit")
    scene.write_policy(policy_text(("unit",), images=[scene.image.partition("@")[0]]))
    if content is not None:
        (scene.folder / "ca.crt").write_bytes(content)
    scene.options = ("--ca-file", "ca.crt")
    ended = scene.verify()
    assert ended.code == 2, ended.err
    assert "ca.crt" in ended.err


def test_plain_http_is_for_loopback_alone(tmp_path: Path) -> None:
    """A registry elsewhere is asked over TLS only, unless --plain-http says otherwise: nothing is sent in the clear."""
    scene = Scene(folder=tmp_path, image="192.0.2.1:5000/a@sha256:" + 64 * "0", repository=None)
    scene.make_keys("unit")
    scene.write_policy(policy_text(("unit",), images=["192.0.2.1:5000/a"]))
    assert scene.verify("--timeout", "1").code == 3
