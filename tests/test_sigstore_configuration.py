"""Where the services come from: a file, whose faults are told as its own, or a TUF repository."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from attest.adapters.deadline import Deadline
from attest.adapters.sigstore.configuration import public_good, read_services
from attest.adapters.sigstore.exchange import Network
from attest.adapters.sigstore.trust import SigstoreTrust
from attest.errors import DocumentInvalid, ServiceFailed
from tests import faulty_service as faulty
from tests.faulty_service import FaultyService
from tests.parts.process import LOOPBACK, free_port
from tests.parts.sigstore import PrivateSigstore
from tests.sigstore_scene import Signing
from tests.test_sigstore_roots import Repository

pytestmark = pytest.mark.parts


@pytest.fixture
def signing(private_sigstore: PrivateSigstore, tmp_path: Path) -> Signing:
    """With everything as it should be."""
    return Signing(sigstore=private_sigstore, folder=tmp_path)


# ---- configurations that cannot be used


def _config(change: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    return lambda document: change(document["signingConfig"])


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        inner: Any = document
        *parents, last = path.split(".")
        for name in parents:
            inner = inner[int(name) if name.isdigit() else name]
        inner[last] = value

    return change


def _twice(document: dict[str, Any]) -> None:
    config = document["signingConfig"]
    config["rekorTlogUrls"] = [{**config["rekorTlogUrls"][0], "operator": name} for name in "ab"]
    config["rekorTlogConfig"] = {"selector": "ALL"}


PAST = {"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"}
LATER = {"start": "2999-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("mediaType", "x"), "mediaType"),
        (_set("trustedRoot", {}), "trustedRoot"),
        (_set("unknown", 1), "unknown"),
        (lambda document: document.pop("trustedRoot"), "no trustedRoot"),
        (lambda document: document.pop("signingConfig"), "no signingConfig|or no signingConfig"),
        (_set("signingConfig.mediaType", "application/vnd.dev.sigstore.signingconfig.v0.1+json"), "signing config"),
        (_set("signingConfig.caUrls", []), "No valid Fulcio"),
        (_set("signingConfig.caUrls.0.validFor", PAST), "No valid Fulcio"),
        (_set("signingConfig.caUrls.0.validFor", LATER), "No valid Fulcio"),
        (_set("signingConfig.caUrls.0.majorApiVersion", 7), "No valid Fulcio"),
        (_set("signingConfig.rekorTlogUrls", []), "No valid Rekor"),
        (_set("signingConfig.rekorTlogUrls.0.validFor", PAST), "No valid Rekor"),
        (_set("signingConfig.tsaUrls", []), "tells no time"),
        (_set("signingConfig.tsaUrls.0.validFor", PAST), "none of its timestamp authorities is in its time"),
        (_set("signingConfig.tsaConfig", {"selector": "EXACT", "count": 2}), "Expected 2"),
        (_twice, "entries in 2 logs"),
        (_set("signingConfig.caUrls.0.url", "http://fulcio.example.org"), "certificate authority is neither https"),
        (_set("signingConfig.rekorTlogUrls.0.url", "http://rekor.example.org"), "log is neither https"),
        (_set("signingConfig.tsaUrls.0.url", "ftp://127.0.0.1"), "timestamp authority is neither https"),
        (_set("signingConfig.caUrls.0.url", 5), "caUrls"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_an_error_of_the_file(
    change: Callable[[dict[str, Any]], None], words: str, signing: Signing
) -> None:
    """What is malformed, out of its time, unsafe or of no use is told with the file's name; nothing is asked."""
    with pytest.raises(DocumentInvalid, match=words) as caught:
        signing.services(change)
    assert (caught.value.file, caught.value.exit_code) == ("trust.json", 2)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b"\xff", b'{"a":1,"a":2}', b"[" * 100])
def test_what_is_no_configuration_is_an_error_of_the_file(content: bytes) -> None:
    """Bytes that are no JSON object, or two at once, are refused by name."""
    with pytest.raises(DocumentInvalid, match=r"^trust\.json: "):
        read_services(content, file="trust.json")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_set("trustedRoot.ctlogs.0.publicKey.validFor", PAST), "certificate transparency log"),
        (_set("trustedRoot.tlogs.0.publicKey.validFor", PAST), "no log"),
        (_set("trustedRoot.tlogs", []), "transparency log|tlogs"),
        (_set("trustedRoot.certificateAuthorities", []), "certificate authority"),
    ],
)
def test_a_trusted_root_out_of_its_time_is_an_error_of_the_file(
    change: Callable[[dict[str, Any]], None], words: str, signing: Signing
) -> None:
    """A trusted root that no signature of this moment could verify under is told as the file's fault."""
    with pytest.raises(DocumentInvalid, match=words) as caught:
        signing.sign(services=signing.services(change))
    assert caught.value.file == "trust.json"


# ---- by way of TUF


def published(repository: Repository) -> faulty.Answer:
    """Serves the files of a TUF repository."""

    def answer(handler: faulty.Handler, asked: faulty.Asked) -> None:
        content = repository.files.get(asked.target.lstrip("/"))
        handler.send(404 if content is None else 200, content or b"")

    return answer


def test_the_services_come_from_a_tuf_repository(signing: Signing, tmp_path: Path) -> None:
    """Without a file the repository's trusted root and signing configuration name the services, and these sign."""
    repository = Repository()
    repository.publish(
        trusted_root=signing.sigstore.trusted_root.read_bytes(),
        expires=timedelta(days=1),
        **{"signing_config.v0.2": signing.sigstore.signing_config.read_bytes()},
    )
    network = Network(deadline=Deadline(60))
    with FaultyService(answer=published(repository)).running() as service:
        services = public_good(tmp_path / "cache", network, url=service.url, bootstrap=repository.bootstrap)
    assert services.names() == signing.services().names()
    assert services.file == service.url
    certified = SigstoreTrust(services.trusted_root).certify(signing.sign(services=services).bundle)
    assert certified.certificate.issuer == signing.sigstore.issuer


@pytest.mark.parametrize("spoiled", [b"{", b'{"a":1,"a":2}', b"{}"])
def test_what_is_published_may_be_of_no_use(spoiled: bytes, signing: Signing, tmp_path: Path) -> None:
    """A repository that vouches for what is no configuration is named as the place of the fault."""
    repository = Repository()
    root = signing.sigstore.trusted_root.read_bytes()
    repository.publish(trusted_root=root, expires=timedelta(days=1), **{"signing_config.v0.2": spoiled})
    with FaultyService(answer=published(repository)).running() as service, pytest.raises(DocumentInvalid) as caught:
        public_good(tmp_path, Network(deadline=Deadline(60)), url=service.url, bootstrap=repository.bootstrap)
    assert caught.value.file == service.url
    assert caught.value.hint is None


def test_a_repository_that_is_down_is_3(tmp_path: Path) -> None:
    """Where nobody listens and nothing is kept, the services are not known."""
    url = f"http://{LOOPBACK}:{free_port()}"
    with pytest.raises(ServiceFailed, match=url) as caught:
        public_good(tmp_path, Network(deadline=Deadline(60)), url=url, bootstrap=Repository().bootstrap)
    assert "--trust-config" in (caught.value.hint or "")
