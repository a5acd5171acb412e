"""What a job knows about the source it ran on and the run it is part of: from flags, CI variables and git."""

from attest.adapters.context.detect import Detected, Flags, ForeignCode, detect
from attest.adapters.context.found import Found, Origin
from attest.adapters.context.git import find_names

__all__ = ["Detected", "Flags", "ForeignCode", "Found", "Origin", "detect", "find_names"]
