"""`attest run`: what a lane's command did is what is signed, or nothing is."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cli.running import COMMAND, SECONDS, Ended, clean_environment, spawn
from tests.cli.scene import COMMIT, CONTEXT, REPOSITORY, SOURCE, Scene, policy_text

LINK = "https://in-toto.io/attestation/link/v0.3"
PASSING = '<testsuite name="s" tests="1"><testcase classname="c" name="good"/></testsuite>'
FAILING = (
    '<testsuite name="s" tests="2" failures="1"><testcase classname="c" name="good"/>'
    '<testcase classname="c" name="bad"><failure message="no"/></testcase></testsuite>'
)


def run_arguments(scene: Scene, *command: object, options: tuple[object, ...] = ()) -> list[str]:
    """The arguments of the lane `unit`."""
    repository = () if scene.repository is None else ("--repository", scene.repository)
    context = () if "--source-commit" in options else CONTEXT
    run = () if "--run-id" in options else ("--run-id", str(scene.run))
    words = ("run", scene.image, *repository, "--lane", "unit", "--key", "keys/unit.key", *context, *run, *options)
    return [str(word) for word in (*words, "--", *command)]


def run_lane(scene: Scene, *command: object, options: tuple[object, ...] = (), **environment: str) -> Ended:
    """Run the lane `unit` as a process of its own, so that its output is its own."""
    arguments = run_arguments(scene, *command, options=options)
    return spawn(*arguments, cwd=scene.folder, environment=clean_environment(scene.folder, **environment))


def sh(scene: Scene, script: str, *options: object, **environment: str) -> Ended:
    """Run a shell script as the lane."""
    return run_lane(scene, "/bin/sh", "-c", script, options=options, **environment)


def statements(scene: Scene) -> list[dict[str, Any]]:
    """Every statement that is attached to the image."""
    found = []
    for path in sorted((scene.folder / "image" / "blobs" / "sha256").iterdir()):
        try:
            envelope = json.loads(path.read_bytes())["dsseEnvelope"]
        except (ValueError, KeyError, TypeError):
            continue
        found.append(json.loads(base64.b64decode(envelope["payload"])))
    return found


def predicates(scene: Scene) -> dict[str, dict[str, Any]]:
    """The one test-result and the one link that are attached."""
    found = {one["predicateType"].split("/")[-2]: one["predicate"] for one in statements(scene)}
    assert set(found) == {"test-result", "link"}
    assert len(statements(scene)) == 2
    return found


def lane(scene: Scene) -> tuple[str, str]:
    """State and message of the lane `unit` at the gate."""
    (image,) = scene.verify("--format", "json").document["images"]
    (unit,) = [one for one in image["lanes"] if one["lane"] == "unit"]
    return unit["state"], unit["message"]


# ---- what is signed


def test_a_command_that_passes_is_signed(scene: Scene) -> None:
    """Its output comes through, PASSED is signed beside a link, and the gate has its lane."""
    ended = sh(
        scene, "echo out; echo err >&2; cat keys/unit.pub > product", "--materials", "keys", "--products", "product"
    )
    assert (ended.code, ended.out) == (0, "out\n")
    assert "\nerr\n" in ended.err
    found = predicates(scene)
    assert found["test-result"]["result"] == "PASSED"
    assert found["test-result"]["attest_run"] == {"status": 0, "signal": None, "timedOut": False, "interrupted": None}
    link = found["link"]
    assert link["name"] == "unit"
    assert link["command"] == ["/bin/sh", "-c", "echo out; echo err >&2; cat keys/unit.pub > product"]
    assert {one["name"] for one in link["materials"]} >= {"keys/unit.pub", "keys/e2e.pub"}
    (product,) = link["byproducts"]["attest_products"]
    (material,) = [one for one in link["materials"] if one["name"] == "keys/unit.pub"]
    assert (product["name"], product["digest"]) == ("product", material["digest"])
    assert link["byproducts"]["return-value"] == 0
    assert lane(scene)[0] == "present"


def test_the_result_names_its_link(scene: Scene) -> None:
    """The configuration of the test-result has the digest of the link's bundle, and the tool's version."""
    assert sh(scene, "true", "--summary", "summary.json").code == 0
    summary = json.loads((scene.folder / "summary.json").read_text())
    configuration = predicates(scene)["test-result"]["configuration"]
    (link,) = [one for one in configuration if one["name"] == "link"]
    assert "sha256:" + link["digest"]["sha256"] == summary["link"]
    assert link["uri"] == LINK
    assert any(one["name"] == "attest" for one in configuration)
    assert summary["schema"] == "attest.ran/v1"
    assert (summary["result"], summary["exit_code"], summary["lane"]) == ("PASSED", 0, "unit")


def test_both_statements_carry_the_same_context_and_the_real_times(scene: Scene) -> None:
    """Lane, source and run are those of the command line; start and end are those of the command."""
    sh(scene, "true")
    one, two = (statement["subject"][0]["annotations"] for statement in statements(scene))
    assert one == two
    assert one["attest-gate/lane"] == "unit"
    assert one["attest-gate/commit"] == COMMIT
    assert one["attest-gate/started"] < one["attest-gate/finished"]


@pytest.mark.parametrize(
    ("script", "code", "words"),
    [
        ("exit 7", 7, "says FAILED: 'the command ended with 7'"),
        ("kill -9 $$", 137, "says FAILED: 'the command was killed by SIGKILL'"),
        ("no-such-command-at-all", 127, "says FAILED: 'the command ended with 127'"),
    ],
)
def test_a_command_that_fails_is_signed_too(scene: Scene, script: str, code: int, words: str) -> None:
    """A bad end is FAILED, its status is kept, and the refusal says what it was."""
    assert sh(scene, script).code == code
    assert predicates(scene)["test-result"]["result"] == "FAILED"
    state, message = lane(scene)
    assert (state, words in message) == ("failed", True)


def test_too_long_is_failed_and_124(scene: Scene) -> None:
    """A command that takes longer than its --timeout is stopped, and that is signed."""
    assert sh(scene, "sleep 1000", "--timeout", "1s").code == 124
    found = predicates(scene)
    assert found["test-result"]["result"] == "FAILED"
    assert found["test-result"]["attest_run"]["timedOut"] is True
    assert found["link"]["byproducts"]["return-value"] == 124


def test_the_environment_is_told_by_name_alone(scene: Scene) -> None:
    """Only variables that --env names stand in the link; the command has them all."""
    ended = sh(scene, 'echo "$TOLD $UNTOLD"', "--env", "TOLD", "--env", "ABSENT", TOLD="yes", UNTOLD="quiet")
    assert ended.out == "yes quiet\n"
    assert predicates(scene)["link"]["environment"] == {"TOLD": "yes"}
    assert "quiet" not in json.dumps(statements(scene))


def test_the_command_has_no_passphrase(scene: Scene) -> None:
    """What opens the key is for attest alone."""
    ended = sh(scene, 'echo "${ATTEST_KEY_PASSWORD-none}"', ATTEST_KEY_PASSWORD="correct horse")
    assert (ended.code, ended.out) == (0, "none\n")


# ---- reports


def test_reports_decide(scene: Scene) -> None:
    """Status 0 with a failed test is FAILED and ends with 1; the refusal names the test."""
    ended = sh(scene, f"echo '{FAILING}' > r.xml", "--report", "r.xml")
    assert ended.code == 1
    assert "1 of 2 tests failed" in ended.err
    result = predicates(scene)["test-result"]
    assert (result["result"], result["failedTests"], result["passedTests"]) == ("FAILED", ["c.bad"], ["c.good"])
    assert result["configuration"][0]["name"] == "r.xml"
    state, message = lane(scene)
    assert state == "failed"
    assert message.endswith("says FAILED: 'c.bad'")


def test_the_status_has_to_be_0_as_well(scene: Scene) -> None:
    """A report in which all passed does not outweigh the command's own status."""
    assert sh(scene, f"echo '{PASSING}' > r.xml; exit 5", "--report", "r.xml").code == 5
    result = predicates(scene)["test-result"]
    assert (result["result"], result["passedTests"]) == ("FAILED", ["c.good"])


