"""Alpine packages: lib/apk/db/installed.

Source: Alpine's wiki, "Apk spec" (the installed database): paragraphs of `X:value` lines.
"""

from __future__ import annotations

from attest.core import limits
from attest.core.image.packages.installed import Installed, PackagesInvalid


def parse_apk(content: bytes) -> list[Installed]:
    """The packages that are installed.

    Raises:
        PackagesInvalid: it is no such database.
    """
    if content.count(b"\n\n") > limits.PACKAGES:
        raise PackagesInvalid(f"it names more than {limits.PACKAGES} packages")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PackagesInvalid(f"not UTF-8 at byte {error.start}") from error
    found = []
    for paragraph in text.split("\n\n"):
        fields: dict[str, str] = {}
        for line in paragraph.split("\n"):
            if not line:
                continue
            if line[1:2] != ":":
                raise PackagesInvalid("a line is no field")
            fields.setdefault(line[0], line[2:])
        if not fields:
            continue
        if not fields.get("P") or not fields.get("V"):
            raise PackagesInvalid("a paragraph names no package and version")
        found.append(
            Installed(
                type="apk",
                name=fields["P"],
                version=fields["V"],
                architecture=fields.get("A") or None,
                source=fields.get("o") or None,
            )
        )
    return found
