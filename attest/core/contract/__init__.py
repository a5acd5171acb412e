"""The runtime image contract: what a deployable image may be, and whether one is that. Pure: from facts to findings."""
