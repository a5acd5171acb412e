"""Receipts: a verdict as a signed SLSA Verification Summary, and what an earlier one demands."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attest import __version__
from attest.core.envelope import EnvelopeInvalid, pae, read_bundle, write_bundle
from attest.core.keys import TrustedKey
from attest.core.oci import IN_TOTO
from attest.core.predicates import SUMMARY, summary
from attest.core.reference import Digest, is_digest
from attest.core.statement import NO_CONTEXT, StatementInvalid, format_time, read_statement, write_statement
from attest.core.strictjson import Json
from attest.core.verdict import Passed, Refused
from attest.core.verify import Keyring, VerifiedStatement, verify_all
from attest.core.waiver import Waived, waiver_document
from attest.errors import DocumentInvalid
from attest.ports import Signer


def write_receipt(verdict: Passed | Waived | Refused, *, signer: Signer, policy_uri: str) -> bytes:
    """A bundle with a VSA that says what was decided, under which policy, and from which inputs.

    `resourceUri` is the place that was verified; for a release of several images the places, separated by spaces. What
    was waived FAILED, and `attest_waiver` says by whom, why and until when.
    """
    findings = verdict.findings
    predicate = _predicate(verdict, policy_uri, inputs=findings.inputs)
    payload = write_statement(
        subjects={image.digest: image.image for image in findings.images},
        context=NO_CONTEXT,
        predicate_type=SUMMARY,
        predicate=predicate,
    )
    return write_bundle(payload=payload, signature=signer.sign(pae(IN_TOTO, payload)), hint=signer.hint)


def find_receipt(
    bundles: Iterable[bytes], verdict: Passed | Waived | Refused, *, key: TrustedKey, policy_uri: str
) -> bytes | None:
    """Of these bundles an earlier receipt by this key that says the same, whenever it was made; the first of several.

    A receipt is no input of a receipt: where the policy trusts its key, it may stand among the evidence.
    """
    contents = list(dict.fromkeys(bundles))
    ours = {
        outcome.bundle: (content, outcome.statement)
        for content, outcome in zip(
            contents, verify_all([(one, False) for one in contents], Keyring([key])), strict=True
        )
        if isinstance(outcome, VerifiedStatement) and outcome.statement.predicate_type == SUMMARY
    }
    wanted = _predicate(verdict, policy_uri, inputs=verdict.findings.inputs - ours.keys())
    images = {image.digest for image in verdict.findings.images}
    for content, statement in ours.values():
        try:
            inputs = inputs_of(content, file="", images=list(images)) - ours.keys()
        except DocumentInvalid:
            continue
        said = {
            **statement.predicate,
            "inputAttestations": _predicate(verdict, policy_uri, inputs=inputs)["inputAttestations"],
        }
        time = statement.predicate.get("timeVerified")
        if isinstance(time, str) and statement.digests == images and said == {**wanted, "timeVerified": time}:
            return content
    return None


def _predicate(verdict: Passed | Waived | Refused, policy_uri: str, *, inputs: Iterable[Digest]) -> dict[str, Json]:
    findings = verdict.findings
    said = summary(
        verifier_version=__version__,
        time_verified=format_time(findings.time),
        resource_uri=" ".join(image.image for image in findings.images),
        policy_uri=policy_uri,
        policy_digest=findings.policy_digest,
        inputs=inputs,
        passed=isinstance(verdict, Passed),
    )
    if isinstance(verdict, Waived):  # it FAILED; this says why it may be where it is all the same
        said["attest_waiver"] = waiver_document(verdict.waiver, verdict.signers)
    return said


def inputs_of(content: bytes, *, file: str, images: Sequence[Digest]) -> frozenset[Digest]:
    """The inputs that a receipt lists. It only adds demands, so its signature is not asked for.

    Raises:
        DocumentInvalid: it is no receipt, it is about none of these images, or it does not list its inputs.
    """
    try:
        statement = read_statement(read_bundle(content).payload)
    except (EnvelopeInvalid, StatementInvalid) as error:
        raise DocumentInvalid(f"no receipt can be read: {error}", file=file) from error
    if statement.predicate_type != SUMMARY:
        raise DocumentInvalid(f"predicate type {statement.predicate_type} is no verification summary", file=file)
    if statement.digests.isdisjoint(images):
        raise DocumentInvalid(
            "this receipt is about other images", file=file, hint=f"it names {', '.join(sorted(statement.digests))}"
        )
    inputs = statement.predicate.get("inputAttestations")
    if not isinstance(inputs, list):
        raise DocumentInvalid("this receipt lists no inputAttestations", file=file)
    return frozenset(_digest(entry, file) for entry in inputs)


def _digest(entry: Json, file: str) -> Digest:
    digests = entry.get("digest") if isinstance(entry, dict) else None
    hexadecimal = digests.get("sha256") if isinstance(digests, dict) else None
    if not isinstance(hexadecimal, str) or not is_digest("sha256:" + hexadecimal):
        raise DocumentInvalid("an input of this receipt has no sha256 digest", file=file)
    return Digest("sha256:" + hexadecimal)
