"""The contracts of `policies/contracts` on real images: each check, drift from a lock, and the lane at the gate.

The images are those of `tests/parts/kinds`. What is wrong in a bad twin is said by the Containerfile that makes it, and
which layer that is follows from its instructions; what is in a layer is read with tarfile here. So nothing of attest
decides what is expected.
"""

from __future__ import annotations

import fnmatch
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from attest.core.contract.table import CHECKS
from tests.cli.running import Ended, attest
from tests.cli.scene import Scene, policy_text
from tests.e2e.gate import registry_options
from tests.parts.containers import Podman
from tests.parts.images import BuiltImage
from tests.parts.once import make_once, shared_folder
from tests.parts.process import free_port
from tests.parts.registry import Registry
from tests.parts.twins import Kind, Twins, faults, push_twin
from tests.parts.web import request as ask
from tests.project import ROOT

pytestmark = [pytest.mark.parts, pytest.mark.slow]

TEMPLATES: Final = ROOT / "policies" / "contracts"
WITHOUT_LAYER: Final = frozenset({"account.empty_password", "account.duplicate_id"})
"""Checks of a whole file, /etc/passwd with /etc/shadow or /etc/group: they name no layer."""
OTHERS: Final = ("build", "integration")
"""The other lanes of the gate here."""


def template(kind: Kind) -> Path:
    """The contract of a kind."""
    return TEMPLATES / f"{kind.value}.yaml"


# ---- what the files of an image say, without attest


def config_of(image: BuiltImage) -> dict[str, Any]:
    """The configuration of an image, as it is stored."""
    digest = json.loads(image.manifest)["config"]["digest"]
    found = json.loads(blob(image, digest).read_bytes())
    assert isinstance(found, dict)
    return found


def blob(image: BuiltImage, digest: str) -> Path:
    """A blob of the image's layout."""
    return image.layout / "blobs" / "sha256" / digest.removeprefix("sha256:")


def layers_of(image: BuiltImage) -> list[dict[str, Any]]:
    """Position, digest and build step of each layer."""
    steps = [step["created_by"] for step in config_of(image)["history"] if not step.get("empty_layer")]
    digests = [layer["digest"] for layer in json.loads(image.manifest)["layers"]]
    return [
        {"position": position, "digest": digest, "created_by": step}
        for position, (digest, step) in enumerate(zip(digests, steps, strict=True))
    ]


def content_of(image: BuiltImage, layer: int, path: str) -> bytes:
    """A file, as the archive of one layer has it."""
    with tarfile.open(blob(image, layers_of(image)[layer]["digest"])) as archive:
        member = archive.extractfile(path.removeprefix("/"))
        assert member is not None
        return member.read()


# ---- every check


def checked(twins: Twins, image: BuiltImage, lock: Path, *options: object) -> Ended:
    """`attest image check` of an image under the contract of its kind, with all that it can be compared with."""
    against = ("--lock", lock, "--baseline", twins.base.reference, "--ci-image", twins.ci.reference)
    return attest(
        *("image", "check", image.reference, "--contract", template(twins.kind), *against),
        *("--format", "json", *options),
        cwd=lock.parent,
    )


def locked(twins: Twins, folder: Path) -> Path:
    """A lock of the good image."""
    made = folder / "contract.lock.json"
    ended = attest(
        *("image", "lock", twins.good.reference, "--contract", template(twins.kind)),
        *("--baseline", twins.base.reference, "--output", made),
        cwd=folder,
    )
    assert ended.code == 0, ended.err
    return made


def write_reports(twins: Twins, folder: Path) -> None:
    """What the checks say of both images, and how they end."""
    folder.mkdir()
    lock = locked(twins, folder)
    for name, image in (("good", twins.good), ("bad", twins.bad)):
        ended = checked(twins, image, lock)
        assert ended.raw, ended.err
        (folder / f"{name}.json").write_text(json.dumps({"code": ended.code, **ended.document}))


