"""pytest for the whole project: the fixtures of the real parts, and how long hypothesis looks for a counterexample."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.parts.fixtures"]

# No test is timed: a slow machine is no counterexample, so there is no deadline and no complaint about slow data.
# `default` is for a person who waits: other examples each time, a tenth of those that CI looks at.
_patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", _patient, max_examples=10)
settings.register_profile("ci", _patient, derandomize=True, database=None, print_blob=True)
settings.register_profile("fuzz", _patient, max_examples=20_000, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

# What a script starts in the background ignores SIGINT, and so does all that it starts. The tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
