"""`attest sign`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from attest.adapters.clock import SystemClock
from attest.adapters.files import read_file, write_file
from attest.cli.attach import report
from attest.cli.claims import claims_options, collect_claims
from attest.cli.images import choose_images, release_option
from attest.cli.options import format_option, registry_options, repository_option
from attest.cli.progress import waiting
from attest.cli.reports import Judgement, read_judgement, report_options
from attest.cli.signers import SignerOptions, choose_signer, signed_document, signed_lines, signer_options
from attest.cli.stores import Connection, Stores
from attest.core import limits
from attest.core.predicates import TEST_RESULT, PredicateInvalid, Result, test_result
from attest.core.statement import StatementInvalid, is_lane, write_context
from attest.core.strictjson import JsonInvalid, loads
from attest.errors import EXIT_PASSED, DocumentInvalid, UsageError
from attest.ops.named import Named
from attest.ops.sign import Attachment, attach, describe, sign


@click.command(
    "sign",
    epilog="""\b
Examples:
  attest sign registry.example.org/plex/backend@sha256:... --lane integration --key keys/integration.key --result passed
  attest sign IMAGE --lane fast-check --key fast-check.key --report out/unit.xml --report out/coverage.xml \\
      --min-coverage 80
  attest sign BACKEND@sha256:... FRONTEND@sha256:... --lane e2e --key keys/e2e.key --result failed
  attest sign --release release.yaml --lane e2e --key keys/e2e.key --result passed
  attest sign IMAGE --lane build --key keys/builder.key \\
      --predicate-type https://slsa.dev/provenance/v1 --predicate provenance.json
  attest sign IMAGE --lane e2e --key keys/e2e.key --result passed --output e2e.json --no-push
  attest sign IMAGE --lane e2e --keyless --trust-config sigstore.json --result passed
""",
)
@click.argument("images", nargs=-1)
@release_option
@click.option("--lane", metavar="NAME", required=True, help="The validation lane that this is the outcome of.")
@signer_options
@click.option(
    "--result", type=click.Choice(["passed", "failed", "warned"]), help="Sign a test-result with this result."
)
@report_options
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
    release_file: str | None,
    lane: str,
    key: str | None,
    password_file: str | None,
    keyless: bool,
    trust_config: str | None,
    identity_token: str | None,
    result: str | None,
    reports: tuple[str, ...],
    min_coverage: str | None,
    allow_empty: bool,
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

    Reports say the result: PASSED only if tests were executed and none of them failed. It ends with success when the
    result is signed, whatever the result is; `attest run` ends as the lane did.

    A key signs, or with --keyless the identity of the job: its forge's token has to confirm the source and the run,
    else nothing is signed.
    """
    if not is_lane(lane):
        raise UsageError(
            f"{lane!r} cannot name a lane", hint="lower-case letters, digits and . _ - between them, at most 64"
        )
    if no_push and output_file is None:
        raise UsageError("--no-push without --output would sign and throw it away", hint="add --output FILE")
    options = SignerOptions(
        key=key,
        password_file=password_file,
        keyless=keyless,
        trust_config=trust_config,
        identity_token=identity_token,
    )
    if [predicate_file, identity_token, release_file, *reports].count("-") > 1:
        raise UsageError("of --predicate, --report, --identity-token and --release only one can be standard input")
    judgement = read_judgement(reports, min_coverage, allow_empty)
    what = _predicate(result, predicate_type, predicate_file, judgement)
    clock = SystemClock()
    collected = collect_claims(lane, claims, clock=clock)
    chosen = choose_signer(options, collected.context, timeout=timeout, ca_file=ca_file, clock=clock)
    connection = Connection(
        timeout=timeout if chosen.deadline is None else chosen.deadline.remaining(),
        plain_http=plain_http,
        ca_file=ca_file,
        token_hosts=token_hosts,
        push=not no_push,
    )
    stores = Stores(connection)
    release = choose_images(stores, images, repositories, release_file)
    release.agree(collected.context.commit, place=collected.commit_place)
    named = release.images
    if output == "text":
        for line in (*collected.lines(), *chosen.lines()):
            click.echo(line, err=True)
    attachments: tuple[Attachment, ...] = ()
    with waiting("signing" if no_push else "attaching the attestation"):
        targets = () if no_push else describe(stores, [image.reference for image in named])
        kind, predicate = _finished(what, stores, named, url=collected.context.run_url, push=not no_push)
        try:
            signed = sign(
                named, signer=chosen.signer, context=collected.context, predicate_type=kind, predicate=predicate
            )
        except (StatementInvalid, PredicateInvalid) as error:
            raise UsageError(f"this cannot be signed: {error}") from error
        if output_file is not None:
            write_file(output_file, signed.bundle)
        if not no_push:
            attachments = attach(stores, targets, signed.bundle, clock=clock)
    if output == "text":
        if judgement is not None:
            click.echo(judgement.line(), err=True)
        for line in signed_lines(signed):
            click.echo(line, err=True)
    said = _said(lane, kind, predicate, signed_document(signed, chosen), write_context(collected.context))
    report(output, signed.bundle, attachments, said)
    return EXIT_PASSED


def _said(
    lane: str,
    predicate_type: str,
    predicate: Mapping[str, Any],
    signer: Mapping[str, Any],
    annotations: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "lane": lane,
        "predicate_type": predicate_type,
        "result": predicate.get("result") if predicate_type == TEST_RESULT else None,
        **signer,
        "context": {name.rpartition("/")[2]: value for name, value in annotations.items()},
    }


def _predicate(
    result: str | None, predicate_type: str | None, predicate_file: str | None, judgement: Judgement | None
) -> Judgement | tuple[str, Mapping[str, Any]]:
    """What is signed: a predicate with its type, or what reports say."""
    given = [name for name, there in (("--result", result), ("--report", judgement)) if there is not None]
    if len(given) > 1:
        raise UsageError("--result and --report exclude each other", hint="reports say the result themselves")
    if given and (predicate_type is not None or predicate_file is not None):
        raise UsageError(f"{given[0]} makes the predicate, so --predicate-type and --predicate have no place beside it")
    if judgement is not None:
        return judgement
    if result is not None:
        return TEST_RESULT, test_result(Result(result.upper()))
    if predicate_type is None or predicate_file is None:
        raise UsageError(
            "nothing says what to sign",
            hint="give --report FILE, or --result passed|failed|warned, or --predicate-type and --predicate",
        )
    try:
        predicate = loads(read_file(predicate_file, limit=limits.BUNDLE))
    except JsonInvalid as error:
        raise DocumentInvalid(f"no predicate: {error}", file=predicate_file) from error
    if not isinstance(predicate, dict):
        raise DocumentInvalid("a predicate is a JSON object", file=predicate_file)
    return predicate_type, predicate


def _finished(
    what: Judgement | tuple[str, Mapping[str, Any]],
    stores: Stores,
    images: Sequence[Named],
    *,
    url: str | None,
    push: bool,
) -> tuple[str, Mapping[str, Any]]:
    """The predicate and its type; reports that do not fit into it are kept beside the images."""
    if not isinstance(what, Judgement):
        return what
    store = stores if push else None
    return TEST_RESULT, what.predicate(store, [image.reference for image in images], url=url)
