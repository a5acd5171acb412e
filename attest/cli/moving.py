"""The second half of `attest promote`: decide, move, and tell."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from attest.adapters.clock import SystemClock
from attest.adapters.files import write_file
from attest.cli.policies import finish_policy
from attest.cli.progress import amount, watching
from attest.cli.sites import Who, desk_of
from attest.cli.stores import Connection, Stores
from attest.cli.streams import complain
from attest.cli.terminal import escape, json_text
from attest.cli.verdict import lines
from attest.copyports import Moved
from attest.core import report
from attest.core.document import Document
from attest.core.environment.definition import Environment
from attest.core.evaluate import Remembered
from attest.core.policy import Policy
from attest.core.promotion.destination import TagFormat, check_places, places
from attest.core.reference import LayoutImage, RegistryImage, Repository
from attest.core.releasedocument import ReleaseFile, Service, write_release
from attest.core.verdict import Passed, PassedThen, Refused
from attest.core.waiver import Answer, Presented, Waived
from attest.errors import EXIT_PASSED, EXIT_REFUSED, UsageError
from attest.ops.copy import Tally
from attest.ops.delivery.waived import record_promotion
from attest.ops.load import names_platforms
from attest.ops.named import Named
from attest.ops.promote import Delivered, Move, Promotion, Task, Waiving, decide, promote
from attest.ops.reading import Reading
from attest.ports import Signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """A waiver, the environment that it is for, and how its ledger is reached."""

    presented: Presented
    environment: Environment
    connection: Connection
    who: Who

    def check(self, moves: Sequence[Move]) -> None:
        """Let a waiver move images only to where its environment takes them from.

        Raises:
            UsageError: one would go elsewhere.
        """
        for one in moves:
            if one.place.layout is not None or not self.environment.services_of(one.place.repository):
                raise UsageError(
                    f"{self.environment.name} takes no image from {one.place.name}; nothing was moved",
                    hint="a waiver is for an environment: promote to the repositories that its services are bound to",
                )

    def waiving(self, moves: Sequence[Move]) -> Waiving:
        """The waiver for a promotion, with which each use of it is recorded."""
        return Waiving(presented=self.presented, record=lambda waived: self._record(waived, moves))

    def _record(self, waived: Waived, moves: Sequence[Move]) -> None:
        images = [RegistryImage(repository=one.place.repository, digest=one.digest) for one in moves]
        with desk_of(self.environment, self.connection, self.who) as place:
            record_promotion(place, waived, images)
        lanes, who = ", ".join(waived.lacking), ", ".join(waived.signers)
        reason = f"{waived.waiver.ticket}: {waived.waiver.reason}"
        complain(escape(f"WAIVED: {lanes}, by {who} ({reason}); it is in the ledger of {self.environment.name}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says besides the policy."""

    moves: Sequence[Move]
    release: ReleaseFile | None
    tag_format: TagFormat
    receipt_key: str | None
    release_out: str | None
    password_file: str | None
    state: str | None
    output: str
    exemption: Exemption | None
    """Where a waiver is presented."""
    timeout: float
    """Seconds that fetching what the policy names may take."""

    @property
    def commit(self) -> str | None:
        """The source commit that a release file names."""
        return None if self.release is None else self.release.commit


def choose_moves(images: Sequence[Named], to: str, *, release: str | None) -> tuple[Move, ...]:
    """Where each image goes.

    Raises:
        UsageError: nobody said which repository a layout's image stands for, or two would go to one place.
        ReferenceInvalid: `to` is no place.
    """
    repositories: list[Repository] = []
    for image in images:
        if image.repository is None:
            hint = "give one --repository for each oci: image, in their order"
            raise UsageError(f"nothing says which repository {image.reference} stands for", hint=hint)
        repositories.append(image.repository)
    found = places(to, repositories, release=release)
    return tuple(Move(source=image, place=place) for image, place in zip(images, found, strict=True))


def move(reading: Reading, document: Document, asked: Asked, *, source: Stores, target: Stores) -> int:
    """Promote the images that are being read, if they pass; print what became of it, and return the exit code."""
    policy = finish_policy(document, timeout=asked.timeout)
    check_places(policy, [one.place for one in asked.moves])
    if asked.exemption is not None:
        asked.exemption.check(asked.moves)
    signer = _signer(asked)
    clock = SystemClock()
    tally = Tally()
    task = Task(
        policy=policy,
        policy_uri=document.file,
        tag_format=asked.tag_format,
        platforms=names_platforms(document),
        commit=asked.commit,
        remembered=_observe(asked.state, policy),
        waiving=None if asked.exemption is None else asked.exemption.waiving(asked.moves),
        signer=signer,
    )

    promotion: Promotion | None = None
    with watching(lambda: _progress(tally)):
        verdict = decide(reading, task, clock=clock)
        match verdict:
            case Passed() | Waived():
                promotion = promote(verdict, asked.moves, task, source=source, target=target, clock=clock, tally=tally)
            case Refused() | PassedThen():
                pass
    _print(verdict, promotion, policy, asked)
    if promotion is None or not isinstance(promotion.verdict, Passed | Waived):
        return EXIT_REFUSED
    if asked.release is not None and asked.release_out is not None:
        write_file(asked.release_out, _delivered(asked.release, asked.moves, asked.release_out).encode())
    return EXIT_PASSED


