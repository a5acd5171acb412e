"""What was reported as published is visible and stays so, on registries of every kind, whatever others write."""

from __future__ import annotations

import json
import re
import tempfile

import pytest

from attest.adapters.registry import Access, RegistryStore
from attest.core import limits, oci
from attest.core.oci import Descriptor, parse_manifest
from attest.core.reference import RegistryImage, digest_of
from attest.core.referrers import fallback_tag, own_tag
from attest.errors import AttestError, LimitExceeded, NotPublished, StoreError, StoreMisbehaved
from attest.ports import Attached, Published
from tests.registry import faults
from tests.registry.conftest import impatient
from tests.registry.faults import FaultyRegistry, Handler
from tests.registry.pushing import CREATED, PREDICATE_TYPE, described, entry, index_of, manifest_of

BUNDLE = '{"bundle": "ü"}\n'.encode()


def publish(image: RegistryImage, bundle: bytes = BUNDLE, *, subject: Descriptor | None = None) -> Published:
    """Publish a bundle."""
    store = RegistryStore(impatient(access=Access.PUSH))
    return store.publish(
        image, subject or store.describe(image), bundle, predicate_type=PREDICATE_TYPE, created=CREATED
    )


def visible(image: RegistryImage) -> list[bytes]:
    """The bundles that a verifier finds, sorted."""
    found: list[Attached] = []
    RegistryStore(impatient()).read(image, platform=False, receive=found.append)
    return sorted(each.content for each in found)


def fallback_entries(registry: FaultyRegistry, image: RegistryImage) -> list[str]:
    """The digests in the list at the fallback tag."""
    return [each["digest"] for each in json.loads(registry.manifests[fallback_tag(image.digest)][1])["manifests"]]


def test_with_the_api_the_own_tag_is_written_and_no_list(faulty: FaultyRegistry) -> None:
    """A registry that lists referrers itself gets the manifest by its digest and its own tag, and no list."""
    image = faulty.add_image()
    published = publish(image)
    assert published.bundle == digest_of(BUNDLE)
    assert visible(image) == [BUNDLE]
    assert {name for name in faulty.manifests if ":" not in name} == {"v1", own_tag(image.digest, published.manifest)}


def test_what_the_api_forgets_stays_visible(faulty: FaultyRegistry) -> None:
    """A registry that loses entries of its own list, as olareg does under load, loses nothing that was published."""
    image = faulty.add_image()
    publish(image)
    faulty.misbehave(faults.serve(index_of(), oci.INDEX), "/referrers/")
    assert visible(image) == [BUNDLE]


def test_what_the_api_forgot_is_pushed_again(faulty: FaultyRegistry) -> None:
    """Whoever publishes next gives a registry that lost entries their manifests again, for the sake of other tools."""
    image = faulty.add_image()
    first = publish(image)
    faulty.forget()
    faulty.misbehave(faults.serve(index_of(), oci.INDEX), "/referrers/", times=2)
    publish(image, b"second")
    puts = [seen.path.rpartition("/")[2] for seen in faulty.seen if seen.method == "PUT" and "manif" in seen.path]
    assert puts.count(first.manifest) == 0
    faulty.forget()
    faulty.misbehave(faults.serve(index_of(), oci.INDEX), "/referrers/", times=3)
    publish(image, b"third")
    puts = [seen.path.rpartition("/")[2] for seen in faulty.seen if seen.method == "PUT" and "manif" in seen.path]
    assert puts.count(first.manifest) == 1


def test_without_the_api_tag_and_list_are_written(old_faulty: FaultyRegistry) -> None:
    """Without the API the attestation has its own tag, and an entry with type and annotations in the list."""
    image = old_faulty.add_image()
    published = publish(image)
    assert own_tag(image.digest, published.manifest) in old_faulty.manifests
    [listed] = json.loads(old_faulty.manifests[fallback_tag(image.digest)][1])["manifests"]
    assert listed["digest"] == published.manifest
    assert listed["artifactType"] == oci.BUNDLE
    assert listed["annotations"]["dev.sigstore.bundle.predicateType"] == PREDICATE_TYPE
    assert len([seen for seen in old_faulty.seen if "/tags/" in seen.path]) == 2  # before, and to read back
    assert visible(image) == [BUNDLE]


