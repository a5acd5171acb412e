"""Text from strangers never reaches a terminal or a CI log as it is (CVE-2026-44245)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from attest.cli.terminal import escape, json_text
from tests.cli.running import Ended
from tests.cli.scene import CONTEXT, Scene, policy_text
from tests.cli.terminal import Terminal
from tests.core import make

HOSTILE = {
    "escape sequence": "\x1b[2J\x1b[31mPASSED",
    "C1 control": "\x9b31mPASSED",
    "bell and backspace": "a\x07\x08\x08b",
    "line breaks": "x\n::set-output name=verdict::PASSED\r\n##[command]evil",
    "workflow command": "::set-output name=verdict::PASSED",
    "indented workflow command": "  ::add-mask::x",
    "old workflow command": "x ##[set-output name=verdict]PASSED",
    "bidirectional override": "\u202egnp.exe\u2066\u2069",
    "line separator": "a\u2028::set-output name=x::y\u2029b",
    "zero width": "PAS\u200bSED\ufeff",
    "tag characters": "a\U000e0041",
    "terminal title": "\x1b]0;PASSED\x07",
}


def assert_harmless(text: str) -> None:
    """Nothing in it moves a cursor, hides, reorders or starts a line that a runner obeys."""
    bad = [one for one in text if unicodedata.category(one)[0] in "CZ" and one not in " \n"]
    assert bad == []
    for line in text.split("\n"):
        assert not line.lstrip().startswith("::")
        assert "##[" not in line


def sign_hostile(scene: Scene, text: str) -> Ended:
    """Let a lane sign text in every place that takes free text and that a Statement allows."""
    (scene.folder / "p.json").write_text(json.dumps({"result": "PASSED", "configuration": [], "note": text}))
    arguments = scene.sign_arguments(
        *("unit", "--predicate-type", "https://in-toto.io/attestation/test-result/v0.1", "--predicate", "p.json"),
        *("--job", text, "--run-url", text, "--run-id", text, "--source-ref", text),
    )
    return scene.attest(*arguments)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_sign_shows_nothing_raw(text: str, scene: Scene) -> None:
    """Whether it signs or refuses a hostile value, `attest sign` shows it escaped."""
    ended = sign_hostile(scene, text)
    assert ended.code in {0, 2}
    assert_harmless(ended.err)
    assert_harmless(ended.out)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("signer", ["a trusted key", "a stranger"])
def test_evidence_shows_nothing_raw(text: str, signer: str, scene: Scene) -> None:
    """Whatever a bundle says in context, names, types and predicate, verify and inspect show escaped."""
    key = make.party("mallory")
    if signer == "a trusted key":
        (scene.folder / "keys/mallory.pub").write_bytes(make.pem(key.private.public_key()))
        rule = "{predicate-type: https://in-toto.io/attestation/test-result/v0.1, signer: mallory}"
        scene.write_policy(policy_text({"unit": rule}, signers={"mallory": "{key: keys/mallory.pub}"}))
    for number, (kind, context) in enumerate(
        [
            ("https://in-toto.io/attestation/test-result/v0.1", {"lane": "unit", "job": text, "run-url": text}),
            (text, {"lane": "unit"}),
            (text, {"lane": text, "ref": text}),
        ]
    ):
        statement = {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [
                {
                    "name": text,
                    "digest": {"sha256": scene.digest.removeprefix("sha256:")},
                    "annotations": {f"attest-gate/{name}": value for name, value in context.items()},
                }
            ],
            "predicateType": kind,
            "predicate": {"result": text if number else "PASSED", "configuration": [], text: text},
        }
        path = scene.folder / f"{number}.json"
        path.write_bytes(make.bundle(key, json.dumps(statement).encode()))
        ended = scene.attest("attach", path.name, scene.image)
        assert_harmless(ended.out + ended.err)
    for arguments in (
        ("verify", scene.image, "--policy", "policy.yaml", "--repository", "registry.example.org/plex/backend"),
        ("inspect", scene.image),
        ("inspect", scene.image, "--policy", "policy.yaml"),
    ):
        bundles = [part for number in range(3) for part in ("--bundle", f"{number}.json")]
        for more in ((), ("--format", "json")):
            ended = scene.attest(*arguments, *more, *(bundles if arguments[0] == "verify" else ()))
            assert ended.code in {0, 1}, ended.err
            assert_harmless(ended.out)
            assert_harmless(ended.err)


ARGUMENTS: dict[str, Callable[[str], list[str]]] = {
    "reference": lambda text: ["inspect", text],
    "layout": lambda text: ["inspect", f"oci:{text}@sha256:{64 * '0'}"],
    "option": lambda text: ["verify", f"--{text}"],
    "command": lambda text: [text],
    "choice": lambda text: ["inspect", "x", "--format", text],
    "lane": lambda text: ["sign", "oci:x@sha256:" + 64 * "0", "--lane", text, "--key", "k", "--result", "passed"],
    "key": lambda text: ["sign", "IMAGE", "--lane", "unit", "--key", text, "--result", "passed", *CONTEXT],
    "policy": lambda text: ["verify", "IMAGE", "--policy", text],
    "repository": lambda text: ["verify", "IMAGE", "--policy", "policy.yaml", "--repository", text],
    "bundle": lambda text: ["verify", "IMAGE", "--policy", "policy.yaml", "--bundle", text],
    "time": lambda text: ["verify", "IMAGE", "--policy", "policy.yaml", "--at", text],
    "keygen": lambda text: ["keygen", "--no-password", "--", text],
    "directory": lambda text: ["keygen", "new", "--no-password", "--directory", text],
    "resolve": lambda text: ["resolve", text],
    "raw": lambda text: ["inspect", "IMAGE", "--raw", text],
}


@pytest.mark.parametrize("place", ARGUMENTS)
def test_arguments_are_not_repeated_raw(place: str, scene: Scene) -> None:
    """A branch or a tag name that CI puts into a command line comes back escaped, whatever is wrong with it."""
    for text in HOSTILE.values():
        arguments = [scene.image if part == "IMAGE" else part for part in ARGUMENTS[place](text)]
        ended = scene.attest(*arguments)
        assert_harmless(ended.err)
        assert_harmless(ended.out)


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_a_traceback_is_escaped_too(debug: tuple[str, ...], tmp_path: Path) -> None:
    """With --debug an error's text stands in a traceback, and still moves no cursor."""
    scene = Scene(folder=tmp_path)
    for text in HOSTILE.values():
        assert_harmless(scene.attest(*debug, "inspect", text).err)


