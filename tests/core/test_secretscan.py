"""Secrets are found by form and randomness; examples, placeholders, paths and checksums are none."""

from __future__ import annotations

import re

import pytest

from attest.core.image.secretscan import ANCHOR, Span, confirm, find_in_command, find_in_value, redacted

BODY = b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEA"
TOKEN = "ghp_" + "a1B2c3D4e5" * 4


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (b"-----BEGIN RSA PRIVATE KEY-----\n" + BODY, "private-key"),
        (b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES,00\n\n" + BODY, "private-key"),
        (b'"-----BEGIN PRIVATE KEY-----\\n' + BODY, "private-key"),
        (b'if "-----BEGIN PRIVATE KEY-----" in text:', None),
        (TOKEN.encode(), "github-token"),
        (b"x" + TOKEN.encode(), None),
        (b"AKIAQ3EGRTBWVZLMNOPQ", "aws-access-key"),
        (b"AKIAIOSFODNN7EXAMPLE", None),
        (b"ghp_" + b"a" * 40, None),
        (b"https://ann:Xk29-tr0ub4@db/x", "url-password"),
        (b"https://user:password@host/x", None),
        (b"https://user:${PASSWORD}@host/x", None),
        (b"https://user:pw1@host/x", None),
        (b"Authorization: Bearer abCD1234efGH5678ij", "authorization-header"),
        (b"Authorization: Bearer h480djs93hd8", None),
    ],
)
def test_secrets_in_files(text: bytes, rule: str | None) -> None:
    """What has the form of a secret and its randomness is found where the anchor says; nothing else is."""
    match = re.search(ANCHOR, text)
    found = None if match is None else confirm(text, match.start(), program=False)
    assert found == rule


def test_keys_in_programs_are_not_told() -> None:
    """A private key in compiled code is one that a library tests itself with; a token in it is a token."""
    assert confirm(b"-----BEGIN PRIVATE KEY-----\n" + BODY, 0, program=True) is None
    assert confirm(TOKEN.encode(), 0, program=True) == "github-token"
    assert confirm(b"nothing", 0, program=False) is None


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("X", TOKEN, "github-token"),
        ("X", "-----BEGIN PRIVATE KEY-----", "private-key"),
        ("DB_PASSWORD", "hunter2-Xk29", "named-secret"),
        ("API_TOKEN", "0123deadbeef4567", "named-secret"),
        ("DB_PASSWORD", "changemexxxx", None),
        ("DB_PASSWORD", "short", None),
        ("DB_PASSWORD", "aaaaaaaaaaaa", None),
        ("DB_PASSWORD", "${OTHER_PASSWORD}", None),
        ("DB_PASSWORD_FILE", "/run/secrets/db-password", None),
        ("TOKEN_URL", "https://example.org/token/of/something", None),
        ("PASSWORD_HINT", "ask your administrator", None),
        ("SESSION", "wJalrXUtnFEMIK7MDENGbPxRfiCYzzKEYzzz12", "random-value"),
        ("GPG_KEY", "7169605F62C751356D054A26A821E680E5FA6305", None),
        ("INTEGRITY", "sha512-wJalrXUtnFEMIK7MDENGbPxRfiCYzzKEYzzz12==", None),
        ("ID", "123e4567-e89b-12d3-a456-426614174000", None),
        ("WORDS", "onlylowercaselettersinthisvalue", None),
        ("PATHS", "usr/Local/share/Doc1/aBcDeF/xyz", None),
        ("PATH", "/usr/local/bin:/usr/bin", None),
        ("LANG", "C.UTF-8", None),
    ],
)
def test_secrets_in_values(name: str, value: str, rule: str | None) -> None:
    """Values are judged by form, by a telling name with some randomness, and by randomness that nothing else has."""
    assert find_in_value(name, value) == rule


def test_secrets_in_build_steps() -> None:
    """Assignments, options and forms in a command are found at their places and taken out, in quotes or not."""
    text = (
        "/bin/sh -c curl -H 'Authorization: Bearer abCD1234efGH5678ij' x && "
        "DB_PASSWORD=hunter2-Xk29 A_TOKEN=\"tok3n tok3n\" API_KEY='q1w2e3r4t5' make --token s3cretT0ken99x -o out"
    )
    spans = find_in_command(text)
    shown = redacted(text, spans, instead="[-]")
    assert shown == (
        "/bin/sh -c curl -H '[-]' x && DB_PASSWORD=[-] A_TOKEN=\"tok3n tok3n\" API_KEY='[-]' make --token [-] -o out"
    )
    assert find_in_command("RUN pip install --no-cache-dir six==1.16.0 && rm -rf /var/lib/apt/lists") == []


def test_spans_that_overlap_are_taken_out_once() -> None:
    """Two rules that find the same place, or a part of it, leave nothing of it."""
    spans = [Span("a", 2, 6), Span("b", 3, 5), Span("c", 5, 8)]
    assert redacted("0123456789", spans, instead="-") == "01-89"
