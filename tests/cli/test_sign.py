"""`attest sign` and `attest attach`: what is signed, where it came from, and where it goes."""

from __future__ import annotations

import base64
import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from attest.core.envelope import read_bundle
from attest.core.reference import digest_of
from tests.cli.running import Ended, attest, clean_environment, spawn
from tests.cli.scene import COMMIT, REF, SOURCE, TEST_RESULT, Scene


def statement_of(path: Path) -> dict[str, Any]:
    """The Statement in a bundle's file."""
    loaded = json.loads(read_bundle(path.read_bytes()).payload)
    assert isinstance(loaded, dict)
    return loaded


def context_of(path: Path) -> dict[str, str]:
    """The context that a bundle signs, without the prefix of its names."""
    annotations: dict[str, str] = statement_of(path)["subject"][0]["annotations"]
    return {name.removeprefix("attest-gate/"): value for name, value in annotations.items()}


BARE = ("sign", "IMAGE", "--lane", "unit", "--key", "keys/unit.key", "--result", "passed")


def sign_bare(scene: Scene, *options: object, **environment: str) -> Ended:
    """Sign into a file, with no context but what the options and the environment say."""
    arguments = [scene.image if part == "IMAGE" else part for part in BARE]
    return attest(*arguments, "--output", "b.json", "--no-push", *options, cwd=scene.folder, stdin=b"", **environment)


# ---- the context


def test_the_context_is_shown_with_its_origin(scene: Scene) -> None:
    """Each value that is signed is shown on standard error with the option that gave it."""
    err = scene.sign("unit", "--job", "unit-1", "--run-attempt", "2").err
    assert f"  repository  {SOURCE}  (--source-repository)" in err
    assert f"  commit      {COMMIT}  (--source-commit)" in err
    assert f"  ref         {REF}  (--source-ref)" in err
    assert "  run id      1  (--run-id)" in err
    assert "  run attempt 2  (--run-attempt)" in err
    assert "  job         unit-1  (--job)" in err
    assert "  finished    20" in err


FORGEJO = {
    "CI": "true",
    "FORGEJO_ACTIONS": "true",
    "FORGEJO_SERVER_URL": "https://git.example.org",
    "FORGEJO_REPOSITORY": "plex/playlist",
    "FORGEJO_SHA": COMMIT,
    "FORGEJO_REF": "refs/heads/main",
    "FORGEJO_RUN_ID": "77",
    "FORGEJO_RUN_NUMBER": "12",
    "FORGEJO_RUN_ATTEMPT": "1",
    "FORGEJO_JOB": "unit",
    "FORGEJO_EVENT_NAME": "push",
}


def test_a_forge_is_recognised(scene: Scene) -> None:
    """In a job of a forge its variables name the source and the run, and the output says which variable did."""
    ended = sign_bare(scene, **FORGEJO)
    assert ended.code == 0, ended.err
    context = context_of(scene.folder / "b.json")
    assert (context["repository"], context["commit"], context["ref"]) == (SOURCE, COMMIT, REF)
    assert (context["run-id"], context["job"]) == ("77", "unit")
    assert "FORGEJO_SHA" in ended.err


def test_an_option_wins_over_the_forge(scene: Scene) -> None:
    """What the command line says is signed, and shown as coming from there."""
    ended = sign_bare(scene, "--source-commit", 40 * "b", "--run-id", "78", **FORGEJO)
    assert ended.code == 0, ended.err
    context = context_of(scene.folder / "b.json")
    assert (context["commit"], context["run-id"]) == (40 * "b", "78")
    assert f"{40 * 'b'}  (--source-commit)" in ended.err


def test_git_is_asked_last(scene: Scene) -> None:
    """Outside of any CI the checkout names repository and commit; changed files are said and signed."""

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ["git", *identity, *arguments],
            cwd=scene.folder,
            env=clean_environment(scene.folder),
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    (scene.folder / "code").write_text("1")
    git("init", "-q", "-b", "main")
    git("add", "code")
    git("commit", "-qm", "one")
    git("remote", "add", "origin", SOURCE + ".git")
    ended = sign_bare(scene)
    assert ended.code == 0, ended.err
    context = context_of(scene.folder / "b.json")
    assert (context["repository"], context["commit"]) == (SOURCE, git("rev-parse", "HEAD"))
    assert "dirty" not in context
    (scene.folder / "code").write_text("2")
    ended = sign_bare(scene)
    assert "tracked files differ from the commit" in ended.err
    assert context_of(scene.folder / "b.json")["dirty"] == "true"


