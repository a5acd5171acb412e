"""A registry in memory that is healthy until a test tells it, route by route, to misbehave.

Real registries do not reset connections on demand or answer with a gzip bomb; everything that they do show is
tested with them.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from attest.core import oci
from attest.core.reference import Digest, RegistryImage, Repository, digest_of
from attest.core.referrers import fallback_tag
from tests.parts import loopback
from tests.registry.pushing import CREATED, PREDICATE_TYPE, config, described, entry, index_of, manifest_of

REPOSITORY = "team/app"
JSON = "application/json"

Fault = Callable[["Handler"], None]
"""Answers a request in place of the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request, as it arrived."""

    method: str
    path: str
    """With its query."""
    authorization: str | None
    body: bytes


@dataclass(slots=True, kw_only=True)
class _Rule:
    method: str
    path: re.Pattern[str]
    fault: Fault
    left: int | None


class FaultyRegistry:
    """One repository, served over plain http on loopback, or over TLS with `tls`."""

    def __init__(self, *, referrers: bool = True, tls: ssl.SSLContext | None = None) -> None:
        self.referrers = referrers
        """Whether there is a referrers API."""
        self.manifests: dict[str, tuple[str, bytes]] = {}
        """By digest and by tag: media type and bytes."""
        self.blobs: dict[str, bytes] = {}
        self.stopping = threading.Event()
        self._seen: list[Seen] = []
        self._rules: list[_Rule] = []
        self._lock = threading.RLock()
        self._server = _Server(_bound(self))
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._scheme = "http" if tls is None else "https"

    @property
    def host(self) -> str:
        """`HOST:PORT`."""
        return self._server.host

    @property
    def url(self) -> str:
        """Scheme and host."""
        return f"{self._scheme}://{self.host}"

    @property
    def seen(self) -> list[Seen]:
        """What was asked so far, in the order of arrival."""
        with self._lock:
            return list(self._seen)

    @contextlib.contextmanager
    def running(self) -> Iterator[FaultyRegistry]:
        """Answer requests until the block ends."""
        with self._server.running():
            try:
                yield self
            finally:
                self.stopping.set()

    def forget(self) -> None:
        """Forget what was asked so far."""
        with self._lock:
            self._seen.clear()

    def misbehave(self, fault: Fault, path: str = "", *, method: str = "", times: int | None = None) -> None:
        """From now on answer with the fault where the path (with its query) matches; the first rule counts."""
        with self._lock:
            self._rules.append(_Rule(method=method, path=re.compile(path), fault=fault, left=times))

    def recover(self) -> None:
        """From now on be healthy."""
        with self._lock:
            self._rules.clear()

    # What it holds

    def add_manifest(self, content: bytes, *, tag: str | None = None, media_type: str = oci.MANIFEST) -> Digest:
        """Store a manifest by its digest, and by a tag."""
        digest = digest_of(content)
        with self._lock:
            self.manifests[digest] = (media_type, content)
            if tag is not None:
                self.manifests[tag] = (media_type, content)
        return digest

    def add_blob(self, content: bytes) -> Digest:
        """Store a blob."""
        digest = digest_of(content)
        self.blobs[digest] = content
        return digest

    def add_image(self) -> RegistryImage:
        """Store a plain image under the tag `v1`."""
        self.add_blob(config())
        return self.named(self.add_manifest(manifest_of(config()), tag="v1"))

    def named(self, digest: Digest) -> RegistryImage:
        """The reference of something in the repository."""
        return RegistryImage(repository=Repository(host=self.host, path=REPOSITORY), digest=digest)

    def add_attestation(self, image: RegistryImage, bundle: bytes, *, inline: bool = False) -> bytes:
        """Store an attestation, found through the referrers API only; its manifest."""
        media_type, content = self.manifests[image.digest]
        self.add_blob(bundle)
        self.add_blob(oci.EMPTY_BLOB)
        manifest = oci.attestation_manifest(
            bundle=bundle,
            subject=described(content, media_type),
            predicate_type=PREDICATE_TYPE,
            created=CREATED,
            inline=inline,
        )
        self.add_manifest(manifest)
        return manifest

    def list_at_fallback(self, image: RegistryImage, *manifests: bytes) -> None:
        """Write the list at the fallback tag."""
        content = index_of(*(entry(manifest) for manifest in manifests))
        self.add_manifest(content, tag=fallback_tag(image.digest), media_type=oci.INDEX)

    # What it answers

    def answer(self, handler: Handler) -> None:
        """Answer one request, as a rule says or as a registry would."""
        body = handler.body()
        seen = Seen(
            method=handler.command, path=handler.path, authorization=handler.headers.get("Authorization"), body=body
        )
        with self._lock:
            self._seen.append(seen)
            fault = self._fault(handler.command, handler.path)
        if fault is not None:
            fault(handler)
        else:
            self.serve(handler, body)

    def _fault(self, method: str, path: str) -> Fault | None:
        for rule in self._rules:
            if rule.method in ("", method) and rule.path.search(path) and rule.left != 0:
                if rule.left is not None:
                    rule.left -= 1
                return rule.fault
        return None

    def serve(self, handler: Handler, body: bytes) -> None:
        """What a healthy registry answers."""
        parts = urlsplit(handler.path)
        place = parts.path.removeprefix(f"/v2/{REPOSITORY}/")
        kind, _, rest = place.partition("/")
        match (handler.command, kind):
            case ("GET", "manifests"):
                self._get_manifest(handler, rest)
            case ("PUT", "manifests"):
                self._put_manifest(handler, rest, body)
            case ("GET", "blobs") if rest in self.blobs:
                handler.reply(200, self.blobs[rest], {"Content-Type": "application/octet-stream"})
            case ("HEAD", "blobs") if rest in self.blobs:
                handler.head(len(self.blobs[rest]))
            case ("POST", "blobs"):
                handler.reply(202, b"", {"Location": f"/v2/{REPOSITORY}/blobs/uploads/1?state=a%2Fb"})
            case ("PUT", "blobs"):
                assert parse_qs(parts.query)["state"] == ["a/b"]
                assert self.add_blob(body) == parse_qs(parts.query)["digest"][0]
                handler.reply(201, b"")
            case ("GET", "referrers") if self.referrers:
                handler.reply(200, self._referrers(rest), {"Content-Type": oci.INDEX})
            case ("GET", "tags"):
                with self._lock:
                    tags = sorted(name for name in self.manifests if ":" not in name)
                last = parse_qs(parts.query).get("last", [""])[0]
                handler.reply(200, json.dumps({"name": REPOSITORY, "tags": [t for t in tags if t > last]}).encode())
            case _ if parts.path == "/v2/":
                handler.reply(200, b"{}")
            case ("HEAD", _):
                handler.reply(404, b"")
            case _:
                handler.reply(404, b'{"errors":[{"code":"NOT_FOUND"}]}')

    def _get_manifest(self, handler: Handler, reference: str) -> None:
        with self._lock:
            found = self.manifests.get(reference)
        if found is None:
            handler.reply(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        else:
            handler.reply(200, found[1], {"Content-Type": found[0]})

    def _put_manifest(self, handler: Handler, reference: str, body: bytes) -> None:
        tag = None if ":" in reference else reference
        self.add_manifest(body, tag=tag, media_type=handler.headers["Content-Type"])
        subject = json.loads(body).get("subject")
        known = self.referrers and subject is not None
        handler.reply(201, b"", {"OCI-Subject": subject["digest"]} if known else {})

    def _referrers(self, digest: str) -> bytes:
        with self._lock:
            held = {content for name, (_, content) in self.manifests.items() if ":" in name}
        attached = (content for content in held if json.loads(content).get("subject", {}).get("digest") == digest)
        return index_of(*(entry(content) for content in sorted(attached)))


class _Server(loopback.Server):
    """Ends at once: hundreds of tests start one each."""

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        super().serve_forever(min(poll_interval, 0.005))


class Handler(loopback.Handler):
    """Answers for one `FaultyRegistry`, with what faults need to answer badly."""

    registry: FaultyRegistry

    def respond(self) -> None:
        self.registry.answer(self)

    def reply(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """A proper response."""
        sent = {"Content-Type": JSON, "Content-Length": str(len(body)), **(headers or {})}
        self.send_response(status)
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def head(self, length: int) -> None:
        """The headers of a body that is not sent."""
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def raw(self, content: bytes) -> None:
        """Bytes as they are, and the end of the connection."""
        self.wfile.write(content)
        self.wfile.flush()
        self.close_connection = True

    def pause(self, seconds: float) -> None:
        """Do nothing for a while, or until the registry stops."""
        self.registry.stopping.wait(seconds)


def _bound(owner: FaultyRegistry) -> type[Handler]:
    class Bound(Handler):
        registry = owner

    return Bound


# Faults


def status(code: int, headers: dict[str, str] | None = None, body: bytes = b"{}") -> Fault:
    """A proper response of a status."""
    return lambda handler: handler.reply(code, b"" if code == 304 else body, headers)


def serve(body: bytes, media_type: str = oci.MANIFEST, headers: dict[str, str] | None = None) -> Fault:
    """A proper response of other content."""
    return lambda handler: handler.reply(200, body, {"Content-Type": media_type, **(headers or {})})


def reset(handler: Handler) -> None:
    """The connection is reset before any answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(handler.connection.detach())


