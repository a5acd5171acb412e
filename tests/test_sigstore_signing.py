"""Signing keyless, and before witnesses, with real services."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from attest.adapters.deadline import Deadline
from attest.adapters.keys import load_signer
from attest.adapters.keys.generate import generate
from attest.adapters.sigstore.configuration import LogVersion
from attest.adapters.sigstore.exchange import Network
from attest.adapters.sigstore.trust import SigstoreTrust
from attest.adapters.sigstore.witness import make_witnessed
from attest.core.envelope import pae, read_bundle
from attest.core.material import read_material
from attest.core.oci import IN_TOTO
from attest.errors import ServiceFailed, TokenUnusable, UsageError
from tests.faulty_service import FaultyService
from tests.openssl_keys import key_pair, write
from tests.parts.sigstore import PrivateSigstore
from tests.rekor_v1 import RekorV1
from tests.sigstore_scene import BOTH, PAYLOAD, How, Signing

pytestmark = pytest.mark.parts


@pytest.fixture
def signing(private_sigstore: PrivateSigstore, tmp_path: Path) -> Signing:
    """With everything as it should be."""
    return Signing(sigstore=private_sigstore, folder=tmp_path)


@pytest.fixture
def before(signing: Signing) -> Iterator[Callable[[str], FaultyService]]:
    """Puts a service that fails before the real one of a kind: `fulcio`, `rekor` or `tsa`."""
    with ExitStack() as stack:

        def put(kind: str) -> FaultyService:
            return stack.enter_context(FaultyService(behind=getattr(signing.sigstore, f"{kind}_url")).running())

        yield put


# ---- as it should be


def test_a_job_signs_as_what_it_is(signing: Signing) -> None:
    """The bundle verifies under the trusted root, is of exactly the payload, and says what the token says."""
    signed = signing.sign(sha=40 * "c", ref="refs/tags/v1", event_name="release")
    certified = signing.trust().certify(signed.bundle)
    assert (certified.certificate, certified.times) == (signed.certificate, signed.times)
    said, forge = certified.certificate, signing.sigstore.forge
    assert (said.issuer, said.repository) == (signing.sigstore.issuer, f"{forge}/plex/playlist")
    assert (said.commit, said.ref, said.trigger) == (40 * "c", "refs/tags/v1", "release")
    assert said.identity == signing.sigstore.identity()
    assert signed.fingerprint == said.fingerprint
    envelope = read_bundle(signed.bundle)
    assert (envelope.payload_type, envelope.payload) == (IN_TOTO, PAYLOAD)
    assert said.key.verifies(envelope.signature, pae(IN_TOTO, PAYLOAD))


def test_each_signature_has_a_key_of_its_own(signing: Signing) -> None:
    """Two signatures share neither key nor certificate, and neither key is anywhere to be found in the bundle."""
    first, second = signing.sign(), signing.sign()
    assert first.fingerprint != second.fingerprint
    assert b"PRIVATE" not in first.bundle


def test_sigstore_python_accepts_it(signing: Signing) -> None:
    """The library's own verifier, with its own policy of an identity, accepts what was signed."""
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier
    from sigstore.verify.policy import Identity

    signed = signing.sign()
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(signing.sigstore.trusted_root)))
    policy = Identity(identity=signing.sigstore.identity(), issuer=signing.sigstore.issuer)
    assert verifier.verify_dsse(Bundle.from_json(signed.bundle), policy) == (IN_TOTO, PAYLOAD)


def test_a_key_signs_before_witnesses(signing: Signing) -> None:
    """The bundle of a managed key carries a log entry and a timestamp, which bound its time."""
    start = datetime.now(UTC).replace(microsecond=0)
    signed = signing.sign("witnessed")
    assert signed.certificate is None
    key = load_signer(signing.folder / "unit.key", None)
    envelope, material = read_bundle(signed.bundle), read_material(signed.bundle)
    assert envelope.payload == PAYLOAD
    assert envelope.hint == key.hint
    assert key.public.verifies(envelope.signature, pae(IN_TOTO, PAYLOAD))
    assert (len(material.entries), len(material.timestamps), material.certificate) == (1, 1, None)
    assert signed.times == signing.trust().times(signed.bundle)
    assert start <= signed.times[0] <= datetime.now(UTC) + timedelta(seconds=1)


@pytest.mark.parametrize("algorithm", ["ecdsa-p384", "rsa-2048"])
def test_keys_of_other_algorithms_are_witnessed(algorithm: str, signing: Signing) -> None:
    """A Rekor v2 log takes P-384 with SHA-384 and RSA under the names that the algorithm registry gives them."""
    private, _ = key_pair(algorithm)
    key = load_signer(write(signing.folder / "other.key", private), None)
    signed = make_witnessed(key, signing.services(), Network(deadline=Deadline(60))).sign(PAYLOAD)
    assert len(signed.times) == 1


def test_an_ed25519_key_is_refused_by_rekor_v2_in_words(signing: Signing) -> None:
    """Pure Ed25519 has no digest that Rekor v2 could log: that is said before anything is asked."""
    generate("ed", signing.folder, "ed25519", None)
    key = load_signer(signing.folder / "ed.key", None)
    with pytest.raises(UsageError, match="ed25519") as caught:
        make_witnessed(key, signing.services(), Network(deadline=Deadline(60)))
    assert "ECDSA" in (caught.value.hint or "")


