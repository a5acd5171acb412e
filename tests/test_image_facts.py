"""Facts of images in real places: a layout, an archive of each kind, and real registries."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from attest.cli.imagesources import layer_readers, open_image
from attest.cli.stores import Connection, Stores
from attest.core.image.facts import ImageFacts, View
from attest.core.oci import Platform
from attest.core.reference import digest_of
from attest.errors import NotFound, ReferenceInvalid, StoreError, StoreMisbehaved, TagReference, UsageError
from attest.ops.facts import Progress, gather_facts
from tests.layerstacks import LAYER, File, folder, gzipped, tar, write_layout
from tests.parts import images
from tests.parts.find import require
from tests.parts.images import BuiltImage
from tests.parts.registry import Registry

LAYERS = [
    tar([folder("d"), File("d/a", b"1"), File("key", b"ghp_" + b"a1B2c3D4e5" * 4)]),
    tar([File(".wh.key"), File("d/b", b"2")]),
]


def facts(text: str, *, only: Sequence[Platform] = (), told: list[Progress] | None = None) -> ImageFacts:
    """The facts of an image that a command line names."""
    stores = Stores(Connection(timeout=60, plain_http=False, ca_file=None, token_hosts=()))
    with open_image(stores, text) as source:
        return gather_facts(
            source, layer_readers(), only=only, progress=(lambda _: None) if told is None else told.append
        )


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A layout of an image whose secret was deleted by its second layer."""
    blobs = [gzipped(layer) for layer in LAYERS]
    write_layout(
        tmp_path / "layout",
        LAYERS,
        blobs=blobs,
        media_types=[f"{LAYER}+gzip"] * 2,
        history=[{"created_by": "ADD files"}, {"created_by": "RUN rm key"}],
    )
    return tmp_path / "layout"


def test_a_deleted_secret_is_found(layout: Path) -> None:
    """A secret that a later layer deleted is told as shadowed, with the layer that has it and the one that hid it."""
    told: list[Progress] = []
    (found,) = facts(f"oci:{layout}:t", told=told).platforms
    (secret,) = found.secrets
    assert (secret.name, secret.layer, secret.view, secret.hidden_by) == ("/key", 0, View.SHADOWED, 1)
    assert [layer.created_by for layer in found.layers] == ["ADD files", "RUN rm key"]
    assert [file.path for file in found.files] == ["/d", "/d/a", "/d/b"]
    assert {(each.layer, each.layers) for each in told} == {(1, 2), (2, 2)}
    assert all(each.done <= each.size for each in told)


def test_the_same_facts_from_every_place(layout: Path, tmp_path: Path) -> None:
    """A layout and its archive have the same facts; a docker-archive has the same files under other digests."""
    subprocess.run(["tar", "-C", layout, "-cf", tmp_path / "oci.tar", "."], check=True)
    by_tag = facts(f"oci:{layout}:t")
    assert facts(f"oci:{layout}@{by_tag.digest}") == by_tag
    assert facts(f"oci-archive:{tmp_path}/oci.tar") == by_tag
    assert facts(f"oci-archive:{tmp_path}/oci.tar:t") == by_tag
    assert facts(f"oci-archive:{tmp_path}/oci.tar@{by_tag.digest}") == by_tag


@pytest.mark.parts
def test_what_skopeo_writes_as_docker_save_does(layout: Path, tmp_path: Path) -> None:
    """A docker-archive that skopeo wrote has the files, secrets and build steps of the layout that it came from."""
    target = tmp_path / "docker.tar"
    subprocess.run(
        [require("skopeo"), "copy", "--quiet", f"oci:{layout}:t", f"docker-archive:{target}:app:1"], check=True
    )
    (expected,) = facts(f"oci:{layout}:t").platforms
    for name in (f"docker-archive:{target}", f"docker-archive:{target}:docker.io/library/app:1"):
        (found,) = facts(name).platforms
        assert (found.files, found.shadowed, found.secrets) == (expected.files, expected.shadowed, expected.secrets)
        assert [layer.diff_id for layer in found.layers] == [layer.diff_id for layer in expected.layers]


@pytest.mark.slow
def test_names_of_no_image(layout: Path) -> None:
    """A tag of a registry, an archive without a path, and a layout without the image are refused."""
    for text, error in (
        ("oci-archive:", ReferenceInvalid),
        ("docker-archive:@sha256:" + "0" * 64, ReferenceInvalid),
        (f"oci:{layout}@sha256:{'0' * 64}", NotFound),
        ("127.0.0.1:1/app:tag", TagReference),
    ):
        with pytest.raises(error):
            facts(text)