@pytest.mark.parametrize("given", [(), ("--source-repository", SOURCE), ("--source-commit", COMMIT)])
def test_repository_and_commit_are_required(given: tuple[str, ...], scene: Scene) -> None:
    """Without a repository or a commit nothing is signed: 2, and the hint names the missing option."""
    ended = sign_bare(scene, *given)
    assert ended.code == 2
    missing = "--source-commit" if "--source-repository" in given else "--source-repository"
    assert missing in ended.err
    assert not (scene.folder / "b.json").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--source-commit", "abc123"),
        ("--source-repository", "not a url"),
        ("--finished", "yesterday"),
        ("--finished", "2999-01-01T00:00:00Z"),
        ("--started", "2999-01-01T00:00:00Z"),
        ("--started", "2026-01-02T00:00:00Z", "--finished", "2026-01-01T00:00:00Z"),
        ("--run-attempt", "first"),
        ("--lane", "Not A Lane"),
        ("--predicate-type", "https://example.org/x"),
        ("--predicate", "p.json"),
    ],
    ids=lambda options: " ".join(options)[:40],
)
def test_what_cannot_be_meant_is_not_signed(options: tuple[str, ...], scene: Scene) -> None:
    """A malformed or contradictory value ends with 2, and no bundle is written."""
    (scene.folder / "p.json").write_text("{}")
    given = {"--source-repository": SOURCE, "--source-commit": COMMIT}
    context = [part for name, value in given.items() if name not in options for part in (name, value)]
    ended = sign_bare(scene, *context, *options)
    assert ended.code == 2, ended.err
    assert not (scene.folder / "b.json").exists()


def test_times_are_what_was_said(scene: Scene) -> None:
    """--started and --finished are signed in full precision; without them only the moment of signing is."""
    before = datetime.now(UTC)
    scene.sign("unit", "--output", "b.json", "--no-push")
    context = context_of(scene.folder / "b.json")
    assert before <= datetime.fromisoformat(context["finished"]) <= datetime.now(UTC)
    assert "started" not in context
    scene.sign(
        *("unit", "--started", "2026-01-01T00:00:00Z", "--finished", "2026-01-01T00:01:00.5Z"),
        *("--output", "b.json", "--no-push"),
    )
    context = context_of(scene.folder / "b.json")
    assert (context["started"], context["finished"]) == ("2026-01-01T00:00:00.000000Z", "2026-01-01T00:01:00.500000Z")


# ---- what is signed


@pytest.mark.parametrize("result", ["passed", "failed", "warned"])
def test_a_result_is_a_test_result(result: str, scene: Scene) -> None:
    """--result makes the test-result predicate with that result, about the image's digest."""
    scene.sign("unit", "--result", result, "--output", "b.json", "--no-push")
    statement = statement_of(scene.folder / "b.json")
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == TEST_RESULT
    assert statement["predicate"] == {"result": result.upper(), "configuration": []}
    assert [one["digest"] for one in statement["subject"]] == [{"sha256": scene.digest.removeprefix("sha256:")}]


def test_any_predicate_is_signed_as_it_is(scene: Scene) -> None:
    """A predicate of another type comes from a file or from standard input, and is signed value for value."""
    predicate = {"a": [1, {"b": None}], "text": "\N{SNOWMAN} ::set-output"}
    (scene.folder / "p.json").write_text(json.dumps(predicate))
    kind = ("--predicate-type", "https://example.org/thing/v1")
    scene.sign("unit", *kind, "--predicate", "p.json", "--output", "b.json", "--no-push")
    assert statement_of(scene.folder / "b.json")["predicate"] == predicate
    arguments = scene.sign_arguments("unit", *kind, "--predicate", "-", "--output", "c.json", "--no-push")
    assert spawn(*arguments, cwd=scene.folder, stdin=b'{"from": "a pipe"}').code == 0
    assert statement_of(scene.folder / "c.json")["predicate"] == {"from": "a pipe"}


