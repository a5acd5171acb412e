"""What a `where` expression may be, as far as it concerns the core. CEL itself is `attest.adapters.conditions`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from attest.core.policy import Condition
from attest.core.strictjson import Json

ALWAYS: Final = "true"
"""The expression by which a policy accepts any content; it needs no CEL."""


class ConditionInvalid(ValueError):
    """The text is no expression that a policy may have. `offset` is the character that it is about, from 0."""

    def __init__(self, problem: str, *, offset: int | None = None, hint: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.offset = offset
        self.hint = hint


class CompileCondition(Protocol):
    """Makes a condition of an expression."""

    def __call__(self, text: str) -> Condition:
        """The condition that the expression stands for.

        Raises:
            ConditionInvalid: it does not compile, or uses what a policy may not use.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Always:
    """Holds for any content."""

    text: str = ALWAYS

    def holds(self, *, predicate: Json, statement: Json, image: Json, certificate: Json) -> bool:  # noqa: ARG002 - a Condition's
        """True."""
        return True
