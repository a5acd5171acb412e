"""How attestations hang on an image: tags, layers and the fallback list."""

from __future__ import annotations

import json
from typing import Any

from attest.core import oci, referrers
from attest.core.oci import Descriptor, Manifest
from attest.core.reference import digest_of, parse_reference
from tests.core import make

SUBJECT, ONE, TWO = make.digest("subject"), make.digest("one"), make.digest("two")


def test_tags_are_those_of_the_specifications() -> None:
    """The fallback tag of the distribution-spec, and cosign's legacy one."""
    hexadecimal = SUBJECT.removeprefix("sha256:")
    assert referrers.fallback_tag(SUBJECT) == f"sha256-{hexadecimal}"
    assert referrers.legacy_tag(SUBJECT) == f"sha256-{hexadecimal}.att"


def test_an_own_tag_is_of_one_subject_and_one_manifest() -> None:
    """It is a valid tag under the fallback tag's prefix, and known as what it is and as nothing else."""
    tag = referrers.own_tag(SUBJECT, ONE)
    assert str(parse_reference(f"registry.example.org/app:{tag}")).endswith(tag)
    assert tag.startswith(referrers.fallback_tag(SUBJECT))
    assert tag != referrers.own_tag(SUBJECT, TWO) != referrers.own_tag(ONE, TWO)
    assert referrers.is_own_tag(SUBJECT, tag)
    assert referrers.tag_names(tag, ONE)
    assert not referrers.tag_names(tag, TWO)
    others = [
        referrers.own_tag(ONE, ONE),
        referrers.fallback_tag(SUBJECT),
        referrers.legacy_tag(SUBJECT),
        tag + "0",
        tag[:-1],
        tag[:-1] + "g",
        tag[:-1] + "A",
        tag + "\n",
        "x" + tag,
        "",
    ]
    assert not any(referrers.is_own_tag(SUBJECT, other) for other in others)


def test_a_companion_tag_is_below_the_fallback_tag() -> None:
    """Any tag of the scheme for this subject is one; nothing that is no tag, and none of another subject."""
    prefix = referrers.fallback_tag(SUBJECT)
    longest = f"{prefix}.{'a' * 56}"
    assert len(longest) == 128
    for tag in (referrers.legacy_tag(SUBJECT), f"{prefix}.sig", referrers.own_tag(SUBJECT, ONE), longest):
        assert referrers.is_companion_tag(SUBJECT, tag)
        assert str(parse_reference(f"registry.example.org/app:{tag}")).endswith(tag)
    others = (
        prefix,
        f"{prefix}.",
        f"{prefix}.a/b",
        f"{prefix}.a\n",
        f"{prefix}.../x",
        referrers.legacy_tag(ONE),
        "",
        "v1",
    )
    assert not any(referrers.is_companion_tag(SUBJECT, other) for other in others)


def manifest(*media_types: str, **changes: Any) -> Manifest:
    layers = tuple(Descriptor(media_type=media_type, digest=ONE, size=1) for media_type in media_types)
    fields: dict[str, Any] = {
        "media_type": oci.MANIFEST,
        "config": Descriptor(media_type=oci.EMPTY, digest=oci.EMPTY_DIGEST, size=2),
        "layers": layers,
        "subject": None,
        "artifact_type": oci.BUNDLE,
        "annotations": {},
    }
    return Manifest(**{**fields, **changes})


def test_bundles_and_legacy_envelopes_are_found_among_layers() -> None:
    """Every form of the bundle's media type and cosign's legacy envelopes; an SBOM or an image layer is neither."""
    found = referrers.bundle_layers(
        manifest(
            oci.BUNDLE,
            "application/vnd.dev.sigstore.bundle+json;version=0.1",
            oci.DSSE_ENVELOPE,
            "application/spdx+json",
            "application/vnd.oci.image.layer.v1.tar",
            "x" + oci.BUNDLE,
        )
    )
    assert [layer.legacy for layer in found] == [False, False, True]
    assert found[2].descriptor.media_type == oci.DSSE_ENVELOPE
    assert referrers.bundle_layers(manifest()) == ()


def test_an_entry_of_the_list_says_what_the_manifest_says() -> None:
    """Artifact type, or the configuration's type without one, and annotations only where there are any."""
    content = b"content"
    entry = referrers.referrer_descriptor(content, manifest(annotations={"a": "b"}))
    assert entry == {
        "mediaType": oci.MANIFEST,
        "digest": digest_of(content),
        "size": 7,
        "artifactType": oci.BUNDLE,
        "annotations": {"a": "b"},
    }
    plain = referrers.referrer_descriptor(content, manifest(artifact_type=None))
    assert plain["artifactType"] == oci.EMPTY
    assert "annotations" not in plain


def test_a_list_is_made_where_there_is_none() -> None:
    """Also an empty one, so that the tag exists."""
    written = referrers.merged_index(None, [{"digest": ONE}])
    assert written is not None
    assert json.loads(written) == {"schemaVersion": 2, "mediaType": oci.INDEX, "manifests": [{"digest": ONE}]}
    empty = referrers.merged_index(None, [])
    assert empty is not None
    assert json.loads(empty)["manifests"] == []


def test_what_others_wrote_stays() -> None:
    """Entries and members of an existing list are kept in their order; ours come after them, each once."""
    present = {"schemaVersion": 2, "x": "\u00e9", "manifests": [{"digest": TWO, "own": 1}]}
    before = json.dumps(present)
    written = referrers.merged_index(present, [{"digest": ONE}, {"digest": TWO}, {"digest": ONE}])
    assert written is not None
    assert "\u00e9".encode() in written
    assert json.loads(written) == {**present, "manifests": [{"digest": TWO, "own": 1}, {"digest": ONE}]}
    assert json.dumps(present) == before


def test_nothing_is_written_where_nothing_is_missing() -> None:
    """A list that has all entries is left alone; one without the member gets it."""
    present: dict[str, Any] = {"schemaVersion": 2, "manifests": [{"digest": ONE}]}
    assert referrers.merged_index(present, [{"digest": ONE}]) is None
    without = referrers.merged_index({"x": 1}, [{"digest": ONE}])
    assert without == b'{"x":1,"manifests":[{"digest":"%s"}]}' % ONE.encode()