def test_manifest_goes_by_digest_first(old_faulty: FaultyRegistry) -> None:
    """The manifest is pushed by its digest before any tag: some registries delete what lost its only tag."""
    image = old_faulty.add_image()
    published = publish(image)
    puts = [seen.path.rpartition("/")[2] for seen in old_faulty.seen if seen.method == "PUT" and "manif" in seen.path]
    assert puts[0] == published.manifest
    assert set(puts[1:]) == {own_tag(image.digest, published.manifest), fallback_tag(image.digest)}


def test_bytes_arrive_unchanged(old_faulty: FaultyRegistry) -> None:
    """Bundle and manifest arrive byte for byte, under both of the manifest's names."""
    image = old_faulty.add_image()
    published = publish(image)
    assert old_faulty.blobs[digest_of(BUNDLE)] == BUNDLE
    assert old_faulty.blobs[oci.EMPTY_DIGEST] == b"{}"
    by_digest = old_faulty.manifests[published.manifest]
    assert digest_of(by_digest[1]) == published.manifest
    assert old_faulty.manifests[own_tag(image.digest, published.manifest)] == by_digest


@pytest.mark.parametrize(("size", "inline"), [(64 * 1024, True), (64 * 1024 + 1, False)])
def test_small_bundles_stand_in_the_manifest(faulty: FaultyRegistry, size: int, inline: bool) -> None:
    """A bundle of up to 64 KiB also stands in the manifest; the blob exists in any case."""
    image = faulty.add_image()
    bundle = b" " * size
    published = publish(image, bundle)
    manifest = parse_manifest(faulty.manifests[published.manifest][1])
    assert isinstance(manifest, oci.Manifest)
    assert (manifest.layers[0].data == bundle) is inline
    assert faulty.blobs[digest_of(bundle)] == bundle
    assert visible(image) == [bundle]


@pytest.mark.parametrize("registry", ["faulty", "old_faulty"])
def test_twice_is_no_error(registry: str, request: pytest.FixtureRequest) -> None:
    """Publishing the same bundle again changes nothing."""
    there: FaultyRegistry = request.getfixturevalue(registry)
    image = there.add_image()
    first = publish(image)
    names = set(there.manifests)
    assert publish(image) == first
    assert set(there.manifests) == names
    assert visible(image) == [BUNDLE]


def test_entries_of_others_stay(old_faulty: FaultyRegistry) -> None:
    """The list keeps what others wrote there, member for member."""
    image = old_faulty.add_image()
    theirs = old_faulty.add_attestation(image, b"theirs")
    listing = json.loads(index_of(entry(theirs, artifactType="x/y", annotations={"a": "b"})))
    listing["annotations"] = {"of": "the list"}
    old_faulty.add_manifest(json.dumps(listing).encode(), tag=fallback_tag(image.digest), media_type=oci.INDEX)
    published = publish(image)
    written = json.loads(old_faulty.manifests[fallback_tag(image.digest)][1])
    assert written["manifests"][0] == listing["manifests"][0]
    assert written["annotations"] == {"of": "the list"}
    assert [each["digest"] for each in written["manifests"]] == [digest_of(theirs), published.manifest]


def test_list_that_others_overwrote_is_mended(old_faulty: FaultyRegistry) -> None:
    """An attestation whose entry another client has overwritten stays visible, and the next writer puts it back."""
    image = old_faulty.add_image()
    first = publish(image, b"first")
    old_faulty.list_at_fallback(image)
    assert visible(image) == [b"first"]
    second = publish(image, b"second")
    assert sorted(fallback_entries(old_faulty, image)) == sorted([first.manifest, second.manifest])
    assert visible(image) == [b"first", b"second"]


@pytest.mark.parametrize("times", [1, 2])
def test_list_that_is_overwritten_meanwhile(old_faulty: FaultyRegistry, times: int) -> None:
    """A lost update right after one's own write is seen in the read-back, and put right."""
    image = old_faulty.add_image()
    tag = fallback_tag(image.digest)

    def lose(handler: Handler) -> None:
        handler.reply(201, b"")  # and another client's list, without ours, is what stays

    old_faulty.list_at_fallback(image)
    old_faulty.misbehave(lose, f"/manifests/{tag}$", method="PUT", times=times)
    published = publish(image)
    assert fallback_entries(old_faulty, image) == [published.manifest]


