"""Blobs go up in one stream, or not at all: begun anew where that helps, and never with a password to another place."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from attest.adapters.registry import Access
from attest.adapters.registry.client import Client
from attest.adapters.registry.repository import RemoteRepository
from attest.adapters.registry.uploading import Uploader
from attest.copyports import Moved
from attest.core.oci import Descriptor
from attest.core.reference import Repository, digest_of, parse_repository
from attest.errors import AccessDenied, AttestError, StoreError, StoreMisbehaved, Unreachable
from tests.parts.docker_registry import TokenRegistry
from tests.parts.registry import Registry
from tests.registry import faults
from tests.registry.conftest import CANARY_BASIC, impatient
from tests.registry.faults import REPOSITORY, FaultyRegistry, Handler
from tests.registry.pushing import push_blob

CONTENT = bytes(range(256)) * 5_000
BLOB = Descriptor(media_type="layer", digest=digest_of(CONTENT), size=len(CONTENT))


def pieces(size: int = 100_000) -> Iterator[bytes]:
    """The blob in pieces."""
    return (CONTENT[start : start + size] for start in range(0, len(CONTENT), size))


def uploader(registry: FaultyRegistry, **changes: object) -> Uploader:
    """An uploader to the repository of a misbehaving registry."""
    settings = impatient(access=Access.PUSH, **changes)
    repository = Repository(host=registry.host, path=REPOSITORY)
    return Uploader(RemoteRepository(Client(registry.host, settings), repository, Access.PUSH), settings)


def take(registry: FaultyRegistry, source: Callable[[], Iterator[bytes]] = pieces, **changes: object) -> Moved:
    """Upload the blob."""
    return uploader(registry, **changes).take(BLOB, source, origin=None)


def methods(registry: FaultyRegistry) -> list[str]:
    """What was asked so far, by its method."""
    return [seen.method for seen in registry.seen]


def test_a_blob_is_sent_in_one_request(faulty: FaultyRegistry) -> None:
    """One POST and one PUT with all of the bytes and their length, however they are cut."""
    assert take(faulty) is Moved.UPLOADED
    assert faulty.blobs[BLOB.digest] == CONTENT
    assert methods(faulty) == ["POST", "PUT"]


def test_an_empty_blob_is_sent_too(faulty: FaultyRegistry) -> None:
    """A blob of no bytes is a blob."""
    empty = Descriptor(media_type="layer", digest=digest_of(b""), size=0)
    assert uploader(faulty).take(empty, lambda: iter(()), origin=None) is Moved.UPLOADED
    assert faulty.blobs[empty.digest] == b""


def test_what_is_there_is_seen(faulty: FaultyRegistry) -> None:
    """A blob is there with its own size alone; what cannot be asked is an error, not absence."""
    upload = uploader(faulty)
    assert not upload.has(BLOB)
    faulty.add_blob(CONTENT)
    assert upload.has(BLOB)
    faulty.misbehave(lambda handler: handler.head(5), method="HEAD", times=1)
    assert not upload.has(BLOB)
    for fault, error in ((faults.status(403, body=b""), AccessDenied), (faults.status(500, body=b""), StoreError)):
        faulty.misbehave(fault, method="HEAD")
        with pytest.raises(error):
            upload.has(BLOB)
        faulty.recover()


def test_a_redirected_question_is_followed(faulty: FaultyRegistry) -> None:
    """A registry that keeps its blobs elsewhere answers there whether it has one."""
    faulty.add_blob(CONTENT)
    faulty.misbehave(faults.redirect(f"/v2/{REPOSITORY}/blobs/{BLOB.digest}?there"), "[^?]{9}$", method="HEAD", times=1)
    assert uploader(faulty).has(BLOB)
    assert methods(faulty) == ["HEAD", "HEAD"]


@pytest.mark.parametrize("code", [404, 409, 416, 429, 500, 503])
def test_an_upload_that_is_over_is_begun_anew(code: int, faulty: FaultyRegistry) -> None:
    """A lost session and a busy registry cost one upload, and the bytes are read again from their beginning."""
    read: list[int] = []

    def source() -> Iterator[bytes]:
        read.append(1)
        return pieces()

    faulty.misbehave(faults.status(code), "/uploads/", method="PUT", times=1)
    assert take(faulty, source) is Moved.UPLOADED
    assert faulty.blobs[BLOB.digest] == CONTENT
    assert methods(faulty) == ["POST", "PUT", "HEAD", "POST", "PUT"]
    assert len(read) == 2


def test_a_broken_connection_is_an_upload_that_is_over(faulty: FaultyRegistry) -> None:
    """A connection that ends before the answer is followed by another upload."""
    faulty.misbehave(faults.reset, "/uploads/", method="PUT", times=1)
    assert take(faulty) is Moved.UPLOADED
    assert faulty.blobs[BLOB.digest] == CONTENT


def test_a_lost_answer_is_no_second_upload(faulty: FaultyRegistry) -> None:
    """Where only the answer was lost the blob is found there, and not sent again."""

    def take_and_break(handler: Handler) -> None:
        faulty.add_blob(faulty.seen[-1].body)
        faults.reset(handler)

    faulty.misbehave(take_and_break, "/uploads/", method="PUT", times=1)
    assert take(faulty) is Moved.UPLOADED
    assert methods(faulty) == ["POST", "PUT", "HEAD"]


@pytest.mark.parametrize(
    ("fault", "error", "puts"),
    [
        (faults.status(400), StoreMisbehaved, 1),
        (faults.status(403), AccessDenied, 1),
        (faults.status(413), StoreMisbehaved, 1),
        (faults.status(500), StoreError, 4),
        (faults.reset, Unreachable, 4),
        (faults.garbage, Unreachable, 4),
    ],
)
def test_what_is_not_taken_is_an_error(
    fault: faults.Fault, error: type[AttestError], puts: int, faulty: FaultyRegistry
) -> None:
    """A refusal is one at once, and a registry that never takes it is given up."""
    faulty.misbehave(fault, "/uploads/", method="PUT")
    with pytest.raises(error):
        take(faulty)
    assert methods(faulty).count("PUT") == puts
    assert BLOB.digest not in faulty.blobs


@pytest.mark.parametrize("status", [200, 404, 405, 500])
def test_an_upload_that_is_not_begun_is_an_error(status: int, faulty: FaultyRegistry) -> None:
    """A registry that does not say where to upload to is no registry to upload to."""
    faulty.misbehave(faults.status(status), "/uploads/", method="POST")
    with pytest.raises(StoreError):
        take(faulty)


@pytest.mark.parametrize("location", ["", "file:///etc/passwd", "http://user@h/", "http://169.254.169.254/x"])
def test_an_unusable_place_is_refused(location: str, faulty: FaultyRegistry) -> None:
    """An upload goes to no file, no metadata service and nowhere."""
    faulty.misbehave(faults.status(202, {"Location": location}), "/uploads/", method="POST")
    with pytest.raises(StoreError):
        take(faulty)


def test_a_password_does_not_go_with_the_upload(faulty: FaultyRegistry, canary: Callable[[str], Path]) -> None:
    """An upload to another place gets the bytes and no credentials."""
    with FaultyRegistry().running() as elsewhere:
        faulty.misbehave(
            faults.status(202, {"Location": f"{elsewhere.url}/v2/{REPOSITORY}/blobs/uploads/1?state=a%2Fb"}),
            "/uploads/",
            method="POST",
        )
        assert take(faulty, docker_config=canary(faulty.host)) is Moved.UPLOADED
        assert elsewhere.blobs[BLOB.digest] == CONTENT
        assert [seen.authorization for seen in elsewhere.seen] == [None]
    assert CANARY_BASIC not in str(elsewhere.seen)


def test_an_error_of_the_source_ends_the_upload(faulty: FaultyRegistry) -> None:
    """Where the bytes turn out to be others, the registry never gets all of them, and nothing is tried again."""

    def source() -> Iterator[bytes]:
        yield CONTENT[:1000]
        raise StoreMisbehaved("the source has other bytes")

    with pytest.raises(StoreMisbehaved, match="other bytes"):
        take(faulty, source)
    assert BLOB.digest not in faulty.blobs
    assert methods(faulty).count("POST") == 1


def test_a_source_that_broke_off_is_read_anew(faulty: FaultyRegistry) -> None:
    """Where reading the source broke in the middle, it is read from its beginning in another upload."""
    turns = iter([True, False])

    def source() -> Iterator[bytes]:
        yield CONTENT[:500_000]
        if next(turns):
            raise Unreachable("the source broke off")
        yield CONTENT[500_000:]

    assert take(faulty, source) is Moved.UPLOADED
    assert faulty.blobs[BLOB.digest] == CONTENT


def test_each_part_of_an_upload_has_time_for_itself(faulty: FaultyRegistry) -> None:
    """An upload that goes on may take longer than one response may; waiting for the source does not count."""

    def slow() -> Iterator[bytes]:
        for piece in pieces(400_000):
            time.sleep(0.2)
            yield piece

    assert take(faulty, slow, response_timeout=0.3) is Moved.UPLOADED
    assert faulty.blobs[BLOB.digest] == CONTENT


def test_an_upload_without_an_answer_ends(faulty: FaultyRegistry) -> None:
    """A registry that takes all of it and says nothing is given up, after as many tries as any other."""
    faulty.misbehave(faults.hang, "/uploads/", method="PUT")
    with pytest.raises(Unreachable):
        take(faulty, response_timeout=0.3)
    assert methods(faulty).count("PUT") == 4


# ---- mounting


def other(registry: FaultyRegistry, path: str = "team/source") -> Repository:
    """Another repository of the registry."""
    return Repository(host=registry.host, path=path)


def mount(registry: FaultyRegistry, origin: Repository) -> Moved:
    """Have the blob, by mounting it if that can be."""
    return uploader(registry).take(BLOB, pieces, origin=origin)


def test_a_blob_next_door_is_mounted(faulty: FaultyRegistry) -> None:
    """Within one registry one request says where the blob is, and no byte is sent."""
    faulty.misbehave(faults.status(201, {"Location": "/x"}), "mount=", method="POST")
    assert mount(faulty, other(faulty)) is Moved.MOUNTED
    (seen,) = faulty.seen
    assert parse_qs(urlsplit(seen.path).query) == {"mount": [BLOB.digest], "from": ["team/source"]}


def test_a_registry_that_begins_an_upload_instead_gets_it(faulty: FaultyRegistry) -> None:
    """A registry that cannot mount says where to upload to, and that upload is used."""
    assert mount(faulty, other(faulty)) is Moved.UPLOADED
    assert methods(faulty) == ["POST", "PUT"]
    assert faulty.blobs[BLOB.digest] == CONTENT


@pytest.mark.parametrize("status", [400, 403, 404, 405, 500])
def test_a_registry_that_does_not_know_how_gets_an_upload(status: int, faulty: FaultyRegistry) -> None:
    """Whatever it says to the wish to mount, the blob is sent as to any other."""
    faulty.misbehave(faults.status(status), "mount=", method="POST")
    assert mount(faulty, other(faulty)) is Moved.UPLOADED
    assert faulty.blobs[BLOB.digest] == CONTENT


@pytest.mark.parametrize("origin", ["127.0.0.1:1/team/source", "own"])
def test_nothing_is_mounted_from_elsewhere(origin: str, faulty: FaultyRegistry) -> None:
    """Another registry, and the repository itself, are no places to mount from."""
    place = other(faulty, REPOSITORY) if origin == "own" else parse_repository(origin)
    assert mount(faulty, place) is Moved.UPLOADED
    assert not any("mount=" in seen.path for seen in faulty.seen)


@pytest.mark.parts
def test_a_token_for_both_repositories_is_asked_for(
    docker_registry_token: Registry, token_registry: TokenRegistry
) -> None:
    """A registry with tokens mounts, since the token allows reading the one repository and writing the other."""
    source, target = (docker_registry_token.fresh_repository() for _ in range(2))
    push_blob(docker_registry_token, source, CONTENT)
    settings = impatient(
        access=Access.PUSH,
        docker_config=docker_registry_token.docker_config_dir,
        token_hosts=frozenset({urlsplit(token_registry.token_server.realm).netloc}),
    )
    client = Client(docker_registry_token.host, settings)
    upload = Uploader(RemoteRepository(client, parse_repository(target), Access.PUSH), settings)
    assert upload.take(BLOB, lambda: iter(()), origin=parse_repository(source)) is Moved.MOUNTED
    assert upload.has(BLOB)
    paths = [name.partition("/")[2] for name in (target, source)]
    scopes = [asked.query["scope"] for asked in token_registry.token_server.asked]
    assert [f"repository:{paths[0]}:pull,push", f"repository:{paths[1]}:pull"] in scopes
