"""Contracts: what a document says, the schema for editors, and every error against tests/golden/contract-errors.txt.

`ATTEST_GOLDEN=write python -m pytest tests/core/test_contract_document.py` writes that file anew; read what changed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from attest.adapters.documents import parse_document
from attest.core.contract import Contract, read_contract, schema
from attest.core.contract.check import FUNCTIONS
from attest.core.contract.document import ContractDocument
from attest.core.contract.fields import OCI_LABELS, Demanded, Ports, parse_ports
from attest.core.contract.finding import LOCK_DRIFT, Exemption
from attest.core.contract.signals import is_catchable, signal_number
from attest.core.contract.table import BY_ID, CHECKS
from attest.core.reference import digest_of
from attest.errors import EXIT_USAGE, DocumentInvalid
from tests.core.contract_cases import CASES, RIGHT, wrong

GOLDEN = Path(__file__).parents[1] / "golden" / "contract-errors.txt"


def load(text: str) -> Contract:
    """The contract that a text is."""
    return read_contract(parse_document(text.encode(), file="contract.yaml"))


def _told(text: str, title: str) -> Iterator[str]:
    try:
        load(text)
    except DocumentInvalid as caught:
        error = caught
    else:
        pytest.fail(f"{title}: it is not refused")
    assert error.exit_code == EXIT_USAGE, title
    assert (error.file, None in (error.line, error.column)) == ("contract.yaml", False), title
    yield error.message
    if error.hint:
        yield f"  hint: {error.hint}"


def test_every_wrong_contract_is_refused_in_the_words_of_the_golden_file() -> None:
    """Each mistake ends with exit code 2, a line and a column, and exactly the sentence that was agreed on."""
    text = "\n".join(line for title, old, new in CASES for line in (f"# {title}", *_told(wrong(old, new), title), ""))
    if os.environ.get("ATTEST_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_the_titles_of_the_mistakes_are_distinct() -> None:
    """Each mistake can be found in the golden file by its title."""
    titles = [title for title, _, _ in CASES]
    assert len(set(titles)) == len(titles)


def test_a_contract_has_its_checks_and_exceptions() -> None:
    """Every check of the document is there with its parameters, in the order of the table, and nothing else is."""
    contract = load(RIGHT)
    assert (contract.name, contract.digest) == ("python-web", digest_of(RIGHT.encode()))
    assert list(contract.checks) == [check.id for check in CHECKS]
    assert contract.checks["user.nonroot"].only == ["app:app"]
    assert contract.checks["config.entrypoint"] == ("/usr/bin/service", "--serve")
    assert contract.checks["config.cmd"] is Demanded.ABSENT
    assert contract.checks["port.allowed"][1] == Ports(first=9000, last=9010, protocol="udp")
    assert contract.checks["size.unpacked"] == 3 * 2**29
    assert contract.checks["size.delta"].lock == 0
    assert contract.exemptions == (
        Exemption(
            id="file.setid",
            path="/usr/bin/su",
            reason="the image of the vendor has it",
            owner="ann@example.org",
            expires=datetime(2027, 1, 31, tzinfo=UTC),
        ),
    )


def test_what_is_not_named_is_not_made() -> None:
    """A contract asks for what it names, and `none` names: it allows nothing."""
    contract = load("version: 1\nname: a\nport.allowed: none\nconfig.workdir: none\nlabel.required: true\n")
    assert list(contract.checks) == ["config.workdir", "label.required", "port.allowed"]
    assert contract.checks["port.allowed"] == []
    assert contract.checks["config.workdir"] is Demanded.ABSENT
    assert tuple(contract.checks["label.required"]) == OCI_LABELS
    assert contract.exemptions == ()


def test_one_form_of_what_has_several() -> None:
    """A list of labels, and `true` for parameters, mean the same as their longer forms."""
    contract = load("version: 1\nname: a\nlabel.required: [maintainer]\nfile.setid: true\nconfig.cmd: true\n")
    assert contract.checks["label.required"] == {"maintainer": None}
    assert contract.checks["file.setid"].allowed is None
    assert contract.checks["config.cmd"] is Demanded.SOME


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("1kB", 1000),
        ("1KB", 1000),
        ("1KiB", 1024),
        ("200MB", 200_000_000),
        ("200MiB", 200 * 2**20),
        ("1.5GB", 1_500_000_000),
        ("0.5 KiB", 512),
        ("2TB", 2 * 10**12),
        ("1TiB", 2**40),
    ],
)
def test_sizes_say_their_unit(text: str, size: int) -> None:
    """Units of 1000 and of 1024 differ, as they are written."""
    assert load(f"version: 1\nname: a\nsize.compressed: {text}\n").checks["size.compressed"] == size


@pytest.mark.parametrize(
    ("text", "ports"),
    [("80", (80, 80, "tcp")), ("80/sctp", (80, 80, "sctp")), ("1-65535/udp", (1, 65535, "udp"))],
)
def test_ports_have_a_protocol(text: str, ports: tuple[int, int, str]) -> None:
    """A port without a protocol is one of TCP."""
    found = parse_ports(text)
    assert (found.first, found.last, found.protocol) == ports


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("SIGTERM", 15), ("TERM", 15), ("15", 15), ("SIGKILL", 9), ("SIGPOLL", 29), ("SYS", 31), ("64", 64)),
        *(("SIGRTMIN", 34), ("SIGRTMIN+3", 37), ("RTMAX", 64), ("SIGRTMAX-1", 63), ("SIGRTMIN+31", None)),
        *(("SIGRTMAX-31", None), ("", None), ("0", None), ("65", None), ("999", None), ("sigterm", None)),
        *(("SIGSIGTERM", None), ("\u0661", None), ("-1", None)),
    ],
)
def test_signals_have_numbers(text: str, number: int | None) -> None:
    """A signal is known by its name, with and without SIG, and by its number."""
    assert signal_number(text) == number
    assert is_catchable(15)
    assert not is_catchable(9)
    assert not is_catchable(19)


def test_the_schema_allows_what_the_loader_takes() -> None:
    """The schema is a schema, takes the contract that is right in each of its forms, and refuses an unknown check."""
    validator = jsonschema.Draft202012Validator(schema())
    jsonschema.Draft202012Validator.check_schema(schema())
    forms = "user.nonroot: true\nconfig.entrypoint: true\nconfig.cmd: none\nconfig.workdir: true\nlabel.required: [a]\n"
    forms += "port.allowed: none\nvolume.allowed: none\nfile.setid: true\nbase.digest: true\nci.overlap: true\n"
    for text in (RIGHT, f"version: 1\nname: a\n{forms}", "version: 1\nname: a\nlabel.required: true\n"):
        load(text)
        validator.validate(parse_document(text.encode(), file="c").value)
    for change in ("colour: true", "env.secret: false", "port.allowed: []", "size.delta: {}", "label.required: {}"):
        document = parse_document(f"version: 1\nname: a\n{change}\n".encode(), file="c").value
        assert not validator.is_valid(document), change


def test_table_document_and_functions_have_the_same_checks() -> None:
    """A check is in the table, a key of the document and made by a function, or it is nowhere."""
    own = {"version", "name", "exceptions"}
    keys = [field.alias for name, field in ContractDocument.model_fields.items() if name not in own]
    assert keys == [check.id for check in CHECKS] == list(BY_ID)
    assert [*FUNCTIONS, LOCK_DRIFT] == keys


def test_every_check_says_why_and_what_to_change() -> None:
    """Each check has one sentence why it matters and one that says what to change."""
    for check in CHECKS:
        for sentence in (check.why, check.fix):
            assert sentence.endswith("."), check.id
            assert "\n" not in sentence
        assert check.why != check.fix
