"""Policies as values: patterns, and which lanes cover what."""

from __future__ import annotations

import pytest

from attest.core.policy import Bind, SourceRule, matches
from attest.core.reference import parse_repository
from tests.core import make


@pytest.mark.parametrize(
    ("pattern", "text", "matched"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/b", "a/bc", False),
        ("a/b", "xa/b", False),
        ("a/*", "a/b", True),
        ("a/*", "a/b/c", True),
        ("a/*", "a/", False),
        ("a/*", "a", False),
        ("a/*", "ab/c", False),
        ("a/*", "x/a/b", False),
        ("a*", "ab", False),
        ("a*", "a*", True),
        ("a/*/c", "a/b/c", False),
        ("*", "a", False),
        ("a.c", "abc", False),
        ("a/?", "a/b", False),
        ("A", "a", False),
    ],
)
def test_a_pattern_is_equality_or_a_prefix_of_whole_components(pattern: str, text: str, matched: bool) -> None:
    """A trailing `/*` is everything below; nothing else in a pattern means anything (CVE-2026-25542)."""
    assert matches(pattern, text) is matched


def test_a_policy_speaks_for_repositories_with_their_host() -> None:
    """Host and port belong to the name, and no repository is none of the policy's."""
    asked = make.policy([], images=("registry.example.org:5000/plex/*", "registry.example.org/one"))
    for text, spoken_for in [
        ("registry.example.org:5000/plex/app", True),
        ("registry.example.org/plex/app", False),
        ("registry.example.org/one", True),
        ("registry.example.org:5000/one", False),
    ]:
        assert asked.speaks_for(parse_repository(text)) is spoken_for
    assert not asked.speaks_for(None)


def test_without_refs_every_ref_is_allowed() -> None:
    """A rule without `refs` compares none; an empty one, which no document can have, allows none."""
    rule = SourceRule(repository=make.REPOSITORY, refs=None, bind=(Bind.COMMIT,))
    assert rule.allows_ref("refs/heads/anything")
    assert not SourceRule(repository=make.REPOSITORY, refs=(), bind=(Bind.COMMIT,)).allows_ref("refs/heads/main")


def test_an_exempt_name_is_the_last_component() -> None:
    """`except` names images exactly, not by a part of their name."""
    asked = make.policy([make.lane("a"), make.lane("b", exempt=frozenset({"web"}))])
    assert [[lane.name for lane in asked.lanes_of(name)] for name in ("web", "webs", "we", "")] == [
        ["a"],
        ["a", "b"],
        ["a", "b"],
        ["a", "b"],
    ]


def test_the_label_of_a_lane() -> None:
    """A lane wants its own name as label, and an unlabelled one wants none."""
    assert make.lane("a").label == "a"
    assert make.lane("a", unlabelled=True).label is None
