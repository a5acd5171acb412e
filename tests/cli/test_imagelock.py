"""`attest image lock`: what is written, when it is overwritten, and what drift looks like."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from attest.core.lock.driftdocument import drift_schema
from attest.core.lock.locking import lock_schema, read_lock
from attest.core.reference import digest_of
from tests.cli.locked_images import APP, BASE, BROKEN, CONFIG, CONTRACT, NANO, write_image
from tests.cli.running import Ended
from tests.cli.scene import Scene
from tests.core.make_image import dpkg
from tests.layerstacks import File

LOCK = "contract.lock.json"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A folder with an image and a contract."""
    (tmp_path / "contract.yaml").write_text(CONTRACT)
    return Scene(folder=tmp_path, image=write_image(tmp_path / "good", BASE, APP))


@pytest.fixture
def locked(scene: Scene) -> Scene:
    """The same, and the image is locked."""
    assert lock(scene).code == 0
    return scene


def lock(scene: Scene, *options: object, image: str | None = None) -> Ended:
    """`attest image lock` of the scene's image, or of another one, under the scene's contract."""
    return scene.attest("image", "lock", image or scene.image, "--contract", "contract.yaml", *options)


def content(scene: Scene) -> bytes:
    """The lock's file."""
    return (scene.folder / LOCK).read_bytes()


def document(ended: Ended) -> dict[str, Any]:
    """The answer as JSON, which obeys its schema."""
    jsonschema.validate(ended.document, drift_schema())
    return ended.document


# ---- writing


def test_a_lock_is_written(scene: Scene) -> None:
    """Without a lock one is written that obeys its schema, reads back, and names the contract by its bytes."""
    ended = lock(scene)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"{LOCK}: 1 platform of {scene.image} locked under the contract python-web\n"
    jsonschema.validate(json.loads(content(scene)), lock_schema())
    read = read_lock(content(scene), file=LOCK)
    assert read.contract.digest == digest_of(CONTRACT.encode())
    assert read.platforms["linux/amd64"].packages == ("pkg:deb/debian/libc@2.36?arch=amd64",)
    assert [path.name for path in scene.folder.iterdir() if path.name.startswith(".")] == []


def test_the_same_image_is_locked_to_the_same_bytes(locked: Scene) -> None:
    """Locking again is no change, and a lock elsewhere has the same bytes; nobody is asked for --update."""
    before = content(locked)
    ended = lock(locked)
    assert (ended.code, ended.out) == (0, f"{LOCK}: says this already\n")
    assert lock(locked, "--output", "other.json").code == 0
    assert (locked.folder / "other.json").read_bytes() == content(locked) == before


def test_a_lock_that_says_something_else_is_kept(locked: Scene) -> None:
    """A lock of another image is not overwritten without --update: that is a wrong command line, with a hint."""
    before = content(locked)
    ended = lock(locked, image=write_image(locked.folder / "other", BASE, APP, NANO))
    assert (ended.code, ended.out) == (2, "")
    assert "is there and says something else" in ended.err
    assert "`--check` shows how the image differs, and `--update` writes over it" in ended.err
    assert content(locked) == before


@pytest.mark.parametrize("kind", ["a file that is no lock", "a folder", "a link to nothing"])
def test_what_stands_in_the_way_is_kept(kind: str, scene: Scene) -> None:
    """Something else at the place of the lock is neither overwritten nor followed."""
    path = scene.folder / LOCK
    match kind:
        case "a folder":
            path.mkdir()
        case "a link to nothing":
            path.symlink_to("nowhere")
        case _:
            path.write_text("mine")
    ended = lock(scene)
    assert (ended.code, ended.out) == (2, "")
    assert not (scene.folder / "nowhere").exists()
    assert path.is_dir() or path.is_symlink() or path.read_text() == "mine"


def test_a_lock_that_cannot_be_written_leaves_nothing(scene: Scene) -> None:
    """Where the lock cannot be written the command fails, and no part of it is left."""
    ended = lock(scene, "--output", "absent/lock.json")
    assert (ended.code, ended.out) == (2, "")
    assert "absent/lock.json cannot be written" in ended.err


def test_a_device_is_written_to(scene: Scene) -> None:
    """A device in the place of the file is written to and stays one, so that a lock can be looked at and not kept."""
    assert lock(scene, "--output", "/dev/null").code == 0
    assert Path("/dev/null").is_char_device()


