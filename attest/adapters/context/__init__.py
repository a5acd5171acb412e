"""What a job knows about the source it ran on and the run it is part of: from flags, CI variables and git."""

from attest.adapters.context.detect import Detected, Flags, ForeignCode, detect
from attest.adapters.context.found import Found, Origin

__all__ = ["Detected", "Flags", "ForeignCode", "Found", "Origin", "detect"]
