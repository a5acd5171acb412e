"""Who signs: a private key that a command line names, before witnesses or not, or the identity of a job."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from attest.adapters.deadline import Deadline
from attest.adapters.files import read_file
from attest.cli.folders import trust_cache
from attest.cli.options import password_option
from attest.cli.terminal import escape
from attest.core import limits
from attest.core.statement import Context, format_time
from attest.errors import UsageError
from attest.ops.sign import Unwitnessed, agree
from attest.ports import BundleSigner, Clock, Signed

if TYPE_CHECKING:
    from attest.adapters.keys import KeySigner
    from attest.adapters.sigstore.configuration import Services
    from attest.adapters.sigstore.exchange import Network
    from attest.adapters.sigstore.tokens import Token

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerOptions:
    """What the command line says about who signs.

    Raises:
        UsageError: nobody signs, or two do, or an option has no part in who does.
    """

    key: str | None
    password_file: str | None
    keyless: bool
    trust_config: str | None
    identity_token: str | None

    def __post_init__(self) -> None:
        if self.key is not None and self.keyless:
            raise UsageError("--key and --keyless exclude each other", hint="a signature has one signer")
        if self.key is None and not self.keyless:
            raise UsageError("nothing says who signs", hint="give --key FILE, or --keyless in a job of a forge")
        if self.keyless and self.password_file is not None:
            raise UsageError("--password-file has no place beside --keyless", hint="there is no key file to open")
        if not self.keyless and self.identity_token is not None:
            raise UsageError("--identity-token has no place without --keyless", hint="a key signs without a token")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Who signs, and what there is to say about it."""

    signer: BundleSigner
    token: Token | None = None
    services: Services | None = None
    deadline: Deadline | None = field(default=None, repr=False)
    """Of the services; the registry has to keep to it, too."""

    def lines(self) -> Iterator[str]:
        """What will be used, for people."""
        if self.token is not None:
            yield f"  issuer      {escape(self.token.claims.issuer)}  ({escape(self.token.place)})"
            if self.token.claims.job is None:
                yield (
                    f"  {click.style('warning', fg='yellow')}     the identity token is not one of a job, so it "
                    "confirms nothing of this context"
                )
        for name, url in self.names().items():
            yield f"  service     {escape(url)}  ({escape(name)})"

    def names(self) -> Mapping[str, str]:
        """The services, by what they do."""
        return {} if self.services is None else self.services.names()


def signer_options(function: F) -> F:
    """`--key` with its passphrase, or `--keyless` with its token, and the services for both."""
    for option in (
        click.option(
            "--identity-token",
            metavar="FILE",
            type=click.Path(),
            help="Sign as the identity of the token in here, not of this job's; - is standard input.",
        ),
        click.option(
            "--trust-config",
            metavar="FILE",
            type=click.Path(),
            help="Client trust configuration: whom to ask for certificates, timestamps and log entries. With --key, "
            "have them witness the signature; with --keyless, instead of the public-good instance.",
        ),
        click.option("--keyless", is_flag=True, help="Sign as what this job is, by its forge's identity token."),
        password_option,
        click.option("--key", metavar="FILE", type=click.Path(), help="Private key of the lane: PEM, or cosign's."),
    ):
        function = option(function)
    return function


def choose_signer(
    options: SignerOptions,
    context: Context,
    *,
    timeout: float,
    ca_file: str | None,
    clock: Clock,
    opened: KeySigner | None = None,
) -> Chosen:
    """Who signs this context. `opened` is the key of the options, where somebody opened it already.

    Raises:
        UsageError, KeyUnusable, DocumentInvalid: there is no token, or a file of an option cannot be used.
        TokenUnusable, TokenDisagrees: the identity token cannot be used, or is not of the job that the context says.
        ServiceFailed: no token or trust configuration could be fetched.
    """
    key = opened
    if key is None and options.key is not None:
        key = open_signer(options.key, options.password_file)
    if key is not None and options.trust_config is None:
        return Chosen(signer=Unwitnessed(key=key))
    from attest.adapters.sigstore.exchange import Network

    network = Network(deadline=Deadline(timeout), ca_file=ca_file)
    configuration = None if options.trust_config is None else _services(options.trust_config)
    if key is not None and configuration is not None:
        from attest.adapters.sigstore.witness import make_witnessed

        witnessed = make_witnessed(key, configuration, network)
        return Chosen(signer=witnessed, services=configuration, deadline=network.deadline)
    return _keyless(options, context, configuration, network, clock)


def _keyless(
    options: SignerOptions, context: Context, configuration: Services | None, network: Network, clock: Clock
) -> Chosen:
    from attest.adapters.sigstore.configuration import public_good
    from attest.adapters.sigstore.tokens import find_token

    token = find_token(os.environ, file=options.identity_token, network=network, now=clock.now())
    agree(token.claims, context)
    services = public_good(trust_cache(), network) if configuration is None else configuration
    from attest.adapters.sigstore.signing import make_keyless

    signer = make_keyless(services, network, token)
    return Chosen(signer=signer, token=token, services=services, deadline=network.deadline)


def _services(path: str) -> Services:
    from attest.adapters.sigstore.configuration import read_services

    return read_services(read_file(path, limit=limits.DOCUMENT), file=path)


def signed_lines(signed: Signed) -> Iterator[str]:
    """Who signed, as the certificate says, and when it was seen; for people."""
    if signed.certificate is not None:
        yield f"  identity    {escape(signed.certificate.identity)}  (certificate)"
    for time in signed.times:
        yield f"  seen        {format_time(time)}  (verified)"


def signed_document(signed: Signed, chosen: Chosen) -> dict[str, Any]:
    """The same for scripts."""
    certificate = signed.certificate
    return {
        "key": signed.fingerprint,
        "issuer": None if certificate is None else certificate.issuer,
        "identity": None if certificate is None else certificate.identity,
        "services": dict(chosen.names()),
        "times": [format_time(time) for time in signed.times],
    }


def open_signer(path: str, password_file: str | None) -> KeySigner:
    """The signer of a key file; its passphrase is asked for only if it has one.

    Raises:
        KeyUnusable, UsageError: it cannot be read, or there is no passphrase to be had.
    """
    from attest.adapters.keys import load_signer, read_passphrase

    def passphrase() -> bytes:
        return read_passphrase(
            password_file=None if password_file is None else Path(password_file),
            environment=os.environ,
            prompt=prompt_for(f"Passphrase of {path}"),
        )

    signer = load_signer(Path(path), passphrase)
    for warning in signer.warnings:
        click.echo(f"{click.style('warning', fg='yellow')}: {escape(path)}: {escape(warning)}", err=True)
    return signer


def prompt_for(question: str, *, confirm: bool = False) -> Callable[[], str] | None:
    """A way to ask at the terminal, or None where there is nobody to ask."""
    if sys.stdin is None or not sys.stdin.isatty():
        return None

    def ask() -> str:
        answer: str = click.prompt(
            escape(question), hide_input=True, confirmation_prompt=confirm, err=True, default="", show_default=False
        )
        return answer

    return ask
