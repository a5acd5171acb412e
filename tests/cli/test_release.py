"""`attest release`, and `--release FILE` wherever images are taken."""

from __future__ import annotations

import subprocess
from pathlib import Path

import jsonschema
import pytest

from tests.cli.running import Ended, spawn
from tests.cli.scene import COMMIT, CONTEXT, SOURCE, TEST_RESULT, Scene, policy_text
from tests.registry.faults import FaultyRegistry

BACKEND = "registry.example.org/plex/backend"
FRONTEND = "registry.example.org/plex/frontend"
OTHER_COMMIT = "b" * 40
RULES = {
    "unit": f"{{predicate-type: {TEST_RESULT}, signer: unit}}",
    "e2e": f"{{predicate-type: {TEST_RESULT}, signer: e2e, joint: true}}",
}


@pytest.fixture
def pair(tmp_path: Path) -> Scene:
    """A backend and a frontend in layouts, the keys of two lanes, and a policy with a joint one."""
    made = Scene(folder=tmp_path, repository=None)
    made.make_keys("unit", "e2e")
    made.make_image("frontend", "a frontend")
    made.others = (made.image,)
    made.make_image("backend", "a backend")
    made.write_policy(policy_text(RULES, images=[BACKEND, FRONTEND]))
    return made


def create_arguments(scene: Scene, *options: object, commit: str = COMMIT) -> list[object]:
    """The arguments that make the release of the scene's two images."""
    return [
        *("release", "create", "--service", f"backend={scene.image}", "--service", f"frontend={scene.others[0]}"),
        *("--repository", BACKEND, "--repository", FRONTEND, "--commit", commit),
        *options,
    ]


def create(scene: Scene, *options: object, commit: str = COMMIT) -> Ended:
    """Make the release file of the two images: release.yaml, unless `options` say where."""
    options = options or ("--output", "release.yaml")
    ended = scene.attest(*create_arguments(scene, *options, commit=commit))
    assert ended.code == 0, ended.err
    return ended


def sign(scene: Scene, lane: str, *options: object) -> Ended:
    """A lane signs about the release."""
    what = ("--lane", lane, "--key", f"keys/{lane}.key", "--result", "passed", "--run-id", "1")
    return scene.attest("sign", "--release", "release.yaml", *what, *(options or CONTEXT))


# ---- create


def test_a_release_file_says_what_was_named(pair: Scene) -> None:
    """The file has each service with its image by digest, and the commit; it is valid, and says the same in JSON."""
    said = create(pair)
    assert said.raw == b""
    assert said.err == f"release.yaml: 2 images of commit {COMMIT}\n"
    checked = pair.attest("release", "check", "release.yaml", "--format", "json").document
    assert (checked["schema"], checked["commit"]) == ("attest.release/v1", COMMIT)
    digests = [pair.digest, pair.others[0].rpartition("@")[2]]
    assert [(name, one["repository"], one["digest"]) for name, one in checked["services"].items()] == [
        ("backend", BACKEND, digests[0]),
        ("frontend", FRONTEND, digests[1]),
    ]
    schema = pair.attest("release", "schema").document
    assert schema["$id"].endswith("release-v1.json")
    jsonschema.Draft202012Validator.check_schema(schema)


def test_check_says_what_to_run_next(pair: Scene) -> None:
    """For people it names commit, services and images, and the two commands that take the file."""
    create(pair)
    ended = pair.attest("release", "check", "release.yaml")
    assert ended.code == 0
    lines = ended.out.splitlines()
    assert lines[0] == "release.yaml is a valid release."
    assert f"commit    {COMMIT}" in lines
    assert f"  backend   oci:./backend@{pair.digest}" in lines
    assert f"            stands for {BACKEND}" in lines
    assert "  attest verify --release release.yaml --policy FILE" in lines


