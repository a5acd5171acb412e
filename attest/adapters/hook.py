"""A program of the user's that deploys and observes: JSON in, JSON out, no shell (docs/environments.md, "Hook")."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Final

from attest.adapters.programs import ask_program, require_success
from attest.core.environment.definition import EnvironmentService, HookTarget, OneShot
from attest.core.environment.hook import Action, HookInvalid, read_answer, write_request
from attest.core.environment.targets import DesiredImage, Observed
from attest.errors import NotObserved, TargetFailed, UsageError

_ANSWER: Final = 8 * 1024 * 1024


class Hook:
    """`attest.targetports.Target` by a program."""

    def __init__(self, place: HookTarget, services: Mapping[str, EnvironmentService], *, environment: str) -> None:
        """For the services of the environment of this name. Nothing is asked yet."""
        self._place = place
        program = place.argv[0]  # it runs in another folder than this process does
        self._argv = (os.path.abspath(program) if "/" in program else program, *place.argv[1:])  # noqa: PTH100 - as named
        self._services = services
        self._environment = environment
        self._oneshot = {name: isinstance(service.health, OneShot) for name, service in services.items()}

    def prepare(self, plan: Sequence[DesiredImage]) -> None:
        """Ask it for whatever `apply` needs that changes nothing which runs."""
        self._ask(Action.PREPARE, plan)

    def apply(self, plan: Sequence[DesiredImage]) -> None:
        """Ask it to have each service of the plan run its image."""
        self._ask(Action.APPLY, plan)

    def observe(self) -> Mapping[str, Observed]:
        """Ask it what runs."""
        try:
            answer = self._ask(Action.OBSERVE)
        except TargetFailed as error:
            raise NotObserved(error.message, hint=error.hint) from error
        try:
            return read_answer(answer, oneshot=self._oneshot)
        except HookInvalid as error:
            problem = f"the hook {self._place.argv[0]} printed {error}"
            raise NotObserved(problem, hint="docs/environments.md says what a hook answers") from error

    def _ask(self, action: Action, plan: Sequence[DesiredImage] = ()) -> bytes:
        for desired in plan:
            bound = self._services.get(desired.service)
            if bound is None or bound.repository != desired.reference.repository:
                problem = f"{desired.reference} is no image of the service {desired.service} of {self._environment}"
                raise UsageError(problem)
        who = f"the hook {self._place.argv[0]}, asked to {action},"
        answer = ask_program(
            self._argv,
            who=who,
            seconds=self._place.timeout.total_seconds(),
            standard_input=write_request(action, environment=self._environment, oneshot=self._oneshot, plan=plan),
            limit=_ANSWER,
            folder=self._place.folder,
        )
        return require_success(answer, who)
