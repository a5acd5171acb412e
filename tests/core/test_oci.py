"""Manifests, indexes and descriptors: what is read, what is refused, and what is written."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core import oci
from attest.core.oci import Descriptor, Index, Manifest, OciInvalid, Platform, parse_manifest
from attest.core.reference import digest_of
from tests.core import make
from tests.core.test_strictjson import VALUES

A, B = make.digest("a"), make.digest("b")


def descriptor(**changes: Any) -> dict[str, Any]:
    return {"mediaType": "application/x", "digest": A, "size": 3, **changes}


def manifest(**changes: Any) -> dict[str, Any]:
    whole = {"schemaVersion": 2, "mediaType": oci.MANIFEST, "config": descriptor(), "layers": [descriptor(digest=B)]}
    return {name: value for name, value in {**whole, **changes}.items() if value is not ...}


def index(**changes: Any) -> dict[str, Any]:
    whole = {"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": [descriptor()]}
    return {name: value for name, value in {**whole, **changes}.items() if value is not ...}


def read(document: Any, media_type: str | None = None) -> Manifest | Index:
    return parse_manifest(json.dumps(document).encode(), media_type=media_type)


@pytest.mark.parametrize("media_type", [oci.MANIFEST, oci.DOCKER_MANIFEST])
def test_a_manifest_is_read(media_type: str) -> None:
    """Config, layers, subject, artifact type and annotations come out as they stand, of OCI and of Docker."""
    document = manifest(
        mediaType=media_type, subject=descriptor(digest=B), artifactType="application/y", annotations={"a": "b"}
    )
    parsed = read(document)
    assert parsed == Manifest(
        media_type=media_type,
        config=Descriptor(media_type="application/x", digest=A, size=3),
        layers=(Descriptor(media_type="application/x", digest=B, size=3),),
        subject=Descriptor(media_type="application/x", digest=B, size=3),
        artifact_type="application/y",
        annotations={"a": "b"},
    )


@pytest.mark.parametrize("media_type", [oci.INDEX, oci.DOCKER_LIST])
def test_an_index_is_read(media_type: str) -> None:
    """Children come with platform, annotations, artifact type and data, in their order."""
    child = descriptor(
        platform={"os": "linux", "architecture": "arm64", "variant": "v8", "os.version": "1"},
        annotations={"a": "b"},
        artifactType="application/y",
        data=base64.b64encode(b"abc").decode(),
    )
    parsed = read(index(mediaType=media_type, manifests=[child, descriptor(digest=B)], subject=descriptor()))
    assert isinstance(parsed, Index)
    assert parsed.media_type == media_type
    first, second = parsed.manifests
    assert first.platform == Platform(os="linux", architecture="arm64", variant="v8")
    assert (first.annotations, first.artifact_type, first.data) == ({"a": "b"}, "application/y", b"abc")
    assert second == Descriptor(media_type="application/x", digest=B, size=3)
    assert parsed.subject == Descriptor(media_type="application/x", digest=A, size=3)


def test_optional_members_may_be_null_or_absent() -> None:
    """A manifest and an index without subject, artifact type and annotations are read."""
    for document in (
        manifest(),
        manifest(subject=None, artifactType=None, annotations=None),
        manifest(artifactType=""),
    ):
        parsed = read(document)
        assert isinstance(parsed, Manifest)
        assert (parsed.subject, parsed.artifact_type, parsed.annotations) == (None, None, {})
    assert read(index()).subject is None


@pytest.mark.parametrize(
    ("document", "claimed", "message"),
    [
        ([], None, "not a JSON object"),
        (manifest(mediaType=...), None, "media type None is no manifest"),
        (manifest(mediaType=None), oci.MANIFEST, "media type None is no manifest"),
        (manifest(mediaType="application/json"), None, "media type 'application/json' is no manifest"),
        (manifest(mediaType=[oci.MANIFEST]), None, "media type an array is no manifest"),
        (manifest(mediaType=...), "text/html", "media type 'text/html' is no manifest"),
        (manifest(), oci.INDEX, "served as .*index.*, but says that it is .*manifest"),
        (manifest(), oci.DOCKER_MANIFEST, "served as .*docker.*, but says that it is .*oci.image.manifest"),
        (manifest(schemaVersion=1), None, "schemaVersion is not 2"),
        (manifest(schemaVersion="2"), None, "schemaVersion is not 2"),
        (manifest(schemaVersion=2.0), None, "schemaVersion is not 2"),
        (manifest(schemaVersion=True), None, "schemaVersion is not 2"),
        (manifest(schemaVersion=...), None, "schemaVersion is not 2"),
        (manifest(manifests=[]), None, "'manifests' has no place in application/vnd.oci.image.manifest"),
        (manifest(manifests=None), None, "'manifests' has no place"),
        (manifest(fsLayers=[]), None, "'fsLayers' has no place"),
        (index(layers=[]), None, "'layers' has no place in application/vnd.oci.image.index"),
        (index(config={}), None, "'config' has no place"),
        (index(fsLayers=[]), None, "'fsLayers' has no place"),
        (manifest(Layers=[]), None, "'Layers', which some readers take for 'layers'"),
        (manifest(config=descriptor(Digest=B)), None, "config has a member 'Digest', which some readers"),
        (index(Config={}), None, "'Config', which some readers take for 'config'"),
        (index(manifests=[descriptor(platform={"os": "linux", "architecture": "a", "OS": "x"})]), None, "'OS', which"),
        (manifest(config=...), None, "config is not a descriptor"),
        (manifest(layers=...), None, "'layers' is not an array"),
        (manifest(layers={}), None, "'layers' is not an array"),
        (index(manifests=None), None, "'manifests' is not an array"),
        (index(manifests=[descriptor(), "x"]), None, r"manifests\[1\] is not a descriptor"),
        (manifest(subject="x"), None, "subject is not a descriptor"),
        (manifest(artifactType=1), None, r"manifest\.artifactType is not a string"),
        (manifest(annotations=[]), None, "annotations are not strings by name"),
        (manifest(annotations={"a": 1}), None, "annotations are not strings by name"),
    ],
)
def test_what_is_no_manifest_is_refused(document: Any, claimed: str | None, message: str) -> None:
    """Ambiguous, mislabelled and malformed documents are refused, and the message says why (CVE-2021-41190)."""
    with pytest.raises(OciInvalid, match=message):
        read(document, claimed)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mediaType": None}, "has no mediaType"),
        ({"mediaType": ""}, "has no mediaType"),
        ({"mediaType": 1}, "has no mediaType"),
        ({"digest": None}, "has no sha256 digest"),
        ({"digest": "sha512:" + "a" * 128}, "has no sha256 digest"),
        ({"digest": A + "\n"}, "has no sha256 digest"),
        ({"digest": A.upper()}, "has no sha256 digest"),
        ({"digest": [A]}, "has no sha256 digest"),
        ({"size": -1}, "has no size"),
        ({"size": 2**63}, "has no size"),
        ({"size": 1.0}, "has no size"),
        ({"size": True}, "has no size"),
        ({"size": "3"}, "has no size"),
        ({"size": None}, "has no size"),
        ({"platform": "linux/amd64"}, r"platform is not an object"),
        ({"platform": {"os": "linux"}}, "names no os and architecture"),
        ({"platform": {"architecture": "amd64"}}, "names no os and architecture"),
        ({"platform": {"os": "", "architecture": "amd64"}}, "names no os and architecture"),
        ({"platform": {"os": "linux", "architecture": ""}}, "names no os and architecture"),
        ({"platform": {"os": "linux", "architecture": 64}}, "names no os and architecture"),
        ({"platform": {"os": 1, "architecture": "amd64"}}, "names no os and architecture"),
        ({"platform": {"os": "linux", "architecture": "arm64", "variant": 8}}, "variant is not a string"),
        ({"artifactType": []}, "artifactType is not a string"),
        ({"annotations": "x"}, "annotations are not strings by name"),
        ({"data": "YQ"}, "data is not base64"),
        ({"data": "Y Q=="}, "data is not base64"),
        ({"data": "\u00e9"}, "data is not base64"),
        ({"data": 1}, "data is not base64"),
        ({"data": {}}, "data is not base64"),
    ],
)
def test_a_malformed_descriptor_is_refused(changes: dict[str, Any], message: str) -> None:
    """Each member of a descriptor has one form; the message says which descriptor it is."""
    with pytest.raises(OciInvalid, match=message) as caught:
        read(index(manifests=[descriptor(), descriptor(**changes)]))
    assert "manifests[1]" in str(caught.value) or "annotations" in str(caught.value)
    with pytest.raises(OciInvalid, match=message):
        read(manifest(config=descriptor(**changes)))


@pytest.mark.parametrize("size", [0, 2**63 - 1])
def test_sizes_have_the_range_of_the_specification(size: int) -> None:
    """A size is from 0 to what a signed 64-bit integer holds."""
    parsed = read(manifest(config=descriptor(size=size)))
    assert isinstance(parsed, Manifest)
    assert parsed.config.size == size


def test_what_is_not_strict_json_is_refused() -> None:
    """Two readers of one manifest must not disagree, so it is strict JSON."""
    content = json.dumps(manifest()).encode()
    with pytest.raises(OciInvalid, match=r"not strict JSON: .* stands twice"):
        parse_manifest(content.replace(b'{"schemaVersion"', b'{"schemaVersion": 2, "schemaVersion"', 1))


@pytest.mark.parametrize("claimed", [None, oci.INDEX])
def test_a_claimed_type_stands_in_for_a_missing_one_only(claimed: str | None) -> None:
    """A document that names its type is that type; one that names none is what it was served as."""
    assert read(index(), claimed).media_type == oci.INDEX
    assert read(index(mediaType=...), oci.INDEX).media_type == oci.INDEX


@given(
    VALUES,
    st.sampled_from(["config", "layers", "subject", "annotations", "artifactType", "schemaVersion", "mediaType"]),
)
def test_hostile_manifests_raise_one_error(value: Any, name: str) -> None:
    """Whatever stands in a member, a manifest is read or refused, and nothing else happens."""
    claimed = oci.MANIFEST if name == "mediaType" else None
    for document in (
        manifest(**{name: value}),
        index(manifests=[value]),
        index(manifests=[descriptor(**{name: value})]),
        value,
    ):
        with contextlib.suppress(OciInvalid):
            assert isinstance(read(document, claimed), Manifest | Index)


def test_a_descriptor_describes_exactly_its_content() -> None:
    """Size and digest both have to be right."""
    whole = Descriptor(media_type="x", digest=digest_of(b"abc"), size=3)
    assert whole.describes(b"abc")
    assert not whole.describes(b"abd")
    assert not whole.describes(b"abcd")
    assert not Descriptor(media_type="x", digest=digest_of(b"abc"), size=4).describes(b"abc")
    assert not Descriptor(media_type="x", digest=digest_of(b"abd"), size=3).describes(b"abc")


@pytest.mark.parametrize("text", ["linux/amd64", "linux/arm64/v8", "windows/amd64"])
def test_a_platform_is_written_as_it_is_read(text: str) -> None:
    """os/architecture and os/architecture/variant."""
    assert str(oci.parse_platform(text)) == text


@pytest.mark.parametrize("text", ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux//v8", "linux/arm64/"])
def test_what_is_no_platform_is_refused(text: str) -> None:
    """A platform has two or three parts, none of them empty."""
    with pytest.raises(ValueError, match="write os/architecture"):
        oci.parse_platform(text)


def test_a_configuration_names_its_platform() -> None:
    """The platform of an image configuration, and a clear refusal where it names none."""
    config = {"os": "linux", "architecture": "arm64", "variant": "v8", "rootfs": {}}
    assert oci.config_platform(json.dumps(config).encode()) == Platform(os="linux", architecture="arm64", variant="v8")
    for content, message in [(b"x", "not strict JSON"), (b"{}", "names no os"), (b"[]", "is not an object")]:
        with pytest.raises(OciInvalid, match=f"the image configuration.*{message}"):
            oci.config_platform(content)


def buildkit(
    *layers: str, annotation: str = "attestation-manifest", system: str = "unknown", arch: str = "unknown"
) -> bool:
    child = Descriptor(
        media_type=oci.MANIFEST,
        digest=A,
        size=1,
        platform=Platform(os=system, architecture=arch),
        annotations={"vnd.docker.reference.type": annotation},
    )
    parsed = read(manifest(layers=[descriptor(mediaType=layer) for layer in layers]))
    assert isinstance(parsed, Manifest)
    return oci.is_buildkit_attestation(child, parsed)


def test_buildkits_attestations_are_known_by_everything_they_are() -> None:
    """Platform, annotation and layers all have to be those of an attestation, so that no image hides as one."""
    assert buildkit(oci.IN_TOTO)
    assert buildkit(oci.IN_TOTO, oci.IN_TOTO)
    assert not buildkit()
    assert not buildkit(oci.IN_TOTO, "application/vnd.oci.image.layer.v1.tar+gzip")
    assert not buildkit(oci.IN_TOTO, annotation="other")
    assert not buildkit(oci.IN_TOTO, system="linux")
    assert not buildkit(oci.IN_TOTO, arch="amd64")


@pytest.mark.parametrize("inline", [False, True])
def test_an_attestation_manifest_is_written_as_cosign_reads_it(inline: bool) -> None:
    """One layer of the bundle's type, the empty configuration, the subject, and the three annotations."""
    subject = Descriptor(media_type=oci.INDEX, digest=B, size=77)
    content = oci.attestation_manifest(
        bundle=b"bundle",
        subject=subject,
        predicate_type="https://example.org/t",
        created="2026-07-01T12:00:00Z",
        inline=inline,
    )
    parsed = parse_manifest(content, media_type=oci.MANIFEST)
    assert isinstance(parsed, Manifest)
    assert parsed.artifact_type == oci.BUNDLE
    assert parsed.subject == subject
    assert parsed.config == Descriptor(media_type=oci.EMPTY, digest=oci.EMPTY_DIGEST, size=2)
    assert parsed.annotations == {
        "dev.sigstore.bundle.content": "dsse-envelope",
        "dev.sigstore.bundle.predicateType": "https://example.org/t",
        "org.opencontainers.image.created": "2026-07-01T12:00:00Z",
    }
    (layer,) = parsed.layers
    assert layer.media_type == oci.BUNDLE
    assert layer.describes(b"bundle")
    assert layer.data == (b"bundle" if inline else None)


def test_the_empty_blob_is_that_of_the_specification() -> None:
    """The digest is the one that the image-spec prints."""
    assert oci.EMPTY_DIGEST == "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    assert oci.EMPTY_BLOB == b"{}"
