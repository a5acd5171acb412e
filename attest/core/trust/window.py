"""Which authorities and logs of a trusted root may be asked about a signature that was seen at known times.

A trusted root keeps what has been retired, each with the time during which it was to be believed, and a retired key
may since have come into other hands. Source: sigstore `protobuf-specs`, `sigstore_trustroot.proto` (`valid_for`: both
ends belong to it; clients check it and the validity of every certificate of the chain) and `sigstore_common.proto`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from attest.core.certificate import NotCertified, Uncertified
from attest.core.statement import format_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of time with both its ends; None is no bound."""

    start: datetime | None = None
    end: datetime | None = None

    def holds(self, moment: datetime) -> bool:
        """Whether the moment lies in it."""
        return (self.start is None or self.start <= moment) and (self.end is None or moment <= self.end)

    def __str__(self) -> str:
        parts = [f"{word} {format_time(bound)}" for word, bound in (("from", self.start), ("until", self.end)) if bound]
        return " ".join(parts) or "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate or timestamp authority: to be believed while its own window and all of its chain's hold."""

    name: str
    window: Window
    chain: tuple[Window, ...]
    """The validity of each of its certificates."""

    def holds(self, moment: datetime) -> bool:
        """Whether it was to be believed at the moment."""
        return self.window.holds(moment) and all(window.holds(moment) for window in self.chain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A transparency log, under each of the ids by which an entry or a timestamp may name it."""

    name: str
    ids: frozenset[bytes]
    window: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What of a trusted root may be asked, as positions in its lists."""

    authorities: tuple[int, ...]
    logs: tuple[int, ...]
    ct_logs: tuple[int, ...]


def select(
    *,
    authorities: Sequence[Authority],
    logs: Sequence[Log],
    ct_logs: Sequence[Log],
    log_id: bytes,
    ct_log_id: bytes,
    times: Iterable[datetime],
) -> Selection:
    """The authorities that were valid at each of the times, and of the logs only the two that are named.

    Raises:
        NotCertified: `root-window`: no authority was valid then, or the log was not; `log-unknown` and `sct-invalid`:
            the transparency log or the certificate transparency log is none of this root's.
    """
    moments = sorted(times)
    valid = tuple(i for i, one in enumerate(authorities) if all(one.holds(moment) for moment in moments))
    if not valid:
        raise NotCertified(
            Uncertified.ROOT_WINDOW, f"no certificate authority of the trusted root was valid at {_shown(moments)}"
        )
    return Selection(
        authorities=valid,
        logs=_named(logs, log_id, moments, "transparency log", Uncertified.LOG_UNKNOWN),
        ct_logs=_named(ct_logs, ct_log_id, moments, "certificate transparency log", Uncertified.SCT_INVALID),
    )


def _named(
    logs: Sequence[Log], named: bytes, moments: Sequence[datetime], kind: str, unknown: Uncertified
) -> tuple[int, ...]:
    known = [i for i, log in enumerate(logs) if named in log.ids]
    if not known:
        raise NotCertified(unknown, f"the {kind} {named.hex()[:16]}... is none of the trusted root's")
    valid = tuple(i for i in known if all(logs[i].window.holds(moment) for moment in moments))
    if not valid:
        windows = ", ".join(f"{logs[i].name} {logs[i].window}" for i in known)
        raise NotCertified(
            Uncertified.ROOT_WINDOW, f"the {kind} was not valid at {_shown(moments)}: the trusted root has {windows}"
        )
    return valid


def _shown(moments: Sequence[datetime]) -> str:
    return ", ".join(format_time(moment) for moment in moments)
