"""What a step shows and checks is kept, printed, and put into a document as it was."""

from __future__ import annotations

import pytest

from tests.pipeline.show import BEGIN, END, Played, Recorder, alike, retold, section, short, told

DIGEST = "sha256:" + "0123456789ab" + "c" * 52
COMMIT = "fedcba987654" + "d" * 28


def played(recorder: Recorder) -> Played:
    """A step of what was recorded."""
    return Played(
        name="a-step",
        title="A step",
        told="Something happens.",
        shown=tuple(recorder.shown),
        checks=tuple(recorder.checks),
        seconds=1.0,
    )


def test_a_check_that_does_not_hold_is_kept_and_said() -> None:
    """What was compared is kept, and a difference is told apart from what is as it should be."""
    said: list[str] = []
    recorder = Recorder(say=said.append)
    recorder.check("exit code", 1, 1)
    recorder.check("what runs", "a", "b")
    step = played(recorder)
    assert [check.what for check in step.checks] == ["exit code", "what runs"]
    assert [check.what for check in step.failed] == ["what runs"]
    assert said == ["  ok: exit code: 1", "  NOT SO: what runs: 'a', and not 'b'"]


def test_a_section_has_commands_and_what_they_printed() -> None:
    """A block as the other documents have it: a command behind a dollar, its output below, on the example's hosts."""
    recorder = Recorder(say=lambda _: None)
    recorder.show(f"attest verify 127.0.0.1:1/plex/backend@{DIGEST}", 1, f"REFUSED  {COMMIT}\n\n")
    recorder.show("true", 0, "")
    text = section(played(recorder), plain=lambda printed: printed.replace("127.0.0.1:1", "registry.example.com"))
    assert text.splitlines() == [
        "### A step",
        "",
        "Something happens.",
        "",
        "```console",
        "$ attest verify registry.example.com/plex/backend@sha256:0123456789ab...",
        "REFUSED  fedcba987654",
        "exit code 1",
        "$ true",
        "```",
    ]


def test_only_whole_digests_and_commits_are_cut() -> None:
    """A digest and a commit keep their first twelve digits; a tag that holds a commit and a digest stays readable."""
    assert short(f"{DIGEST} {COMMIT} sha-{COMMIT}-0123456789ab") == (
        "sha256:0123456789ab... fedcba987654 sha-fedcba987654-0123456789ab"
    )
    assert short(f"blobs/{DIGEST.replace(':', '/')}") == "blobs/sha256/0123456789ab..."
    assert short("f" * 39 + " sha256:" + "a" * 63) == "f" * 39 + " sha256:" + "a" * 63
    assert short("x" * 300) == "x" * 157 + "..."


def test_a_line_is_alike_where_only_the_run_differs() -> None:
    """Digests, times, amounts and ports differ from run to run; words and exit codes do not."""
    first = "sha256:0123456789ab...  2026-11-22T22:39:33.660490Z  2.5 kB  0.5 s  127.0.0.1:8080/health answered 503"
    other = "sha256:ba9876543210...  2027-01-02T03:04:05Z  12.5 MB  11 s  127.0.0.1:9/health answered 503"
    assert alike(first) == alike(other)
    assert alike(first) != alike(other.replace("503", "500"))
    assert alike('commit: "66dea1f088b9"') == alike("commit: 3cf20d065185") != alike("commit: main")
    changed = "printf {} | dd of=blobs/sha256/0123456789ab... bs=1 seek={}"
    assert alike(changed.format("A", 3807)) == alike(changed.format("B", 3911)) != alike(changed.format("C", 1))


def test_a_story_that_is_told_already_stays() -> None:
    """A document is written anew only where the story is another one, and nothing around it changes."""
    document = f"before\n\n{BEGIN}\n\nat 2026-11-22T22:39:33Z\n\n{END}\nafter\n"
    assert retold(document, "at 2027-01-02T03:04:05Z") == document
    again = retold(document, "never")
    assert again == document.replace("at 2026-11-22T22:39:33Z", "never")
    assert told(again) == "never"


@pytest.mark.parametrize("document", ["nothing", BEGIN, f"{END} {BEGIN}"])
def test_a_document_without_a_place_is_an_error(document: str) -> None:
    """Both marks have to be there, in their order."""
    with pytest.raises(ValueError, match="no place"):
        retold(document, "text")
