"""`WWW-Authenticate` is read as RFC 9110 has it, and nothing else is."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.adapters.registry.challenge import Challenge, parse_challenges


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], []),
        ([""], []),
        (["Basic"], [("basic", {})]),
        (['Basic realm="x"'], [("basic", {"realm": "x"})]),
        (["Basic realm=x"], [("basic", {"realm": "x"})]),
        (['bearer REALM = "x" , service="a,b"'], [("bearer", {"realm": "x", "service": "a,b"})]),
        (['Bearer realm="a\\"b\\\\c"'], [("bearer", {"realm": 'a"b\\c'})]),
        (['Bearer realm="a",scope="repository:x:pull,push",error="e", Basic realm="b"'], None),
        (['Bearer realm="a"', 'Basic realm="b"'], [("bearer", {"realm": "a"}), ("basic", {"realm": "b"})]),
        (["Negotiate dG9rZW4=, Basic realm=x"], [("negotiate", {}), ("basic", {"realm": "x"})]),
        ([", ,Basic realm=x,,"], [("basic", {"realm": "x"})]),
    ],
)
def test_challenges(headers: list[str], expected: list[tuple[str, dict[str, str]]] | None) -> None:
    """Schemes, parameters, quoting, lists in one header and in several."""
    if expected is None:
        expected = [
            ("bearer", {"realm": "a", "scope": "repository:x:pull,push", "error": "e"}),
            ("basic", {"realm": "b"}),
        ]
    assert parse_challenges(headers) == tuple(Challenge(scheme=scheme, parameters=known) for scheme, known in expected)


@pytest.mark.parametrize(
    "header",
    [
        'Bearer realm="x',
        'Bearer realm="a",realm="b"',
        'Bearer realm="a",REALM="b"',
        '="x"',
        'Bearer realm="a\nb"',
        'Bearer realm="a" service="b"',
        "Bearer realm=a=b",
        "Basic\x00",
    ],
)
def test_what_is_no_challenge(header: str) -> None:
    """An open quotation, a doubled parameter and the like are errors, not something to guess at."""
    with pytest.raises(ValueError, match=r"stands twice|without a scheme"):
        parse_challenges([header])


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=200))
def test_any_text_is_read_or_refused(header: str) -> None:
    """No text makes the reader fail in another way, or name a scheme that is none."""
    try:
        challenges = parse_challenges([header])
    except ValueError:
        return
    for challenge in challenges:
        assert challenge.scheme == challenge.scheme.lower()
        assert " " not in challenge.scheme


@pytest.mark.parametrize(
    "hostile", ["a," * 30_000, "a " * 30_000, "," * 60_000, "a" + " " * 60_000, 'a b="' + "\\" * 60_000]
)
def test_hostile_headers(hostile: str) -> None:
    """A header that is as long as one can be costs no time that grows with its square."""
    with contextlib.suppress(ValueError):
        parse_challenges([hostile])


_NAMES = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
_TEXTS = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]))


@given(st.dictionaries(_NAMES, _TEXTS))
def test_quoted_parameters_come_back(parameters: dict[str, str]) -> None:
    """What is quoted by the RFC's rule is read back as it was."""
    written = ", ".join(
        '{}="{}"'.format(name, text.replace("\\", "\\\\").replace('"', '\\"')) for name, text in parameters.items()
    )
    [challenge] = parse_challenges([f"Bearer {written}"])
    assert challenge.parameters == parameters
