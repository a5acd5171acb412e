"""URLs of registries, read strictly: where a request goes, and what counts as the same place (RFC 6454)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

_PORTS: Final = {"http": 80, "https": 443}
_PRINTABLE = re.compile(r"[!-~]+")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme, host and port. `host` is lower-case and an IPv6 address has no brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """`HOST` or `HOST:PORT`, without the port that the scheme implies."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the host is named as this machine itself."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """An absolute URL: an origin and what is asked of it. It has no user name and no fragment."""

    origin: Origin
    target: str
    """Path and query, as they are sent."""

    def __str__(self) -> str:
        return f"{self.origin}{self.target}"

    def join(self, reference: str) -> Url:
        """The URL that a `Location` or `Link` means here.

        Raises:
            ValueError: it is not one that is followed here.
        """
        if _PRINTABLE.fullmatch(reference) is None:
            raise ValueError("not a URL")
        return parse_url(urljoin(str(self), reference))


def parse_url(text: str) -> Url:
    """An absolute http or https URL.

    Raises:
        ValueError: it is none, or it names a user.
    """
    if _PRINTABLE.fullmatch(text) is None or "\\" in text:
        raise ValueError("not a URL")
    parts = urlsplit(text)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not an http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL with a user name")
    host = parts.hostname
    if ":" in host:
        host = str(ipaddress.IPv6Address(host))
    elif _NAME.fullmatch(host) is None:
        raise ValueError("not a host name")
    port = parts.port if parts.port is not None else _PORTS[parts.scheme]
    if port == 0:
        raise ValueError("not a port")
    origin = Origin(scheme=parts.scheme, host=host, port=port)
    return Url(origin=origin, target=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def registry_origin(host: str, *, plain_http: bool, tls: bool) -> Origin:
    """Where the registry `HOST[:PORT]` is: https, and plain http where it was asked for or is on loopback.

    `tls` asks for https on loopback. `docker.io` is the name of a registry that answers elsewhere.
    """
    named = parse_url(f"https://{'registry-1.docker.io' if host == 'docker.io' else host}").origin
    if not plain_http and (tls or not named.is_loopback):
        return named
    return parse_url(f"http://{host}").origin