def test_the_layers_of_the_base_are_locked_with_it(scene: Scene) -> None:
    """With --baseline the lock has the layers of the base, of which no more than the manifest has to be there."""
    base = write_image(scene.folder / "base", BASE)
    for blob in (scene.folder / "base" / "blobs" / "sha256").iterdir():
        if not blob.read_bytes().startswith(b"{"):
            blob.write_bytes(b"no layer")
    assert lock(scene, "--baseline", base).code == 0
    (diff_id,) = read_lock(content(scene), file=LOCK).platforms["linux/amd64"].base.diff_ids or ()
    assert diff_id.startswith("sha256:")
    other = write_image(scene.folder / "other", ("ADD newer", [dpkg(libc="2.36")]), APP)
    ended = lock(scene, "--check", "--format", "json", image=other)
    assert [each["pointer"] for each in document(ended)["drift"] if each["part"] == "base"] == [
        "/platforms/linux~1amd64/base/diff_ids/0"
    ]


def test_another_base_is_no_baseline(scene: Scene) -> None:
    """A baseline that the image was not built on is a wrong command line, and nothing is written."""
    ended = lock(scene, "--baseline", write_image(scene.folder / "base", NANO))
    assert (ended.code, ended.out) == (2, "")
    assert "was not built on the baseline" in ended.err
    assert not (scene.folder / LOCK).exists()


def test_what_cannot_be_read_is_not_locked(scene: Scene) -> None:
    """An image whose packages nobody can read is undecided, and there is no lock of it."""
    ended = lock(scene, image=write_image(scene.folder / "broken", BASE, BROKEN))
    assert (ended.code, ended.out) == (3, "")
    assert "the packages in /var/lib/dpkg/status cannot be read" in ended.err
    assert not (scene.folder / LOCK).exists()


# ---- checking


def test_an_image_as_it_was_locked(locked: Scene) -> None:
    """An image that is as the lock says ends with 0 and one line, and the lock is not written."""
    (locked.folder / LOCK).chmod(0o444)
    changed = (locked.folder / LOCK).stat().st_mtime_ns
    ended = lock(locked, "--check")
    assert (ended.code, ended.out) == (0, f"UNCHANGED  {locked.image} is as {LOCK} says\n")
    assert (locked.folder / LOCK).stat().st_mtime_ns == changed
    ended = lock(locked, "--check", "--format", "json")
    assert (ended.code, document(ended)["action"], document(ended)["drift"]) == (0, "checked", [])


def test_drift_is_1_and_says_who_brought_it(locked: Scene) -> None:
    """One more package is told with its version, layer and build step, and how to lock it if it is meant."""
    before = content(locked)
    other = write_image(locked.folder / "other", BASE, APP, NANO)
    ended = lock(locked, "--check", image=other)
    assert (ended.code, ended.err) == (1, "")
    first, added, origin, verdict, following = ended.out.splitlines()
    assert (first, added) == ("linux/amd64", "  added    package nano 7.2-1 is new")
    assert origin.startswith("           layer 2  sha256:")
    assert origin.endswith("  RUN apt-get install nano")
    assert verdict == f"DRIFT  {other} differs from {LOCK}, 1 change"
    command = f"attest image lock {other} --contract contract.yaml --update --only packages"
    assert following == f"next: mend the image, or if it is meant: {command}"
    assert content(locked) == before
    answer = document(lock(locked, "--check", "--format", "json", image=other))
    (drift,) = answer["drift"]
    assert drift["package"] == {"type": "deb", "name": "nano", "before": None, "after": "7.2-1"}
    assert (answer["image"], answer["digest"], answer["lock"]) == (other, other.rpartition("@")[2], LOCK)
    words = command.split()
    assert locked.attest(*words[1:]).code == 0
    assert lock(locked, "--check", image=other).code == 0


def test_the_command_that_is_offered_names_the_lock(locked: Scene) -> None:
    """Where the lock is not at its usual place the command that is offered says where."""
    assert lock(locked, "--output", "web.lock.json").code == 0
    other = write_image(locked.folder / "other", BASE, APP, config={**CONFIG, "User": "root"}, steps=["USER root"])
    ended = lock(locked, "--check", "--output", "web.lock.json", image=other)
    assert "--output web.lock.json --update --only config" in ended.out
    assert '  changed  user was "app" and is "root"\n           USER root\n' in ended.out


