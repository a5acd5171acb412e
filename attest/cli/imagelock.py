"""`attest image lock`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from attest.adapters.files import read_file, write_file
from attest.cli.changelines import SHOWN, change_lines
from attest.cli.options import format_option, registry_options
from attest.cli.stores import Connection, Stores
from attest.cli.terminal import escape, json_text
from attest.errors import EXIT_PASSED, EXIT_REFUSED, DocumentInvalid, LimitExceeded, UsageError

if TYPE_CHECKING:
    from attest.core.contract import Contract
    from attest.core.image.facts import ImageFacts
    from attest.core.lock.driftdocument import Action
    from attest.core.lock.locking import ContractLock, Drift, LockedContract, Part

_LOCK: Final = "contract.lock.json"
_PARTS: Final = ("config", "base", "packages", "setid", "executables", "size", "platforms", "contract")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What the command line asks for."""

    image: str
    baseline: str | None
    contract_file: str
    lock_file: str
    parts: frozenset[Part]
    output: str


@click.command(
    "lock",
    epilog="""\b
Examples:
  attest image lock registry.example.org/plex/backend@sha256:... --contract contract.yaml
  attest image lock oci:build/backend --contract contract.yaml --baseline registry.example.org/base@sha256:...
  attest image lock oci:build/backend --contract contract.yaml --check
  attest image lock oci:build/backend --contract contract.yaml --update --only packages --only executables
""",
)
@click.argument("image")
@click.option(
    "--contract",
    "contract_file",
    metavar="FILE",
    type=click.Path(),
    required=True,
    help="What the image may be; the lock says under which contract it was made.",
)
@click.option(
    "--output", "lock_file", metavar="FILE", type=click.Path(), default=_LOCK, show_default=True, help="The lock."
)
@click.option("--baseline", metavar="IMAGE", help="The image that it was built on, to lock the layers of that as well.")
@click.option(
    "--check", is_flag=True, help="Change nothing: compare IMAGE with the lock, and end with 1 if it differs."
)
@click.option("--update", is_flag=True, help="Write over a lock that is there, and say what is new in it.")
@click.option(
    "--only",
    "only",
    type=click.Choice(_PARTS),
    multiple=True,
    help="With --update: change only this part of the lock; repeatable.",
)
@format_option
@registry_options
def command(
    image: str,
    contract_file: str,
    lock_file: str,
    baseline: str | None,
    check: bool,
    update: bool,
    only: tuple[str, ...],
    output: str,
    timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Write down what IMAGE is, so that a later image can be compared with it.

    The lock is a file to review and to keep beside the contract. It has, for each platform, the configuration, the
    base, packages, set-id files, executables and sizes; the same image makes the same bytes. A lock that is there is
    only overwritten with --update.

    Exit code 0 means that the lock was written or that the image is as it says, 1 with --check that the image
    differs, and 3 that something of the image could not be read.
    """
    from attest.cli.contracts import load_contract
    from attest.core.lock.locking import EVERY_PART, LockedContract, Part

    if check and update:
        raise UsageError("--check and --update exclude each other", hint="--check shows what --update would change")
    if only and not update:
        raise UsageError("--only has no meaning without --update", hint="add --update, or leave --only out")
    if check and baseline is not None:
        raise UsageError("--baseline has no part in --check", hint="the layers of the base are in the lock, or are not")
    if lock_file == "-":
        raise UsageError("a lock is a file; --output cannot be a stream")
    parts = frozenset(map(Part, only)) or EVERY_PART
    asked = _Asked(
        image=image, baseline=baseline, contract_file=contract_file, lock_file=lock_file, parts=parts, output=output
    )
    contract = load_contract(contract_file)
    before = _read(lock_file) if check or update else None  # before the layers: reading those takes a while
    stores = Stores(Connection(timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts))
    facts, base = _facts(stores, image, baseline)
    made_under = LockedContract(name=contract.name, digest=contract.digest)
    if before is None:
        return _create(asked, facts, base, made_under)
    return _check(asked, before, facts, contract) if check else _update(asked, before, facts, base, made_under)


def _facts(stores: Stores, image: str, baseline: str | None) -> tuple[ImageFacts, ImageFacts | None]:
    """What is known of the image, and of its base as far as it takes to find its layers in the image."""
    from attest.cli.imagesources import layer_readers, open_image
    from attest.cli.layerprogress import reading_layers
    from attest.ops.facts import gather_facts
    from attest.ops.glance import glance

    with reading_layers() as progress:
        base = None
        if baseline is not None:
            with open_image(stores, baseline) as source:
                base = glance(source)
        with open_image(stores, image) as source:
            return gather_facts(source, layer_readers(), progress=progress), base


def _create(asked: _Asked, facts: ImageFacts, base: ImageFacts | None, contract: LockedContract) -> int:
    from attest.core.lock.driftdocument import Action
    from attest.core.lock.locking import lock_json, make_lock

    lock = make_lock(facts, contract=contract, baseline=base)
    content = lock_json(lock)
    path = Path(asked.lock_file)
    if path.is_file() or (path.is_symlink() and not path.exists()):
        if not _says(asked.lock_file, content):
            raise UsageError(
                f"{asked.lock_file} is there and says something else",
                hint="`--check` shows how the image differs, and `--update` writes over it",
            )
        action, words = Action.UNCHANGED, "says this already"
    else:
        _write(asked.lock_file, content)
        count = f"{len(lock.platforms)} platform{'' if len(lock.platforms) == 1 else 's'}"
        action, words = Action.CREATED, f"{count} of {asked.image} locked under the contract {contract.name}"
    _tell(asked, action, [], facts, contract, [f"{escape(asked.lock_file)}: {escape(words)}"])
    return EXIT_PASSED


def _check(asked: _Asked, lock: ContractLock, facts: ImageFacts, contract: Contract) -> int:
    from attest.core.lock.driftdocument import Action
    from attest.core.lock.locking import LockedContract, compare, refuse_unread

    refuse_unread(facts)
    made_under = LockedContract(name=contract.name, digest=contract.digest)
    delta = contract.checks.get("size.delta")
    most = None if delta is None else delta.lock
    drift = compare(
        lock,
        facts,
        contract=made_under,
        size_fits=lambda name, before, after: most is None or name != "unpacked" or after - before <= most,
    )
    if not drift:
        lines = [f"{click.style('UNCHANGED', fg='green')}  {escape(f'{asked.image} is as {asked.lock_file} says')}"]
    else:
        lines = [*_lines(drift), *_what_now(asked, drift)]
    _tell(asked, Action.CHECKED, drift, facts, made_under, lines)
    return EXIT_REFUSED if drift else EXIT_PASSED


def _update(
    asked: _Asked, before: ContractLock, facts: ImageFacts, base: ImageFacts | None, contract: LockedContract
) -> int:
    from attest.core.lock.driftdocument import Action
    from attest.core.lock.locking import lock_json, update_drift, update_lock

    after = update_lock(before, facts, contract=contract, baseline=base, parts=asked.parts)
    drift = update_drift(before, after, facts, parts=asked.parts)
    content = lock_json(after)
    if _says(asked.lock_file, content):
        action, lines = Action.UNCHANGED, [f"{escape(asked.lock_file)}: says this already"]
    else:
        _write(asked.lock_file, content)
        action = Action.UPDATED
        lines = [*_lines(drift), f"{escape(asked.lock_file)}: updated, {_count(drift)}"]
    _tell(asked, action, drift, facts, contract, lines)
    return EXIT_PASSED


def _tell(
    asked: _Asked,
    action: Action,
    drift: Sequence[Drift],
    facts: ImageFacts,
    contract: LockedContract,
    lines: Sequence[str],
) -> None:
    """The answer, in the form that was asked for."""
    if asked.output == "json":
        from attest.core.lock.driftdocument import drift_document

        document = drift_document(
            action, drift, lock=asked.lock_file, image=asked.image, digest=facts.digest, contract=contract
        )
        click.echo(json_text(document))
        return
    for line in lines:
        click.echo(line)


def _lines(drift: Sequence[Drift]) -> Iterator[str]:
    for platform in dict.fromkeys(each.platform for each in drift):
        yield "the contract" if platform is None else escape(platform)
        for part in dict.fromkeys(each.part for each in drift):
            found = [each for each in drift if (each.platform, each.part) == (platform, part)]
            for each in found[:SHOWN]:
                yield from change_lines(each.kind, each.message, each.origin, indent=2)
            if len(found) > SHOWN:
                yield f"  and {len(found) - SHOWN} more of {part.value}; --format json has them all"


def _what_now(asked: _Asked, drift: Sequence[Drift]) -> Iterator[str]:
    parts = [part for part in _PARTS if any(each.part.value == part for each in drift)]
    words = f"{asked.image} differs from {asked.lock_file}, {_count(drift)}"
    yield f"{click.style('DRIFT', fg='red', bold=True)}  {escape(words)}"
    output = [] if asked.lock_file == _LOCK else ["--output", asked.lock_file]
    only = [word for part in parts for word in ("--only", part)]
    update = shlex.join(
        ["attest", "image", "lock", asked.image, "--contract", asked.contract_file, *output, "--update", *only]
    )
    yield f"{click.style('next', fg='cyan')}: mend the image, or if it is meant: {escape(update)}"


def _count(drift: Sequence[Drift]) -> str:
    return f"{len(drift)} change{'' if len(drift) == 1 else 's'}"


def _read(file: str) -> ContractLock:
    from attest.core.lock.locking import SIZE_LIMIT, read_lock

    try:
        content = read_file(file, limit=SIZE_LIMIT)
    except DocumentInvalid as error:
        if not Path(file).exists():
            hint = "`attest image lock` without --check and --update writes it"
            raise DocumentInvalid(error.problem, file=file, hint=hint) from error
        raise
    return read_lock(content, file=file)


def _says(file: str, content: bytes) -> bool:
    """Whether a file that is there has these bytes."""
    from attest.core.lock.locking import SIZE_LIMIT

    try:
        return read_file(file, limit=SIZE_LIMIT) == content
    except DocumentInvalid:
        return False


def _write(file: str, content: bytes) -> None:
    """Write a lock that can be read again, whole or not at all."""
    from attest.core.lock.locking import SIZE_LIMIT, read_lock

    try:
        if len(content) > SIZE_LIMIT:
            raise LimitExceeded(f"the lock would have {len(content)} bytes, and at most {SIZE_LIMIT} are read")
        read_lock(content, file=file)
    except DocumentInvalid as error:
        raise LimitExceeded(f"the lock could not be read again: {error.problem}") from error
    write_file(file, content)
