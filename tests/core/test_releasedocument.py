"""Releases: what a document says, what it may not say, and that writing is the reverse of reading."""

from __future__ import annotations

import itertools
import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.adapters.documents import parse_document
from attest.core import releasedocument
from attest.core.reference import Digest, LayoutImage, RegistryImage, Repository, parse_repository
from attest.core.releasedocument import ReleaseFile, Service, read_release, write_release
from attest.errors import EXIT_USAGE, DocumentInvalid

COMMIT = "4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70"
A = "sha256:" + "a" * 64
B = "sha256:" + "b" * 64
BACKEND = f"registry.example.org/plex/backend@{A}"
FRONTEND = f"registry.example.org/plex/frontend@{B}"
RIGHT = f"""\
version: 1
commit: {COMMIT}
services:
  backend: {BACKEND}
  frontend: {FRONTEND}
"""
LAYOUT = f"""\
version: 1
commit: {COMMIT}
services:
  backend:
    image: oci:build/backend@{A}
    repository: registry.example.org/plex/backend
"""


def load(text: str) -> ReleaseFile:
    return read_release(parse_document(text.encode(), file="release.yaml"))


def test_a_release_names_its_services_and_its_commit() -> None:
    """Every service has its image by digest and its repository, in the order of the document."""
    release = load(RIGHT)
    assert release.commit == COMMIT
    assert {name: (str(one.image), str(one.repository)) for name, one in release.services.items()} == {
        "backend": (BACKEND, "registry.example.org/plex/backend"),
        "frontend": (FRONTEND, "registry.example.org/plex/frontend"),
    }
    assert list(release.services) == ["backend", "frontend"]


def test_an_image_in_a_layout_says_which_repository_it_stands_for() -> None:
    """A layout's image keeps its path, and carries the repository that policies compare."""
    (service,) = load(LAYOUT).services.values()
    assert service.image == LayoutImage(path="build/backend", digest=Digest(A))
    assert service.repository == parse_repository("registry.example.org/plex/backend")


def test_services_may_share_a_repository() -> None:
    """Two images of one repository are two images."""
    release = load(RIGHT.replace("plex/frontend", "plex/backend"))
    assert len({service.image for service in release.services.values()}) == 2


# Each: what is replaced in RIGHT or LAYOUT, by what, and the error with its place and its hint.
_FORM = "write {image: oci:PATH@sha256:..., repository: HOST/REPOSITORY}"
_EITHER = "write HOST/REPOSITORY@sha256:..., or for a layout {image: oci:..., repository: ...}"
WRONG = [
    (
        RIGHT,
        "version: 1",
        "version: 2",
        "1:10: `version`: it must be 1, the only version of this document that there is",
        None,
    ),
    (RIGHT, "version: 1\n", "", "1:1: `version` is missing", None),
    (RIGHT, f"commit: {COMMIT}\n", "", "1:1: `commit` is missing", None),
    (
        RIGHT,
        COMMIT,
        "main",
        "2:9: `commit`: 'main' is no full commit id of 40 or 64 lower-case hexadecimal digits",
        None,
    ),
    (
        RIGHT,
        COMMIT,
        "12",
        "2:9: `commit`: it must be text, not the number 12: a full commit id",
        None,
    ),
    (RIGHT, "commit:", "comit:", "2:1: unknown key `comit`; did you mean `commit`?", None),
    (RIGHT, "services:", "service:", "3:1: unknown key `service`; did you mean `services`?", None),
    (
        RIGHT,
        f"services:\n  backend: {BACKEND}\n  frontend: {FRONTEND}\n",
        "services: {}\n",
        "3:11: `services`: it is empty, and would mean nothing; it needs one item or more",
        None,
    ),
    (
        RIGHT,
        f"\n  backend: {BACKEND}\n  frontend: {FRONTEND}\n",
        f" [{BACKEND}]\n",
        "3:11: `services`: it must be a mapping, not a list",
        None,
    ),
    (
        RIGHT,
        "  backend:",
        "  Back End:",
        "4:3: `services.Back End`: 'Back End' is no name; write at most 64 lower-case letters, digits, and . _ - "
        "between them",
        None,
    ),
    (RIGHT, BACKEND, "7", f"4:12: `services.backend`: it must be the reference of an image; {_EITHER}", None),
    (
        RIGHT,
        f"@{A}",
        ":main",
        "4:12: 'registry.example.org/plex/backend:main' is a tag, and a tag can be moved; name the image by its digest",
        "`attest resolve registry.example.org/plex/backend:main` prints what it stands for now",
    ),
    (
        RIGHT,
        f"@{A}",
        "",
        "4:12: 'registry.example.org/plex/backend' names no image",
        "write registry.example.org/plex/backend@sha256:..., "
        "`attest resolve registry.example.org/plex/backend:TAG` prints it",
    ),
    (
        RIGHT,
        A,
        A[:-1],
        f"4:12: '{A[:-1]}' is not a digest",
        "write sha256: and 64 lower-case hexadecimal digits",
    ),
    (
        RIGHT,
        B,
        A,
        "5:13: frontend has the same image as backend; a release has each image once",
        "name the image that it runs, or leave one of them out",
    ),
    (
        RIGHT,
        BACKEND,
        f"oci:build@{A}",
        f"4:12: {f'oci:build@{A}'[:80]!r} does not say which repository it stands for",
        _FORM,
    ),
    (
        LAYOUT,
        f"oci:build/backend@{A}",
        "oci:build/backend:v1",
        "5:12: 'oci:build/backend:v1' is a tag, and a tag can be moved; name the image by its digest",
        "`attest resolve oci:build/backend:v1` prints what it stands for now",
    ),
    (
        LAYOUT,
        f"oci:build/backend@{A}",
        BACKEND,
        "6:5: an image in a registry says itself which repository it is in",
        f"write backend: {BACKEND}",
    ),
    (LAYOUT, "    repository: registry.example.org/plex/backend\n", "", "4:3: `repository` is missing", _FORM),
    (LAYOUT, f"    image: oci:build/backend@{A}\n", "", "4:3: `image` is missing", _FORM),
    (LAYOUT, "repository: reg", "repo: reg", "6:5: unknown key `repo`; there may be image, repository", None),
    (LAYOUT, "registry.example.org/plex/backend", "[]", "6:17: `repository` must be text", _FORM),
    (
        LAYOUT,
        "registry.example.org/plex/backend",
        "backend",
        "6:17: 'backend' names no registry",
        "write HOST[:PORT]/REPOSITORY, as in registry.example.org/backend",
    ),
]


