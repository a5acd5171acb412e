"""`attest image check`: what it prints in each format, how it ends, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import re
import tarfile
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from attest.adapters.reports import read_report
from attest.cli import layerprogress
from attest.core.contract import schema as contract_schema
from attest.core.contract.table import BY_ID
from attest.core.image.factsdocument import facts_schema
from attest.core.lane.testreport import Outcome
from attest.core.lock.locking import lock_schema
from attest.core.oci import Platform
from attest.ops.facts import Progress
from tests.cli.imagechecks import (
    APPLICATION,
    BASE,
    CONFIG,
    CONTRACT,
    SETID,
    STEPS,
    check,
    result_of,
    write_contract,
    write_image,
    write_index,
)
from tests.cli.running import spawn
from tests.cli.scene import Scene
from tests.cli.terminal import Terminal
from tests.cli.test_hostile_text import HOSTILE, assert_harmless
from tests.layerstacks import File, digest, tar
from tests.project import ROOT

SCHEMA: dict[str, Any] = json.loads((resources.files("attest") / "schemas" / "contract-report.v1.json").read_text())
SARIF: dict[str, Any] = json.loads((ROOT / "tests" / "data" / "sarif" / "sarif-schema-2.1.0.json").read_text())


@pytest.fixture
def good(tmp_path: Path) -> Scene:
    """An image that its contract allows."""
    scene = Scene(folder=tmp_path, image=write_image(tmp_path / "image", BASE, APPLICATION))
    write_contract(scene)
    return scene


@pytest.fixture
def bad(tmp_path: Path) -> Scene:
    """The same, run as root, and with a set-id file in its last layer."""
    image = write_image(tmp_path / "image", BASE, APPLICATION, SETID, config={**CONFIG, "User": ""})
    scene = Scene(folder=tmp_path, image=image)
    write_contract(scene)
    return scene


def document_of(scene: Scene, *options: object, code: int) -> dict[str, Any]:
    """The JSON document, which obeys the published schema."""
    ended = check(scene, "--format", "json", *options)
    assert (ended.code, ended.err) == (code, "")
    jsonschema.validate(ended.document, SCHEMA, cls=jsonschema.Draft202012Validator)
    return ended.document


# ---- verdicts


def test_a_good_image_passes(good: Scene) -> None:
    """An image that the contract allows ends with 0; the last line says so, and what was asked."""
    ended = check(good)
    assert (ended.code, ended.err) == (0, "")
    first, *_, last = ended.out.splitlines()
    assert first == good.image
    assert last.startswith("PASSED  6 checks passed; contract service, sha256:")
    written = document_of(good, code=0)
    assert written["verdict"] == "PASSED"
    assert written["digest"] == good.digest
    assert [one["check"] for one in written["results"]] == [one for one in BY_ID if f"\n{one}:" in CONTRACT]


def test_people_see_what_failed(bad: Scene) -> None:
    """What failed comes first: id, aliases, place, layer, build step, why it matters and what to change."""
    ended = check(bad)
    assert (ended.code, ended.err) == (1, "")
    lines = [line.strip() for line in ended.out.splitlines()]
    assert lines[1] == "linux/amd64"
    assert re.fullmatch(r"failed +user\.nonroot  \(CIS-DI-0001, DS-0002.*\)", lines[2])
    place = next(number for number, line in enumerate(lines) if line.startswith("failed     file.setid"))
    assert lines[place].endswith("(CIS-DI-0008)")
    assert lines[place + 1].startswith("/app/helper has the mode 4755")
    assert re.fullmatch(rf"layer 2  sha256:[0-9a-f]{{12}}  {re.escape(STEPS[2])}", lines[place + 2])
    assert lines[place + 3] == f"why: {BY_ID['file.setid'].why}"
    assert lines[place + 4] == f"fix: {BY_ID['file.setid'].fix}"
    assert lines[-2].startswith("passed     label.required")
    assert lines[-1].startswith("FAILED  2 of 6 checks failed: user.nonroot, file.setid; contract service")


def test_scripts_get_layer_and_build_step(bad: Scene) -> None:
    """A finding in JSON names the place, the layer by position and digest, and the build step."""
    written = document_of(bad, code=1)
    (found,) = result_of(written, "file.setid")["findings"]
    assert (found["place"], found["standing"]) == ("/app/helper", "violation")
    assert found["layer"]["position"] == 2
    assert found["layer"]["created_by"] == STEPS[2]
    assert result_of(written, "file.secret")["outcome"] == "passed"


def test_what_is_missing_is_undecided(good: Scene) -> None:
    """A check that has nothing to compare with is undecided: exit code 3, and it is told what is missing."""
    write_contract(good, base__digest="true", lock__drift="true")
    ended = check(good)
    assert ended.code == 3
    assert ended.out.splitlines()[-1].startswith(
        "UNDECIDED  2 of 8 checks could not be decided: base.digest, lock.drift"
    )
    assert "no baseline was given" in ended.out
    assert "next: Name the image that it was built on, with --baseline." in ended.out
    assert BY_ID["base.digest"].fix not in ended.out
    assert result_of(document_of(good, code=3), "base.digest")["outcome"] == "undecided"


def test_a_violation_beats_what_is_undecided(bad: Scene) -> None:
    """With a violation the exit code is 1, whatever else could not be decided; both are told."""
    write_contract(bad, base__digest="true")
    ended = check(bad)
    assert ended.code == 1
    assert "2 of 7 checks failed: user.nonroot, file.setid; 1 of 7 checks could not be decided" in ended.out


def test_every_platform_is_checked(good: Scene) -> None:
    """An index passes only if every platform does, and the one that does not is named."""
    images = {"amd64": (BASE, APPLICATION), "arm64": (BASE, APPLICATION, SETID)}
    index = write_index(good.folder / "index", images)
    scene = Scene(folder=good.folder, image=index)
    written = document_of(scene, code=1)
    assert result_of(written, "file.setid", "linux/amd64")["outcome"] == "passed"
    assert result_of(written, "file.setid", "linux/arm64")["outcome"] == "failed"
    text = check(scene).out
    assert text.index("linux/amd64") < text.index("linux/arm64") < text.index("failed     file.setid")


# ---- exceptions

EXCEPTION = """\
exceptions:
  - {id: file.setid, path: /app/*, reason: until it is rewritten, owner: ops@example.org, expires: EXPIRES}
"""


def except_setid(scene: Scene, expires: str = "2999-01-01T00:00:00Z") -> None:
    """Allow the set-id file; the user is not asked about."""
    text = CONTRACT.replace("user.nonroot: true\n", "") + EXCEPTION.replace("EXPIRES", expires)
    write_contract(scene, text)


def test_an_exception_allows(bad: Scene) -> None:
    """What an exception allows passes, and people see who allowed it until when, and why."""
    except_setid(bad)
    ended = check(bad)
    assert ended.code == 0
    assert "allowed by ops@example.org until 2999-01-01: until it is rewritten" in ended.out
    assert "5 checks passed, 1 of them by exceptions" in ended.out
    written = document_of(bad, code=0)
    assert result_of(written, "file.setid")["findings"][0]["exception"]["owner"] == "ops@example.org"
    assert (written["exceptions"][0]["use"], written["exceptions"][0]["findings"]) == ("used", 1)


def test_an_expired_exception_fails(bad: Scene) -> None:
    """An exception whose time is over allows nothing, and is a failure itself."""
    except_setid(bad, "2020-01-01T00:00:00Z")
    written = document_of(bad, code=1)
    assert result_of(written, "file.setid")["outcome"] == "failed"
    assert result_of(written, "file.setid", None)["outcome"] == "failed"
    assert written["exceptions"][0]["use"] == "expired"
    assert "expired at 2020-01-01" in check(bad).out


def test_an_unused_exception_warns(good: Scene) -> None:
    """An exception that nothing needs is told, and the image passes."""
    except_setid(good)
    ended = check(good)
    assert ended.code == 0
    assert "warned     file.setid" in ended.out
    assert "nothing needs the exception for /app/* of ops@example.org any more" in ended.out
    assert document_of(good, code=0)["exceptions"][0]["use"] == "unused"


# ---- what is compared with


def test_the_baseline_proves_the_base(good: Scene) -> None:
    """The base is proven by its layers; an image that does not begin with them fails."""
    write_contract(good, base__digest="true")
    base = write_image(good.folder / "base", BASE)
    written = document_of(good, "--baseline", base, code=0)
    assert [(one["role"], one["name"]) for one in written["inputs"]] == [
        ("contract", "contract.yaml"),
        ("baseline", base),
    ]
    assert written["inputs"][1]["digest"] == base.rpartition("@")[2]
    other = write_image(good.folder / "other", APPLICATION)
    assert result_of(document_of(good, "--baseline", other, code=1), "base.digest")["outcome"] == "failed"


def test_the_size_of_the_baseline_counts(good: Scene) -> None:
    """Where the contract limits growth the baseline is read for its size, not only looked at."""
    write_contract(good, size__delta="{baseline: 3B}")
    base = write_image(good.folder / "base", BASE)
    (found,) = result_of(document_of(good, "--baseline", base, code=1), "size.delta")["findings"]
    assert "the image has 4 bytes unpacked more than the baseline" in found["message"]
    write_contract(good, size__delta="{baseline: 4B}")
    assert check(good, "--baseline", base).code == 0


def test_the_baseline_of_another_platform(good: Scene) -> None:
    """A baseline that has nothing for the image's platform leaves the check undecided."""
    write_contract(good, size__delta="{baseline: 4B}")
    base = write_image(good.folder / "base", BASE, architecture="arm64")
    assert check(good, "--baseline", base).code == 3


def test_shared_layers_are_told_both_ways(good: Scene) -> None:
    """A layer of the CI image in the image is a leak, unless it is of the base or the CI image builds on the image."""
    write_contract(good, ci__overlap="true")
    base = write_image(good.folder / "base", BASE)
    ci = write_image(good.folder / "ci", BASE, SETID)
    written = document_of(good, "--ci-image", ci, "--baseline", base, code=0)
    (shared,) = written["shared_layers"]
    assert (shared["shared_as"], shared["runtime"]["layer"]["position"]) == ("base", 0)
    text = check(good, "--ci-image", ci, "--baseline", base).out
    assert "layers 0 are in the CI image too: of the base" in text
    on_top = write_image(good.folder / "on-top", BASE, APPLICATION, SETID)
    assert "the CI image builds on them" in check(good, "--ci-image", on_top).out
    leak = write_image(good.folder / "leak", SETID, APPLICATION)
    (found,) = result_of(document_of(good, "--ci-image", leak, "--baseline", base, code=1), "ci.overlap")["findings"]
    assert (found["layer"]["position"], found["layer"]["created_by"]) == (1, STEPS[1])


def test_the_lock_is_compared(good: Scene) -> None:
    """An image that is as it was locked passes; drift is a failure of its own check."""
    assert good.attest("image", "lock", good.image, "--contract", "contract.yaml").code == 0
    written = document_of(good, "--lock", "contract.lock.json", code=0)
    assert written["inputs"][1]["role"] == "lock"
    other = write_image(good.folder / "other", BASE, APPLICATION, SETID)
    ended = check(good, "--lock", "contract.lock.json", "--format", "json", image=other)
    assert ended.code == 1
    assert result_of(ended.document, "lock.drift")["outcome"] == "failed"


def test_an_archive_is_checked(good: Scene) -> None:
    """An image in an archive is checked as well; nothing can be attached to it, so nothing is looked for there."""
    write_contract(good, ci__overlap="{target: [runtime]}")
    with tarfile.open(good.folder / "image.tar", "w") as archive:
        archive.add(good.folder / "image", arcname="")
    ci = write_image(good.folder / "ci", SETID)
    ended = check(good, "--ci-image", ci, image="oci-archive:image.tar")
    assert ended.code == 3
    assert "no provenance says which target was built" in ended.out


def test_the_other_architectures_of_the_baseline_are_not_read(good: Scene) -> None:
    """Of a baseline for many platforms only those of the image are read: a broken layer of another one is no matter."""
    write_contract(good, size__delta="{baseline: 4B}")
    other = (File("etc/other", b"for another machine"),)
    base = write_index(good.folder / "base", {"amd64": (BASE,), "s390x": (other,)})
    blob = digest(tar(other)).removeprefix("sha256:")
    (good.folder / "base" / "blobs" / "sha256" / blob).write_bytes(b"broken")
    assert check(good, "--baseline", base).code == 0
    blob = digest(tar(BASE)).removeprefix("sha256:")
    (good.folder / "base" / "blobs" / "sha256" / blob).write_bytes(b"broken")
    assert check(good, "--baseline", base).code == 3


# ---- other formats


@pytest.mark.parametrize("kind", ["good", "bad"])
def test_sarif_is_alone_and_valid(kind: str, request: pytest.FixtureRequest) -> None:
    """SARIF is alone on standard output, obeys the OASIS schema, and attest's own reader agrees with the verdict."""
    scene: Scene = request.getfixturevalue(kind)
    ended = check(scene, "--format", "sarif")
    assert (ended.code, ended.err) == (0 if kind == "good" else 1, "")
    jsonschema.validate(ended.document, SARIF, cls=jsonschema.Draft4Validator)
    outcomes = {case.outcome for case in read_report(ended.raw, file="x.sarif").cases or ()}
    assert outcomes == ({Outcome.PASSED} if kind == "good" else {Outcome.FAILED})


@pytest.mark.parametrize("kind", ["good", "bad"])
def test_junit_is_alone_and_readable(kind: str, request: pytest.FixtureRequest) -> None:
    """JUnit is alone on standard output, and attest's own reader finds a case for each check."""
    scene: Scene = request.getfixturevalue(kind)
    ended = check(scene, "--format", "junit")
    assert (ended.code, ended.err) == (0 if kind == "good" else 1, "")
    cases = read_report(ended.raw, file="x.xml").cases or ()
    assert len(cases) == 6
    failed = [case.name for case in cases if case.outcome is Outcome.FAILED]
    assert failed == ([] if kind == "good" else ["linux/amd64.user.nonroot", "linux/amd64.file.setid"])


def test_reports_are_saved_beside_the_one_that_is_shown(bad: Scene) -> None:
    """People see the text, and each file is what its format would have printed; text without colours."""
    (bad.folder / "report.json").write_text("an older one")
    kinds = ("json", "sarif", "junit", "text")
    ended = check(bad, *(part for kind in kinds for part in ("--save", f"{kind}=report.{kind}")))
    assert (ended.code, ended.err) == (1, "")
    assert ended.out == check(bad).out == (bad.folder / "report.text").read_text()
    jsonschema.validate(json.loads((bad.folder / "report.json").read_text()), SCHEMA)
    jsonschema.validate(json.loads((bad.folder / "report.sarif").read_text()), SARIF, cls=jsonschema.Draft4Validator)
    assert len(read_report((bad.folder / "report.junit").read_bytes(), file="report.junit").cases or ()) == 6


def test_a_report_that_cannot_be_saved_is_no_result(good: Scene) -> None:
    """Where a report is expected and cannot be written the exit code is 3, though the image passed."""
    ended = check(good, "--save", "sarif=absent/contract.sarif")
    assert ended.code == 3
    assert "the report is not saved: " in ended.err


def test_an_error_saves_nothing(good: Scene) -> None:
    """An image that cannot be read leaves an older report where it was, and writes no other."""
    (good.folder / "old.json").write_text("an older one")
    assert check(good, "--save", "json=old.json", "--save", "sarif=new.sarif", image="oci:absent").code == 3
    assert (good.folder / "old.json").read_text() == "an older one"
    assert not (good.folder / "new.sarif").exists()


def test_an_error_leaves_other_formats_empty(good: Scene) -> None:
    """What cannot be read prints no SARIF and no JUnit: nobody can take an error for a report."""
    for kind in ("sarif", "junit", "text"):
        ended = check(good, "--format", kind, image="oci:absent")
        assert (ended.code, ended.out) == (3, "")
        assert ended.err.startswith("error: ")
    assert check(good, "--format", "json", image="oci:absent").document["schema"] == "attest.error/v1"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_format_shows_anything_raw(text: str, tmp_path: Path) -> None:
    """Whatever an image calls its files, labels, user and build steps, every format shows it harmless."""
    image = write_image(
        tmp_path / "image",
        [File(f"app/{text}", mode=0o4755)],
        config={"User": text, "Labels": {text: text}, "Entrypoint": [text], "Cmd": [text], "Env": [f"{text}={text}"]},
        steps=[text],
    )
    scene = Scene(folder=tmp_path, image=image)
    write_contract(scene, f"{CONTRACT}config.cmd: [a]\nconfig.entrypoint: [a]\npath.allowed: [/etc/**]\n")
    for kind in ("text", "json", "sarif", "junit"):
        ended = check(scene, "--format", kind)
        assert ended.code == 1, ended.err
        assert_harmless(ended.out)
        assert_harmless(ended.err)


def test_colours_are_for_terminals(bad: Scene) -> None:
    """On a terminal the verdict is coloured, and nowhere else."""
    assert "\x1b" not in check(bad).out
    with Terminal(["image", "check", bad.image, "--contract", "contract.yaml"], cwd=bad.folder) as terminal:
        terminal.read_until(lambda shown: b"contract service" in shown)
    assert b"\x1b[31m\x1b[1mFAILED" in terminal.shown


def test_many_findings_are_cut_short_for_people(good: Scene) -> None:
    """People see the first findings of a check and how many more there are; scripts get all of them."""
    files = [File(f"app/f{number:03}", mode=0o4755) for number in range(30)]
    scene = Scene(folder=good.folder, image=write_image(good.folder / "many", BASE, APPLICATION, files))
    ended = check(scene)
    assert "and 10 more; --format json has them all" in ended.out
    assert len(result_of(document_of(scene, code=1), "file.setid")["findings"]) == 30


def test_build_steps_are_cut_short_for_people(good: Scene) -> None:
    """A long build step is cut short on the screen, one in several lines is joined, and none is no line."""
    steps = ["RUN a\n" + 200 * "b "]
    scene = Scene(folder=good.folder, image=write_image(good.folder / "long", SETID, steps=steps))
    write_contract(scene, "version: 1\nname: service\nfile.setid: true\n")
    (line,) = [line for line in check(scene).out.splitlines() if "layer 0" in line]
    assert "RUN a b b" in line
    assert line.endswith("b ...")
    assert len(line) < 220
    bare = Scene(folder=good.folder, image=write_image(good.folder / "bare", SETID, steps=[]))
    (line,) = [line for line in check(bare).out.splitlines() if "layer 0" in line]
    assert re.fullmatch(r" +layer 0  sha256:[0-9a-f]{12}", line)


def test_progress_names_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a terminal shows meanwhile is which layer is read, and how far."""
    texts: list[Callable[[], str]] = []

    def watching(text: Callable[[], str]) -> contextlib.nullcontext[None]:
        texts.append(text)
        return contextlib.nullcontext()

    monkeypatch.setattr(layerprogress, "watching", watching)
    with layerprogress.reading_layers() as tell:
        (text,) = texts
        assert text() == "looking at the image"
        platform = Platform(os="linux", architecture="amd64")
        tell(Progress(platform=platform, layer=3, layers=12, done=1_500_000, size=4_000_000))
        assert text() == "reading layer 3 of 12: 1.5 MB of 4.0 MB"


# ---- what is refused


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("IMAGE",), 2),
        (("IMAGE", "--contract", "absent.yaml"), 2),
        (("IMAGE", "--contract", "contract.yaml", "--lock", "absent.json"), 2),
        (("IMAGE", "--contract", "contract.yaml", "--lock", "contract.yaml"), 2),
        (("IMAGE", "--contract", "-", "--lock", "-"), 2),
        (("IMAGE", "--contract", "contract.yaml", "--format", "xml"), 2),
        (("IMAGE", "--contract", "contract.yaml", "--save", "report.json"), 2),
        (("IMAGE", "--contract", "contract.yaml", "--save", "xml=report.xml"), 2),
        (("IMAGE", "--contract", "contract.yaml", "--save", "json="), 2),
        (("IMAGE", "--contract", "contract.yaml", "--save", "json=-"), 2),
        (("IMAGE", "--contract", "contract.yaml", "--output", "report.json"), 2),
        (("IMAGE", "--contract", "contract.yaml", "--ci-image", "IMAGE"), 2),
        (("IMAGE", "--contract", "contract.yaml", "--baseline", "IMAGE"), 2),
        (("IMAGE", "--contract", "contract.yaml", "--key", "k"), 2),
        (("IMAGE", "--contract", "contract.yaml", "--run-id", "7"), 2),
        (("IMAGE", "--contract", "contract.yaml", "--repository", "registry.example.org/a/b"), 2),
        (("IMAGE", "--contract", "contract.yaml", "--lane", "contract"), 2),
        (("registry.example.org/plex/backend:latest", "--contract", "contract.yaml", "--timeout", "1"), 2),
        (("oci:absent", "--contract", "contract.yaml"), 3),
        (("docker-archive:absent.tar", "--contract", "contract.yaml"), 3),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], code: int, good: Scene) -> None:
    """A wrong command line or document is 2 and an image that cannot be read 3; there is no report, but an error."""
    given = [good.image if one == "IMAGE" else one for one in arguments]
    ended = good.attest("image", "check", *given)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("error: ")


@pytest.mark.parametrize(
    ("line", "place"),
    [("user.nonroot: false", "contract.yaml:9:15"), ("no.check: true", "contract.yaml:9:1"), ("exceptions: []", ":9:")],
)
def test_a_contract_is_strict(line: str, place: str, good: Scene) -> None:
    """A key that is unknown, empty or switched off is refused with file, line and column."""
    (good.folder / "contract.yaml").write_text(CONTRACT.replace("user.nonroot: true\n", "") + "\n" + line + "\n")
    ended = check(good)
    assert (ended.code, ended.out) == (2, "")
    assert place in ended.err


def test_the_contract_may_come_from_standard_input(good: Scene) -> None:
    """A contract can be piped in."""
    ended = spawn("image", "check", good.image, "--contract", "-", cwd=good.folder, stdin=CONTRACT.encode())
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ((), contract_schema()),
        (("contract",), contract_schema()),
        (("facts",), facts_schema()),
        (("lock",), lock_schema()),
        (("report",), SCHEMA),
    ],
)
def test_schemas_are_printed(document: tuple[str, ...], expected: Any, tmp_path: Path) -> None:
    """Each schema is the one that the code or the package has, a valid one, and that of the contract comes unasked."""
    ended = Scene(folder=tmp_path).attest("image", "schema", *document)
    assert ended.code == 0
    jsonschema.Draft202012Validator.check_schema(ended.document)
    assert ended.document == expected
