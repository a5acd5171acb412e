"""`attest ledger`: made by hand alone, checked to the last byte, copied whole, and vouched for by signed heads."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from attest.core.ledger.chain import Record, Unread, hash_of, read_record
from attest.ops.ledger import check, read_lines
from tests.cli.running import Ended, attest, spawn
from tests.ledger.places import Place, entry, fill

LEDGER = "sqlite:///ledger.db"


@dataclass(slots=True)
class Desk:
    """A folder with a ledger, and keys for its heads."""

    folder: Path
    records: list[Record] = field(default_factory=list)

    @property
    def place(self) -> Place:
        """The ledger's database."""
        return Place(url=f"sqlite:///{self.folder}/ledger.db")

    def run(self, *arguments: object, **more: Any) -> Ended:
        """Run `attest ledger ...` in the folder."""
        return attest("ledger", *arguments, cwd=self.folder, **more)

    def done(self, *arguments: object, **more: Any) -> dict[str, Any]:
        """The same with --format json, which has to end well; what it printed."""
        ended = self.run(*arguments, "--format", "json", **more)
        assert ended.code == 0, ended.err
        return ended.document

    def fill(self, length: int) -> None:
        """Append so many records."""
        with self.place.open() as ledger:
            self.records += fill(ledger, length)

    def key(self, name: str) -> None:
        """Make a key pair."""
        assert attest("keygen", name, "--no-password", cwd=self.folder).code == 0

    def truncate(self, keep: int) -> None:
        """Cut records off at the end, as whoever owns the file can."""
        self.place.tamper("DELETE FROM attest_record WHERE seq > ?", keep)
        del self.records[keep:]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A ledger of 20 records and the key `deployer`."""
    made = Desk(folder=tmp_path)
    made.done("init", LEDGER)
    made.fill(20)
    made.key("deployer")
    return made


# ---- init


def test_a_ledger_is_made(tmp_path: Path) -> None:
    """`init` makes an empty ledger, says so to people and to scripts, and made again it is the same."""
    desk = Desk(folder=tmp_path)
    assert desk.done("init", LEDGER) == {"schema": "attest.ledger/v1", "ledger": LEDGER, "head": None}
    desk.fill(2)
    again = desk.run("init", LEDGER)
    assert again.code == 0
    assert f"head    2  {desk.records[-1].hash}" in again.out


@pytest.mark.parametrize("verb", ["verify", "export", "head"])
def test_no_other_verb_makes_one(verb: str, tmp_path: Path) -> None:
    """Every other verb ends with 3 where there is no ledger, says how to make one, and makes none."""
    ended = Desk(folder=tmp_path).run(verb, LEDGER)
    assert ended.code == 3
    assert "there is no ledger at sqlite:///ledger.db" in ended.err
    assert "attest ledger init" in ended.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "url", ["mysql://host/db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "postgresql://host"]
)
def test_what_is_no_ledger_is_2(url: str, tmp_path: Path) -> None:
    """A URL that names no ledger ends with 2, with the forms that there are."""
    ended = Desk(folder=tmp_path).run("init", url)
    assert ended.code == 2
    assert "postgresql://HOST/DATABASE" in ended.err


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    """Neither an unreachable database nor an unknown scheme makes the password of its URL appear anywhere."""
    desk = Desk(folder=tmp_path)
    for url in ("postgresql://me:geheim@127.0.0.1:1/db?application_name=geheim", "oracle://me:geheim@h/db"):
        ended = desk.run("verify", url, "--format", "json")
        assert ended.code in {2, 3}
        assert "geheim" not in ended.out + ended.err
    assert "postgresql://me@127.0.0.1:1/db" in desk.run("verify", "postgresql://me:geheim@127.0.0.1:1/db").err


def test_what_is_no_database_is_3(tmp_path: Path) -> None:
    """A file of another kind is no ledger, and stays as it is."""
    (tmp_path / "ledger.db").write_text("something else, and quite a lot of it\n" * 99)
    before = (tmp_path / "ledger.db").read_bytes()
    ended = Desk(folder=tmp_path).run("verify", LEDGER)
    assert (ended.code, "not a database" in ended.err) == (3, True)
    assert Desk(folder=tmp_path).run("init", LEDGER).code in {2, 3}
    assert (tmp_path / "ledger.db").read_bytes() == before


# ---- verify


def test_a_whole_ledger_passes(desk: Desk) -> None:
    """A whole ledger ends with 0, names its head, and says what a chain alone cannot show."""
    document = desk.done("verify", LEDGER)
    assert (document["whole"], document["records"], document["breaches"]) == (True, 20, [])
    assert document["head"]["hash"] == desk.records[-1].hash
    ended = desk.run("verify", LEDGER)
    assert ended.out.startswith("whole   sqlite:///ledger.db: 20 records\n")
    assert "only beside a signed head" in ended.out


@pytest.mark.parametrize(
    ("statement", "fault", "seq"),
    [
        ("UPDATE attest_record SET actor = 'mallory' WHERE seq = 7", "changed", 7),
        ("UPDATE attest_record SET payload = '{ }' WHERE seq = 7", "unreadable", 7),
        ("DELETE FROM attest_record WHERE seq = 7", "removed", 8),
        ("UPDATE attest_record SET seq = 99 WHERE seq = 20", "changed", 99),
        (
            "INSERT INTO attest_record SELECT 21, time, type, environment, actor, payload, substr(hash, 1, 70)||'x',"
            " substr(hash, 1, 70)||'y' FROM attest_record WHERE seq = 20",
            "unreadable",
            21,
        ),
    ],
)
def test_a_broken_ledger_is_1(statement: str, fault: str, seq: int, desk: Desk) -> None:
    """What was changed, removed or inserted behind the triggers ends with 1, and the record is named."""
    desk.place.tamper(statement)
    ended = desk.run("verify", LEDGER, "--format", "json")
    assert ended.code == 1, ended.err
    assert ended.document["whole"] is False
    assert (ended.document["breaches"][0]["fault"], ended.document["breaches"][0]["seq"]) == (fault, seq)
    text = desk.run("verify", LEDGER)
    assert text.code == 1
    assert text.out.startswith("broken  sqlite:///ledger.db")
    assert f"  record {seq}: " in text.out


@pytest.mark.parametrize("column", ["payload", "time", "type", "environment", "actor", "prev_hash", "hash"])
def test_bytes_in_place_of_text_are_told_in_words(column: str, desk: Desk) -> None:
    """SQLite keeps bytes in any column: what is no text is found there, and no word of Python's is needed to say so."""
    desk.place.tamper(f"UPDATE attest_record SET {column} = CAST({column} AS BLOB) WHERE seq = 7")
    ended = desk.run("verify", LEDGER)
    assert (ended.code, "record 7" in ended.out, "(unreadable)" in ended.out) == (1, True, True), ended.err
    assert "object" not in ended.out


