"""Open what the checks of a contract look at, and make them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from attest import __version__
from attest.adapters.clock import SystemClock
from attest.adapters.owncode import code_digest
from attest.cli.contracts import CheckOptions, load_lock
from attest.cli.imagesources import DOCKER_ARCHIVE, OCI_ARCHIVE, layer_readers, open_image
from attest.cli.layerprogress import reading_layers
from attest.cli.stores import Connection, Stores
from attest.cli.terminal import escape
from attest.core.contract.report import Checked, Input, Role, Tool
from attest.core.contract.table import BY_ID
from attest.core.reference import (
    ImageReference,
    LayoutImage,
    LayoutTag,
    RegistryImage,
    RegistryTag,
    parse_reference,
)
from attest.errors import UsageError
from attest.ops.imagecheck import Needs, Sources, check
from attest.ops.imageprovenance import Provenance, find_provenance

if TYPE_CHECKING:
    from attest.core.contract import Contract
    from attest.ports import ImageSource


def refuse_unused(options: CheckOptions, contract: Contract) -> None:
    """Refuse an image that no check would look at: whoever names it believes that it is compared.

    Raises:
        UsageError: there is one.
    """
    needs = Needs.of(contract)
    for option, value, needed, checks in (
        ("--baseline", options.baseline, needs.baseline, "`base.digest`, `ci.overlap` or `size.delta`"),
        ("--ci-image", options.ci_image, needs.ci_image, "`ci.overlap`"),
    ):
        if value is not None and not needed:
            raise UsageError(
                f"{option} has no part in any check of this contract",
                hint=f"name {checks} in the contract, or leave the option out",
            )


def make_checks(options: CheckOptions, contract: Contract, connection: Connection) -> tuple[Checked, Sequence[str]]:
    """The report on an image, and what people should know besides.

    Raises:
        AttestError: something named could not be read, so nothing was decided.
    """
    stores = Stores(connection)
    lock, lock_digest = (None, None) if options.lock_file is None else load_lock(options.lock_file, contract)
    with ExitStack() as stack:

        def opened(text: str | None) -> ImageSource | None:
            return None if text is None else stack.enter_context(open_image(stores, text))

        image = stack.enter_context(open_image(stores, options.image))
        sources = Sources(image=image, baseline=opened(options.baseline), ci_image=opened(options.ci_image))
        progress = stack.enter_context(reading_layers())
        provenance: tuple[Provenance, ...] = ()
        if Needs.of(contract).provenance:
            provenance = find_provenance(image, stores, _place(options.image, image))
        answer = check(
            sources,
            contract,
            readers=layer_readers(),
            clock=SystemClock(),
            lock=lock,
            provenance=[one.claim for one in provenance if one.claim is not None],
            progress=progress,
        )
    named = (
        (Role.CONTRACT, options.contract_file, contract.digest),
        (Role.LOCK, options.lock_file, lock_digest),
        (Role.BASELINE, options.baseline, answer.baseline),
        (Role.CI_IMAGE, options.ci_image, answer.ci_image),
        *((Role.PROVENANCE, one.digest, one.digest) for one in provenance if one.claim is not None),
    )
    checked = Checked(
        report=answer.report,
        image=options.image,
        time=answer.time,
        inputs=tuple(
            Input(role=role, name=name, digest=digest)
            for role, name, digest in named
            if name is not None and digest is not None
        ),
        tool=Tool(name="attest", version=__version__, code=code_digest()),
        table=BY_ID,
    )
    return checked, [_unread(one) for one in provenance if one.claim is None]


def _place(text: str, image: ImageSource) -> ImageReference | None:
    """Where bundles are attached to the image that a command line names; an archive has no such place."""
    if text.startswith((OCI_ARCHIVE, DOCKER_ARCHIVE)):
        return None
    reference = parse_reference(text)
    match reference:
        case RegistryImage() | LayoutImage():
            return reference
        case LayoutTag():
            return reference.at(image.root().digest)
        case RegistryTag():  # it was refused when the image was opened
            return None


def _unread(one: Provenance) -> str:
    warning = click.style("warning", fg="yellow")
    return f"  {warning}     the provenance {one.digest} is not compared: {escape(one.problem or '')}"
