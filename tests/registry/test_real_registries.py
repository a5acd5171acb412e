"""The adapter against real registries: docker-registry, Gitea and olareg, with every kind of authentication."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from attest.adapters.registry import Access, RegistryStore
from attest.core import oci
from attest.core.oci import Platform
from attest.core.reference import RegistryImage, RegistryTag, digest_of, parse_repository
from attest.core.referrers import fallback_tag
from attest.errors import AccessDenied, NotFound, Unreachable
from attest.ports import Attached, Published
from tests.parts import ca, delay
from tests.parts.registry import Registry
from tests.parts.token_server import TokenServer
from tests.registry.conftest import impatient, real
from tests.registry.pushing import (
    CREATED,
    PREDICATE_TYPE,
    Pushed,
    config,
    entry,
    index_of,
    manifest_of,
    push_attestation,
    push_fallback,
    push_image,
    push_manifest,
)

pytestmark = pytest.mark.parts


def publish(store: RegistryStore, image: RegistryImage, bundle: bytes) -> Published:
    """Describe and publish, as `attest sign` does."""
    return store.publish(image, store.describe(image), bundle, predicate_type=PREDICATE_TYPE, created=CREATED)


def bundles(store: RegistryStore, image: RegistryImage) -> list[bytes]:
    """What is attached, sorted."""
    found: list[Attached] = []
    store.read(image, platform=False, receive=found.append)
    return sorted(each.content for each in found)


def test_publish_and_read(any_registry: Registry) -> None:
    """What is published on each family of registries is read back, in any size, and twice is no error."""
    pushed = push_image(any_registry, any_registry.fresh_repository())
    store = real(any_registry, access=Access.PUSH)
    small, large = b'{"small": true}', b" " * 1_000_000
    first = publish(store, pushed.image, small)
    assert publish(store, pushed.image, small) == first
    publish(store, pushed.image, large)
    assert bundles(real(any_registry), pushed.image) == sorted([small, large])


def test_bytes_are_what_was_pushed(any_registry: Registry) -> None:
    """Manifest and bundle have the digests that were reported, as another client reads them."""
    pushed = push_image(any_registry, any_registry.fresh_repository())
    published = publish(real(any_registry, access=Access.PUSH), pushed.image, b'{"n": 1}')
    repository = str(pushed.image.repository)
    manifest = any_registry.manifest(repository, published.manifest)
    assert digest_of(manifest.body) == published.manifest
    path = repository.removeprefix(any_registry.host + "/")
    assert any_registry.ask("GET", f"/v2/{path}/blobs/{published.bundle}").body == b'{"n": 1}'
    assert json.loads(manifest.body)["subject"]["digest"] == pushed.image.digest


def test_nothing_attached(any_registry: Registry) -> None:
    """An image without attestations is read as such, with its platform."""
    pushed = push_image(any_registry, any_registry.fresh_repository())
    stored = real(any_registry).read(pushed.image, platform=True, receive=print)
    assert stored.platform == Platform(os="linux", architecture="amd64")
    assert stored.descriptor == pushed.descriptor


def test_resolve(any_registry: Registry) -> None:
    """A tag resolves to the digest that it stands for, and one that is not there is not found."""
    repository = any_registry.fresh_repository()
    pushed = push_image(any_registry, repository)
    content = manifest_of(config())
    push_manifest(any_registry, repository, content, tag="v1")
    parsed = parse_repository(repository)
    store = real(any_registry)
    assert store.resolve(RegistryTag(repository=parsed, tag="v1")) == pushed.image.digest
    with pytest.raises(NotFound):
        store.resolve(RegistryTag(repository=parsed, tag="v2"))
    with pytest.raises(NotFound):
        store.describe(RegistryImage(repository=parsed, digest=digest_of(b"nothing")))


def test_index(any_registry: Registry) -> None:
    """An index is read with its platforms, and what is attached to each of them."""
    repository = any_registry.fresh_repository()
    platforms = []
    for architecture in ("amd64", "arm64"):
        push_image(any_registry, repository, architecture=architecture)
        platforms.append(
            entry(manifest_of(config(architecture)), platform={"os": "linux", "architecture": architecture})
        )
    digest = push_manifest(any_registry, repository, index_of(*platforms), media_type=oci.INDEX)
    index = RegistryImage(repository=parse_repository(repository), digest=digest)
    child = dataclasses.replace(index, digest=digest_of(manifest_of(config("arm64"))))
    store = real(any_registry, access=Access.PUSH)
    publish(store, index, b"index")
    publish(store, child, b"child")
    found: list[Attached] = []
    stored = real(any_registry).read(index, platform=True, receive=found.append)
    assert {(each.subject, each.content) for each in found} == {(index.digest, b"index"), (child.digest, b"child")}
    assert stored.children is not None
    assert [str(each.platform) for each in stored.children] == ["linux/amd64", "linux/arm64"]


def test_overwritten_list(docker_registry: Registry) -> None:
    """Another client that overwrites the fallback list hides nothing, and its own entry stays."""
    pushed = push_image(docker_registry, docker_registry.fresh_repository())
    store = real(docker_registry, access=Access.PUSH)
    publish(store, pushed.image, b"ours")
    theirs = push_attestation(docker_registry, pushed, b"theirs")
    push_fallback(docker_registry, pushed, theirs)
    assert bundles(real(docker_registry), pushed.image) == [b"ours", b"theirs"]
    publish(store, pushed.image, b"later")
    listing = docker_registry.manifest(str(pushed.image.repository), fallback_tag(pushed.image.digest))
    assert len(json.loads(listing.body)["manifests"]) == 3


def test_gitea_keeps_what_was_listed(gitea: Registry) -> None:
    """On Gitea, where a manifest dies with its only tag, moving the list's tag loses no attestation."""
    pushed = push_image(gitea, gitea.fresh_repository())
    store = real(gitea, access=Access.PUSH)
    published = [publish(store, pushed.image, b"%d" % number) for number in range(3)]
    push_fallback(gitea, pushed)
    for each in published:
        assert gitea.manifest(str(pushed.image.repository), each.manifest).status == 200
    assert len(bundles(real(gitea), pushed.image)) == 3


