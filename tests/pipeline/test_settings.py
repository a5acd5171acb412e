"""What a build of the example inherits of its machine, as the real apt and pip say: that, and nothing more."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts.find import lacking, require
from tests.parts.process import Command, attempt, plain_environment, run
from tests.pipeline.images import PLAYLIST

pytestmark = pytest.mark.slow

SETTINGS = PLAYLIST / "ci" / "settings"
FILES = ["apt.auth", "apt.conf", "apt.list", "ca.crt", "pip.conf"]


def settings(folder: Path, **environment: str) -> dict[str, str]:
    """The files that a machine with these variables hands to a build."""
    command = Command(
        arguments=[sys.executable, SETTINGS, folder / "out"],
        environment=plain_environment(folder, **environment),
        directory=folder,
    )
    options = run(command).decode().splitlines()
    assert options == [f"--secret=id={name},src={folder / 'out' / name}" for name in (*APT, "pip.conf", "ca.crt")]
    return {name: (folder / "out" / name).read_text() for name in FILES}


APT = ("apt.list", "apt.conf", "apt.auth")


@pytest.fixture
def pip(tmp_path: Path) -> Path:
    """A configuration of pip."""
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://ann:secret@index.example.org/simple\ntimeout = 30\n"
        "[install]\ntrusted-host =\n    one.example.org\n    two.example.org\nfind-links = /wheels\n"
    )
    return file


def test_pip_gets_the_same_indexes(tmp_path: Path, pip: Path) -> None:
    """What pip reads from the file that is handed on is what it was told here, without folders of this machine."""
    made = settings(tmp_path, PIP_CONFIG_FILE=str(pip))["pip.conf"]
    (tmp_path / "handed-on").write_text(made)
    environment = {**plain_environment(tmp_path), "PIP_CONFIG_FILE": str(tmp_path / "handed-on")}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], env=environment, capture_output=True, text=True, check=True
    )
    own = {line for line in listed.stdout.splitlines() if "/run/secrets" not in line}
    assert {
        "global.index-url='https://ann:secret@index.example.org/simple'",
        "global.timeout='30'",
        r"global.trusted-host='\none.example.org\ntwo.example.org'",
    } <= own
    assert "wheels" not in made


def test_a_variable_of_pip_wins_over_its_file(tmp_path: Path, pip: Path) -> None:
    """PIP_INDEX_URL is what pip would use, so it is what is handed on."""
    made = settings(tmp_path, PIP_CONFIG_FILE=str(pip), PIP_INDEX_URL="https://other.example.org/simple")["pip.conf"]
    assert "index-url = https://other.example.org/simple" in made
    assert "index.example.org" not in made


def test_authorities_are_handed_on(tmp_path: Path) -> None:
    """The authorities that this machine was told to trust are mounted, and pip and apt are told where."""
    (tmp_path / "own.crt").write_text("an authority\n")
    made = settings(tmp_path, SSL_CERT_FILE=str(tmp_path / "own.crt"), PIP_CERT=str(tmp_path / "own.crt"))
    assert made["ca.crt"] == "an authority\n"
    assert "cert = /run/secrets/ca.crt" in made["pip.conf"]
    assert 'Acquire::https::CaInfo "/run/secrets/ca.crt";' in made["apt.conf"]


def test_nobody_else_can_read_them(tmp_path: Path) -> None:
    """There may be credentials in these files: the folder and each file are for their owner alone."""
    settings(tmp_path)
    out = tmp_path / "out"
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in out.iterdir()} == {0o600}


def test_a_machine_without_apt_hands_on_nothing_of_it(tmp_path: Path) -> None:
    """Where there is no apt, there are no sources, credentials or proxies of it: the build uses what its image has."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    made = settings(tmp_path, PATH=str(programs))
    assert [made["apt.list"], made["apt.auth"]] == ["", ""]
    assert {line.split()[0] for line in made["apt.conf"].splitlines()} <= {"Acquire::https::CaInfo"}