@pytest.fixture
def reports(twins: Twins, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The reports of the good image and of its bad twin."""
    shared = shared_folder(tmp_path_factory)
    folder = make_once(shared, f"contract-{twins.kind.value}", lambda target: write_reports(twins, target))
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in ("good", "bad")}


def of_check(report: dict[str, Any], check: str) -> Iterator[dict[str, Any]]:
    """The results of a check."""
    return (result for result in report["results"] if result["check"] == check)


@pytest.mark.parametrize("check", [check.id for check in CHECKS])
def test_a_check_passes_on_the_good_image_and_fails_on_its_bad_twin(
    check: str, twins: Twins, reports: dict[str, Any]
) -> None:
    """Each check of the table finds nothing in the good image, and in the bad one what was done there and no more."""
    assert [(result["outcome"], result["findings"]) for result in of_check(reports["good"], check)] == [("passed", [])]
    (failed,) = of_check(reports["bad"], check)
    assert failed["outcome"] == "failed"
    layers = layers_of(twins.bad)
    if check == "lock.drift":
        assert all(found["layer"] in [None, *layers] for found in failed["findings"])
        return
    expected = [fault for fault in faults(twins.kind) if fault.check == check]
    assert len(failed["findings"]) == len(expected) > 0
    for fault in expected:
        (found,) = [each for each in failed["findings"] if fnmatch.fnmatchcase(each["place"], fault.place)]
        named = None if fault.layer is None or check in WITHOUT_LAYER else layers[fault.layer]
        assert (found["standing"], found["layer"]) == ("violation", named)


def test_the_reports_as_a_whole(twins: Twins, reports: dict[str, Any]) -> None:
    """The good image passes with exit code 0, the bad one fails with 1; nothing is undecided, and no secret shown."""
    assert (reports["good"]["code"], reports["good"]["verdict"]) == (0, "PASSED")
    assert (reports["bad"]["code"], reports["bad"]["verdict"]) == (1, "FAILED")
    assert reports["good"]["digest"] == twins.good.digest
    assert reports["bad"]["digest"] == twins.bad.digest
    assert all(result["outcome"] == "failed" for result in reports["bad"]["results"])
    assert twins.password not in json.dumps(reports)
    assert any(twins.password in variable for variable in config_of(twins.bad)["config"]["Env"])


def test_layers_that_a_ci_image_shares(twins: Twins, reports: dict[str, Any]) -> None:
    """A CI image on top of the runtime image may share all of it; of the bad one, the layer with the tool is a leak."""
    assert {layer["shared_as"] for layer in reports["good"]["shared_layers"]} == {"runtime"}
    assert len(reports["good"]["shared_layers"]) == len(layers_of(twins.good))
    (leak,) = reports["bad"]["shared_layers"]
    (fault,) = [fault for fault in faults(twins.kind) if fault.check == "ci.overlap"]
    assert fault.layer is not None
    assert leak["shared_as"] == "leak"
    assert leak["runtime"]["layer"] == layers_of(twins.bad)[fault.layer]
    assert leak["ci"]["layer"] == layers_of(twins.ci)[-1]
    tools = [
        found
        for result in of_check(reports["bad"], "package.forbidden")
        for found in result["findings"]
        if found["layer"] == leak["runtime"]["layer"]
    ]
    assert tools, "the test tool is named in the layer that leaks"


# ---- what is in layers and not in a container


@pytest.fixture
def bad_facts(twins: Twins, tmp_path: Path) -> dict[str, Any]:
    """What is known of the bad image."""
    ended = attest("image", "facts", twins.bad.reference, "--format", "json", cwd=tmp_path)
    assert ended.code == 0, ended.err
    (platform,) = ended.document["platforms"]
    assert isinstance(platform, dict)
    return platform


def test_a_deleted_secret_is_found(twins: Twins, bad_facts: dict[str, Any]) -> None:
    """A secret that the last step deleted is in its layer for everybody, and is told with both layers."""
    (fault,) = [fault for fault in faults(twins.kind) if fault.check == "file.secret"]
    assert fault.layer is not None
    assert content_of(twins.bad, fault.layer, fault.place)
    last = len(layers_of(twins.bad)) - 1
    assert fault.place not in {file["path"] for file in bad_facts["files"]}
    (secret,) = [secret for secret in bad_facts["secrets"] if secret["place"] == "file"]
    assert (secret["name"], secret["layer"], secret["view"], secret["hidden_by"]) == (
        fault.place,
        fault.layer,
        "shadowed",
        last,
    )


def test_rights_in_an_attribute_are_found(twins: Twins, bad_facts: dict[str, Any]) -> None:
    """A program that has a capability by its extended attribute alone, or a set-uid bit, is told with its layer."""
    (fault,) = [fault for fault in faults(twins.kind) if fault.check == "file.setid"]
    (file,) = [file for file in bad_facts["files"] if file["path"] == fault.place]
    rights = {Kind.NODE_STATIC: ("4755", None)}.get(twins.kind, ("0755", "cap_net_raw=ep"))
    assert (file["mode"], file["capabilities"], file["layer"]) == (*rights, fault.layer)


@pytest.mark.parametrize("twins", [Kind.PYTHON_WEB, Kind.NODE_STATIC], indirect=True, ids=lambda kind: kind.value)
def test_a_removed_package_is_shadowed(twins: Twins, bad_facts: dict[str, Any]) -> None:
    """A package that the last step removed is told as shadowed, with the layer that has it and the one that hid it."""
    removed = "pkg:npm/typescript@5.4.2" if twins.kind is Kind.NODE_STATIC else "pkg:pypi/pip@23.0.1"
    (fault,) = [fault for fault in faults(twins.kind) if fault.place == removed]
    (package,) = [package for package in bad_facts["packages"] if package["purl"] == removed]
    last = len(layers_of(twins.bad)) - 1
    assert (package["view"], package["layer"], package["hidden_by"]) == ("shadowed", fault.layer, last)
    effective = {package["purl"] for package in bad_facts["packages"] if package["view"] == "effective"}
    assert removed not in effective


# ---- drift


def test_one_more_package_is_drift(twins: Twins, tmp_path: Path) -> None:
    """Locked, and rebuilt with one more package: its name, version, layer and build step are told."""
    lock = locked(twins, tmp_path)
    arguments = ("--contract", template(twins.kind), "--output", lock, "--check", "--format", "json")
    same = attest("image", "lock", twins.good.reference, *arguments, cwd=tmp_path)
    assert (same.code, same.document["drift"]) == (0, [])
    ended = attest("image", "lock", twins.grown.reference, *arguments, cwd=tmp_path)
    assert ended.code == 1
    (drift,) = [drift for drift in ended.document["drift"] if drift["part"] == "packages"]
    last = layers_of(twins.grown)[-1]
    assert drift["kind"] == "added"
    assert drift["package"]["name"] == "six"
    version = content_of(twins.grown, last["position"], "app/site-packages/six.py").decode()
    assert f'__version__ = "{drift["package"]["after"]}"' in version
    assert drift["origin"] == {
        "layer": last["position"],
        "digest": last["digest"],
        "created_by": last["created_by"],
    }
    (failed,) = of_check(checked(twins, twins.grown, lock).document, "lock.drift")
    assert (failed["outcome"], [found["layer"] for found in failed["findings"]]) == ("failed", [last])


# ---- the lane


@pytest.mark.parametrize("twins", [Kind.STATIC_BINARY], indirect=True, ids=lambda kind: kind.value)
def test_the_contract_lane_gates(twins: Twins, any_registry: Registry, tmp_path: Path) -> None:
    """With the contract lane missing, failed, or signed for another digest the gate refuses; passed, it opens."""
    lock = locked(twins, tmp_path)
    scenes = {
        name: Scene(
            folder=tmp_path,
            image=pushed.reference,
            repository=None,
            options=registry_options(any_registry),
            environment={"DOCKER_CONFIG": str(any_registry.docker_config_dir)},
        )
        for name, image in (("good", twins.good), ("bad", twins.bad), ("grown", twins.grown))
        if (pushed := push_twin(image, any_registry))
    }
    good, bad, grown = scenes["good"], scenes["bad"], scenes["grown"]
    good.make_keys("contract", *OTHERS)
    repositories = sorted({scene.image.partition("@")[0] for scene in scenes.values()})
    good.write_policy(policy_text(("contract", *OTHERS), images=repositories))
    for scene in scenes.values():
        for lane in OTHERS:
            scene.sign(lane)
        missing = scene.verify("--format", "json")
        assert (missing.code, states(missing)) == (
            1,
            {"contract": "missing", "build": "present", "integration": "present"},
        )

    def sign(scene: Scene, *options: object) -> Ended:
        against = ("--lock", lock, "--baseline", twins.base.reference, "--ci-image", twins.ci.reference)
        arguments = scene.sign_arguments("contract", *options)
        own = arguments[arguments.index("--lane") : arguments.index("--result")]
        return scene.attest(
            *("image", "check", scene.image, "--contract", template(twins.kind), *against),
            *("--sign", *own, *scene.options, *options),
        )

    passed = sign(good, "--output", "passed.json")
    assert passed.code == 0, passed.err
    opened = good.verify("--format", "json")
    assert (opened.code, states(opened)["contract"]) == (0, "present")

    assert sign(bad).code == 1
    failed = bad.verify("--format", "json")
    assert (failed.code, states(failed)["contract"]) == (1, "failed")

    # The bundle says which image it is about, wherever it hangs.
    assert grown.attest("attach", "passed.json", grown.image, *grown.options).code == 0
    elsewhere = grown.verify("--format", "json")
    assert (elsewhere.code, states(elsewhere)["contract"]) == (1, "missing")
    (lane,) = [lane for lane in elsewhere.document["images"][0]["lanes"] if lane["lane"] == "contract"]
    assert lane["reason"] == "subject-differs"


def states(ended: Ended) -> dict[str, str]:
    """How each lane of the one image stands."""
    (image,) = ended.document["images"]
    return {lane["lane"]: lane["state"] for lane in image["lanes"]}


# ---- and they are no mock-ups


def test_the_good_images_serve(twins: Twins, podman: Podman) -> None:
    """Each good image runs as its user on a read-only root and answers; without a shell its health check says so."""
    podman.run("pull", "--quiet", f"dir:{twins.good.layout.parent / 'dir'}")
    digest = json.loads(twins.good.manifest)["config"]["digest"].removeprefix("sha256:")
    config = config_of(twins.good)["config"]
    port = free_port()
    name = f"twin-{twins.kind.value}-{port}"
    podman.run("run", "--detach", "--pull", "never", "--read-only", "--name", name, digest, str(port))
    try:
        answer = None
        for _ in range(200):
            try:
                answer = ask("GET", f"http://127.0.0.1:{port}/")
                break
            except OSError:
                time.sleep(0.05)
        assert answer is not None, podman.run("logs", name).decode(errors="replace")
        assert answer.status == 200
        assert b"Playlist" in answer.body
        if twins.kind is not Kind.PYTHON_WEB:
            (_, program, _) = config["Healthcheck"]["Test"]
            podman.run("exec", name, program, str(port))
    finally:
        podman.remove(name)


def test_the_templates_ask_for_every_check() -> None:
    """No check of the table is forgotten, in a template or in what a bad twin breaks; `lock.drift` is seen beside."""
    for kind in Kind:
        asked = {line.partition(":")[0] for line in template(kind).read_text().splitlines()}
        assert {check.id for check in CHECKS} <= asked
        broken = {fault.check for fault in faults(kind)}
        assert broken == {check.id for check in CHECKS} - {"lock.drift"}
