"""The bytes of a blob on their way, counted and hashed while they pass.

The last piece is held back until size and digest are known to be right, so that nobody ever gets all of a blob that
is another one (CVE-2023-33959).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from attest.core.oci import Descriptor


class BlobDiffers(ValueError):
    """The bytes are not those that were described."""


def checked(pieces: Iterable[bytes], blob: Descriptor) -> Iterator[bytes]:
    """The pieces of a blob in their order.

    Raises:
        BlobDiffers: they have another size or digest; the last piece was not handed on.
    """
    hasher = hashlib.sha256()
    size = 0
    held = b""
    for piece in pieces:
        size += len(piece)
        if size > blob.size:
            raise BlobDiffers(f"it has more than the {blob.size} bytes of its descriptor")
        hasher.update(piece)
        if held:
            yield held
        held = piece
    if size != blob.size:
        raise BlobDiffers(f"it has {size} bytes, and not the {blob.size} of its descriptor")
    digest = f"sha256:{hasher.hexdigest()}"
    if digest != blob.digest:
        raise BlobDiffers(f"it has the digest {digest}")
    if held:
        yield held
