"""Where services run: the document that says so, targets, and what was seen there."""
