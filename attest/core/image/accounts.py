"""Accounts and groups of an image: /etc/passwd, /etc/shadow and /etc/group.

Sources: passwd(5), shadow(5), group(5).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from attest.core.image.facts import Account, Group, Password

_LARGEST_ID: Final = 2**32 - 1


class AccountsInvalid(ValueError):
    """A line that no reader of accounts would take, or two would take differently."""


def parse_passwd(passwd: bytes, shadow: bytes | None) -> tuple[Account, ...]:
    """The accounts, in their order, with what the shadow file says of their passwords.

    An `x` stands for the password in the shadow file; without a line there nobody can log in with one.

    Raises:
        AccountsInvalid: a line is none.
    """
    hashes = {} if shadow is None else _hashes(shadow)
    found = []
    for fields in _lines(passwd, "passwd", 7):
        name, password, uid, gid, _, home, shell = fields
        kept = hashes.get(name, "*") if password == "x" else password  # noqa: S105 - a mark, not a password
        found.append(
            Account(
                name=name,
                uid=_id(uid, "passwd"),
                gid=_id(gid, "passwd"),
                home=home,
                shell=shell,
                password=_password(kept),
            )
        )
    return tuple(found)


def parse_group(group: bytes) -> tuple[Group, ...]:
    """The groups, in their order.

    Raises:
        AccountsInvalid: a line is none.
    """
    return tuple(
        Group(name=fields[0], gid=_id(fields[2], "group"), members=tuple(filter(None, fields[3].split(","))))
        for fields in _lines(group, "group", 4)
    )


def _hashes(shadow: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for fields in _lines(shadow, "shadow", 9):
        found.setdefault(fields[0], fields[1])  # the first line of a name counts (getspnam(3))
    return found


def _lines(content: bytes, file: str, count: int) -> Iterator[list[str]]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AccountsInvalid(f"{file} is not UTF-8 at byte {error.start}") from error
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split(":")
        if len(fields) != count or not fields[0] or "\0" in line:
            raise AccountsInvalid(f"line {number} of {file} does not have {count} fields")
        yield fields


def _id(text: str, file: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > _LARGEST_ID:
        raise AccountsInvalid(f"{file} has an id that is no number")
    return int(text)


def _password(text: str) -> Password:
    if not text:
        return Password.EMPTY
    return Password.LOCKED if text[0] in "!*" else Password.SET