@pytest.mark.parametrize(("right", "old", "new", "said", "hint"), WRONG, ids=lambda _: "")
def test_what_is_wrong_is_said_with_its_place(right: str, old: str, new: str, said: str, hint: str | None) -> None:
    """Each mistake is an error with file, line and column, and with what would be right."""
    load(right)
    assert old in right
    with pytest.raises(DocumentInvalid) as caught:
        load(right.replace(old, new, 1))
    assert (caught.value.message, caught.value.hint) == (f"release.yaml:{said}", hint)
    assert caught.value.exit_code == EXIT_USAGE


def test_the_schema_allows_what_is_read() -> None:
    """The published schema is a schema, accepts releases that are read, and refuses the usual mistakes."""
    schema = releasedocument.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for text in (RIGHT, LAYOUT):
        assert validator.is_valid(parse_document(text.encode(), file="release.yaml").value)
    for right, old, new, said, _ in WRONG:
        value = parse_document(right.replace(old, new, 1).encode(), file="release.yaml").value
        assert validator.is_valid(value) is ("has the same image" in said), said


NAMES = st.from_regex(r"\A[a-z0-9]([a-z0-9._-]{0,8}[a-z0-9])?\Z")
REPOSITORIES = st.builds(
    Repository,
    host=st.sampled_from(["registry.example.org", "localhost:5000", "[::1]:5000", "127.0.0.1:80"]),
    path=st.from_regex(r"\A[a-z0-9]{1,6}(/[a-z0-9]{1,6})?\Z"),
)
PATHS = st.one_of(
    st.from_regex(r"\A[A-Za-z0-9 ._#:'\"\\-]{0,12}[a-z]\Z"), st.just("true"), st.just("sub folder/# no comment: x")
)


@st.composite
def releases(draw: st.DrawFn) -> ReleaseFile:
    """Any release, with images in registries and in layouts."""
    services: dict[str, Service] = {}
    for number, name in enumerate(draw(st.lists(NAMES, min_size=1, max_size=5, unique=True))):
        digest = Digest(f"sha256:{number:064x}")
        repository = draw(REPOSITORIES)
        image: RegistryImage | LayoutImage = RegistryImage(repository=repository, digest=digest)
        if draw(st.booleans()):
            image = LayoutImage(path=draw(PATHS), digest=digest)
        services[name] = Service(image=image, repository=repository)
    return ReleaseFile(commit=draw(st.from_regex(r"\A(?:[0-9a-f]{40}|[0-9]{64})\Z")), services=services)


@given(releases())
def test_what_is_written_is_read_again(release: ReleaseFile) -> None:
    """Any release reads back as it was written, names that look like numbers and words of YAML included."""
    assert load(write_release(release)) == release


@pytest.mark.parametrize("name", ["true", "null", "1", "1.5", "1e5", "0x10", "no"])
def test_a_name_that_looks_like_something_else_is_a_name(name: str) -> None:
    """A service whose name YAML could read as a number, a truth or nothing keeps its name."""
    service = Service(
        image=RegistryImage(repository=parse_repository("registry.example.org/a"), digest=Digest(A)),
        repository=parse_repository("registry.example.org/a"),
    )
    assert list(load(write_release(ReleaseFile(commit=COMMIT, services={name: service}))).services) == [name]


def test_the_same_release_is_the_same_text() -> None:
    """The order in which services are named does not change what is written."""
    release = load(RIGHT)
    texts = {
        write_release(ReleaseFile(commit=release.commit, services=dict(order)))
        for order in itertools.permutations(release.services.items())
    }
    assert texts == {RIGHT.replace(COMMIT, json.dumps(COMMIT))}


@pytest.mark.parametrize(
    "broken",
    [
        ReleaseFile(commit="main", services=load(RIGHT).services),
        ReleaseFile(commit=COMMIT, services={}),
        ReleaseFile(commit=COMMIT, services={"Back End": load(RIGHT).services["backend"]}),
    ],
    ids=["commit", "services", "name"],
)
def test_no_document_is_written_that_could_not_be_read(broken: ReleaseFile) -> None:
    """A release without services, with a short commit or with an impossible name is not written."""
    with pytest.raises(ValueError, match="no release"):
        write_release(broken)