# ---- authentication


def test_basic(docker_registry_htpasswd: Registry) -> None:
    """A registry with passwords: with the right one everything works, without one it is said what to do."""
    pushed = push_image(docker_registry_htpasswd, docker_registry_htpasswd.fresh_repository())
    publish(real(docker_registry_htpasswd, access=Access.PUSH), pushed.image, b"{}")
    assert bundles(real(docker_registry_htpasswd), pushed.image) == [b"{}"]
    with pytest.raises(AccessDenied) as raised:
        bundles(RegistryStore(impatient()), pushed.image)
    assert raised.value.hint == f"docker login {docker_registry_htpasswd.host}"


def test_tokens(docker_registry_token: Registry, token_server: TokenServer) -> None:
    """A registry with a token service elsewhere: named by the user it works, with one token; else it is refused."""
    pushed = push_image(docker_registry_token, docker_registry_token.fresh_repository())
    service = token_server.realm.split("/")[2]
    with pytest.raises(AccessDenied) as raised:
        bundles(real(docker_registry_token), pushed.image)
    assert f"--token-host {service}" in str(raised.value.hint)
    before = len(token_server.asked)
    store = real(docker_registry_token, access=Access.PUSH, token_hosts=frozenset([service]))
    publish(store, pushed.image, b"{}")
    assert bundles(store, pushed.image) == [b"{}"]
    assert len(token_server.asked) == before + 1


def test_tls(docker_registry_tls: Registry) -> None:
    """A registry over TLS with an authority of its own is reached with that authority, and not without it."""
    pushed = push_image(docker_registry_tls, docker_registry_tls.fresh_repository())
    publish(real(docker_registry_tls, access=Access.PUSH), pushed.image, b"{}")
    assert bundles(real(docker_registry_tls), pushed.image) == [b"{}"]


def test_tls_without_the_authority(docker_registry_tls: Registry, tmp_path: Path) -> None:
    """Another authority does not vouch for it, and nothing else is tried."""
    pushed = push_image(docker_registry_tls, docker_registry_tls.fresh_repository())
    stranger = ca.make_authority(tmp_path, "stranger").certificate_file
    with pytest.raises(Unreachable, match="TLS"):
        bundles(RegistryStore(impatient(ca_file=str(stranger))), pushed.image)


# ---- how many requests, and how deep


def through(proxy: delay.Delayed, pushed: Pushed) -> RegistryImage:
    """The image, by way of the proxy."""
    path = pushed.image.repository.path
    return dataclasses.replace(pushed.image, repository=parse_repository(f"{proxy.registry.host}/{path}"))


def counted(proxy: delay.Delayed) -> list[delay.Exchange]:
    """The requests, but for those that serve a token."""
    return [each for each in proxy.exchanges if each.path != "/v2/" and "/token" not in each.path]


def depth_of(work: Callable[[delay.Delayed], None], registry: Registry, folder: Path, *, wanted: int) -> int:
    """How deep the requests of some work stand behind one another, without those that serve a token: at most two.

    Requests that depend on each other never overlap, but on a busy machine others may not overlap either. So where
    they look deeper than wanted they are looked at again, with answers that take longer.
    """
    deep = 0
    for number, milliseconds in enumerate((150, 600, 2400)):
        place = folder / str(number)
        place.mkdir()
        with delay.delayed(registry, place, milliseconds=milliseconds) as proxy:
            work(proxy)
            asked = counted(proxy)
            assert len(proxy.exchanges) <= len(asked) + 2
        deep = delay.depth(asked)
        if deep <= wanted:
            break
    return deep


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 5, 20])
@pytest.mark.parametrize("inline", [True, False])
def test_depth_of_reading(any_registry: Registry, tmp_path: Path, count: int, inline: bool) -> None:
    """N attestations take at most 6 + 2N requests three deep, or 6 + N two deep, and two more for a token."""
    pushed = push_image(any_registry, any_registry.fresh_repository())
    manifests = [push_attestation(any_registry, pushed, b'{"n":%d}' % number, inline=inline) for number in range(count)]
    if any_registry.name != "olareg":
        push_fallback(any_registry, pushed, *manifests)

    def read(proxy: delay.Delayed) -> None:
        found: list[Attached] = []
        real(proxy.registry).read(through(proxy, pushed), platform=True, receive=found.append)
        assert len(found) == count
        assert len(counted(proxy)) <= 6 + (1 if inline else 2) * count

    deepest = 2 if inline else 3
    assert depth_of(read, any_registry, tmp_path, wanted=deepest) <= deepest


def test_depth_of_publishing(any_registry: Registry, tmp_path: Path) -> None:
    """Describing, publishing and reading back are at most seven requests deep, also where others have published."""
    pushed = push_image(any_registry, any_registry.fresh_repository())
    publish(real(any_registry, access=Access.PUSH), pushed.image, b"earlier")
    names = iter((b"now", b"again", b"once more"))

    def attach(proxy: delay.Delayed) -> None:
        publish(real(proxy.registry, access=Access.PUSH), through(proxy, pushed), next(names))

    assert depth_of(attach, any_registry, tmp_path, wanted=7) <= 7