def test_a_passing_report_passes(scene: Scene) -> None:
    """Both pass, so PASSED is signed, with the names of the tests; patterns mean every file."""
    script = f"mkdir out; echo '{PASSING}' > out/1.xml; echo '{PASSING.replace('good', 'fine')}' > out/2.xml"
    assert sh(scene, script, "--report", "out/*.xml").code == 0
    assert predicates(scene)["test-result"]["passedTests"] == ["c.good", "c.fine"]


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("true", "it is the very file that was there before"),
        ("touch other", "it is the very file that was there before"),
        ("rm r.xml", "cannot be read: No such file"),
        ("echo '<testsuite>' > r.xml", "no report"),
        (": > r.xml", "no report"),
        ("echo PASSED > r.xml", "no report"),
    ],
)
def test_a_report_that_cannot_be_believed_is_an_error(scene: Scene, script: str, words: str) -> None:
    """Old, gone, truncated, empty or foreign: nothing is signed, and the code is 3 where the command's own is 0."""
    (scene.folder / "r.xml").write_text(PASSING)
    ended = sh(scene, script, "--report", "r.xml")
    assert ended.code == 3
    assert words in ended.err
    assert statements(scene) == []


def test_a_report_that_was_written_anew_is_new(scene: Scene) -> None:
    """The same bytes in a file of a later time, or in another file of that name, are a new report."""
    (scene.folder / "r.xml").write_text(PASSING)
    assert sh(scene, f"echo '{PASSING}' | tr -d '\\n' > new && mv new r.xml", "--report", "r.xml").code == 0


