"""`attest unfreeze`, which lives beside `attest freeze`."""

from attest.cli.freeze import unfreeze_command as command

__all__ = ["command"]