@pytest.mark.parametrize("content", ["", "[]", "1", '{"a": 1, "a": 2}', '{"a": NaN}', "{", '{"a": "\\ud800"}'])
def test_a_predicate_that_is_no_object_is_not_signed(content: str, scene: Scene) -> None:
    """What a strict reader would not read back is not signed: 2, with the file's name."""
    (scene.folder / "p.json").write_text(content)
    arguments = scene.sign_arguments(
        "unit", "--predicate-type", "https://example.org/t", "--predicate", "p.json", "--output", "b.json", "--no-push"
    )
    ended = scene.attest(*arguments)
    assert ended.code == 2
    assert "p.json" in ended.err
    assert not (scene.folder / "b.json").exists()


def test_a_test_result_of_ones_own_has_to_be_one(scene: Scene) -> None:
    """A predicate of the test-result type without a result that exists is not signed."""
    (scene.folder / "p.json").write_text('{"result": "passed", "configuration": []}')
    arguments = scene.sign_arguments(
        "unit", "--predicate-type", TEST_RESULT, "--predicate", "p.json", "--output", "b.json", "--no-push"
    )
    ended = scene.attest(*arguments)
    assert ended.code == 2
    assert "PASSED, WARNED or FAILED" in ended.err


# ---- keys


@pytest.mark.parametrize("form", ["-traditional", "pkcs8", "encrypted", "ed25519"])
def test_a_key_of_openssl_signs(form: str, scene: Scene) -> None:
    """Keys that openssl made sign, in each of its forms, and the gate accepts them."""

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=scene.folder / "keys", check=True, capture_output=True)

    for path in (scene.folder / "keys").glob("unit.*"):
        path.unlink()
    curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    match form:
        case "-traditional":
            openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "unit.key")
        case "pkcs8":
            openssl("genpkey", *curve, "-out", "unit.key")
        case "encrypted":
            openssl("genpkey", *curve, "-aes256", "-pass", "pass:a word", "-out", "unit.key")
        case _:
            openssl("genpkey", "-algorithm", "ed25519", "-out", "unit.key")
    openssl("pkey", "-in", "unit.key", "-passin", "pass:a word", "-pubout", "-out", "unit.pub")
    (scene.folder / "word").write_text("a word\n")
    scene.sign("unit", "--password-file", "word")
    scene.sign("e2e")
    assert scene.verify().code == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "key"),
        (b"\x00" * 100_000, "key"),
        ((b"-----BEGIN PUBLIC KEY-----\n"), "key"),
    ],
)
def test_what_is_no_key_is_2(content: bytes, words: str, scene: Scene) -> None:
    """A file without a usable private key ends with 2, its name, and no word of its content."""
    (scene.folder / "keys/unit.key").write_bytes(content)
    ended = scene.attest(*scene.sign_arguments("unit"))
    assert ended.code == 2
    assert "keys/unit.key" in ended.err
    assert words in ended.err


def test_a_wrong_passphrase_is_2_and_is_not_repeated(scene: Scene) -> None:
    """A wrong passphrase ends with 2, and appears nowhere in the output."""
    assert scene.attest("keygen", "locked", ATTEST_KEY_PASSWORD="the right one").code == 0
    arguments = scene.sign_arguments("unit", key="locked")
    ended = scene.attest(*arguments, ATTEST_KEY_PASSWORD="hunter2-wrong")
    assert ended.code == 2
    assert "hunter2" not in ended.err + ended.out


# ---- where it goes


def test_no_push_stops_at_the_file(scene: Scene) -> None:
    """--output --no-push writes the bundle and attaches nothing; once `attest attach` has done that, it counts."""
    scene.sign("e2e")
    scene.sign("unit", "--output", "b.json", "--no-push")
    assert scene.verify().code == 1
    assert scene.attest("attach", "b.json", scene.image).code == 0
    assert scene.verify().code == 0


