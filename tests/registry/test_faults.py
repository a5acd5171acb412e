"""Whatever a registry does, no verb takes it for success, and every error is one of attest's own."""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from attest.adapters.deadline import Deadline
from attest.adapters.registry import RegistryStore
from attest.core import limits, oci
from attest.core.reference import RegistryImage, RegistryTag, Repository, digest_of
from attest.core.referrers import fallback_tag, legacy_tag, own_tag
from attest.errors import (
    AccessDenied,
    DeadlineExceeded,
    LimitExceeded,
    StoreError,
    StoreMisbehaved,
    Undecided,
    Unreachable,
)
from attest.ports import Attached, Published
from tests.parts import ca
from tests.registry import faults
from tests.registry.conftest import impatient
from tests.registry.faults import REPOSITORY, Fault, FaultyRegistry
from tests.registry.pushing import CREATED, PREDICATE_TYPE, entry, index_of, manifest_of

BUNDLES = tuple(b'{"bundle": %d}' % number for number in range(1, 5))

Verb = Callable[[RegistryStore, RegistryImage], object]


def resolve(store: RegistryStore, image: RegistryImage) -> object:
    """Resolve the tag `v1`."""
    return store.resolve(RegistryTag(repository=image.repository, tag="v1"))


def describe(store: RegistryStore, image: RegistryImage) -> oci.Descriptor:
    """Describe the image."""
    return store.describe(image)


def read(store: RegistryStore, image: RegistryImage) -> list[bytes]:
    """Read everything; the bundles, sorted."""
    found: list[Attached] = []
    store.read(image, platform=True, receive=found.append)
    return sorted(each.content for each in found)


def publish(store: RegistryStore, image: RegistryImage) -> Published:
    """Publish a bundle."""
    subject = oci.Descriptor(media_type=oci.MANIFEST, digest=image.digest, size=len(manifest_of(b"")))
    return store.publish(image, subject, b'{"bundle": 0}', predicate_type=PREDICATE_TYPE, created=CREATED)


SLOW = {"timeout", "slow drip of headers", "slow drip of the body"}


def store_for(fault: str) -> RegistryStore:
    """A store that loses its patience soon, if slowness is the fault."""
    return RegistryStore(impatient(response_timeout=0.15) if fault in SLOW else impatient())


VERBS: dict[str, Verb] = {"resolve": resolve, "describe": describe, "read": read, "publish": publish}

EVERYWHERE: dict[str, tuple[Fault, type[Undecided]]] = {
    "timeout": (faults.hang, Unreachable),
    "slow drip of headers": (faults.drip_headers, Unreachable),
    "reset": (faults.reset, Unreachable),
    "garbage": (faults.garbage, Unreachable),
    "endless headers": (faults.endless_headers, Unreachable),
    "400": (faults.status(400), StoreError),
    "401 without a challenge": (faults.status(401), AccessDenied),
    "401 loop": (faults.status(401, {"WWW-Authenticate": 'Basic realm="x"'}), AccessDenied),
    "401 with nonsense": (faults.status(401, {"WWW-Authenticate": 'Bearer realm="x'}), StoreMisbehaved),
    "403": (faults.status(403), AccessDenied),
    "404": (faults.status(404), StoreError),
    "405": (faults.status(405), StoreError),
    "429": (faults.status(429), StoreError),
    "429 with a wish": (faults.status(429, {"Retry-After": "30"}), StoreError),
    "500": (faults.status(500), StoreError),
    "503": (faults.status(503), StoreError),
    "206": (faults.status(206), StoreError),
    "304": (faults.status(304), StoreError),
    "redirect loop": (faults.redirect_loop, StoreError),
    "redirects without an end": (faults.redirect_on, StoreError),
    "redirect to nowhere": (faults.status(302), StoreError),
    "redirect to a file": (faults.redirect("file:///etc/passwd"), StoreError),
    "redirect to a metadata service": (faults.redirect("http://169.254.169.254/latest"), StoreError),
}
"""Faults of every response, and what they are reported as."""

BODIES: dict[str, tuple[Fault, type[Undecided]]] = {
    "slow drip of the body": (faults.drip_body, Unreachable),
    "short body": (faults.short_body, Unreachable),
    "endless body": (faults.endless_body, LimitExceeded),
    "huge declared length": (faults.declared_huge, LimitExceeded),
    "gzip bomb": (faults.gzip_bomb, StoreMisbehaved),
    "empty object": (faults.serve(b"{}"), StoreMisbehaved),
    "no JSON": (faults.serve(b"<html>"), StoreMisbehaved),
    "page of HTML": (faults.serve(b"<html>", "text/html"), StoreMisbehaved),
    "null": (faults.serve(b"null"), StoreMisbehaved),
    "deep nesting": (faults.serve(b'{"a":' + b"[" * 100_000), StoreMisbehaved),
}
"""Faults of the body of a response to a reading verb."""


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("fault", EVERYWHERE)
def test_fault_of_every_response(faulty: FaultyRegistry, verb: str, fault: str) -> None:
    """A fault that every response shows makes every verb fail with an error of attest, of the right kind."""
    answer, kind = EVERYWHERE[fault]
    image = faulty.add_image()
    faulty.misbehave(answer)
    with pytest.raises(kind) as raised:
        VERBS[verb](store_for(fault), image)
    assert raised.value.exit_code == 3


