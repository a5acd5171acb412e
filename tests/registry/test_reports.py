"""Test reports beside images: kept on real registries, found by two digests, and nothing believed of a false one."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from attest.adapters.registry import Access, RegistryStore
from attest.core import limits
from attest.core.lane.reportartifact import TYPE, report_tag, write_manifest
from attest.core.oci import MANIFEST
from attest.core.reference import RegistryImage, digest_of
from attest.errors import LimitExceeded, NotFound, NotPublished, StoreError, StoreMisbehaved, Undecided
from attest.ports import Attached
from tests.parts.registry import Registry
from tests.registry import faults
from tests.registry.conftest import impatient, real
from tests.registry.faults import Fault, FaultyRegistry
from tests.registry.pushing import CREATED, PREDICATE_TYPE, push_image

REPORT = b"<testsuites><testsuite><testcase name='a'/></testsuite></testsuites>"
XML = "application/xml"


def nothing(attached: Attached) -> None:
    """Fail: something is attached."""
    raise AssertionError(f"{attached.manifest} is attached")


@pytest.mark.parts
def test_a_report_is_kept(any_registry: Registry) -> None:
    """On each family of registries a report of any size is read back; keeping it twice is no error."""
    image = push_image(any_registry, any_registry.fresh_repository()).image
    store = real(any_registry, access=Access.PUSH)
    large = b"1..1\nok 1\n" + b"#" * 3_000_000
    first = store.store_report(image, REPORT, media_type=XML)
    assert store.store_report(image, REPORT, media_type=XML) == first
    store.store_report(image, large, media_type="text/plain")
    reader = real(any_registry)
    assert reader.fetch_report(image, digest_of(REPORT)) == REPORT
    assert reader.fetch_report(image, digest_of(large)) == large


@pytest.mark.parts
def test_others_can_read_it(any_registry: Registry) -> None:
    """Tag, manifest and blob are those of an OCI artifact, as another client sees them."""
    image = push_image(any_registry, any_registry.fresh_repository()).image
    descriptor = real(any_registry, access=Access.PUSH).store_report(image, REPORT, media_type=XML)
    repository = str(image.repository)
    for reference in (descriptor.digest, report_tag(image.digest, digest_of(REPORT))):
        manifest = any_registry.manifest(repository, reference)
        assert manifest.body == write_manifest(report=REPORT, media_type=XML)
        assert (descriptor.media_type, descriptor.size) == (MANIFEST, len(manifest.body))
        assert descriptor.artifact_type == TYPE
    path = repository.removeprefix(any_registry.host + "/")
    assert any_registry.ask("GET", f"/v2/{path}/blobs/{digest_of(REPORT)}").body == REPORT


@pytest.mark.parts
def test_a_report_is_no_attestation(any_registry: Registry) -> None:
    """A verifier reads the image without meeting its reports, before and after something is attached."""
    image = push_image(any_registry, any_registry.fresh_repository()).image
    store = real(any_registry, access=Access.PUSH)
    store.store_report(image, REPORT, media_type=XML)
    real(any_registry).read(image, platform=True, receive=nothing)
    bundle = b'{"n": 1}'
    store.publish(image, store.describe(image), bundle, predicate_type=PREDICATE_TYPE, created=CREATED)
    found: list[Attached] = []
    real(any_registry).read(image, platform=False, receive=found.append)
    assert [one.content for one in found] == [bundle]
    assert store.fetch_report(image, digest_of(REPORT)) == REPORT


@pytest.mark.parts
def test_each_image_has_its_own(any_registry: Registry) -> None:
    """What is kept beside one image is not beside another; both may keep the same report."""
    repository = any_registry.fresh_repository()
    one = push_image(any_registry, repository).image
    other = RegistryImage(repository=one.repository, digest=digest_of(b"another image"))
    store = real(any_registry, access=Access.PUSH)
    first = store.store_report(one, REPORT, media_type=XML)
    with pytest.raises(NotFound, match="keeps no report"):
        store.fetch_report(other, digest_of(REPORT))
    assert store.store_report(other, REPORT, media_type=XML) == first
    assert store.fetch_report(one, digest_of(REPORT)) == store.fetch_report(other, digest_of(REPORT)) == REPORT


def test_a_report_that_is_too_large_is_not_pushed(faulty: FaultyRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit nothing is sent."""
    monkeypatch.setattr(limits, "REPORT", 10)
    with pytest.raises(LimitExceeded, match="at most 10"):
        RegistryStore(impatient(access=Access.PUSH)).store_report(faulty.add_image(), REPORT, media_type=XML)
    assert not faulty.seen


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}', "not a test"),
        (write_manifest(report=b"another", media_type=XML), "not the report"),
        (write_manifest(report=REPORT, media_type=XML).replace(TYPE.encode(), b"application/x"), "not a test"),
        (b"{}", "schemaVersion"),
    ],
)
def test_something_else_under_the_tag(faulty: FaultyRegistry, content: bytes, message: str) -> None:
    """A tag that stands for anything else than the report gives no bytes, and is never "not there"."""
    image = faulty.add_image()
    media_type = "application/vnd.oci.image.index.v1+json" if b'"manifests"' in content else MANIFEST
    faulty.misbehave(faults.serve(content, media_type), path=r"\.report-")
    with pytest.raises(StoreMisbehaved, match=message):
        RegistryStore(impatient()).fetch_report(image, digest_of(REPORT))


def test_other_bytes_are_not_handed_on(faulty: FaultyRegistry) -> None:
    """A registry that serves another blob is caught when the report is kept, and when it is read."""
    image = faulty.add_image()
    store = RegistryStore(impatient(access=Access.PUSH))
    store.store_report(image, REPORT, media_type=XML)
    faulty.misbehave(faults.serve(REPORT.replace(b"'a'", b"'b'")), method="GET", path=f"blobs/{digest_of(REPORT)}")
    with pytest.raises(StoreMisbehaved, match="other bytes"):
        store.fetch_report(image, digest_of(REPORT))
    with pytest.raises(NotPublished, match="cannot be read back"):
        store.store_report(image, REPORT, media_type=XML)


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
@pytest.mark.parametrize(
    "fault", [faults.status(403), faults.status(500), faults.status(405), faults.reset, faults.garbage]
)
def test_no_fault_keeps_a_report(faulty: FaultyRegistry, method: str, fault: Fault) -> None:
    """Whatever a registry does to uploads, tags or reading back, nothing is reported as kept."""
    image = faulty.add_image()
    faulty.misbehave(fault, method=method, path=r"/(blobs|manifests)/")
    with pytest.raises(Undecided) as caught:
        RegistryStore(impatient(access=Access.PUSH)).store_report(image, REPORT, media_type=XML)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "make", [lambda: faults.status(404), lambda: faults.status(200)], ids=["no such tag", "a tag without a manifest"]
)
def test_a_tag_that_is_lost_is_not_published(faulty: FaultyRegistry, make: Callable[[], Fault]) -> None:
    """A registry that takes the tag and does not give it back has kept nothing."""
    image = faulty.add_image()
    faulty.misbehave(make(), method="GET", path=r"\.report-")
    with pytest.raises((NotPublished, StoreError)):
        RegistryStore(impatient(access=Access.PUSH)).store_report(image, REPORT, media_type=XML)
