"""From the facts of an image to what is locked of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attest.core.image.facts import ImageConfig, ImageFacts, PlatformFacts, Unread, View
from attest.core.lock.document import (
    LockedBase,
    LockedConfig,
    LockedHealthcheck,
    LockedPlatform,
    LockedSize,
    SetId,
)
from attest.core.reference import Digest
from attest.errors import Undecided

CHANGING_LABELS: Final = frozenset(
    {
        "org.opencontainers.image.created",
        "org.opencontainers.image.revision",
        "org.opencontainers.image.version",
        "org.opencontainers.image.ref.name",
        "org.opencontainers.image.base.name",
        "org.opencontainers.image.base.digest",
        "org.label-schema.build-date",
        "org.label-schema.vcs-ref",
        "org.label-schema.version",
        "build-date",
        "vcs-ref",
        "io.buildah.version",
    }
)
"""Labels that differ from build to build, or say with what it was built; the base has a part of its own."""


def platforms_by_name(facts: ImageFacts) -> Mapping[str, PlatformFacts]:
    """The platforms of an image by `os/architecture[/variant]`, sorted.

    Raises:
        Undecided: two of them have one name, and nobody can tell which is which in another build.
    """
    found = {str(platform.platform): platform for platform in facts.platforms}
    if len(found) != len(facts.platforms):
        raise Undecided(f"{facts.digest} has a platform twice, and nothing to tell the two apart by")
    return dict(sorted(found.items()))


def refuse_unread(facts: ImageFacts) -> None:
    """Raises:
    Undecided: something that a container sees could not be read, so that nobody knows all of the image.
    """
    for platform in facts.platforms:
        for unread in platform.unread:
            if unread.view is View.EFFECTIVE:
                raise Undecided(f"{platform.platform}: {unread_words(unread)}")


def unread_packages(facts: PlatformFacts) -> tuple[Unread, ...]:
    """What a container sees and nobody could read packages from: its list of packages is not the whole one."""
    return tuple(each for each in facts.unread if each.what == "packages" and each.view is View.EFFECTIVE)


def unread_words(unread: Unread) -> str:
    """What could not be read, and why, in words."""
    return f"the {unread.what} in {unread.path} cannot be read: {unread.reason}"


def locked_platform(facts: PlatformFacts, *, base: LockedBase | None = None) -> LockedPlatform:
    """What is locked of one platform. Of its base it is what the image claims, unless something else is known."""
    return LockedPlatform(
        base=base or _claimed(facts),
        config=_config(facts.config),
        executables=tuple(sorted({file.path for file in facts.executables})),
        packages=tuple(sorted({each.purl for each in facts.packages if each.view is View.EFFECTIVE})),
        setid={
            file.path: SetId(mode=file.mode, uid=file.uid, gid=file.gid, capabilities=file.capabilities)
            for file in facts.setid
        },
        size=LockedSize(compressed=facts.sizes.compressed, unpacked=facts.sizes.unpacked, wasted=facts.sizes.wasted),
    )


def _claimed(facts: PlatformFacts) -> LockedBase:
    """A digest without a name is left out: nobody can look it up, and buildah writes that of an image that it made on
    the way."""
    name = facts.base.name
    return LockedBase(name=name, digest=None if name is None else facts.base.digest, diff_ids=None)


def diff_ids(facts: PlatformFacts) -> tuple[Digest, ...]:
    """Of all layers, from the lowest up."""
    return tuple(layer.diff_id for layer in facts.layers)


def _config(config: ImageConfig) -> LockedConfig:
    check = config.healthcheck
    return LockedConfig(
        user=config.user,
        entrypoint=config.entrypoint or None,  # an empty one is none
        cmd=config.cmd or None,
        workdir=config.workdir,
        stop_signal=config.stop_signal,
        env=_env(config.env),
        exposed_ports=tuple(sorted(set(config.exposed_ports))),
        volumes=tuple(sorted(set(config.volumes))),
        healthcheck=None
        if check is None
        else LockedHealthcheck(
            test=check.test,
            interval=check.interval,
            timeout=check.timeout,
            start_period=check.start_period,
            start_interval=check.start_interval,
            retries=check.retries,
        ),
        labels={name: value for name, value in config.labels.items() if name not in CHANGING_LABELS},
        on_build=config.on_build,
        shell=config.shell or None,
    )


def _env(pairs: tuple[tuple[str, str], ...]) -> Mapping[str, str | tuple[str, ...]]:
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: found[0] if len(found) == 1 else tuple(found) for name, found in values.items()}
