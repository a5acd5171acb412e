"""Trusted roots from a TUF repository, as the public-good instance of Sigstore publishes its own.

Each command refreshes what it has where the repository answers (The Update Framework 1.0.33, section 5). What was last
fetched whole is kept in one file of the cache folder, with the metadata that vouches for it, and used when nothing
answers: signatures and hashes are checked again then, from the first root on; expiry is not, or nothing could be
verified offline. An answer that does not verify is never papered over with what is kept.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from attest.adapters.deadline import Deadline
from attest.adapters.files import read_file, write_file
from attest.adapters.sigstore.guard import told
from attest.adapters.sigstore.trust import SigstoreTrust
from attest.core import limits
from attest.core.strictjson import JsonInvalid, loads
from attest.errors import AttestError, DocumentInvalid, ServiceFailed, UsageError

if TYPE_CHECKING:
    from tuf.ngclient.updater import Updater

PUBLIC_GOOD: Final = "https://tuf-repo-cdn.sigstore.dev"
TRUSTED_ROOT: Final = "trusted_root.json"
SIGNING_CONFIG: Final = "signing_config.v0.2.json"

_KEPT: Final = "kept.json"
_KEPT_LIMIT: Final = 8 * limits.MIB
_PATIENCE: Final = 15.0
"""Seconds for a whole refresh; who is offline behind a firewall that says nothing should not wait for longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Files of a TUF repository, each verified against its metadata."""

    files: Mapping[str, bytes]
    refreshed: bool
    """Whether the repository answered; else they are those of the last time that it did."""


def public_good(
    *, cache: Path, deadline: Deadline, url: str = PUBLIC_GOOD, bootstrap: bytes | None = None
) -> SigstoreTrust:
    """The trusted root of the public-good instance, or of another that publishes its own in the same way.

    Raises:
        DocumentInvalid: what is published there is no trusted root.
        UsageError, ServiceFailed: as `fetch`.
    """
    fetched = fetch((TRUSTED_ROOT,), cache=cache, deadline=deadline, url=url, bootstrap=bootstrap)
    return SigstoreTrust(fetched.files[TRUSTED_ROOT], file=f"{url.rstrip('/')}/{TRUSTED_ROOT}")


def fetch(
    names: Sequence[str], *, cache: Path, deadline: Deadline, url: str = PUBLIC_GOOD, bootstrap: bytes | None = None
) -> Fetched:
    """Files of the TUF repository at `url`, fresh where it answers, else as they were when it last did.

    `cache` is a folder of ours, of which each repository gets a part. `bootstrap` is the repository's first root
    metadata; without it the one that sigstore-python carries is taken, which it does for the public-good instance.

    Raises:
        UsageError: no first root is known for this address, it is neither https nor on this machine, or the cache
            folder cannot be written.
        ServiceFailed: it does not answer and nothing is kept, or what it answers does not verify.
        DeadlineExceeded: the command's own deadline has passed.
    """
    url = url.rstrip("/")
    _refuse_plain_http(url)
    root = bootstrap if bootstrap is not None else _carried(url)
    folder = cache / quote(url, safe="")
    with _locked(folder):
        try:
            files = _refresh(names, folder, url, root, deadline)
        except _Unanswered as error:
            kept = _kept(names, folder, root)
            if kept is None:
                raise ServiceFailed(
                    f"the TUF repository {url} does not answer, and nothing of it was kept from before: {error}",
                    hint="fetch it once with a network, or name a trusted root file in the policy",
                ) from error
            return Fetched(files=kept, refreshed=False)
        return Fetched(files=files, refreshed=True)


class _Unanswered(Exception):
    """The repository cannot be reached, or answers with an error of HTTP."""


def _refuse_plain_http(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in {"127.0.0.1", "::1", "localhost"}):
        return
    raise UsageError(f"{url} is not https, which only an address of this machine need not be")


def _carried(url: str) -> bytes:
    from sigstore._utils import read_embedded

    try:
        return read_embedded("root.json", url)
    except OSError as error:
        raise UsageError(
            f"no first root of the TUF repository {url} is known", hint="name a trusted root file instead"
        ) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time: python-tuf's client is made for that (its documentation, "single instance")."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"the cache folder {folder} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _refresh(names: Sequence[str], folder: Path, url: str, root: bytes, deadline: Deadline) -> dict[str, bytes]:
    from tuf.api.exceptions import DownloadError, DownloadLengthMismatchError, RepositoryError
    from tuf.ngclient.updater import Updater

    from attest.adapters.sigstore.tuffetcher import Fetcher

    metadata, targets = folder / "metadata", folder / "targets"
    try:
        metadata.mkdir(exist_ok=True)
        targets.mkdir(exist_ok=True)
        updater = Updater(
            metadata_dir=str(metadata),
            metadata_base_url=url,
            target_dir=str(targets),
            target_base_url=f"{url}/targets/",
            fetcher=Fetcher(deadline, patience=min(_PATIENCE, deadline.remaining() / 2)),
            bootstrap=root,
        )
        updater.refresh()
        files = {name: _file(updater, name, url) for name in names}
        _keep(files, folder, metadata, root)
    except AttestError:
        raise
    except (RepositoryError, DownloadLengthMismatchError) as error:
        raise _unverified(url, error) from error
    except DownloadError as error:
        raise _Unanswered(_causes(error)) from error
    except OSError as error:
        raise UsageError(f"the cache folder {folder} cannot be written: {error.strerror or told(error)}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _unverified(url, error) from error
    return files


def _unverified(url: str, error: Exception) -> ServiceFailed:
    return ServiceFailed(
        f"what the TUF repository {url} answers does not verify: {told(error)}",
        hint="somebody may be tampering with it, or the clock of this machine is wrong; nothing was taken from it",
    )


def _causes(error: Exception) -> str:
    """What went wrong, and what is behind it: the library wraps what the network said."""
    return f"{told(error)}: {told(error.__cause__)}" if error.__cause__ else told(error)


def _file(updater: Updater, name: str, url: str) -> bytes:
    info = updater.get_targetinfo(name)
    if info is None:
        raise ServiceFailed(f"the TUF repository {url} has no {name}")
    path = updater.find_cached_target(info) or updater.download_target(info)
    content = Path(path).read_bytes()
    info.verify_length_and_hashes(content)
    return content


def _keep(files: Mapping[str, bytes], folder: Path, metadata: Path, root: bytes) -> None:
    """Keep what was fetched in one file, written whole: the roots since the first, the targets' metadata, the files."""
    history = [(_version(content), content) for content in _contents(metadata / "root_history")]
    first = _version(root)
    kept = {
        "roots": [_text(content) for version, content in sorted(history) if version > first],
        "targets": _text((metadata / "targets.json").read_bytes()),
        "files": {name: _text(content) for name, content in files.items()},
    }
    content = json.dumps(kept).encode("ascii")
    path = folder / _KEPT
    if not path.is_file() or path.read_bytes() != content:
        write_file(str(path), content)


