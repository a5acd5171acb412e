"""The machine that runs `examples/playlist` from commit to staging and back, and the story that it tells."""
