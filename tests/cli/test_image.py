"""`attest image facts`: a summary for people, everything as JSON, and what cannot be read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from attest.core.image.factsdocument import facts_schema, read_facts
from tests.cli.scene import Scene
from tests.project import ROOT


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A folder with the sample image in a layout."""
    printed = subprocess.run(
        [sys.executable, ROOT / "examples" / "sample_image.py", "image"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    return Scene(folder=tmp_path, image=printed.stdout.strip())


def test_json_is_the_published_document(scene: Scene) -> None:
    """JSON is alone on standard output, obeys the schema, and reads back as facts of the image that was asked for."""
    ended = scene.attest("image", "facts", scene.image, "--format", "json")
    assert (ended.code, ended.err) == (0, "")
    jsonschema.validate(ended.document, facts_schema())
    facts = read_facts(json.loads(ended.raw))
    assert facts.digest == scene.digest
    (platform,) = facts.platforms
    assert f"  {platform.platform}  {platform.manifest}" in scene.attest("image", "facts", scene.image).out


def test_people_get_a_summary(scene: Scene) -> None:
    """The summary names the image, and how it starts, how large it is and what it holds."""
    ended = scene.attest("image", "facts", scene.image)
    assert ended.code == 0
    assert ended.out.splitlines()[0] == scene.image
    words = [line.split()[0] for line in ended.out.splitlines()[2:]]
    assert words[:7] == ["user", "starts", "layers", "size", "files", "packages", "executables"]


def test_a_layout_with_one_image_needs_no_digest(scene: Scene) -> None:
    """A layout with one image needs no digest: it is a folder of this machine, and nothing is decided here."""
    assert scene.attest("image", "facts", "oci:image").code == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("oci:absent@sha256:" + 64 * "0",), 3),
        (("docker-archive:absent.tar",), 3),
        (("oci-archive:",), 2),
        (("IMAGE", "--platform", "linux"), 2),
        (("IMAGE", "--platform", "plan9/vax"), 2),
    ],
)
def test_what_cannot_be_read_is_an_error(arguments: tuple[str, ...], code: int, scene: Scene) -> None:
    """An image that is not there is undecided, a wrong reference or platform is a wrong command line; no facts."""
    given = [scene.image if one == "IMAGE" else one for one in arguments]
    ended = scene.attest("image", "facts", *given)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("error: ")


def test_a_damaged_layer_gives_no_facts(scene: Scene) -> None:
    """A layer whose bytes are not those of its digest ends the reading: undecided, and nothing is printed."""
    blobs = scene.folder / "image" / "blobs" / "sha256"
    manifest = json.loads((blobs / scene.digest.removeprefix("sha256:")).read_bytes())
    layer = blobs / manifest["layers"][0]["digest"].removeprefix("sha256:")
    content = layer.read_bytes()
    layer.chmod(0o644)
    layer.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    ended = scene.attest("image", "facts", scene.image)
    assert (ended.code, ended.out) == (3, "")
