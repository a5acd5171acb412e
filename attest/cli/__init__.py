"""The command line: it alone joins adapters to verbs, and nobody imports it."""
