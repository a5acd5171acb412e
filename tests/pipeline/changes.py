"""What happens to the example in the course of its story: small changes of its sources, good and bad, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Final


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Replacement:
    """A text in a file, and what takes its place. It has to be there once, and what takes its place not yet."""

    file: str
    old: str
    new: str


BROKEN_TEST: Final = "test_the_page_shows_the_songs"
"""The test of the browser that `broken-page` makes fail first."""
LEAKING_STEP: Final = "in /app/pytest"
"""What the build step says of the layer that `leaked-tool` adds."""

_CONTAINERFILE: Final = "backend/Containerfile"
_WEB: Final = "backend/playlist/web.py"
_DATA: Final = "COPY --from=application --chown=65532:65532 /application/data/ /data/\n"
_SECRETS: Final = """\
RUN --mount=type=secret,id=apt.list --mount=type=secret,id=apt.conf --mount=type=secret,id=apt.auth \\
    --mount=type=secret,id=ca.crt \\
"""

CHANGES: Final[Mapping[str, tuple[Replacement, ...]]] = {
    # The three dots are missing, so the rows are put into the table as one text. Neither the checks of the source nor
    # the black-box tests run the script.
    "broken-page": (
        Replacement(
            file="frontend/site/playlist.js",
            old="replaceChildren(...answer.songs.map(row))",
            new="replaceChildren(answer.songs.map(row))",
        ),
    ),
    # Somebody wants to try things where they go wrong.
    "leaked-tool": (
        Replacement(
            file=_CONTAINERFILE,
            old="FROM build AS application\n",
            new=f"FROM build AS tools\n{_SECRETS}"
            "    unpack /tools python3-pytest python3-attr python3-iniconfig python3-packaging python3-pluggy\n\n"
            "FROM build AS application\n",
        ),
        Replacement(
            file=_CONTAINERFILE,
            old=_DATA,
            new=f"{_DATA}COPY --from=tools /tools/usr/lib/python3/dist-packages/ /app/pytest/\n",
        ),
    ),
    # One line.
    "hot-fix": (Replacement(file=_WEB, old="    timeout = 10\n", new="    timeout = 30\n"),),
    # The service keeps a copy of the list beside the program. Wherever it is tested that can be written; in staging
    # nothing of the image can.
    "bad-release": (
        Replacement(
            file=_CONTAINERFILE,
            old="&& mkdir /application/data\n",
            new="&& mkdir /application/data /application/cache\n",
        ),
        Replacement(
            file=_CONTAINERFILE,
            old=_DATA,
            new=f"{_DATA}COPY --from=application --chown=65532:65532 /application/cache/ /app/cache/\n",
        ),
        Replacement(
            file=_WEB,
            old='"""The commit that the image was built from; the build writes it."""\n',
            new='"""The commit that the image was built from; the build writes it."""\n'
            'COPY = Path(__file__).parents[1] / "cache" / "songs.json"\n'
            '"""The list as it was last seen, for when the database is away."""\n',
        ),
        Replacement(
            file=_WEB,
            old="        self.server.songs.check()\n",
            new="        self.server.songs.check()\n"
            "        COPY.parent.mkdir(exist_ok=True)\n"
            "        COPY.write_text(json.dumps(self.server.songs.all()))\n",
        ),
        Replacement(
            file=_WEB,
            old="except sqlite3.Error as error:",
            new="except (sqlite3.Error, OSError) as error:",
        ),
    ),
}


def apply(checkout: Path, name: str) -> None:
    """Make a change in a checkout; ValueError where it does not fit, or is there already."""
    for one in CHANGES[name]:
        _replace(checkout / one.file, one.old, one.new)


def revert(checkout: Path, name: str) -> None:
    """Take a change back; ValueError where it is not there."""
    for one in reversed(CHANGES[name]):
        _replace(checkout / one.file, one.new, one.old)


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    if text.count(old) != 1 or (new in text and new not in old):
        raise ValueError(f"{file} does not have this text once, or has what takes its place: {old!r}")
    file.write_text(text.replace(old, new))
