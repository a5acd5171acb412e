"""Names of source repositories: one normal form for all spellings, and nothing for what names none."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from attest.core.source import normalise_repository, read_source

NORMAL = "https://git.example.org/plex/playlist"

SPELLINGS = [
    NORMAL,
    f"{NORMAL}/",
    f"{NORMAL}.git",
    f"{NORMAL}.git/",
    f"{NORMAL}.git.git",
    "https://GIT.Example.ORG/plex/playlist",
    "HTTPS://git.example.org/plex/playlist",
    "https://git.example.org:443/plex/playlist",
    "https://user:secret@git.example.org/plex/playlist.git",
    "https://x-access-token:gh@s@git.example.org/plex/playlist",
    "http://git.example.org/plex/playlist",
    "http://git.example.org:80/plex/playlist",
    "http://git.example.org:443/plex/playlist",
    "git://git.example.org/plex/playlist.git",
    "git://git.example.org:9418/plex/playlist.git",
    "git@git.example.org:plex/playlist.git",
    "git@git.example.org:/plex/playlist.git",
    "git.example.org:plex/playlist",
    "ssh://git@git.example.org/plex/playlist.git",
    "ssh://git@git.example.org:2222/plex/playlist",
    f"git+{NORMAL}",
    "git+ssh://git@git.example.org:2222/plex/playlist.git",
]

OTHERS = {
    "https://git.example.org/Plex/Playlist": "https://git.example.org/Plex/Playlist",
    "https://git.example.org:3000/a/b": "https://git.example.org:3000/a/b",
    "https://git.example.org:80/a/b": "https://git.example.org:80/a/b",
    "https://git.example.org/a/b.js": "https://git.example.org/a/b.js",
    "https://git.example.org/a/.github": "https://git.example.org/a/.github",
    "https://git.example.org/group/sub/~team/b+c": "https://git.example.org/group/sub/~team/b+c",
    "http://localhost:3000/a/b.git": "http://localhost:3000/a/b",
    "http://localhost:443/a/b": "http://localhost:443/a/b",
    "http://127.0.0.1:80/a/b": "http://127.0.0.1/a/b",
    "http://[::1]:3000/a/b": "http://[::1]:3000/a/b",
    "https://[2001:DB8::1]:443/a/b": "https://[2001:db8::1]/a/b",
    "ssh://git@[2001:db8::1]:22/a/b": "https://[2001:db8::1]/a/b",
    "http://localhost.example.org/a/b": "https://localhost.example.org/a/b",
    "http://127.0.0.1.example.org/a/b": "https://127.0.0.1.example.org/a/b",
}

NOTHING = [
    "",
    "git+",
    "playlist",
    "/srv/git/playlist.git",
    "../playlist",
    "C:\\git\\playlist",
    "file:///srv/git/playlist.git",
    "ftp://git.example.org/a/b",
    "javascript://git.example.org/a/b",
    "https:git.example.org/a/b",
    "https://git.example.org",
    "https://git.example.org/",
    "https://git.example.org/.git",
    "https:///a/b",
    "https://git.example.org//a/b",
    "https://git.example.org/a//b",
    "https://git.example.org/a/../b",
    "https://git.example.org/a/./b",
    "https://git.example.org/a/...git",
    "https://git.example.org/a/b?ref=main",
    "https://git.example.org/a/b#main",
    "https://git.example.org/a/b@main",
    "https://git.example.org/a/%62",
    "https://git.example.org/a b",
    "https://git.example.org/a/b ",
    " https://git.example.org/a/b",
    "https://git.example.org/a/b\n",
    "https://git.exa\tmple.org/a/b",
    "https://git.example.org/a/b\0",
    "https://g\u0131t.example.org/a/b",
    "https://git.example.org/a/\uff42",
    "https://git.example.org:/a/b",
    "https://git.example.org:x/a/b",
    "https://git.example.org:1:443/a/b",
    "https://git.example.org:123456/a/b",
    "https://git.example.org./a/b",
    "https://-git.example.org/a/b",
    "https://git.example.org\\@evil.example.net/a/b",
    "https://[::1/a/b",
    "https://[nonsense]/a/b",
    "git@git.example.org:plex:playlist",
    "pkg:golang/example.org/playlist",
    "file:srv/git",
    "git@git.example.org://plex",
]


@pytest.mark.parametrize("url", SPELLINGS)
def test_every_spelling_has_one_normal_form(url: str) -> None:
    """Scheme, credentials, ssh ports, case of the host, `.git` and slashes make no other repository."""
    assert normalise_repository(url) == NORMAL


@pytest.mark.parametrize(("url", "normal"), OTHERS.items())
def test_what_makes_another_repository_stays(url: str, normal: str) -> None:
    """Paths keep their case, web ports that are not the scheme's own stay, and only loopback stays plain http."""
    assert normalise_repository(url) == normal


