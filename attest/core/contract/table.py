"""The table of all checks that a contract can ask for: what each is called elsewhere, why it matters, what to change.

The reference of their parameters is docs/contract.md, whose table a test compares with this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attest.core.contract.finding import LOCK_DRIFT, Check


def _check(name: str, *aliases: str, why: str, fix: str) -> Check:
    return Check(id=name, aliases=aliases, why=why, fix=fix)


CHECKS: Final = (
    _check(
        "user.nonroot",
        "CIS-DI-0001",
        "DS-0002",
        "metadataTest.user",
        why="A process that runs as root owns every file of the container, and more of the host once it breaks out.",
        fix="Create an account in the image and end the build with `USER name` or `USER uid:gid`.",
    ),
    _check(
        "config.entrypoint",
        "metadataTest.entrypoint",
        why="A shell in front of the program swallows the signals that should stop it, and has to be in the image.",
        fix='Write the entry point as a list: `ENTRYPOINT ["/usr/bin/service"]`.',
    ),
    _check(
        "config.cmd",
        "metadataTest.cmd",
        why="What starts by default is part of what was tested, and a shell in front of it swallows signals.",
        fix='Write the command as a list: `CMD ["--port", "8080"]`.',
    ),
    _check(
        "config.workdir",
        "metadataTest.workdir",
        why="Relative paths begin at the working directory, and that is the root of the filesystem unless it is set.",
        fix="Set an absolute path: `WORKDIR /srv/app`.",
    ),
    _check(
        "config.stopsignal",
        why="A program that is not stopped by the signal it listens to is killed, with whatever it was doing.",
        fix="Set the signal that the program handles: `STOPSIGNAL SIGTERM`.",
    ),
    _check(
        "label.required",
        "metadataTest.labels",
        why="An image in production has to lead back to its source, revision and licence without a search.",
        fix="Set the labels in the build, from the same values that are pushed with it.",
    ),
    _check(
        "port.allowed",
        "DS-0004",
        "metadataTest.exposedPorts",
        why="A port that is exposed says that something listens there, and platforms publish it.",
        fix="Remove the `EXPOSE`, or add the port to the contract if the service is meant to be reached there.",
    ),
    _check(
        "volume.allowed",
        "metadataTest.volumes",
        why="An anonymous volume keeps data beyond the container and hides what the image has at its place.",
        fix="Remove the `VOLUME` and mount storage where the service is deployed.",
    ),
    _check(
        "env.secret",
        "CIS-DI-0010",
        why="Whoever can pull the image can read its configuration and its build steps.",
        fix="Revoke the secret; give secrets to builds with `--mount=type=secret` and to services when they start.",
    ),
    _check(
        "file.secret",
        "CIS-DI-0010",
        why="Whoever can pull the image can read every file of every layer, those that a later layer deletes as well.",
        fix="Revoke the secret, and keep it out of the build; deleting the file in a later step does not remove it.",
    ),
    _check(
        "file.setid",
        "CIS-DI-0008",
        why="A file with set-id bits or capabilities gives its rights to everybody who runs it.",
        fix="Remove the bits in the step that brings the file: `chmod a-s FILE`, `setcap -r FILE`.",
    ),
    _check(
        "file.world_writable",
        "CIS-DI-0008",
        why="What every process may write to, any process may replace with its own.",
        fix="Remove the permission in the step that brings it: `chmod o-w PATH`, or `chmod +t` for a shared directory.",
    ),
    _check(
        "path.forbidden",
        "fileExistenceTests",
        why="Some files belong in a build and never in what runs: sources, caches, keys, tests.",
        fix="Leave the path out of what the last stage copies, in the step that brings it.",
    ),
    _check(
        "path.allowed",
        why="What is not known to be needed is either useless or unwelcome.",
        fix="Leave the file out, or add its path to the contract if the service needs it.",
    ),
    _check(
        "package.forbidden",
        "CIS-DI-0003",
        why="Compilers, package managers and test tools are what an intruder needs next, and what must be patched.",
        fix="Install it in a build stage and copy only the result; removing it in a later step leaves it in a layer.",
    ),
    _check(
        "exe.forbidden",
        "DKL-DI-0001",
        why="Shells, download tools and package managers turn a bug in the service into a session on its host.",
        fix="Start from a base without it, or remove it in the step that brings it.",
    ),
    _check(
        "account.empty_password",
        "DKL-LI-0001",
        why="An account without a password is open to whatever in the container can log in.",
        fix="Lock it in the build: `passwd -l NAME`.",
    ),
    _check(
        "account.duplicate_id",
        "DKL-LI-0002",
        why="Two accounts or groups with one id, or one name, are one to the kernel and two to whoever reads the list.",
        fix="Give each account and group an id and a name of its own.",
    ),
    _check(
        "healthcheck.present",
        "CIS-DI-0006",
        why="Without a health check nobody can tell a service that hangs from one that works.",
        fix='Add one that needs no shell: `HEALTHCHECK CMD ["/usr/bin/service", "--check"]`.',
    ),
    _check(
        "base.digest",
        "CIS-DI-0002",
        why="Only layers prove which base an image was built on; its labels say whatever somebody wrote.",
        fix="Build on the base by its digest: `FROM REPOSITORY@sha256:...`, and keep its label in step.",
    ),
    _check(
        "size.compressed",
        why="Every node pulls every layer before the service starts.",
        fix="Find what is large with `attest image facts`, and copy only what runs.",
    ),
    _check(
        "size.unpacked",
        why="What is in the image must be stored, scanned and patched on every node.",
        fix="Find what is large with `attest image facts`, and copy only what runs.",
    ),
    _check(
        "size.delta",
        why="An image that grows at once has got something that nobody meant to add.",
        fix="Compare with `attest image diff`; remove what came in, or update the lock if it is meant.",
    ),
    _check(
        "layer.count",
        why="Every layer is a request when the image is pulled, and a mount when it runs.",
        fix="Join the steps that belong together, or copy from a build stage.",
    ),
    _check(
        "layer.wasted",
        "highestWastedBytes",
        why="What a later layer deletes or replaces is still pulled, stored and readable.",
        fix="Remove files in the step that makes them, or copy from a build stage.",
    ),
    _check(
        "ci.overlap",
        why="A runtime image that shares layers with the image that tests it has got the test tools as well.",
        fix="Build both from the base, or the CI image from the runtime image; never the reverse.",
    ),
    _check(
        LOCK_DRIFT,
        why="What is not as it was locked has changed without anybody saying so.",
        fix="Find the step that changed it, or update the lock: `attest image lock --update`.",
    ),
)
"""Every check, in the order in which they are reported."""

BY_ID: Final[Mapping[str, Check]] = {check.id: check for check in CHECKS}
