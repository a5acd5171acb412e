"""Globs of paths and package URLs: what they match, and what is refused as a pattern."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.contract.glob import LONGEST, Component, GlobInvalid, PathSet, compile_glob, compile_path_glob
from attest.core.contract.purl import compile_purl_glob


def naive_component(pattern: str, text: str) -> bool:
    """Character by character: a star is none of the text, or one character more."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return naive_component(pattern[1:], text) or (text != "" and naive_component(pattern, text[1:]))
    return text != "" and text[0] == pattern[0] and naive_component(pattern[1:], text[1:])


def naive(pattern: list[str], text: list[str]) -> bool:
    """Component by component: two stars are none, or one more; where they are last, one or more."""
    if not pattern:
        return not text
    if pattern[0] == "**":
        if len(pattern) == 1:
            return bool(text)
        return naive(pattern[1:], text) or (bool(text) and naive(pattern, text[1:]))
    return bool(text) and naive_component(pattern[0], text[0]) and naive(pattern[1:], text[1:])


WORDS = st.text(alphabet="ab.", max_size=5)
PATTERNS = st.lists(
    st.text(alphabet="ab.*", max_size=6).filter(lambda part: "**" not in part) | st.just("**"), min_size=1, max_size=6
)
TEXTS = st.lists(WORDS, min_size=1, max_size=6)


@given(PATTERNS.filter(lambda parts: parts != [""]), TEXTS)
def test_a_glob_matches_what_a_naive_matcher_matches(pattern: list[str], text: list[str]) -> None:
    """Every pattern says of every text what the sentence that defines it says, or is refused as no pattern."""
    try:
        compiled = compile_glob("/".join(pattern))
    except GlobInvalid:
        assert any(pair == ("**", "**") for pair in pairwise(pattern))
        return
    assert compiled.matches("/".join(text)) is naive(pattern, text)


@given(st.text(alphabet="ab*", max_size=12).filter(lambda part: "**" not in part), st.text(alphabet="ab", max_size=12))
def test_a_component_matches_what_a_naive_matcher_matches(pattern: str, text: str) -> None:
    """Within a component a star is any run of characters, also none."""
    assert Component(tuple(pattern.split("*"))).matches(text) is naive_component(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("/usr/bin/*", "/usr/bin/env", True),
        ("/usr/bin/*", "/usr/bin/sub/env", False),
        ("/secret/**", "/secret", False),
        ("/secret/**", "/secret/.ssh/id_rsa", True),
        ("/**/id_rsa", "/id_rsa", True),
        ("/**/id_rsa", "/a/b/id_rsa", True),
        ("/**/id_rsa", "/a/id_rsa.pub", False),
        ("/**/cache/**", "/a/cache/b/c", True),
        ("/**/cache/**", "/a/cache", False),
        ("**", "anything/at all", True),
        ("/ETC/passwd", "/etc/passwd", False),
        ("/a?b", "/axb", False),
        ("/a[bc]", "/ab", False),
        ("/caf\\xe9", "/caf\\xe9", True),
        ("*", "Healthcheck", True),
    ],
)
def test_what_a_glob_matches(pattern: str, text: str, matches: bool) -> None:
    """One star stays within a component, two cross them, and nothing else is special."""
    assert compile_glob(pattern).matches(text) is matches


@given(
    st.lists(PATTERNS.map(lambda parts: "/" + "/".join(parts)), max_size=4),
    st.lists(TEXTS.map(lambda parts: "/" + "/".join(parts)), max_size=6),
)
def test_a_set_of_patterns_matches_what_one_of_them_matches(patterns: list[str], paths: list[str]) -> None:
    """Many patterns at once say of each path what they say one after the other."""
    compiled = []
    for pattern in patterns:
        with suppress(GlobInvalid):
            compiled.append(compile_glob(pattern))
    both = PathSet(compiled)
    for path in paths:
        assert (path in both) is any(one.matches(path) for one in compiled)


def test_a_set_of_patterns_goes_as_deep_as_paths_do() -> None:
    """A path of two thousand components is no deeper than Python can go."""
    assert "/a" * 2000 in PathSet([compile_glob("/a/**")])