def test_list_that_is_always_overwritten(old_faulty: FaultyRegistry) -> None:
    """Where the list cannot be written at all, the own tag alone makes the attestation visible."""
    image = old_faulty.add_image()
    old_faulty.misbehave(faults.status(405), f"/manifests/{fallback_tag(image.digest)}$", method="PUT")
    publish(image)
    assert visible(image) == [BUNDLE]


def test_registry_that_claims_to_list(old_faulty: FaultyRegistry) -> None:
    """`OCI-Subject` from a registry whose API answers 404 is not believed (ECR)."""
    image = old_faulty.add_image()

    def claim(handler: Handler) -> None:
        reference = handler.path.rpartition("/")[2]
        old_faulty.add_manifest(old_faulty.seen[-1].body)
        assert reference.startswith("sha256:")
        handler.reply(201, b"", {"OCI-Subject": image.digest})

    old_faulty.misbehave(claim, "/manifests/sha256:", method="PUT")
    published = publish(image)
    assert len([seen for seen in old_faulty.seen if "/tags/" in seen.path]) == 2  # before, and to read back
    assert visible(image) == [BUNDLE]
    assert fallback_entries(old_faulty, image) == [published.manifest]


def test_api_that_takes_nothing_up(old_faulty: FaultyRegistry) -> None:
    """An API that answers, from a registry that does not say `OCI-Subject`, leaves the list to the client."""
    image = old_faulty.add_image()
    old_faulty.misbehave(faults.serve(index_of(), oci.INDEX), "/referrers/")
    published = publish(image)
    assert len([seen for seen in old_faulty.seen if "/tags/" in seen.path]) == 2  # before, and to read back
    assert fallback_entries(old_faulty, image) == [published.manifest]


def test_api_that_lists_nothing(faulty: FaultyRegistry) -> None:
    """Where the API answers with an empty list for ever (Quay, GHCR), the tags do it."""
    image = faulty.add_image()
    faulty.misbehave(faults.serve(index_of(), oci.INDEX), "/referrers/")
    publish(image)
    assert visible(image) == [BUNDLE]


def test_api_that_lists_late(faulty: FaultyRegistry) -> None:
    """A listing that takes a while is waited for; success is reported when the attestation is there."""
    image = faulty.add_image()
    faulty.misbehave(faults.serve(index_of(), oci.INDEX), "/referrers/", times=3)
    faulty.misbehave(faults.serve(b'{"tags": []}', faults.JSON), "/tags/", times=4)
    publish(image)
    assert visible(image) == [BUNDLE]


def test_never_visible(faulty: FaultyRegistry) -> None:
    """A registry that takes everything and shows nothing is reported: nothing was published."""
    image = faulty.add_image()
    faulty.misbehave(faults.serve(index_of(), oci.INDEX), "/referrers/")
    faulty.misbehave(faults.serve(index_of(), oci.INDEX), f"/manifests/{fallback_tag(image.digest)}$", method="GET")
    faulty.misbehave(faults.serve(b'{"tags": []}', faults.JSON), "/tags/")
    with pytest.raises(NotPublished, match=re.escape(str(image.repository))) as raised:
        publish(image)
    assert raised.value.hint


def test_fallback_tag_taken_for_the_digest(old_faulty: FaultyRegistry) -> None:
    """Where the fallback tag means the image itself (GitLab), no list is written and the own tag serves."""
    image = old_faulty.add_image()
    old_faulty.manifests[fallback_tag(image.digest)] = old_faulty.manifests[image.digest]
    publish(image)
    assert old_faulty.manifests[fallback_tag(image.digest)] == old_faulty.manifests[image.digest]
    assert visible(image) == [BUNDLE]


def test_fallback_tag_with_another_manifest(old_faulty: FaultyRegistry) -> None:
    """What is no list is not overwritten, and not published over."""
    image = old_faulty.add_image()
    other = manifest_of(b"other")
    old_faulty.add_manifest(other, tag=fallback_tag(image.digest))
    with pytest.raises(StoreMisbehaved):
        publish(image)
    assert old_faulty.manifests[fallback_tag(image.digest)][1] == other


def test_no_more_than_verifiers_read(old_faulty: FaultyRegistry) -> None:
    """Where as much is attached as a verifier reads, one more is refused, and the list stays as it was."""
    image = old_faulty.add_image()
    listing = index_of(*(entry(b"%d" % number) for number in range(limits.REFERRERS)))
    old_faulty.add_manifest(listing, tag=fallback_tag(image.digest), media_type=oci.INDEX)
    with pytest.raises(LimitExceeded):
        publish(image)
    assert old_faulty.manifests[fallback_tag(image.digest)][1] == listing
    assert not any(".attest-" in name for name in old_faulty.manifests)


