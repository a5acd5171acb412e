"""The pure core: bytes and values in, verified values and verdicts out. No input, no output, no clock."""
