"""Private key files: made, read whatever tool wrote them, and used to sign. Public keys are `attest.core.keys`."""

from attest.adapters.keys.generate import ALGORITHMS, Algorithm, Generated, generate
from attest.adapters.keys.load import KeySigner, load_signer
from attest.adapters.keys.passphrase import VARIABLE, read_passphrase

__all__ = [
    "ALGORITHMS",
    "VARIABLE",
    "Algorithm",
    "Generated",
    "KeySigner",
    "generate",
    "load_signer",
    "read_passphrase",
]