@pytest.mark.parametrize("verb", ["resolve", "describe", "read"])
@pytest.mark.parametrize("fault", BODIES)
def test_fault_of_every_body(faulty: FaultyRegistry, verb: str, fault: str) -> None:
    """A body that is not what was asked for makes every reading verb fail, and costs no memory."""
    answer, kind = BODIES[fault]
    image = faulty.add_image()
    faulty.misbehave(answer, method="GET")
    with pytest.raises(kind):
        VERBS[verb](store_for(fault), image)


ROUTES = {
    "the image": "/manifests/{image}",
    "its configuration": "/blobs/{config}",
    "the referrers API": "/referrers/",
    "the fallback tag": r"/manifests/{fallback}(\?|$)",
    "the tags": "/tags/list",
    "an attestation by digest": "/manifests/{by_digest}",
    "an attestation by its own tag": "/manifests/{own}",
    "the legacy tag": r"/manifests/{legacy}(\?|$)",
    "a bundle": "/blobs/{bundle}",
}
SINGLE: dict[str, Fault] = {
    **{name: fault for name, (fault, _) in (EVERYWHERE | BODIES).items()},
    "longer": faults.longer,
    "flipped": faults.flipped,
    "wrong type": faults.wrong_type,
    "claimed encoding": faults.claimed_encoding,
    "an empty index": faults.serve(index_of(), oci.INDEX),
    "an ambiguous manifest": faults.serve(
        manifest_of(b"{}", manifests=[entry(b"{}")], annotations={"x": "y"}), oci.MANIFEST
    ),
}
NOT_A_FAULT = {
    # A 404 says that there is no such list. What is attached is then found in the other ones, and a registry that
    # wants to hide something is not to be stopped: it is asked for all that policies demand.
    ("the referrers API", "404"),
    ("the fallback tag", "404"),
    ("the tags", "404"),
    # An empty list is a list.
    ("the referrers API", "an empty index"),
    ("the fallback tag", "an empty index"),
    # These are not among the things that this route is checked for: a list of tags has no type of its own, and
    # what is fetched by a digest is what the digest says.
    ("the tags", "wrong type"),
    ("the tags", "longer"),
    ("its configuration", "wrong type"),
    ("a bundle", "wrong type"),
    # White space behind a list changes no entry, and nothing named the list's digest.
    ("the referrers API", "longer"),
    ("the fallback tag", "longer"),
    ("the legacy tag", "longer"),
    # Nothing says what the legacy tag must hold, but that it is a manifest.
    ("the legacy tag", "an empty index"),
}


@pytest.fixture
def full(faulty: FaultyRegistry) -> tuple[FaultyRegistry, RegistryImage, dict[str, str]]:
    """A registry with one attestation in each place, and what the routes' names mean there."""
    image = faulty.add_image()
    for bundle in BUNDLES:
        faulty.add_blob(bundle)
    # A manifest without a subject is in no referrers API, so that each of these is in one place only.
    listed, tagged = (manifest_of(b"{}", layers=[entry(bundle, media_type=oci.BUNDLE)]) for bundle in BUNDLES[:2])
    faulty.add_manifest(listed)
    faulty.list_at_fallback(image, listed)
    faulty.add_manifest(tagged, tag=own_tag(image.digest, digest_of(tagged)))
    legacy = manifest_of(b"{}", layers=[entry(BUNDLES[2], media_type=oci.DSSE_ENVELOPE)])
    faulty.add_manifest(legacy, tag=legacy_tag(image.digest))
    faulty.add_attestation(image, BUNDLES[3])
    names = {
        "image": image.digest,
        "config": oci.parse_manifest(faulty.manifests[image.digest][1]).config.digest,  # type: ignore[union-attr]
        "fallback": fallback_tag(image.digest),
        "by_digest": digest_of(listed),
        "own": own_tag(image.digest, digest_of(tagged)),
        "legacy": legacy_tag(image.digest),
        "bundle": digest_of(BUNDLES[0]),
    }
    return faulty, image, {name: re.escape(text) for name, text in names.items()}


