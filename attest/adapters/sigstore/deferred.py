"""The public-good trust of a policy, fetched when a bundle first needs it: reading a policy asks nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from attest.core.certificate import Certified
from attest.core.reference import Digest

if TYPE_CHECKING:
    from attest.adapters.sigstore.trust import SigstoreTrust


class DeferredTrust:
    """A trust that is opened once, by the first who needs it. Implements `attest.core.verify.Trust`.

    Every method raises what opening it raises, each time anew: a root that could not be had is never an empty one.
    """

    __slots__ = ("_lock", "_open", "_opened")

    def __init__(self, opening: Callable[[], SigstoreTrust]) -> None:
        self._open = opening
        self._opened: SigstoreTrust | None = None
        self._lock = threading.Lock()

    @property
    def digest(self) -> Digest | None:
        """SHA-256 of the trusted root's bytes; None as long as nothing needed it."""
        return None if self._opened is None else self._opened.digest

    def certify(self, bundle: bytes) -> Certified:
        """As `SigstoreTrust.certify`."""
        return self._trust().certify(bundle)

    def times(self, bundle: bytes) -> tuple[datetime, ...]:
        """As `SigstoreTrust.times`."""
        return self._trust().times(bundle)

    def _trust(self) -> SigstoreTrust:
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened
