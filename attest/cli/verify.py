"""`attest verify`."""

from __future__ import annotations

from datetime import datetime

import click

from attest.adapters.clock import SystemClock
from attest.adapters.files import read_file, write_file
from attest.adapters.state import StateFile
from attest.cli.options import format_option, password_option, registry_options, repository_option
from attest.cli.policies import load_policy
from attest.cli.progress import waiting
from attest.cli.signers import open_signer
from attest.cli.stores import Connection, Stores, named_images
from attest.cli.terminal import json_text
from attest.cli.verdict import lines
from attest.core import limits, report
from attest.core.evaluate import Remembered
from attest.core.policy import Policy
from attest.core.reference import Digest
from attest.core.statement import parse_time
from attest.core.verdict import Passed, PassedThen, Refused, Verdict
from attest.errors import EXIT_PASSED, EXIT_REFUSED, UsageError
from attest.ops.receipt import inputs_of, write_receipt
from attest.ops.verify import Question, verify


@click.command(
    "verify",
    epilog="""\b
Examples:
  attest verify registry.example.org/plex/backend@sha256:... --policy policies/staging.yaml
  attest verify BACKEND@sha256:... FRONTEND@sha256:... --policy policies/release.yaml --format json
  attest verify oci:build/backend@sha256:... --repository registry.example.org/plex/backend --policy p.yaml
  attest verify IMAGE --policy p.yaml --receipt-key gate.key --receipt-out receipt.json
  attest verify IMAGE --policy p.yaml --receipt receipt.json
""",
)
@click.argument("images", nargs=-1, required=True)
@click.option("--policy", "policy_file", metavar="FILE", type=click.Path(), required=True, help="What the images need.")
@format_option
@repository_option
@click.option(
    "--bundle", "bundles", metavar="FILE", type=click.Path(), multiple=True, help="Evidence besides what is attached."
)
@click.option(
    "--receipt",
    "receipts",
    metavar="FILE",
    type=click.Path(),
    multiple=True,
    help="Refuse if an input of this earlier receipt is gone.",
)
@click.option("--receipt-key", metavar="FILE", type=click.Path(), help="Sign the verdict with this key.")
@click.option("--receipt-out", metavar="FILE", type=click.Path(), help="Where the signed verdict goes.")
@password_option
@click.option(
    "--state", metavar="FILE", type=click.Path(), help="Remember the highest serial seen of each policy here."
)
@click.option("--at", metavar="TIME", help="Look at a time in the past, as 2026-01-31T12:00:00Z.")
@registry_options
def command(
    images: tuple[str, ...],
    policy_file: str,
    output: str,
    repositories: tuple[str, ...],
    bundles: tuple[str, ...],
    receipts: tuple[str, ...],
    receipt_key: str | None,
    receipt_out: str | None,
    password_file: str | None,
    state: str | None,
    at: str | None,
    timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Refuse IMAGES, named by digest, unless everything that the policy demands is there.

    Several images are one release: they pass together or not at all. Exit code 0 means passed, 1 refused, 2 a wrong
    command line or document, 3 that it could not be decided; only 0 may promote or deploy anything.
    """
    if (receipt_key is None) != (receipt_out is None):
        raise UsageError("--receipt-key and --receipt-out need each other")
    if at is not None and (receipt_key is not None or state is not None):
        raise UsageError("--at looks at the past: it makes no receipt and remembers no serial")
    moment = _moment(at)
    stores = Stores(Connection(timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts))
    named = named_images(stores, images, repositories)
    policy = load_policy(policy_file)
    signer = None if receipt_key is None else open_signer(receipt_key, password_file)
    digests = [image.reference.digest for image in named]
    demanded: set[Digest] = set()
    for receipt in receipts:
        demanded |= inputs_of(read_file(receipt, limit=limits.BUNDLE), file=receipt, images=digests)
    question = Question(
        bundles=[read_file(bundle, limit=limits.BUNDLE) for bundle in bundles],
        demanded=demanded,
        remembered=_observe(state, policy),
        at=moment,
    )
    with waiting("reading the evidence"):
        verdict = verify(stores, policy, named, question, clock=SystemClock())
    if signer is not None and receipt_out is not None and not isinstance(verdict, PassedThen):
        write_file(receipt_out, write_receipt(verdict, signer=signer, policy_uri=policy_file))
    _print(verdict, policy, output, historical=moment is not None)
    return exit_code(verdict)


def exit_code(verdict: Verdict) -> int:
    """0 for an explicit pass and for nothing else."""
    match verdict:
        case Passed() | PassedThen():
            return EXIT_PASSED
        case Refused():
            return EXIT_REFUSED


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(f"--at: {error}") from error


def _observe(state: str | None, policy: Policy) -> Remembered | None:
    if state is None:
        return None
    return StateFile(state).observe(policy.name, Remembered(serial=policy.serial, digest=policy.digest))


def _print(verdict: Verdict, policy: Policy, output: str, *, historical: bool) -> None:
    if output == "json":
        document = report.document(verdict, policy, historical=historical)
        click.echo(json_text(document))
        return
    for line in lines(verdict, policy):
        click.echo(line)
