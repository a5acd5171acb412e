"""The end of the story: what an auditor can see, with nothing but files, and what the history shows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final

from tests.pipeline.images import SERVICES
from tests.pipeline.steps_lanes import EVERY, PNG, pinned_images
from tests.pipeline.steps_shared import ENVIRONMENT, LANES, PROMOTE, Story, both, step

AUDIT: Final = "audit"
_LOOK: Final = Path(__file__).parents[1] / "e2e" / "service" / "look.py"


@step("An auditor, offline")
def auditor(story: Story) -> None:
    """Release 1 is promoted once more, into a folder with all its evidence; policies and keys are put beside it.

    On a machine without a network the auditor asks the same question, and sees who vouched for what. Then one byte
    of one signature is changed, and the folder is no answer any more. Where every digest is made to fit again, the
    lane is missing.
    """
    release = story.releases["1"]
    audit = story.machine.checkout / AUDIT
    story.command(f"mkdir {AUDIT} && cp --recursive policies keys {AUDIT}", code=0)
    story.command(
        f"attest promote --release {release.file} --policy {PROMOTE} --to oci:{AUDIT}/images \\\n"
        f"    --receipt-key $KEYS/gate.key --release-out {AUDIT}/release.yaml",
        code=0,
    )
    story.command(f"unshare --net attest verify --release {release.file} --policy {PROMOTE}", code=3)
    offline = f"cd {AUDIT} && unshare --net attest verify --release release.yaml --policy {PROMOTE}"
    said = story.command(offline, code=0)
    document = _verdict(story, code=0)
    story.check("the lanes of each image", _reasons(document), both(EVERY))
    story.check("the images", _digests(document), {service: release.digest(service) for service in SERVICES})
    for lane in LANES:
        signer = _evidence(document, lane)["signer"]
        story.check(f"who vouched for {lane}, by name", f"{lane:<11}  {signer}," in said, True)

    layout = audit / "images" / "backend"
    changed = _evidence(document, "contract")["digest"]
    blob = layout / "blobs" / "sha256" / changed.removeprefix("sha256:")
    good = blob.read_bytes()
    altered = _altered(good)
    differ = [number for number, (old, new) in enumerate(zip(good, altered, strict=True)) if old != new]
    story.check("bytes that were changed", len(differ), 1)
    place = blob.relative_to(audit)
    change = f"printf {chr(altered[differ[0]])} | dd of={AUDIT}/{place} bs=1 seek={differ[0]} conv=notrunc status=none"
    story.command(change, code=0)
    story.check("the change is there", blob.read_bytes() == altered, True)
    story.command(offline, code=3)

    blob.write_bytes(good)
    _forget(layout, changed)
    (audit / "altered.json").write_bytes(altered)
    story.tell("# the altered bundle is altered.json now, and nothing of the true one is left in index.json", [])
    image = f"oci:images/backend@{release.digest('backend')}"
    story.command(f"cd {AUDIT} && unshare --net attest attach altered.json {image}", code=0)
    story.command(offline, code=1)
    reasons = _reasons(_verdict(story, code=1))
    story.check("the lanes then", reasons, {"backend": {**EVERY, "contract": "not-found"}, "frontend": EVERY})
    shutil.rmtree(audit)


@step("What stays of it")
def history_page(story: Story) -> None:
    """The ledger has all of it: what ran, what was refused and why, what was rolled back, and who waived what.

    The chain is whole, and the signed head in the registry knows its end. The page is one file that loads nothing.
    """
    state = story.machine.state
    story.command(
        f"attest ledger verify sqlite:///{state}/staging.db --head $STAGING/ledger --key keys/deployer.pub", code=0
    )
    story.command(f"attest history {ENVIRONMENT} | tail --lines 5", code=0)
    page = story.artifacts / "history.html"
    story.command(f"attest history {ENVIRONMENT} --format html > $ARTIFACTS/{page.name}", code=0)
    seen = _look(story, page)
    story.check("the page's title", seen["title"], "staging: delivery history")
    story.check("what it loads", [Path(one).name for one in seen["asked"]], [page.name])
    story.check("scripts on it", seen["scripts"], 0)
    states = [one["state"] for one in story.ask("history", ENVIRONMENT)["entries"] if one["what"] == "delivery"]
    story.check("the deliveries on its time line", [mark.split()[-1] for mark in seen["marks"]], _marks(states))
    for state_ in ("rolled-back", "refused"):
        story.check(f"something was {state_}", state_ in states, True)
    text = seen["text"].lower()
    for words in ("503", "bad-release", "waived", "ops-4711", "alice", "bob"):
        story.check(f"the page says {words}", words in text, True)
    picture = story.artifacts / "history.png"
    story.check("the picture of it is one", picture.read_bytes()[:8], PNG)


def _look(story: Story, page: Path) -> dict[str, Any]:
    """Open a page in the browser of the e2e lane's own image; a picture of it is left beside it."""
    folder = story.machine.state / "look"
    folder.mkdir()
    shutil.copy(page, folder / page.name)
    shutil.copy(_LOOK, folder / "look.py")
    image = pinned_images(story)["E2E_IMAGE"]
    run = ("run", "--rm", "--volume", f"{folder}:/seen", "--entrypoint", '["python3"]', image)
    printed = story.machine.podman.run(*run, "/seen/look.py", f"/seen/{page.name}", "/seen")
    shutil.copy(folder / "light.png", page.with_suffix(".png"))
    seen: dict[str, Any] = json.loads(printed)["light"]
    shutil.rmtree(folder)
    return seen


