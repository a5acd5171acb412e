"""Which addresses may be connected to. The check is on the address reached, which no DNS answer can change."""

from __future__ import annotations

import ipaddress
from typing import Final

from attest.errors import StoreMisbehaved

_METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in (
        "100.100.100.200",  # Alibaba Cloud
        "168.63.129.16",  # Azure's wire server
        "192.0.0.192",  # Oracle Cloud
        "fd00:ec2::254",  # AWS
        "fd20:ce::254",  # Google Cloud
    )
)
"""Services that hand credentials to whoever asks, beside those at link-local addresses."""

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


def check_address(text: str, *, loopback: bool, elsewhere: bool) -> None:
    """Let a connection to this address go on, or not.

    `loopback` and `elsewhere` say whether this machine and other machines may be spoken to.

    Raises:
        StoreMisbehaved: the address is link-local, a metadata service, unspecified, multicast, or ruled out.
    """
    address = _plain(text)
    if address.is_loopback:
        allowed = loopback
    else:
        allowed = elsewhere and not (
            address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA
        )
    if not allowed:
        raise StoreMisbehaved(f"a connection led to {address}, which is no place for a registry")


def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address itself, out of the IPv6 forms that wrap an IPv4 address."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