def test_a_wrong_command_line_gets_its_usage(tmp_path: Path) -> None:
    """Without a folder nothing is written, and the usage is told."""
    command = Command(arguments=[sys.executable, SETTINGS], environment=plain_environment(tmp_path), directory=tmp_path)
    ended = attempt(command)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, b"", b"usage: settings FOLDER\n")


# ---- apt


def repository(folder: Path, *, origin: str) -> str:
    """A repository of one package, of this origin; a line for sources.list."""
    lists = folder / "dists" / "stable" / "main" / "binary-amd64"
    lists.mkdir(parents=True)
    content = (
        f"Package: one\nVersion: 1\nArchitecture: amd64\nFilename: one.deb\nSize: 1\nSHA256: {64 * '0'}\n\n".encode()
    )
    (lists / "Packages").write_bytes(content)
    (folder / "dists" / "stable" / "Release").write_text(
        f"Origin: {origin}\nSuite: stable\nCodename: stable\nComponents: main\nArchitectures: amd64\n"
        "Date: Thu, 01 Jan 2026 00:00:00 UTC\n"
        f"SHA256:\n {hashlib.sha256(content).hexdigest()} {len(content)} main/binary-amd64/Packages\n"
    )
    return f"deb [trusted=yes arch=amd64] file:{folder} stable main\n"


@pytest.fixture
def apt(tmp_path: Path) -> str:
    """The configuration of an apt with a source of Debian's and one of somebody else's."""
    if require("apt-get") and os.getuid() != 0:
        lacking("apt-get update needs root")
    folder = tmp_path / "apt"
    for name in ("lists/partial", "cache/archives/partial", "auth.conf.d"):
        (folder / name).mkdir(parents=True)
    lines = [repository(tmp_path / "debian", origin="Debian"), repository(tmp_path / "vendor", origin="Vendor")]
    (folder / "sources.list").write_text("".join(lines))
    (folder / "auth.conf.d" / "one.conf").write_text("machine debian.example.org login ann password secret\n")
    (folder / "auth.conf.d" / "old.bak").write_text("machine old.example.org login ann password secret\n")
    options = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::netrc": folder / "auth.conf",
        "Dir::Etc::netrcparts": folder / "auth.conf.d",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Acquire::http::Proxy": "http://proxy.example.org:3128",
        "Acquire::http::Proxy-Auto-Detect": "/usr/local/bin/find-proxy",
        "Acquire::https::SslKey": "/etc/ssl/private/own.key",
        "Acquire::Retries": "7",
        "Acquire::Languages": "none",
    }
    (folder / "apt.conf").write_text("".join(f'{name} "{value}";\n' for name, value in options.items()))
    environment = plain_environment(tmp_path, APT_CONFIG=str(folder / "apt.conf"))
    run(Command(arguments=["apt-get", "update", "-qq"], environment=environment, directory=tmp_path))
    return str(folder / "apt.conf")


def test_apt_gets_debian_from_where_this_machine_does(tmp_path: Path, apt: str) -> None:
    """The sources of Debian are handed on; those of others, whose keys the image does not have, are not."""
    made = settings(tmp_path, APT_CONFIG=apt)
    assert made["apt.list"] == f"deb file:{tmp_path}/debian/ stable main\n"


def test_apt_goes_the_same_way(tmp_path: Path, apt: str) -> None:
    """Proxies and credentials are handed on; programs and keys that are on this machine alone are not."""
    made = settings(tmp_path, APT_CONFIG=apt)
    lines = made["apt.conf"].splitlines()
    assert 'Acquire::http::Proxy "http://proxy.example.org:3128";' in lines
    assert 'Acquire::Retries "7";' in lines
    assert "find-proxy" not in made["apt.conf"]
    assert "own.key" not in made["apt.conf"]
    assert "Languages" not in made["apt.conf"]
    assert made["apt.auth"].split() == ["machine", "debian.example.org", "login", "ann", "password", "secret"]