def _marks(states: list[str]) -> list[str]:
    """How the time line marks the deliveries that ended so."""
    marks = {"rolled-back": "failed", "superseded": "succeeded"}
    return [marks.get(state, state) for state in states]


# ---- what an auditor has


def _verdict(story: Story, *, code: int) -> dict[str, Any]:
    where = story.machine.checkout / AUDIT
    return story.ask("verify", "--release", where / "release.yaml", "--policy", where / PROMOTE, code=code)


def _reasons(document: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {_service(image): {lane["lane"]: lane["reason"] for lane in image["lanes"]} for image in document["images"]}


def _digests(document: dict[str, Any]) -> dict[str, str]:
    return {_service(image): image["image"].rpartition("@")[2] for image in document["images"]}


def _service(image: dict[str, Any]) -> str:
    name: str = image["image"].partition("@")[0].rpartition("/")[2]
    return name


def _evidence(document: dict[str, Any], lane: str) -> dict[str, str]:
    """The evidence of a lane on the backend: its digest, its signer."""
    (image,) = [image for image in document["images"] if _service(image) == "backend"]
    (found,) = [one for one in image["lanes"] if one["lane"] == lane]
    evidence: dict[str, str] = found["evidence"][0]
    return evidence


def _altered(bundle: bytes) -> bytes:
    """The bundle with one digit of its signature changed, so that it still is base64."""
    at = bundle.index(b'"sig":"') + len(b'"sig":"') + 20
    other = b"A" if bundle[at : at + 1] != b"A" else b"B"
    return bundle[:at] + other + bundle[at + 1 :]


def _forget(layout: Path, bundle: str) -> None:
    """Take what has this bundle out of a layout's index, as somebody would who hides it."""
    file = layout / "index.json"
    index = json.loads(file.read_bytes())
    kept = []
    for entry in index["manifests"]:
        manifest = json.loads((layout / "blobs" / "sha256" / entry["digest"].removeprefix("sha256:")).read_bytes())
        if bundle not in [layer["digest"] for layer in manifest.get("layers", ())]:
            kept.append(entry)
    if len(kept) == len(index["manifests"]):
        raise ValueError(f"{layout} has no {bundle}")
    file.write_text(json.dumps({**index, "manifests": kept}))
