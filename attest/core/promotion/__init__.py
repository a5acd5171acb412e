"""Where a promotion goes, and what is copied on the way."""
