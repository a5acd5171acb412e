"""What `attest run` does, joined from its parts: look, run, look again, sign, attach."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from attest import __version__
from attest.adapters.clock import SystemClock
from attest.adapters.files import write_file
from attest.adapters.fresh import FreshFiles
from attest.adapters.keys.passphrase import VARIABLE as PASSPHRASE
from attest.adapters.links import record_artifacts
from attest.adapters.process import find_program, run_command
from attest.cli.checkout import Here, look_here
from attest.cli.claims import Claims, collect_claims
from attest.cli.images import choose_images
from attest.cli.laneoptions import LaneOptions
from attest.cli.progress import waiting
from attest.cli.reports import FreshReports, read_demands, result_line
from attest.cli.signers import Chosen, SignerOptions, choose_signer, open_signer, signed_document, signed_lines
from attest.cli.stores import Connection, Stores
from attest.cli.terminal import escape, json_text
from attest.core import limits
from attest.core.lane import observation, outcome
from attest.core.lane.link import LINK
from attest.core.lane.testresult import image_resource, tool_resource
from attest.core.oci import BUNDLE
from attest.core.predicates import TEST_RESULT, PredicateInvalid, test_result
from attest.core.reference import Digest, RegistryImage, parse_reference
from attest.core.statement import Context, StatementInvalid, write_context
from attest.core.strictjson import Json
from attest.errors import AttestError, DeadlineExceeded, NotSigned, UsageError
from attest.ops.named import Named
from attest.ops.reports import predicate_of
from attest.ops.run import (
    Command,
    Demands,
    Found,
    Ran,
    Ready,
    World,
    look_again,
    prepare,
    run_lane,
    told_environment,
)
from attest.ops.sign import Attachment, Target, attach, bundle_digest, describe, sign

if TYPE_CHECKING:
    from attest.adapters.containers import Engine, Runner
    from attest.adapters.keys import KeySigner
    from attest.core.lane.observation import Observation
    from attest.ports import Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What is known before the command runs."""

    claims: Claims
    here: Here
    demands: Demands
    key: KeySigner | None
    images: tuple[Named, ...]
    command: Command
    world: World
    reports: FreshReports | None
    runner: Runner | None
    ready: Ready


