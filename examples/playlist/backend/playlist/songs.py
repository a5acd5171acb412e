"""Songs, and the database that keeps them."""

from __future__ import annotations

import contextlib
import dataclasses
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LONGEST_TEXT = 200
LONGEST_SONG = 24 * 60 * 60

_SCHEMA = """\
CREATE TABLE IF NOT EXISTS songs (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    artist TEXT NOT NULL,
    seconds INTEGER NOT NULL
) STRICT
"""
_ADD = "INSERT INTO songs (title, artist, seconds) VALUES (:title, :artist, :seconds)"


class InvalidSong(Exception):
    """What was sent is no song; the message says why, for the one who sent it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """A song that somebody wants to hear."""

    title: str
    artist: str
    seconds: int


def parse_song(document: object) -> Song:
    """A song from JSON; InvalidSong for anything else, unknown fields among it."""
    if not isinstance(document, dict):
        raise InvalidSong("a song is a JSON object")
    unknown = sorted(set(document) - {"title", "artist", "seconds"})
    if unknown:
        raise InvalidSong(f"a song has no {unknown[0]!r}")
    return Song(
        title=_text(document, "title"),
        artist=_text(document, "artist"),
        seconds=_seconds(document),
    )


class Songs:
    """The songs in a database file; each call has a connection of its own, so threads may share this."""

    def __init__(self, file: Path) -> None:
        """Use this file, which is made if it is not there; sqlite3.Error or OSError where that cannot be."""
        self._file = file
        with self._connection() as connection:
            connection.execute(_SCHEMA)

    def all(self) -> list[dict[str, Any]]:
        """Every song with its id, the oldest first."""
        with self._connection() as connection:
            rows = connection.execute("SELECT id, title, artist, seconds FROM songs ORDER BY id").fetchall()
        return [dict(row) for row in rows]

    def add(self, song: Song) -> dict[str, Any]:
        """Keep a song; it comes back with its id."""
        values = dataclasses.asdict(song)
        with self._connection() as connection:
            made = connection.execute(_ADD, values)
        return {"id": made.lastrowid, **values}

    def check(self) -> None:
        """Write, and take it back; sqlite3.Error where the database cannot be used."""
        with self._connection() as connection:
            connection.execute("SAVEPOINT health")
            connection.execute("INSERT INTO songs (title, artist, seconds) VALUES ('', '', 0)")
            connection.execute("ROLLBACK TO health")

    @contextlib.contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self._file, timeout=5)) as connection, connection:
            connection.row_factory = sqlite3.Row
            yield connection


def _text(document: dict[Any, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value.strip():
        raise InvalidSong(f"{name} has to be a text")
    if len(value) > LONGEST_TEXT:
        raise InvalidSong(f"{name} is longer than {LONGEST_TEXT} characters")
    if not value.isprintable():
        raise InvalidSong(f"{name} has characters that cannot be shown")
    return value.strip()


def _seconds(document: dict[Any, Any]) -> int:
    value = document.get("seconds")
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= LONGEST_SONG:
        raise InvalidSong(f"seconds has to be a whole number from 1 to {LONGEST_SONG}")
    return value
