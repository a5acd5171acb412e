"""Songs as they are read and kept."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from playlist.songs import LONGEST_SONG, LONGEST_TEXT, InvalidSong, Song, Songs, parse_song

SONG = {"title": "Clair de lune", "artist": "Claude Debussy", "seconds": 301}


def test_a_song_is_read() -> None:
    """A song has a title, an artist and a length, without spaces around its texts."""
    read = parse_song({**SONG, "title": " Clair de lune "})
    assert read == Song(title="Clair de lune", artist="Claude Debussy", seconds=301)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ([], "a song is a JSON object"),
        ({**SONG, "rating": 5}, "a song has no 'rating'"),
        ({"artist": "a", "seconds": 1}, "title has to be a text"),
        ({**SONG, "title": " "}, "title has to be a text"),
        ({**SONG, "artist": 7}, "artist has to be a text"),
        ({**SONG, "title": "a" * (LONGEST_TEXT + 1)}, "title is longer than 200 characters"),
        ({**SONG, "title": "a\nb"}, "title has characters that cannot be shown"),
        ({**SONG, "seconds": "301"}, "seconds has to be a whole number"),
        ({**SONG, "seconds": True}, "seconds has to be a whole number"),
        ({**SONG, "seconds": 0}, "seconds has to be a whole number"),
        ({**SONG, "seconds": LONGEST_SONG + 1}, "seconds has to be a whole number"),
    ],
)
def test_what_is_no_song_is_refused(document: object, reason: str) -> None:
    """Anything else is refused with the reason."""
    with pytest.raises(InvalidSong, match=reason):
        parse_song(document)


def test_songs_are_kept(tmp_path: Path) -> None:
    """Songs come back in the order in which they were added, also after a restart."""
    songs = Songs(tmp_path / "songs.db")
    added = [songs.add(Song(title=f"Number {number}", artist="Band", seconds=60 + number)) for number in range(3)]
    assert [song["id"] for song in added] == [1, 2, 3]
    assert Songs(tmp_path / "songs.db").all() == added


def test_looking_whether_it_works_changes_nothing(tmp_path: Path) -> None:
    """The health check leaves no song behind."""
    songs = Songs(tmp_path / "songs.db")
    songs.check()
    assert songs.all() == []


def test_a_database_that_is_gone_is_noticed(tmp_path: Path) -> None:
    """The health check fails where the database cannot be written."""
    file = tmp_path / "songs.db"
    songs = Songs(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(sqlite3.OperationalError):
        songs.check()