def test_a_crash_without_its_report_is_failed(scene: Scene) -> None:
    """A command that fails before it writes its report is FAILED, and says so; old reports are not read."""
    (scene.folder / "r.xml").write_text(PASSING)
    assert sh(scene, "exit 2", "--report", "r.xml").code == 2
    result = predicates(scene)["test-result"]
    assert result["result"] == "FAILED"
    assert "passedTests" not in result
    assert "there before" in result["attest_reasons"][1]


def test_a_missing_product_of_a_command_that_passed_is_an_error(scene: Scene) -> None:
    """A lane that was to make something and did not is not signed; where it failed, that is signed."""
    ended = sh(scene, "true", "--products", "made")
    assert (ended.code, statements(scene)) == (3, [])
    assert sh(scene, "exit 4", "--products", "made").code == 4
    assert predicates(scene)["link"]["byproducts"]["attest_products"] == []


# ---- refused before anything runs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--lane", "No Lane"), "cannot name a lane"),
        (("--timeout", "0"), "no span of time"),
        (("--timeout", "5 minutes"), "no span of time"),
        (("--no-push",), "would sign and throw it away"),
        (("--allow-empty",), "demands something of nothing"),
        (("--min-coverage", "80"), "demands something of nothing"),
        (("--report", "r.xml", "--min-coverage", "80%"), "no percentage"),
        (("--report", "-"), "names no file that a command could write"),
        (("--materials", "absent"), "absent: not there"),
        (("--runner-network", "host"), "no place without --runner-image"),
        (("--runner-user", "1"), "no place without --runner-image"),
        (("--runner-image", "registry.example.org/ci:latest"), "by its digest"),
        (("--engine", "podman"), "no place without --container"),
        (("--env", "A=b"), "the name of a variable alone"),
        (("--env", "ATTEST_KEY_PASSWORD"), "would publish the passphrase"),
        (("--source-elsewhere", "--source-commit", COMMIT), "names no source"),
        (("--observe", "'"), "--observe"),
        (("--key", "keys/absent.key"), "cannot be read"),
        (("--result", "passed"), "No such option"),
        (("--identity-token", "-"), "--identity-token"),
        (("--container", "backend"), ""),
    ],
)
def test_what_can_fail_before_fails_before(scene: Scene, options: tuple[str, ...], words: str) -> None:
    """A wrong command line never starts the command, and signs nothing."""
    ended = sh(scene, "touch ran", *options, PATH="/usr/bin:/bin")
    assert ended.code in {2, 3}
    assert words in ended.err
    assert not (scene.folder / "ran").exists()
    assert statements(scene) == []


@pytest.mark.parametrize("command", [(), ("no-such-program",), ("./policy.yaml",)])
def test_what_is_no_program_is_a_wrong_command_line(scene: Scene, command: tuple[str, ...]) -> None:
    """No command, an unknown one and a file that cannot be run are refused with 2."""
    ended = run_lane(scene, *command)
    assert (ended.code, statements(scene)) == (2, [])


