"""Trusted roots as files: what is read, and what is wrong with those that are none."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from attest.adapters.sigstore.rootfile import TrustedRoot, _fault, read_root
from attest.adapters.sigstore.trust import SigstoreTrust
from attest.core import limits
from attest.core.keys import public_key
from attest.core.trust.window import Window
from attest.errors import DocumentInvalid
from tests.core import make
from tests.sigstore_forge import Recipe
from tests.sigstore_instance import AT, CA, CT, REKOR_V1, REKOR_V2, TSA, YEAR, b64, trusted_root


def read(content: bytes) -> TrustedRoot:
    return read_root(content, file="root.json")


def refused(content: bytes) -> str:
    with pytest.raises(DocumentInvalid, match=r"^root\.json: ") as caught:
        read(content)
    assert caught.value.exit_code == 2
    assert len(str(caught.value)) < 400
    return str(caught.value)


def changed(part: str, **changes: Any) -> bytes:
    """The root with members of the first of a part changed; None takes one out."""
    document = json.loads(trusted_root())
    first = document[part][0] | changes
    document[part][0] = {name: value for name, value in first.items() if value is not None}
    return json.dumps(document).encode()


def test_all_of_it_is_read() -> None:
    """Windows, chains, ids, origins and keys are those of the document."""
    root = read(trusted_root(authorities=[CA.described(start=AT, end=AT + YEAR)]))
    (authority,) = root.authorities
    assert authority.name == "https://fulcio.example.org"
    assert authority.window == Window(start=AT, end=AT + YEAR)
    assert authority.chain == (Window(start=AT - YEAR, end=AT + YEAR),) * 2
    assert root.chains == (CA.chain,)
    first, second = root.logs
    assert (first.log.name, set(first.log.ids)) == ("https://rekor.example.org", {REKOR_V1.id})
    assert first.origins == {"rekor.example.org"}
    assert first.key == public_key(make.pem(REKOR_V1.key.public_key()))
    assert second.key == public_key(make.pem(REKOR_V2.key.public_key()))
    assert second.log.window == Window(start=AT - YEAR)
    assert [one.ids for one in root.ct_logs] == [{CT.id}]
    assert [one.chain for one in root.timestamping] == [TSA.chain]


def test_a_log_is_known_by_each_of_its_ids() -> None:
    """`logId` and `checkpointKeyId` both name it."""
    root = read(changed("tlogs", checkpointKeyId={"keyId": b64(b"other")}))
    assert root.logs[0].log.ids == {REKOR_V1.id, b"other"}


def test_a_log_without_a_window_is_valid_always() -> None:
    """The window of a key is optional, and what is not there bounds nothing."""
    key = REKOR_V1.described()["publicKey"]
    del key["validFor"]
    assert read(changed("tlogs", publicKey=key)).logs[0].log.window == Window()


def test_a_log_on_a_port_says_either_origin() -> None:
    """Some logs name themselves with the port of their address, some without."""
    assert read(changed("tlogs", baseUrl="http://LOCALHOST:8000")).logs[0].origins == {"LOCALHOST:8000", "localhost"}


def test_a_log_of_a_kind_of_key_that_is_not_ours_promises_nothing() -> None:
    """A key that cannot be read is not fatal for the other logs; nothing verifies under it."""
    key = REKOR_V1.described()["publicKey"] | {"rawBytes": b64(b"junk")}
    content = changed("tlogs", publicKey=key)
    assert read(content).logs[0].key is None
    trust = SigstoreTrust(content)
    assert trust.certify(Recipe(kind="hashedrekord").content).times
    with pytest.raises(ValueError, match=r"checkpoint|promise"):
        trust.certify(Recipe(kind="intoto").content)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not strict JSON"),
        (b"\xff", "not UTF-8"),
        (trusted_root()[:-1], "not strict JSON"),
        (b'{"mediaType": 1, "mediaType": 2}', "stands twice"),
        (b"[]", "its mediaType is None"),
        (b"{}", "its mediaType is None"),
        (b'{"mediaType": "text/plain"}', "its mediaType is 'text/plain'"),
        (trusted_root(mediaType="application/vnd.dev.sigstore.trustedroot+json;version=0.9"), "mediaType: "),
        (trusted_root(mediaType="application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"), "a client trust config"),
        (trusted_root(surprise=1), "surprise: "),
        (trusted_root(tlogs={}), "tlogs: "),
        (trusted_root(authorities=[]), "has no certificate authority"),
        (trusted_root(logs=[]), "has no transparency log"),
        (trusted_root(ct_logs=[]), "has no certificate transparency log"),
        (changed("tlogs", logId=None), "tlogs.0.logId: "),
        (changed("tlogs", logId={"keyId": ""}), "https://rekor.example.org has no logId"),
        (changed("certificateAuthorities", validFor=None), "certificateAuthorities.0.validFor: "),
        (changed("certificateAuthorities", validFor={"start": "yesterday"}), "validFor.start: "),
        (changed("certificateAuthorities", validFor={"start": "2026-01-01T00:00:00"}), "without its offset from UTC"),
        (changed("certificateAuthorities", certChain={"certificates": []}), "has no certificates"),
        (
            changed("certificateAuthorities", certChain={"certificates": [{"rawBytes": b64(b"junk")}]}),
            "a certificate of https://fulcio.example.org cannot be read",
        ),
        (
            changed("timestampAuthorities", uri=None, certChain={"certificates": [{"rawBytes": b64(b"junk")}]}),
            "a certificate of forge timestamps cannot be read",
        ),
        (changed("ctlogs", publicKey=CT.described(start=AT, end=AT - YEAR)["publicKey"]), "ends before it starts"),
        (trusted_root(filler="x" * limits.DOCUMENT), f"more than {limits.DOCUMENT} bytes"),
    ],
)
def test_what_is_no_trusted_root_is_said(content: bytes, why: str) -> None:
    """The error names the file and what is wrong in it, in one line, and quotes no more of it than needed."""
    assert why in refused(content)


def test_a_fault_that_the_models_do_not_explain_is_told() -> None:
    """Whatever the reader of the models raises, it is told in one line."""
    assert _fault(ValueError("a\nb")) == "a b"


def test_a_client_trust_configuration_gets_a_hint() -> None:
    """Who names the file that signers use is told where in it the trusted root is."""
    with pytest.raises(DocumentInvalid) as caught:
        read(trusted_root(mediaType="application/vnd.dev.sigstore.clienttrustconfig.v0.1+json"))
    assert "trustedRoot" in (caught.value.hint or "")


def test_a_window_of_one_moment_is_one() -> None:
    """A window that ends where it starts holds that moment."""
    root = read(trusted_root(authorities=[CA.described(start=AT, end=AT)]))
    assert root.authorities[0].window.holds(AT)
    assert not root.authorities[0].window.holds(AT + timedelta(seconds=1))
