"""What in the example differs by machine: hosts, the forge, images by digest, ports; put in by exact replacement.

The example is valid as it stands, for hosts that are nobody's (RFC 2606). A machine that runs it puts its own values in
before the first commit. Whoever copies the example does the same, once, with a text editor.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Final

FILES: Final = (
    "policies/promote.yaml",
    "policies/staging.yaml",
    "policies/keyless-promote.yaml",
    "policies/keyless-staging.yaml",
    "environment.yaml",
    "compose.yaml",
)
"""The documents that name a machine's things. All else is the same on every machine."""

TEXTS: Final[Mapping[str, str]] = {
    # Ports come first: a digest that was put in could hold the same digits.
    "backend_port": "8080",
    "frontend_port": "8081",
    "source": "https://git.example.com/plex/playlist",
    "issuer": "https://git.example.com/api/actions",
    "registry": "registry.example.com/plex",
    "staging": "staging.example.com/plex",
    "state": "/var/lib/attest",
    "base": "ba5e" * 16,
    "ci_image": "c1" * 32,
    "e2e_image": "e2" * 32,
}
"""What the example says, by the field of `Values` that takes its place."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What one machine has in the place of the example's texts."""

    source: str
    """The source repository, as evidence names it."""
    issuer: str
    """Who issues identity tokens to the jobs of the forge; of no meaning where lanes have keys."""
    registry: str
    """Prefix of the images where they are built, `HOST[:PORT]/OWNER`."""
    staging: str
    """Prefix of the images where staging takes them from."""
    state: str
    """The folder of the machine that deploys: ledger, its signer, the override file."""
    base: str
    """The digest of the base image, 64 hexadecimal digits."""
    ci_image: str
    """The same of the CI image."""
    e2e_image: str
    """The same of the image with the browser."""
    backend_port: str
    """Where staging's backend listens on loopback."""
    frontend_port: str
    """The same of the frontend."""


def render(folder: Path, values: Values) -> None:
    """Put the values into the example's documents below `folder`.

    Raises:
        ValueError: a text of the example is in none of them, so that a value would have no place, or a value holds
            a text of the example.
    """
    given = dataclasses.asdict(values)
    for field, value in given.items():
        if any(text in value for name, text in TEXTS.items() if not name.endswith("_port")):
            raise ValueError(f"{field}: {value!r} holds what the example says")
    documents = {name: (folder / name).read_text() for name in FILES}
    for field, text in TEXTS.items():
        if not any(text in content for content in documents.values()):
            raise ValueError(f"{field}: none of the documents says {text!r}")
        documents = {name: content.replace(text, given[field]) for name, content in documents.items()}
    for name, content in documents.items():
        (folder / name).write_text(content)


def unrendered(text: str, values: Values) -> str:
    """What a command printed, as it would have been on the hosts of the example."""
    given = dataclasses.asdict(values)
    for field in sorted(TEXTS, key=lambda field: -len(given[field])):
        text = text.replace(given[field], TEXTS[field])
    return text
