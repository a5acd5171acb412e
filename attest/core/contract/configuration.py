"""Checks of how a container starts: user, entry point, command, working directory, stop signal, labels, ports, volumes,
health check.

Sources: image-spec, "Image Configuration"; Docker's image specification v1.2 for `Healthcheck`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, assert_never

from attest.core.contract.case import Case
from attest.core.contract.command import SHELLS, is_shell_form, program, shown
from attest.core.contract.document import UserParameters
from attest.core.contract.fields import Demanded, Ports, parse_ports
from attest.core.contract.finding import Finding
from attest.core.contract.glob import Glob
from attest.core.contract.signals import is_catchable, signal_number
from attest.core.reference import is_digest

_NUMBER: Final = re.compile(r"[+-]?[0-9]+")
_LARGEST_ID: Final = 2**32 - 2
"""The next one, all bits set, means "leave it as it is" to the kernel (setresuid(2))."""
_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_LABELS: Final = "org.opencontainers.image."
_INTERPRETERS: Final[Mapping[str, frozenset[str]]] = {
    ".sh": SHELLS,
    ".bash": frozenset({"bash"}),
    ".py": frozenset({"python", "python3"}),
    ".pl": frozenset({"perl"}),
    ".rb": frozenset({"ruby"}),
    ".js": frozenset({"node", "nodejs"}),
}
"""Which program runs a script, as far as its name tells; the facts of an image have no contents."""


def user_nonroot(case: Case, parameters: UserParameters) -> Iterator[Finding]:
    """The user is not root, by whatever name, and is known in the image."""
    text = case.facts.config.user
    name, _, group = text.partition(":")
    yield from _user(case, name)
    if group:
        yield from _group(case, group)
    if parameters.only is not None and text not in parameters.only:
        yield case.violation("User", f"the user is {text[:80]!r}; the contract allows {', '.join(parameters.only)}")


def _user(case: Case, name: str) -> Iterator[Finding]:
    # Also an account whose name is a number: some programs look for a name first.
    accounts = [account for account in case.facts.accounts if account.name == name]
    if not name:
        yield case.violation("User", "no user is set, so that the container runs as root")
    elif any(account.uid == 0 for account in accounts):
        yield case.violation("User", f"the user {name[:80]!r} is root: its uid is 0")
    elif _NUMBER.fullmatch(name):
        number = _id(name)
        if number is None:
            yield case.violation("User", f"the user {name[:80]!r} is no id that an account can have")
        elif number == 0:
            yield case.violation("User", f"the user {name[:80]!r} is root")
    elif not accounts:
        unread = list(case.unread("accounts"))
        yield from unread
        if not unread:
            yield case.violation("User", f"the user {name[:80]!r} is not in /etc/passwd, so that nothing starts")


def _group(case: Case, name: str) -> Iterator[Finding]:
    if _NUMBER.fullmatch(name):
        if _id(name) is None:
            yield case.violation("User", f"the group {name[:80]!r} is no id that a group can have")
    elif all(group.name != name for group in case.facts.groups):
        unread = list(case.unread("groups"))
        yield from unread
        if not unread:
            yield case.violation("User", f"the group {name[:80]!r} is not in /etc/group, so that nothing starts")


def _id(text: str) -> int | None:
    """The number, if it can be an id."""
    number = int(text) if len(text) <= 20 else -1
    return number if 0 <= number <= _LARGEST_ID else None


def config_entrypoint(case: Case, demanded: Demanded | tuple[str, ...]) -> Iterator[Finding]:
    """The entry point is there, in exec form, and the demanded one."""
    return _vector(case, "Entrypoint", "entry point", case.facts.config.entrypoint, demanded)


def config_cmd(case: Case, demanded: Demanded | tuple[str, ...]) -> Iterator[Finding]:
    """The command is there, in exec form behind the entry point, and the demanded one."""
    config = case.facts.config
    yield from _vector(case, "Cmd", "command", config.cmd, demanded)
    start, cmd = config.entrypoint or (), config.cmd or ()
    if not any(is_shell_form(vector, config.shell) for vector in (start, cmd)) and is_shell_form(start + cmd, None):
        yield case.violation("Cmd", f"entry point and command together need a shell: {shown(start + cmd)}")


def _vector(
    case: Case, place: str, what: str, found: tuple[str, ...] | None, demanded: Demanded | tuple[str, ...]
) -> Iterator[Finding]:
    if demanded is Demanded.ABSENT:
        if found:
            yield case.violation(place, f"the {what} is {shown(found)}, and the contract allows none")
        return
    if not found or not found[0]:
        yield case.violation(place, f"there is no {what}")
        return
    if is_shell_form(found, case.facts.config.shell):
        yield case.violation(place, f"the {what} needs a shell: {shown(found)}")
    if isinstance(demanded, tuple) and found != demanded:
        yield case.violation(place, f"the {what} is {shown(found)}, and the contract demands {shown(demanded)}")


def config_workdir(case: Case, demanded: Demanded | str) -> Iterator[Finding]:
    """The working directory is set, and the demanded one."""
    found = case.facts.config.workdir
    match demanded:
        case Demanded.ABSENT:
            if found:
                yield case.violation("WorkingDir", f"the working directory is {found}, and the contract allows none")
        case Demanded.SOME:
            if not found.startswith("/") or _is_root(found):
                yield case.violation("WorkingDir", f"the working directory is {found or 'not set'}")
        case str():
            if found != demanded:
                said = f"the working directory is {found or 'not set'}"
                yield case.violation("WorkingDir", f"{said}, and the contract demands {demanded}")
        case _:
            assert_never(demanded)


def _is_root(path: str) -> bool:
    """Whether an absolute path is that of the root, however it is written: `/.`, `/srv/..`."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part not in ("", "."):
            parts.append(part)
    return not parts


