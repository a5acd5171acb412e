"""Exchanges with services: whom TLS trusts, where nothing is sent, how long is waited, and what is quoted."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from attest.adapters.deadline import Deadline
from attest.adapters.sigstore.exchange import Network, Service, answering, is_safe
from attest.errors import DocumentInvalid, ServiceFailed, UsageError
from tests import faulty_service as faulty
from tests.faulty_service import FaultyService
from tests.parts.ca import Issued, issue_server, make_authority
from tests.parts.process import LOOPBACK

TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiJjYW5hcnkifQ.c2lnbmF0dXJl"


def get(service: FaultyService, *, seconds: float = 30, ca_file: Path | None = None, url: str | None = None) -> bytes:
    """What it answers to a request with a token."""
    network = Network(deadline=Deadline(seconds), ca_file=None if ca_file is None else str(ca_file))
    with network.session(Service(name="log", url=service.url)) as session:
        return session.get(url or service.url, headers={"Authorization": f"Bearer {TOKEN}"}).content


@pytest.fixture
def service() -> Iterator[FaultyService]:
    """A service that is content with everything."""
    with FaultyService(answer=faulty.says(200, {"a": 1})).running() as running:
        yield running


# ---- TLS


@pytest.fixture
def authority(tmp_path: Path) -> Issued:
    """An authority that no system knows."""
    return make_authority(tmp_path)


@pytest.fixture
def secure(authority: Issued, tmp_path: Path) -> Iterator[FaultyService]:
    """A service with a certificate of that authority."""
    issued = issue_server(authority, tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate_file, issued.key_file)
    with FaultyService(answer=faulty.says(200, {"a": 1}), tls=context).running() as running:
        yield running


def test_an_authority_that_is_named_is_trusted(authority: Issued, secure: FaultyService) -> None:
    """With the authority's file the exchange works."""
    assert json.loads(get(secure, ca_file=authority.certificate_file)) == {"a": 1}


def test_an_authority_that_nobody_named_is_not(
    authority: Issued, secure: FaultyService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it nothing is sent, whatever the environment or a library names beside the system's authorities."""
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", str(authority.certificate_file))
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(authority.certificate_file))
    other = make_authority(tmp_path / "other")
    for ca_file in (None, other.certificate_file):
        with pytest.raises(ServiceFailed, match=f"log at {secure.url}: no TLS connection") as caught:
            get(secure, ca_file=ca_file)
        assert "--ca-file" in (caught.value.hint or "")
    assert secure.asked == []


def test_the_name_in_the_certificate_counts(authority: Issued, secure: FaultyService) -> None:
    """A certificate for another name is none for this one."""
    elsewhere = secure.url.replace(LOOPBACK, "127.0.0.2")
    with pytest.raises(ServiceFailed):
        get(secure, ca_file=authority.certificate_file, url=elsewhere)
    assert secure.asked == []


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_file_without_authorities_is_named(content: bytes | None, service: FaultyService, tmp_path: Path) -> None:
    """A missing file, or one without a certificate, is an error of that file."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DocumentInvalid) as caught:
        get(service, ca_file=path)
    assert caught.value.file == str(path)


# ---- where nothing is sent


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://fulcio.example.org", True),
        ("https://fulcio.example.org:8443/path", True),
        ("http://127.0.0.1:1", True),
        ("http://localhost", True),
        ("http://[::1]:1", True),
        ("http://fulcio.example.org", False),
        ("http://127.0.0.1.example.org", False),
        ("http://localhost.example.org", False),
        ("http://10.0.0.1", False),
        ("https://user@fulcio.example.org", False),
        ("https://user:word@127.0.0.1", False),
        ("https://", False),
        ("https://a b", False),
        ("https://a\n", False),
        ("https://[a", False),
        ("ftp://127.0.0.1", False),
        ("", False),
    ],
)
def test_plain_http_is_for_loopback_only(url: str, safe: bool) -> None:
    """Https anywhere, plain http on this machine, and nothing else."""
    assert is_safe(url) is safe


def test_a_request_to_an_unsafe_address_is_not_sent(service: FaultyService) -> None:
    """A library that makes another address of a good one is stopped before it sends."""
    with pytest.raises(ServiceFailed, match="plain http"):
        get(service, url="http://log.example.org/api")


def test_a_redirect_is_not_followed(service: FaultyService) -> None:
    """The token goes nowhere but where the configuration says."""
    with FaultyService(answer=faulty.says(200, {})).running() as elsewhere:

        def there(handler: faulty.Handler, _: faulty.Asked) -> None:
            handler.send(302, b"", Location=elsewhere.url)

        service.answer = there
        with pytest.raises(ServiceFailed, match="redirect"):
            get(service)
    assert elsewhere.asked == []


# ---- time


def test_nothing_is_sent_after_the_deadline(service: FaultyService) -> None:
    """A deadline that has passed is told as the service's, which was not asked."""
    with pytest.raises(ServiceFailed, match="in time"):
        get(service, seconds=-1)
    assert service.asked == []


def test_work_that_waits_for_ever_is_left_behind() -> None:
    """What no socket's timeout bounds ends with the deadline, in a thread that keeps no process alive."""
    forever, before = threading.Event(), set(threading.enumerate())
    network = Network(deadline=Deadline(0.2))
    with pytest.raises(ServiceFailed, match="log at https://log did not answer in time"):
        network.within(Service(name="log", url="https://log"), forever.wait)
    (left,) = set(threading.enumerate()) - before
    assert left.daemon
    forever.set()


def test_what_work_raises_is_raised() -> None:
    """An exception in the thread is that of the caller."""

    def fail() -> None:
        raise KeyError("a")

    with pytest.raises(KeyError):
        Network(deadline=Deadline(10)).within(Service(name="log", url="https://log"), fail)


# ---- words


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"message": "no thanks"}, "answered 400: no thanks"),
        ({"code": 3, "message": "two\nlines\x1b[31m\u202e"}, "answered 400: two lines [31m "),
        ({"message": "a" * 500}, "answered 400: " + "a" * 200 + "..."),
        ({"message": f"not {TOKEN}!"}, "answered 400: not ***!"),
        ({"message": f"not {TOKEN}."}, "answered 400: not ***"),
        ({"message": TOKEN.split(".")[1]}, "answered 400: ***"),
        ({"message": f"{TOKEN[4:30]} and a{TOKEN}b, token"}, "answered 400: *** and ***, token"),
        ({"message": ""}, "answered 400"),
        ({"message": 5}, "answered 400"),
        ({"other": "a"}, "answered 400"),
        (["a"], "answered 400"),
        (b"<html>", "answered 400"),
    ],
)
def test_a_refusal_is_quoted_in_one_safe_line(body: object, words: str, service: FaultyService) -> None:
    """The message of a refusal is passed on: short, printable, on one line, without the token or a part of it."""
    service.answer = faulty.says(400, body)
    with pytest.raises(ServiceFailed) as caught:
        get(service)
    assert caught.value.message == f"log at {service.url} {words}"


def test_only_what_is_foreign_is_blamed_on_a_service() -> None:
    """An error of attest stays what it is; any other exception is the answer's fault."""
    service = Service(name="log", url="https://log")
    with pytest.raises(UsageError, match="mine"), answering(service):
        raise UsageError("mine")
    with (
        pytest.raises(ServiceFailed, match=r"log at https://log answered what it may not answer \(ZeroDivisionError\)"),
        answering(service),
    ):
        _ = 1 / 0
