"""The records of deliveries: which types there are, and what each one says.

A delivery is known by the number of the record that plans it. Each change of its state is one record, written before
what it announces is done; so what a crash leaves behind can be told from the ledger alone. Types that begin with
`deployment.` or `environment.` are described here and nowhere else; other types are other people's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field, ValidationError

from attest.core.canonicaljson import canonical
from attest.core.delivery.fields import Commit, Image, Line, Moment, Name, Payload, Seq, Sha256, Text
from attest.core.delivery.services import RecordedService
from attest.core.delivery.verdicts import RecordedPolicy, RecordedVerdict, RecordedWaiver
from attest.core.ledger.chain import Entry, Record
from attest.core.reference import Digest, digest_of


class DeliveryInvalid(ValueError):
    """A record of a delivery does not say what one of its type says, or says it where it cannot be true."""


class Kind(StrEnum):
    """What a delivery is for."""

    DEPLOY = "deploy"
    ROLLBACK = "rollback"
    """Back to a release that was healthy."""
    REPAIR = "repair"
    """What should run, once more: something else was seen."""


class Trigger(StrEnum):
    """Who wants it."""

    EXPLICIT = "explicit"
    """Somebody who can be asked."""
    AUTOMATIC = "automatic"
    """A pipeline or a timer; a deployment of this kind gives way to a hold. Of a rollback: the failure itself."""


class Cause(StrEnum):
    """Why a delivery was refused, with nothing touched; stable codes."""

    POLICY = "policy"
    """The verdict says so."""
    BAD_RELEASE = "bad-release"
    """The release failed here, or was rolled back, and nobody has lifted that."""
    FROZEN = "frozen"
    HELD = "held"
    """Automatic deployments wait until somebody ends the hold."""


class Pass(StrEnum):
    """Why a rollback passed over a release; stable codes."""

    BAD = "bad-release"
    NOT_HEALTHY = "not-healthy"
    """It was never probed healthy here."""
    NOT_WHOLE = "not-whole"
    """Its services, or their repositories, are not those of the environment today."""
    WAIVED = "waived"
    """It ran by a waiver alone."""
    GONE = "gone"
    """An image of it can no longer be pulled."""
    REFUSED = "refused"
    """Today's policy refuses it."""


class Stage(StrEnum):
    """How far a delivery was when it could not be told whether it is good."""

    VERIFYING = "verifying"
    PREPARING = "preparing"
    APPLYING = "applying"
    CONFIRMING = "confirming"
    """Observing by digest that what was applied runs."""
    PROBING = "probing"
    INTERRUPTED = "interrupted"
    """It was found unfinished, and is not finished but rolled back."""


class DeliveredRelease(Payload):
    """A release: the image of every service of the environment, and the commit that it is of, where somebody said."""

    commit: Commit | None
    services: Annotated[dict[Name, Image], Field(min_length=1)]

    @property
    def key(self) -> Digest:
        """What makes it the same release: the digest that each service runs, and nothing else."""
        return digest_of(canonical({name: image.digest for name, image in self.services.items()}))


class PassedOver(Payload):
    """A release that a rollback did not take, and why."""

    deployment: Seq
    """The delivery that it is known by."""
    reason: Pass
    message: Text


class PassedOverRest(Payload):
    """The older releases that a rollback did not take either, behind those that its record lists."""

    count: Seq
    newest: Seq
    """The delivery that the newest of them is known by; `attest history` tells what became of each."""
    oldest: Seq
    reasons: dict[Pass, Seq]
    """How many of them were passed over for each reason."""


class Planned(Payload):
    """Somebody wants a release to run. Nothing was looked at yet."""

    TYPE: ClassVar[str] = "deployment.planned"

    kind: Kind
    trigger: Trigger
    release: DeliveredRelease
    document: Sha256
    """Of the environment document."""
    reverts: Seq | None = None
    """Of a rollback: the delivery that it undoes."""
    passed_over: tuple[PassedOver, ...] = ()
    """Of a rollback: the newer releases that it did not take, the newest of them."""
    passed_over_rest: PassedOverRest | None = None
    """Those behind them, where there were more than are listed."""
    waiver: Sha256 | None = None
    """The waiver that it may run by."""
    reason: Line | None = None
    """What the one who wants it says."""
    version: str
    """Of attest."""


class Step(Payload):
    """A change of the state of a delivery."""

    TYPE: ClassVar[str]

    deployment: Seq
    """The number of the record that planned it."""


class Verified(Step):
    """It passed under today's policy, or was waived. Nothing was touched yet."""

    TYPE = "deployment.verified"

    verdict: RecordedVerdict
    names: dict[Name, tuple[Sha256, ...]]
    """Of each service: every digest that a container of its image may be known by."""


class Refused(Step):
    """It may not run. Nothing was touched."""

    TYPE = "deployment.refused"

    cause: Cause
    message: Text
    verdict: RecordedVerdict | None = None
    """Where it was the policy that refused."""


class Applying(Step):
    """From here on the environment is being changed."""

    TYPE = "deployment.applying"


class Probing(Step):
    """The target took it; now it is found out what runs, and how well."""

    TYPE = "deployment.probing"

    trouble: Text | None = None
    """What the target's tool complained about; what runs decides, not that."""


