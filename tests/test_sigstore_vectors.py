"""The DSSE and in-toto cases of sigstore-conformance: each is decided as it is named, for the reason it is named after.

They stand in `../shared/vectors` beside the project, where they are; tests/test_sigstore_trust.py has vectors of our
own for the same reasons.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
from pathlib import Path
from typing import Final

import pytest

from attest.adapters.sigstore.trust import SigstoreTrust
from attest.core.certificate import NotCertified
from attest.core.envelope import read_bundle
from attest.core.identity import Identity
from tests.project import ROOT

VECTORS: Final = ROOT.parent / "shared" / "vectors" / "sigstore-conformance"
POSITIVE: Final = {
    "happy-path-intoto-in-dsse-v3": "2024-12-16T18:42:56+00:00",
    "intoto-with-custom-trust-root": "2023-02-01T00:00:00+00:00",
    "rekor2-dsse-happy-path": "2026-05-13T19:23:33+00:00",
}
"""The cases that verify, and when they were signed."""
NEGATIVE: Final = {
    "dsse-invalid-sig_fail": "signature-invalid",
    "dsse-mismatch-envelope_fail": "log-entry-differs",
    "dsse-mismatch-sig_fail": "log-entry-differs",
    "intoto-expired-certificate_fail": "certificate-expired",
    "intoto-log-entry-mismatch_fail": "log-entry-differs",
    "intoto-missing-inclusion-proof_fail": "inclusion-missing",
    "intoto-set-outside-signing-cert-validity_fail": "certificate-expired",
    "intoto-tsa-timestamp-outside-cert-validity_fail": "certificate-expired",
    "rekor2-dsse-invalid-sig_fail": "signature-invalid",
    "rekor2-dsse-mismatch-envelope_fail": "log-entry-differs",
    "rekor2-dsse-mismatch-sig_fail": "log-entry-differs",
}
"""The cases that are refused, and the code of the reason that each is named after."""
BEACON: Final = Identity(
    issuer="https://token.actions.githubusercontent.com",
    identity="https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/"
    "extremely-dangerous-oidc-beacon.yml@refs/heads/main",
)
"""Who signed each of them (its README)."""


def case(name: str) -> Path:
    """The folder of a case; without the vectors a skip, or a failure where CI is set."""
    if not VECTORS.is_dir():
        reason = f"the conformance vectors are not at {VECTORS.relative_to(ROOT.parent)} beside the project"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return VECTORS / name


@functools.cache
def trust(folder: Path) -> SigstoreTrust:
    """The trusted root of a case: its own, else that of the public-good instance as sigstore-python carries it."""
    from sigstore._internal.tuf import DEFAULT_TUF_URL
    from sigstore._utils import read_embedded

    own = folder / "trusted_root.json"
    return SigstoreTrust(own.read_bytes() if own.is_file() else read_embedded(own.name, DEFAULT_TUF_URL))


def test_every_case_is_tested() -> None:
    """No folder of the vectors is left out, and none is expected that is not there."""
    assert {one.name for one in case("").iterdir() if one.is_dir()} == {*POSITIVE, *NEGATIVE}


@pytest.mark.parametrize(("name", "time"), POSITIVE.items())
def test_a_positive_case_is_certified(name: str, time: str) -> None:
    """It verifies, is of the identity that its README names, and its time is the one that stands in it."""
    folder = case(name)
    content = (folder / "bundle.sigstore.json").read_bytes()
    certified = trust(folder).certify(content)
    assert BEACON.is_of(certified.certificate)
    assert [one.isoformat() for one in certified.times] == [time]
    statement = json.loads(read_bundle(content).payload)
    artifact = folder / "artifact"
    assert statement["subject"][0]["digest"]["sha256"] == _sha256(artifact if artifact.is_file() else case("a.txt"))


@pytest.mark.parametrize(("name", "code"), NEGATIVE.items())
def test_a_negative_case_is_refused(name: str, code: str) -> None:
    """It is refused, and the code is that of the reason which it is named after."""
    folder = case(name)
    with pytest.raises(NotCertified) as caught:
        trust(folder).certify((folder / "bundle.sigstore.json").read_bytes())
    assert caught.value.code == code


def test_a_log_entry_that_the_library_does_not_read_is_of_its_own_envelope() -> None:
    """The happy case of the kind intoto, with the payload of the log's entry changed in the bundle, is refused."""
    folder = case("intoto-with-custom-trust-root")
    document = json.loads((folder / "bundle.sigstore.json").read_bytes())
    payload = base64.b64decode(document["dsseEnvelope"]["payload"])
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload + b" ").decode()
    with pytest.raises(NotCertified) as caught:
        trust(folder).certify(json.dumps(document).encode())
    assert caught.value.code == "signature-invalid"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
