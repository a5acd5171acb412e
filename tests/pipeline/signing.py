"""Who signs in the pipeline: a key for each lane, or what each job is; and people, whose keys are their own."""

from __future__ import annotations

import enum
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, assert_never

from attest.adapters.keys.generate import generate
from tests.parts.sigstore import PrivateSigstore

LANES: Final = ("build", "contract", "source", "integration", "e2e")
GATE: Final = "gate"
"""Signs the receipts of `ci/promote`."""
DEPLOYER: Final = "deployer"
"""Signs the ledger's head, on the machine that deploys."""
PEOPLE: Final = ("alice", "bob")
"""Who may waive a lane, together."""
PASSWORD: Final = "a passphrase of the tests, for keys that open nothing"


class Signing(enum.Enum):
    """How lanes sign."""

    KEYS = "keys"
    KEYLESS = "keyless"


def signers(signing: Signing) -> tuple[str, ...]:
    """Everybody who has a key."""
    match signing:
        case Signing.KEYS:
            return (*LANES, GATE, DEPLOYER, *PEOPLE)
        case Signing.KEYLESS:
            return (GATE, DEPLOYER, *PEOPLE)
        case _:
            assert_never(signing)


def make_keys(folder: Path, signing: Signing) -> None:
    """Make NAME.key and NAME.pub for everybody who has a key, all with the one passphrase."""
    for name in signers(signing):
        generate(name, folder, "ecdsa-p256", PASSWORD.encode())


def publish_keys(keys: Path, checkout: Path, sigstore: PrivateSigstore | None) -> None:
    """Put into the repository what verifies: the public keys and, keyless, the trusted root and the policies for it."""
    for key in sorted(keys.glob("*.pub")):
        shutil.copy(key, checkout / "keys" / key.name)
    if sigstore is not None:
        shutil.copy(sigstore.trusted_root, checkout / "keys" / "trusted_root.json")
        for name in ("promote", "staging"):
            shutil.copy(checkout / "policies" / f"keyless-{name}.yaml", checkout / "policies" / f"{name}.yaml")


def secrets(keys: Path, signing: Signing) -> dict[str, str]:
    """The secrets of the repository, by the names that the workflow files know them by."""
    names = [name for name in signers(signing) if name in (*LANES, GATE)]
    made = {f"ATTEST_{name.upper()}_KEY": (keys / f"{name}.key").read_text().strip() for name in names}
    return {**made, "ATTEST_KEY_PASSWORD": PASSWORD}


def identity(sigstore: PrivateSigstore, context: Mapping[str, str]) -> dict[str, str]:
    """How a job asks for its token, which says what the job is: a run of one workflow file for a push to `main`."""
    claims = ("sha", "ref", "repository", "run_id", "run_number", "run_attempt", "event_name", "workflow_ref")
    return sigstore.issuers.job_environment(**{name: context[name] for name in claims})
