"""A test report beside an image: its manifest, what is none, and its tag."""

from __future__ import annotations

from typing import Any

import pytest

from attest.core import oci, referrers
from attest.core.lane.reportartifact import TYPE, read_manifest, report_tag, write_manifest
from attest.core.oci import Descriptor, Manifest, OciInvalid, parse_manifest
from attest.core.reference import RegistryTag, digest_of, parse_reference
from tests.core import make
from tests.core.test_oci import A, B, descriptor, index, manifest, read

C = make.digest("c")


def test_a_report_is_kept_without_a_subject() -> None:
    """The manifest of a report has its artifact type and its one layer, and is attached to nothing."""
    content = write_manifest(report=b"<testsuite/>", media_type="application/xml")
    parsed = parse_manifest(content, media_type=oci.MANIFEST)
    assert isinstance(parsed, Manifest)
    assert parsed.artifact_type == TYPE
    assert parsed.subject is None
    assert parsed.config == Descriptor(media_type=oci.EMPTY, digest=oci.EMPTY_DIGEST, size=2)
    layer = read_manifest(parsed, report=digest_of(b"<testsuite/>"))
    assert layer.media_type == "application/xml"
    assert layer.describes(b"<testsuite/>")
    assert content == write_manifest(report=b"<testsuite/>", media_type="application/xml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"artifactType": oci.BUNDLE}, "not a test report"),
        ({"artifactType": ...}, "not a test report"),
        ({"layers": []}, "not a test report"),
        ({"layers": [descriptor(digest=B), descriptor(digest=B)]}, "not a test report"),
        ({"layers": [descriptor(digest=A)]}, f"not the report {B}"),
    ],
)
def test_what_is_not_this_report(changes: dict[str, Any], message: str) -> None:
    """Another type, another number of layers or another report: it is not what was asked for."""
    right = manifest(artifactType=TYPE)
    assert read_manifest(read(right), report=B).digest == B
    changed = {name: value for name, value in {**right, **changes}.items() if value is not ...}
    with pytest.raises(OciInvalid) as caught:
        read_manifest(read(changed), report=B)
    assert str(caught.value) == message


def test_an_index_is_no_report() -> None:
    """A list under the tag of a report is refused."""
    with pytest.raises(OciInvalid, match="not a test report"):
        read_manifest(read(index()), report=B)


def test_the_tag_of_a_report_is_of_one_image_and_one_report() -> None:
    """It differs with either digest, fits into a tag, and is neither an own tag nor one of the other schemes."""
    tag = report_tag(A, B)
    assert len({tag, report_tag(A, C), report_tag(B, A)}) == 3
    assert isinstance(parse_reference(f"registry.example.org/app:{tag}"), RegistryTag)
    assert tag.startswith(f"{referrers.fallback_tag(A)}.report-")
    assert not referrers.is_own_tag(A, tag)
    assert tag not in {referrers.fallback_tag(A), referrers.legacy_tag(A)}
