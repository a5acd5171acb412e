"""Checks of how a container starts: each passes on a good image and finds what is wrong with a bad one."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from attest.core.contract.command import is_shell_form
from attest.core.contract.fields import OCI_LABELS
from attest.core.contract.finding import Standing
from attest.core.image.facts import Healthcheck, View
from tests.core.contract_scene import (
    GOOD,
    LABELS,
    account,
    check,
    file,
    folder,
    group,
    link,
    messages,
    places,
    unread,
    with_config,
    with_files,
)

OTHER = "\u0661"
"""A digit, and none that a program reads as an id."""


@pytest.mark.parametrize(
    "user", ["app", "app:app", "app:0", "1000", "1000:1000", "1000:app", "+7", "4294967294", "app:", "12345:4294967294"]
)
def test_a_user_that_is_not_root(user: str) -> None:
    """A name of the image's accounts, or an id, is a user, also one that has no account."""
    report = check("user.nonroot: true", with_config(user=user))
    assert (report.exit, report.findings) == (0, ())


@pytest.mark.parametrize(
    ("user", "problem"),
    [
        ("", "runs as root"),
        (":1000", "runs as root"),
        ("0", "'0' is root"),
        ("00", "'00' is root"),
        ("+0", "'+0' is root"),
        ("-0", "'-0' is root"),
        ("0:1000", "'0' is root"),
        ("root", "its uid is 0"),
        ("toor", "its uid is 0"),
        ("twice", "its uid is 0"),
        ("1234", "its uid is 0"),
        ("-1", "no id that an account can have"),
        ("4294967295", "no id that an account can have"),
        ("4294967296", "no id that an account can have"),
        ("9" * 5000, "no id that an account can have"),
        ("0x0", "not in /etc/passwd"),
        (" 0", "not in /etc/passwd"),
        (OTHER, "not in /etc/passwd"),
        ("nobody", "not in /etc/passwd"),
        ("App", "not in /etc/passwd"),
        ("app:staff", "the group 'staff' is not in /etc/group"),
        ("app:app:app", "the group 'app:app' is not in /etc/group"),
        ("app:-1", "no id that a group can have"),
        ("1000:4294967295", "no id that a group can have"),
    ],
)
def test_a_user_that_is_root_or_nobody_knows(user: str, problem: str) -> None:
    """Root in every form, an id that wraps around to it, and a name that the image does not resolve, are violations."""
    accounts = (*GOOD.accounts, account("toor", 0), account("twice", 7), account("twice", 0), account("1234", 0))
    report = check("user.nonroot: true", dataclasses.replace(with_config(user=user), accounts=accounts))
    assert (report.exit, places(report)) == (1, ["User"])
    assert problem in messages(report)


@pytest.mark.parametrize(
    ("user", "what", "exit_code"),
    [
        ("app", "accounts", 3),
        ("root", "accounts", 3),
        ("1000", "accounts", 0),
        ("0", "accounts", 1),
        ("1000:app", "groups", 3),
        ("1000:7", "groups", 0),
        (":app", "groups", 1),
    ],
)
def test_a_user_in_accounts_that_nobody_can_read(user: str, what: str, exit_code: int) -> None:
    """A name cannot be decided without the accounts; a number can, and root is root."""
    facts = dataclasses.replace(with_config(user=user), accounts=(), groups=(), unread=(unread(what, "/etc/passwd"),))
    report = check("user.nonroot: true", facts)
    assert report.exit == exit_code
    if exit_code == 3:
        assert places(report, Standing.UNDECIDED) == ["/etc/passwd"]
        assert "could not be read: it is broken" in messages(report)


def test_accounts_that_are_hidden_do_not_matter() -> None:
    """What could not be read and no container sees says nothing about the user."""
    facts = dataclasses.replace(GOOD, unread=(unread("accounts", "/etc/passwd", View.SHADOWED),), accounts=())
    report = check("user.nonroot: true", facts)
    assert "not in /etc/passwd" in messages(report)


def test_only_some_users() -> None:
    """The contract may name the user, as the configuration writes it."""
    assert check("user.nonroot: {only: ['1000', app:app]}", GOOD).exit == 0
    report = check("user.nonroot: {only: ['1000:1000']}", GOOD)
    assert (report.exit, messages(report)) == (1, "the user is 'app:app'; the contract allows 1000:1000")


