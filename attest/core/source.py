"""Names of source repositories in one normal form, so that equality is string equality.

The form is an https URL with the host in lower case, no credentials, no `.git` and no trailing slash.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_CHARACTERS = re.compile(r"[!-\[\]-~]+")  # urlsplit drops line breaks and tabs, browsers take \ for /
_SCP = re.compile(r"(?:[A-Za-z0-9._-]+@([A-Za-z0-9.-]+)|([A-Za-z0-9-]+\.[A-Za-z0-9.-]+)):(?!//)([^\s:]+)")
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~+-]+)+")
_LOOPBACK = re.compile(r"(?:localhost|127\.[0-9.]+|\[::1\])(?::[0-9]{1,5})?")
_NORMAL = re.compile(r"https://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?:/[A-Za-z0-9_~+-]+)+")
_OWN_PORTS = {"https": ":443", "http": ":80", "ssh": ":[0-9]+", "git": ":[0-9]+"}
"""Ports, as patterns, that say nothing about where a repository is on the web."""


def normalise_repository(url: str) -> str:
    """The normal form of a repository's URL: `https://`, `ssh://`, `git://`, `git+...` or `user@host:path`.

    An ssh port says nothing about the web address and is dropped. Plain http stays http on loopback, where a forge
    may be tried out, and becomes https elsewhere.

    Raises:
        ValueError: it names no repository.
    """
    if _NORMAL.fullmatch(url) is not None:  # what attest itself writes, on the fast path of every verification
        return url
    try:
        normal = _normal(url.removeprefix("git+")) if _CHARACTERS.fullmatch(url) is not None else None
    except ValueError:  # urlsplit, on what looks like an IPv6 address
        normal = None
    if normal is None:
        shown = re.sub(r"//[^/]*@", "//", url)[:80]  # a password may stand there
        raise ValueError(f"{shown!r} is no repository; write https://HOST/OWNER/NAME")
    return normal


def _normal(text: str) -> str | None:
    if "://" not in text:
        match = _SCP.fullmatch(text)
        if match is None:
            return None
        text = f"ssh://{match[1] or match[2]}/{match[3].lstrip('/')}"
    parts = urlsplit(text)
    host = parts.netloc.rpartition("@")[2].lower()
    path = parts.path.rstrip("/")
    while path.endswith(".git"):
        path = path.removesuffix(".git").rstrip("/")
    valid = _HOST.fullmatch(host) and _PATH.fullmatch(path) and not {".", ".."} & set(path.split("/"))
    if parts.scheme not in _OWN_PORTS or not valid or parts.query or parts.fragment:
        return None
    scheme = "http" if parts.scheme == "http" and _LOOPBACK.fullmatch(host) else "https"
    own = _OWN_PORTS[parts.scheme] + (r"|:443" if scheme == "https" else "")
    return f"{scheme}://{re.sub(f'(?:{own})$', '', host)}{path}"


def read_source(uri: str) -> tuple[str, str | None]:
    """The repository and ref of a provenance URI: `git+https://host/a/b@refs/heads/main`, or `...#refs/heads/main`.

    Raises:
        ValueError: it names no repository.
    """
    base, hash_sign, fragment = uri.partition("#")
    if hash_sign:
        return normalise_repository(base), fragment.partition(":")[0] or None
    scheme, _, rest = base.partition("://")
    authority, _, tail = rest.partition("/")
    path, at, ref = tail.partition("@")  # no path holds one, but a branch may: refs/heads/renovate/@types
    if at:
        return normalise_repository(f"{scheme}://{authority}/{path}"), ref or None
    return normalise_repository(base), None