WRITES = {
    "begin": ("POST", "/uploads/"),
    "upload": ("PUT", "/uploads/"),
    "manifest": ("PUT", "/manifests/sha256:"),
    "own tag": ("PUT", r"\.attest-"),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("fault", ["500", "502", "503", "429", "reset", "short"])
def test_passing_faults_pass(old_faulty: FaultyRegistry, write: str, fault: str) -> None:
    """A write that failed in passing is repeated: every one of them may be."""
    image = old_faulty.add_image()
    method, path = WRITES[write]
    known: dict[str, faults.Fault] = {"reset": faults.reset, "short": faults.short_body}
    answer = known.get(fault) or faults.status(int(fault))
    if fault == "short":  # a 200 whose body breaks off
        old_faulty.misbehave(answer, path, method=method, times=1)
    else:
        old_faulty.misbehave(answer, path, method=method, times=2)
    publish(image)
    assert visible(image) == [BUNDLE]


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("code", [302, 400, 401, 403, 404, 405, 413, 500, 507])
def test_lasting_faults_last(old_faulty: FaultyRegistry, write: str, code: int) -> None:
    """A write that is refused for good is an error, whatever was written before."""
    image = old_faulty.add_image()
    method, path = WRITES[write]
    old_faulty.misbehave(faults.status(code), path, method=method)
    with pytest.raises(StoreError):
        publish(image)


def test_upload_whose_answer_was_lost(old_faulty: FaultyRegistry) -> None:
    """An upload that the registry has finished and forgotten is begun again."""
    image = old_faulty.add_image()
    old_faulty.misbehave(faults.status(404), "/uploads/", method="PUT", times=2)
    publish(image)
    assert visible(image) == [BUNDLE]


@pytest.mark.parametrize("location", ["", "http://[", "file:///etc/passwd", "http://a b/", "//169.254.169.254/x"])
def test_unusable_upload_location(old_faulty: FaultyRegistry, location: str) -> None:
    """An upload that is to go nowhere, or where nothing may go, is an error of attest."""
    image = old_faulty.add_image()
    old_faulty.misbehave(faults.status(202, {"Location": location} if location else {}), "/uploads/", method="POST")
    with pytest.raises(AttestError) as raised:
        publish(image)
    assert raised.value.exit_code == 3


@pytest.mark.parametrize("form", ["absolute", "path", "relative"])
def test_upload_location(old_faulty: FaultyRegistry, form: str) -> None:
    """An upload's place may be named by a URL, a path, or relative to the request, and keeps its query."""
    image = old_faulty.add_image()
    path = "/v2/team/app/blobs/uploads/7?state=a%2Fb"
    location = {"absolute": old_faulty.url + path, "path": path, "relative": "7?state=a%2Fb"}[form]
    old_faulty.misbehave(faults.status(202, {"Location": location}), "/uploads/", method="POST")
    publish(image)
    assert visible(image) == [BUNDLE]


def test_environment_is_not_read(
    old_faulty: FaultyRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Pushing takes no proxy, no `.netrc` and no certificates from the environment."""
    home = tmp_path_factory.mktemp("home")
    (home / ".netrc").write_text("machine 127.0.0.1 login lane password from-netrc\n")
    (home / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    monkeypatch.setattr("requests.sessions.get_netrc_auth", lambda *_: pytest.fail("looked into .netrc"))
    image = old_faulty.add_image()
    publish(image)
    assert visible(image) == [BUNDLE]
    assert all(seen.authorization is None for seen in old_faulty.seen)


def test_subject_is_as_given(faulty: FaultyRegistry) -> None:
    """The manifest's subject is the descriptor that the caller gave."""
    image = faulty.add_image()
    subject = described(faulty.manifests[image.digest][1])
    published = publish(image, subject=subject)
    manifest = parse_manifest(faulty.manifests[published.manifest][1])
    assert manifest.subject is not None
    assert (manifest.subject.digest, manifest.subject.size) == (subject.digest, subject.size)


def test_no_room_for_a_temporary_file(old_faulty: FaultyRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no temporary file can be written, that is what the error says."""
    image = old_faulty.add_image()

    def full(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    with pytest.raises(StoreError, match="temporary file, which cannot be written: No space left"):
        publish(image)