@pytest.mark.parametrize(("key", "place"), [("entrypoint", "Entrypoint"), ("cmd", "Cmd")])
@pytest.mark.parametrize(
    ("demand", "vector", "problem"),
    [
        ("true", ("/bin/a", "b"), None),
        ("true", ("/bin/sh", "-x"), None),
        ("true", None, "there is no"),
        ("true", (), "there is no"),
        ("true", ("",), "there is no"),
        ("true", ("/bin/sh", "-c", "a b"), "needs a shell"),
        ("none", None, None),
        ("none", (), None),
        ("none", ("a",), "allows none"),
        ("[/bin/a, b]", ("/bin/a", "b"), None),
        ("[/bin/a, b]", ("/bin/a",), "demands"),
        ("[/bin/a, b]", ("b", "/bin/a"), "demands"),
        ("[/bin/a, b]", None, "there is no"),
        ("[sh, -c, a]", ("sh", "-c", "a"), "needs a shell"),
    ],
)
def test_vectors(key: str, place: str, demand: str, vector: tuple[str, ...] | None, problem: str | None) -> None:
    """Entry point and command are there, in exec form, and the demanded ones, or absent where nothing is allowed."""
    changes: dict[str, Any] = {key: vector}
    report = check(f"config.{key}: {demand}", with_config(**changes))
    assert places(report) == ([] if problem is None else [place])
    assert (problem or "") in messages(report)


@pytest.mark.parametrize(
    ("start", "cmd", "expected"),
    [
        (("/bin/sh",), ("-c", "a"), "together need a shell"),
        (("/usr/bin/tini", "--", "bash"), ("-e", "-c", "a"), "together need a shell"),
        (("/bin/sh",), ("/entry.sh",), ""),
        (("/bin/sh", "-c", "a"), ("b",), ""),
        (None, ("/bin/sh", "-c", "a"), "the command needs a shell"),
    ],
)
def test_a_shell_that_gets_its_text_from_the_command(
    start: tuple[str, ...] | None, cmd: tuple[str, ...], expected: str
) -> None:
    """An entry point that is a shell and a command that is its text are the shell form in two halves."""
    report = check("config.cmd: true", with_config(entrypoint=start, cmd=cmd))
    assert places(report) == (["Cmd"] if expected else [])
    assert expected in messages(report)


@pytest.mark.parametrize(
    ("vector", "shell", "expected"),
    [
        (("/bin/sh", "-c", "a"), None, True),
        (("bash", "-e", "-c", "a"), None, True),
        (("bash", "-lc", "a"), None, True),
        (("/usr/bin/tini", "--", "/bin/dash", "-ec", "a"), None, True),
        (("/usr/bin/env", "sh", "-c", "a"), None, True),
        (("busybox", "sh", "-c", "a"), None, True),
        (("cmd", "/S", "/C", "a"), ("cmd", "/S", "/C"), True),
        (("/bin/bash", "-o", "pipefail", "-c", "a"), None, True),
        (("/bin/bash", "-euo", "pipefail", "-c", "a"), None, True),
        (("/bin/bash", "+O", "extglob", "--norc", "-c", "a"), None, True),
        (("/bin/bash", "--rcfile", "/etc/rc", "-c", "a"), None, True),
        (("/bin/bash", "-o", "pipefail", "/entry.sh", "-c"), None, False),
        (("/bin/bash", "-o"), None, False),
        (("su", "app", "-c", "a"), None, True),
        (("/usr/bin/tini", "--", "/bin/su", "--command=a", "app"), None, True),
        (("su", "app"), None, False),
        (("python3", "-c", "a"), None, False),
        (("/bin/sh", "/entry.sh", "-c"), None, False),
        (("/bin/sh", "--", "-c"), None, False),
        (("/bin/sh",), None, False),
        (("/bin/sh", "-e"), None, False),
        (("/bin/sh", "-x", "-e"), None, False),
        (("/bin/bashful", "-c", "a"), None, False),
        (("/service",), (), False),
        (("/service",), ("cmd",), False),
    ],
)
def test_the_shell_form_is_known(vector: tuple[str, ...], shell: tuple[str, ...] | None, expected: bool) -> None:
    """A shell that is handed text is found wherever it stands; a shell that runs a file is none."""
    assert is_shell_form(vector, shell) is expected


