"""The contract lane: what `attest image check --sign` knows before the checks, and what it signs after them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from attest.adapters.clock import SystemClock
from attest.adapters.files import write_file
from attest.cli.claims import Claims, collect_claims
from attest.cli.progress import waiting
from attest.cli.signers import Chosen, SignerOptions, choose_signer, open_signer, signed_document, signed_lines
from attest.cli.stores import Connection, Stores, named_images
from attest.cli.terminal import escape
from attest.core.predicates import TEST_RESULT, PredicateInvalid
from attest.core.secrets import find_secret
from attest.core.statement import StatementInvalid, is_lane, write_context
from attest.errors import AttestError, NotSigned, StoreMisbehaved, UsageError
from attest.ops.named import Named
from attest.ops.sign import Attachment, attach, bundle_digest, describe, sign

if TYPE_CHECKING:
    from attest.adapters.keys import KeySigner
    from attest.core.contract import Contract
    from attest.core.contract.report import Checked
    from attest.ports import Signed

CONTRACT_LANE: Final = "contract"


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningOptions:
    """What the command line says about signing. `claims` are the options of `attest.cli.claims.source_options`."""

    lane: str
    signer: SignerOptions
    claims: dict[str, Any]
    repositories: tuple[str, ...]
    output_file: str | None
    no_push: bool

    def check(self, image: str) -> None:
        """Refuse what cannot be meant.

        Raises:
            UsageError: the options contradict each other, or the image is one that nothing can be attached to.
        """
        if not is_lane(self.lane):
            raise UsageError(
                f"{self.lane!r} cannot name a lane",
                hint="lower-case letters, digits and . _ - between them, at most 64",
            )
        if self.no_push and self.output_file is None:
            raise UsageError("--no-push without --output would sign and throw it away", hint="add --output FILE")
        if self.signer.identity_token == "-":  # noqa: S105 - a file name
            raise UsageError(
                "--identity-token - can be read once, and a token is needed before the checks and after them",
                hint="name a file; or leave it out, and a forge's job asks for a new one",
            )
        if image.startswith(("oci-archive:", "docker-archive:")):
            raise UsageError(
                f"{image} is in an archive, which nothing can be attached to",
                hint="push it, and check it where it will be deployed from: HOST/REPOSITORY@sha256:...",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What is known before the checks; whatever can fail without them did not."""

    options: SigningOptions
    connection: Connection
    claims: Claims
    key: KeySigner | None
    chosen: Chosen
    image: Named
    started: datetime

    def lines(self) -> Iterator[str]:
        """What will be signed with, for people."""
        shown = replace(self.claims, context=self.claims.context._replace(finished=None))  # nothing has ended yet
        yield from shown.lines()
        yield from self.chosen.lines()


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was signed, and where it is."""

    signed: Signed
    attachments: tuple[Attachment, ...]
    document: dict[str, Any]
    """The same for scripts: `signed` of `attest/schemas/contract-report.v1.json`."""

    def lines(self) -> Iterator[str]:
        """The same for people."""
        yield from signed_lines(self.signed)
        for item in self.attachments:
            yield f"attached    {escape(str(item.image))}"
        yield f"bundle      {bundle_digest(self.signed.bundle)}"


def prepare(options: SigningOptions, image: str, contract: Contract, connection: Connection) -> Ready:
    """Find out what can be known before the checks.

    Raises:
        UsageError, DocumentInvalid: the command line, the key or the token cannot be used, or nothing says the source.
        UsageError: the contract holds something that must not be published.
        StoreError: the image is not there.
    """
    options.check(image)
    _refuse_secrets(contract)
    clock = SystemClock()
    claims = collect_claims(options.lane, dict(options.claims), clock=clock)
    signer = options.signer
    key = None if signer.key is None else open_signer(signer.key, signer.password_file)
    chosen = _choose(options, claims, connection, key, clock)
    stores = Stores(replace(connection, push=not options.no_push))
    (named,) = named_images(stores, [image], options.repositories)
    with waiting("looking at the image"):
        describe(stores, [named.reference])
    return Ready(
        options=options,
        connection=connection,
        claims=claims,
        key=key,
        chosen=chosen,
        image=named,
        started=clock.now(),
    )


def finish(ready: Ready, checked: Checked) -> Done:
    """Sign what the checks came to, and attach it to the image.

    Raises:
        NotSigned: it could not be signed or attached.
    """
    try:
        return _finish(ready, checked)
    except AttestError as error:
        verdict = checked.report.outcome.name
        raise NotSigned(
            f"the checks ended with {verdict}, but that is not signed and attached: {error.message}",
            status=0,
            hint=error.hint,
        ) from error


def _finish(ready: Ready, checked: Checked) -> Done:
    from attest.core.contract.result import contract_result

    options, clock = ready.options, SystemClock()
    if checked.report.image != ready.image.reference.digest:
        raise StoreMisbehaved(f"{ready.image.reference} was asked for, and {checked.report.image} was checked")
    context = ready.claims.context._replace(started=ready.started, finished=max(ready.started, clock.now()))
    # A token of before the checks may be too old by now, and so may the time that the services were given.
    chosen = _choose(options, ready.claims, ready.connection, ready.key, clock)
    timeout = ready.connection.timeout if chosen.deadline is None else chosen.deadline.remaining()
    stores = Stores(replace(ready.connection, timeout=timeout, push=not options.no_push))
    attachments: tuple[Attachment, ...] = ()
    with waiting("signing" if options.no_push else "attaching the attestation"):
        targets = () if options.no_push else describe(stores, [ready.image.reference])
        predicate = contract_result(checked, url=context.run_url)
        try:
            signed = sign(
                [ready.image],
                signer=chosen.signer,
                context=context,
                predicate_type=TEST_RESULT,
                predicate=predicate,
            )
        except (StatementInvalid, PredicateInvalid) as error:
            raise UsageError(f"this cannot be signed: {error}") from error
        if options.output_file is not None:
            write_file(options.output_file, signed.bundle)
        if targets:
            attachments = attach(stores, targets, signed.bundle, clock=clock)
    document = {
        "lane": context.lane,
        "result": predicate["result"],
        "bundle": bundle_digest(signed.bundle),
        "attached": [{"image": str(item.image), "manifest": item.published.manifest} for item in attachments],
        **signed_document(signed, chosen),
        "context": {name.rpartition("/")[2]: value for name, value in write_context(context).items()},
    }
    return Done(signed=signed, attachments=attachments, document=document)


def _choose(
    options: SigningOptions, claims: Claims, connection: Connection, key: KeySigner | None, clock: SystemClock
) -> Chosen:
    return choose_signer(
        options.signer,
        claims.context,
        timeout=connection.timeout,
        ca_file=connection.ca_file,
        clock=clock,
        opened=key,
    )


def _refuse_secrets(contract: Contract) -> None:
    """Exceptions are signed as the contract says them, and what is signed is public."""
    for number, exemption in enumerate(contract.exemptions, 1):
        for name in ("path", "reason", "owner"):
            kind = find_secret(getattr(exemption, name))
            if kind is not None:
                raise UsageError(
                    f"`{name}` of exception {number} of the contract holds {kind}, and what is signed is public",
                    hint="take it out of the contract; and replace it, since whoever sees the contract has it",
                )
