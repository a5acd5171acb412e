"""Texts that are, or hold, a credential by their very form. What is signed is public, so none of them may be signed.

Only forms that say of themselves what they are: prefixes that their makers chose so that they can be found. A
password without a form is found by nobody.
"""

from __future__ import annotations

import re
from typing import Final

_WORD: Final = r"(?<![A-Za-z0-9])"
_END: Final = r"(?![A-Za-z0-9])"

_FORMS: Final = tuple(
    (name, re.compile(form))
    for name, form in (
        ("a private key", r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----"),
        ("an age key", r"AGE-SECRET-KEY-1[A-Z0-9]{20}"),
        ("a JSON Web Token", _WORD + r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
        ("a GitHub token", _WORD + r"(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,})"),
        ("a GitLab token", _WORD + r"(?:gl(?:pat|dt|rt|rtr|cbt|ptt|ft|soat|agent|oas|imt|ffct)-[A-Za-z0-9_.-]{20,})"),
        ("an AWS access key", _WORD + r"(?:AKIA|ASIA)[A-Z2-7]{16}" + _END),
        ("an AWS secret key", r"(?i:aws_?secret_?access_?key)[\"']?\s*[=:]\s*[\"']?[A-Za-z0-9/+]{40}"),
        ("a Google API key", _WORD + r"AIza[A-Za-z0-9_-]{35}"),
        ("a Google OAuth token", _WORD + r"ya29\.[A-Za-z0-9_-]{20,}"),
        ("a Slack token", _WORD + r"xox[abeoprs]-[A-Za-z0-9-]{10,}"),
        ("a Stripe key", _WORD + r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
        ("an npm token", _WORD + r"npm_[A-Za-z0-9]{36}"),
        ("a PyPI token", _WORD + r"pypi-AgE[A-Za-z0-9_-]{20,}"),
        ("a Docker token", _WORD + r"dckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}"),
        ("a Vault token", _WORD + r"hv[bsr]\.[A-Za-z0-9_-]{20,}"),
        ("an OpenAI or Anthropic key", _WORD + r"sk-(?:ant-|proj-)[A-Za-z0-9_-]{20,}"),
        ("a SendGrid key", _WORD + r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"),
        ("a Hugging Face token", _WORD + r"hf_[A-Za-z]{30,}"),
        ("a URL with a password", r"[a-z][a-z0-9+.-]*://[^\s/@:]*:[^\s/@]+@"),
        ("an authorization header", r"(?i:authorization)\s*:\s*(?i:bearer|basic|token)\s+[A-Za-z0-9+/=_.~-]{8,}"),
    )
)


def find_secret(text: str) -> str | None:
    """What kind of credential stands in the text, if one does. The text itself is not to be shown then."""
    return next((name for name, form in _FORMS if form.search(text)), None)