def test_hostile_text_is_escaped(desk: Desk) -> None:
    """What a tampered row holds reaches the terminal escaped."""
    desk.place.tamper("UPDATE attest_record SET time = ? WHERE seq = 7", "\x1b[31m\n::error::x")
    ended = desk.run("verify", LEDGER)
    assert ended.code == 1
    assert "\x1b" not in ended.out
    assert "\n::" not in ended.out


# ---- export and import


def exported(desk: Desk) -> bytes:
    """What `export` prints."""
    ended = desk.run("export", LEDGER)
    assert (ended.code, ended.err) == (0, "")
    return ended.raw


def test_an_export_is_one_record_a_line(desk: Desk) -> None:
    """Each line is a record in its canonical form, and the file of --output holds the same."""
    content = exported(desk)
    assert [read_record(line) for line in content.splitlines()] == desk.records
    document = desk.done("export", LEDGER, "--output", "ledger.jsonl")
    assert (document["file"], document["head"]["seq"]) == ("ledger.jsonl", 20)
    assert (desk.folder / "ledger.jsonl").read_bytes() == content
    assert desk.run("verify", "ledger.jsonl").code == 0


def test_an_export_replaces_nothing_but_files(desk: Desk) -> None:
    """A device or a pipe is written to and stays what it is, and a folder is no place for an export."""
    os.mkfifo(desk.folder / "pipe")
    with os.fdopen(os.open(desk.folder / "pipe", os.O_RDWR | os.O_NONBLOCK), "rb", buffering=0) as pipe:
        ended = desk.run("export", LEDGER, "--output", "pipe")
        assert (ended.code, (desk.folder / "pipe").is_fifo()) == (0, True), ended.err
        assert pipe.read(1 << 16) == exported(desk)
    (desk.folder / "folder").mkdir()
    ended = desk.run("export", LEDGER, "--output", "folder")
    assert (ended.code, "folder cannot be written" in ended.err) == (2, True)
    assert [path.name for path in desk.folder.glob(".*")] == []


