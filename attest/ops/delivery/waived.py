"""Promotions by a waiver, in the ledger of the environment that they are for."""

from __future__ import annotations

from collections.abc import Sequence

from attest.core.delivery.records import PromotionWaived, entry_of
from attest.core.delivery.verdicts import record_policy, record_waiver
from attest.core.reference import RegistryImage
from attest.core.waiver import Waived
from attest.ops.delivery.site import LEASE, read_history
from attest.ops.delivery.stops import Desk


def record_promotion(desk: Desk, waived: Waived, images: Sequence[RegistryImage]) -> None:
    """Record that images are let through to their destinations, before they move.

    Raises:
        LeaseHeld: a deployer is at work, and went on for longer than we wait.
        LedgerError: the ledger cannot be written or believed.
    """
    payload = PromotionWaived(
        images=tuple(images),
        policy=record_policy(waived.findings),
        lacking=waived.lacking,
        waiver=record_waiver(waived),
    )
    with desk.ledger.lease(desk.environment, holder=desk.actor, ttl=LEASE, wait=desk.wait) as lease:
        read_history(desk.ledger)
        lease.append(entry_of(payload, environment=desk.environment, actor=desk.actor))
