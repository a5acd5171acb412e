"""Trusted roots and signing configurations in words, and what is warned of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from attest.core.trust.document import (
    SIGNING_CONFIG,
    TRUST_CONFIG,
    TRUSTED_ROOT,
    TrustDocument,
)
from attest.core.trust.root import Authority, Log, Selector, SigningConfig, TrustedRoot, authority_of
from attest.core.trust.window import Window
from attest.core.trust.words import Part, describe, explain, kind_of, warnings
from tests.core.make_trust import (
    DAY,
    NOW,
    OPEN,
    START,
    anonymous,
    authority,
    chain,
    ct_log,
    log,
    root,
    service,
    signing,
    stamper,
)


def document(trusted: TrustedRoot | None = None, signs: SigningConfig | None = None) -> TrustDocument:
    """A document of what is given."""
    kinds = {(True, False): TRUSTED_ROOT, (False, True): SIGNING_CONFIG, (True, True): TRUST_CONFIG}
    return TrustDocument(media_type=kinds[(trusted is not None, signs is not None)], root=trusted, signing=signs)


def joined(part: Part) -> tuple[str, ...]:
    """The entries of a part, the lines of each in one text."""
    return tuple("\n".join(lines) for lines in part.entries)


def concerns(trusted: TrustedRoot | None = None, signs: SigningConfig | None = None) -> list[str]:
    """What is warned of, in its order."""
    return [str(one.concern) for one in warnings(document(trusted, signs), NOW)]


def text_of(trusted: TrustedRoot | None = None, signs: SigningConfig | None = None) -> list[str]:
    """The texts of the warnings."""
    return [one.text for one in warnings(document(trusted, signs), NOW)]


def test_each_kind_has_a_name() -> None:
    """The three kinds of documents are told apart."""
    assert kind_of(document(root())) == "trusted root"
    assert kind_of(document(None, signing())) == "signing configuration"
    assert kind_of(document(root(), signing())) == "client trust configuration"


def test_a_root_in_words() -> None:
    """Each entry says who, from when to when, and the fingerprints."""
    ended = replace(
        log("https://old.example.org", Window(start=START, end=NOW - DAY), number=1), operator="example.org"
    )
    later = log("https://new.example.org", Window(start=NOW + DAY, end=NOW + 2 * DAY), number=2)
    parts = {part.title: joined(part) for part in explain(document(root(logs=(log(), ended, later))), NOW)}
    assert list(parts) == [
        "certificate authorities",
        "transparency logs",
        "certificate transparency logs",
        "timestamp authorities",
    ]
    (shown,) = parts["certificate authorities"]
    assert shown.startswith(
        "https://fulcio.example.org, from 2026-01-01T00:00:00Z on\nCN=test,O=tests, 2026-01-01 to 2035-12-30\n  sha256:"
    )
    assert shown.count("sha256:") == 2
    current, old, new = parts["transparency logs"]
    assert f"key {log().fingerprint} (PKIX_ED25519)\nlog id {log().log_id.hex()}" in current
    assert old.startswith(
        "https://old.example.org of example.org, from 2026-01-01T00:00:00Z until 2026-05-31T12:00:00Z (ended)\n"
    )
    assert new.startswith("https://new.example.org, from 2026-06-02T12:00:00Z until 2026-06-03T12:00:00Z (not yet)\n")


def test_what_is_not_there_is_said() -> None:
    """A root without timestamp authorities, and entries without addresses, names and bounds."""
    nameless = replace(authority(""), organization="", common_name="")
    bare = root(
        certificate_authorities=(authority(""), nameless),
        logs=(replace(log(""), window=Window()), log("", Window(end=NOW + DAY), number=1)),
        timestamp_authorities=(),
    )
    parts = {part.title: joined(part) for part in explain(document(bare), NOW)}
    assert parts["timestamp authorities"] == ("none",)
    assert [entry.split(",")[0] for entry in parts["certificate authorities"]] == [
        "tests test root",
        "an authority without a name",
    ]
    first, second = (entry.split("\n")[0] for entry in parts["transparency logs"])
    assert first == "a log without an address, always"
    assert second == "a log without an address, from ever until 2026-06-02T12:00:00Z"


def test_a_certificate_without_a_name() -> None:
    """A certificate with an empty subject is still shown, by its fingerprint."""
    nameless = authority_of("https://fulcio.example.org", (anonymous(),), OPEN)
    (part, *_) = explain(document(root(certificate_authorities=(nameless,))), NOW)
    assert "\na certificate without a name, 2026-01-01 to 2026-06-01\n" in joined(part)[0]


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        (None, ()),
        (Selector(selector="ANY"), ("one of them",)),
        (Selector(selector="ALL"), ("all of them",)),
        (Selector(selector="EXACT", count=2), ("2 of them",)),
    ],
)
def test_a_signing_configuration_in_words(selector: Selector | None, said: tuple[str, ...]) -> None:
    """Services are listed with their version, and how many of them are asked."""
    parts = {part.title: joined(part) for part in explain(document(None, signing(log_selector=selector)), NOW)}
    expected = "https://rekor.example.org of example.org, API version 2, from 2026-01-01T00:00:00Z on"
    assert parts["signers ask: transparency logs"] == (expected, *said)
    assert parts["signers ask: identity providers"] == ("none",)


def test_nothing_to_warn_of() -> None:
    """A configuration in which everything is valid and fits together raises no warning."""
    assert warnings(document(root(), signing()), NOW) == ()


def test_windows_that_ended_or_begin_later() -> None:
    """An entry whose time is over, or has not come, is named; so is a kind of which none is believed now."""
    ended = root(ct_logs=(ct_log(window=Window(start=START, end=NOW - DAY)),))
    assert concerns(ended) == ["ended", "none-now"]
    assert text_of(ended) == [
        "https://ct.example.org/2026 (certificate transparency logs) ended 2026-05-31T12:00:00Z",
        "none of the certificate transparency logs is believed now: what is signed now is refused",
    ]
    later = root(logs=(log(window=Window(start=NOW + DAY)),))
    assert concerns(later) == ["begins-later", "none-now"]
    assert text_of(later)[0] == "https://rekor.example.org (transparency logs) begins 2026-06-02T12:00:00Z"


def test_the_ends_belong_to_a_window() -> None:
    """At its first and at its last moment a window holds."""
    assert concerns(root(logs=(log(window=Window(start=NOW, end=NOW)),))) == []


def test_what_is_needed_and_not_there() -> None:
    """Without authorities and logs nothing verifies; without timestamps only a promise tells the time."""
    empty = root(certificate_authorities=(), logs=(), ct_logs=(), timestamp_authorities=())
    assert concerns(empty) == ["none-now", "none-now", "none-now", "no-time-source"]


def test_overlaps_of_one_service() -> None:
    """Two entries of one service at one time are named with that time; those of different services are not."""
    old, new = Window(start=START, end=NOW), Window(start=NOW - DAY)
    both = root(logs=(log(window=old), log(window=new, number=1)))
    assert text_of(both) == [
        "two entries of https://rekor.example.org (transparency logs) are believed at the same time, "
        "from 2026-05-31T12:00:00Z until 2026-06-01T12:00:00Z"
    ]
    assert concerns(root(logs=(log(window=old), log("https://second.example.org", new, number=1)))) == []
    apart = root(logs=(log(window=old), log(window=Window(start=NOW), number=1)))
    assert concerns(apart) == []


def test_overlaps_without_bounds() -> None:
    """An overlap that has no beginning, or no end, is told as such."""
    always = root(logs=(log(window=Window()), log(window=Window(), number=1)))
    assert text_of(always)[0].endswith("at the same time, on")
    bounded = root(logs=(log(window=Window(end=NOW)), log(window=Window(end=NOW + DAY), number=1)))
    assert text_of(bounded)[0].endswith("at the same time, until 2026-06-01T12:00:00Z")
    both = root(logs=(log(window=OPEN), log(window=OPEN, number=1)))
    assert text_of(both)[0].endswith("at the same time, from 2026-01-01T00:00:00Z on")


def test_gaps() -> None:
    """A time in which none of a kind is believed is named, whatever the order of the entries."""
    early = log(window=Window(start=START, end=START + DAY))
    middle = log(window=Window(start=START, end=START + 2 * DAY), number=1)
    late = log(window=Window(start=START + 3 * DAY), number=2)
    gapped = root(logs=(late, middle, early))
    assert [one for one in concerns(gapped) if one != "ended"] == ["overlap", "gap"]
    assert text_of(gapped)[-1] == (
        "between 2026-01-03T00:00:00Z and 2026-01-04T00:00:00Z none of the transparency logs is believed"
    )
    unbounded = log(window=Window(end=START), number=3)
    assert "gap" not in concerns(root(logs=(unbounded, middle, replace(late, window=Window(start=START + DAY)))))


def test_chains_that_do_not_fit() -> None:
    """A chain that is broken, or of the wrong kind, is named with what is wrong."""
    broken = authority_of("https://fulcio.example.org", (chain()[0], chain("other")[1]), OPEN)
    assert concerns(root(certificate_authorities=(broken,))) == ["chain-invalid"]
    wrong = authority_of("https://tsa.example.org", chain(), OPEN)
    (said,) = text_of(root(timestamp_authorities=(wrong,)))
    assert said.startswith("the chain of https://tsa.example.org: the certificate CN=test,O=tests")


def test_certificates_that_never_hold_together() -> None:
    """A chain whose certificates have no time in common is named."""
    never = (chain("early", end=START + DAY)[0], chain("late", start=NOW)[1])
    assert "chain-invalid" in concerns(root(certificate_authorities=(authority_of("https://f", never, OPEN),)))


@pytest.mark.parametrize(
    ("end", "window", "expected"),
    [
        (NOW + timedelta(days=29), OPEN, "the chain of https://fulcio.example.org ends 2026-06-30T12:00:00Z, "),
        (NOW - DAY, OPEN, "the chain of https://fulcio.example.org ended 2026-05-31T12:00:00Z, "),
        (NOW + timedelta(days=31), OPEN, None),
        (NOW + DAY, Window(start=START, end=NOW + DAY), None),
        (NOW + DAY, Window(start=START, end=NOW + 2 * DAY), "the chain of https://fulcio.example.org ends "),
    ],
)
def test_chains_that_end_soon(end: object, window: Window, expected: str | None) -> None:
    """A chain that ends within thirty days, or has, before its window does is named in time."""
    from datetime import datetime

    assert isinstance(end, datetime)
    ending = authority_of("https://fulcio.example.org", chain("ending", end=end), window)
    said = text_of(root(certificate_authorities=(ending,)))
    assert [one.startswith(expected) for one in said] == [True] if expected else said == []


def test_an_old_window_may_outlive_its_chain() -> None:
    """Of what has ended nobody has to renew anything."""
    old = authority_of(
        "https://fulcio.example.org", chain("old", end=START + DAY), Window(start=START, end=START + 2 * DAY)
    )
    assert concerns(root(certificate_authorities=(old, authority("https://new.example.org")))) == ["ended"]


def test_ids_that_are_not_the_logs() -> None:
    """A log id that belongs to another key or origin is named, for both kinds of logs."""
    foreign = replace(log(), log_id=b"x" * 32)
    rfc6962 = replace(ct_log(), log_id=b"x" * 32)
    assert concerns(root(logs=(foreign,), ct_logs=(rfc6962,))) == ["foreign-log-id", "foreign-log-id"]


def test_services_that_signers_ask() -> None:
    """Services whose time is over or to come, none at all, and those whom the root does not know are named."""
    over = signing(logs=(service("https://rekor.example.org", 2, Window(start=START, end=NOW - DAY)),))
    assert concerns(root(), over) == ["ended", "none-now"]
    assert concerns(None, signing(logs=())) == ["none-now"]
    assert concerns(None, signing(timestamp_authorities=())) == []
    unknown = signing(logs=(service("https://other.example.org/", 2),))
    assert text_of(root(), unknown) == ["signers ask https://other.example.org/, which the trusted root does not name"]
    assert concerns(root(), signing(logs=(service("https://rekor.example.org/", 2),))) == []


def test_as_data() -> None:
    """The same as data, with the warnings and their codes."""
    ended: Log = log(window=Window(start=START, end=NOW - DAY))
    stamp: Authority = stamper()
    selector = Selector(selector="EXACT", count=1)
    data = describe(document(root(logs=(ended,)), signing(log_selector=selector)), NOW)
    assert data["schema"] == "attest.trust/v1"
    assert data["kind"] == "client trust configuration"
    trusted = data["trusted_root"]
    assert trusted["transparency_logs"] == [
        {
            "url": "https://rekor.example.org",
            "operator": None,
            "from": "2026-01-01T00:00:00Z",
            "until": "2026-05-31T12:00:00Z",
            "key": ended.fingerprint,
            "algorithm": "PKIX_ED25519",
            "log_id": ended.log_id.hex(),
        }
    ]
    (authority_data,) = trusted["timestamp_authorities"]
    assert (authority_data["url"], authority_data["until"]) == (stamp.url, None)
    assert [one["subject"] for one in authority_data["chain"]] == ["CN=tsa,O=tests", "CN=tsa root,O=tests"]
    asked = data["signing_config"]
    assert asked["transparency_logs"]["selector"] == "EXACT"
    assert asked["timestamp_authorities"]["services"][0]["version"] == 1
    assert [one["code"] for one in data["warnings"]] == ["ended", "none-now"]


def test_data_of_one_part() -> None:
    """A document that is only one of the two has no data of the other."""
    assert "signing_config" not in describe(document(root()), NOW)
    assert "trusted_root" not in describe(document(None, signing()), NOW)