@given(st.text(st.sampled_from("#[:\n\x7f ") | st.characters()))
@example("##[error]")
@example("\x7f")
@example(" ::warning::")
def test_no_text_gets_through(text: str) -> None:
    """For any text at all, what `escape` returns is harmless as a line, and so is a JSON document with it."""
    assert_harmless(escape(text))
    document = json_text({"message": text, text: [text]})
    assert_harmless(document)
    assert json.loads(document) == {"message": text, text: [text]}


@given(st.text(alphabet=st.characters(categories=["L", "M", "N", "P", "S"], exclude_characters="#:")))
def test_plain_text_stays_as_it_is(text: str) -> None:
    """Letters, marks, digits, punctuation and symbols of every script are shown as they are."""
    assert escape(text) == text


# ---- colour

ANSI = re.compile(rb"\x1b\[[0-9;]*m")


def test_colour_is_for_terminals(scene: Scene) -> None:
    """On a terminal states are coloured; in a pipe, as every other test reads it, there is no escape sequence."""
    with Terminal(["verify", scene.image, "--policy", "policy.yaml"], cwd=scene.folder) as terminal:
        code, shown = terminal.end()
    assert code == 1
    assert ANSI.search(shown)
    assert b"\x1b" not in scene.verify().raw


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=str)
@pytest.mark.parametrize("arguments", [["verify", "IMAGE", "--policy", "policy.yaml"], ["verify", "not a reference"]])
def test_colour_can_be_refused(environment: dict[str, str], arguments: list[str], scene: Scene) -> None:
    """NO_COLOR, and a terminal that knows none, get none: neither in a verdict nor in an error."""
    command = [scene.image if part == "IMAGE" else part for part in arguments]
    with Terminal(command, cwd=scene.folder, **environment) as terminal:
        code, shown = terminal.end()
    assert code in {1, 2}
    assert shown
    assert b"\x1b" not in shown


def test_json_has_no_colour_on_a_terminal(scene: Scene) -> None:
    """--format json prints the same bytes on a terminal as in a pipe."""
    with Terminal(["inspect", scene.image, "--format", "json"], cwd=scene.folder) as terminal:
        code, shown = terminal.end()
    assert code == 0
    assert json.loads(shown)["image"] == scene.image
    assert b"\x1b" not in shown
