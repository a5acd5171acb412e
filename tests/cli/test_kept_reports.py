"""A report that does not fit into its attestation: kept beside the image, named in the predicate, read by digest."""

from __future__ import annotations

import json

import pytest

from attest.core.reference import digest_of
from tests.cli.scene import CONTEXT, Scene, open_layout
from tests.cli.terminal import Terminal


def junit(number: int, name: str = "test_number", bad: int = 0) -> bytes:
    """A JUnit report of so many cases, the first of which failed."""
    body = "".join(
        f'<testcase classname="tests.test_module" name="{name}_{n}">{"<failure/>" if n < bad else ""}</testcase>'
        for n in range(number)
    )
    return f'<testsuite name="s" tests="{number}" failures="{bad}">{body}</testsuite>'.encode()


def sign(scene: Scene, report: bytes, *options: str) -> str:
    """Let a lane sign what a report says; the digest of its bundle."""
    (scene.folder / "report.xml").write_bytes(report)
    arguments = [
        "sign",
        scene.image,
        "--repository",
        scene.repository,
        "--lane",
        "unit",
        "--key",
        "keys/unit.key",
        *CONTEXT,
    ]
    ended = scene.attest(*arguments, "--report", "report.xml", "--format", "json", *options)
    assert ended.code == 0, ended.err
    bundle = ended.document["bundle"]
    assert isinstance(bundle, str)
    return bundle


def test_ten_thousand_cases(scene: Scene) -> None:
    """The bundle stays under 64 KiB, names the failed tests first, and leads to the report, byte for byte."""
    report = junit(10_000, bad=3)
    bundle = sign(scene, report)
    layout = open_layout(scene.folder / "image")
    assert layout.file_of(bundle).stat().st_size < 64 * 1024
    predicate = json.loads(scene.attest("inspect", scene.image, "--raw", bundle).raw)["predicate"]
    assert predicate["result"] == "FAILED"
    assert predicate["attest_counts"] == {"passed": 9_997, "warned": 0, "failed": 3, "skipped": 0}
    assert predicate["failedTests"] == [f"tests.test_module.test_number_{n}" for n in range(3)]
    assert predicate["attest_omittedTests"]["passedTests"] + len(predicate["passedTests"]) == 9_997
    (resource,) = (one for one in predicate["configuration"] if one["name"] == "report.xml")
    assert resource["mediaType"] == "application/xml"
    digest = "sha256:" + resource["digest"]["sha256"]
    assert digest == digest_of(report)
    ended = scene.attest("inspect", scene.image, "--raw", digest)
    assert (ended.code, ended.raw, ended.err) == (0, report, "")
    assert layout.file_of(resource["annotations"]["manifest"]).exists()


def test_a_report_that_fits_is_not_kept(scene: Scene) -> None:
    """Where every name stands in the predicate nothing but the attestation is written."""
    report = junit(10)
    sign(scene, report)
    assert len(open_layout(scene.folder / "image").read_index()["manifests"]) == 2
    ended = scene.attest("inspect", scene.image, "--raw", digest_of(report))
    assert (ended.code, ended.raw) == (3, b"")
    assert "neither a bundle with a payload nor a test report" in ended.err


@pytest.mark.parametrize("damage", [b"", b"<testsuite/>"])
def test_a_damaged_report_is_not_shown(scene: Scene, damage: bytes) -> None:
    """What has another digest than the one that was signed is not printed."""
    report = junit(2_000, bad=1)
    sign(scene, report)
    open_layout(scene.folder / "image").file_of(digest_of(report)).write_bytes(damage)
    ended = scene.attest("inspect", scene.image, "--raw", digest_of(report))
    assert (ended.code, ended.raw) == (3, b"")
    assert digest_of(report) in ended.err


def test_a_report_is_no_evidence(scene: Scene) -> None:
    """A kept report changes nothing of what inspect lists: one attestation, and no further image."""
    sign(scene, junit(2_000))
    (place,) = scene.attest("inspect", scene.image, "--format", "json").document["places"]
    assert len(place["bundles"]) == 1


@pytest.mark.parametrize(
    ("text", "code"), [("plain\n\ttext", 0), ("\u00e9\U0001f600", 0), ("\u202e", 2), ("\x9b31m", 2), ("\x7f", 2)]
)
def test_a_terminal_gets_no_control_characters(scene: Scene, text: str, code: int) -> None:
    """A report that a terminal would obey is refused there, with a way out; everywhere else its bytes are printed."""
    output = f"<system-out>{text}</system-out>"
    report = junit(2_000).replace(b"</testcase>", f"{output}</testcase>".encode(), 1)
    sign(scene, report)
    digest = digest_of(report)
    assert scene.attest("inspect", scene.image, "--raw", digest).raw == report
    with Terminal(["inspect", scene.image, "--raw", digest], cwd=scene.folder) as terminal:
        ended, shown = terminal.end()
    assert ended == code
    assert (b"which a terminal obeys" in shown) == bool(code)
    assert (b"<system-out>" in shown) == (not code)
