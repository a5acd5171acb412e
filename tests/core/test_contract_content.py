"""Checks of what is in an image: secrets, files with rights, paths, packages, executables, accounts."""

from __future__ import annotations

import dataclasses

import pytest

from attest.core.contract.finding import Standing
from attest.core.image.facts import Kind, Password, Place, PlatformFacts, SecretFound, View
from tests.core.contract_scene import (
    GOOD,
    account,
    check,
    file,
    folder,
    group,
    link,
    messages,
    package,
    places,
    unread,
    with_files,
)


def with_secrets(*secrets: SecretFound) -> PlatformFacts:
    """The image with secrets in it."""
    return dataclasses.replace(GOOD, secrets=secrets)


SECRETS = (
    SecretFound(rule="named-secret", place=Place.ENV, name="DB_PASSWORD", layer=None),
    SecretFound(rule="github-token", place=Place.LABEL, name="build.token", layer=None),
    SecretFound(rule="npm-token", place=Place.ANNOTATION, name="source", layer=None),
    SecretFound(rule="url-password", place=Place.HISTORY, name="3", layer=2),
    SecretFound(rule="random-value", place=Place.CONFIG, name="Entrypoint", layer=None),
    SecretFound(rule="private-key", place=Place.FILE, name="/srv/key.pem", layer=1, line=1),
    SecretFound(
        rule="aws-key", place=Place.FILE, name="/secret/.env", layer=1, line=None, view=View.SHADOWED, hidden_by=2
    ),
)


def test_secrets_of_the_configuration() -> None:
    """Variables, labels, build steps and vectors are told by their names, and the build step's layer is named."""
    report = check("env.secret: true", with_secrets(*SECRETS))
    assert places(report) == [
        "DB_PASSWORD",
        "annotation/source",
        "config/Entrypoint",
        "history/3",
        "label/build.token",
    ]
    assert [finding.layer.position for finding in report.findings if finding.layer] == [2]
    assert "step 3 of the build history has what looks like a secret (url-password)" in messages(report)
    assert check("env.secret: true", with_secrets(*SECRETS[5:])).exit == 0


def test_secrets_in_files() -> None:
    """A secret in a file is told with its line, and one that a later layer deletes is told as well."""
    report = check("file.secret: true", with_secrets(*SECRETS))
    assert places(report) == ["/secret/.env", "/srv/key.pem"]
    assert [finding.layer.position for finding in report.findings if finding.layer] == [1, 1]
    hidden, seen = report.findings
    assert hidden.message.endswith("(aws-key); layer 2 hides it, and whoever pulls layer 1 has it")
    assert seen.message.endswith("(private-key) in line 1")
    assert check("file.secret: true", with_secrets(*SECRETS[:5])).exit == 0


SETID = (
    file("/usr/bin/su", "4755", layer=0),
    file("/usr/bin/wall", "2755"),
    file("/usr/bin/ping", "0755", capabilities="cap_net_raw=ep"),
    file("/usr/bin/both", "6755", capabilities="cap_chown=p"),
    file("/usr/bin/not-executable", "2644"),
    folder("/srv/shared", "2775"),
)


def test_files_with_the_rights_of_others() -> None:
    """Set-id bits and capabilities are found with their layer; a directory's bit gives nobody rights."""
    report = check("file.setid: true", with_files(*SETID))
    assert places(report) == ["/usr/bin/both", "/usr/bin/ping", "/usr/bin/su", "/usr/bin/wall"]
    both, ping, su, _ = report.findings
    assert both.message == "/usr/bin/both has the mode 6755 and the capabilities cap_chown=p; owner 0:0"
    assert ping.message == "/usr/bin/ping has the capabilities cap_net_raw=ep; owner 0:0"
    assert su.layer is not None
    assert su.layer.created_by == "RUN base"
    assert places(check("file.setid: {allowed: ['/usr/bin/*i*', /usr/bin/su]}", with_files(*SETID))) == [
        "/usr/bin/both",
        "/usr/bin/wall",
    ]
    assert check("file.setid: true", GOOD).exit == 0