def rewritten(layout: Path, change: dict[str, Any]) -> str:
    """The reference of an image in the layout whose manifest has other members."""
    index = json.loads((layout / "index.json").read_text())
    blobs = layout / "blobs" / "sha256"
    manifest = json.loads((blobs / index["manifests"][0]["digest"].removeprefix("sha256:")).read_text())
    content = json.dumps({**manifest, **change}).encode()
    (blobs / digest_of(content).removeprefix("sha256:")).write_bytes(content)
    index["manifests"][0] |= {"digest": digest_of(content), "size": len(content)}
    (layout / "index.json").write_text(json.dumps(index))
    return f"oci:{layout}@{digest_of(content)}"


def test_layers_that_the_configuration_does_not_know(layout: Path) -> None:
    """A manifest with fewer layers than its configuration, or in another order, is refused."""
    manifest = json.loads((layout / "blobs" / "sha256" / facts(f"oci:{layout}:t").digest[7:]).read_text())
    with pytest.raises(StoreMisbehaved, match="names 2 layers, and the manifest 1"):
        facts(rewritten(layout, {"layers": manifest["layers"][:1]}))
    with pytest.raises(StoreMisbehaved, match="its configuration names"):
        facts(rewritten(layout, {"layers": manifest["layers"][::-1]}))


def test_a_platform_that_is_not_there(layout: Path) -> None:
    """Asking for a platform that the image does not have is an error, not an empty answer."""
    amd, arm = Platform(os="linux", architecture="amd64"), Platform(os="linux", architecture="arm64")
    assert len(facts(f"oci:{layout}:t", only=[amd]).platforms) == 1
    with pytest.raises(UsageError, match="linux/arm64"):
        facts(f"oci:{layout}:t", only=[amd, arm])


@pytest.mark.parts
def test_every_platform_of_an_index(index_image: BuiltImage) -> None:
    """Each runnable image of an index has facts of its own, under its platform."""
    found = facts(index_image.reference)
    assert [(str(each.platform), each.manifest) for each in found.platforms] == list(index_image.by_platform.items())
    assert sorted(index_image.by_platform) == ["linux/amd64", "linux/arm64"]


@pytest.mark.parts
@pytest.mark.parametrize("kind", ["docker_registry", "olareg", "gitea"])
def test_large_layers_of_real_registries(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A layer of several ranges comes whole from each registry, and its facts are those of the layout."""
    registry: Registry = request.getfixturevalue(kind)
    layer = tar([File("noise", os.urandom(20_000_000)), File("last", b"x")])
    written = write_layout(tmp_path / "layout", [layer])
    content = (written.layout / "blobs" / "sha256" / written.digest.removeprefix("sha256:")).read_bytes()
    image = BuiltImage(layout=written.layout, tag="t", digest=written.digest, manifest=content)
    pushed = images.push(image, registry)
    stores = Stores(
        Connection(
            timeout=120,
            plain_http=False,
            ca_file=None if registry.ca_file is None else str(registry.ca_file),
            token_hosts=(),
        )
    )
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("DOCKER_CONFIG", str(registry.docker_config_dir))
        with open_image(stores, pushed.reference) as source:
            found = gather_facts(source, layer_readers())
    assert found == facts(written.reference)


@pytest.mark.parametrize("trick", ["a link", "a pipe", "a folder", "nothing", "other bytes"])
def test_a_blob_that_is_no_file(layout: Path, trick: str) -> None:
    """A layer that is a link, a pipe, a folder, absent or other bytes ends in an error of ours, and nothing hangs."""
    digest = facts(f"oci:{layout}:t").platforms[0].layers[1].digest
    blob = layout / "blobs" / "sha256" / digest.removeprefix("sha256:")
    content = blob.read_bytes()
    blob.unlink()
    match trick:
        case "a link":
            (layout / "elsewhere").write_bytes(content)
            blob.symlink_to(layout / "elsewhere")
        case "a pipe":
            os.mkfifo(blob)
        case "a folder":
            blob.mkdir()
        case "other bytes":
            blob.write_bytes(b"\0" * len(content))
        case _:
            pass
    with pytest.raises(StoreError):
        facts(f"oci:{layout}:t")