class LaneRun:
    """One `attest run`."""

    def __init__(self, options: LaneOptions, signer: SignerOptions, connection: Connection) -> None:
        self._options = options
        self._signer = signer
        self._connection = connection
        self._clock = SystemClock()

    def run(self) -> int:
        """The exit code.

        Raises:
            AttestError: the command was not started.
            NotSigned: it ended, and nothing was signed about it.
        """
        with ExitStack() as stack:
            try:
                before = self._before(stack)
            except DeadlineExceeded as error:
                raise DeadlineExceeded(error.message, hint=_STORE_TIMEOUT) from error
            ran = run_lane(before.command, before.world, before.ready)
            try:
                found = look_again(ran, before.world, before.ready, before.demands)
                code, summary = self._after(before, found)
            except AttestError as error:
                raise _not_signed(error, ran) from error
        if self._options.summary is not None:
            write_file(self._options.summary, (json_text(summary) + "\n").encode())
        return code

    # ---- before the command: whatever can fail, the cheap first

    def _before(self, stack: ExitStack) -> Before:
        options = self._options
        options.check()
        if options.runner_image is None:
            find_program(options.argv)
        elif not options.argv:
            find_program(())
        demands = read_demands(options.reports, options.min_coverage, options.allow_empty)
        claims = collect_claims(options.lane, dict(options.claims), clock=self._clock)
        here = look_here(claims.context, elsewhere=options.source_elsewhere)
        reports = None
        if options.reports:
            reports = FreshReports(files=FreshFiles(options.reports, limit=limits.REPORT))
        key = None if self._signer.key is None else open_signer(self._signer.key, self._signer.password_file)
        chosen = self._choose(claims.context, key)
        stores = Stores(self._connection)
        release = choose_images(stores, options.images, options.repositories, options.release_file)
        release.agree(claims.context.commit, place=claims.commit_place)
        shown = replace(claims, context=claims.context._replace(finished=None))  # it has not even begun
        for line in (*shown.lines(), *chosen.lines()):
            click.echo(line, err=True)
        with waiting("looking at the images"):
            describe(stores, [image.reference for image in release.images])
            aliases = _aliases(stores, release.images) if options.observes else {}
        runner = self._runner(stack)
        command = Command(
            argv=options.argv,
            executed=options.argv if runner is None else runner.argv,
            timeout=options.timeout,
            materials=options.materials,
            products=options.products,
            environment=told_environment(options.variables, os.environ),
        )
        world = World(
            run=partial(run_command, environment=_without_passphrase(os.environ)),
            record=record_artifacts,
            observe=self._observe if options.observes else None,
            reports=reports,
            clock=self._clock,
        )
        ready = prepare(command, world, aliases)
        for seen in ready.seen:
            click.echo(f"  observed    {escape(seen.observation.container)} runs {seen.image}", err=True)
        sys.stdout.flush()
        return Before(
            claims=claims,
            here=here,
            demands=demands,
            key=key,
            images=release.images,
            command=command,
            world=world,
            reports=reports,
            runner=runner,
            ready=ready,
        )

    def _engine(self) -> Engine:
        from attest.adapters.containers import EngineName, find_engine

        return find_engine(None if self._options.engine is None else EngineName(self._options.engine))

    def _runner(self, stack: ExitStack) -> Runner | None:
        if self._options.runner_image is None:
            return None
        from attest.adapters.containers import RunnerOptions, runner

        options = RunnerOptions(
            image=_runner_image(self._options.runner_image),
            network=self._options.runner_network,
            user=self._options.runner_user,
            environment=self._options.variables,
        )
        return stack.enter_context(runner(self._engine(), options, self._options.argv, folder=str(Path.cwd())))

    def _observe(self) -> Sequence[Observation]:
        from attest.adapters.containers import observe_by_hook, observe_container

        found = [observe_container(self._engine(), name) for name in self._options.containers]
        for hook in self._options.hooks:
            found += observe_by_hook(hook)
        return found

    def _choose(self, context: Context, key: KeySigner | None) -> Chosen:
        return choose_signer(
            self._signer,
            context,
            timeout=self._connection.timeout,
            ca_file=self._connection.ca_file,
            clock=self._clock,
            opened=key,
        )

    # ---- after it

    def _after(self, before: Before, found: Found) -> tuple[int, dict[str, Any]]:
        options, decided, ran = self._options, found.decided, found.ran
        now = look_here(before.claims.context, elsewhere=options.source_elsewhere)
        context = before.claims.context._replace(
            started=ran.started,
            finished=ran.finished,
            dirty=before.claims.context.dirty or (now.dirty and not options.source_elsewhere),
        )
        click.echo(result_line(decided.result, decided.reasons), err=True)
        # A token of before the command may be too old by now, and so may the time that the services were given.
        chosen = self._choose(context, before.key)
        connection = self._connection
        if chosen.deadline is not None:
            connection = replace(connection, timeout=chosen.deadline.remaining())
        stores = Stores(connection)
        with waiting("signing" if options.no_push else "attaching the attestations"):
            targets = () if options.no_push else describe(stores, [image.reference for image in before.images])
            signing = _Signing(stores, targets, before.images, chosen, context, self._clock)
            # The link first: whoever finds the result finds what it rests on.
            link = signing.sign(LINK, found.link(options.lane), options.link_output)
            keep = None if options.no_push else stores
            predicate = _predicate(before, found, now, link.signed.bundle, context, keep)
            result = signing.sign(TEST_RESULT, predicate, options.output_file)
        for line in signed_lines(result.signed):
            click.echo(line, err=True)
        for item in result.attachments:
            click.echo(f"attached    {escape(str(item.image))}", err=True)
        click.echo(f"bundle      {bundle_digest(result.signed.bundle)}  (test-result)", err=True)
        click.echo(f"bundle      {bundle_digest(link.signed.bundle)}  (link)", err=True)
        code = decided.exit_code(ran.ended)
        return code, _summary(before, found, context, result, link, chosen, code)