def test_without_output_the_file_is_standard_output(pair: Scene) -> None:
    """What is printed is the file itself, which is then read from standard input."""
    printed = pair.attest(*create_arguments(pair))
    create(pair)
    assert printed.raw == (pair.folder / "release.yaml").read_bytes()
    for lane in RULES:
        assert sign(pair, lane).code == 0
    verified = spawn(*("verify", "--release", "-", "--policy", "policy.yaml"), cwd=pair.folder, stdin=printed.raw)
    assert verified.code == 0


def test_the_same_release_is_the_same_file(pair: Scene) -> None:
    """Services named in another order make the same bytes, and a file that says this already is left alone."""
    create(pair)
    path = pair.folder / "release.yaml"
    before = path.stat()
    again = create(pair)
    assert again.err == "release.yaml says this already\n"
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    pair.image, pair.others = pair.others[0], (pair.image,)
    swapped = [
        *("release", "create", "--service", f"frontend={pair.image}", "--service", f"backend={pair.others[0]}"),
        *("--repository", FRONTEND, "--repository", BACKEND, "--commit", COMMIT),
    ]
    assert pair.attest(*swapped).raw == path.read_bytes()


def test_a_file_that_says_something_else_is_kept(pair: Scene) -> None:
    """Another release is not written over a file, whatever it holds, unless --force is given."""
    create(pair)
    path = pair.folder / "release.yaml"
    for content in (path.read_bytes(), b"# a note\n", b""):
        path.write_bytes(content)
        ended = pair.attest(*create_arguments(pair, "--output", "release.yaml", commit=OTHER_COMMIT))
        assert ended.code == 2
        assert ended.err.splitlines() == [
            "error: release.yaml is there and says something else",
            "hint: give --force to overwrite it, or another --output",
        ]
        assert path.read_bytes() == content
    create(pair, "--output", "release.yaml", "--force", commit=OTHER_COMMIT)
    assert OTHER_COMMIT in path.read_text()


def test_a_file_too_large_to_compare_is_kept(pair: Scene) -> None:
    """What cannot be compared is not overwritten."""
    path = pair.folder / "release.yaml"
    path.write_bytes(b"#" * 300_000)
    ended = pair.attest(*create_arguments(pair, "--output", "release.yaml"))
    assert ended.code == 2
    assert "more than 262144 bytes, and so is not overwritten" in ended.err
    assert path.stat().st_size == 300_000


def test_paths_of_layouts_hold_from_the_file_on(pair: Scene) -> None:
    """A file in another folder names the layouts from that folder on, and commands run anywhere find them."""
    (pair.folder / "releases").mkdir()
    create(pair, "--output", "releases/one.yaml")
    text = (pair.folder / "releases" / "one.yaml").read_text()
    assert f"image: oci:../backend@{pair.digest}\n" in text
    (pair.folder / "elsewhere").mkdir()
    what = ("--lane", "unit", "--key", "../keys/unit.key", "--result", "passed", *CONTEXT)
    elsewhere = Scene(folder=pair.folder / "elsewhere")
    ended = elsewhere.attest("sign", "--release", "../releases/one.yaml", *what)
    assert ended.code == 0, ended.err


def test_the_commit_is_found_in_the_checkout(pair: Scene) -> None:
    """Without --commit it is that of git, said with its origin; changes that are in no commit are said."""
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@example.org")
    (pair.folder / "file").write_text("one")
    for step in ("init -q", "add file", "commit -q -m one"):
        subprocess.run([*git, *step.split()], cwd=pair.folder, check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], cwd=pair.folder, check=True, capture_output=True, text=True)
    arguments = [one for one in create_arguments(pair) if one not in {"--commit", COMMIT}]
    ended = pair.attest(*arguments)
    assert head.stdout.strip() in ended.out
    assert f"{head.stdout.strip()}  (git HEAD)" in ended.err
    assert "differ" not in ended.err
    (pair.folder / "file").write_text("two")
    assert "tracked files differ from the commit" in pair.attest(*arguments).err


