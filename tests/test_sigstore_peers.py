"""What others say of the same bundles: sigstore-python by itself, cosign, and a real private Sigstore."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Final

import pytest

from attest.adapters.sigstore.trust import SigstoreTrust
from attest.core.certificate import NotCertified
from tests.parts.find import require
from tests.parts.process import Command, PartError, plain_environment, run
from tests.parts.sigstore import PrivateSigstore
from tests.sigstore_forge import IDENTITY, ISSUER, PAYLOAD, Certificate, Recipe
from tests.sigstore_instance import AT, CA, MINUTE, REKOR_V1, TSA, YEAR, Authority, p256, trusted_root

ARTIFACT: Final = b"an artifact"
TYPE: Final = "https://in-toto.io/attestation/test-result/v0.1"
ABOUT: Final = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "artifact", "digest": {"sha256": hashlib.sha256(ARTIFACT).hexdigest()}}],
        "predicateType": TYPE,
        "predicate": {"result": "PASSED", "configuration": []},
    }
).encode()
GOOD: Final = {
    "dsse": Recipe(payload=ABOUT),
    "dsse with a timestamp": Recipe(payload=ABOUT, stamps=[(TSA, AT + 2 * MINUTE)]),
    "hashedrekord": Recipe(payload=ABOUT, kind="hashedrekord"),
}
BAD: Final = {
    "signature": Recipe(payload=ABOUT, signer=p256("evil")),
    "chain": Recipe(payload=ABOUT, certificate=Certificate(ca=Authority(name="evil"), issuer=CA)),
    "promise": Recipe(payload=ABOUT, promise_key=p256("evil")),
    "entry": Recipe(payload=ABOUT, logged_payload=PAYLOAD),
    "expired": Recipe(payload=ABOUT, integrated=AT + 11 * MINUTE),
    "timestamp": Recipe(payload=ABOUT, kind="hashedrekord", stamped=b"another"),
    "checkpoint": Recipe(payload=ABOUT, kind="hashedrekord", checkpoint_key=p256("evil")),
    "inclusion": Recipe(payload=ABOUT, kind="hashedrekord", leaf=b"another"),
}


def by_library(content: bytes, root: Path) -> bool:
    """Whether sigstore-python verifies it with the whole root, as its own users would."""
    from sigstore.errors import Error
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier
    from sigstore.verify.policy import Identity

    try:
        bundle = Bundle.from_json(content)
        Verifier(trusted_root=TrustedRoot.from_file(str(root))).verify_dsse(
            bundle, Identity(identity=IDENTITY, issuer=ISSUER)
        )
    except Error:
        return False
    return True


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The forge's trusted root, as a file."""
    path = tmp_path / "trusted_root.json"
    path.write_bytes(trusted_root())
    return path


@pytest.mark.parametrize("name", GOOD)
def test_sigstore_python_verifies_what_we_do(name: str, root: Path) -> None:
    """The library by itself, with nothing taken out of the root, says the same of what is good."""
    content = GOOD[name].content
    assert SigstoreTrust(root.read_bytes()).certify(content).certificate.identity == IDENTITY
    assert by_library(content, root)


@pytest.mark.parametrize("name", BAD)
def test_sigstore_python_refuses_what_we_do(name: str, root: Path) -> None:
    """And of what is bad: the forge spoils what it says that it spoils."""
    content = BAD[name].content
    with pytest.raises(NotCertified):
        SigstoreTrust(root.read_bytes()).certify(content)
    assert not by_library(content, root)


def test_what_sigstore_python_leaves_out_is_ours(root: Path) -> None:
    """It looks at no window of authority and logs, and at no origin of a checkpoint: we refuse what it verifies."""
    good = GOOD["dsse"].content
    for ended in (
        trusted_root(authorities=[CA.described(end=AT)]),
        trusted_root(logs=[REKOR_V1.described(end=AT)]),
    ):
        root.write_bytes(ended)
        assert by_library(good, root)
        with pytest.raises(NotCertified, match=r"not valid|valid at"):
            SigstoreTrust(ended).certify(good)
    root.write_bytes(trusted_root())
    elsewhere = Recipe(payload=ABOUT, origin="other.example.org").content
    assert by_library(elsewhere, root)
    with pytest.raises(NotCertified, match="origin"):
        SigstoreTrust(root.read_bytes()).certify(elsewhere)


