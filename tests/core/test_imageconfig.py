"""Configurations, accounts and capabilities are read strictly, and no secret of them is kept."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from attest.core import limits
from attest.core.image.accounts import AccountsInvalid, parse_group, parse_passwd
from attest.core.image.capabilities import shown_capabilities
from attest.core.image.config import read_config
from attest.core.image.facts import REDACTED, Account, Group, Healthcheck, Password, Place
from attest.core.oci import OciInvalid

DIFF_ID = "sha256:" + "0" * 64
TOKEN = "ghp_" + "a1B2c3D4e5" * 4


def config(**members: Any) -> bytes:
    """The bytes of a configuration, with these members changed; None leaves one out."""
    document = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [DIFF_ID, DIFF_ID]},
        **members,
    }
    return json.dumps({key: value for key, value in document.items() if value is not None}).encode()


def test_all_of_a_configuration() -> None:
    """Every member that says how a container starts is read, sets are sorted, and steps are told to layers."""
    read = read_config(
        config(
            created="2026-01-01T00:00:00Z",
            author="ann",
            config={
                "User": "app:app",
                "Entrypoint": ["/app"],
                "Cmd": [],
                "WorkingDir": "/srv",
                "StopSignal": "SIGINT",
                "Env": ["PATH=/bin", "EMPTY=", "ALONE"],
                "Labels": {"a": "b"},
                "ExposedPorts": {"443/tcp": {}, "80/tcp": {}},
                "Volumes": {"/data": {}},
                "Healthcheck": {"Test": ["CMD", "/up"], "Interval": 5, "Retries": 3},
                "OnBuild": ["RUN x"],
                "Shell": ["/bin/bash", "-c"],
            },
            history=[
                {"created_by": "ADD rootfs", "created": "2026-01-01T00:00:00Z"},
                {"created_by": "ENV A=b", "empty_layer": True},
                {"created_by": "COPY app", "comment": "c"},
            ],
        )
    )
    found = read.config
    assert (found.user, found.entrypoint, found.cmd, found.workdir) == ("app:app", ("/app",), (), "/srv")
    assert found.env == (("PATH", "/bin"), ("EMPTY", ""), ("ALONE", ""))
    assert (found.labels, found.exposed_ports, found.volumes) == ({"a": "b"}, ("443/tcp", "80/tcp"), ("/data",))
    assert found.healthcheck == Healthcheck(test=("CMD", "/up"), interval=5, retries=3)
    assert (found.on_build, found.shell, found.stop_signal) == (("RUN x",), ("/bin/bash", "-c"), "SIGINT")
    assert (found.created, found.author) == ("2026-01-01T00:00:00Z", "ann")
    assert [step.layer for step in read.history] == [0, None, 1]
    assert (read.created_by(0), read.created_by(1), read.created_by(2)) == ("ADD rootfs", "COPY app", None)
    assert read.secrets == ()
    assert read.platform.architecture == "amd64"


def test_a_bare_configuration() -> None:
    """What is left out is empty, and a history that does not fit the layers says nothing about them."""
    read = read_config(config(history=[{"created_by": "only one"}]))
    assert (read.config.user, read.config.entrypoint, read.config.env) == ("", None, ())
    assert [step.layer for step in read.history] == [None]
    assert read.created_by(0) is None


def test_secrets_of_a_configuration_are_left_out() -> None:
    """A secret in a variable, a label, a command or a build step is told by its place, and stands nowhere."""
    read = read_config(
        config(
            config={
                "Env": [f"A={TOKEN}", "DB_PASSWORD=hunter2-Xk29"],
                "Labels": {"l": TOKEN},
                "Cmd": ["app", f"--token={TOKEN}"],
                "Healthcheck": {"Test": ["CMD-SHELL", f"curl -u x https://ann:Xk29-tr0ub4@db/ # {TOKEN}"]},
            },
            history=[{"created_by": "ADD"}, {"created_by": f"RUN login {TOKEN} && login {TOKEN}"}],
        )
    )
    assert TOKEN not in repr(read)
    assert "hunter2" not in repr(read)
    assert "Xk29" not in repr(read)
    assert read.history[1].created_by == f"RUN login {REDACTED} && login {REDACTED}"
    assert [(found.place, found.name, found.rule, found.layer) for found in read.secrets] == [
        (Place.HISTORY, "1", "github-token", 1),
        (Place.LABEL, "l", "github-token", None),
        (Place.CONFIG, "Cmd", "github-token", None),
        (Place.ENV, "A", "github-token", None),
        (Place.ENV, "DB_PASSWORD", "named-secret", None),
        (Place.CONFIG, "Healthcheck.Test", "url-password", None),
        (Place.CONFIG, "Healthcheck.Test", "github-token", None),
    ]


@pytest.mark.parametrize(
    "members",
    [
        {"os": None},
        {"rootfs": None},
        {"rootfs": {"type": "other", "diff_ids": []}},
        {"rootfs": {"type": "layers", "diff_ids": ["md5:0"]}},
        {"rootfs": {"type": "layers", "diff_ids": [1]}},
        {"rootfs": {"type": "layers", "diff_ids": [DIFF_ID] * (limits.LAYERS + 1)}},
        {"rootfs": []},
        {"config": []},
        {"config": {"User": 0}},
        {"config": {"Env": ["=x"]}},
        {"config": {"Env": "A=b"}},
        {"config": {"Env": [1]}},
        {"config": {"Labels": {"a": 1}}},
        {"config": {"ExposedPorts": ["80"]}},
        {"config": {"Healthcheck": {"Interval": "5s"}}},
        {"config": {"Healthcheck": {"Interval": True}}},
        {"history": [1]},
        {"history": [{"empty_layer": "yes"}]},
        {"history": [{}] * 10_001},
    ],
)
def test_a_broken_configuration(members: dict[str, Any]) -> None:
    """Each member of another type or beyond its bound is refused."""
    with pytest.raises(OciInvalid):
        read_config(config(**members))


@pytest.mark.parametrize(
    "members",
    [
        {"Config": {"User": "0"}},
        {"ROOTFS": {}},
        {"config": {"User": "app", "user": "0"}},
        {"config": {"U\u017fer": "0"}},
        {"config": {"env": ["A=b"]}},
        {"config": {"Healthcheck": {"test": ["NONE"]}}},
        {"rootfs": {"type": "layers", "diff_ids": [DIFF_ID, DIFF_ID], "Diff_IDs": []}},
        {"history": [{"Empty_Layer": True}]},
        {"Architecture": "arm64"},
    ],
)
def test_a_member_under_another_spelling(members: dict[str, Any]) -> None:
    """A member that engines take for a known one, whatever the case of its letters, is refused and not passed over."""
    with pytest.raises(OciInvalid, match="which some readers take for"):
        read_config(config(**members))


def test_names_that_people_choose_may_differ_by_case() -> None:
    """Labels and the like are names of their own, and two of them may differ by case alone."""
    labels = {"user": "a", "User": "b"}
    assert read_config(config(config={"Labels": labels})).config.labels == labels


def test_accounts() -> None:
    """Accounts with the four states that a password may be in, and what the shadow file says of it."""
    passwd = b"root:x:0:0:root:/root:/bin/sh\nopen::1:1::/:\nlost:x:2:2:::\nold:$1$h:3:3:::\n\n# comment\nno:*:4:4:::\n"
    shadow = b"root:!:1::::::\nroot::1::::::\n"
    assert [(each.name, each.password) for each in parse_passwd(passwd, shadow)] == [
        ("root", Password.LOCKED),
        ("open", Password.EMPTY),
        ("lost", Password.LOCKED),
        ("old", Password.SET),
        ("no", Password.LOCKED),
    ]
    assert parse_passwd(b"a:x:0:0::/:/bin/sh", None) == (
        Account(name="a", uid=0, gid=0, home="/", shell="/bin/sh", password=Password.LOCKED),
    )
    assert parse_passwd(b"a:x:0:0::/:/bin/sh", b"a::1::::::")[0].password is Password.EMPTY
    assert parse_group(b"g:x:5:a,b\nh:x:6:\n") == (
        Group(name="g", gid=5, members=("a", "b")),
        Group(name="h", gid=6, members=()),
    )


@pytest.mark.parametrize(
    "line", [b"a:x:0:0", b":x:0:0:::", b"a:x:-1:0:::", b"a:x:4294967296:0:::", b"a:x:\xd9\xa1:0:::", b"\xff:x:0:0:::"]
)
def test_broken_accounts(line: bytes) -> None:
    """A line that readers would take differently, or not at all, is refused."""
    with pytest.raises(AccountsInvalid):
        parse_passwd(line, None)


@pytest.mark.parametrize(
    ("attribute", "shown"),
    [
        (struct.pack("<5I", 0x02000001, 1 << 13 | 1 << 12, 0, 0, 0), "cap_net_admin,cap_net_raw=ep"),
        (struct.pack("<5I", 0x02000000, 1, 1, 1 << 7, 0), "cap_chown=ip cap_bpf=p"),
        (struct.pack("<6I", 0x03000001, 0, 2, 1 << 20, 0, 1000), "cap_dac_override=i 52=ep"),
        (struct.pack("<3I", 0x01000000, 1 << 10, 0), "cap_net_bind_service=p"),
        (struct.pack("<5I", 0x02000000, 0, 0, 0, 0), "="),
        (b"", "unreadable"),
        (struct.pack("<5I", 0x09000000, 1, 0, 0, 0), "unreadable"),
        (struct.pack("<3I", 0x02000001, 1, 0), "unreadable"),
    ],
)
def test_capabilities(attribute: bytes, shown: str) -> None:
    """Each version of the attribute is shown as getcap does; what is none is never taken for no capability."""
    assert shown_capabilities(attribute) == shown
