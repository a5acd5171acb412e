"""Credentials that say of themselves what they are, and texts that only look like them."""

from __future__ import annotations

import pytest

from attest.core.secrets import find_secret

X = "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0"

# Joined here, so that no scanner takes this file for a leak.
SECRETS = {
    "a private key": ["-----BEGIN " + "PRIVATE KEY-----", "-----BEGIN " + "ENCRYPTED SIGSTORE PRIVATE KEY-----"],
    "an age key": ["AGE-SECRET-" + "KEY-1QQQQQQQQQQQQQQQQQQQQQQQ"],
    "a JSON Web Token": ["eyJhbGciOi" + "JSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"],
    "a GitHub token": ["ghp" + "_" + X[:36], "github" + "_pat_" + X[:30], "ghs" + "_" + X[:36]],
    "a GitLab token": ["glpat" + "-" + X[:20], "glrt" + "-" + X[:20], "glcbt" + "-64_" + X[:20]],
    "an AWS access key": ["AKIA" + "IOSFODNN7EXAMPLE", "ASIA" + "IOSFODNN7EXAMPLE"],
    "an AWS secret key": ["AWS_SECRET_ACCESS_KEY=" + X, 'aws_secret_access_key: "' + X + '"'],
    "a Google API key": ["AIza" + X[:35]],
    "a Google OAuth token": ["ya29." + X],
    "a Slack token": ["xoxb" + "-1234567890-abcdef"],
    "a Stripe key": ["sk_" + "live_" + X[:24]],
    "an npm token": ["npm" + "_" + X[:36]],
    "a PyPI token": ["pypi-" + "AgE" + X],
    "a Docker token": ["dckr" + "_pat_" + X[:27]],
    "a Vault token": ["hvs." + X],
    "an OpenAI or Anthropic key": ["sk-" + "ant-" + X, "sk-" + "proj-" + X],
    "a SendGrid key": ["SG." + X[:22] + "." + X],
    "a Hugging Face token": ["hf_" + "abcdefghijklmnopqrstuvwxyzABCDEFGH"],
    "a URL with a password": ["https://" + "user:pass@host/x", "postgres://" + ":pw@db"],
    "an authorization header": ["Authorization: " + "Bearer abcdefgh12", "authorization:" + "Basic dXNlcjpwYXNz"],
}


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in SECRETS.items() for text in texts])
def test_a_credential_is_found_wherever_it_stands(kind: str, text: str) -> None:
    """Alone, behind an option, within words and on a later line, the kind is said."""
    for form in ("{}", "--token={}", "curl -H '{}' x", "first\n{}\nlast", '{{"t":"{}"}}'):
        assert find_secret(form.format(text)) == kind


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pytest -q --junitxml out/unit.xml tests/test_tokens.py",
        "4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70",
        "sha256:" + 64 * "a",
        "https://example.org:8443/path?user=x@y",
        "https://user@example.org/",
        "ssh://git@example.org:22/x",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----",
        "ghp_short",
        "glpat-short",
        "AKIA",
        "XAKIAIOSFODNN7EXAMPLE",
        "eyJust a word.eyJust",
        "authorization: required",
        "npm_config_cache",
        "sk-learn",
        "hf_hub",
    ],
)
def test_what_only_looks_like_one_is_none(text: str) -> None:
    """Digests, commits, addresses, public keys and words are told."""
    assert find_secret(text) is None


@pytest.mark.slow
def test_a_long_text_takes_no_time_to_speak_of() -> None:
    """No form backtracks: texts that nearly match, a million characters long, are looked through at once."""
    for part in ("https://", "a:", "eyJ", "ghp_", "-----BEGIN ", "authorization:  ", "a+"):
        find_secret(part * (1_000_000 // len(part)))