@dataclass(frozen=True, slots=True)
class _Made:
    """A bundle, and where it is attached."""

    signed: Signed
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True, slots=True)
class _Signing:
    """Signs about the images of the lane, in its context, and attaches what was signed."""

    stores: Stores
    targets: Sequence[Target]
    images: Sequence[Named]
    chosen: Chosen
    context: Context
    clock: SystemClock

    def sign(self, predicate_type: str, predicate: Mapping[str, Json], file: str | None) -> _Made:
        """Sign and attach one statement, and write it to a file where there is one."""
        try:
            signed = sign(
                self.images,
                signer=self.chosen.signer,
                context=self.context,
                predicate_type=predicate_type,
                predicate=predicate,
            )
        except (StatementInvalid, PredicateInvalid) as error:
            raise UsageError(f"this cannot be signed: {error}") from error
        if file is not None:
            write_file(file, signed.bundle)
        attached = attach(self.stores, self.targets, signed.bundle, clock=self.clock) if self.targets else ()
        return _Made(signed, attached)


def _without_passphrase(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the command: it does not sign, so it has no business with the key."""
    return {name: value for name, value in environment.items() if name != PASSPHRASE}


_STORE_TIMEOUT = "--store-timeout SECONDS gives registries and services more time"


def _not_signed(error: AttestError, ran: Ran) -> NotSigned:
    hint = _STORE_TIMEOUT if isinstance(error, DeadlineExceeded) else error.hint
    return NotSigned(
        f"the command ended with {ran.ended.status}, but its result is not signed and attached: {error.message}",
        status=ran.ended.status,
        hint=hint,
    )


def _aliases(stores: Stores, images: Sequence[Named]) -> dict[Digest, frozenset[Digest]]:
    return {image.reference.digest: stores.aliases(image.reference) for image in images}


def _runner_image(text: str) -> RegistryImage:
    reference = parse_reference(text)
    if not isinstance(reference, RegistryImage):
        raise UsageError(
            f"--runner-image {text} does not name an image in a registry by its digest",
            hint="attest resolve prints what a tag stands for now",
        )
    return reference


def _predicate(
    before: Before, found: Found, here: Here, link: bytes, context: Context, stores: Stores | None
) -> dict[str, Json]:
    """The test-result: what decided it, and what it was made with."""
    configuration: list[Mapping[str, Json]] = [*observation.descriptors(found.seen)]
    if before.runner is not None:
        image = before.runner.image
        configuration.append(image_resource(str(image), image.digest, role="runner"))
    checkout = here.descriptor()
    if checkout is not None:
        configuration.append(checkout)
    configuration.append(tool_resource("attest", __version__))
    configuration.append({"name": "link", "uri": LINK, "mediaType": BUNDLE, "digest": _digest_set(bundle_digest(link))})
    if found.judged is None or before.reports is None:
        made = test_result(found.decided.result, configuration, url=context.run_url)
        made["attest_reasons"] = list(found.decided.reasons)
    else:
        made = predicate_of(
            replace(found.judged, result=found.decided.result, reasons=found.decided.reasons),
            before.reports.contents,
            store=stores,
            images=[image.reference for image in before.images],
            configuration=configuration,
            url=context.run_url,
        )
    made["attest_run"] = outcome.describe(found.ran.ended)
    if found.seen:
        made["attest_observed"] = list(observation.describe(found.seen))
    return made


def _digest_set(digest: Digest) -> dict[str, Json]:
    return {"sha256": digest.removeprefix("sha256:")}


def _summary(
    before: Before, found: Found, context: Context, result: _Made, link: _Made, chosen: Chosen, code: int
) -> dict[str, Any]:
    return {
        "schema": "attest.ran/v1",
        "lane": context.lane,
        "exit_code": code,
        "result": found.decided.result,
        "reasons": list(found.decided.reasons),
        "command": outcome.describe(found.ran.ended),
        "observed": observation.describe(found.seen),
        "bundle": bundle_digest(result.signed.bundle),
        "link": bundle_digest(link.signed.bundle),
        "images": [str(image.reference) for image in before.images],
        "attached": [{"image": str(one.image), "manifest": one.published.manifest} for one in result.attachments],
        **signed_document(result.signed, chosen),
        "context": {name.rpartition("/")[2]: value for name, value in write_context(context).items()},
    }
