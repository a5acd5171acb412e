"""What becomes of a connection whose thread was given up."""

from __future__ import annotations

import gc
import os
import socket
import ssl

import pytest

from attest.adapters.registry.connections import tls_context


def test_a_connection_that_nobody_holds_is_closed() -> None:
    """A TLS socket that is only found by the collector, as that of a thread that was given up, is closed by then."""
    ours, theirs = socket.socketpair()
    context = tls_context(None)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    held: list[object] = [context.wrap_socket(ours, do_handshake_on_connect=False)]
    number = held[0].fileno()  # type: ignore[attr-defined]  # a socket
    held.append(held)
    del held
    gc.collect()
    with theirs, pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