class Succeeded(Step):
    """Observed by digest, and healthy for as long as it has to be."""

    TYPE = "deployment.succeeded"

    services: dict[Name, RecordedService]


class Failed(Step):
    """The release is bad: a service of it is not healthy, or it was found half applied and may not run any more."""

    TYPE = "deployment.failed"

    message: Text
    services: dict[Name, RecordedService]
    rollback: bool
    """Whether a rollback follows by itself."""
    verdict: RecordedVerdict | None = None
    """Where it was today's policy that refuses what was half applied."""


class Erred(Step):
    """It cannot be told whether it is good. What runs has to be observed."""

    TYPE = "deployment.error"

    stage: Stage
    message: Text
    services: dict[Name, RecordedService] = Field(default_factory=dict)


class Superseded(Step):
    """It was given up before anything was touched."""

    TYPE = "deployment.superseded"

    message: Text


class Held(Payload):
    """A rollback found nothing to go back to. What runs stays, automatic deployments wait, people have to decide."""

    TYPE: ClassVar[str] = "environment.held"

    reverts: Seq
    """The delivery that should have been undone."""
    trigger: Trigger
    passed_over: tuple[PassedOver, ...]
    message: Text
    reason: Line | None = None
    passed_over_rest: PassedOverRest | None = None


class RollbackUndecided(Payload):
    """A rollback could not be decided about one of its candidates. Nothing was touched, and nothing changes by it."""

    TYPE: ClassVar[str] = "environment.undecided"

    reverts: Seq
    """The delivery that should have been undone."""
    deployment: Seq
    """The delivery whose release nobody could decide about."""
    trigger: Trigger
    passed_over: tuple[PassedOver, ...]
    """What was passed over before."""
    message: Text
    reason: Line | None = None
    passed_over_rest: PassedOverRest | None = None


class Released(Payload):
    """Somebody lifts what stands in the way: the hold, the mark on bad releases, or both."""

    TYPE: ClassVar[str] = "environment.released"

    hold: bool
    """Whether automatic deployments may go on."""
    releases: tuple[Sha256, ...]
    """Keys of releases that are no longer marked."""
    reason: Line


class Frozen(Payload):
    """Nothing is deployed from now on; rollbacks are exempt."""

    TYPE: ClassVar[str] = "environment.frozen"

    until: Moment | None
    """When it ends by itself."""
    reason: Line


class Unfrozen(Payload):
    """What was frozen by a record is no longer; windows of the environment document stay."""

    TYPE: ClassVar[str] = "environment.unfrozen"

    reason: Line


class Observation(Payload):
    """What was seen to run, and whether it is what should."""

    TYPE: ClassVar[str] = "environment.observed"

    deployment: Seq | None
    """The delivery whose release should run."""
    services: dict[Name, RecordedService]
    drift: tuple[Name, ...]
    """The services that run something else."""


class PromotionWaived(Payload):
    """Images were let through to where the environment takes them from, by a waiver. Recorded before they moved."""

    TYPE: ClassVar[str] = "environment.waived"

    images: Annotated[tuple[Image, ...], Field(min_length=1)]
    """At their destinations."""
    policy: RecordedPolicy
    """Of the promotion; the environment's may be another one."""
    lacking: tuple[Name, ...]
    """The lanes that were not present."""
    waiver: RecordedWaiver


AnyPayload = (
    Planned
    | Verified
    | Refused
    | Applying
    | Probing
    | Succeeded
    | Failed
    | Erred
    | Superseded
    | Held
    | RollbackUndecided
    | Released
    | Frozen
    | Unfrozen
    | Observation
    | PromotionWaived
)

PAYLOADS: Final[Mapping[str, type[AnyPayload]]] = {
    payload.TYPE: payload
    for payload in (
        Planned,
        Verified,
        Refused,
        Applying,
        Probing,
        Succeeded,
        Failed,
        Erred,
        Superseded,
        Held,
        RollbackUndecided,
        Released,
        Frozen,
        Unfrozen,
        Observation,
        PromotionWaived,
    )
}
"""Every type of record of a delivery."""

_OURS: Final = ("deployment.", "environment.")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """A record of a delivery, read."""

    record: Record
    payload: AnyPayload


def entry_of(payload: AnyPayload, *, environment: str, actor: str) -> Entry:
    """What is to be recorded.

    Raises:
        attest.core.ledger.chain.RecordInvalid: it is larger than a record may be.
    """
    return Entry(type=payload.TYPE, environment=environment, actor=actor, payload=payload.model_dump(mode="json"))


def read_delivery(record: Record) -> DeliveryRecord | None:
    """What a record says of a delivery; None where it is about something else.

    Raises:
        DeliveryInvalid: its type is ours and unknown, or its payload is not what that type says.
    """
    if not record.type.startswith(_OURS):
        return None
    model = PAYLOADS.get(record.type)
    if model is None:
        raise DeliveryInvalid(f"record {record.seq} is of a type that this version does not know: {record.type}")
    try:
        payload = model.model_validate_json(canonical(dict(record.payload)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the payload"
        raise DeliveryInvalid(f"record {record.seq} ({record.type}): {place}: {first['msg']}") from error
    return DeliveryRecord(record=record, payload=payload)