def test_a_broken_ledger_is_not_exported(desk: Desk) -> None:
    """An export of a ledger that is broken ends with 3, and the file that was there stays."""
    (desk.folder / "ledger.jsonl").write_text("before")
    desk.place.tamper("UPDATE attest_record SET actor = 'mallory' WHERE seq = 7")
    ended = desk.run("export", LEDGER, "--output", "ledger.jsonl")
    assert (ended.code, "record 7" in ended.err) == (3, True)
    assert (desk.folder / "ledger.jsonl").read_text() == "before"
    assert [path.name for path in desk.folder.glob(".ledger*")] == []


def test_an_export_is_imported(desk: Desk) -> None:
    """A copy made of an export has the same records and head; importing again adds nothing, and then what is new."""
    copy = "sqlite:///copy.db"
    desk.done("init", copy)
    assert desk.run("import", copy, "missing.jsonl").code == 2
    for more, new in ((0, 20), (0, 0), (3, 3)):
        desk.fill(more)
        desk.done("export", LEDGER, "--output", "ledger.jsonl")
        assert desk.done("import", copy, "ledger.jsonl")["imported"] == new
    assert desk.run("export", copy).raw == exported(desk)


def test_an_export_may_come_from_standard_input(desk: Desk) -> None:
    """`-` is standard input, where an export is checked and imported as from a file."""
    content = exported(desk)
    desk.done("init", "sqlite:///copy.db")
    for arguments in (("verify", "-"), ("import", "sqlite:///copy.db", "-")):
        assert spawn("ledger", *arguments, cwd=desk.folder, stdin=content).code == 0
    assert desk.run("export", "sqlite:///copy.db").raw == content
    assert spawn("ledger", "verify", "-", cwd=desk.folder, stdin=content[:-1]).code == 2


def test_another_ledger_is_not_imported(desk: Desk) -> None:
    """The export of another ledger is refused, and nothing changes."""
    desk.done("init", "sqlite:///other.db")
    with Place(url=f"sqlite:///{desk.folder}/other.db").open() as other:
        fill(other, 1)
        other_record = other.append(entry(4711))
    desk.done("export", LEDGER, "--output", "ledger.jsonl")
    ended = desk.run("import", "sqlite:///other.db", "ledger.jsonl")
    assert (ended.code, "holds another record" in ended.err) == (3, True)
    assert desk.done("head", "sqlite:///other.db")["head"]["hash"] == other_record.hash


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda content: content[:-1], "ledger.jsonl:20: the last line has no end"),
        (lambda _: b"", "ledger.jsonl: it holds no record"),
        (lambda content: content + b"\n", "ledger.jsonl:21: it is no record"),
        (lambda content: content.replace(b'"n":7', b'"n":70'), "ledger.jsonl:7: its content was changed"),
        (
            lambda content: content.replace(b'"n":7', b'"n": 7'),
            "ledger.jsonl:7: it is no record: not in canonical form",
        ),
        (lambda content: content.replace(b"\n", b"\r\n"), "ledger.jsonl:1: it is no record: not in canonical form"),
        (lambda content: b"\xef\xbb\xbf" + content, "ledger.jsonl:1: it is no record"),
        (
            lambda content: b"".join(content.splitlines(keepends=True)[1:]),
            "ledger.jsonl:1: before it, record 1 is gone",
        ),
        (lambda _: b"x" * (3 * 1024 * 1024), "ledger.jsonl:1: a line longer than any record"),
    ],
)
def test_what_is_no_whole_export_is_not_imported(change: Any, said: str, desk: Desk) -> None:
    """An export that is torn, changed, or not in canonical form ends with 2 and the line; nothing is imported."""
    desk.done("init", "sqlite:///copy.db")
    (desk.folder / "ledger.jsonl").write_bytes(change(exported(desk)))
    ended = desk.run("import", "sqlite:///copy.db", "ledger.jsonl")
    assert (ended.code, said in ended.err) == (2, True), ended.err
    assert desk.done("head", "sqlite:///copy.db")["head"] is None


