"""Environments with everything that speaks to them: ledger, target, probes, registries, policy."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, assert_never

import click

from attest import __version__
from attest.adapters.clock import SystemClock
from attest.cli.environments import load_environment
from attest.cli.ledgers import opened
from attest.cli.options import Seconds
from attest.cli.policies import load_policy
from attest.cli.spans import traced
from attest.cli.stores import Connection, Stores
from attest.cli.streams import complain
from attest.cli.terminal import escape
from attest.core.environment.definition import ComposeTarget, Environment, HookTarget, KubernetesTarget
from attest.core.ledger.chain import RecordInvalid
from attest.errors import AttestError, UsageError

if TYPE_CHECKING:
    from attest.adapters.keys import KeySigner
    from attest.ledgerports import Ledger
    from attest.ops.delivery.site import Site
    from attest.ops.delivery.stops import Desk
    from attest.targetports import LookInside, Prober, Target

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_WAIT = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """What the command line says about who acts, and how long others are waited for."""

    actor: str | None
    wait: float
    password_file: str | None

    @property
    def name(self) -> str:
        """Who the ledger says it was."""
        return self.actor or f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    """The user's name; in a container that has no name for the user, the number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # which of them depends on the version of Python
        return f"uid {os.getuid()}"


def who_options(function: F) -> F:
    """`--actor`, `--wait` and `--password-file`."""
    for option in (
        click.option(
            "--password-file",
            metavar="FILE",
            type=click.Path(),
            help="Read the passphrase of the ledger's signer from here, not from ATTEST_KEY_PASSWORD or a prompt.",
        ),
        click.option(
            "--wait",
            metavar="SECONDS",
            type=Seconds(zero=True),
            default=DEFAULT_WAIT,
            show_default=True,
            help="Wait this long for another deployer of the environment.",
        ),
        click.option("--actor", metavar="TEXT", help="Who the ledger says it was.  [default: user@host]"),
    ):
        function = option(function)
    return function


def reason_of(text: str | None) -> str | None:
    """A reason as the ledger takes it.

    Raises:
        UsageError: it is no line of 1 to 500 characters.
    """
    if text is not None and (not text.strip() or len(text) > 500 or "\n" in text or not _is_unicode(text)):
        raise UsageError("--reason is a line of at most 500 characters", hint="say in one line why")
    return text