@pytest.mark.parametrize(
    ("services", "said"),
    [
        (("backend",), "'backend' names no service"),
        (("backend=",), "'backend=' names no service"),
        (("Back=IMAGE",), "'Back=IMAGE' names no service"),
        (("backend=IMAGE", "backend=OTHER"), "the service backend is named twice"),
        (("backend=NAMED", "web=IMAGE"), "IMAGE is named twice"),
        (("backend=oci:backend:v1",), "oci:backend:v1 is a tag"),
        (("backend=nowhere",), "'nowhere' names no registry"),
    ],
)
def test_a_service_that_cannot_be_meant_is_refused(services: tuple[str, ...], said: str, pair: Scene) -> None:
    """A service without a name or an image, twice, by tag, or with the image of another one ends with 2."""
    images = {"IMAGE": pair.image, "OTHER": pair.others[0], "NAMED": pair.image}
    options: list[str] = []
    for service in services:
        name, equals, image = service.partition("=")
        if name != "Back":
            service = name + equals + images.get(image, image)  # noqa: PLW2901 - the marker becomes the image
        options += ["--service", service]
    repositories = [part for _ in services for part in ("--repository", BACKEND)]
    ended = pair.attest("release", "create", *options, *repositories, "--commit", COMMIT)
    assert (ended.code, ended.raw) == (2, b"")
    assert said.replace("IMAGE is", f"{pair.image} is") in ended.err


def test_the_same_bytes_elsewhere_are_the_same_image(pair: Scene) -> None:
    """A copy of an image is no second image of the release."""
    copy = pair.copy_layout("copy", "backend")
    options = ("--service", f"backend={pair.image}", "--service", f"web={copy}")
    repositories = ("--repository", BACKEND, "--repository", FRONTEND)
    ended = pair.attest("release", "create", *options, *repositories, "--commit", COMMIT)
    assert ended.code == 2
    assert f"web has the same image as backend: {pair.digest}" in ended.err


def test_an_image_of_a_layout_needs_its_repository(pair: Scene) -> None:
    """Policies compare repositories, so a release file says which one a layout's image stands for."""
    ended = pair.attest("release", "create", "--service", f"backend={pair.image}", "--commit", COMMIT)
    assert ended.code == 2
    assert f"nothing says which repository backend ({pair.image}) stands for" in ended.err


def test_a_tag_is_refused_with_the_digest_of_this_moment(pair: Scene) -> None:
    """A tag in a registry ends with 2, and the hint is the reference to use."""
    with FaultyRegistry().running() as registry:
        image = registry.add_image()
        ended = pair.attest("release", "create", "--service", f"a={image.repository}:v1", "--commit", COMMIT)
        assert ended.code == 2
        assert ended.err.endswith(f"hint: it stands for this now: {image}\n")
        absent = f"{image.repository}@sha256:{'0' * 64}"
        gone = pair.attest("release", "create", "--service", f"a={absent}", "--commit", COMMIT, "--output", "r.yaml")
        assert gone.code == 3
        assert not (pair.folder / "r.yaml").exists()
        made = pair.attest("release", "create", "--service", f"a={image}", "--commit", COMMIT)
        assert made.code == 0
        assert f"{image}" in made.out


# ---- --release


def test_a_release_passes_on_what_lanes_signed_about_it(pair: Scene) -> None:
    """Sign and verify take the images of the file: one statement about both, attached to both."""
    create(pair)
    assert pair.attest("verify", "--release", "release.yaml", "--policy", "policy.yaml").code == 1
    for lane in RULES:
        ended = sign(pair, lane, *CONTEXT, "--format", "json")
        assert ended.code == 0, ended.err
        assert len(ended.document["attached"]) == 2
    assert pair.attest("verify", "--release", "release.yaml", "--policy", "policy.yaml").code == 0


def test_attach_takes_the_images_of_a_release(pair: Scene) -> None:
    """A bundle that was only written is attached to every image of the file."""
    create(pair)
    for lane in RULES:
        assert sign(pair, lane, *CONTEXT, "--no-push", "--output", f"{lane}.json").code == 0
    assert pair.attest("verify", "--release", "release.yaml", "--policy", "policy.yaml").code == 1
    for lane in RULES:
        assert pair.attest("attach", f"{lane}.json", "--release", "release.yaml").code == 0
    assert pair.attest("verify", "--release", "release.yaml", "--policy", "policy.yaml").code == 0