def test_a_folder_is_no_export(desk: Desk) -> None:
    """What is no regular file ends with 2, for reading and for writing."""
    (desk.folder / "folder").mkdir()
    assert desk.run("verify", "folder").code == 2
    assert desk.run("export", LEDGER, "--output", "missing/ledger.jsonl").code == 2


def is_found(content: bytes) -> bool:
    """Whether reading and checking this export finds something wrong with it."""
    *lines, rest = content.split(b"\n")
    return rest != b"" or not lines or not check(read_lines(lines)).whole


def flipped(content: bytes, at: int, bits: int) -> bytes:
    """The same with some bits of one byte turned over."""
    return content[:at] + bytes([content[at] ^ bits]) + content[at + 1 :]


@pytest.mark.parametrize("step", [13, pytest.param(1, marks=pytest.mark.slow)])
def test_every_changed_byte_of_an_export_is_found(step: int, desk: Desk) -> None:
    """Of an exported ledger of 20 records, each byte that becomes another one is found."""
    content = exported(desk)
    assert not is_found(content)
    missed = [at for at in range(0, len(content), step) if not is_found(flipped(content, at, 1 << at % 8))]
    assert missed == []


def is_wrong(line: bytes) -> bool:
    """Whether a line alone is no record, or one whose hash is another."""
    found = list(read_lines(line.split(b"\n")))
    return any(isinstance(one, Unread) or hash_of(one) != one.hash for one in found)


@pytest.mark.parametrize(
    ("lines", "values"), [(1, [0x01, 0x20]), pytest.param(20, range(1, 256), marks=pytest.mark.slow)]
)
def test_every_other_value_of_every_byte_is_found(lines: int, values: Sequence[int], desk: Desk) -> None:
    """Whatever value a byte of a record, or the end of a line, gets: a line is no record, or has another hash."""
    content = exported(desk)
    records = content.splitlines()[:lines]
    assert not any(map(is_wrong, records))
    for line in records:
        assert [(at, bits) for at in range(len(line)) for bits in values if not is_wrong(flipped(line, at, bits))] == []
    ends = [at for at, byte in enumerate(content) if byte == ord("\n")][:lines]
    assert [(at, bits) for at in ends for bits in values if not is_found(flipped(content, at, bits))] == []


def test_the_command_finds_them_too(desk: Desk) -> None:
    """`attest ledger verify` ends with 1 or 2, and never with 0, for changed bytes in every part of an export."""
    content = exported(desk)
    for at in range(0, len(content), 211):
        (desk.folder / "changed.jsonl").write_bytes(flipped(content, at, 1 << at % 8))
        ended = desk.run("verify", "changed.jsonl")
        assert ended.code in {1, 2}, at
        assert "Traceback" not in ended.err


# ---- heads


def test_the_head_is_shown(desk: Desk) -> None:
    """`head` prints the last record's number, hash and time."""
    assert desk.done("head", LEDGER) == {
        "schema": "attest.ledger/v1",
        "ledger": LEDGER,
        "head": {"seq": 20, "hash": desk.records[-1].hash, "time": "2026-07-01T12:00:20.000000Z"},
        "kept": None,
        "file": None,
    }


def sign(desk: Desk, *arguments: object) -> dict[str, Any]:
    """Sign the head with the deployer's key."""
    return desk.done("head", LEDGER, "--sign", "keys/deployer.key", *arguments)


def test_a_truncated_ledger_shows_beside_a_signed_head(desk: Desk) -> None:
    """A ledger whose end was cut off is whole in itself, and broken beside a head in a file, of an export too."""
    sign(desk, "--output", "head.json")
    beside = ("--head", "head.json", "--key", "keys/deployer.pub")
    assert desk.run("verify", LEDGER, *beside).code == 0
    desk.truncate(17)
    assert desk.run("verify", LEDGER).code == 0
    ended = desk.run("verify", LEDGER, *beside)
    assert ended.code == 1
    assert "record 18: the ledger ends with record 17, and a signed head knows of record 20  (truncated)" in ended.out
    (desk.folder / "ledger.jsonl").write_bytes(exported(desk))
    assert desk.run("verify", "ledger.jsonl", *beside).code == 1


