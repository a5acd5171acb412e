"""Trusted roots through TUF: a local repository that rotates, dies, lies and is tampered with."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # where its documentation has it
from tuf.api.metadata import (  # type: ignore[attr-defined]  # where its documentation has them
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.ngclient.updater import Updater

from attest.adapters.deadline import Deadline
from attest.adapters.sigstore.roots import PUBLIC_GOOD, TRUSTED_ROOT, Fetched, _carried, fetch, public_good
from attest.core.reference import digest_of
from attest.errors import DeadlineExceeded, DocumentInvalid, ServiceFailed, UsageError
from tests.parts import loopback
from tests.sigstore_forge import Recipe
from tests.sigstore_instance import AT, CA, MINUTE, YEAR, trusted_root

OLD, NEW = trusted_root(), trusted_root(authorities=[CA.described(start=AT - YEAR, end=AT + YEAR)])
ROLES = ("root", "targets", "snapshot", "timestamp")
DAY = timedelta(days=1)


class Repository:
    """A TUF repository with one key for each role. `files` is what it serves, to be spoiled."""

    def __init__(self) -> None:
        self.signers = {role: CryptoSigner.generate_ed25519() for role in ROLES}
        self.files: dict[str, bytes] = {}
        self.version = 0
        self.down: Callable[[loopback.Handler], None] | None = None
        """What it does instead of answering."""
        self._root = Root(consistent_snapshot=True, expires=self._later())
        for role, signer in self.signers.items():
            self._root.add_key(signer.public_key, role)
        self.bootstrap = self._sign("root", self._root)
        self.files["1.root.json"] = self.bootstrap

    def publish(self, *, expires: timedelta = DAY, **targets: bytes) -> None:
        """Publish these files, `trusted_root` as `trusted_root.json`, with metadata that lasts so long."""
        self.version += 1
        listed, end = Targets(version=self.version, expires=self._later()), datetime.now(UTC) + expires
        for name, content in targets.items():
            info = TargetFile.from_data(f"{name}.json", content, ["sha256"])
            listed.targets[info.path] = info
            self.files[f"targets/{info.hashes['sha256']}.{info.path}"] = content
        snapshot = Snapshot(
            version=self.version, expires=self._later(), meta={"targets.json": MetaFile(version=self.version)}
        )
        timestamp = Timestamp(
            version=self.version, expires=end.replace(microsecond=0), snapshot_meta=MetaFile(version=self.version)
        )
        self.files[f"{self.version}.targets.json"] = self._sign("targets", listed)
        self.files[f"{self.version}.snapshot.json"] = self._sign("snapshot", snapshot)
        self.files["timestamp.json"] = self._sign("timestamp", timestamp)

    def rotate(self) -> None:
        """Give the targets a new key, in a new root that the old and the new root key sign."""
        old = self.signers["root"]
        for role in ("root", "targets"):
            self._root.revoke_key(self.signers[role].public_key.keyid, role)
            self.signers[role] = CryptoSigner.generate_ed25519()
            self._root.add_key(self.signers[role].public_key, role)
        self._root.version += 1
        metadata = Metadata(self._root)
        metadata.sign(old)
        metadata.sign(self.signers["root"], append=True)
        self.files[f"{self._root.version}.root.json"] = metadata.to_bytes()

    def target(self) -> str:
        """Where the trusted root is served."""
        return next(name for name in self.files if name.endswith(f".{TRUSTED_ROOT}"))

    def expired_targets(self) -> bytes:
        """The targets' metadata as they are, but long over."""
        metadata = Metadata[Targets].from_bytes(self.files[f"{self.version}.targets.json"])
        metadata.signed.expires = datetime(2020, 1, 1, tzinfo=UTC)
        return self._sign("targets", metadata.signed)

    def _sign(self, role: str, signed: Any) -> bytes:
        metadata: Metadata[Any] = Metadata(signed)
        metadata.sign(self.signers[role])
        return metadata.to_bytes()

    @staticmethod
    def _later() -> datetime:
        return datetime.now(UTC).replace(microsecond=0) + 100 * DAY


