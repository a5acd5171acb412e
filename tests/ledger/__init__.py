"""Tests of the ledger's adapter: on SQLite and on a real PostgreSQL."""
