"""`attest deploy`."""

from __future__ import annotations

import click

from attest.cli.images import choose_images, load_release, release_option
from attest.cli.options import delivery_options, format_option
from attest.cli.sites import Who, reason_of, site, who_options
from attest.cli.stores import Connection, Stores
from attest.cli.waivers import read_waiver, waiver_option
from attest.core.reference import RegistryImage
from attest.errors import UsageError


@click.command(
    "deploy",
    epilog="""\b
Examples:
  attest deploy staging.yaml --release release.yaml
  attest deploy staging.yaml registry.example.org/staging/backend@sha256:...
  attest deploy staging.yaml --release release.yaml --automatic
  attest deploy staging.yaml --release release.yaml --reason "mends the login" --format json
  attest deploy staging.yaml --release release.yaml --waiver waiver.json
""",
)
@click.argument("environment", type=click.Path())
@click.argument("images", nargs=-1)
@release_option
@click.option("--automatic", is_flag=True, help="Nobody watches: give way to a rollback until somebody ends its hold.")
@click.option("--reason", metavar="TEXT", help="Why, for the ledger.")
@waiver_option
@who_options
@format_option
@delivery_options
def command(
    environment: str,
    images: tuple[str, ...],
    release_file: str | None,
    automatic: bool,
    reason: str | None,
    waivers: tuple[str, ...],
    actor: str | None,
    wait: float,
    password_file: str | None,
    output: str,
    store_timeout: float,
    plain_http: bool,
    ca_file: str | None,
    token_hosts: tuple[str, ...],
) -> int:
    """Have a release run in ENVIRONMENT, a file: verified first, told by digest, observed, probed.

    Name an image of every service, or a release file; each is pulled from the repository that the environment binds its
    service to. Refused, nothing is touched, and the ledger says why. A release that fails its probes is rolled back
    where the environment says so. What an interrupted command left behind is finished or undone first.

    In an emergency a signed waiver lets lanes be lacking; what runs by it is recorded as waived, and nothing ever goes
    back to it.

    Exit codes: 0 it runs, confirmed by digest and healthy; 1 refused, failed or rolled back; 2 a wrong command line or
    document; 3 it could not be decided.
    """
    connection = Connection(timeout=store_timeout, plain_http=plain_http, ca_file=ca_file, token_hosts=token_hosts)
    who = Who(actor=actor, wait=wait, password_file=password_file)
    why = reason_of(reason)
    if release_file is not None and not images:
        release = load_release(release_file)
        named: tuple[RegistryImage, ...] = ()
    else:
        release = None
        chosen = choose_images(Stores(connection), images, (), release_file)
        named = tuple(_in_registry(image.reference) for image in chosen.images)
    with site(environment, connection, who) as place:
        from attest.cli.deliveries import finish
        from attest.core.delivery.fitting import release_of_file, release_of_images
        from attest.core.delivery.records import Trigger
        from attest.ops.delivery.deploy import Wanted, deploy

        wanted = Wanted(
            release=release_of_images(place.environment, named)
            if release is None
            else release_of_file(place.environment, release),
            trigger=Trigger.AUTOMATIC if automatic else Trigger.EXPLICIT,
            reason=why,
            presented=read_waiver(waivers, environment=place.environment.name),
        )
        done = deploy(place, wanted)
        return finish(done, place.policy, environment=place.environment.name, output=output)


def _in_registry(image: object) -> RegistryImage:
    if isinstance(image, RegistryImage):
        return image
    raise UsageError(f"{image} is in a layout, and nothing is deployed from there", hint="`attest promote` moves it")
