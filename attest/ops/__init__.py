"""The verbs: what attest does, in terms of ports. They import no adapter and know no command line."""
