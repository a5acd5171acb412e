"""How two lists of packages differ, and the pointers into documents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.image.packagechange import package_changes, parse_purl
from attest.core.jsonpointer import pointer


def test_pointers() -> None:
    """A slash and a tilde in a name are written as RFC 6901 says, the tilde first."""
    assert pointer() == ""
    assert pointer("a/b", 0, "~1", "") == "/a~1b/0/~01/"


@pytest.mark.parametrize("text", ["", "pkg:deb/a", "pkg:deb@1", "npm/a@1", "pkg:/a@1", "pkg:deb/@1", "pkg:deb/a@"])
def test_what_is_no_package_url(text: str) -> None:
    """A text without a type, a name or a version is no package URL."""
    with pytest.raises(ValueError, match="is no package URL with a version"):
        parse_purl(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pkg:npm/%40scope/a@1.0", ("@scope/a", "1.0", None)),
        ("pkg:rpm/fedora/vim@9-1?arch=x86_64&epoch=2", ("vim", "2:9-1", "x86_64")),
        ("pkg:deb/debian/a@1:2%2B3?arch=all&distro=debian-12", ("a", "1:2+3", "all")),
        ("pkg:pypi/six@1.16", ("six", "1.16", None)),
    ],
)
def test_parts_of_package_urls(text: str, expected: tuple[str, str, str | None]) -> None:
    """Name, version and architecture are read as people know them: decoded, the epoch with the version."""
    purl = parse_purl(text)
    assert (purl.name, purl.version, purl.architecture) == expected


def test_several_versions_of_one_package() -> None:
    """Where several versions stand beside each other each is gone or new for itself; else it is one change."""
    before = {"pkg:npm/a@1", "pkg:npm/a@2", "pkg:npm/b@1", "pkg:npm/c@1", "pkg:npm/c@2"}
    after = {"pkg:npm/a@2", "pkg:npm/a@3", "pkg:npm/a@4", "pkg:npm/b@2", "pkg:npm/c@3", "pkg:npm/c@4"}
    found = [change.versions for change in package_changes(before, after)]
    assert [(each.name, each.before, each.after) for each in found] == [
        ("a", "1", None),
        ("a", None, "3"),
        ("a", None, "4"),
        ("b", "1", "2"),
        ("c", "1", None),
        ("c", "2", None),
        ("c", None, "3"),
        ("c", None, "4"),
    ]


def test_architectures_are_packages_of_their_own() -> None:
    """A package of another architecture is another package, not another version."""
    found = package_changes(["pkg:deb/a@1?arch=i386"], ["pkg:deb/a@1?arch=amd64"])
    assert [(change.before is None, change.after is None) for change in found] == [(True, False), (False, True)]


_PURLS = st.frozensets(
    st.builds(
        "pkg:{}/{}@{}?arch={}".format,
        st.sampled_from(["deb/debian", "npm"]),
        st.sampled_from("ab"),
        st.sampled_from("1234"),
        st.sampled_from("xy"),
    )
)


@given(before=_PURLS, after=_PURLS)
def test_changes_are_exactly_the_difference(before: frozenset[str], after: frozenset[str]) -> None:
    """Whatever the lists, the changes take the one to the other: nothing is lost, told twice, or told without need."""
    changes = package_changes(before, after)
    gone = [change.before for change in changes if change.before is not None]
    come = [change.after for change in changes if change.after is not None]
    assert sorted(gone) == sorted(before - after)
    assert sorted(come) == sorted(after - before)
