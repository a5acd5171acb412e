"""A PostgreSQL server of the tests' own, from Debian's package, on a loopback port.

It refuses to run as root, so root starts it as another user, in a folder that this user can reach.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pwd
import re
import shutil
import signal
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg

from tests.parts.find import lacking
from tests.parts.process import LOOPBACK, Command, plain_environment, run, serve

OWNER = "owner"
PASSWORD = "correct horse"
_DEBIAN = Path("/usr/lib/postgresql")
_USERS = ("postgres", "nobody")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """A running server, whose `OWNER` may do everything, with a password."""

    port: int
    pid: int

    def url(self, database: str, *, user: str = OWNER, password: str = PASSWORD) -> str:
        """The URL of a database."""
        return f"postgresql://{user}:{password.replace(' ', '%20')}@{LOOPBACK}:{self.port}/{database}"

    def connect(self, database: str = "postgres", *, user: str = OWNER) -> psycopg.Connection:
        """A connection of its own, which commits each statement. Use it in a `with` block."""
        return psycopg.connect(self.url(database, user=user), autocommit=True)

    def make_database(self) -> str:
        """The name of a new, empty database."""
        name = f"db_{uuid.uuid4().hex}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name


@contextlib.contextmanager
def postgres() -> Iterator[Postgres]:
    """A server with an empty store, which writes as durably as one in service."""
    with data_folder() as folder, running(folder) as server:
        yield server


@contextlib.contextmanager
def data_folder() -> Iterator[Path]:
    """A folder with a fresh store, for `running`; gone with the block."""
    initdb = _program("initdb")
    made = Path(tempfile.mkdtemp(prefix="attest-postgres-"))
    try:
        password = made / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            user = _user()
            for path in (made, password):
                os.chown(path, user.pw_uid, user.pw_gid)
        options = ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync", f"--username={OWNER}"]
        arguments = [*_as_user(), str(initdb), *options, f"--pwfile={password}", str(made / "data")]
        run(Command(arguments=arguments, environment=plain_environment(made), directory=made))
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Postgres]:
    """The server of a folder, until the block ends; it may be started again on the same folder."""
    program = _program("postgres")

    def command(port: int) -> Command:
        settings = {
            "port": str(port),
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": str(folder),
            "dynamic_shared_memory_type": "mmap",  # nothing is left in /dev/shm when it is killed
            "shared_buffers": "16MB",
            "max_connections": "60",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Command(
            arguments=[*_as_user(), program, "-D", folder / "data", *options],
            environment=plain_environment(folder),
            directory=folder,
        )

    def answers(port: int) -> bool:
        try:
            with Postgres(port=port, pid=0).connect():
                return True
        except psycopg.OperationalError as error:
            raise ConnectionError(str(error)) from error

    with serve(command, answers=answers, log=folder / "server.log") as server:
        found = Postgres(port=server.port, pid=_postmaster(folder))
        try:
            yield found
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGINT)  # "fast": it does not wait for clients


def _postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split("\n")[0])


def _program(name: str) -> Path:
    """The program, which Debian keeps off PATH in a folder for each version; the newest is taken."""
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    versions = [path for path in _DEBIAN.glob(f"*/bin/{name}") if re.fullmatch("[0-9]+", path.parts[-3])]
    if not versions:
        lacking(f"{name} of PostgreSQL is not here; run .ci/parts --install")
    return max(versions, key=lambda path: int(path.parts[-3]))


def _user() -> pwd.struct_passwd:
    known = {user.pw_name: user for user in pwd.getpwall()}
    found = next((known[name] for name in _USERS if name in known), None)
    if found is None:
        lacking("there is no user whom PostgreSQL could run as")
    return found


def _as_user() -> list[str]:
    """How to become another user, and still end with the test run."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        lacking("setpriv is not here; as root PostgreSQL does not run")
    user = _user()
    return [
        setpriv,
        f"--reuid={user.pw_uid}",
        f"--regid={user.pw_gid}",
        "--clear-groups",
        "--pdeathsig=KILL",
        "--",
    ]
