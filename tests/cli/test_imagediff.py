"""`attest image diff`: what differs between two images, for people and as JSON, and its exit codes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import jsonschema
import pytest

from attest.core.image.diffdocument import diff_schema
from tests.cli.locked_images import APP, BASE, BROKEN, CONFIG, NANO, write_image
from tests.cli.running import Ended
from tests.cli.scene import Scene, open_layout
from tests.core.make_image import Layer
from tests.layerstacks import File
from tests.layouts import Layout


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A folder with an image."""
    return Scene(folder=tmp_path, image=write_image(tmp_path / "good", BASE, APP))


def diff(scene: Scene, other: str, *options: object) -> Ended:
    """What differs between the scene's image and another one."""
    return scene.attest("image", "diff", scene.image, other, *options)


def test_sections_with_layers_and_steps(scene: Scene) -> None:
    """People see both images, and each section with what came and went, by which layer and build step."""
    other = write_image(scene.folder / "other", BASE, APP, NANO, config={**CONFIG, "User": "root"}, steps=["USER root"])
    ended = diff(scene, other)
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[:3] == [
        f"A  {scene.image}  {scene.digest}",
        f"B  {other}  {other.rpartition('@')[2]}",
        "linux/amd64",
    ]
    assert [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "] == [
        "config",
        "packages",
        "files",
        "size",
        "layers",
    ]
    user = lines.index('    changed  user was "app" and is "root"')
    assert lines[user + 1] == "             USER root"
    package = lines.index("    added    package nano 7.2-1 is new")
    assert lines[package + 1].startswith("             layer 2  sha256:")
    assert lines[package + 1].endswith("  RUN apt-get install nano")


def test_what_is_gone_names_the_step_that_had_brought_it(scene: Scene) -> None:
    """What another image never had is told with the layer and step of the image that has it."""
    ended = diff(scene, write_image(scene.folder / "other", BASE))
    lines = ended.out.splitlines()
    gone = lines.index("    removed  executable /srv/app is gone")
    assert lines[gone + 1].startswith("             it was of layer 1  sha256:")
    assert lines[gone + 1].endswith("  COPY app /srv/app")


def test_json_obeys_its_schema(scene: Scene) -> None:
    """JSON is alone on standard output and obeys the published schema."""
    other = write_image(scene.folder / "other", BASE, APP, NANO)
    ended = diff(scene, other, "--format", "json")
    assert (ended.code, ended.err) == (0, "")
    jsonschema.validate(ended.document, diff_schema())
    (platform,) = ended.document["platforms"]
    assert [each["message"] for each in platform["changes"]["packages"]] == ["package nano 7.2-1 is new"]
    assert ended.document["before"] == {"image": scene.image, "digest": scene.digest}


def test_exit_codes(scene: Scene) -> None:
    """Whatever differs the code is 0; with --exit-code a difference is 1, and none is 0."""
    other = write_image(scene.folder / "other", BASE, NANO)
    assert diff(scene, other).code == 0
    assert diff(scene, other, "--exit-code").code == 1
    assert diff(scene, other, "--exit-code", "--format", "json").document["differs"] is True
    same = diff(scene, scene.image, "--exit-code")
    assert same.code == 0
    assert same.out.splitlines()[2:] == ["linux/amd64  no difference"]


def test_other_bytes_are_a_difference_whatever_is_known_of_them(scene: Scene) -> None:
    """A file with other bytes of the same length is no difference of files, and the images differ: its layer does."""
    other = write_image(
        scene.folder / "other", BASE, ("COPY app /srv/app", [File("srv/app", b"APPLICATION", mode=0o755)])
    )
    ended = diff(scene, other, "--exit-code")
    assert ended.code == 1
    assert "  rewritten    1\n    files that another layer wrote again, alike in all that is known" in ended.out
    assert "  layers       2\n" in ended.out
    assert not any(line.startswith("  files ") for line in ended.out.splitlines())