def test_an_image_that_is_not_there_is_found_out_before(scene: Scene) -> None:
    """The images are looked at first: nothing runs for one that nobody can find."""
    scene.image = f"oci:image@sha256:{64 * 'a'}"
    ended = sh(scene, "touch ran")
    assert ended.code == 3
    assert not (scene.folder / "ran").exists()


SECRET = "ghp" + "_" + 36 * "a"


@pytest.mark.parametrize(
    ("options", "script", "what"),
    [
        ((), f"curl -H 'token: {SECRET}' x", "word 3 of the command holds a GitHub token"),
        (("--env", "TOKEN"), "true", "--env TOKEN holds a GitHub token"),
        (("--observe", f"ask --token {SECRET}"), "true", "--hook 1 holds a GitHub token"),
    ],
)
def test_credentials_are_refused_and_never_shown(
    scene: Scene, options: tuple[str, ...], script: str, what: str
) -> None:
    """A known form of token in what would be signed stops the lane before it runs, and is not printed."""
    ended = sh(scene, script, *options, TOKEN=SECRET)
    assert ended.code == 2
    assert what in ended.err
    assert SECRET not in ended.err + ended.out
    assert statements(scene) == []


def test_json_is_for_our_own_words_alone(scene: Scene) -> None:
    """`--format json` behind the dashes is the command's; our error goes to standard error only."""
    ended = run_lane(scene, "no-such-program", "--format", "json")
    assert (ended.code, ended.raw) == (2, b"")


# ---- the checkout


