"""What a container was seen to run, and whether that is what a statement will be about.

An engine names an image by the digest of its manifest, of the index that the manifest was chosen from, or of its
configuration (the "image id"). Each of them stands for the same bytes: a manifest names its configuration by digest,
and a configuration its layers (image-spec, "Image Configuration", `rootfs.diff_ids`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attest.core.lane.testresult import image_resource
from attest.core.reference import Digest, is_digest
from attest.core.strictjson import Json, JsonInvalid, loads, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One container that runs now, as its runtime says."""

    container: str
    """How the user named it."""
    runtime: str
    """`docker`, `podman` or `hook`."""
    digests: frozenset[Digest]
    """Names of the one image that it runs."""
    instance: str | None = None
    """The runtime's own id of this container. Another container under the same name has another one."""
    started: str | None = None
    """When it was started, in the runtime's words. A container that was started again has another one."""
    mounts: tuple[str, ...] = ()
    """Where something that is not of the image is mounted into it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A container that ran one of the images before the command and after it."""

    observation: Observation
    image: Digest
    """The image, as it will be signed."""


class ObservationRefused(ValueError):
    """What runs is not what would be signed."""


def read_hook(content: bytes, *, hook: str) -> tuple[Observation, ...]:
    """What a hook printed: `{"digests": [...]}`, one digest for each container, with `instance` and `started` if known.

    Raises:
        ObservationRefused: it is anything else, or no digest at all.
    """
    try:
        document = loads(content)
    except JsonInvalid as error:
        raise ObservationRefused(f"the hook {hook} printed no strict JSON: {error}") from error
    if not isinstance(document, dict):
        raise ObservationRefused(f"the hook {hook} printed no JSON object")
    unknown = sorted(document.keys() - {"digests", "instance", "started"})
    if unknown:
        raise ObservationRefused(f"the hook {hook} printed {shown(unknown[0])}, which means nothing here")
    digests = document.get("digests")
    if not isinstance(digests, list) or not digests:
        raise ObservationRefused(f"the hook {hook} printed no digests")
    return tuple(
        Observation(
            container=hook,
            runtime="hook",
            digests=frozenset({_digest(digest, hook)}),
            instance=_text(document, "instance", hook),
            started=_text(document, "started", hook),
        )
        for digest in digests
    )


def match(observations: Sequence[Observation], images: Mapping[Digest, frozenset[Digest]]) -> tuple[Seen, ...]:
    """Which of the images each container runs. `images` has every digest that each may be known by.

    Raises:
        ObservationRefused: one runs something else, or an image runs in none of them.
    """
    found = []
    for observation in observations:
        image = next((image for image, aliases in images.items() if not aliases.isdisjoint(observation.digests)), None)
        if image is None:
            ran = ", ".join(sorted(observation.digests)) or "nothing that it names by a digest"
            raise ObservationRefused(
                f"{observation.container} runs {ran}, which is {'not' if len(images) == 1 else 'none of'} "
                f"{', '.join(sorted(images))}, nor a platform of it"
            )
        found.append(Seen(observation=observation, image=image))
    ran_at_all = {digest for observation in observations for digest in observation.digests}
    unseen = [image for image, aliases in images.items() if aliases.isdisjoint(ran_at_all)]
    if unseen:
        raise ObservationRefused(f"no container that was named runs {', '.join(sorted(unseen))}")
    return tuple(found)


def unchanged(before: Sequence[Seen], after: Sequence[Seen]) -> None:
    """Let only what ran all the time count.

    Raises:
        ObservationRefused: another container, or the same one started anew, or another image stands there now.
    """
    if len(before) != len(after):
        raise ObservationRefused(f"{len(before)} containers were there before the command, and {len(after)} after it")
    for old, new in zip(before, after, strict=True):
        name = old.observation.container
        if old.observation.instance != new.observation.instance:
            raise ObservationRefused(f"{name} is another container now than before the command")
        if old.observation.started != new.observation.started:
            raise ObservationRefused(f"{name} was started again while the command ran")
        if old != new:
            raise ObservationRefused(f"{name} is not what it was before the command")


def describe(seen: Sequence[Seen]) -> list[dict[str, Json]]:
    """The observations, for the extension `attest_observed` of a test-result."""
    return [
        {
            "container": one.observation.container,
            "runtime": one.observation.runtime,
            "image": one.image,
            "digests": sorted(one.observation.digests),
            "instance": one.observation.instance,
            "started": one.observation.started,
            "mounts": list(one.observation.mounts),
        }
        for one in seen
    ]


def descriptors(seen: Sequence[Seen]) -> list[dict[str, Json]]:
    """The same for `configuration`: the image that each container ran."""
    return [
        image_resource(one.observation.container, one.image, role="container", runtime=one.observation.runtime)
        for one in seen
    ]


def _digest(value: Json, hook: str) -> Digest:
    if not isinstance(value, str) or not is_digest(value):
        raise ObservationRefused(f"the hook {hook} printed {shown(value)} as a digest")
    return Digest(value)


def _text(document: dict[str, Json], name: str, hook: str) -> str | None:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise ObservationRefused(f"the hook {hook} printed a {name} that is no string")
    return value
