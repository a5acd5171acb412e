"""Node packages: package.json of a folder in node_modules.

Source: npm's documentation, "package.json" and "folders".
"""

from __future__ import annotations

from attest.core.image.packages.installed import Installed, PackagesInvalid
from attest.core.strictjson import JsonInvalid, loads


def parse_node(content: bytes) -> list[Installed]:
    """The one package that the file describes.

    Raises:
        PackagesInvalid: it is not strict JSON, or names no package and version.
    """
    try:
        document = loads(content.removeprefix(b"\xef\xbb\xbf"))
    except JsonInvalid as error:
        raise PackagesInvalid(f"not strict JSON: {error}") from error
    if not isinstance(document, dict):
        raise PackagesInvalid("not a JSON object")
    name, version = document.get("name"), document.get("version")
    if not isinstance(name, str) or not isinstance(version, str) or not name or not version:
        raise PackagesInvalid("it names no package and version")
    return [Installed(type="npm", name=name, version=version)]
