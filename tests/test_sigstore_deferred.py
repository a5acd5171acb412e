"""The trust that is fetched when a bundle first needs it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from attest.adapters.sigstore.deferred import DeferredTrust
from attest.adapters.sigstore.trust import SigstoreTrust
from attest.cli.policies import load_policy
from attest.core.certificate import NotCertified, Uncertified
from attest.core.identity import Identity
from attest.core.reference import digest_of
from attest.core.verify import Keyring, Rejected, VerifiedStatement, verify
from attest.errors import ServiceFailed
from tests.core import make
from tests.core.make_identity import stamped
from tests.project import ROOT
from tests.sigstore_forge import IDENTITY, ISSUER, Recipe
from tests.sigstore_instance import AT, MINUTE, TSA, trusted_root

CONTENT = trusted_root()
PAYLOAD = make.payload([make.digest("image app")], make.context())


class Opening:
    """Opens the forge's root, counts how often, and fails the first so many times."""

    def __init__(self, failures: int = 0) -> None:
        self.count = 0
        self._failures = failures

    def __call__(self) -> SigstoreTrust:
        self.count += 1
        if self.count <= self._failures:
            raise ServiceFailed(f"attempt {self.count}")
        return SigstoreTrust(CONTENT)


def test_nothing_is_opened_before_it_is_needed() -> None:
    """Making it and asking for its digest opens nothing, and there is no digest yet."""
    opening = Opening()
    assert DeferredTrust(opening).digest is None
    assert opening.count == 0


def test_it_answers_as_the_trust_that_it_opens() -> None:
    """Certificates, times and digest are those of the root, which is opened once for all of them."""
    opening = Opening()
    trust, whole = DeferredTrust(opening), SigstoreTrust(CONTENT)
    content = Recipe(kind="hashedrekord").content
    assert trust.certify(content) == whole.certify(content)
    assert trust.digest == digest_of(CONTENT)
    with pytest.raises(NotCertified) as caught:
        trust.certify(b"{}")
    assert caught.value.code is Uncertified.BUNDLE_INVALID
    managed = Recipe(kind="hashedrekord", hint="key", stamps=[(TSA, AT + MINUTE)]).content
    assert trust.times(managed) == whole.times(managed) == (AT + MINUTE,)
    assert opening.count == 1


def test_times_alone_open_it_too() -> None:
    """The first question opens it, whichever it is."""
    opening = Opening()
    assert DeferredTrust(opening).times(b"{}") == ()
    assert opening.count == 1


def test_a_root_that_cannot_be_had_is_no_empty_one() -> None:
    """Every question raises what opening raised, until a root is there; nothing is certified and no time is denied."""
    opening = Opening(failures=2)
    trust = DeferredTrust(opening)
    with pytest.raises(ServiceFailed, match="attempt 1"):
        trust.times(b"{}")
    assert trust.digest is None
    with pytest.raises(ServiceFailed, match="attempt 2"):
        trust.certify(b"{}")
    assert trust.times(b"{}") == ()
    assert trust.digest == digest_of(CONTENT)


def test_verification_stops_where_the_root_cannot_be_had() -> None:
    """That a certificate could not be looked at is no rejection of the bundle: the whole run could not decide."""
    ring = Keyring(
        [make.party("ci").trusted],
        identities={"check": Identity(issuer=ISSUER, identity=IDENTITY)},
        trust=DeferredTrust(Opening(failures=9)),
    )
    for content in (Recipe().content, stamped(make.party("ci"), PAYLOAD, make.NOW)):
        with pytest.raises(ServiceFailed):
            verify(content, ring)
    assert isinstance(verify(make.bundle(make.party("ci"), PAYLOAD), ring), VerifiedStatement)
    assert isinstance(verify(b"{}", ring), Rejected)


def test_threads_open_it_once() -> None:
    """Of many bundles that are verified at once the first opens the root, and the others wait for it."""
    opening = Opening()
    start = threading.Barrier(8)

    def slowly() -> SigstoreTrust:
        opened = opening()
        threading.Event().wait(0.05)  # long enough for the others to ask
        return opened

    trust = DeferredTrust(slowly)

    def ask() -> object:
        start.wait()
        return trust.times(b"{}")

    with ThreadPoolExecutor(8) as pool:
        answers = [one.result() for one in [pool.submit(ask) for _ in range(8)]]
    assert answers == [()] * 8
    assert opening.count == 1


def test_reading_a_policy_of_the_public_good_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example loads without a network and without a cache, and neither is made; a bundle of a key needs no root."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    policy = load_policy(str(ROOT / "policies" / "keyless.yaml"))
    assert policy.public_good
    assert isinstance(policy.keyring.trust, DeferredTrust)
    foreign = verify(make.bundle(make.party("ci"), PAYLOAD), policy.keyring)
    assert isinstance(foreign, Rejected)
    assert policy.keyring.trust.digest is None
    assert list(tmp_path.iterdir()) == []