@pytest.mark.parametrize("how", BOTH)
def test_every_timestamp_authority_is_asked(how: How, signing: Signing, before: Callable[[str], FaultyService]) -> None:
    """With the selector ALL each operator's authority gives a timestamp, and all of them are in the bundle."""
    others = [before("tsa"), before("tsa")]

    def all_of_them(document: dict[str, Any]) -> None:
        config = document["signingConfig"]
        (first,) = config["tsaUrls"]
        config["tsaUrls"] += [{**first, "url": one.url, "operator": one.url} for one in others]
        config["tsaConfig"] = {"selector": "ALL"}

    services = signing.services(all_of_them)
    assert len(services.timestamps) == 3
    assert list(services.names())[1:4] == [f"timestamp authority {number}" for number in (1, 2, 3)]
    signed = signing.sign(how, services=services)
    assert len(read_material(signed.bundle).timestamps) == 3
    assert [len(one.asked) for one in others] == [1, 1]


def test_a_token_of_a_clock_that_is_ahead_is_waited_for(signing: Signing) -> None:
    """A token that begins a second from now, by a clock that is a little ahead, is used when it has begun."""
    soon = int(datetime.now(UTC).timestamp()) + 2
    assert signing.sign(nbf=soon, iat=soon).certificate is not None


def test_a_token_is_not_waited_for_beyond_the_deadline(signing: Signing) -> None:
    """Waiting for a token to begin ends with the command's time."""
    soon = int(datetime.now(UTC).timestamp()) + 50
    with pytest.raises(TokenUnusable):
        signing.sign(seconds=0.5, nbf=soon)


# ---- Rekor v1


@pytest.fixture
def rekor_v1(signing: Signing) -> Iterator[tuple[RekorV1, Signing, Callable[[dict[str, Any]], None]]]:
    """A Rekor v1 in place of the real log, what signs with it, and the change that names it in a configuration."""
    with RekorV1().running() as rekor:

        def name_it(document: dict[str, Any]) -> None:
            (log,) = document["signingConfig"]["rekorTlogUrls"]
            document["signingConfig"]["rekorTlogUrls"] = [{**log, "url": rekor.url, "majorApiVersion": 1}]
            document["signingConfig"].update(tsaUrls=[])
            document["trustedRoot"]["tlogs"] = [rekor.described()]

        yield rekor, signing, name_it


@pytest.mark.parametrize("how", BOTH)
def test_rekor_v1_logs_it_and_tells_the_time(
    how: How, rekor_v1: tuple[RekorV1, Signing, Callable[[dict[str, Any]], None]]
) -> None:
    """A Rekor v1 gets an entry of type dsse; without any timestamp authority its promise says when it was."""
    rekor, signing, name_it = rekor_v1
    services = signing.services(name_it)
    assert (services.log_version, services.timestamps) == (LogVersion.REKOR_V1, ())
    signed = signing.sign(how, services=services)
    (entry,) = read_material(signed.bundle).entries
    assert (entry.kind, entry.body) == ("dsse", rekor.entries[0])
    assert signed.times == (entry.integrated,)
    trust = SigstoreTrust(services.trusted_root)
    assert (trust.certify(signed.bundle).times if how == "keyless" else trust.times(signed.bundle)) == signed.times


def test_rekor_v1_takes_an_ed25519_key(
    rekor_v1: tuple[RekorV1, Signing, Callable[[dict[str, Any]], None]],
) -> None:
    """An entry of type dsse verifies the message itself, so a pure Ed25519 key can be witnessed there."""
    _, signing, name_it = rekor_v1
    generate("ed", signing.folder, "ed25519", None)
    key = load_signer(signing.folder / "ed.key", None)
    signed = make_witnessed(key, signing.services(name_it), Network(deadline=Deadline(60))).sign(PAYLOAD)
    assert len(signed.times) == 1


@pytest.mark.parametrize("how", BOTH)
@pytest.mark.parametrize("changes", [{"integratedTime": 1}, {"logIndex": 5}, {"logID": 64 * "0"}, {"body": "e30="}])
def test_a_changed_answer_of_rekor_v1_is_refused(
    changes: Mapping[str, Any],
    how: How,
    rekor_v1: tuple[RekorV1, Signing, Callable[[dict[str, Any]], None]],
) -> None:
    """A promise that is not for this entry, time or log is no promise: nothing is handed out, and the log is named."""
    rekor, signing, name_it = rekor_v1
    rekor.changes = changes
    with pytest.raises(ServiceFailed, match=f"log at {rekor.url}"):
        signing.sign(how, services=signing.services(name_it))


@pytest.mark.parametrize("how", BOTH)
@pytest.mark.parametrize(
    "changes",
    [{"origin": "other.example.org - 77"}, {"size": 3}, {"now": datetime(2001, 1, 1, tzinfo=UTC)}],
    ids=["origin", "size", "clock"],
)
def test_a_log_that_signs_what_is_wrong_is_refused(
    changes: dict[str, Any],
    how: How,
    rekor_v1: tuple[RekorV1, Signing, Callable[[dict[str, Any]], None]],
) -> None:
    """A checkpoint of another origin or another tree, or a time at which the log was not to be believed, is refused.

    The log itself made and signed all of it.
    """
    rekor, signing, name_it = rekor_v1
    for name, value in changes.items():
        setattr(rekor, name, value)
    with pytest.raises(ServiceFailed, match=f"log at {rekor.url}"):
        signing.sign(how, services=signing.services(name_it))


def test_the_newest_version_of_an_operator_is_used(
    rekor_v1: tuple[RekorV1, Signing, Callable[[dict[str, Any]], None]],
) -> None:
    """Of two logs of one operator the one with the newer protocol is asked, as the specification says."""
    rekor, signing, _ = rekor_v1

    def both(document: dict[str, Any]) -> None:
        (log,) = document["signingConfig"]["rekorTlogUrls"]
        document["signingConfig"]["rekorTlogUrls"] += [{**log, "url": rekor.url, "majorApiVersion": 1}]

    services = signing.services(both)
    assert (services.log_version, services.log.url) == (LogVersion.REKOR_V2, signing.sigstore.rekor_url)
