"""Checks of what is in an image: secrets, files with rights, paths, packages, executables, accounts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Final, TypeVar, assert_never

from attest.core.contract.case import Case
from attest.core.contract.document import AllowedPaths
from attest.core.contract.finding import Finding
from attest.core.contract.glob import Component, Glob, PathSet
from attest.core.contract.purl import PurlGlob, without_qualifiers
from attest.core.image.facts import FileFacts, Kind, Password, Place, SecretFound, View

_DEVICES: Final = (Kind.CHARACTER_DEVICE, Kind.BLOCK_DEVICE)


def env_secret(case: Case, _: bool) -> Iterator[Finding]:
    """No secret in the configuration, in the annotations of the manifest or in the build steps."""
    for secret in case.facts.secrets:
        match secret.place:
            case Place.FILE:
                continue
            case Place.ENV:
                place, what = secret.name, f"the variable {secret.name}"
            case Place.LABEL:
                place, what = f"label/{secret.name}", f"the label {secret.name}"
            case Place.ANNOTATION:
                place, what = f"annotation/{secret.name}", f"the annotation {secret.name}"
            case Place.HISTORY:
                place, what = f"history/{secret.name}", f"step {secret.name} of the build history"
            case Place.CONFIG:
                place, what = f"config/{secret.name}", f"{secret.name} of the configuration"
            case _:
                assert_never(secret.place)
        yield case.violation(place, f"{what} has what looks like a secret ({secret.rule})", secret.layer)


def file_secret(case: Case, _: bool) -> Iterator[Finding]:
    """No secret in a file of any layer, of those that are deleted later either."""
    for secret in case.facts.secrets:
        if secret.place is Place.FILE:
            line = "" if secret.line is None else f" in line {secret.line}"
            told = f"{secret.name} has what looks like a secret ({secret.rule}){line}{_hidden(secret)}"
            yield case.violation(secret.name, told, secret.layer)


def _hidden(secret: SecretFound) -> str:
    if secret.view is View.EFFECTIVE:
        return ""
    return f"; layer {secret.hidden_by} hides it, and whoever pulls layer {secret.layer} has it"


def file_setid(case: Case, parameters: AllowedPaths) -> Iterator[Finding]:
    """No file that runs with another's rights."""
    for file in case.facts.setid:
        if not _allows(parameters, file):
            rights = [f"the mode {file.mode}"] if file.bits & 0o6000 else []
            rights += [f"the capabilities {file.capabilities}"] if file.capabilities is not None else []
            told = f"{file.path} has {' and '.join(rights)}; owner {file.uid}:{file.gid}"
            yield case.violation(file.path, told, file.layer)


def file_world_writable(case: Case, parameters: AllowedPaths) -> Iterator[Finding]:
    """Nothing that anybody may write to.

    Devices below /dev are passed over: every container has a /dev of its own (runtime-spec, "Default Devices").
    """
    for file in case.facts.world_writable:
        if file.kind in _DEVICES and file.path.startswith("/dev/"):
            continue
        if not _allows(parameters, file):
            told = f"anybody may write to {file.path} ({file.kind.value}, mode {file.mode})"
            yield case.violation(file.path, told, file.layer)


def _allows(parameters: AllowedPaths, file: FileFacts) -> bool:
    return any(pattern.matches(file.path) for pattern in parameters.allowed or ())


def path_forbidden(case: Case, patterns: Sequence[Glob]) -> Iterator[Finding]:
    """Nothing has a forbidden path, under its own name or through a linked directory."""
    seen: set[str] = set()
    for pattern in patterns:
        for reached in case.tree.find(pattern):
            file = reached.file
            if file.path in seen:
                continue
            seen.add(file.path)
            name = "" if reached.name == file.path else f", which is {reached.name} too,"
            told = f"{file.path}{name} is there, and the contract forbids {pattern.text}"
            yield case.violation(file.path, told, file.layer)


