"""Deliveries to an environment: what the ledger records of them, what follows from it, and what may come next."""