def test_full_registry_is_read(full: tuple[FaultyRegistry, RegistryImage, dict[str, str]]) -> None:
    """Without a fault the registry of the next test shows all of its attestations."""
    _, image, _ = full
    assert read(RegistryStore(impatient()), image) == sorted(BUNDLES)


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("fault", SINGLE)
def test_fault_of_one_route(full: tuple[FaultyRegistry, RegistryImage, dict[str, str]], route: str, fault: str) -> None:
    """With a fault on one route only, reading fails, or nothing is missing; it never shows less without an error."""
    registry, image, names = full
    path = ROUTES[route].format(**names)
    registry.misbehave(SINGLE[fault], path)
    store = store_for(fault)
    if (route, fault) in NOT_A_FAULT:
        assert set(read(store, image)) <= set(BUNDLES)
    else:
        with pytest.raises(Undecided):
            read(store, image)
    assert any(re.search(path, seen.path) for seen in registry.seen)


@pytest.mark.parametrize("route", ["/referrers/", "/tags/list"])
@pytest.mark.parametrize(
    ("fault", "kind"), [(faults.looped_pages, StoreMisbehaved), (faults.endless_pages, LimitExceeded)]
)
def test_pages_end(faulty: FaultyRegistry, route: str, fault: Fault, kind: type[Undecided]) -> None:
    """Pages that lead to themselves, and pages without an end, are no listing."""
    image = faulty.add_image()
    faulty.misbehave(fault, route)
    with pytest.raises(kind):
        read(RegistryStore(impatient()), image)
    assert len([seen for seen in faulty.seen if route in seen.path]) <= limits.PAGES


@pytest.mark.parametrize("link", ["{other}/v2/x", "file:///etc/passwd", "http://[", "//169.254.169.254/"])
@pytest.mark.parametrize("route", ["/referrers/", "/tags/list"])
def test_next_page_elsewhere(faulty: FaultyRegistry, route: str, link: str) -> None:
    """A next page on another origin is not fetched, and its absence is not overlooked."""
    image = faulty.add_image()
    with FaultyRegistry().running() as other:
        target = link.format(other=other.url)
        faulty.misbehave(
            faults.serve(
                b'{"schemaVersion":2,"manifests":[],"tags":[]}', oci.INDEX, {"Link": f'<{target}>; rel="next"'}
            ),
            route,
        )
        with pytest.raises(StoreMisbehaved):
            read(RegistryStore(impatient()), image)
        assert other.seen == []


@pytest.mark.parametrize("place", ["/referrers/", "/manifests/sha256-"])
def test_100_000_entries(faulty: FaultyRegistry, place: str) -> None:
    """A list of 100,000 entries is refused, in whatever list it stands."""
    image = faulty.add_image()
    tiny = {"mediaType": "a", "digest": "sha256:" + "0" * 64, "size": 1}
    faulty.misbehave(faults.serve(index_of(*(dict(tiny) for _ in range(100_000))), oci.INDEX), place)
    with pytest.raises(LimitExceeded):
        read(RegistryStore(impatient()), image)


def test_100_000_tags(old_faulty: FaultyRegistry) -> None:
    """So are 100,000 own tags, and so is a page of tags that is too large to read."""
    image = old_faulty.add_image()
    prefix = fallback_tag(image.digest)
    tags = [f"{prefix}.attest-{number:040x}" for number in range(100_000)]
    for names in (tags[:20_000], tags):
        old_faulty.misbehave(faults.serve(json.dumps({"tags": names}).encode(), faults.JSON), "n=1000", times=1)
    with pytest.raises(LimitExceeded, match="attached"):
        read(RegistryStore(impatient()), image)
    with pytest.raises(LimitExceeded, match="bytes"):
        read(RegistryStore(impatient()), image)


def test_alternating_bytes(faulty: FaultyRegistry) -> None:
    """A registry that serves other bytes to the second reader is caught by the second reader."""
    image = faulty.add_image()
    other = manifest_of(b"other")
    store = RegistryStore(impatient())
    assert store.describe(image).digest == image.digest
    faulty.misbehave(faults.serve(other), "/manifests/sha256:")
    with pytest.raises(StoreMisbehaved, match="other bytes"):
        store.describe(image)
    with pytest.raises(StoreMisbehaved, match="other bytes"):
        read(store, image)


def test_digest_header_is_not_believed(faulty: FaultyRegistry) -> None:
    """`resolve` hashes what it read, whatever `Docker-Content-Digest` says."""
    image = faulty.add_image()
    content = manifest_of(b"other")
    faulty.misbehave(faults.serve(content, headers={"Docker-Content-Digest": image.digest}), "/manifests/v1")
    assert resolve(RegistryStore(impatient()), image) == digest_of(content)


