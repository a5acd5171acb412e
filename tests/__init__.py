"""The tests of the project; `tests.parts` starts the real parts that they talk to."""