def cosign(home: Path, content: bytes, root: Path, *, identity: str, issuer: str, timestamps: bool) -> None:
    """Let cosign verify it; PartError where it refuses."""
    (home / "artifact").write_bytes(ARTIFACT)
    (home / "bundle.json").write_bytes(content)
    who = ["--certificate-identity", identity, "--certificate-oidc-issuer", issuer]
    what = ["--trusted-root", str(root), "--type", TYPE, "--bundle", "bundle.json", "artifact"]
    options = ["--use-signed-timestamps"] if timestamps else []
    arguments: list[str | Path] = [require("cosign"), "verify-blob-attestation", *options, *who, *what]
    run(Command(arguments=arguments, environment=plain_environment(home), directory=home))


@pytest.mark.parts
@pytest.mark.parametrize("name", GOOD)
def test_cosign_verifies_what_we_do(name: str, root: Path, tmp_path: Path) -> None:
    """cosign verifies the forge's bundles under the same trusted root."""
    stamped = name != "dsse"
    cosign(tmp_path, GOOD[name].content, root, identity=IDENTITY, issuer=ISSUER, timestamps=stamped)


@pytest.mark.parts
@pytest.mark.parametrize("name", BAD)
def test_cosign_refuses_what_we_do(name: str, root: Path, tmp_path: Path) -> None:
    """cosign refuses what is spoiled."""
    stamped = BAD[name].v2
    with pytest.raises(PartError):
        cosign(tmp_path, BAD[name].content, root, identity=IDENTITY, issuer=ISSUER, timestamps=stamped)


def signed_by_library(sigstore: PrivateSigstore) -> bytes:
    """A bundle that sigstore-python signs at a real Fulcio, Rekor v2 and timestamp server."""
    from sigstore.dsse import Statement
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken
    from sigstore.sign import SigningContext

    logging.getLogger("sigstore").setLevel(logging.ERROR)
    context = SigningContext.from_trust_config(ClientTrustConfig.from_json(sigstore.trust_config.read_text()))
    with context.signer(IdentityToken(sigstore.token())) as signer:
        return signer.sign_dsse(Statement(ABOUT)).to_json().encode()


@pytest.fixture(scope="module")
def real(private_sigstore: PrivateSigstore) -> bytes:
    """A bundle of the real private Sigstore."""
    return signed_by_library(private_sigstore)


@pytest.mark.parts
def test_a_bundle_of_a_real_sigstore_is_certified(private_sigstore: PrivateSigstore, real: bytes) -> None:
    """The certificate of a real Fulcio says which repository, commit, workflow and run it was."""
    certified = SigstoreTrust(private_sigstore.trusted_root.read_bytes()).certify(real)
    certificate = certified.certificate
    assert certificate.issuer == private_sigstore.issuer
    assert certificate.identity == private_sigstore.identity() == certificate.workflow
    assert certificate.repository == f"{private_sigstore.forge}/plex/playlist"
    assert certificate.ref == "refs/heads/main"
    assert certificate.trigger == "push"
    assert certificate.commit
    assert (certificate.run or "").startswith(f"{certificate.repository}/actions/runs/")
    assert len(certified.times) == 1


@pytest.mark.parts
def test_a_bundle_of_a_real_sigstore_is_of_that_one_alone(private_sigstore: PrivateSigstore, real: bytes) -> None:
    """Each part of the root replaced by that of another instance refuses, with its own code."""
    own = json.loads(private_sigstore.trusted_root.read_bytes())
    elsewhere = Authority(name="elsewhere", not_before=AT - 20 * YEAR, not_after=AT + 20 * YEAR)
    other = json.loads(trusted_root(authorities=[elsewhere.described()]))
    for part, code in (
        ("certificateAuthorities", "chain-invalid"),
        ("tlogs", "log-unknown"),
        ("ctlogs", "sct-invalid"),
        ("timestampAuthorities", "timestamp-invalid"),
    ):
        foreign = other[part]
        for one in foreign:
            one.get("publicKey", one)["validFor"] = {"start": "2000-01-01T00:00:00Z"}
        with pytest.raises(NotCertified) as caught:
            SigstoreTrust(json.dumps(own | {part: foreign}).encode()).certify(real)
        assert caught.value.code == code


@pytest.mark.parts
def test_cosign_verifies_the_bundle_of_a_real_sigstore(
    private_sigstore: PrivateSigstore, real: bytes, tmp_path: Path
) -> None:
    """What we certify, cosign verifies under the same root, as the same identity; as another it does not."""
    root = private_sigstore.trusted_root
    who = private_sigstore.identity()
    cosign(tmp_path, real, root, identity=who, issuer=private_sigstore.issuer, timestamps=True)
    with pytest.raises(PartError):
        cosign(tmp_path, real, root, identity=f"{who}x", issuer=private_sigstore.issuer, timestamps=True)