@pytest.mark.parametrize("verb", VERBS)
def test_refused_connection(verb: str) -> None:
    """Where nobody listens, every verb gives up after a few tries."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
    image = RegistryImage(repository=Repository(host=host, path=REPOSITORY), digest=digest_of(b""))
    with pytest.raises(Unreachable, match="refused"):
        VERBS[verb](RegistryStore(impatient()), image)


def test_registry_that_comes_up(faulty: FaultyRegistry) -> None:
    """A connection that is refused at first is tried again: a registry may still be starting."""
    image = faulty.add_image()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    late = RegistryImage(repository=Repository(host=f"127.0.0.1:{port}", path=REPOSITORY), digest=image.digest)

    def come_up() -> None:
        listener = socket.create_server(("127.0.0.1", port))
        connection, _ = listener.accept()
        connection.recv(65536)
        body = faulty.manifests[image.digest][1]
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {oci.MANIFEST}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        connection.close()
        listener.close()

    starting = threading.Timer(0.2, come_up)
    starting.start()
    try:
        store = RegistryStore(impatient(refused_for=20.0, backoff=0.02))
        assert store.describe(late).digest == image.digest
    finally:
        starting.join()


@pytest.mark.parametrize("verb", VERBS)
def test_unknown_authority(tmp_path: Path, verb: str) -> None:
    """A certificate that no trusted authority vouches for ends every verb before anything is sent."""
    authority = ca.make_authority(tmp_path, "ca")
    server = ca.issue_server(authority, tmp_path)
    stranger = ca.make_authority(tmp_path, "stranger")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate_file, server.key_file)
    with FaultyRegistry(tls=context).running() as registry:
        image = registry.add_image()
        trusting = RegistryStore(impatient(ca_file=str(authority.certificate_file)))
        assert trusting.describe(image).digest == image.digest
        registry.forget()
        with pytest.raises(Unreachable, match="TLS"):
            VERBS[verb](RegistryStore(impatient(ca_file=str(stranger.certificate_file))), image)
        assert registry.seen == []


def test_https_is_not_left(tmp_path: Path, faulty: FaultyRegistry) -> None:
    """A redirect from https to plain http is refused, on loopback too."""
    authority = ca.make_authority(tmp_path, "ca")
    server = ca.issue_server(authority, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.certificate_file, server.key_file)
    with FaultyRegistry(tls=context).running() as registry:
        image = registry.add_image()
        faulty.add_image()
        registry.misbehave(faults.redirect(f"{faulty.url}/v2/{REPOSITORY}/manifests/v1"), "/manifests/")
        store = RegistryStore(impatient(ca_file=str(authority.certificate_file)))
        for verb in (resolve, describe, read):
            with pytest.raises(StoreMisbehaved, match="plain http"):
                verb(store, image)
    assert faulty.seen == []


@pytest.mark.parametrize("verb", VERBS)
def test_deadline_of_the_command(faulty: FaultyRegistry, verb: str) -> None:
    """The command's own deadline ends a wait that every single timeout would allow."""
    image = faulty.add_image()
    faulty.misbehave(faults.hang)
    with pytest.raises(DeadlineExceeded):
        VERBS[verb](RegistryStore(impatient(deadline=Deadline(0.3))), image)


def test_passing_faults_pass(faulty: FaultyRegistry) -> None:
    """A reset, a short body, 429 and 5xx that end in time leave no trace in what is read."""
    image = faulty.add_image()
    for bundle in BUNDLES:
        faulty.add_attestation(image, bundle)
    for fault in (faults.reset, faults.status(503), faults.status(429, {"Retry-After": "0"}), faults.status(500)):
        faulty.misbehave(fault, "/manifests/sha256:", times=1)
    for fault in (faults.reset, faults.garbage, faults.status(502)):
        faulty.misbehave(fault, "/blobs/", times=1)
    faulty.misbehave(faults.short_body, "/referrers/", times=2)
    assert read(RegistryStore(impatient()), image) == sorted(BUNDLES)


def test_requests_are_not_repeated_for_ever(faulty: FaultyRegistry) -> None:
    """A registry that is down for good is asked a bounded number of times."""
    image = faulty.add_image()
    faulty.misbehave(faults.status(500))
    with pytest.raises(StoreError, match="500"):
        describe(RegistryStore(impatient()), image)
    assert 2 <= len(faulty.seen) <= 8


def test_bundle_in_the_manifest_is_checked(faulty: FaultyRegistry) -> None:
    """A bundle that stands in its descriptor must be what the descriptor describes."""
    image = faulty.add_image()
    lying = entry(BUNDLES[0], media_type=oci.BUNDLE, data=base64.b64encode(BUNDLES[1]).decode())
    faulty.list_at_fallback(image, manifest_of(b"{}", layers=[lying]))
    faulty.add_manifest(manifest_of(b"{}", layers=[lying]))
    with pytest.raises(StoreMisbehaved, match="other bytes"):
        read(RegistryStore(impatient()), image)
