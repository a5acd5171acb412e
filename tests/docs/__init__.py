"""Documents that run: what they show is what happens."""
