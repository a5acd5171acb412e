"""Names of source repositories in one normal form, so that equality is string equality.

The form is an https URL with the host in lower case, no credentials, no `.git` and no trailing slash.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_SCP = re.compile(r"(?:[A-Za-z0-9._-]+@)?([A-Za-z0-9.-]+):(?!//)([^\s:]+)")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?|\[[0-9a-f:]+\](?::[0-9]{1,5})?")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~+-]+)+")
_LOOPBACK = re.compile(r"(?:localhost|127\.[0-9.]+|\[::1\])(?::[0-9]{1,5})?")
_NORMAL = re.compile(r"https://[a-z0-9][a-z0-9.-]*(?::[0-9]{1,5})?(?:/[A-Za-z0-9_~+-]+)+")


def normalise_repository(url: str) -> str:
    """The normal form of a repository's URL: `https://`, `ssh://`, `git://`, `git+...` or `user@host:path`.

    An ssh port says nothing about the web address and is dropped. Plain http stays http on loopback, where a forge
    may be tried out, and becomes https elsewhere.

    Raises:
        ValueError: it names no repository.
    """
    if _NORMAL.fullmatch(url) is not None:  # what attest itself writes, on the fast path of every verification
        return url
    text = url.removeprefix("git+")
    if "://" not in text:
        match = _SCP.fullmatch(text)
        if match is None:
            raise ValueError(f"{url[:80]!r} is no repository; write https://HOST/OWNER/NAME")
        text = f"ssh://{match[1]}/{match[2].lstrip('/')}"
    parts = urlsplit(text)
    host = parts.netloc.rpartition("@")[2].lower()
    if parts.scheme in ("ssh", "git"):
        host = re.sub(r":[0-9]+$", "", host)
    path = parts.path.rstrip("/").removesuffix(".git").rstrip("/")
    valid = _HOST.fullmatch(host) and _PATH.fullmatch(path) and not {".", ".."} & set(path.split("/"))
    if parts.scheme not in ("https", "http", "ssh", "git") or not valid or parts.query or parts.fragment:
        raise ValueError(f"{url[:80]!r} is no repository; write https://HOST/OWNER/NAME")
    if parts.scheme == "http" and _LOOPBACK.fullmatch(host):
        return f"http://{host}{path}"
    return f"https://{host}{path}"


def read_source(uri: str) -> tuple[str, str | None]:
    """The repository and ref of a provenance URI: `git+https://host/a/b@refs/heads/main`, or `...#refs/heads/main`.

    Raises:
        ValueError: it names no repository.
    """
    base, hash_sign, fragment = uri.partition("#")
    if hash_sign:
        return normalise_repository(base), fragment.partition(":")[0] or None
    head, at, ref = base.rpartition("@")
    if at and "/" in head.partition("://")[2]:
        return normalise_repository(head), ref or None
    return normalise_repository(base), None
