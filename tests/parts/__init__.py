"""Real registries, builders and peers for the tests: found, started on loopback, stopped.

Nothing here imports the package under test.
"""