@pytest.fixture
def checkout(scene: Scene) -> Callable[..., str]:
    """Git in the scene's folder, with one commit; HEAD is the first that it says."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", *arguments],
            cwd=scene.folder,
            env=clean_environment(scene.folder),
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    git("init", "--quiet")
    (scene.folder / "source").write_text("1\n")
    git("add", "source")
    git("commit", "--quiet", "--message", "one")
    return git


def test_head_has_to_be_the_commit_that_is_signed(scene: Scene, checkout: Callable[..., str]) -> None:
    """Another commit in the work tree than on the command line stops the lane before it runs."""
    ended = sh(scene, "touch ran")
    assert ended.code == 2
    assert (
        f"the commit that would be signed is {COMMIT}, but {checkout('rev-parse', 'HEAD')} is checked out" in ended.err
    )
    assert not (scene.folder / "ran").exists()


def from_head(checkout: Callable[..., str]) -> tuple[str, ...]:
    """A source that is what is checked out."""
    return ("--source-repository", SOURCE, "--source-commit", checkout("rev-parse", "HEAD"))


def test_a_dirty_tree_is_recorded(scene: Scene, checkout: Callable[..., str]) -> None:
    """Changes before the command, and changes that it makes itself, stand in both statements."""
    assert sh(scene, "true", *from_head(checkout)).code == 0
    assert all("attest-gate/dirty" not in one["subject"][0]["annotations"] for one in statements(scene))
    assert sh(scene, "echo 2 > source", *from_head(checkout), "--run-id", "2").code == 0
    later = [one for one in statements(scene) if one["subject"][0]["annotations"]["attest-gate/run-id"] == "2"]
    assert [one["subject"][0]["annotations"].get("attest-gate/dirty") for one in later] == ["true", "true"]


def test_another_commit_afterwards_is_not_signed(scene: Scene, checkout: Callable[..., str]) -> None:
    """A command that moves HEAD has tested two commits, or neither."""
    options = from_head(checkout)
    commit = "git -c user.name=n -c user.email=e@example.org commit --quiet --allow-empty --message two"
    ended = sh(scene, commit, *options)
    assert ended.code == 3
    assert "is checked out here" in ended.err
    assert statements(scene) == []


def test_tests_of_another_repository_say_so(scene: Scene, checkout: Callable[..., str]) -> None:
    """With --source-elsewhere the statement is about the named source, and names the checkout beside it."""
    assert sh(scene, "true", "--source-elsewhere", *CONTEXT).code == 0
    result = predicates(scene)["test-result"]
    (here,) = [one for one in result["configuration"] if one["name"] == "checkout"]
    assert here["digest"] == {"gitCommit": checkout("rev-parse", "HEAD")}
    assert statements(scene)[0]["subject"][0]["annotations"]["attest-gate/commit"] == COMMIT


def test_a_checkout_that_git_cannot_read_is_refused(scene: Scene) -> None:
    """Where there is a repository, git has to say what it is."""
    (scene.folder / ".git").write_text("nonsense\n")
    ended = sh(scene, "touch ran")
    assert ended.code == 2
    assert "git does not say which commit is checked out here" in ended.err
    assert not (scene.folder / "ran").exists()


# ---- what was tested, by a hook


def hook(scene: Scene, *digests: str, name: str = "runs.json") -> str:
    """A hook that says that these run."""
    (scene.folder / name).write_text(json.dumps({"digests": digests, "instance": "one"}))
    return f"cat {name}"


def test_an_observation_stands_in_the_predicate(scene: Scene) -> None:
    """A policy can demand it, and is met by a lane that observed and by no other."""
    where = f"[\"predicate.attest_observed.all(o, o.image == '{scene.digest}')\"]"
    rule = "{predicate-type: https://in-toto.io/attestation/test-result/v0.1, signer: unit, where: " + where + "}"
    scene.write_policy(policy_text({"unit": rule}, signers={"unit": "{key: keys/unit.pub}"}))
    assert sh(scene, "true").code == 0
    assert lane(scene)[0] == "unmet"
    assert sh(scene, "true", "--observe", hook(scene, scene.digest), "--run-id", "2").code == 0
    assert lane(scene)[0] == "present"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("true", "which is not sha256:"),
        ("touch ran; cp other.json runs.json", "which is not sha256:"),
        ("touch ran; cp again.json runs.json", "is another container now than before the command"),
        ("touch ran; rm runs.json", "ended with 1"),
        ("touch ran; cp two.json runs.json", "1 containers were there before the command, and 2 after it"),
    ],
)
def test_what_did_not_run_all_the_time_is_not_signed(scene: Scene, script: str, words: str) -> None:
    """Another image before or after, another container, one more, and nothing at all: nothing is signed, with 3."""
    other = f"sha256:{64 * 'b'}"
    hook(scene, other, name="other.json")
    hook(scene, scene.digest, scene.digest, name="two.json")
    (scene.folder / "again.json").write_text(json.dumps({"digests": [scene.digest], "instance": "two"}))
    observed = hook(scene, other if script == "true" else scene.digest)
    ended = sh(scene, script, "--observe", observed)
    assert ended.code == 3
    assert words in ended.err
    assert (scene.folder / "ran").exists() == (script != "true")
    assert statements(scene) == []


def test_the_status_of_the_command_is_kept_where_nothing_is_signed(scene: Scene) -> None:
    """A command that failed ends with its own status, although nothing can be signed about it."""
    ended = sh(scene, "rm runs.json; exit 9", "--observe", hook(scene, scene.digest))
    assert (ended.code, statements(scene)) == (9, [])


# ---- killed


@pytest.fixture
def killing(scene: Scene) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts lanes that a test ends; whatever of them is left is ended afterwards."""
    made: list[subprocess.Popen[bytes]] = []

    def start(script: str, *options: object) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*COMMAND, *run_arguments(scene, "/bin/sh", "-c", script, options=options)],
            cwd=scene.folder,
            env=clean_environment(scene.folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        made.append(process)
        return process

    yield start
    for process in made:
        process.kill()
        process.wait()
    pids = scene.folder / "pid"
    if pids.exists():
        for pid in pids.read_text().split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                continue


def wait_for(happened: Callable[[], object]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_before_the_command_nothing_is_signed(
    scene: Scene, killing: Callable[..., subprocess.Popen[bytes]], number: signal.Signals
) -> None:
    """While a hook is still asked what runs, a signal ends attest, the command never runs and nothing is attached."""
    observe = "/bin/sh -c 'touch asked; sleep 30'"
    process = killing("touch ran", "--observe", observe)
    wait_for((scene.folder / "asked").exists)
    process.send_signal(number)
    assert process.wait(SECONDS) != 0
    assert not (scene.folder / "ran").exists()
    assert statements(scene) == []


def test_killed_during_the_command_nothing_is_signed(
    scene: Scene, killing: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """SIGKILL cannot be handed on: the command may go on and pass, and nothing says so."""
    process = killing("echo $$ > pid; while [ ! -e go ]; do sleep 0.05; done; touch ended")
    wait_for((scene.folder / "pid").exists)
    process.kill()
    assert process.wait(SECONDS) == -signal.SIGKILL
    (scene.folder / "go").touch()
    wait_for((scene.folder / "ended").exists)
    assert statements(scene) == []
    assert lane(scene)[0] == "missing"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_during_the_command_is_failed(
    scene: Scene, killing: Callable[..., subprocess.Popen[bytes]], number: signal.Signals
) -> None:
    """The command gets the signal; even where it ends with 0 then, FAILED is signed, and the code is not 0."""
    name = number.name.removeprefix("SIG")
    process = killing(f"trap 'exit 0' {name}; touch ready; while :; do sleep 0.05; done")
    wait_for((scene.folder / "ready").exists)
    process.send_signal(number)
    assert process.wait(SECONDS) == 1
    result = predicates(scene)["test-result"]
    assert result["result"] == "FAILED"
    assert result["attest_run"]["interrupted"] == number.name


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("status", [0, 1])
def test_killed_after_the_command_nothing_false_is_signed(
    scene: Scene, killing: Callable[..., subprocess.Popen[bytes]], number: signal.Signals, status: int
) -> None:
    """While a hook is asked again after the command, a signal ends attest, and nothing is attached."""
    observe = f"/bin/sh -c 'test ! -e ran || {{ touch asked; sleep 30; }}; cat {hook(scene, scene.digest).split()[1]}'"
    process = killing(f"touch ran; exit {status}", "--observe", observe)
    wait_for((scene.folder / "asked").exists)
    process.send_signal(number)
    assert process.wait(SECONDS) != 0
    assert statements(scene) == []


# ---- bundles for later


def test_bundles_can_be_kept_and_attached_later(scene: Scene) -> None:
    """With --no-push both bundles are files; attaching them elsewhere makes the lane present."""
    ended = sh(scene, "true", "--no-push", "--output", "result.json", "--link-output", "link.json")
    assert (ended.code, statements(scene)) == (0, [])
    for file in ("result.json", "link.json"):
        assert scene.attest("attach", file, scene.image).code == 0
    assert lane(scene)[0] == "present"


def test_a_summary_that_cannot_be_written_is_an_error(scene: Scene) -> None:
    """What was signed stays signed; the command line was wrong all the same."""
    assert sh(scene, "true", "--summary", "no/such/folder/summary.json").code == 2
    assert predicates(scene)["test-result"]["result"] == "PASSED"


# ---- attest sign --report


def test_sign_computes_the_result(scene: Scene) -> None:
    """`attest sign --report` signs what the reports say, and ends with 0 once it is signed."""
    (scene.folder / "r.xml").write_text(FAILING)
    ended = scene.attest(*sign_arguments(scene, "--report", "r.xml"))
    assert ended.code == 0
    assert "FAILED" in ended.err
    (statement,) = statements(scene)
    assert (statement["predicate"]["result"], statement["predicate"]["failedTests"]) == ("FAILED", ["c.bad"])


@pytest.mark.parametrize(
    "options",
    [
        ("--report", "r.xml", "--result", "passed"),
        ("--report", "r.xml", "--predicate-type", "x", "--predicate", "r.xml"),
        ("--min-coverage", "80", "--result", "passed"),
        ("--report", "absent.xml"),
        ("--report", "absent*.xml"),
        ("--report", "-", "--predicate", "-"),
    ],
)
def test_sign_takes_one_word_for_the_result(scene: Scene, options: tuple[str, ...]) -> None:
    """A result beside reports, demands without reports and reports that are not there are wrong."""
    (scene.folder / "r.xml").write_text(PASSING)
    ended = scene.attest(*sign_arguments(scene, *options))
    assert (ended.code, statements(scene)) == (2, [])


def sign_arguments(scene: Scene, *options: str) -> list[str]:
    """The arguments of a lane that signs what it has."""
    words = ("sign", scene.image, "--repository", REPOSITORY, "--lane", "unit", "--key", "keys/unit.key")
    return [*words, *CONTEXT, "--run-id", "1", *options]