def test_evidence_about_another_commit_is_not_about_the_release(pair: Scene) -> None:
    """All lanes agree with each other, and are refused where the file names another commit than theirs."""
    create(pair)
    for lane in RULES:
        assert sign(pair, lane).code == 0
    create(pair, "--output", "release.yaml", "--force", commit=OTHER_COMMIT)
    ended = pair.attest("verify", "--release", "release.yaml", "--policy", "policy.yaml", "--format", "json")
    assert ended.code == 1
    states = {(lane["state"], lane["reason"]) for one in ended.document["images"] for lane in one["lanes"]}
    assert states == {("mismatched", "commit-differs")}


def test_a_lane_of_another_commit_does_not_sign_about_the_release(pair: Scene) -> None:
    """Signing stops before anything is attached where the lane looked at another commit than the file names."""
    create(pair)
    context = ("--source-repository", SOURCE, "--source-commit", OTHER_COMMIT)
    ended = sign(pair, "unit", *context, "--output", "unit.json")
    assert ended.code == 2
    assert f"the release is of commit {COMMIT}, and this lane of {OTHER_COMMIT} (--source-commit)" in ended.err
    assert not (pair.folder / "unit.json").exists()


@pytest.mark.parametrize("verb", ["sign", "verify", "attach"])
def test_images_come_from_one_place(verb: str, pair: Scene) -> None:
    """IMAGES beside a release file, or neither of them, end with 2."""
    create(pair)
    (pair.folder / "bundle.json").write_bytes(b"{}")
    arguments = {
        "sign": ["--lane", "unit", "--key", "keys/unit.key", "--result", "passed", *CONTEXT],
        "verify": ["--policy", "policy.yaml"],
        "attach": [],
    }[verb]
    first = ["bundle.json"] if verb == "attach" else []
    both = pair.attest(verb, *first, pair.image, "--release", "release.yaml", *arguments)
    assert (both.code, both.err.splitlines()[0]) == (2, "error: IMAGES and --release exclude each other")
    neither = pair.attest(verb, *first, *arguments)
    assert (neither.code, neither.err.splitlines()[0]) == (2, "error: nothing says which images")
    if verb != "attach":
        named = pair.attest(verb, "--release", "release.yaml", "--repository", BACKEND, *arguments)
        assert (named.code, named.err.splitlines()[0]) == (2, "error: --repository and --release exclude each other")


@pytest.mark.parametrize("verb", ["sign", "verify", "attach", "release check"])
def test_a_file_that_is_no_release_is_2_with_its_place(verb: str, pair: Scene) -> None:
    """Every command names file, line and column of what is wrong in a release file."""
    create(pair)
    path = pair.folder / "release.yaml"
    path.write_text(path.read_text().replace("services:", "service:"))
    arguments: dict[str, list[object]] = {
        "sign": ["--lane", "unit", "--key", "keys/unit.key", "--result", "passed", *CONTEXT, "--release"],
        "verify": ["--policy", "policy.yaml", "--release"],
        "attach": ["bundle.json", "--release"],
        "release check": [],
    }
    ended = pair.attest(*verb.split(), *arguments[verb], "release.yaml")
    assert ended.code == 2
    assert ended.err.startswith("error: release.yaml:3:1: unknown key `service`; did you mean `services`?")


def test_only_one_file_can_be_standard_input(pair: Scene) -> None:
    """A release and a predicate, or a bundle, cannot both be read from standard input."""
    what = ("--lane", "unit", "--key", "keys/unit.key", "--predicate-type", "https://example.org/p", "--predicate", "-")
    assert pair.attest("sign", "--release", "-", *what, *CONTEXT).code == 2
    ended = pair.attest("attach", "-", "--release", "-")
    assert (ended.code, "cannot both be standard input" in ended.err) == (2, True)
