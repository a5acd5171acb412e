"""Tests of the registry adapter: against real registries, and against a registry that misbehaves on demand."""