def _is_unicode(text: str) -> bool:
    """Whether it is; what a shell hands over may be any bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def site(file: str, connection: Connection, who: Who) -> Iterator[Site]:
    """The environment in a file, with everything that speaks to it. Its ledger's signed head is kept up to date.

    What was done there is printed within the block: an error in signing the head behind it must not keep that back.

    Raises:
        DocumentInvalid: the environment, its policy or what they name is wrong.
        UsageError: a program that its target needs is not there.
        LedgerError: the ledger is not there, cannot be used, or does not agree with its signed heads.
    """
    from attest.ops.delivery.site import Site

    environment = load_environment(file)
    policy = load_policy(environment.policy, timeout=connection.timeout)
    target, look_inside = open_target(environment)
    with _telling() as told, _ledger(environment, connection, who) as ledger, traced(environment.name, ledger):
        yield Site(
            environment=environment,
            policy=policy,
            ledger=ledger,
            target=target,
            prober=_prober(environment, target, look_inside),
            open_store=lambda: Stores(connection),
            clock=SystemClock(),
            pause=time.sleep,
            tell=lambda text: complain(f"{environment.name}: {escape(text)}"),
            actor=who.name,
            version=__version__,
            wait=timedelta(seconds=who.wait),
        )
        told()


@contextmanager
def desk(file: str, connection: Connection, who: Who) -> Iterator[Desk]:
    """The environment in a file for somebody who only says something about it, and prints that within the block.

    Raises:
        DocumentInvalid: it is none.
        LedgerError: as for `site`.
    """
    with _telling() as told, desk_of(load_environment(file), connection, who) as made:
        yield made
        told()


@contextmanager
def desk_of(environment: Environment, connection: Connection, who: Who) -> Iterator[Desk]:
    """The same of an environment that was read already."""
    from attest.ops.delivery.stops import Desk

    with _ledger(environment, connection, who) as ledger:
        yield Desk(
            environment=environment.name,
            ledger=ledger,
            clock=SystemClock(),
            actor=who.name,
            wait=timedelta(seconds=who.wait),
        )


def open_target(environment: Environment) -> tuple[Target, LookInside | None]:
    """Where the services of an environment run, and the way into their containers, where there is one.

    Raises:
        UsageError: a program that it needs is not there.
    """
    place, services, name = environment.target, environment.services, environment.name
    match place:
        case ComposeTarget():
            from attest.adapters.compose import Compose

            compose = Compose(place, services, environment=name)
            return compose, compose.look_inside
        case KubernetesTarget():
            from attest.adapters.kubernetes import Kubernetes

            kubernetes = Kubernetes(place, services, environment=name)
            return kubernetes, kubernetes.look_inside
        case HookTarget():
            from attest.adapters.hook import Hook

            return Hook(place, services, environment=name), None
        case other:
            assert_never(other)


def _prober(environment: Environment, target: Target, look_inside: LookInside | None) -> Prober:
    from attest.adapters.probes import Probes

    return Probes(environment.services, observe=target.observe, look_inside=look_inside)


@contextmanager
def _telling() -> Iterator[Callable[[], None]]:
    """Mark an error that comes after what the block prints: one document has been printed, and no other may follow."""
    printed: list[bool] = []
    try:
        yield lambda: printed.append(True)
    except AttestError as error:
        error.told = bool(printed)
        raise


@contextmanager
def _ledger(environment: Environment, connection: Connection, who: Who) -> Iterator[Ledger]:
    """The ledger. Where its signed head is kept somewhere, the two have to agree before anything is done."""
    check_actor(who.name)
    place = environment.ledger
    with opened(place.url.url) as ledger:
        if place.signer is None or place.head is None:
            yield ledger
            return
        from attest.cli.signers import open_signer
        from attest.core.verify import Keyring
        from attest.ops.ledgerhead import agree, heads_in, publish_head
        from attest.ops.sign import Unwitnessed

        head = place.head
        signer: KeySigner = open_signer(place.signer, who.password_file)
        keyring = Keyring([signer.public])
        before = ledger.head()
        heads = heads_in(Stores(connection), head, keyring=keyring)
        agree(ledger, heads)
        if before is not None and not heads.kept:
            problem = f"the ledger has {before.seq} records, and {head} keeps no signed head of it"
            complain(f"{environment.name}: {problem}: what was cut off its end would not show")

        def publish() -> None:
            if ledger.head() == before:
                return
            pushing = Connection(
                timeout=connection.timeout,
                plain_http=connection.plain_http,
                ca_file=connection.ca_file,
                token_hosts=connection.token_hosts,
                push=True,
            )
            complain(f"{environment.name}: signing the head of the ledger")
            store, key = Stores(pushing), Unwitnessed(key=signer)
            publish_head(ledger, store, head, signer=key, keyring=keyring, clock=SystemClock())

        try:
            yield ledger
        except BaseException:
            try:  # what was recorded before it ended is worth a head as well, but not another error
                publish()
            except AttestError as error:
                complain(f"{environment.name}: the head of the ledger was not pushed: {escape(error.message)}")
            raise
        publish()


def check_actor(name: str) -> None:
    """Let nothing begin under a name that the ledger would not take.

    Raises:
        UsageError: it is no line of 1 to 256 characters.
    """
    from attest.core.ledger.chain import Entry

    try:
        Entry(type="environment.observed", environment="any", actor=name, payload={})
    except RecordInvalid as error:
        raise UsageError(f"--actor: {error}", hint="name who acts in one line") from error