def test_output_beside_a_push_is_the_same_bundle(scene: Scene) -> None:
    """The file that --output writes is the bundle that is attached, byte for byte, and both are named by its digest."""
    scene.sign("e2e")
    document = scene.sign("unit", "--output", "b.json", "--format", "json").document
    assert document["bundle"] == digest_of((scene.folder / "b.json").read_bytes())
    verdict = scene.verify("--format", "json").document
    evidence = [one["digest"] for lane in verdict["images"][0]["lanes"] for one in lane["evidence"]]
    assert document["bundle"] in evidence


def test_no_push_needs_an_output(scene: Scene) -> None:
    """Signing into nothing is refused with 2."""
    assert scene.attest(*scene.sign_arguments("unit", "--no-push")).code == 2


def test_attaching_twice_changes_nothing(scene: Scene) -> None:
    """The same bundle attached again succeeds, with the same manifest, and the gate sees it once."""
    scene.sign("unit", "--output", "b.json", "--no-push")
    first = scene.attest("attach", "b.json", scene.image, "--format", "json").document
    again = scene.attest("attach", "b.json", scene.image, "--format", "json").document
    assert first == again
    inventory = scene.attest("inspect", scene.image, "--format", "json").document
    assert [len(place["bundles"]) for place in inventory["places"]] == [1]


def test_what_is_signed_is_said_for_scripts(scene: Scene) -> None:
    """--format json says what was signed, with which key, and where it is attached now."""
    document = scene.sign("unit", "--format", "json").document
    assert document["schema"] == "attest.attached/v1"
    assert (document["lane"], document["result"], document["predicate_type"]) == ("unit", "PASSED", TEST_RESULT)
    assert document["key"] == scene.fingerprint("unit")
    assert document["context"]["commit"] == COMMIT
    assert [one["image"] for one in document["attached"]] == [scene.image]


def test_an_image_that_is_not_there_is_not_signed(scene: Scene) -> None:
    """Signing about an image that the store does not have ends with 3 before anything is signed or attached."""
    absent = "oci:image@sha256:" + 64 * "0"
    ended = scene.attest(*scene.sign_arguments("unit", "--output", "b.json", image=absent))
    assert ended.code == 3
    assert not (scene.folder / "b.json").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"not json",
        json.dumps({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}).encode(),
        b"[" * 100_000,
    ],
)
def test_what_is_no_bundle_is_not_attached(content: bytes, scene: Scene) -> None:
    """A file that holds no bundle of a Statement ends with 2 and its name, and nothing is attached."""
    (scene.folder / "b.json").write_bytes(content)
    ended = scene.attest("attach", "b.json", scene.image)
    assert ended.code == 2
    assert "b.json" in ended.err
    assert scene.attest("inspect", scene.image).out.count("bundle") == 0


def test_a_bundle_of_something_else_is_not_attached(scene: Scene) -> None:
    """A bundle whose payload is no Statement is not attached."""
    scene.sign("unit", "--output", "b.json", "--no-push")
    bundle = json.loads((scene.folder / "b.json").read_text())
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(b'{"_type": "something else"}').decode()
    (scene.folder / "b.json").write_text(json.dumps(bundle))
    assert scene.attest("attach", "b.json", scene.image).code == 2


@pytest.mark.parametrize("place", ["no/such/folder/b.json", "/proc/b.json", "keys"])
def test_a_file_that_cannot_be_written_is_2(place: str, scene: Scene) -> None:
    """An output that cannot be written ends with 2 and names the file; nothing is attached either."""
    ended = scene.attest(*scene.sign_arguments("unit", "--output", place))
    assert ended.code == 2
    assert f"{place} cannot be written" in ended.err
    assert scene.attest("inspect", scene.image).out.count("bundle") == 0


def test_an_output_that_is_no_file_is_written_to(scene: Scene) -> None:
    """A device or a pipe under --output is written to and stays what it is; a link leads to the file behind it."""
    (scene.folder / "real.json").write_text("old")
    (scene.folder / "link.json").symlink_to("real.json")
    scene.sign("unit", "--output", "link.json", "--no-push")
    assert (scene.folder / "link.json").is_symlink()
    assert statement_of(scene.folder / "real.json")["predicateType"] == TEST_RESULT
    null = scene.folder / "null"
    null.symlink_to("/dev/null")
    scene.sign("unit", "--output", "null", "--no-push")
    assert null.is_symlink()
    assert Path("/dev/null").is_char_device()