OPEN = (
    file("/srv/open", "0666"),
    folder("/tmp", "1777"),
    folder("/srv/dir", "0777"),
    link("/srv/link", "open"),
    file("/dev/null", "0666", kind=Kind.CHARACTER_DEVICE),
    file("/srv/null", "0666", kind=Kind.CHARACTER_DEVICE),
    file("/dev/file", "0666"),
    file("/srv/fifo", "0622", kind=Kind.FIFO),
)


def test_what_anybody_may_write_to() -> None:
    """Files, directories without the sticky bit, pipes and stray devices are found; those of /dev are the engine's."""
    report = check("file.world_writable: true", with_files(*OPEN))
    assert places(report) == ["/dev/file", "/srv/dir", "/srv/fifo", "/srv/null", "/srv/open"]
    assert "anybody may write to /srv/dir (directory, mode 0777)" in messages(report)
    assert places(check("file.world_writable: {allowed: [/srv/**]}", with_files(*OPEN))) == ["/dev/file"]


def test_forbidden_paths() -> None:
    """A path is forbidden wherever it leads, and the finding is at the file's own path, once for all patterns."""
    facts = with_files(link("/bin", "usr/bin"), file("/usr/bin/gdb", "0755", layer=2), file("/srv/a.pem"))
    report = check("path.forbidden: [/bin/gdb, '/usr/bin/g*', '/**/*.pem']", facts)
    assert places(report) == ["/srv/a.pem", "/usr/bin/gdb"]
    assert "/usr/bin/gdb, which is /bin/gdb too, is there, and the contract forbids /bin/gdb" in messages(report)
    assert [finding.layer.position for finding in report.findings if finding.layer] == [1, 2]
    assert check("path.forbidden: [/bin/gdb]", GOOD).exit == 0


def test_only_allowed_paths() -> None:
    """Whatever is no directory needs an allowed path, and a link to everything allows nothing more."""
    assert check("path.allowed: [/usr/bin/service, '/etc/*']", GOOD).exit == 0
    facts = with_files(
        link("/usr/bin/all", "/"),
        file("/srv/more"),
        link("/srv/link", "/etc"),
        file("/srv/pipe", kind=Kind.FIFO),
        folder("/empty"),
    )
    report = check("path.allowed: [/usr/bin/all/**, /usr/bin/*, /etc/passwd]", facts)
    assert places(report) == ["/srv/link", "/srv/more", "/srv/pipe"]
    assert "/srv/more (file) is there, and the contract does not name it" in messages(report)


def test_forbidden_packages() -> None:
    """A package is found in every layer, with what removes it, and unreadable databases cannot be decided."""
    packages = (
        package("pkg:deb/debian/gcc-12@12.2.0-14?arch=amd64&distro=debian-12", position=1, hidden_by=2),
        package("pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=debian-12"),
        package("pkg:pypi/pytest@8.3.4", position=2),
    )
    facts = dataclasses.replace(GOOD, packages=packages)
    report = check("package.forbidden: ['pkg:deb/*/gcc*', 'pkg:pypi/pytest*', 'pkg:pypi/py*']", facts)
    assert places(report) == ["pkg:deb/debian/gcc-12@12.2.0-14", "pkg:pypi/pytest@8.3.4"]
    gcc, pytest_ = report.findings
    assert gcc.message.endswith("forbids pkg:deb/*/gcc*; layer 2 removes it, and whoever pulls layer 1 has it")
    assert gcc.layer is not None
    assert gcc.layer.created_by == "RUN os"
    assert pytest_.message == (
        "pytest 8.3.4 is installed (/var/lib/dpkg/status), and the contract forbids pkg:pypi/pytest*"
    )
    assert check("package.forbidden: [pkg:npm/npm]", facts).exit == 0


@pytest.mark.parametrize("view", list(View))
def test_packages_that_nobody_can_read(view: View) -> None:
    """A database that could not be read leaves the check undecided, in either view; a violation beats it."""
    trouble = (unread("packages", "/var/lib/rpm/Packages", view), unread("accounts", "/etc/passwd"))
    facts = dataclasses.replace(GOOD, unread=trouble)
    report = check("package.forbidden: [pkg:npm/npm]", facts)
    assert (report.exit, places(report, Standing.UNDECIDED)) == (3, ["/var/lib/rpm/Packages"])
    assert ("which a later layer hides" in messages(report)) is (view is View.SHADOWED)
    both = check("package.forbidden: ['pkg:deb/*/libc6']", facts)
    assert (both.exit, places(both, Standing.UNDECIDED)) == (1, ["/var/lib/rpm/Packages"])


