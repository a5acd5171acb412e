"""Python distributions: METADATA of a .dist-info folder, PKG-INFO of an .egg-info one.

Source: "Core metadata specifications" and "Recording installed projects" of the Python Packaging User Guide.
"""

from __future__ import annotations

from attest.core.image.packages.installed import Installed, PackagesInvalid


def parse_python(content: bytes) -> list[Installed]:
    """The one distribution that the file describes.

    Raises:
        PackagesInvalid: it names no distribution and version.
    """
    fields: dict[str, str] = {}
    for line in content.removeprefix(b"\xef\xbb\xbf").splitlines():
        if not line.strip():
            break  # the description follows
        key, colon, value = line.partition(b":")
        if colon and line[:1] not in (b" ", b"\t"):
            fields.setdefault(key.decode("utf-8", "replace").lower(), value.decode("utf-8", "replace").strip())
    name, version = fields.get("name"), fields.get("version")
    if not name or not version:
        raise PackagesInvalid("it names no distribution and version")
    return [Installed(type="pypi", name=name, version=version)]
