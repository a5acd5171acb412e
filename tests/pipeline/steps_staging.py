"""The part of the story that happens in staging: what runs there, and what brings it back."""

from __future__ import annotations

from tests.pipeline import changes
from tests.pipeline.images import SERVICES
from tests.pipeline.steps_lanes import EVERY
from tests.pipeline.steps_shared import ENVIRONMENT, LANES, PROMOTE, STAGING, Story, both, step


@step("A tag is moved by hand")
def moved_tag(story: Story) -> None:
    """Somebody who may write to staging's registry moves the tag of release 1 to the hot fix, which nothing has tested.

    Staging runs digests: nothing follows the tag, no command takes one, and the next promotion notices that it was
    taken.
    """
    old, new = story.releases["1"], story.releases["4"]
    tag = f"sha-{old.commit}-{old.digest('backend').removeprefix('sha256:')[:12]}"
    before = story.ask("status", ENVIRONMENT)["current"]["deployment"]
    copy = "skopeo copy --quiet"
    story.command(f"{copy} \\\n    docker://{new.images['backend']} docker://$STAGING/backend:{tag}", code=0)
    said = story.command(f"attest resolve $STAGING/backend:{tag}", code=0)
    story.check("the tag stands for the hot fix", said.strip().rpartition("@")[2], new.digest("backend"))
    story.command(f"attest status {ENVIRONMENT}", code=0)
    story.runs("1")
    story.command(f"attest reconcile {ENVIRONMENT} --actor ann", code=0)
    story.runs("1")
    frontend = f"$STAGING/frontend@{old.digest('frontend')}"
    story.command(f"attest deploy {ENVIRONMENT} $STAGING/backend:{tag} {frontend}", code=2)
    line = f"attest promote --release {old.file} --policy {PROMOTE} --to $STAGING"
    story.command(line, code=3)
    error = story.ask("promote", "--release", old.file, "--policy", PROMOTE, "--to", story.machine.staging, code=3)
    story.check("the error's code", error["error"], "tag-taken")
    after = story.ask("status", ENVIRONMENT)["current"]["deployment"]
    story.check("the delivery that staging stands at", after, before)


@step("A bad release that passes its tests")
def bad_release(story: Story) -> None:
    """Release 5 keeps a copy of the list beside its program.

    In the lanes it can; staging's root filesystem is read-only, and there its health check answers 503. It was
    verified, so it is deployed; it is not healthy, so what ran before runs again, confirmed by digest. The release
    is marked as bad, and automatic deployments wait for somebody.
    """
    changes.apply(story.machine.checkout, "bad-release")
    commit = story.commit("Keep a copy of the list beside the program")
    result = story.run(ends={**dict.fromkeys((*LANES, "promote"), "success"), "deploy": "failure"})
    release = story.release("5", commit, result)
    lanes = story.lanes(release.file, code=0)
    story.check("the lanes of each image", lanes, both(EVERY))
    story.check("the deployment says why", "answered 503" in result.log, True)
    story.command(f"attest status {ENVIRONMENT}", code=0)
    story.runs("1")
    rollback = story.delivery(kind="rollback", state="succeeded", healthy=True, trigger="automatic")
    entries = story.ask("history", ENVIRONMENT)["entries"]
    (undone,) = [one for one in entries if one.get("deployment") == rollback["reverts"]]
    story.check("what it undid", (undone["kind"], undone["state"]), ("deploy", "rolled-back"))
    digests = {name: image.rpartition("@")[2] for name, image in undone["release"]["services"].items()}
    story.check("which were the images of", digests, {service: release.digest(service) for service in SERVICES})
    line = f"attest deploy {ENVIRONMENT} --automatic --release {release.file} --actor pipeline"
    story.command(line, code=1)
    story.delivery(state="refused", cause="bad-release")
    story.runs("1")


@step("Break-glass")
def break_glass(story: Story) -> None:
    """The hot fix lacks the browser's lane alone, and its runner is down.

    Two people together may waive it, for exactly these images, for four hours; one alone may not. It runs, it is
    loud about how, and nothing ever goes back to it.
    """
    release = story.releases["4"]
    to = f"attest promote --release {release.file} --policy {STAGING} --to $STAGING"
    story.command(to, code=1)
    story.command(
        f"attest waive {ENVIRONMENT} --release {release.file} --lane e2e --lifetime 4h --ticket OPS-4711 \\\n"
        '    --reason "slow connections are cut off, and the browser runner is down" \\\n'
        "    --key $KEYS/alice.key --output waiver-alice.json",
        code=0,
    )
    alone = f"attest deploy {ENVIRONMENT} --release {release.file} --actor alice --waiver waiver-alice.json"
    story.command(f"{to} --environment {ENVIRONMENT} --actor alice --waiver waiver-alice.json", code=1)
    story.command(
        f"attest waive {ENVIRONMENT} --countersign waiver-alice.json --key $KEYS/bob.key --output waiver-bob.json",
        code=0,
    )
    both = "--waiver waiver-alice.json --waiver waiver-bob.json"
    story.command(f"{to} --environment {ENVIRONMENT} --actor alice \\\n    {both}", code=0)
    story.command(f"{alone} --waiver waiver-bob.json", code=0)
    story.runs("4")
    story.command(f"attest status {ENVIRONMENT}", code=0)
    delivery = story.delivery(kind="deploy", state="succeeded", healthy=True)
    story.check("its verdict", delivery["verdict"]["decision"], "waived")
    story.check("who waived", delivery["waived"]["signers"], ["alice", "bob"])
    lacking = {lane["lane"]: lane["reason"] for lane in delivery["verdict"]["images"][0]["lanes"]}
    story.check("the lanes, as the ledger has them", lacking, {**EVERY, "e2e": "not-found"})
    good = story.ask("status", ENVIRONMENT)["verified_good"]["release"]["services"]["backend"]
    story.check("what staging would go back to", good.rpartition("@")[2], story.releases["1"].digest("backend"))
    kinds = {one["what"] for one in story.ask("history", ENVIRONMENT)["entries"]}
    story.check("the ledger has the promotion by waiver", "waived" in kinds, True)