class Place:
    """A repository, its address, and a cache folder."""

    def __init__(self, repository: Repository, url: str, cache: Path) -> None:
        self.repository, self.url, self.cache = repository, url, cache

    def fetch(self, *, seconds: float = 60) -> Fetched:
        """What a command would get."""
        root = self.repository.bootstrap
        return fetch((TRUSTED_ROOT,), cache=self.cache, deadline=Deadline(seconds), url=self.url, bootstrap=root)

    @property
    def kept(self) -> Path:
        """The file of what was last fetched."""
        (found,) = self.cache.glob("*/kept.json")
        return found


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A repository on loopback that has published the old root."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    repository = Repository()
    repository.publish(trusted_root=OLD)

    class Handler(loopback.Handler):
        def respond(self) -> None:
            if repository.down is not None:
                repository.down(self)
                return
            content = repository.files.get(self.path.lstrip("/"))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

    server = loopback.Server(Handler)
    with server.running():
        yield Place(repository, f"http://{server.host}", tmp_path / "cache")


def status(code: int) -> Callable[[loopback.Handler], None]:
    """Answer everything with a status and nothing else."""

    def answer(handler: loopback.Handler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Length", "0")
        handler.send_header("Location", "/timestamp.json")
        handler.end_headers()

    return answer


def hang_up(handler: loopback.Handler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


DOWN = [status(403), status(404), status(500), status(503), status(302), status(206), hang_up]


def refused(place: Place) -> str:
    """Why nothing comes of it, with exit code 3."""
    with pytest.raises(ServiceFailed) as caught:
        place.fetch()
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_a_root_is_fetched(place: Place) -> None:
    """The trusted root of the repository comes as it was published, and verifies bundles."""
    assert place.fetch() == Fetched(files={TRUSTED_ROOT: OLD}, refreshed=True)
    trust = public_good(
        cache=place.cache, deadline=Deadline(60), url=place.url + "/", bootstrap=place.repository.bootstrap
    )
    assert trust.digest == digest_of(OLD)
    assert trust.certify(Recipe().content).times == (AT + MINUTE,)


def test_a_new_root_replaces_the_old_one(place: Place) -> None:
    """Each command takes what is published now."""
    place.fetch()
    place.repository.publish(trusted_root=NEW)
    assert place.fetch() == Fetched(files={TRUSTED_ROOT: NEW}, refreshed=True)


def test_nothing_is_written_where_nothing_is_new(place: Place) -> None:
    """What is kept stays the same file while it says the same."""
    place.fetch()
    before = place.kept.stat()
    place.fetch()
    assert (place.kept.stat().st_ino, place.kept.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("down", DOWN)
def test_it_is_usable_offline_afterwards(place: Place, down: Callable[[loopback.Handler], None]) -> None:
    """Where nothing answers, or only errors of HTTP, what was last fetched serves, and is not called fresh."""
    place.fetch()
    place.repository.down = down
    assert place.fetch() == Fetched(files={TRUSTED_ROOT: OLD}, refreshed=False)


@pytest.mark.parametrize("down", DOWN)
def test_never_fetched_and_unreachable_is_no_answer(place: Place, down: Callable[[loopback.Handler], None]) -> None:
    """Without a network and with nothing kept there is no trusted root: exit code 3, and what to do."""
    place.repository.down = down
    assert f"{place.url} does not answer, and nothing of it was kept" in refused(place)


def test_a_repository_that_is_gone_is_unreachable(place: Place) -> None:
    """A port on which nobody listens."""
    server = loopback.Server(loopback.Handler)
    server.server_close()
    place.url = f"http://{server.host}"
    assert "does not answer" in refused(place)


def test_what_drips_is_unreachable(place: Place) -> None:
    """A repository that sends a byte now and then is given up within the half of the command's time."""
    place.fetch()
    over = threading.Event()

    def drip(handler: loopback.Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "16000")
        handler.end_headers()
        with contextlib.suppress(OSError):
            while not over.wait(0.05):
                handler.wfile.write(b" ")
                handler.wfile.flush()

    place.repository.down = drip
    try:
        assert place.fetch(seconds=2) == Fetched(files={TRUSTED_ROOT: OLD}, refreshed=False)
    finally:
        over.set()


def test_a_deadline_that_has_passed_is_one(place: Place) -> None:
    """The command's own deadline is not taken for a repository that does not answer."""
    place.fetch()
    with pytest.raises(DeadlineExceeded):
        place.fetch(seconds=0)


def shorten(repository: Repository) -> None:
    """Serve a target that has lost its end."""
    repository.files[repository.target()] = repository.files[repository.target()][:-1]


def lengthen(repository: Repository) -> None:
    """Serve a target with more behind it."""
    repository.files[repository.target()] += b" "


def change(repository: Repository) -> None:
    """Serve a target of the right length with another content."""
    repository.files[repository.target()] = b"x" * len(repository.files[repository.target()])


def expire(repository: Repository) -> None:
    """Publish metadata that is over."""
    repository.publish(trusted_root=NEW, expires=-DAY)


def forge(repository: Repository) -> None:
    """Publish with a key for the timestamp that the root does not name."""
    repository.signers["timestamp"] = CryptoSigner.generate_ed25519()
    repository.publish(trusted_root=NEW)


def forge_targets(repository: Repository) -> None:
    """Publish with a key for the targets that the root does not name."""
    repository.signers["targets"] = CryptoSigner.generate_ed25519()
    repository.publish(trusted_root=NEW)


def babble(repository: Repository) -> None:
    """Serve junk as the timestamp."""
    repository.files["timestamp.json"] = b"junk"


def babble_numbers(repository: Repository) -> None:
    """Serve JSON of another shape as the timestamp."""
    repository.files["timestamp.json"] = b'{"signatures": 1, "signed": []}'


@pytest.mark.parametrize(
    "lie",
    [shorten, lengthen, change, expire, forge, forge_targets, babble, babble_numbers],
    ids=lambda lie: lie.__name__,
)
@pytest.mark.parametrize("before", [False, True], ids=["never fetched", "fetched before"])
def test_what_does_not_verify_is_refused(place: Place, lie: Callable[[Repository], None], *, before: bool) -> None:
    """Whatever is tampered with, nothing is taken, and what is kept is no way around it."""
    if before:
        place.fetch()
        place.repository.files.pop(place.repository.target())
        place.repository.publish(trusted_root=NEW)
    lie(place.repository)
    assert "does not verify" in refused(place)


def test_a_rollback_is_refused(place: Place) -> None:
    """A repository that goes back to an older version is refused; the newer one stays known."""
    old = dict(place.repository.files)
    place.repository.publish(trusted_root=NEW)
    place.fetch()
    new, place.repository.files = place.repository.files, old
    assert "does not verify" in refused(place)
    place.repository.files = new
    assert place.fetch().files == {TRUSTED_ROOT: NEW}


def test_a_repository_without_a_trusted_root_says_so(place: Place) -> None:
    """The repository is good, and has no such file."""
    place.repository.publish(other=b"{}")
    assert f"has no {TRUSTED_ROOT}" in refused(place)


def test_what_is_published_has_to_be_a_trusted_root(place: Place) -> None:
    """A file that verifies and is no trusted root is an error that names its address."""
    place.repository.publish(trusted_root=b"{}")
    with pytest.raises(DocumentInvalid, match="no trusted root") as caught:
        public_good(cache=place.cache, deadline=Deadline(60), url=place.url, bootstrap=place.repository.bootstrap)
    assert f"{place.url}/{TRUSTED_ROOT}: " in str(caught.value)


def test_keys_rotate_and_the_first_root_still_leads_there(place: Place) -> None:
    """After two rotations the chain from the first root on is followed, with a network and without."""
    place.fetch()
    for root in (NEW, OLD):
        place.repository.rotate()
        place.repository.publish(trusted_root=root)
        assert place.fetch() == Fetched(files={TRUSTED_ROOT: root}, refreshed=True)
    place.repository.down = hang_up
    assert place.fetch() == Fetched(files={TRUSTED_ROOT: OLD}, refreshed=False)
    assert len(json.loads(place.kept.read_bytes())["roots"]) == 2


def test_expiry_is_not_looked_at_offline(place: Place) -> None:
    """What was good when it was fetched serves offline for as long as it is needed."""
    place.fetch()
    kept = json.loads(place.kept.read_bytes())
    kept["targets"] = base64.b64encode(place.repository.expired_targets()).decode()
    place.kept.write_text(json.dumps(kept))
    place.repository.down = hang_up
    assert place.fetch().files == {TRUSTED_ROOT: OLD}


def spoil(kept: dict[str, Any], how: str) -> dict[str, Any]:
    """One way in which what is kept was changed on the disk."""
    match how:
        case "file":
            kept["files"][TRUSTED_ROOT] = base64.b64encode(NEW).decode()
        case "no file":
            kept["files"] = {}
        case "targets":
            other = Repository()
            other.publish(trusted_root=NEW)
            kept["files"][TRUSTED_ROOT] = base64.b64encode(NEW).decode()
            kept["targets"] = base64.b64encode(other.files["1.targets.json"]).decode()
        case "roots":
            kept["roots"] = kept["roots"][1:]
        case "foreign root":
            other = Repository()
            other.rotate()
            kept["roots"] = [base64.b64encode(other.files["2.root.json"]).decode()]
        case "foreign repository":
            other = Repository()
            other.rotate()
            other.publish(trusted_root=NEW)
            kept["roots"] = [base64.b64encode(other.files["2.root.json"]).decode()]
            kept["targets"] = base64.b64encode(other.files["1.targets.json"]).decode()
            kept["files"][TRUSTED_ROOT] = base64.b64encode(NEW).decode()
        case "roots twice":
            kept["roots"] = [one for one in kept["roots"] for _ in range(2)]
        case "base64":
            kept["targets"] += "\n"
        case "shape":
            kept["roots"] = 5
        case "metadata":
            kept["targets"] = base64.b64encode(b"[]").decode()
    return kept


@pytest.mark.parametrize(
    "how",
    [
        "file",
        "no file",
        "targets",
        "roots",
        "foreign root",
        "foreign repository",
        "roots twice",
        "base64",
        "shape",
        "metadata",
    ],
)
def test_what_was_changed_on_the_disk_is_not_used(place: Place, how: str) -> None:
    """What is kept is verified again from the first root on; where it does not hold, it is as if nothing were kept."""
    for _ in range(2):
        place.repository.rotate()
    place.repository.publish(trusted_root=OLD)
    place.fetch()
    place.repository.down = hang_up
    assert not place.fetch().refreshed
    place.kept.write_text(json.dumps(spoil(json.loads(place.kept.read_bytes()), how)))
    assert "nothing of it was kept" in refused(place)


@pytest.mark.parametrize("content", [b"", b"junk", b"[]", b"{}", b"\xff"])
def test_a_damaged_file_is_not_used(place: Place, content: bytes) -> None:
    """A file that is no JSON of ours is as none, and the next answer of the repository mends it."""
    place.fetch()
    place.kept.write_bytes(content)
    place.repository.down = hang_up
    assert "nothing of it was kept" in refused(place)
    place.repository.down = None
    assert place.fetch().refreshed
    place.repository.down = hang_up
    assert place.fetch().files == {TRUSTED_ROOT: OLD}


def test_many_commands_at_once_share_the_cache(place: Place) -> None:
    """Commands that run at the same time wait for each other, and each gets the root."""
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: place.fetch(), range(12)))
    assert answers == [Fetched(files={TRUSTED_ROOT: OLD}, refreshed=True)] * 12


@pytest.mark.parametrize("url", ["http://tuf.example.org", "ftp://127.0.0.1", "tuf.example.org", "file:///etc"])
def test_only_https_leaves_this_machine(tmp_path: Path, url: str) -> None:
    """TUF would notice a lie, but nobody has to be able to see or stop what is asked for."""
    with pytest.raises(UsageError, match="not https"):
        fetch((TRUSTED_ROOT,), cache=tmp_path, deadline=Deadline(5), url=url, bootstrap=b"")


def test_an_unknown_repository_needs_its_first_root(tmp_path: Path) -> None:
    """Trust on first use is no trust: without a first root nothing is asked."""
    with pytest.raises(UsageError, match=r"no first root of the TUF repository https://tuf\.example\.org is known"):
        fetch((TRUSTED_ROOT,), cache=tmp_path, deadline=Deadline(5), url="https://tuf.example.org")


def test_the_first_root_of_the_public_good_instance_is_known() -> None:
    """The library carries it, and it is root metadata."""
    assert Metadata[Root].from_bytes(_carried(PUBLIC_GOOD)).signed.version > 0


def test_a_first_root_that_is_none_is_refused(place: Place) -> None:
    """A file that is no root metadata leads nowhere."""
    place.repository.bootstrap = b"junk"
    assert "does not verify" in refused(place)


def test_a_cache_that_cannot_be_written_is_said(place: Place, tmp_path: Path) -> None:
    """A cache folder that is a file is an error of whoever named it."""
    place.fetch()
    metadata = place.kept.parent / "metadata"
    metadata.rename(tmp_path / "moved")
    metadata.write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        place.fetch()
    place.cache = tmp_path / "file"
    place.cache.write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        place.fetch()


def test_what_the_client_stumbles_over_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the TUF client that is none of its own kinds takes nothing from the repository either."""

    def stumble(_: Updater) -> None:
        raise KeyError("surprise")

    monkeypatch.setattr(Updater, "refresh", stumble)
    assert "does not verify: 'surprise'" in refused(place)


def test_the_bytes_that_are_used_are_the_bytes_that_were_verified(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changes between its download and its reading is not taken."""
    (tmp_path / "other").write_bytes(NEW)
    monkeypatch.setattr(Updater, "find_cached_target", lambda *_: str(tmp_path / "other"))
    assert "does not verify" in refused(place)
