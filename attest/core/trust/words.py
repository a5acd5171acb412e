"""A trusted root or signing configuration in words, and as data: what `attest trust show` says of it.

The warnings are for people who rotate keys: whose time is over or has not come, where two are believed for one
service, and where nobody is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import combinations
from typing import TYPE_CHECKING

from attest.core.strictjson import Json
from attest.core.trust.answers import AnswerInvalid, check_certificate_chain, check_timestamp_chain
from attest.core.trust.document import TRUST_CONFIG, TRUSTED_ROOT, TrustDocument, write_time
from attest.core.trust.root import (
    Authority,
    Log,
    Selector,
    Service,
    SigningConfig,
    TrustedRoot,
    certificate_fingerprint,
    key_of,
    log_ids,
    origin_of,
)
from attest.core.trust.window import Window

if TYPE_CHECKING:  # loaded where a certificate is read, as in attest.core.certificate
    from cryptography import x509

SCHEMA = "attest.trust/v1"

_SOON = timedelta(days=30)
"""How long before a chain's end somebody should know."""

_NONE = (("none",),)


class Concern(StrEnum):
    """What a warning is about. Stable."""

    ENDED = "ended"
    BEGINS_LATER = "begins-later"
    OVERLAP = "overlap"
    GAP = "gap"
    NONE_NOW = "none-now"
    CHAIN_INVALID = "chain-invalid"
    CHAIN_ENDS = "chain-ends"
    FOREIGN_LOG_ID = "foreign-log-id"
    NO_TIME_SOURCE = "no-time-source"
    SERVICE_UNKNOWN = "service-unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something that somebody should look at."""

    concern: Concern
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What there is of one kind."""

    title: str
    entries: tuple[tuple[str, ...], ...]
    """Of each its lines: a sentence, and what belongs to it. Names and addresses are as the document has them."""


def explain(document: TrustDocument, now: datetime) -> tuple[Part, ...]:
    """Who is believed and asked, from when to when, with fingerprints."""
    parts: list[Part] = []
    if document.root is not None:
        for kind, members in _believed(document.root):
            parts.append(Part(title=kind, entries=tuple(_entry(one, now) for one in members) or _NONE))
    if document.signing is not None:
        for kind, services, selector in _asked(document.signing):
            entries = tuple((_service_line(service, now),) for service in services)
            parts.append(Part(title=f"signers ask: {kind}", entries=(*entries, *_selector(selector)) or _NONE))
    return tuple(parts)


def warnings(document: TrustDocument, now: datetime) -> tuple[Warned, ...]:
    """What somebody who rotates keys should look at, at this time."""
    found: list[Warned] = []
    if document.root is not None:
        for kind, members in _believed(document.root):
            found += _of_windows(kind, members, now)
        found += _of_chains(document.root, now)
        found += _of_logs(document.root)
        if not document.root.timestamp_authorities:
            text = "no timestamp authority: only the promises of a Rekor v1 log say when something was signed"
            found.append(Warned(concern=Concern.NO_TIME_SOURCE, text=text))
    if document.signing is not None:
        for kind, services, _ in _asked(document.signing):
            found += _of_services(kind, services, now)
        if document.root is not None:
            found += _of_both(document.root, document.signing)
    return tuple(found)


def describe(document: TrustDocument, now: datetime) -> dict[str, Json]:
    """The same as data, for `--format json`."""
    described: dict[str, Json] = {"schema": SCHEMA, "kind": kind_of(document)}
    if (root := document.root) is not None:
        described["trusted_root"] = {
            "certificate_authorities": [_authority_data(one) for one in root.certificate_authorities],
            "transparency_logs": [_log_data(log) for log in root.logs],
            "certificate_transparency_logs": [_log_data(log) for log in root.ct_logs],
            "timestamp_authorities": [_authority_data(one) for one in root.timestamp_authorities],
        }
    if (signing := document.signing) is not None:
        described["signing_config"] = {
            kind.replace(" ", "_"): {
                "services": [_service_data(service) for service in services],
                "selector": None if selector is None else selector.selector,
                "count": None if selector is None else selector.count,
            }
            for kind, services, selector in _asked(signing)
        }
    described["warnings"] = [{"code": str(one.concern), "message": one.text} for one in warnings(document, now)]
    return described


def kind_of(document: TrustDocument) -> str:
    """What the document is called."""
    if document.media_type == TRUSTED_ROOT:
        return "trusted root"
    return "client trust configuration" if document.media_type == TRUST_CONFIG else "signing configuration"


Believed = Authority | Log


def _believed(root: TrustedRoot) -> tuple[tuple[str, Sequence[Believed]], ...]:
    return (
        ("certificate authorities", root.certificate_authorities),
        ("transparency logs", root.logs),
        ("certificate transparency logs", root.ct_logs),
        ("timestamp authorities", root.timestamp_authorities),
    )


def _asked(signing: SigningConfig) -> tuple[tuple[str, Sequence[Service], Selector | None], ...]:
    return (
        ("certificate authorities", signing.certificate_authorities, None),
        ("identity providers", signing.issuers, None),
        ("transparency logs", signing.logs, signing.log_selector),
        ("timestamp authorities", signing.timestamp_authorities, signing.timestamp_selector),
    )


# ---- words


def _entry(one: Believed, now: datetime) -> tuple[str, ...]:
    operator = f" of {one.operator}" if one.operator else ""
    first = f"{_address(one)}{operator}, {_during(one.window, now)}"
    if isinstance(one, Log):
        return first, f"key {one.fingerprint} ({one.details})", f"log id {one.log_id.hex()}"
    return first, *(line for certificate in one.chain for line in _certificate_lines(certificate))


def _certificate_lines(certificate: x509.Certificate) -> tuple[str, str]:
    window = _validity(certificate)
    name = certificate.subject.rfc4514_string() or "a certificate without a name"
    return f"{name}, {_day(window.start)} to {_day(window.end)}", f"  {certificate_fingerprint(certificate)}"


def _service_line(service: Service, now: datetime) -> str:
    return f"{service.url} of {service.operator}, API version {service.version}, {_during(service.window, now)}"


def _selector(selector: Selector | None) -> tuple[tuple[str], ...]:
    match selector:
        case None:
            return ()
        case Selector(selector="ANY"):
            return (("one of them",),)
        case Selector(selector="ALL"):
            return (("all of them",),)
        case _:
            return ((f"{selector.count} of them",),)


def _during(window: Window, now: datetime) -> str:
    match window:
        case Window(start=None, end=None):
            return "always"
        case Window(start=start, end=None):
            return f"from {_moment(start)} on{_state(window, now)}"
        case _:
            return f"from {_moment(window.start)} until {_moment(window.end)}{_state(window, now)}"


def _state(window: Window, now: datetime) -> str:
    if window.holds(now):
        return ""
    return " (ended)" if window.end is not None and window.end < now else " (not yet)"


def _address(one: Believed) -> str:
    if one.url:
        return one.url
    if isinstance(one, Log):
        return "a log without an address"
    return " ".join(part for part in (one.organization, one.common_name) if part) or "an authority without a name"


def _moment(moment: datetime | None) -> str:
    return write_time(None if moment is None else moment.replace(microsecond=0)) or "ever"


def _day(moment: datetime | None) -> str:
    return _moment(moment)[:10]


def _validity(certificate: x509.Certificate) -> Window:
    return Window(start=certificate.not_valid_before_utc, end=certificate.not_valid_after_utc)


# ---- warnings


def _of_windows(kind: str, members: Sequence[Believed], now: datetime) -> Iterator[Warned]:
    for one in members:
        yield from _of_window(f"{_address(one)} ({kind})", one.window, now)
    yield from _overlaps(kind, members)
    yield from _gaps(kind, [one.window for one in members])
    if not any(one.window.holds(now) for one in members) and (members or kind != "timestamp authorities"):
        yield Warned(
            concern=Concern.NONE_NOW, text=f"none of the {kind} is believed now: what is signed now is refused"
        )


def _of_services(kind: str, services: Sequence[Service], now: datetime) -> Iterator[Warned]:
    for service in services:
        yield from _of_window(f"signers ask {service.url} ({kind}), which", service.window, now)
    needed = kind in {"certificate authorities", "transparency logs"}
    if not any(service.window.holds(now) for service in services) and (services or needed):
        yield Warned(concern=Concern.NONE_NOW, text=f"none of the {kind} that signers ask is valid now")


def _of_window(who: str, window: Window, now: datetime) -> Iterator[Warned]:
    if window.end is not None and window.end < now:
        yield Warned(concern=Concern.ENDED, text=f"{who} ended {_moment(window.end)}")
    if window.start is not None and now < window.start:
        yield Warned(concern=Concern.BEGINS_LATER, text=f"{who} begins {_moment(window.start)}")


def _overlaps(kind: str, members: Sequence[Believed]) -> Iterator[Warned]:
    for one, other in combinations(members, 2):
        both = _intersection(one.window, other.window)
        if one.url == other.url and both is not None:
            text = f"two entries of {_address(one)} ({kind}) are believed at the same time, {both}"
            yield Warned(concern=Concern.OVERLAP, text=text)


def _intersection(one: Window, other: Window) -> str | None:
    """When both hold, in words; None where they never do, or only for the moment in which one follows the other."""
    starts = [start for start in (one.start, other.start) if start is not None]
    ends = [end for end in (one.end, other.end) if end is not None]
    if starts and ends and max(starts) >= min(ends):
        return None
    begin = f"from {_moment(max(starts))} " if starts else ""
    return f"{begin}{f'until {_moment(min(ends))}' if ends else 'on'}"


def _gaps(kind: str, windows: Iterable[Window]) -> Iterator[Warned]:
    covered: datetime | None = None
    for window in sorted(windows, key=_start):
        if covered is not None and window.start is not None and window.start > covered:
            text = f"between {_moment(covered)} and {_moment(window.start)} none of the {kind} is believed"
            yield Warned(concern=Concern.GAP, text=text)
        if window.end is None:
            return
        covered = window.end if covered is None else max(covered, window.end)


def _start(window: Window) -> tuple[bool, float]:
    return window.start is not None, 0.0 if window.start is None else window.start.timestamp()


def _of_chains(root: TrustedRoot, now: datetime) -> Iterator[Warned]:
    checks: tuple[tuple[Sequence[Authority], Callable[..., None]], ...] = (
        (root.certificate_authorities, check_certificate_chain),
        (root.timestamp_authorities, check_timestamp_chain),
    )
    for authorities, check in checks:
        for one in authorities:
            ends = min(certificate.not_valid_after_utc for certificate in one.chain)
            try:
                check(one.chain, min(ends, max(certificate.not_valid_before_utc for certificate in one.chain)))
            except AnswerInvalid as error:
                yield Warned(concern=Concern.CHAIN_INVALID, text=f"the chain of {_address(one)}: {error}")
            if one.window.holds(now) and ends < now + _SOON:
                verb = "ended" if ends < now else "ends"
                text = f"the chain of {_address(one)} {verb} {_moment(ends)}, before its window does"
                if one.window.end is None or one.window.end > ends:
                    yield Warned(concern=Concern.CHAIN_ENDS, text=text)


def _of_logs(root: TrustedRoot) -> Iterator[Warned]:
    for log in root.logs:
        if log.log_id not in log_ids(key_of(log.key), origin_of(log.url)):
            text = f"the id of {_address(log)} is neither that of its key nor that of its key under its host name"
            yield Warned(concern=Concern.FOREIGN_LOG_ID, text=text)
    for log in root.ct_logs:
        if log.log_id != log_ids(key_of(log.key), "")[0]:
            text = f"the id of {_address(log)} (certificate transparency) is not that of its key"
            yield Warned(concern=Concern.FOREIGN_LOG_ID, text=text)


def _of_both(root: TrustedRoot, signing: SigningConfig) -> Iterator[Warned]:
    pairs: tuple[tuple[Sequence[Service], Sequence[Believed]], ...] = (
        (signing.certificate_authorities, root.certificate_authorities),
        (signing.logs, root.logs),
        (signing.timestamp_authorities, root.timestamp_authorities),
    )
    for services, members in pairs:
        known = {one.url.rstrip("/") for one in members}
        for service in services:
            if service.url.rstrip("/") not in known:
                text = f"signers ask {service.url}, which the trusted root does not name"
                yield Warned(concern=Concern.SERVICE_UNKNOWN, text=text)


# ---- data


def _authority_data(authority: Authority) -> dict[str, Json]:
    chain = [
        {
            "subject": certificate.subject.rfc4514_string(),
            "fingerprint": certificate_fingerprint(certificate),
            **_window_data(_validity(certificate)),
        }
        for certificate in authority.chain
    ]
    return {"url": authority.url, "operator": authority.operator, **_window_data(authority.window), "chain": chain}


def _log_data(log: Log) -> dict[str, Json]:
    return {
        "url": log.url,
        "operator": log.operator,
        **_window_data(log.window),
        "key": log.fingerprint,
        "algorithm": log.details,
        "log_id": log.log_id.hex(),
    }


def _service_data(service: Service) -> dict[str, Json]:
    window = _window_data(service.window)
    return {"url": service.url, "operator": service.operator, "version": service.version, **window}


def _window_data(window: Window) -> dict[str, Json]:
    return {"from": write_time(window.start), "until": write_time(window.end)}
