"""`attest inspect`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from attest.cli.options import format_option, registry_options
from attest.cli.progress import waiting
from attest.cli.stores import Connection, Stores, named_images
from attest.cli.terminal import escape, json_text
from attest.core.identity import certificate_document
from attest.core.policy import Policy
from attest.core.reference import Digest, parse_digest
from attest.core.release import ChildKind
from attest.core.statement import write_context
from attest.errors import EXIT_PASSED, NotFound, UsageError
from attest.ops.inspect import Claim, Inventory, inspect

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffd]")
"""What a terminal obeys, or is misled by: controls but line ends, bidirectional marks, bytes that are no UTF-8."""


@click.command(
    "inspect",
    epilog="""\b
Examples:
  attest inspect registry.example.org/plex/backend@sha256:...
  attest inspect IMAGE --policy policies/staging.yaml
  attest inspect IMAGE --raw sha256:... | jq .
  attest inspect IMAGE --raw sha256:... > junit.xml
""",
)
@click.argument("image")
@format_option
@click.option(
    "--policy", "policy_file", metavar="FILE", type=click.Path(), help="Say which signer of this policy signed."
)
@click.option(
    "--raw",
    metavar="DIGEST",
    help="Print the exact bytes that the bundle of this digest signs, or the test report of this digest, and nothing "
    "else.",
)
@registry_options
def command(
    image: str,
    output: str,
    policy_file: str | None,
    raw: str | None,
    timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Show what is attached to IMAGE, named by digest, and to its platforms.

    Everything is a claim: without a policy nothing is verified, and with one only the signature is. Whether the image
    may be promoted is what `attest verify` says.
    """
    stores = Stores(Connection(timeout=timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts))
    (named,) = named_images(stores, (image,), ())
    wanted = None if raw is None else parse_digest(raw)
    policy = None if policy_file is None else _policy(policy_file, timeout)
    with waiting("reading what is attached"):
        inventory = inspect(stores, named.reference, policy=policy)
    if wanted is not None:
        _echo_raw(_payload(inventory, wanted) or _report(stores, inventory, wanted))
    elif output == "json":
        click.echo(json_text(_document(inventory)))
    else:
        for line in _tree(inventory):
            click.echo(line)
    return EXIT_PASSED


def _policy(file: str, timeout: float) -> Policy:
    from attest.cli.policies import load_policy  # without a policy, none of what it takes to read one is loaded

    return load_policy(file, timeout=timeout)


def _payload(inventory: Inventory, digest: Digest) -> bytes | None:
    for claims in inventory.claims.values():
        for claim in claims:
            if claim.attached.digest == digest and claim.payload is not None:
                return claim.payload
    return None


def _report(stores: Stores, inventory: Inventory, digest: Digest) -> bytes:
    """The test report of this digest, whose bytes the store has compared with it."""
    try:
        return stores.fetch_report(inventory.image, digest)
    except NotFound as error:
        raise NotFound(
            f"neither a bundle with a payload nor a test report {digest} is kept for this image",
            hint="`attest inspect IMAGE` lists the bundles, and a test-result names its reports",
        ) from error


def _echo_raw(content: bytes) -> None:
    """Print foreign bytes as they are; a terminal might obey them.

    Raises:
        UsageError: standard output is a terminal, and they have control characters.
    """
    if sys.stdout.isatty() and _CONTROL.search(content.decode("utf-8", "replace")):
        raise UsageError("this has control characters, which a terminal obeys", hint="write it to a file: > FILE")
    click.echo(content, nl=False)


def _places(inventory: Inventory) -> Iterator[tuple[Digest, str]]:
    """The image and its platforms, each with a word for it."""
    stored = inventory.stored
    if stored.children is None:
        yield stored.descriptor.digest, f"image {stored.platform}"
        return
    yield stored.descriptor.digest, "image index"
    for child in stored.children:
        match child.kind:
            case ChildKind.PLATFORM:
                yield child.digest, f"platform {child.platform or 'without a name'}"
            case ChildKind.ATTESTATION:
                yield child.digest, "BuildKit attestations (unsigned, never evidence)"
            case ChildKind.INDEX:
                yield child.digest, "an index in the index, which no policy allows"


def _tree(inventory: Inventory) -> Iterator[str]:
    yield escape(str(inventory.image))
    for digest, word in _places(inventory):
        yield f"  {escape(word)}  {digest}"
        claims = inventory.claims.get(digest, ())
        if not claims:
            yield "    nothing attached"
        for claim in claims:
            yield f"    bundle {claim.attached.digest}  {_standing(claim)}"
            for name, value in _summary(claim).items():
                yield f"      {name:<15} {escape(str(value))}"


def _standing(claim: Claim) -> str:
    if claim.signers is None:
        return click.style("unverified", fg="yellow")
    if not claim.signers:
        return click.style("unverified: no signer of the policy made its signature", fg="red")
    return click.style(f"signature verified: {escape(', '.join(claim.signers))}", fg="green")


def _summary(claim: Claim) -> Mapping[str, Any]:
    """What a bundle claims, each with a name, for people and for JSON."""
    summary: dict[str, Any] = {}
    statement = claim.statement
    if statement is not None:
        summary["predicate"] = statement.predicate_type
        if claim.result is not None:
            summary["result"] = claim.result.value
        for name, value in write_context(statement.context).items():
            summary[name.rpartition("/")[2]] = value
        for source in claim.sources:
            summary["built from"] = f"{source.repository} {source.commit or ''} {source.ref or ''}".rstrip()
        summary["subjects"] = ", ".join(sorted(statement.digests))
    if claim.hint is not None:
        summary["key hint"] = claim.hint
    if claim.certificate is not None:
        for name, value in certificate_document(claim.certificate).items():
            summary[f"cert {name}"] = value
    if claim.problem is not None:
        summary["problem"] = claim.problem
    return summary


def _document(inventory: Inventory) -> dict[str, Any]:
    return {
        "schema": "attest.inventory/v1",
        "image": str(inventory.image),
        "media_type": inventory.stored.descriptor.media_type,
        "places": [
            {
                "digest": digest,
                "kind": word,
                "bundles": [_claim_document(claim) for claim in inventory.claims.get(digest, ())],
            }
            for digest, word in _places(inventory)
        ],
    }


def _claim_document(claim: Claim) -> dict[str, Any]:
    statement = claim.statement
    return {
        "digest": claim.attached.digest,
        "manifest": claim.attached.manifest,
        "verified": None if claim.signers is None else bool(claim.signers),
        "signers": None if claim.signers is None else list(claim.signers),
        "predicate_type": None if statement is None else statement.predicate_type,
        "result": None if claim.result is None else claim.result.value,
        "context": {}
        if statement is None
        else {name.rpartition("/")[2]: value for name, value in write_context(statement.context).items()},
        "sources": [
            {"repository": source.repository, "commit": source.commit, "ref": source.ref} for source in claim.sources
        ],
        "subjects": [] if statement is None else sorted(statement.digests),
        "key_hint": claim.hint,
        "certificate": None if claim.certificate is None else certificate_document(claim.certificate),
        "problem": claim.problem,
    }
