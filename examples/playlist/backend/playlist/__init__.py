"""The backend of the playlist: songs over HTTP, kept in SQLite. The standard library is all that it needs."""

VERSION = "1.0"