def path_allowed(case: Case, patterns: Sequence[Glob]) -> Iterator[Finding]:
    """Every entry but directories has an allowed path, its own one: a link cannot make more allowed."""
    allowed = PathSet(patterns)
    for file in case.facts.files:
        if file.kind is not Kind.DIRECTORY and file.path not in allowed:
            told = f"{file.path} ({file.kind.value}) is there, and the contract does not name it"
            yield case.violation(file.path, told, file.layer)


def package_forbidden(case: Case, patterns: Sequence[PurlGlob]) -> Iterator[Finding]:
    """No layer has a forbidden package, of those that are removed later either."""
    for package in case.facts.packages:
        pattern = next((pattern for pattern in patterns if pattern.matches(package.purl)), None)
        if pattern is None:
            continue
        place = without_qualifiers(package.purl)
        told = (
            f"{package.name} {package.version} is installed ({package.path}), and the contract forbids {pattern.text}"
        )
        if package.view is View.SHADOWED:
            told += f"; layer {package.hidden_by} removes it, and whoever pulls layer {package.layer} has it"
        yield case.violation(place, told, package.layer)
    yield from case.unread("packages", views=(View.EFFECTIVE, View.SHADOWED))


def exe_forbidden(case: Case, patterns: Sequence[Component]) -> Iterator[Finding]:
    """No executable has a forbidden name: its own, or that of the file which a link leads to.

    So `sh` finds a link of that name to busybox, and `busybox` finds every link to it, symbolic or hard.
    """
    forbids = _any_of(patterns)
    for file in case.facts.files:
        match file.kind:
            case Kind.FILE if file.is_executable:
                behind = file
            case Kind.SYMLINK if (found := case.tree.at(file.path)) is not None and found.is_executable:
                behind = found
            case _:
                continue
        if forbids(_name(file.path)):
            link = "" if behind is file else f", a link to {behind.path},"
            yield case.violation(file.path, f"the executable {file.path}{link} is there", file.layer)
        elif behind is not file and forbids(_name(behind.path)):
            yield case.violation(file.path, f"the executable {file.path} is a link to {behind.path}", file.layer)
        elif behind.hard_link is not None and forbids(_name(behind.hard_link)):
            told = f"the executable {file.path} is the same file as {behind.hard_link}"
            yield case.violation(file.path, told, file.layer)


def _any_of(patterns: Iterable[Component]) -> Callable[[str], bool]:
    """Whether a name is one of these; most are literal, and an image has many names."""
    literal = {pattern.literal for pattern in patterns}
    others = [pattern for pattern in patterns if pattern.literal is None]
    return lambda name: name in literal or any(pattern.matches(name) for pattern in others)


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def account_empty_password(case: Case, _: bool) -> Iterator[Finding]:
    """No account lets everybody in."""
    for account in case.facts.accounts:
        if account.password is Password.EMPTY:
            yield case.violation(account.name, f"the account {account.name} has an empty password")
    yield from case.unread("accounts")


def account_duplicate_id(case: Case, _: bool) -> Iterator[Finding]:
    """No two accounts or groups have one id or one name."""
    accounts, groups = case.facts.accounts, case.facts.groups
    for account, first in _repeated(accounts, lambda each: each.uid):
        yield case.violation(account.name, f"the accounts {first.name} and {account.name} have one uid, {account.uid}")
    for account, _first in _repeated(accounts, lambda each: each.name):
        yield case.violation(account.name, f"there are two accounts {account.name}")
    for group, other in _repeated(groups, lambda each: each.gid):
        place = f"group/{group.name}"
        yield case.violation(place, f"the groups {other.name} and {group.name} have one gid, {group.gid}")
    for group, _other in _repeated(groups, lambda each: each.name):
        yield case.violation(f"group/{group.name}", f"there are two groups {group.name}")
    yield from case.unread("accounts", "groups")


T = TypeVar("T")


def _repeated(items: Iterable[T], key: Callable[[T], Hashable]) -> Iterator[tuple[T, T]]:
    """Each item whose key an earlier one has, with the first of those."""
    first: dict[Hashable, T] = {}
    for item in items:
        earlier = first.setdefault(key(item), item)
        if earlier is not item:
            yield item, earlier