def test_matching_takes_no_endless_time() -> None:
    """A pattern of many stars against a text that almost matches is answered at once, not after 2^500 attempts."""
    assert not compile_glob("/" + "a*" * 500 + "b").matches("/" + "a" * 4000)
    assert not compile_glob("/" + "**/a*/" * 150 + "b").matches("/a" * 2000)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("", "empty text"),
        ("/a\u202eb", "nobody sees"),
        ("/" + "a" * LONGEST, f"at most {LONGEST}"),
        ("/a**b", "stands alone"),
        ("/***", "stands alone"),
        ("/**/**", "one ** after the other"),
    ],
)
def test_what_is_no_glob(pattern: str, problem: str) -> None:
    """A pattern that says nothing, or that could be read in two ways, is refused."""
    with pytest.raises(GlobInvalid, match=problem.replace("*", r"\*")):
        compile_glob(pattern)


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("usr/bin", "write /usr/bin or /\\*\\*/usr/bin"),
        ("/usr//bin", "nothing between two slashes"),
        ("/usr/", "ends in a /"),
        ("/", "ends in a /"),
        ("/usr/./bin", "a component"),
        ("/usr/../bin", "a component"),
    ],
)
def test_a_glob_of_paths_that_could_never_match_is_refused(pattern: str, problem: str) -> None:
    """Paths of an image begin with a slash and are normal; a pattern that is not would silently match nothing."""
    with pytest.raises(GlobInvalid, match=problem):
        compile_path_glob(pattern)


@pytest.mark.parametrize(
    ("pattern", "purl", "matches"),
    [
        ("pkg:pypi/pytest", "pkg:pypi/pytest@8.3.4", True),
        ("pkg:pypi/pytest", "pkg:pypi/pytest-xdist@3.6.1", False),
        ("pkg:pypi/pytest*", "pkg:pypi/pytest-xdist@3.6.1", True),
        ("pkg:deb/*/gcc*", "pkg:deb/debian/gcc-12@12.2.0-14?arch=amd64&distro=debian-12", True),
        ("pkg:deb/*/gcc*", "pkg:apk/alpine/gcc@13", False),
        ("pkg:deb/**", "pkg:deb/debian/apt@2.6", True),
        ("pkg:rpm/**/gcc", "pkg:rpm/gcc@13", True),
        ("pkg:rpm/**/gcc", "pkg:rpm/fedora/gcc@13?epoch=1", True),
        ("pkg:npm/npm@10.*", "pkg:npm/npm@10.8.2", True),
        ("pkg:npm/npm@10.*", "pkg:npm/npm@9.1.0", False),
        ("pkg:npm/npm@10.8.2", "pkg:npm/npm@10.8.2", True),
        ("pkg:npm/@playwright/*", "pkg:npm/%40playwright/test@1.50.0", True),
        ("pkg:npm/@playwright/test@1.*", "pkg:npm/%40playwright/test@1.50.0", True),
        ("pkg:npm/%40playwright/test", "pkg:npm/%40playwright/test@1.50.0", True),
        ("pkg:*/pytest", "pkg:pypi/pytest@8", True),
        ("pkg:*/**/gcc", "pkg:deb/debian/gcc@1", True),
    ],
)
def test_what_a_glob_of_package_urls_matches(pattern: str, purl: str, matches: bool) -> None:
    """Type, namespace and name are compared, the version if the pattern has one, and qualifiers never."""
    assert compile_purl_glob(pattern).matches(purl) is matches


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("pytest", "does not begin with pkg:"),
        ("npm:pytest", "does not begin with pkg:"),
        ("pkg", "does not begin with pkg:"),
        ("pkg:pypi", "names no package"),
        ("pkg:pypi/", "names no package"),
        ("pkg:/pytest", "names no package"),
        ("pkg:deb//apt", "names no package"),
        ("pkg:pypi/pytest?arch=x", "leave out what begins with"),
        ("pkg:pypi/pytest#x", "leave out what begins with"),
        ("pkg:pypi/pytest@", "after the @"),
        ("pkg:pypi/pytest@1/2", "after the @"),
        ("pkg:pypi/pytest@**", "after the @"),
        ("pkg:gem/rails", "no packages of the type 'gem'"),
        ("pkg:pypi/Pytest_Cov", "write pytest-cov"),
        ("pkg:deb/apt", "write pkg:deb/\\*\\*/apt"),
        ("pkg:pypi/a**", "stands alone"),
        ("pkg:**/pytest", "no packages of the type"),
    ],
)
def test_a_glob_of_package_urls_that_could_never_match_is_refused(pattern: str, problem: str) -> None:
    """A misspelt pattern would forbid nothing; it is an error that says how the package is called."""
    with pytest.raises(GlobInvalid, match=problem):
        compile_purl_glob(pattern)
