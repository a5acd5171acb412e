"""pytest fixtures: real registries that run for the session, and real images to push there.

Loaded by `tests/conftest.py` through `pytest_plugins`. A worker has its own servers; images are built once.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.parts import browser as browser_part
from tests.parts import containers as containers_part
from tests.parts import cosign as cosign_part
from tests.parts import docker_registry as docker_registry_part
from tests.parts import gitea as gitea_part
from tests.parts import images
from tests.parts import olareg as olareg_part
from tests.parts import postgres as postgres_part
from tests.parts import sigstore as sigstore_part
from tests.parts import twins as twins_part
from tests.parts.images import BuiltImage
from tests.parts.once import make_once, shared_folder
from tests.parts.registry import Registry
from tests.parts.token_server import TokenServer
from tests.parts.twins import Kind, Twins


@pytest.fixture(scope="session")
def docker_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """docker-registry 2.8 over plain http, open to everybody; no referrers API."""
    with docker_registry_part.plain(tmp_path_factory.mktemp("docker-registry")) as registry:
        yield registry


@pytest.fixture(scope="session")
def docker_registry_htpasswd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """docker-registry with basic authentication."""
    with docker_registry_part.with_htpasswd(tmp_path_factory.mktemp("docker-registry-htpasswd")) as registry:
        yield registry


@pytest.fixture(scope="session")
def token_registry(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[docker_registry_part.TokenRegistry]:
    """docker-registry with token authentication, and its token server."""
    with docker_registry_part.with_tokens(tmp_path_factory.mktemp("docker-registry-token")) as running:
        yield running


@pytest.fixture(scope="session")
def docker_registry_token(token_registry: docker_registry_part.TokenRegistry) -> Registry:
    """docker-registry with token authentication; its realm is another port of the same host."""
    return token_registry.registry


@pytest.fixture(scope="session")
def token_server(token_registry: docker_registry_part.TokenRegistry) -> TokenServer:
    """The token server of `docker_registry_token`, with a record of what it was asked."""
    return token_registry.token_server


@pytest.fixture(scope="session")
def docker_registry_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """docker-registry over TLS, with a certificate of an authority that no system knows."""
    with docker_registry_part.with_tls(tmp_path_factory.mktemp("docker-registry-tls")) as registry:
        yield registry


@pytest.fixture(scope="session")
def gitea(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Gitea over plain http with one user and bearer tokens; no referrers API."""
    template = make_once(shared_folder(tmp_path_factory), "gitea-template", gitea_part.make_template)
    with gitea_part.gitea(tmp_path_factory.mktemp("gitea"), template) as registry:
        yield registry


@pytest.fixture(scope="session")
def olareg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """olareg over plain http, open to everybody; with the referrers API."""
    with olareg_part.olareg(tmp_path_factory.mktemp("olareg")) as registry:
        yield registry


@pytest.fixture(scope="session", params=["docker_registry", "gitea", "olareg"])
def any_registry(request: pytest.FixtureRequest) -> Registry:
    """Each family of registries in turn."""
    registry: Registry = request.getfixturevalue(request.param)
    return registry


@pytest.fixture(scope="session")
def cosign(tmp_path_factory: pytest.TempPathFactory) -> cosign_part.Cosign:
    """cosign with a home of its own and no network but the registry."""
    return cosign_part.Cosign(tmp_path_factory.mktemp("cosign"))


@pytest.fixture(scope="session")
def sample_image(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """An application image for this machine, in an OCI layout that is for reading only."""
    folder = make_once(shared_folder(tmp_path_factory), "sample-image", images.build)
    return images.read(folder / "layout")


@pytest.fixture(scope="session")
def other_image(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """Another version of the application, with another digest."""
    folder = make_once(
        shared_folder(tmp_path_factory), "other-image", lambda target: images.build(target, version="2.0")
    )
    return images.read(folder / "layout")


@pytest.fixture(scope="session")
def index_image(tmp_path_factory: pytest.TempPathFactory) -> BuiltImage:
    """An image index of two platforms, in an OCI layout that is for reading only."""
    folder = make_once(shared_folder(tmp_path_factory), "index-image", images.build_index)
    return images.read(folder / "layout")


@pytest.fixture(scope="session")
def private_sigstore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sigstore_part.PrivateSigstore]:
    """Fulcio, Rekor v2 and a timestamp server on loopback, which trust an issuer of the tests' own."""
    with sigstore_part.private_sigstore(tmp_path_factory.mktemp("sigstore")) as running:
        yield running


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[containers_part.Podman]:
    """Podman with a storage of its own."""
    with containers_part.podman(tmp_path_factory.mktemp("podman")) as engine:
        yield engine


@pytest.fixture(scope="session")
def browser_image() -> BuiltImage:
    """An image with Debian's Chromium, Python, pytest and Playwright, kept from run to run."""
    return browser_part.runner_image()


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_part.Postgres]:
    """PostgreSQL on loopback, where a test makes a database of its own."""
    with postgres_part.postgres() as server:
        yield server


@pytest.fixture(scope="session", params=list(Kind), ids=lambda kind: kind.value)
def twins(request: pytest.FixtureRequest) -> Twins:
    """A good image and its bad twin, of each kind in turn, kept from run to run."""
    return twins_part.twins(request.param)
