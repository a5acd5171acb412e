"""Putting a trusted root and a signing configuration together from what running services say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from attest.core.keys import PublicKey
from attest.core.trust.answers import (
    AnswerInvalid,
    Chain,
    check_certificate_chain,
    check_timestamp_chain,
    read_chain,
    read_checkpoint,
    read_key,
    read_trust_bundle,
    same_key,
)
from attest.core.trust.root import (
    Authority,
    Selector,
    Service,
    SigningConfig,
    TrustedRoot,
    authority_of,
    log_ids,
    log_of,
    origin_of,
)
from attest.core.trust.window import Window
from attest.errors import ServiceFailed, UsageError

_T = TypeVar("_T")
_TIMESTAMP = "/api/v1/timestamp"
_FOUND, _ABSENT, _UNIMPLEMENTED = 200, 404, 501


class AskService(Protocol):
    """Asks a running service."""

    def __call__(self, name: str, url: str, path: str, /) -> tuple[int, bytes]:
        """Status and body of what is at the path of the service `name` at `url`; the body of a 200 only.

        Raises:
            attest.errors.ServiceFailed: there is no answer, none in time, or not one that may be read.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The services, and the keys that none of them hands out."""

    fulcio: str
    rekor: str
    rekor_key: PublicKey | None
    tsa: str | None
    ctlog: str
    """The certificate transparency log's address, for the record: it is not asked."""
    ctlog_key: PublicKey | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """What the services said, as documents say it."""

    root: TrustedRoot
    signing: SigningConfig
    remarks: tuple[str, ...]
    """What was, or could not be, made sure of."""


def assemble(named: Named, *, ask: AskService, now: datetime, start: datetime, operator: str | None) -> Assembled:
    """Ask each service once; `start` is from when on they are believed.

    Raises:
        UsageError: the log hands out no key, and none is given.
        ServiceFailed: a service does not answer, or answers what it may not answer.
    """
    window = Window(start=start)
    who = operator or origin_of(named.fulcio)
    fulcio = named.fulcio.rstrip("/")
    chains = _certificate_chains(fulcio, ask, now)
    rekor = named.rekor.rstrip("/")
    key, version, remark = _log(rekor, named.rekor_key, ask)
    remarks = [remark]
    authorities: list[Authority] = []
    stamps: list[Service] = []
    if named.tsa is not None:
        tsa = named.tsa.rstrip("/").removesuffix(_TIMESTAMP) + _TIMESTAMP
        authorities.append(authority_of(tsa, _timestamp_chain(tsa, ask, now), window))
        stamps.append(Service(url=tsa, version=1, window=window, operator=who))
    elif version > 1:
        remarks.append("without --tsa nothing tells the time: a Rekor v2 log does not, so nothing will verify")
    if named.ctlog_key is None:
        remarks.append("without --ctlog-key no certificate's promise of transparency verifies, so nothing will")
    ct_key = named.ctlog_key
    root = TrustedRoot(
        certificate_authorities=tuple(authority_of(fulcio, chain, window) for chain in chains),
        logs=(log_of(rekor, key, log_ids(key, origin_of(rekor))[version > 1], window),),
        ct_logs=() if ct_key is None else (log_of(named.ctlog, ct_key, log_ids(ct_key, "")[0], window),),
        timestamp_authorities=tuple(authorities),
    )
    signing = SigningConfig(
        certificate_authorities=(Service(url=fulcio, version=1, window=window, operator=who),),
        issuers=(),
        logs=(Service(url=rekor, version=version, window=window, operator=who),),
        timestamp_authorities=tuple(stamps),
        log_selector=Selector(selector="ANY"),
        timestamp_selector=Selector(selector="ANY") if stamps else None,
    )
    return Assembled(root=root, signing=signing, remarks=tuple(remarks))


def _certificate_chains(url: str, ask: AskService, now: datetime) -> tuple[Chain, ...]:
    def read(body: bytes) -> tuple[Chain, ...]:
        chains = read_trust_bundle(body)
        for chain in chains:
            check_certificate_chain(chain, now)
        return chains

    return _read("Fulcio", url, "/api/v2/trustBundle", ask, read)


def _timestamp_chain(url: str, ask: AskService, now: datetime) -> Chain:
    def read(body: bytes) -> Chain:
        chain = read_chain(body)
        check_timestamp_chain(chain, now)
        return chain

    return _read("the timestamp authority", url, "/certchain", ask, read)


def _log(url: str, given: PublicKey | None, ask: AskService) -> tuple[PublicKey, int, str]:
    """The log's key, the version of its API, and what vouches for the key.

    Rekor v1 hands its key out. Rekor v2 does not: its key is known to whoever runs it, and is compared with the
    checkpoint where that is served (rekor-tiles leaves this to the server of its tiles).
    """
    status, body = ask("Rekor", url, "/api/v1/log/publicKey")
    if status == _FOUND:
        with_key = _parsed("Rekor", url, body, read_key)
        if given is not None and not same_key(with_key, given):
            raise ServiceFailed(f"Rekor at {url} has another key than --rekor-key")
        return with_key, 1, f"Rekor v1 at {url} handed out its key"
    if status != _ABSENT:
        raise ServiceFailed(f"Rekor at {url} answered {status} when it was asked for its key")
    status, body = ask("Rekor", url, "/api/v2/checkpoint")
    if status not in {_FOUND, _UNIMPLEMENTED}:
        raise ServiceFailed(f"what is at {url} is no Rekor: it knows neither a v1 log's key nor a v2 log's checkpoint")
    if given is None:
        hint = "--rekor-key FILE names it: the public half of its --signer-filepath, in PEM"
        raise UsageError(f"Rekor v2 at {url} does not hand out its key", hint=hint)
    if status == _UNIMPLEMENTED:
        return given, 2, f"Rekor v2 at {url} serves no checkpoint, so --rekor-key could not be compared with it"
    checkpoint = _parsed("Rekor", url, body, read_checkpoint)
    if checkpoint.origin != origin_of(url):
        raise ServiceFailed(
            f"Rekor at {url} signs its checkpoints as {checkpoint.origin}",
            hint=f"clients expect the host name of its address: start it with --hostname {origin_of(url)}",
        )
    if not checkpoint.signed_by(given):
        raise ServiceFailed(f"the checkpoint of Rekor at {url} does not verify under --rekor-key")
    return given, 2, f"the checkpoint of Rekor v2 at {url} verifies under --rekor-key"


def _read(name: str, url: str, path: str, ask: AskService, read: Callable[[bytes], _T]) -> _T:
    status, body = ask(name, url, path)
    if status != _FOUND:
        raise ServiceFailed(f"{name} at {url} answered {status} for {path}")
    return _parsed(name, url, body, read)


def _parsed(name: str, url: str, body: bytes, read: Callable[[bytes], _T]) -> _T:
    try:
        return read(body)
    except AnswerInvalid as error:
        raise ServiceFailed(f"{name} at {url} answered what it may not answer: {error}") from error