def test_the_same_image_in_another_form(scene: Scene) -> None:
    """An image that is stored in another way has another digest and no difference, and the summary says why."""
    subprocess.run(["tar", "-C", scene.folder / "good", "-cf", scene.folder / "good.tar", "."], check=True)
    assert diff(scene, "oci-archive:good.tar", "--exit-code").code == 0
    other = write_image(scene.folder / "other", BASE, APP)
    layout = open_layout(scene.folder / "other")
    manifest = json.loads(layout.file_of(other.rpartition("@")[2]).read_bytes())
    config = json.loads(layout.file_of(manifest["config"]["digest"]).read_bytes())
    config["history"][0]["comment"] = "told otherwise"
    described = layout.manifest(manifest["layers"], config={**manifest["config"], **_blob(layout, config)})
    layout.write_index([described])
    ended = diff(scene, f"oci:other@{described['digest']}", "--exit-code")
    assert ended.code == 0
    assert "linux/amd64  no difference\n  the manifests differ in nothing that is compared" in ended.out


def _blob(layout: Layout, document: object) -> dict[str, object]:
    blob = layout.blob(json.dumps(document).encode())
    return {"digest": blob["digest"], "size": blob["size"]}


def test_many_differences_are_counted(scene: Scene) -> None:
    """Of a section with very many differences people see the first ones and the count; JSON has them all."""
    many: Layer = ("COPY many", [File(f"many/{number:04}") for number in range(300)])
    other = write_image(scene.folder / "other", BASE, APP, many)
    ended = diff(scene, other)
    assert "    and 261 more; --format json has them all" in ended.out
    assert len(ended.out.splitlines()) < 150
    (platform,) = diff(scene, other, "--format", "json").document["platforms"]
    assert len(platform["changes"]["files"]) == 301


def test_platforms_of_one_side_only(scene: Scene) -> None:
    """An index is compared platform by platform; what only one side has is named, and is a difference."""
    layout = Layout(scene.folder / "index")
    empty = [_image(layout, architecture) for architecture in ("amd64", "arm64")]
    index = layout.add(layout.index(empty))
    single = layout.add(empty[0])
    ended = scene.attest(
        "image", "diff", f"oci:index@{index['digest']}", f"oci:index@{single['digest']}", "--exit-code"
    )
    assert ended.code == 1
    assert ended.out.splitlines()[2:] == ["linux/amd64  no difference", "linux/arm64  only in A"]


def _image(layout: Layout, architecture: str) -> dict[str, object]:
    """An image without layers for a platform, as an index lists it."""
    config = {"os": "linux", "architecture": architecture, "rootfs": {"type": "layers", "diff_ids": []}}
    described = layout.manifest(
        [], config=layout.blob(json.dumps(config).encode(), "application/vnd.oci.image.config.v1+json")
    )
    return {**described, "platform": {"os": "linux", "architecture": architecture}}


def test_what_cannot_be_read_is_told(scene: Scene) -> None:
    """Where packages of one side cannot be read that is said, with the side, and the images differ."""
    other = write_image(scene.folder / "broken", BASE, APP, BROKEN)
    ended = diff(scene, other, "--exit-code")
    assert ended.code == 1
    assert "  not read     B: packages in /var/lib/dpkg/status, layer 2: " in ended.out


@pytest.mark.parametrize(
    ("other", "code"),
    [("oci:absent@sha256:" + 64 * "0", 3), ("registry.example.org/app:tag", 2), ("docker-archive:", 2)],
)
def test_an_image_that_is_not_there(other: str, code: int, scene: Scene) -> None:
    """An image that cannot be read is undecided, a wrong reference a wrong command line; and nothing is compared."""
    ended = diff(scene, other, "--exit-code")
    assert (ended.code, ended.out) == (code, "")


def test_foreign_text_obeys_no_terminal(scene: Scene) -> None:
    """Build steps, paths and labels of either image reach no terminal and no runner as commands."""
    other = write_image(
        scene.folder / "other",
        BASE,
        ("RUN \x1b[2J\n::set-output name=x::y", [File("bin/\x1b]0;x\x07", b"", mode=0o755)]),
        config={"Labels": {"\u202ex": "::error::\n##[command]"}},
    )
    for arguments in ((scene.image, other), (other, scene.image)):
        for options in ((), ("--format", "json")):
            ended = scene.attest("image", "diff", *arguments, *options)
            assert ended.code == 0
            assert ended.out.replace("\n", "").isprintable()
            assert "##[" not in ended.out
            assert not any(line.lstrip().startswith("::") for line in ended.out.splitlines())