def garbage(handler: Handler) -> None:
    """Not HTTP."""
    handler.raw(b"\x00\x01\x02 hello \xff\xff\r\n\r\n")


def endless_headers(handler: Handler) -> None:
    """More headers than anybody reads."""
    handler.raw(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: a\r\n" % number for number in range(5000)) + b"\r\n")


def hang(handler: Handler) -> None:
    """No answer at all."""
    handler.pause(60)
    handler.close_connection = True


def drip_headers(handler: Handler) -> None:
    """Headers that come byte by byte, each one in good time."""
    _drip(handler, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"a" * 5000)


def drip_body(handler: Handler) -> None:
    """A body that comes byte by byte, each one in good time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n" % oci.MANIFEST.encode())
    _drip(handler, b" " * 5000)


def _drip(handler: Handler, content: bytes) -> None:
    for byte in content:
        handler.wfile.write(bytes((byte,)))
        handler.wfile.flush()
        handler.pause(0.02)
        if handler.registry.stopping.is_set():
            break
    handler.close_connection = True


def short_body(handler: Handler) -> None:
    """Fewer bytes than declared."""
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\n{}" % oci.MANIFEST.encode())


def endless_body(handler: Handler) -> None:
    """A chunked body without an end."""
    handler.wfile.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n" % oci.MANIFEST.encode()
    )
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with contextlib.suppress(OSError):
        until = time.monotonic() + 30
        while not handler.registry.stopping.is_set() and time.monotonic() < until:
            handler.wfile.write(chunk)
    handler.close_connection = True


def declared_huge(handler: Handler) -> None:
    """A length that nobody should allocate."""
    handler.raw(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: 99999999999\r\n\r\n" % oci.MANIFEST.encode())


def gzip_bomb(handler: Handler) -> None:
    """Little that becomes much, where encoding was not asked for."""
    handler.reply(200, _bomb(), {"Content-Type": oci.MANIFEST, "Content-Encoding": "gzip"})


@functools.cache
def _bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(b" " * 30_000_000) + packer.flush()


def longer(handler: Handler) -> None:
    """What was asked for, and one byte more."""
    _altered(handler, lambda content: content + b" ")


def flipped(handler: Handler) -> None:
    """What was asked for, with one byte changed."""
    _altered(handler, lambda content: content[:-1] + bytes((content[-1] ^ 1,)))


def wrong_type(handler: Handler) -> None:
    """What was asked for, as something else."""
    _altered(handler, lambda content: content, headers={"Content-Type": "text/html"})


def claimed_encoding(handler: Handler) -> None:
    """What was asked for, under the claim that it is packed."""
    _altered(handler, lambda content: content, headers={"Content-Encoding": "gzip"})


def _altered(handler: Handler, change: Callable[[bytes], bytes], *, headers: dict[str, str] | None = None) -> None:
    """The healthy answer, changed."""
    more = headers or {}
    reply = handler.reply

    def changed(status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        reply(status, change(body) if body else b"x", {**(headers or {}), **more})

    handler.reply = changed  # type: ignore[method-assign]
    try:
        handler.registry.serve(handler, b"")
    finally:
        del handler.reply


def redirect(location: str, code: int = 307) -> Fault:
    """A redirect."""
    return status(code, {"Location": location})


def redirect_loop(handler: Handler) -> None:
    """A redirect to itself."""
    handler.reply(307, b"", {"Location": handler.path})


def redirect_on(handler: Handler) -> None:
    """A redirect to yet another place, for ever."""
    path, _, count = handler.path.partition("?hop=")
    handler.reply(302, b"", {"Location": f"{path}?hop={int(count or 0) + 1}"})


def looped_pages(handler: Handler) -> None:
    """An empty page whose next page is itself."""
    handler.reply(200, _empty_page(handler), {"Content-Type": oci.INDEX, "Link": f'<{handler.path}>; rel="next"'})


def endless_pages(handler: Handler) -> None:
    """Empty pages without an end."""
    path, _, count = handler.path.partition("&page=")
    joint = path if "?" in path else f"{path}?"
    link = f'<{joint}&page={int(count or 0) + 1}>; rel="next"'
    handler.reply(200, _empty_page(handler), {"Content-Type": oci.INDEX, "Link": link})


def _empty_page(handler: Handler) -> bytes:
    return b'{"name":"x","tags":[]}' if "/tags/" in handler.path else index_of()
