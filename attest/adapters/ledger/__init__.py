"""Ledgers in SQL databases: SQLite on one machine, PostgreSQL for several. SQLAlchemy loads when one is opened."""

from attest.adapters.ledger.address import Address, Engine, parse_address
from attest.adapters.ledger.open import create_ledger, open_ledger

__all__ = ["Address", "Engine", "create_ledger", "open_ledger", "parse_address"]
