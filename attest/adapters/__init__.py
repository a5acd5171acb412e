"""The edge: one I/O library for each adapter. They implement `attest.ports` and never import each other."""