def test_the_command_that_is_offered_can_be_pasted(locked: Scene) -> None:
    """Names that a shell would take apart are quoted in the command that is offered."""
    assert lock(locked, "--output", "my lock;x.json").code == 0
    other = write_image(locked.folder / "other", BASE, APP, config={**CONFIG, "User": "root"}, steps=["USER root"])
    ended = lock(locked, "--check", "--output", "my lock;x.json", image=other)
    assert "--output 'my lock;x.json' --update" in ended.out


def test_very_much_drift_is_counted(locked: Scene) -> None:
    """Of a part with very much drift people see the beginning and the count, and JSON has all of it."""
    many = ("COPY many", [File(f"bin/{number:03}", mode=0o755) for number in range(100)])
    other = write_image(locked.folder / "other", BASE, APP, many)
    ended = lock(locked, "--check", image=other)
    assert ended.code == 1
    assert "\n  and 60 more of executables; --format json has them all\nDRIFT  " in ended.out
    assert len(document(lock(locked, "--check", "--format", "json", image=other))["drift"]) == 100


def test_another_contract_is_drift(locked: Scene) -> None:
    """A lock of another contract is told, until it is updated under the one that there is."""
    (locked.folder / "contract.yaml").write_text(CONTRACT + "env.secret: true\n")
    ended = lock(locked, "--check")
    assert ended.code == 1
    assert "the lock was made under another contract, python-web sha256:" in ended.out
    assert lock(locked, "--update", "--only", "contract").code == 0
    assert lock(locked, "--check").code == 0


@pytest.mark.parametrize(
    ("delta", "code"), [("", 0), ("size.delta: {lock: 1000B}\n", 1), ("size.delta: {lock: 9kB}\n", 0)]
)
def test_sizes_drift_beyond_what_the_contract_allows(delta: str, code: int, scene: Scene) -> None:
    """A larger image is drift only where the contract's size.delta says how much larger it may be, and it is more."""
    (scene.folder / "contract.yaml").write_text(CONTRACT + delta)
    assert lock(scene).code == 0
    larger = ("COPY app /srv/app", [File("srv/app", b"application" * 500, mode=0o755)])
    ended = lock(scene, "--check", image=write_image(scene.folder / "larger", BASE, larger))
    assert ended.code == code
    assert ("unpacked size was" in ended.out) is (code == 1)


def test_nobody_can_tell_drift_from_what_cannot_be_read(locked: Scene) -> None:
    """Where packages cannot be read there is no answer, not even that they are gone."""
    ended = lock(locked, "--check", image=write_image(locked.folder / "broken", BASE, APP, BROKEN))
    assert (ended.code, ended.out) == (3, "")


def test_an_image_of_which_anything_is_unknown_is_not_compared(locked: Scene) -> None:
    """Accounts that cannot be read are no part of the lock, and still nobody says that the image is as it was."""
    broken = ("RUN break", [File("etc/passwd", b"no account")])
    ended = lock(locked, "--check", image=write_image(locked.folder / "broken", BASE, APP, broken))
    assert (ended.code, ended.out) == (3, "")
    assert "the accounts in /etc/passwd cannot be read" in ended.err


def test_a_wrong_lock_is_told_before_anything_is_read(scene: Scene) -> None:
    """A lock that is none, or not there, is an invalid document, before an image is looked for."""
    ended = lock(scene, "--check", image="oci:absent")
    assert (ended.code, ended.out) == (2, "")
    assert "without --check and --update writes it" in ended.err
    (scene.folder / LOCK).write_text("{}")
    for option in ("--check", "--update"):
        ended = lock(scene, option, image="oci:absent")
        assert (ended.code, ended.out) == (2, "")
        assert "it is no lock that is known here" in ended.err
        assert "remove it, and write it again" in ended.err


# ---- updating