def _kept(names: Sequence[str], folder: Path, root: bytes) -> dict[str, bytes] | None:
    """What was kept, if it still verifies from the first root on; None where it does not, or nothing was."""
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata, Root, Targets  # type: ignore[attr-defined]  # where its documentation has them

    try:
        kept = loads(read_file(str(folder / _KEPT), limit=_KEPT_LIMIT))
        trusted = Metadata[Root].from_bytes(root)
        for text in kept["roots"]:
            newer = Metadata[Root].from_bytes(_bytes(text))
            if newer.signed.version != trusted.signed.version + 1:
                return None
            for judge in (trusted.signed, newer.signed):
                judge.verify_delegate(Root.type, newer.signed_bytes, newer.signatures)
            trusted = newer
        targets = Metadata[Targets].from_bytes(_bytes(kept["targets"]))
        trusted.signed.verify_delegate(Targets.type, targets.signed_bytes, targets.signatures)
        files = {name: _bytes(kept["files"][name]) for name in names}
        for name, content in files.items():
            targets.signed.targets[name].verify_length_and_hashes(content)
    except (RepositoryError, DocumentInvalid, JsonInvalid, ValueError, TypeError, KeyError, AttributeError):
        return None
    return files


def _contents(folder: Path) -> Iterator[bytes]:
    return (path.read_bytes() for path in folder.glob("*.root.json"))


def _version(root: bytes) -> int:
    from tuf.api.metadata import Metadata, Root  # type: ignore[attr-defined]  # where its documentation has them

    return Metadata[Root].from_bytes(root).signed.version


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _bytes(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)