BUSYBOX = (
    file("/bin/busybox", "0755"),
    link("/bin/sh", "busybox", layer=2),
    link("/bin/wget", "/bin/busybox"),
    file("/bin/vi", "0755", hard_link="/bin/busybox"),
    file("/bin/other", "0755", hard_link="/bin/service"),
    link("/bin/editor", "vi"),
    link("/bin/dangling", "nowhere"),
    link("/bin/folder", "/usr"),
    link("/bin/text", "/etc/passwd"),
    file("/bin/bash.txt", "0644"),
    folder("/bin/ash"),
    file("/bin/curl", "0644"),
)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ("[sh]", ["/bin/sh"]),
        ("[busybox]", ["/bin/busybox", "/bin/editor", "/bin/sh", "/bin/vi", "/bin/wget"]),
        ("[vi]", ["/bin/editor", "/bin/vi"]),
        ("['w*']", ["/bin/wget"]),
        (
            "['*s*']",
            [f"/bin/{name}" for name in ("busybox", "editor", "other", "sh", "vi", "wget")] + ["/usr/bin/service"],
        ),
        ("[ash, curl, bash*, dangling, folder, text, apt]", []),
    ],
)
def test_forbidden_executables(names: str, found: list[str]) -> None:
    """An executable is known by its name, and by that of the file behind a link, symbolic or hard."""
    assert places(check(f"exe.forbidden: {names}", with_files(*BUSYBOX))) == found


def test_what_is_said_of_links_to_forbidden_executables() -> None:
    """The message says how the link leads there, and the layer is the link's own."""
    report = check("exe.forbidden: [sh, busybox]", with_files(*BUSYBOX))
    told = dict(zip(places(report), messages(report).split("\n"), strict=True))
    assert told["/bin/sh"] == "the executable /bin/sh, a link to /bin/busybox, is there"
    assert told["/bin/wget"] == "the executable /bin/wget is a link to /bin/busybox"
    assert told["/bin/vi"] == "the executable /bin/vi is the same file as /bin/busybox"
    assert [finding.layer.position for finding in report.findings if finding.layer and finding.place == "/bin/sh"] == [
        2
    ]


def test_empty_passwords() -> None:
    """An account that lets everybody in is found; locked ones and those with a password are not."""
    accounts = (account("a", 1, Password.EMPTY), account("b", 2, Password.SET), account("c", 3))
    report = check("account.empty_password: true", dataclasses.replace(GOOD, accounts=accounts))
    assert (places(report), messages(report)) == (["a"], "the account a has an empty password")


def test_ids_and_names_that_stand_twice() -> None:
    """Ids and names of accounts, and of groups, are compared among themselves."""
    facts = dataclasses.replace(
        GOOD,
        accounts=(account("root", 0), account("toor", 0), account("app", 1), account("app", 2)),
        groups=(group("root", 0), group("wheel", 0), group("app", 1), group("app", 2)),
    )
    report = check("account.duplicate_id: true", facts)
    assert places(report) == ["app", "group/app", "group/wheel", "toor"]
    assert messages(report).split("\n") == [
        "there are two accounts app",
        "there are two groups app",
        "the groups root and wheel have one gid, 0",
        "the accounts root and toor have one uid, 0",
    ]
    assert check("account.duplicate_id: true", GOOD).exit == 0


@pytest.mark.parametrize(
    ("name", "what", "exit_code"),
    [
        ("account.empty_password", "accounts", 3),
        ("account.empty_password", "groups", 0),
        ("account.duplicate_id", "accounts", 3),
        ("account.duplicate_id", "groups", 3),
        ("account.duplicate_id", "packages", 0),
    ],
)
def test_accounts_that_nobody_can_read(name: str, what: str, exit_code: int) -> None:
    """Checks of accounts are undecided where the file that they need could not be read."""
    facts = dataclasses.replace(GOOD, unread=(unread(what, "/etc/group"),))
    assert check(f"{name}: true", facts).exit == exit_code