@pytest.mark.parametrize(
    ("demand", "found", "problem"),
    [
        ("true", "/srv", None),
        ("true", "", "is not set"),
        ("true", "/", "is /"),
        ("true", "/.", "is /."),
        ("true", "/srv/..", "is /srv/.."),
        ("true", "//", "is //"),
        ("true", "srv", "is srv"),
        ("none", "", None),
        ("none", "/srv", "allows none"),
        ("/srv", "/srv", None),
        ("/srv", "/srv/app", "demands /srv"),
        ("/srv", "", "not set, and the contract demands /srv"),
    ],
)
def test_working_directories(demand: str, found: str, problem: str | None) -> None:
    """The working directory is set, the demanded one, or absent."""
    report = check(f"config.workdir: {demand}", with_config(workdir=found))
    assert places(report) == ([] if problem is None else ["WorkingDir"])
    assert (problem or "") in messages(report)


@pytest.mark.parametrize(
    ("demand", "found", "problem"),
    [
        ("true", "SIGTERM", None),
        ("true", "3", None),
        ("true", "", "no stop signal is set"),
        ("true", "SIGKILL", "no program can handle"),
        ("true", "STOP", "no program can handle"),
        ("true", "SIGNONE", "no such signal"),
        ("none", "", None),
        ("none", "SIGTERM", "allows none"),
        ("SIGTERM", "SIGTERM", None),
        ("SIGTERM", "TERM", None),
        ("SIGTERM", "15", None),
        ("'15'", "SIGTERM", None),
        ("SIGTERM", "SIGQUIT", "demands SIGTERM"),
        ("SIGTERM", "", "no stop signal is set, and the contract demands SIGTERM"),
        ("SIGTERM", "0", "no such signal"),
    ],
)
def test_stop_signals(demand: str, found: str, problem: str | None) -> None:
    """The stop signal is one, can be handled, and is the demanded one by whatever name."""
    report = check(f"config.stopsignal: {demand}", with_config(stop_signal=found))
    assert places(report) == ([] if problem is None else ["StopSignal"])
    assert (problem or "") in messages(report)


@pytest.mark.parametrize("name", OCI_LABELS)
@pytest.mark.parametrize(("value", "problem"), [(None, "is missing"), ("", "is empty"), (" ", "is empty")])
def test_labels_that_are_required(name: str, value: str | None, problem: str) -> None:
    """Each of the standard labels is asked for, and one that says nothing is none."""
    assert check("label.required: true", GOOD).exit == 0
    labels = {key: text for key, text in LABELS.items() if key != name} | ({} if value is None else {name: value})
    report = check("label.required: true", with_config(labels=labels))
    assert (places(report), messages(report)) == ([name], f"the label {name} {problem}")


@pytest.mark.parametrize(
    ("demand", "labels", "problem"),
    [
        ("{a: 'x*z'}", {"a": "xyz"}, None),
        ("{a: 'https://h/*/*'}", {"a": "https://h/b/c"}, None),
        ("{a: 'https://h/**'}", {"a": "https://h/b/c"}, None),
        ("{a: 'https://h/*'}", {"a": "https://h/b/c"}, "demands https://h/*"),
        ("{a: xyz}", {"a": "xyz2"}, "is 'xyz2', and the contract demands xyz"),
        ("{a: true}", {"a": "anything"}, None),
        ("[org.opencontainers.image.created]", {"org.opencontainers.image.created": "today"}, "no time of RFC 3339"),
        ("[org.opencontainers.image.base.digest]", {"org.opencontainers.image.base.digest": "sha1:1"}, "is no digest"),
        ("[maintainer]", {"maintainer": "ann"}, None),
    ],
)
def test_what_labels_must_say(demand: str, labels: dict[str, str], problem: str | None) -> None:
    """A label is compared as a whole, with stars for what may differ; the form of standard ones is checked."""
    report = check(f"label.required: {demand}", with_config(labels=labels))
    assert places(report) == ([] if problem is None else list(labels))
    assert (problem or "") in messages(report)


@pytest.mark.parametrize(
    ("allowed", "exposed", "found"),
    [
        ("[8080/tcp]", ("8080/tcp",), []),
        ("[8080/tcp]", ("8080",), []),
        ("['8080']", ("8080/tcp",), []),
        ("[8000-8100/tcp]", ("8000/tcp", "8050-8100/tcp"), []),
        ("[8000-8100/tcp]", ("8050-8101/tcp", "7999/tcp"), ["7999/tcp", "8050-8101/tcp"]),
        ("[8080/tcp]", ("8080/udp",), ["8080/udp"]),
        ("[8080/tcp]", ("22/tcp", "8080/tcp"), ["22/tcp"]),
        ("[8080/tcp]", ("http",), ["http"]),
        ("none", (), []),
        ("none", ("8080/tcp",), ["8080/tcp"]),
    ],
)
def test_ports(allowed: str, exposed: tuple[str, ...], found: list[str]) -> None:
    """A port is allowed with its protocol, alone or in a range; what is no port is not."""
    assert places(check(f"port.allowed: {allowed}", with_config(exposed_ports=exposed))) == found


