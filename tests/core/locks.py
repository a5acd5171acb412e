"""An image, its lock and what drift from it looks like, for tests."""

from __future__ import annotations

from typing import Any

from attest.core.image.facts import PlatformFacts
from attest.core.lock.locking import ContractLock, Drift, LockedContract, compare, make_lock
from attest.core.reference import digest_of
from tests.core.make_image import Layer, dpkg, image, whole
from tests.layerstacks import File

CONTRACT = LockedContract(name="python-web", digest=digest_of(b"contract"))
CAPABILITY = {"SCHILY.xattr.security.capability": "\1\0\0\2\0\4\0\0" + "\0" * 12}
BASE: Layer = (
    "ADD base",
    [dpkg(libc="2.36", zlib="1.2"), File("bin/sh", b"sh", mode=0o755), File("bin/su", b"su", mode=0o4755)],
)
APP: Layer = ("COPY app /srv/app", [File("srv/app", b"application", mode=0o755)])
CONFIG = {
    "User": "app",
    "Entrypoint": ["/srv/app"],
    "WorkingDir": "/srv",
    "StopSignal": "SIGTERM",
    "Env": ["PATH=/bin", "MODE=production"],
    "ExposedPorts": {"8080/tcp": {}},
    "Volumes": {"/data": {}},
    "Labels": {"team": "plex", "org.opencontainers.image.revision": "4a0d2f6"},
    "Healthcheck": {"Test": ["CMD", "/srv/app", "--check"], "Interval": 30_000_000_000},
}
STEPS = (
    "/bin/sh -c #(nop) USER app",
    "ENV PATH=/bin MODE=production",
    "EXPOSE map[8080/tcp:{}]",
    "VOLUME [/data]",
)
GOOD = image(BASE, APP, config=CONFIG, steps=STEPS)
UPSTREAM = image(BASE)
"""What `GOOD` was built on."""


def lock(*platforms: PlatformFacts) -> ContractLock:
    """The lock of an image of these platforms; of the good one without any."""
    return make_lock(whole(*(platforms or (GOOD,))), contract=CONTRACT)


def drift(after: PlatformFacts, before: PlatformFacts = GOOD, **more: Any) -> list[Drift]:
    """How an image differs from the lock of another."""
    return list(compare(lock(before), whole(after), **more))


def only(found: list[Drift]) -> Drift:
    """The one difference that there is."""
    assert len(found) == 1, [each.message for each in found]
    return found[0]


def broken(database: bytes = b"no database") -> PlatformFacts:
    """An image whose packages nobody can tell."""
    return image(BASE, ("RUN break", [File("var/lib/dpkg/status", database)]))


def told(found: Drift) -> tuple[str, str, str]:
    """What people see of it: what happened, the sentence, and the layer and step."""
    return found.kind.value, found.message, str(found.origin)