@pytest.mark.parametrize("url", NOTHING)
def test_what_names_no_repository_is_an_error(url: str) -> None:
    """Local paths, other schemes, queries, climbing paths, and characters that some reader drops are refused."""
    with pytest.raises(ValueError, match="is no repository"):
        normalise_repository(url)


def test_the_error_shows_no_password() -> None:
    """A URL that is refused may hold a token, and errors end up in public logs."""
    with pytest.raises(ValueError, match="is no repository") as caught:
        normalise_repository("https://user:canary@git.example.org/a b")
    assert "canary" not in str(caught.value)
    assert "git.example.org" in str(caught.value)


_PARTS = st.sampled_from(
    [
        "git+",
        "https",
        "http",
        "ssh",
        "git",
        "://",
        ":",
        "//",
        "/",
        "@",
        "git@",
        "user:secret@",
        "git.example.org",
        "GIT.example.ORG",
        "localhost",
        "127.0.0.1",
        "[::1]",
        ":80",
        ":443",
        ":22",
        "a",
        "B",
        ".git",
        ".",
        "..",
        "~",
        "+",
    ]
)


@given(st.one_of(st.lists(_PARTS, max_size=10).map("".join), st.text(max_size=40), st.from_regex(r"https://\S+/\S+")))
@example("https://git.example.org/a.git.git")
@example("http://git.example.org:443/a")
def test_the_normal_form_of_a_normal_form_is_itself(url: str) -> None:
    """Normalising twice is normalising once, and nothing but ValueError comes out of any text."""
    try:
        normal = normalise_repository(url)
    except ValueError:
        return
    assert normalise_repository(normal) == normal
    assert not normal.endswith((".git", "/"))
    assert "@" not in normal


@pytest.mark.parametrize(
    ("uri", "ref"),
    [
        (f"git+{NORMAL}", None),
        (f"git+{NORMAL}.git", None),
        (f"git+{NORMAL}@refs/heads/main", "refs/heads/main"),
        (f"git+{NORMAL}.git@refs/tags/v1.0", "refs/tags/v1.0"),
        (f"git+{NORMAL}@", None),
        (f"git+{NORMAL}@refs/heads/renovate/@types/node", "refs/heads/renovate/@types/node"),
        ("git+https://user:secret@git.example.org/plex/playlist@refs/heads/main", "refs/heads/main"),
        ("https://user@git.example.org/plex/playlist", None),
        (f"{NORMAL}.git#refs/heads/main", "refs/heads/main"),
        (f"{NORMAL}.git#refs/heads/a@b", "refs/heads/a@b"),
        (f"{NORMAL}.git#refs/heads/main:folder", "refs/heads/main"),
        (f"{NORMAL}.git#:folder", None),
        (f"{NORMAL}.git#", None),
        ("git@git.example.org:plex/playlist.git", None),
        ("git@git.example.org:plex/playlist.git#refs/heads/main", "refs/heads/main"),
        ("ssh://git@git.example.org:22/plex/playlist.git@refs/heads/main", "refs/heads/main"),
    ],
)
def test_a_provenance_uri_names_repository_and_ref(uri: str, ref: str | None) -> None:
    """The forms of SLSA provenance (GitHub, GitLab) and of BuildKit are read."""
    assert read_source(uri) == (NORMAL, ref)


@pytest.mark.parametrize("uri", ["", "#", "@", "pkg:docker/alpine@3.20", "https://@/", "git+https://a@b@c"])
def test_a_uri_of_something_else_is_an_error(uri: str) -> None:
    """What names no repository names no source."""
    with pytest.raises(ValueError, match="is no repository"):
        read_source(uri)


@given(st.one_of(st.lists(st.one_of(_PARTS, st.just("#refs/heads/x")), max_size=10).map("".join), st.text(max_size=40)))
def test_reading_any_uri_ends_in_a_normal_form_or_an_error(uri: str) -> None:
    """Whatever stands in somebody's provenance, the repository read from it is in normal form."""
    try:
        repository, ref = read_source(uri)
    except ValueError:
        return
    assert normalise_repository(repository) == repository
    assert ref != ""