@pytest.mark.parametrize(
    ("allowed", "volumes", "found"),
    [
        ("[/data]", ("/data",), []),
        ("[/data/*]", ("/data/a", "/data/a/b"), ["/data/a/b"]),
        ("[/data]", ("/data/",), ["/data/"]),
        ("none", ("/data",), ["/data"]),
        ("none", (), []),
    ],
)
def test_volumes(allowed: str, volumes: tuple[str, ...], found: list[str]) -> None:
    """A volume is allowed by its path."""
    assert places(check(f"volume.allowed: {allowed}", with_config(volumes=volumes))) == found


FILES = (
    folder("/opt"),
    file("/opt/check.sh", "0755", layer=2),
    file("/opt/check.py", "0755"),
    file("/opt/plain", "0644"),
    link("/usr/bin/health", "/opt/check.py"),
    file("/usr/bin/python3", "0755"),
)


@pytest.mark.parametrize(
    ("test", "problem"),
    [
        (("CMD", "/usr/bin/service", "--check"), None),
        (("CMD", "service"), None),
        (("CMD", "../../usr/bin/service"), None),
        (("CMD", "health"), None),
        (("CMD", "/opt/check.py"), None),
        ((), "there is no health check"),
        (("NONE",), "is turned off"),
        (("CMD",), "runs nothing"),
        (("CMD", ""), "runs nothing"),
        (("CMD-SHELL", "service --check"), "is text for a shell"),
        (("EXEC", "service"), "unknown kind 'EXEC'"),
        (("CMD", "/bin/sh", "-c", "a"), "needs a shell"),
        (("CMD", "/usr/bin/curl"), "/usr/bin/curl, which is not there"),
        (("CMD", "curl"), "runs curl, which is not there"),
        (("CMD", "/opt/plain"), "not executable"),
        (("CMD", "/opt"), "not executable"),
        (("CMD", "/opt/check.sh"), "there is no ash or bash"),
    ],
)
def test_health_checks(test: tuple[str, ...], problem: str | None) -> None:
    """A health check is there, starts a program of the image, and needs no shell."""
    facts = with_config(with_files(*FILES), healthcheck=Healthcheck(test=test))
    report = check("healthcheck.present: true", facts)
    assert places(report) == ([] if problem is None else ["Healthcheck"])
    assert (problem or "") in messages(report)


def test_no_health_check_at_all() -> None:
    """A configuration without one has none."""
    assert places(check("healthcheck.present: true", with_config(healthcheck=None))) == ["Healthcheck"]


def test_the_layer_of_a_script_that_cannot_run() -> None:
    """The finding names the layer that brought the script."""
    facts = with_config(with_files(*FILES), healthcheck=Healthcheck(test=("CMD", "/opt/check.sh")))
    (finding,) = check("healthcheck.present: true", facts).findings
    assert finding.layer is not None
    assert (finding.layer.position, finding.layer.created_by) == (2, "RUN app")


@pytest.mark.parametrize(
    ("changes", "exit_code"),
    [
        ({"env": ()}, 0),
        ({"env": (("PATH", "/opt"),)}, 1),
        ({"env": (("PATH", "/opt"), ("PATH", "/usr/bin"))}, 0),
        ({"env": (("PATH", "bin"),), "workdir": "/usr"}, 0),
        ({"env": (("PATH", ""),), "workdir": "/usr/bin"}, 0),
        ({"env": (("PATH", ""),), "workdir": ""}, 1),
    ],
)
def test_programs_are_found_along_the_path(changes: dict[str, Any], exit_code: int) -> None:
    """The last PATH counts, the usual one where there is none, and relative folders begin at the working directory."""
    facts = with_config(with_files(*FILES), healthcheck=Healthcheck(test=("CMD", "service")), **changes)
    assert check("healthcheck.present: true", facts).exit == exit_code


def test_groups_that_are_there() -> None:
    """A group is known by its name."""
    facts = dataclasses.replace(with_config(user="7:staff"), groups=(group("staff", 50),))
    assert check("user.nonroot: true", facts).exit == 0
