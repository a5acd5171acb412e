"""How far the reading of an image's layers is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attest.cli.progress import amount, watching

if TYPE_CHECKING:
    from attest.ops.facts import Progress


@dataclass(slots=True)
class _Seen:
    last: Progress | None = None

    def tell(self, progress: Progress) -> None:
        self.last = progress

    def text(self) -> str:
        last = self.last
        if last is None:
            return "looking at the image"
        return f"reading layer {last.layer} of {last.layers}: {amount(last.done)} of {amount(last.size)}"


@contextmanager
def reading_layers() -> Iterator[Callable[[Progress], None]]:
    """Show on a terminal which layer is being read, as the function that is given says."""
    seen = _Seen()
    with watching(seen.text):
        yield seen.tell
