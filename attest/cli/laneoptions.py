"""What the command line of `attest run` says about the lane, and what of it makes no sense."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from attest.adapters.keys.passphrase import VARIABLE as PASSPHRASE
from attest.errors import UsageError
from attest.ops.run import refuse_secrets, told_environment


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneOptions:
    """What the command line says about the lane. `claims` are the options of `attest.cli.claims.source_options`."""

    argv: tuple[str, ...]
    images: tuple[str, ...]
    release_file: str | None
    repositories: tuple[str, ...]
    lane: str
    reports: tuple[str, ...]
    min_coverage: str | None
    allow_empty: bool
    timeout: float | None
    containers: tuple[str, ...]
    hooks: tuple[str, ...]
    engine: str | None
    runner_image: str | None
    runner_network: str | None
    runner_user: str | None
    variables: tuple[str, ...]
    materials: tuple[str, ...]
    products: tuple[str, ...]
    source_elsewhere: bool
    output_file: str | None
    link_output: str | None
    no_push: bool
    summary: str | None
    claims: dict[str, Any]

    @property
    def observes(self) -> bool:
        """Whether somebody is to be asked what runs."""
        return bool(self.containers or self.hooks)

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            UsageError: an option has no part in anything, or something that would be signed is a credential.
        """
        if self.runner_image is None and (self.runner_network is not None or self.runner_user is not None):
            option = "--runner-user" if self.runner_network is None else "--runner-network"
            raise UsageError(f"{option} has no place without --runner-image")
        if self.engine is not None and self.runner_image is None and not self.containers:
            raise UsageError("--engine has no place without --container or --runner-image")
        for variable in self.variables:
            if "=" in variable or not variable:
                raise UsageError(
                    f"--env {variable.partition('=')[0]!r} is to be the name of a variable alone",
                    hint="set the variable before attest, and name it",
                )
        if PASSPHRASE in self.variables:
            raise UsageError(f"--env {PASSPHRASE} would publish the passphrase of the key", hint="leave it out")
        if self.source_elsewhere and not (self.claims["source_repository"] and self.claims["source_commit"]):
            raise UsageError(
                "--source-elsewhere without --source-repository and --source-commit names no source",
                hint="name both: the source that the images were built from",
            )
        texts = {f"word {place} of the command": word for place, word in enumerate(self.argv, 1)}
        texts |= {f"--env {name}": value for name, value in told_environment(self.variables, os.environ).items()}
        for option in ("containers", "hooks", "reports", "materials", "products"):
            texts |= {
                f"--{option.removesuffix('s')} {place}": text for place, text in enumerate(getattr(self, option), 1)
            }
        refuse_secrets(texts)
