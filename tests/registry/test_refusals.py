"""What else ends a command: authorities that cannot be read, refused tokens, lists and configurations that are none."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from attest.adapters.registry import Access, RegistryStore
from attest.core import limits, oci
from attest.core.reference import digest_of
from attest.core.referrers import fallback_tag
from attest.errors import AccessDenied, DocumentInvalid, LimitExceeded, StoreError, StoreMisbehaved
from attest.ports import Attached
from tests.parts import ca
from tests.registry import faults
from tests.registry.conftest import impatient
from tests.registry.faults import FaultyRegistry
from tests.registry.pushing import config, entry, index_of, manifest_of
from tests.registry.test_faults import describe, publish, read


@pytest.mark.parametrize("content", [None, b"", b"not PEM"])
def test_authorities_that_cannot_be_read(faulty: FaultyRegistry, tmp_path: Path, content: bytes | None) -> None:
    """A CA file that is missing or holds no certificate is an error of the user's input, with its name."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DocumentInvalid, match="no authorities") as raised:
        describe(RegistryStore(impatient(ca_file=str(file))), faulty.add_image())
    assert raised.value.file == str(file)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, AccessDenied), (401, AccessDenied), (403, AccessDenied), (404, StoreError), (500, StoreError)],
)
def test_realm_that_gives_no_token(
    faulty: FaultyRegistry, canary: Callable[[str], Path], status: int, kind: type[StoreError]
) -> None:
    """A realm that refuses ends the command; nothing is then tried without a token."""
    image = faulty.add_image()
    faulty.misbehave(faults.status(status), "^/token")
    faulty.misbehave(faults.status(401, {"WWW-Authenticate": f'Bearer realm="{faulty.url}/token"'}))
    with pytest.raises(kind):
        describe(RegistryStore(impatient(docker_config=canary(faulty.host))), image)
    assert not any("/manifests/" in seen.path for seen in faulty.seen)


def test_realm_over_plain_http(faulty: FaultyRegistry, canary: Callable[[str], Path], tmp_path: Path) -> None:
    """A registry over https cannot have credentials sent over plain http, not even to a host that the user named."""
    authority = ca.make_authority(tmp_path, "ca")
    server = ca.issue_server(authority, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate_file, server.key_file)
    with FaultyRegistry(tls=context).running() as registry:
        image = registry.add_image()
        registry.misbehave(faults.status(401, {"WWW-Authenticate": f'Bearer realm="{faulty.url}/token"'}))
        settings = impatient(
            ca_file=str(authority.certificate_file),
            docker_config=canary(registry.host),
            token_hosts=frozenset([faulty.host]),
        )
        with pytest.raises(AccessDenied, match="plain http"):
            describe(RegistryStore(settings), image)
    assert faulty.seen == []


def test_referrers_that_are_a_manifest(faulty: FaultyRegistry) -> None:
    """An answer of the referrers API that is no index is an error."""
    image = faulty.add_image()
    faulty.misbehave(faults.serve(manifest_of(b"{}")), "/referrers/")
    with pytest.raises(StoreMisbehaved, match="not an image index"):
        read(RegistryStore(impatient()), image)


@pytest.mark.parametrize("place", ["/referrers/", "/manifests/sha256-"])
def test_one_entry_too_many(faulty: FaultyRegistry, place: str) -> None:
    """A list of one more than `limits.REFERRERS` small entries is refused by their number."""
    image = faulty.add_image()
    listing = index_of(*(entry(b"%d" % number) for number in range(limits.REFERRERS + 1)))
    faulty.misbehave(faults.serve(listing, oci.INDEX), place)
    with pytest.raises(LimitExceeded, match=str(limits.REFERRERS)):
        read(RegistryStore(impatient()), image)


@pytest.mark.parametrize("tags", ['{"tags": "v1"}', '{"tags": [1]}', '{"tags": {}}', '["v1"]', '{"tags": ["v1"]'])
def test_tags_that_are_no_list(faulty: FaultyRegistry, tags: str) -> None:
    """Tags that are not a list of strings are an error, not none."""
    image = faulty.add_image()
    faulty.misbehave(faults.serve(tags.encode(), faults.JSON), "/tags/")
    with pytest.raises(StoreMisbehaved):
        read(RegistryStore(impatient()), image)


def test_configuration_without_a_platform(faulty: FaultyRegistry) -> None:
    """An image whose configuration names no platform has none that could be guessed."""
    configuration = json.dumps({"os": "linux"}).encode()
    faulty.add_blob(configuration)
    image = faulty.named(faulty.add_manifest(manifest_of(configuration)))
    with pytest.raises(StoreMisbehaved, match="architecture"):
        read(RegistryStore(impatient()), image)


def test_one_manifest_listed_for_two_platforms(old_faulty: FaultyRegistry) -> None:
    """A manifest that two lists name is fetched once if it is on its way, and counts for both subjects."""
    bundle = b'{"joint": true}'
    old_faulty.add_blob(bundle)
    joint = manifest_of(b"{}", layers=[entry(bundle, media_type=oci.BUNDLE)])
    old_faulty.add_manifest(joint)
    children = [manifest_of(config(architecture)) for architecture in ("amd64", "arm64")]
    for child in children:
        old_faulty.list_at_fallback(old_faulty.named(old_faulty.add_manifest(child)), joint)
    image = old_faulty.named(old_faulty.add_manifest(index_of(*map(entry, children)), media_type=oci.INDEX))
    found: list[Attached] = []
    RegistryStore(impatient()).read(image, platform=False, receive=found.append)
    assert {each.subject for each in found} == {digest_of(child) for child in children}
    assert {each.manifest for each in found} == {digest_of(joint)}


def test_list_of_others_that_is_broken(old_faulty: FaultyRegistry) -> None:
    """What another client left at the fallback tag is not overwritten if it cannot be read."""
    image = old_faulty.add_image()
    broken = b'{"schemaVersion": 2, "mediaType": "' + oci.INDEX.encode() + b'", "manifests": 1}'
    old_faulty.add_manifest(broken, tag=fallback_tag(image.digest), media_type=oci.INDEX)
    with pytest.raises(StoreMisbehaved):
        publish(RegistryStore(impatient(access=Access.PUSH)), image)
    assert old_faulty.manifests[fallback_tag(image.digest)] == (oci.INDEX, broken)
