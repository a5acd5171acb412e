"""Where requests may go: URLs, origins and addresses."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.adapters.registry import RegistryStore
from attest.adapters.registry.addresses import check_address
from attest.adapters.registry.pages import next_link
from attest.adapters.registry.url import Origin, parse_url, registry_origin
from attest.core.reference import RegistryImage, Repository, digest_of
from attest.errors import StoreMisbehaved, UsageError
from tests.registry import faults
from tests.registry.conftest import impatient
from tests.registry.faults import FaultyRegistry


@pytest.mark.parametrize(
    ("text", "origin", "target"),
    [
        ("http://localhost/a?b", "http://localhost", "/a?b"),
        ("HTTPS://Example.ORG:443", "https://example.org", "/"),
        ("https://example.org:5000/v2/?x=%2F#fragment", "https://example.org:5000", "/v2/?x=%2F"),
        ("http://[::1]:80/", "http://[::1]", "/"),
        ("http://[0:0::1]:81/", "http://[::1]:81", "/"),
    ],
)
def test_urls(text: str, origin: str, target: str) -> None:
    """A URL is an origin, with the port that its scheme implies left out, and what is asked of it."""
    url = parse_url(text)
    assert (str(url.origin), url.target) == (origin, target)


@pytest.mark.parametrize(
    "text",
    [
        *("", "/v2/", "//a/b", "ftp://a/", "file:///etc", "http://", "http:///x", "http://a b/", "http://a\\b/"),
        *("http://u@a/", "http://u:p@a/", "http://a:x/", "http://a:99999/", "http://a:0/", "http://[::1/"),
        *("http://[a]/", "http://a\n/", "http://é/", "http://a,b/", "http://-a/"),
    ],
)
def test_what_is_no_url(text: str) -> None:
    """A user name, a space, a backslash, a bad host or port: nothing that two readers take for two places."""
    with pytest.raises(ValueError, match=r".+"):
        parse_url(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No reference fails in another way, and none has white space in what is sent."""
    base = parse_url("https://example.org/v2/x")
    with contextlib.suppress(ValueError):
        url = base.join(text)
        assert all("!" <= letter <= "~" for letter in str(url))


@pytest.mark.parametrize(
    ("host", "plain_http", "tls", "expected"),
    [
        ("localhost:5000", False, False, "http://localhost:5000"),
        ("127.0.0.9:5000", False, False, "http://127.0.0.9:5000"),
        ("[::1]:5000", False, False, "http://[::1]:5000"),
        ("localhost:5000", False, True, "https://localhost:5000"),
        ("localhost:5000", True, True, "http://localhost:5000"),
        ("example.org", False, False, "https://example.org"),
        ("example.org:80", False, False, "https://example.org:80"),
        ("example.org", True, False, "http://example.org"),
        ("10.0.0.1:5000", False, False, "https://10.0.0.1:5000"),
        ("localhost.example.org", False, False, "https://localhost.example.org"),
        ("127.0.0.1.example.org", False, False, "https://127.0.0.1.example.org"),
        ("docker.io", False, False, "https://registry-1.docker.io"),
    ],
)
def test_scheme_of_a_registry(host: str, plain_http: bool, tls: bool, expected: str) -> None:
    """Plain http is for loopback, unless a CA is named, and for what the user asked it for."""
    assert str(registry_origin(host, plain_http=plain_http, tls=tls)) == expected


@pytest.mark.parametrize("port", ["99999", "0"])
def test_port_that_is_none(port: str) -> None:
    """A port that the grammar of references lets through and no socket has is an error of the user's input."""
    image = RegistryImage(repository=Repository(host=f"localhost:{port}", path="app"), digest=digest_of(b""))
    with pytest.raises(UsageError):
        RegistryStore(impatient()).describe(image)


NOWHERE = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
]


@pytest.mark.parametrize("address", NOWHERE)
@pytest.mark.parametrize("loopback", [True, False])
def test_addresses_for_no_registry(address: str, loopback: bool) -> None:
    """Link-local, metadata, unspecified and multicast addresses are refused, in every notation."""
    with pytest.raises(StoreMisbehaved, match="no place for a registry"):
        check_address(address, loopback=loopback, elsewhere=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_for_loopback_registries(address: str) -> None:
    """Loopback is reached from a registry on loopback only."""
    check_address(address, loopback=True, elsewhere=False)
    with pytest.raises(StoreMisbehaved):
        check_address(address, loopback=False, elsewhere=True)


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "93.184.216.34", "2606:2800:220:1::1", "fd12:3456::1"])
def test_addresses_of_registries(address: str) -> None:
    """Public and private addresses are places for a registry, unless plain http is for loopback only."""
    check_address(address, loopback=False, elsewhere=True)
    with pytest.raises(StoreMisbehaved):
        check_address(address, loopback=True, elsewhere=False)


def test_a_name_for_loopback_is_not_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry whose name merely resolves to loopback is refused by the address that it led to."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        known = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: known)
        image = RegistryImage(
            repository=Repository(host=f"rebound.example.org:{port}", path="app"), digest=digest_of(b"")
        )
        with pytest.raises(StoreMisbehaved, match=r"127\.0\.0\.1"):
            RegistryStore(impatient()).describe(image)
        listener.setblocking(False)
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(100) == b""  # closed before a byte was sent


def test_plain_http_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect to plain http elsewhere ends before a name is looked up, let alone connected to."""
    with FaultyRegistry().running() as registry:
        image = registry.add_image()
        registry.misbehave(faults.redirect("http://registry.example.org/x"), "/manifests/")
        asked = []
        look_up = socket.getaddrinfo

        def watch(host: str, *more: Any, **named: Any) -> Any:
            asked.append(host)
            return look_up(host, *more, **named)

        monkeypatch.setattr(socket, "getaddrinfo", watch)
        with pytest.raises(StoreMisbehaved, match="plain http"):
            RegistryStore(impatient()).describe(image)
        assert asked == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        (['</a>; rel="next"'], "/a"),
        (["</a>; rel=next"], "/a"),
        (["</a>;rel=NEXT"], "/a"),
        (['</a>; title="x"; rel="prev next"'], "/a"),
        (['</a>; rel="prev", </b>; rel="next"'], "/b"),
        (['</a>; rel="prev"', '</b?x=1,2>; rel="next"'], "/b?x=1,2"),
        (['</a>; rel="nextish"'], None),
        (["</a>"], None),
        (["nonsense"], None),
    ],
)
def test_links(headers: list[str], expected: str | None) -> None:
    """The next page is what a `Link` with the relation `next` names."""
    assert next_link(headers) == expected


@pytest.mark.parametrize(
    "hostile", ["<" * 60_000, "<a>;" * 15_000, "<a>" + "; " * 30_000, "<a>;a" + " " * 60_000 + "!", " " * 60_000]
)
def test_hostile_links(hostile: str) -> None:
    """A header that is as long as one can be costs no time that grows with its square."""
    assert next_link([hostile]) is None


def test_authority() -> None:
    """An authority is what a user would write after `--token-host`."""
    assert Origin(scheme="https", host="::1", port=5000).authority == "[::1]:5000"
    assert Origin(scheme="https", host="example.org", port=443).authority == "example.org"
    assert Origin(scheme="http", host="example.org", port=443).authority == "example.org:443"
