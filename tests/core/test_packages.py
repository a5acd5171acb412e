"""Packages are read from the files of their managers, named by purl, and followed through the layers."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import pytest

from attest.core import limits
from attest.core.image.facts import View
from attest.core.image.packages.apk import parse_apk
from attest.core.image.packages.dpkg import parse_dpkg
from attest.core.image.packages.history import Database, Kept, package_history
from attest.core.image.packages.installed import Distribution, Installed, PackagesInvalid, package_url, parse_os_release
from attest.core.image.packages.node import parse_node
from attest.core.image.packages.places import Database as Kind
from attest.core.image.packages.places import database_at, size_limit
from attest.core.image.packages.python import parse_python
from attest.core.image.packages.rpm import parse_headers

DEBIAN = Distribution(id="debian", version="12")


def test_dpkg_status() -> None:
    """What is installed is read, with the source package; what is only configured still is not."""
    content = (
        b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc (2.36-9)\nVersion: 2.36-9\n"
        b"Description: C\n more of it\n .\n\n"
        b"Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\n\n"
        b"Package: half\nStatus: install ok half-configured\nVersion: 1:2-3"
    )
    assert parse_dpkg(content) == [
        Installed(type="deb", name="libc6", version="2.36-9", architecture="amd64", source="glibc"),
        Installed(type="deb", name="half", version="1:2-3", source="half"),
    ]
    assert parse_dpkg(b"Package: tzdata\nVersion: 1\n") == [
        Installed(type="deb", name="tzdata", version="1", source="tzdata")
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"Status: install ok installed\n", "names no package"),
        (b"Package: a\nStatus: installed\n", "three words"),
        (b"Package: a\nStatus: install ok installed\n", "no version"),
        (b"Package: a\nPackage: b\n", "twice"),
        (b"Package a\n", "no field"),
        (b"Package: \xff\n", "UTF-8"),
    ],
)
def test_a_broken_dpkg_status(content: bytes, reason: str) -> None:
    """A database that dpkg would not have written is refused."""
    with pytest.raises(PackagesInvalid, match=reason):
        parse_dpkg(content)


def test_apk_installed() -> None:
    """A database of Alpine, its file lists passed over."""
    content = b"C:Q1x=\nP:musl\nV:1.2.5-r1\nA:x86_64\no:musl\nF:lib\nR:ld.so\na:0:0:755\n\nP:b\nV:2\n\n"
    assert parse_apk(content) == [
        Installed(type="apk", name="musl", version="1.2.5-r1", architecture="x86_64", source="musl"),
        Installed(type="apk", name="b", version="2"),
    ]
    for broken, reason in ((b"P:a\n", "no package and version"), (b"what\n", "no field"), (b"\xff", "UTF-8")):
        with pytest.raises(PackagesInvalid, match=reason):
            parse_apk(broken)


def rpm_header(*tags: tuple[int, int, bytes], size: int | None = None) -> bytes:
    """A header of these tags: number, type and content."""
    index, data = b"", b""
    for tag, kind, content in tags:
        index += struct.pack(">IIII", tag, kind, len(data), 1)
        data += content
    return struct.pack(">II", len(tags), len(data) if size is None else size) + index + data


NEVRA = ((1000, 6, b"bash\0"), (1001, 6, b"5.2\0"), (1002, 6, b"1\0"))


def test_rpm_headers() -> None:
    """Name, version, release, epoch, architecture and source; keys among the packages are left out."""
    more = ((1003, 4, struct.pack(">I", 2)), (1022, 6, b"x86_64\0"), (1044, 6, b"ba-sh-5.2-1.src.rpm\0"), (5, 7, b"z"))
    key = ((1000, 6, b"gpg-pubkey\0"), (1001, 6, b"a\0"), (1002, 6, b"b\0"))
    assert parse_headers([rpm_header(*NEVRA, *more), rpm_header(*key), rpm_header(*NEVRA, (1044, 6, b"odd\0"))]) == [
        Installed(type="rpm", name="bash", version="2:5.2-1", architecture="x86_64", source="ba-sh", epoch=2),
        Installed(type="rpm", name="bash", version="5.2-1"),
    ]


@pytest.mark.parametrize(
    "header",
    [
        b"",
        rpm_header(*NEVRA[:2]),
        rpm_header(*NEVRA, size=500),
        rpm_header(),
        struct.pack(">II", 2**31, 0),
        rpm_header((1000, 6, b"bash"), *NEVRA[1:])[:-1] + b"x",
        rpm_header((1000, 6, b"\xff\0"), *NEVRA[1:]),
        rpm_header((1000, 8, b"bash\0"), *NEVRA[1:]),
        rpm_header(*NEVRA, (1003, 4, b"\0\0")),
    ],
)
def test_a_broken_rpm_header(header: bytes) -> None:
    """Headers that are cut, miscounted, of odd types or without a name are refused."""
    with pytest.raises(PackagesInvalid):
        parse_headers([header])


def test_python_metadata() -> None:
    """The first fields count; the description, whatever it says, does not."""
    content = b"\xef\xbb\xbfMetadata-Version: 2.1\nName: Foo.Bar\nVersion: 1.0\nSummary: a\n  Name: b\n\nName: other\n"
    assert parse_python(content) == [Installed(type="pypi", name="Foo.Bar", version="1.0")]
    with pytest.raises(PackagesInvalid):
        parse_python(b"Name: foo\n\nVersion: 1\n")


def test_node_package() -> None:
    """Name and version of a package.json, with a byte order mark too; anything else is refused."""
    assert parse_node(b'\xef\xbb\xbf{"name": "@s/a", "version": "1.0.0"}') == [
        Installed(type="npm", name="@s/a", version="1.0.0")
    ]
    for content in (b"{", b"[]", b'{"name": "a"}', b'{"name": "a", "version": 1}', b'{"name": "", "version": "1"}'):
        with pytest.raises(PackagesInvalid):
            parse_node(content)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("var/lib/dpkg/status", Kind.DPKG),
        ("var/lib/dpkg/status.d/tzdata", Kind.DPKG),
        ("var/lib/dpkg/status.d/tzdata.md5sums", None),
        ("var/lib/dpkg/status-old", None),
        ("lib/apk/db/installed", Kind.APK),
        ("usr/lib/sysimage/rpm/rpmdb.sqlite", Kind.RPM_SQLITE),
        ("var/lib/rpm/Packages", Kind.RPM_OTHER),
        ("usr/lib/python3/dist-packages/six-1.dist-info/METADATA", Kind.PYTHON),
        ("usr/lib/python3/dist-packages/six.egg-info", Kind.PYTHON),
        ("usr/lib/python3/dist-packages/setuptools/_vendor/six-1.dist-info/METADATA", None),
        ("app/deps/six-1.dist-info/METADATA", Kind.PYTHON),
        ("six-1.dist-info/RECORD", None),
        ("app/node_modules/a/package.json", Kind.NODE),
        ("app/node_modules/@s/a/node_modules/b/package.json", Kind.NODE),
        ("app/node_modules/.pnpm/a@1/node_modules/a/package.json", Kind.NODE),
        ("app/node_modules/a/lib/package.json", None),
        ("app/node_modules/a/test/node_modules/b/package.json", None),
        ("app/package.json", None),
        ("etc/passwd", None),
    ],
)
def test_where_databases_are(path: str, kind: Kind | None) -> None:
    """Each file of a package manager is told from those that only look like one."""
    assert database_at(path) is kind
    if kind is not None:
        assert size_limit(kind) in (limits.PACKAGE_DATABASE, limits.PACKAGE_FILE)


@pytest.mark.parametrize(
    ("package", "distribution", "purl"),
    [
        (
            Installed(type="deb", name="libstdc++6", version="1:2+b1", architecture="amd64"),
            DEBIAN,
            "pkg:deb/debian/libstdc%2B%2B6@1:2%2Bb1?arch=amd64&distro=debian-12",
        ),
        (Installed(type="deb", name="a", version="1"), Distribution(), "pkg:deb/debian/a@1"),
        (Installed(type="apk", name="a", version="1-r0"), Distribution(id="wolfi"), "pkg:apk/wolfi/a@1-r0"),
        (
            Installed(type="rpm", name="a", version="3:1-2", architecture="noarch", epoch=3),
            Distribution(id="fedora", version="43"),
            "pkg:rpm/fedora/a@1-2?arch=noarch&distro=fedora-43&epoch=3",
        ),
        (Installed(type="rpm", name="a", version="1-2"), Distribution(), "pkg:rpm/a@1-2"),
        (Installed(type="pypi", name="Foo_.Bar", version="1"), DEBIAN, "pkg:pypi/foo-bar@1"),
        (Installed(type="npm", name="@scope/a", version="1"), DEBIAN, "pkg:npm/%40scope/a@1"),
        (Installed(type="npm", name="a", version="1"), DEBIAN, "pkg:npm/a@1"),
        (Installed(type="generic", name="a", version="1"), DEBIAN, "pkg:generic/a@1"),
    ],
)
def test_package_urls(package: Installed, distribution: Distribution, purl: str) -> None:
    """Package URLs are those of the purl specification."""
    assert package_url(package, distribution) == purl


def test_os_release() -> None:
    """Values with and without quotes; what is no assignment is passed over."""
    assert parse_os_release(b"ID=debian\nVERSION_ID=\"12\"\n# c\nNAME='x'\nodd line\n") == DEBIAN
    assert parse_os_release(b"\xff\n") == Distribution()


def no_rpm(_: bytes) -> Sequence[bytes]:
    """A reader of RPM databases that knows none."""
    return [rpm_header(*NEVRA)]


@pytest.mark.parametrize(
    ("kind", "content", "names"),
    [
        (Kind.DPKG, b"Package: a\nVersion: 1\n", ["a"]),
        (Kind.APK, b"P:a\nV:1\n", ["a"]),
        (Kind.RPM_SQLITE, b"", ["bash"]),
        (Kind.PYTHON, b"Name: a\nVersion: 1\n", ["a"]),
        (Kind.NODE, b'{"name": "a", "version": "1"}', ["a"]),
    ],
)
def test_every_kind_is_read(kind: Kind, content: bytes, names: list[str]) -> None:
    """Each kind of database is read by its own reader; what it does not take is told as trouble."""
    assert [package.name for package in Database.read(kind, content, no_rpm).packages] == names
    assert (Database.read(kind, b"\xff", no_rpm).trouble is None) is (kind is Kind.RPM_SQLITE)


def test_a_kind_that_nobody_reads_is_trouble() -> None:
    """A database of RPM that is not read here is never one without packages."""
    assert "sqlite" in (Database.read(Kind.RPM_OTHER, b"", no_rpm).trouble or "")


def versions(*names: str) -> Database:
    """A database of packages of version 1."""
    return Database(tuple(Installed(type="deb", name=name, version="1") for name in names))


def test_packages_are_followed_through_layers() -> None:
    """A package came with the first of the databases that name it without a gap, and went with the last."""
    databases = [
        Kept(path="/s", database=versions("a", "b", "d"), layer=0, hidden_by=1),
        Kept(path="/s", database=versions("a", "c"), layer=1, hidden_by=3),
        Kept(path="/s", database=versions("a", "b"), layer=3, hidden_by=None),
        Kept(path="/t", database=versions("x"), layer=0, hidden_by=1),
        Kept(path="/t", database=versions("x"), layer=2, hidden_by=3),
        Kept(path="/u", database=Database.unreadable("odd"), layer=2, hidden_by=3),
    ]
    packages, unread = package_history(reversed(databases), Distribution())
    assert [(each.name, each.path, each.layer, each.hidden_by) for each in packages] == [
        ("a", "/s", 0, None),
        ("b", "/s", 3, None),
        ("c", "/s", 1, 3),
        ("d", "/s", 0, 1),
        ("x", "/t", 0, 1),
        ("x", "/t", 2, 3),
    ]
    assert [each.view for each in packages[:3]] == [View.EFFECTIVE, View.EFFECTIVE, View.SHADOWED]
    assert [(each.path, each.reason, each.view) for each in unread] == [("/u", "odd", View.SHADOWED)]


@pytest.mark.parametrize(
    ("parse", "paragraph"), [(parse_dpkg, b"Package: a\nVersion: 1\n\n"), (parse_apk, b"P:a\nV:1\n\n")]
)
def test_packages_of_a_database_are_bounded(
    parse: Callable[[bytes], list[Installed]], paragraph: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database of as many packages as the limit is read, and one more package makes it unreadable."""
    monkeypatch.setattr(limits, "PACKAGES", 2)
    assert len(parse(paragraph * 2)) == 2
    with pytest.raises(PackagesInvalid, match="more than 2 packages"):
        parse(paragraph * 3)
