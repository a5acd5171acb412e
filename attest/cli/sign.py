"""`attest sign`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from attest.adapters.clock import SystemClock
from attest.adapters.files import read_file, write_file
from attest.cli.attach import report
from attest.cli.claims import claims_options, collect_claims
from attest.cli.options import format_option, password_option, registry_options, repository_option
from attest.cli.progress import waiting
from attest.cli.signers import open_signer
from attest.cli.stores import Connection, Stores, named_images
from attest.core import limits
from attest.core.predicates import TEST_RESULT, PredicateInvalid, Result, test_result
from attest.core.statement import StatementInvalid, is_lane, write_context
from attest.core.strictjson import JsonInvalid, loads
from attest.errors import EXIT_PASSED, DocumentInvalid, UsageError
from attest.ops.sign import Attachment, attach, describe, sign


@click.command(
    "sign",
    epilog="""\b
Examples:
  attest sign registry.example.org/plex/backend@sha256:... --lane integration --key keys/integration.key --result passed
  attest sign BACKEND@sha256:... FRONTEND@sha256:... --lane e2e --key keys/e2e.key --result failed
  attest sign IMAGE --lane build --key keys/builder.key \\
      --predicate-type https://slsa.dev/provenance/v1 --predicate provenance.json
  attest sign IMAGE --lane e2e --key keys/e2e.key --result passed --output e2e.json --no-push
""",
)
@click.argument("images", nargs=-1, required=True)
@click.option("--lane", metavar="NAME", required=True, help="The validation lane that this is the outcome of.")
@click.option(
    "--key", metavar="FILE", type=click.Path(), required=True, help="Private key of the lane: PEM, or cosign's."
)
@password_option
@click.option(
    "--result", type=click.Choice(["passed", "failed", "warned"]), help="Sign a test-result with this result."
)
@click.option("--predicate-type", metavar="URI", help="Sign a predicate of this type, with --predicate.")
@click.option(
    "--predicate",
    "predicate_file",
    metavar="FILE",
    type=click.Path(),
    help="The predicate: a JSON object; - is standard input.",
)
@claims_options
@click.option("--output", "output_file", metavar="FILE", type=click.Path(), help="Write the bundle here, too.")
@click.option("--no-push", is_flag=True, help="Attach it to nothing; needs --output.")
@format_option
@repository_option
@registry_options
def command(
    images: tuple[str, ...],
    lane: str,
    key: str,
    password_file: str | None,
    result: str | None,
    predicate_type: str | None,
    predicate_file: str | None,
    output_file: str | None,
    no_push: bool,
    output: str,
    repositories: tuple[str, ...],
    timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
    **claims: Any,
) -> int:
    """Sign what LANE found about IMAGES, named by digest, and attach it to each of them.

    One in-toto Statement is made for all of the images. Source, run and times come from the options, else from the
    CI's variables, else from git; what was used is shown. It ends with success only when the attestation is visible
    through the listing that `attest verify` uses.
    """
    if not is_lane(lane):
        raise UsageError(
            f"{lane!r} cannot name a lane", hint="lower-case letters, digits and . _ - between them, at most 64"
        )
    if no_push and output_file is None:
        raise UsageError("--no-push without --output would sign and throw it away", hint="add --output FILE")
    kind, predicate = _predicate(result, predicate_type, predicate_file)
    clock = SystemClock()
    collected = collect_claims(lane, claims, clock=clock)
    signer = open_signer(key, password_file)
    connection = Connection(
        timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts, push=not no_push
    )
    stores = Stores(connection)
    named = named_images(stores, images, repositories)
    if output == "text":
        for line in collected.lines():
            click.echo(line, err=True)
    attachments: tuple[Attachment, ...] = ()
    with waiting("signing" if no_push else "attaching the attestation"):
        targets = () if no_push else describe(stores, [image.reference for image in named])
        try:
            bundle = sign(named, signer=signer, context=collected.context, predicate_type=kind, predicate=predicate)
        except (StatementInvalid, PredicateInvalid) as error:
            raise UsageError(f"this cannot be signed: {error}") from error
        if output_file is not None:
            write_file(output_file, bundle)
        if not no_push:
            attachments = attach(stores, targets, bundle, clock=clock)
    report(
        output, bundle, attachments, _said(lane, kind, predicate, signer.fingerprint, write_context(collected.context))
    )
    return EXIT_PASSED


def _said(
    lane: str, predicate_type: str, predicate: Mapping[str, Any], key: str, annotations: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "lane": lane,
        "predicate_type": predicate_type,
        "result": predicate.get("result") if predicate_type == TEST_RESULT else None,
        "key": key,
        "context": {name.rpartition("/")[2]: value for name, value in annotations.items()},
    }


def _predicate(
    result: str | None, predicate_type: str | None, predicate_file: str | None
) -> tuple[str, Mapping[str, Any]]:
    if result is not None:
        if predicate_type is not None or predicate_file is not None:
            raise UsageError(
                "--result makes the predicate, so --predicate-type and --predicate have no place beside it"
            )
        return TEST_RESULT, test_result(Result(result.upper()))
    if predicate_type is None or predicate_file is None:
        raise UsageError(
            "nothing says what to sign", hint="give --result passed|failed|warned, or --predicate-type and --predicate"
        )
    try:
        predicate = loads(read_file(predicate_file, limit=limits.BUNDLE))
    except JsonInvalid as error:
        raise DocumentInvalid(f"no predicate: {error}", file=predicate_file) from error
    if not isinstance(predicate, dict):
        raise DocumentInvalid("a predicate is a JSON object", file=predicate_file)
    return predicate_type, predicate