def config_stopsignal(case: Case, demanded: Demanded | str) -> Iterator[Finding]:
    """The stop signal is set, and the demanded one, by name or number."""
    found = case.facts.config.stop_signal
    number = signal_number(found)
    said = f"the stop signal is {found[:80]!r}" if found else "no stop signal is set"
    if demanded is Demanded.ABSENT:
        if found:
            yield case.violation("StopSignal", f"{said}, and the contract allows none")
    elif found and number is None:
        yield case.violation("StopSignal", f"{said}, and there is no such signal")
    elif isinstance(demanded, str):
        if number is None or number != signal_number(demanded):
            yield case.violation("StopSignal", f"{said}, and the contract demands {demanded}")
    elif number is None:
        yield case.violation("StopSignal", said)
    elif not is_catchable(number):
        yield case.violation("StopSignal", f"{said}, which no program can handle")


def label_required(case: Case, demanded: Mapping[str, Glob | None]) -> Iterator[Finding]:
    """Each label is there, says something, and what is demanded of it."""
    for name, pattern in demanded.items():
        value = case.facts.config.labels.get(name)
        if value is None:
            yield case.violation(name, f"the label {name} is missing")
        elif not value.strip():
            yield case.violation(name, f"the label {name} is empty")
        elif pattern is not None and not pattern.matches(value):
            yield case.violation(name, f"the label {name} is {value[:200]!r}, and the contract demands {pattern.text}")
        elif (form := _FORMS.get(name)) is not None and not form[0](value):
            yield case.violation(name, f"the label {name} is {value[:200]!r}, which is {form[1]}")


_FORMS: Final[Mapping[str, tuple[Callable[[str], bool], str]]] = {
    f"{_LABELS}created": (lambda text: _RFC3339.fullmatch(text) is not None, "no time of RFC 3339"),
    f"{_LABELS}base.digest": (is_digest, "no digest"),
}
"""Labels whose form the image-spec fixes ("Pre-Defined Annotation Keys")."""


def port_allowed(case: Case, allowed: Sequence[Ports]) -> Iterator[Finding]:
    """Every exposed port is an allowed one."""
    for text in case.facts.config.exposed_ports:
        try:
            ports = parse_ports(text)
        except ValueError:
            yield case.violation(text, f"{text[:80]!r} is exposed, and is no port")
            continue
        if not any(ports in each for each in allowed):
            yield case.violation(text, f"the port {text} is exposed, and the contract does not allow it")


def volume_allowed(case: Case, allowed: Sequence[Glob]) -> Iterator[Finding]:
    """Every volume is an allowed one."""
    for path in case.facts.config.volumes:
        if not any(pattern.matches(path) for pattern in allowed):
            yield case.violation(path, f"there is a volume at {path}, and the contract does not allow it")


def healthcheck_present(case: Case, _: bool) -> Iterator[Finding]:
    """There is a health check, and it runs without a shell."""
    check = case.facts.config.healthcheck
    test = () if check is None else check.test
    if not test or test[0] == "NONE":
        yield case.violation(
            "Healthcheck", "there is no health check" if not test else "the health check is turned off"
        )
        return
    kind, vector = test[0], test[1:]
    if kind != "CMD":
        why = "is text for a shell" if kind == "CMD-SHELL" else f"is of the unknown kind {kind[:80]!r}"
        yield case.violation("Healthcheck", f"the health check {why}; write it as a list")
    elif not vector or not vector[0]:
        yield case.violation("Healthcheck", "the health check runs nothing")
    elif is_shell_form(vector, case.facts.config.shell):
        yield case.violation("Healthcheck", f"the health check needs a shell: {shown(vector)}")
    else:
        yield from _runnable(case, vector[0])


def _runnable(case: Case, name: str) -> Iterator[Finding]:
    config = case.facts.config
    file = program(name, config, case.tree)
    if file is None:
        yield case.violation("Healthcheck", f"the health check runs {name}, which is not there or not executable")
        return
    ending = next((ending for ending in _INTERPRETERS if file.path.endswith(ending)), None)
    if ending is None:
        return
    needed = sorted(_INTERPRETERS[ending])
    if all(program(one, config, case.tree) is None for one in needed):
        problem = f"the health check runs {file.path}, a script, and there is no {' or '.join(needed)} to run it"
        yield case.violation("Healthcheck", problem, file.layer)
