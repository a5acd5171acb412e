"""Texts that are, or hold, a credential by their very form. What is signed is public, so none of them may be signed.

Only forms that say of themselves what they are: prefixes that their makers chose so that they can be found. A
password without a form is found by nobody.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

WORD: Final = r"(?<![A-Za-z0-9])"
END: Final = r"(?![A-Za-z0-9])"


@dataclass(frozen=True, slots=True)
class Form:
    """One form of credentials. `pattern` has no groups, and is a regular expression of Python and, without its
    lookarounds, of RE2."""

    id: str
    name: str
    """As in "it holds ..."."""
    pattern: str


FORMS: Final = (
    Form("private-key", "a private key", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----"),
    Form("age-key", "an age key", r"AGE-SECRET-KEY-1[A-Z0-9]{20}"),
    Form("jwt", "a JSON Web Token", WORD + r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    Form("github-token", "a GitHub token", WORD + r"(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,})"),
    Form(
        "gitlab-token",
        "a GitLab token",
        WORD + r"(?:gl(?:pat|dt|rt|rtr|cbt|ptt|ft|soat|agent|oas|imt|ffct)-[A-Za-z0-9_.-]{20,})",
    ),
    Form("aws-access-key", "an AWS access key", WORD + r"(?:AKIA|ASIA)[A-Z2-7]{16}" + END),
    Form(
        "aws-secret-key", "an AWS secret key", r"(?i:aws_?secret_?access_?key)[\"']?\s*[=:]\s*[\"']?[A-Za-z0-9/+]{40}"
    ),
    Form("google-api-key", "a Google API key", WORD + r"AIza[A-Za-z0-9_-]{35}"),
    Form("google-oauth-token", "a Google OAuth token", WORD + r"ya29\.[A-Za-z0-9_-]{20,}"),
    Form("slack-token", "a Slack token", WORD + r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),
    Form("stripe-key", "a Stripe key", WORD + r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    Form("npm-token", "an npm token", WORD + r"npm_[A-Za-z0-9]{36}"),
    Form("pypi-token", "a PyPI token", WORD + r"pypi-AgE[A-Za-z0-9_-]{20,}"),
    Form("docker-token", "a Docker token", WORD + r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}"),
    Form("vault-token", "a Vault token", WORD + r"hv[bsr]\.[A-Za-z0-9_-]{20,}"),
    Form("ai-service-key", "an OpenAI or Anthropic key", WORD + r"sk-(?:ant-|proj-)[A-Za-z0-9_-]{20,}"),
    Form("sendgrid-key", "a SendGrid key", WORD + r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
    Form("hugging-face-token", "a Hugging Face token", WORD + r"hf_[A-Za-z]{30,}"),
    Form("url-password", "a URL with a password", r"://[^\s/@:]{0,256}:[^\s/@]{1,512}@"),
    Form(
        "authorization-header",
        "an authorization header",
        r"(?i:authorization)\s*:\s*(?i:bearer|basic|token)\s+[A-Za-z0-9+/=_.~-]{8,}",
    ),
)

_COMPILED: Final = tuple((form.name, re.compile(form.pattern)) for form in FORMS)


def find_secret(text: str) -> str | None:
    """What kind of credential stands in the text, if one does. The text itself is not to be shown then."""
    return next((name for name, form in _COMPILED if form.search(text)), None)
