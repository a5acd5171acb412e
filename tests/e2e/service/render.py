"""The sample service of the end-to-end tests: a page with a playlist, rendered when its image is built."""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

TRACKS = ({"title": "Intro", "seconds": 41}, {"title": "Waltz & Coda", "seconds": 200})


def total_seconds(tracks: Sequence[Mapping[str, object]]) -> int:
    """How long a playlist plays."""
    return sum(int(str(track["seconds"])) for track in tracks)


def page(tracks: Sequence[Mapping[str, object]]) -> str:
    """The page that people see; a button shows how long it plays."""
    items = "".join(f"<li>{html.escape(str(track['title']))}</li>" for track in tracks)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Playlist</title>'
        f"<h1>Playlist</h1><ol>{items}</ol><button>How long?</button><output></output>"
        "<script>document.querySelector('button').onclick = async () => {"
        "const playlist = await (await fetch('playlist.json')).json();"
        "document.querySelector('output').textContent = playlist.seconds + ' s';};</script></html>\n"
    )


def render(folder: Path, tracks: Sequence[Mapping[str, object]] = TRACKS) -> None:
    """Write the page and the playlist."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(page(tracks))
    playlist = {"tracks": list(tracks), "seconds": total_seconds(tracks)}
    (folder / "playlist.json").write_text(json.dumps(playlist))


if __name__ == "__main__":
    render(Path(sys.argv[1]))
