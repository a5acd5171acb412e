"""Images and attestations in an OCI image layout: a directory, no network (image-spec v1.1, "Image Layout")."""

from attest.adapters.layout.store import LayoutStore

__all__ = ["LayoutStore"]
