"""Names of images: the grammar, what a tag is and what a digest is, and what an error says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.reference import (
    LayoutImage,
    LayoutTag,
    RegistryImage,
    RegistryTag,
    Repository,
    digest_of,
    is_digest,
    parse_digest,
    parse_reference,
    parse_repository,
)
from attest.errors import ReferenceInvalid
from tests.core import make

D = make.digest("image")


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("registry.example.org/app", "registry.example.org", "app"),
        ("registry.example.org:5000/plex/app", "registry.example.org:5000", "plex/app"),
        ("localhost/app", "localhost", "app"),
        ("localhost:5000/a/b/c", "localhost:5000", "a/b/c"),
        ("127.0.0.1:5000/app", "127.0.0.1:5000", "app"),
        ("[::1]:5000/app", "[::1]:5000", "app"),
        ("registry.example.org/a.b_c__d-e--f/0", "registry.example.org", "a.b_c__d-e--f/0"),
        ("registry.example.org/" + "a" * 255, "registry.example.org", "a" * 255),
    ],
)
def test_a_repository_is_a_host_and_a_path(text: str, host: str, path: str) -> None:
    """A host has a dot, a port, or is localhost; the path has the components of the distribution-spec."""
    repository = parse_repository(text)
    assert repository == Repository(host=host, path=path)
    assert str(repository) == text
    assert repository.name == path.rsplit("/", maxsplit=1)[-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' names no registry"),
        ("app", "'app' names no registry"),
        ("plex/app", "'plex/app' names no registry"),
        ("registry.example.org", "names no registry"),
        ("REGISTRY.example.org/app", "is not a registry host"),
        ("registry..example.org/app", "is not a registry host"),
        ("-registry.example.org/app", "is not a registry host"),
        ("registry.example.org:/app", "is not a registry host"),
        ("registry.example.org:123456/app", "is not a registry host"),
        ("registry.example.org:50a/app", "is not a registry host"),
        ("user@registry.example.org/app", "is not a registry host"),
        ("registry.example.org\n/app", "is not a registry host"),
        ("registry.example.org/", "is not a repository"),
        ("registry.example.org/App", "is not a repository"),
        ("registry.example.org//app", "is not a repository"),
        ("registry.example.org/app/", "is not a repository"),
        ("registry.example.org/../app", "is not a repository"),
        ("registry.example.org/a..b", "is not a repository"),
        ("registry.example.org/a___b", "is not a repository"),
        ("registry.example.org/-a", "is not a repository"),
        ("registry.example.org/app\n", "is not a repository"),
        ("registry.example.org/" + "a" * 256, "is not a repository"),
    ],
)
def test_what_is_no_repository_is_refused(text: str, message: str) -> None:
    """The message says which part is wrong, and a hint says what would be right."""
    with pytest.raises(ReferenceInvalid, match=message) as caught:
        parse_repository(text)
    assert caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("text", "hint"), [("plex/app", "example.org/app"), ("x/", "example.org/app")])
def test_a_hint_uses_the_name_that_was_given(text: str, hint: str) -> None:
    """What lacks a host is shown with one."""
    with pytest.raises(ReferenceInvalid) as caught:
        parse_repository(text)
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(hint)


def test_an_image_in_a_registry_is_named_by_digest() -> None:
    """HOST/REPO@sha256:..., and the reference is written as it was read."""
    image = parse_reference(f"registry.example.org:5000/plex/app@{D}")
    assert image == RegistryImage(repository=parse_repository("registry.example.org:5000/plex/app"), digest=D)
    assert str(image) == f"registry.example.org:5000/plex/app@{D}"


@pytest.mark.parametrize("path", ["layout", "./a/b", "/srv/a b", "a:b/c", "a@b", "C:\\x", "a@sha512:0/b"])
def test_an_image_in_a_layout_is_named_by_digest(path: str) -> None:
    """oci:PATH@sha256:..., with any path, kept as it was given."""
    image = parse_reference(f"oci:{path}@{D}")
    assert image == LayoutImage(path=path, digest=D)
    assert str(image) == f"oci:{path}@{D}"


@pytest.mark.parametrize("tag", ["latest", "v1.0", "_", "A" * 128, "sha256-" + "a" * 64])
def test_a_tag_is_another_type(tag: str) -> None:
    """A tag in a registry or a layout is a name for something else, and can be pinned to a digest."""
    registry, layout = parse_reference(f"localhost:5000/app:{tag}"), parse_reference(f"oci:dir/layout:{tag}")
    assert registry == RegistryTag(repository=parse_repository("localhost:5000/app"), tag=tag)
    assert layout == LayoutTag(path="dir/layout", tag=tag)
    assert (str(registry), str(layout)) == (f"localhost:5000/app:{tag}", f"oci:dir/layout:{tag}")
    assert registry.at(D) == parse_reference(f"localhost:5000/app@{D}")
    assert layout.at(D) == parse_reference(f"oci:dir/layout@{D}")


@pytest.mark.parametrize("path", ["layout", "a:b/c", "a@b"])
def test_a_layout_without_a_tag_is_its_only_image(path: str) -> None:
    """oci:PATH alone decides nothing either."""
    assert parse_reference(f"oci:{path}") == LayoutTag(path=path, tag=None)
    assert str(LayoutTag(path=path, tag=None)) == f"oci:{path}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("registry.example.org/app", "names no image"),
        ("localhost:5000", "names no registry"),
        ("registry.example.org/app:", "'' is not a tag"),
        ("registry.example.org/app:-x", "'-x' is not a tag"),
        ("registry.example.org/app:" + "a" * 129, "is not a tag"),
        ("registry.example.org/app:a b", "is not a tag"),
        (f"registry.example.org/app:v1@{D}", "has a tag and a digest"),
        ("registry.example.org/app@", "'' is not a digest"),
        ("registry.example.org/app@sha256:abc", "is not a digest"),
        ("registry.example.org/app@" + D.upper(), "is not a digest"),
        (f"registry.example.org/app@{D}\n", "is not a digest"),
        (f"registry.example.org/app@{D}@{D}", "is not a digest"),
        ("registry.example.org/app@sha512:" + "a" * 128, "is not a digest"),
        (f"app@{D}", "names no registry"),
        ("oci:", "'oci:' has no path"),
        (f"oci:@{D}", "has no path"),
        ("oci::tag", "has no path"),
        ("oci:layout:", "'' is not a tag"),
        ("oci:layout@sha256:abc", "is not a digest"),
    ],
)
def test_what_names_no_image_is_refused(text: str, message: str) -> None:
    """Each with a message that says what is missing, exit code 2 and a hint."""
    with pytest.raises(ReferenceInvalid, match=message) as caught:
        parse_reference(text)
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_a_hint_names_the_reference_by_digest() -> None:
    """A tag beside a digest is left out in the hint, and a name without either is told how to get one."""
    with pytest.raises(ReferenceInvalid) as both:
        parse_reference(f"registry.example.org/app:v1@{D}")
    assert both.value.hint == f"leave the tag out: registry.example.org/app@{D}"
    with pytest.raises(ReferenceInvalid) as neither:
        parse_reference("registry.example.org/app")
    assert neither.value.hint is not None
    assert "attest resolve registry.example.org/app:TAG" in neither.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "a" * 64,
        D[:-1],
        D + "0",
        D + "\n",
        " " + D,
        D.upper(),
        D.replace("sha256", "sha512"),
        "sha256:" + "\u0661" * 64,
    ],
)
def test_a_digest_is_exactly_sha256(text: str) -> None:
    """`sha256:` and 64 lower-case hexadecimal digits, and nothing before, after or instead."""
    assert not is_digest(text)
    with pytest.raises(ReferenceInvalid, match="is not a digest"):
        parse_digest(text)


@given(st.binary(max_size=50))
def test_the_digest_of_bytes_is_a_digest(data: bytes) -> None:
    """What is computed is in the form that is read."""
    assert parse_digest(digest_of(data)) == digest_of(data)


def test_the_digest_is_sha256() -> None:
    """The digest of nothing is the well-known one."""
    assert digest_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


PIECES = ["registry.example.org", "localhost", ":5000", "/", "app", ":", "v1", "@", D, "oci:", "sha256:", ".", "-", "A"]


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_what_is_read_is_written_alike(text: str) -> None:
    """Any text is a reference that is written as it was read, or an error of one kind."""
    try:
        reference = parse_reference(text)
    except ReferenceInvalid:
        return
    assert str(reference) == text
