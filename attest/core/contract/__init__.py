"""The runtime image contract: what a deployable image may be, and whether one is that. Pure: from facts to findings.

`attest.core.contract.document` reads a contract, `check_image` holds it against the facts of an image.
"""

from attest.core.contract.check import check_image
from attest.core.contract.claims import BuildClaim, read_claim
from attest.core.contract.document import Contract, read_contract, schema

__all__ = ["BuildClaim", "Contract", "check_image", "read_claim", "read_contract", "schema"]