def test_a_ledger_that_was_cut_and_continued_is_not_signed_again(desk: Desk) -> None:
    """Where the heads of earlier times are kept, the next signature finds what was cut off, and nothing is signed."""
    kept = sign(desk, "--to", "oci:heads")["kept"]
    assert kept.startswith("oci:heads:ledger-")
    desk.truncate(17)
    desk.fill(9)
    before = (desk.folder / "heads/index.json").read_bytes()
    ended = desk.run("head", LEDGER, "--sign", "keys/deployer.key", "--to", "oci:heads")
    assert ended.code == 3
    assert "record 20: a signed head says that another record stood there" in ended.err
    assert (desk.folder / "heads/index.json").read_bytes() == before
    checked = desk.run("verify", LEDGER, "--head", "oci:heads", "--key", "keys/deployer.pub", "--format", "json")
    assert checked.code == 1
    assert [one["fault"] for one in checked.document["breaches"]] == ["rewritten"]


def test_heads_are_kept_beside_each_other(desk: Desk) -> None:
    """Each head gets a tag of its own, and a ledger has to agree with all of them."""
    tags = {sign(desk, "--to", "oci:heads")["kept"]}
    desk.fill(2)
    tags |= {sign(desk, "--to", "oci:heads")["kept"], sign(desk, "--to", "oci:heads")["kept"]}
    assert len(tags) == 3
    document = desk.done("verify", LEDGER, "--head", "oci:heads", "--key", "keys/deployer.pub")
    assert [one["seq"] for one in document["signed_heads"]] == [22, 22, 20]
    assert {one["place"] for one in document["signed_heads"]} == tags


@pytest.mark.parametrize("how", ["empty", "another", "the same beginning"])
def test_a_replaced_ledger_is_found(how: str, desk: Desk) -> None:
    """A ledger that was deleted and made anew, however it begins, does not agree with a head of the old one."""
    sign(desk, "--output", "head.json", "--to", "oci:heads")
    for path in desk.folder.glob("ledger.db*"):
        path.unlink()
    desk.done("init", LEDGER)
    with desk.place.open() as ledger:
        if how == "the same beginning":  # the same clock and content, so the same first records to the byte
            fill(ledger, 3)
        for number in range(0 if how == "empty" else 30):
            ledger.append(entry(4711 + number))
    fault = "truncated" if how == "empty" else "rewritten"
    for head in ("head.json", "oci:heads"):
        ended = desk.run("verify", LEDGER, "--head", head, "--key", "keys/deployer.pub", "--format", "json")
        assert (ended.code, ended.document["breaches"][0]["fault"]) == (1, fault)
    if how != "empty":
        assert desk.run("head", LEDGER, "--sign", "keys/deployer.key", "--to", "oci:heads").code == 3


def test_a_strangers_heads_count_for_nothing(desk: Desk) -> None:
    """Heads under another key are passed over and told; where there are no others, the question stays open."""
    desk.key("stranger")
    desk.done("head", LEDGER, "--sign", "keys/stranger.key", "--to", "oci:heads")
    ended = desk.run("verify", LEDGER, "--head", "oci:heads", "--key", "keys/deployer.pub")
    assert ended.code == 3
    assert "keeps no head of a ledger that a given key signed" in ended.err
    sign(desk, "--to", "oci:heads")
    document = desk.done("verify", LEDGER, "--head", "oci:heads", "--key", "keys/deployer.pub")
    assert len(document["signed_heads"]) == len(document["passed_over"]) == 1


