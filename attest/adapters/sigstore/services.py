"""What running Sigstore services say of themselves, asked over HTTP (`attest.ops.trust`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attest.adapters.deadline import Deadline

Ask = Callable[[str, str, str], tuple[int, bytes]]
"""`attest.ops.trust.AskService`."""


def ask_services(deadline: Deadline, *, ca_file: str | None) -> Ask:
    """A function that gets a path of a service, within the deadline."""
    from attest.adapters.sigstore.exchange import Network, Service, ServiceRefused

    network = Network(deadline=deadline, ca_file=ca_file)

    def ask(name: str, url: str, path: str) -> tuple[int, bytes]:
        with network.session(Service(name=name, url=url)) as session:
            try:
                response = session.get(url + path)
            except ServiceRefused as refused:
                return refused.status, b""
            return response.status_code, response.content

    return ask


def is_address(url: str) -> bool:
    """Whether a service may be at this address: https, or plain http on loopback."""
    from attest.adapters.sigstore.exchange import is_safe

    return is_safe(url)