def _signer(asked: Asked) -> Signer | None:
    if asked.receipt_key is None:
        return None
    from attest.cli.signers import open_signer

    return open_signer(asked.receipt_key, asked.password_file)


def _observe(state: str | None, policy: Policy) -> Remembered | None:
    if state is None:
        return None
    from attest.adapters.state import StateFile

    return StateFile(state).observe(policy.name, Remembered(serial=policy.serial, digest=policy.digest))


def _progress(tally: Tally) -> str:
    if tally.total == 0 or tally.stage != "copying":
        return tally.stage
    return f"{tally.stage} {amount(tally.done)} of {amount(tally.total)}"


def _delivered(release: ReleaseFile, moves: Sequence[Move], file: str) -> str:
    """The release as it is at the destination; paths of layouts are those from the file's folder on."""
    services: dict[str, Service] = {}
    for name, one in zip(release.services, moves, strict=True):
        image = one.destination.reference
        if isinstance(image, LayoutImage) and not image.path.startswith("/"):
            image = LayoutImage(path=os.path.relpath(image.path, Path(file).parent), digest=image.digest)
        services[name] = Service(image=image, repository=one.place.repository)
    return write_release(ReleaseFile(commit=release.commit, services=services))


# ---- what is printed


def _print(verdict: Answer, promotion: Promotion | None, policy: Policy, asked: Asked) -> None:
    if asked.output == "json":
        click.echo(json_text(_document(verdict, promotion, policy, asked)))
        return
    for line in _lines(verdict, promotion, policy):
        click.echo(line)


def _lines(verdict: Answer, promotion: Promotion | None, policy: Policy) -> Iterator[str]:
    yield from lines(verdict if promotion is None else promotion.verdict, policy)
    if promotion is None:
        yield "refused at the source; nothing was moved"
        return
    passed = isinstance(promotion.verdict, Passed | Waived)
    if not passed:
        yield "refused at the destination; what was copied is there, and has no tag"
    for image in promotion.images:
        yield f"{'promoted' if passed else 'copied':<9} {escape(str(image.move.destination.reference))}"
        yield f"          {_moved(image)}"
        if image.tag is not None:
            yield f"tag       {escape(str(image.tag))}"
    if promotion.receipt is not None:
        yield f"receipt   {promotion.receipt}"


def _moved(image: Delivered) -> str:
    copied = image.copied
    parts = [f"{copied.manifests} manifests, {copied.referrers} of them attached"]
    blobs = [
        f"{copied.blobs[Moved.UPLOADED]} blobs uploaded ({amount(copied.sent)})",
        f"{copied.blobs[Moved.MOUNTED]} mounted",
        f"{copied.blobs[Moved.PRESENT]} there already",
    ]
    return "; ".join((*parts, ", ".join(blobs)))


def _document(verdict: Answer, promotion: Promotion | None, policy: Policy, asked: Asked) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    for position, one in enumerate(asked.moves):
        delivered = None if promotion is None else promotion.images[position]
        images.append(
            {
                "source": str(one.source.reference),
                "destination": str(one.destination.reference),
                "tag": None if delivered is None or delivered.tag is None else str(delivered.tag),
                "copied": None if delivered is None else _copied(delivered),
            }
        )
    promoted = promotion is not None and isinstance(promotion.verdict, Passed | Waived)
    waived = isinstance(verdict, Waived) or (promotion is not None and isinstance(promotion.verdict, Waived))
    refused_at = None if promoted else "source" if promotion is None else "destination"
    return {
        "schema": "attest.promotion/v1",
        "result": "REFUSED" if not promoted else "WAIVED" if waived else "PROMOTED",
        "refused_at": refused_at,
        "images": images,
        "receipt": None if promotion is None else promotion.receipt,
        "source": report.document(verdict, policy),
        "destination": None if promotion is None else report.document(promotion.verdict, policy),
    }


def _copied(delivered: Delivered) -> dict[str, Any]:
    copied = delivered.copied
    return {
        "manifests": copied.manifests,
        "attached": copied.referrers,
        "blobs": {way.value: count for way, count in copied.blobs.items()},
        "bytes": copied.sent,
    }