def test_many_strangers_do_not_hide_a_head(desk: Desk) -> None:
    """Newer heads of a stranger, more than are read at once, do not hide the newest one that counts."""
    from attest.adapters.clock import SystemClock
    from attest.cli.signers import open_signer
    from attest.cli.stores import Connection, Stores
    from attest.core.ledger.chain import Head
    from attest.core.ledger.head import SignedHead, write_head
    from attest.core.reference import LayoutTag
    from attest.ops import ledgerhead
    from attest.ops.ledgerhead import keep_head
    from attest.ops.sign import Unwitnessed

    sign(desk, "--to", "oci:heads")
    desk.key("stranger")
    signer = Unwitnessed(key=open_signer(str(desk.folder / "keys/stranger.key"), None))
    stores = Stores(Connection(timeout=60, plain_http=False, ca_file=None, token_hosts=()))
    place = LayoutTag(path=str(desk.folder / "heads"), tag=None)
    for seq in range(100, 140):
        head = Head(seq=seq, hash=desk.records[3].hash, time=SystemClock().now())
        signed = SignedHead(ledger=desk.records[0].hash, head=head, signed=SystemClock().now())
        keep_head(stores, place, signed, signer.sign(write_head(signed)).bundle)
    desk.truncate(10)
    ended = desk.run("verify", LEDGER, "--head", "oci:heads", "--key", "keys/deployer.pub", "--format", "json")
    assert ended.code == 1
    assert ended.document["breaches"][0]["fault"] == "truncated"
    assert len(ended.document["passed_over"]) == 40
    nobody = ("verify", LEDGER, "--head", "oci:heads", "--key", "keys/nobody.pub")
    desk.key("nobody")
    assert "keeps no head of a ledger" in desk.run(*nobody).err
    with mock.patch.object(ledgerhead, "_MOST", 32):
        assert "more than 32 heads of ledgers, and none that a given key signed" in desk.run(*nobody).err


def test_a_rotated_key_is_told_of_the_old_one(desk: Desk) -> None:
    """After the key was changed, --key names the old one, whose heads still count against a ledger."""
    sign(desk, "--to", "oci:heads")
    desk.key("new")
    desk.truncate(15)
    arguments = ("head", LEDGER, "--sign", "keys/new.key", "--to", "oci:heads")
    ended = desk.run(*arguments, "--key", "keys/deployer.pub")
    assert (ended.code, "ends with record 15" in ended.err) == (3, True)


def test_a_broken_ledger_is_not_signed(desk: Desk) -> None:
    """The chain is followed before its head is signed: a broken one ends with 3 and no head."""
    desk.place.tamper("UPDATE attest_record SET actor = 'mallory' WHERE seq = 7")
    ended = desk.run("head", LEDGER, "--sign", "keys/deployer.key", "--output", "head.json")
    assert (ended.code, "record 7" in ended.err) == (3, True)
    assert not (desk.folder / "head.json").exists()


def test_an_empty_ledger_has_no_head_to_sign(desk: Desk) -> None:
    """A ledger without records is not signed."""
    desk.done("init", "sqlite:///empty.db")
    ended = desk.run("head", "sqlite:///empty.db", "--sign", "keys/deployer.key", "--output", "head.json")
    assert (ended.code, "no record yet" in ended.err) == (3, True)
    assert "none: it has no record yet" in desk.run("head", "sqlite:///empty.db").out


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", LEDGER, "--head", "head.json"),
        ("verify", LEDGER, "--key", "keys/deployer.pub"),
        ("verify", LEDGER, "--head", "no repository", "--key", "keys/deployer.pub"),
        ("verify", LEDGER, "--head", "a" * 5_000, "--key", "keys/deployer.pub"),
        ("verify", LEDGER, "--head", "oci:heads:tag", "--key", "keys/deployer.pub"),
        ("verify", LEDGER, "--head", "head.json", "--key", "head.json"),
        ("verify", LEDGER, "--head", "keys/deployer.pub", "--key", "keys/deployer.pub"),
        ("head", LEDGER, "--to", "oci:heads"),
        ("head", LEDGER, "--output", "x.json"),
        ("head", LEDGER, "--key", "keys/deployer.pub"),
        ("head", LEDGER, "--sign", "keys/deployer.key"),
        ("head", LEDGER, "--sign", "keys/deployer.key", "--to", "nowhere"),
        ("head", LEDGER, "--sign", "head.json", "--output", "x.json"),
    ],
)
def test_what_makes_no_sense_is_2(arguments: tuple[str, ...], desk: Desk) -> None:
    """Options that need each other, and files that are something else, end with 2 and leave nothing behind."""
    sign(desk, "--output", "head.json")
    ended = desk.run(*arguments)
    assert ended.code == 2, ended.err
    assert not (desk.folder / "heads").exists()
    assert not (desk.folder / "x.json").exists()


def test_the_head_file_is_a_sigstore_bundle(desk: Desk) -> None:
    """The file of --output is a Sigstore bundle of an in-toto Statement, like all that attest signs."""
    sign(desk, "--output", "head.json")
    document = json.loads((desk.folder / "head.json").read_bytes())
    assert document["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    assert document["dsseEnvelope"]["payloadType"] == "application/vnd.in-toto+json"