def test_one_part_is_updated(locked: Scene) -> None:
    """An update of one part says what is new in it, and leaves what else differs as it was locked."""
    other = write_image(locked.folder / "other", BASE, APP, NANO, config={**CONFIG, "User": "root"})
    ended = lock(locked, "--update", "--only", "packages", image=other)
    assert ended.code == 0
    assert "package nano 7.2-1 is new" in ended.out
    assert "user" not in ended.out
    assert ended.out.splitlines()[-1] == f"{LOCK}: updated, 1 change"
    platform = read_lock(content(locked), file=LOCK).platforms["linux/amd64"]
    assert "pkg:deb/debian/nano@7.2-1?arch=amd64" in platform.packages
    assert platform.config.user == "app"
    left = document(lock(locked, "--check", "--format", "json", image=other))["drift"]
    assert [each["place"] for each in left] == ["/config/user"]


def test_everything_is_updated(locked: Scene) -> None:
    """An update without --only makes the lock that the image would be given anew, and says it once."""
    other = write_image(locked.folder / "other", BASE, NANO, config={})
    answer = document(lock(locked, "--update", "--format", "json", image=other))
    assert answer["action"] == "updated"
    assert {each["part"] for each in answer["drift"]} == {"config", "executables", "packages", "size"}
    updated = content(locked)
    assert lock(locked, "--output", "anew.json", image=other).code == 0
    assert (locked.folder / "anew.json").read_bytes() == updated
    assert document(lock(locked, "--update", "--format", "json", image=other))["action"] == "unchanged"


def test_an_update_leaves_one_file(locked: Scene) -> None:
    """The new file is a regular one, in the place of the old, with nothing of it left beside it."""
    assert lock(locked, "--update", image=write_image(locked.folder / "other", BASE)).code == 0
    assert stat.S_ISREG((locked.folder / LOCK).lstat().st_mode)
    assert sorted(path.name for path in locked.folder.iterdir() if path.is_file()) == [LOCK, "contract.yaml"]


def test_a_base_that_was_proven_is_proven_again(scene: Scene) -> None:
    """An image on another base is not taken over without that base, and with it is."""
    assert lock(scene, "--baseline", write_image(scene.folder / "base", BASE)).code == 0
    newer = ("ADD newer", [dpkg(libc="2.37")])
    other, base = write_image(scene.folder / "other", newer, APP), write_image(scene.folder / "newer", newer)
    ended = lock(scene, "--update", image=other)
    assert (ended.code, ended.out) == (2, "")
    assert "name the image that it was built on with --baseline" in ended.err
    assert lock(scene, "--update", "--baseline", base, image=other).code == 0
    assert lock(scene, "--check", image=other).code == 0


# ---- the command line


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--check", "--update"), "--check and --update exclude each other"),
        (("--only", "packages"), "--only has no meaning without --update"),
        (("--check", "--only", "packages"), "--only has no meaning without --update"),
        (("--update", "--only", "everything"), "'everything' is not one of"),
        (("--check", "--baseline", "oci:base"), "--baseline has no part in --check"),
        (("--output", "-"), "a lock is a file"),
    ],
)
def test_options_that_make_no_sense(options: tuple[str, ...], problem: str, locked: Scene) -> None:
    """Options that contradict each other, or would be passed over, are a wrong command line."""
    ended = lock(locked, *options)
    assert (ended.code, ended.out) == (2, "")
    assert problem in ended.err


def test_a_wrong_contract_is_2(scene: Scene) -> None:
    """A contract that is none is an invalid document, with its place, and nothing is locked."""
    (scene.folder / "contract.yaml").write_text("version: 1\nname: x\nuser.noroot: true\n")
    ended = lock(scene)
    assert (ended.code, ended.out) == (2, "")
    assert "contract.yaml:3:1: " in ended.err
    assert not (scene.folder / LOCK).exists()


def test_foreign_text_obeys_no_terminal(locked: Scene) -> None:
    """A label, a build step and a path of an image reach no terminal and no runner as commands."""
    other = write_image(
        locked.folder / "other",
        BASE,
        APP,
        ("RUN \x1b[2J\n::set-output name=x::y", [File("bin/\x1b]0;x\x07", b"", mode=0o755)]),
        config={**CONFIG, "Labels": {"\u202ex": "::error::\n##[command]"}},
    )
    for options in ((), ("--format", "json")):
        ended = lock(locked, "--check", *options, image=other)
        assert ended.code == 1
        assert ended.out.replace("\n", "").isprintable()
        assert "##[" not in ended.out
        assert not any(line.lstrip().startswith("::") for line in ended.out.splitlines())
