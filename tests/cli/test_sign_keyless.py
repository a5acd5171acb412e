"""`attest sign --keyless`, and `--key` before witnesses: what a lane types, sees and cannot do."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from attest.adapters.sigstore.trust import SigstoreTrust
from attest.core.envelope import read_bundle
from attest.core.material import read_material
from attest.core.statement import read_statement
from tests import faulty_service as faulty
from tests.cli.running import Ended, attest, clean_environment, spawn
from tests.cli.scene import TEST_RESULT, Scene
from tests.e2e.gate import registry_scene
from tests.faulty_service import FaultyService
from tests.layouts import Layout
from tests.parts.find import require
from tests.parts.images import BuiltImage
from tests.parts.process import LOOPBACK, Command, attempt, free_port, plain_environment
from tests.parts.registry import Registry
from tests.parts.sigstore import PrivateSigstore
from tests.parts.sigstore_issuer import COMMIT

pytestmark = pytest.mark.parts

OUT = ("--output", "b.json", "--no-push")


def forgejo_job(sigstore: PrivateSigstore, **variables: str) -> dict[str, str]:
    """The variables of the job that the usual token is of, without those that lead to a token."""
    return {
        "FORGEJO_ACTIONS": "true",
        "FORGEJO_SERVER_URL": f"{sigstore.forge}/",
        "FORGEJO_REPOSITORY": "plex/playlist",
        "FORGEJO_SHA": COMMIT,
        "FORGEJO_REF": "refs/heads/main",
        "FORGEJO_RUN_ID": "1564",
        "FORGEJO_RUN_NUMBER": "43",
        "FORGEJO_RUN_ATTEMPT": "1",
        "FORGEJO_JOB": "unit",
        "FORGEJO_EVENT_NAME": "push",
        **variables,
    }


@pytest.fixture
def lane(scene: Scene, private_sigstore: PrivateSigstore) -> Callable[..., Ended]:
    """Signs a passed unit lane keyless, as a job of the private Sigstore's forge."""

    def sign(
        *options: object,
        claims: Mapping[str, object] | None = None,
        sigstore: PrivateSigstore = private_sigstore,
        stdin: bytes = b"",
        **environment: str,
    ) -> Ended:
        return attest(
            *("sign", scene.image, "--lane", "unit", "--result", "passed"),
            *("--keyless", "--trust-config", sigstore.trust_config, *options),
            cwd=scene.folder,
            stdin=stdin,
            **forgejo_job(sigstore),
            **sigstore.issuers.job_environment(**(claims or {})),
            **environment,
        )

    return sign


def attached(scene: Scene) -> list[dict[str, Any]]:
    """What the layout of the scene lists beside its image."""
    index = Layout.__new__(Layout)
    index.path = scene.folder / "image"
    return [one for one in index.read_index()["manifests"] if one["digest"] != scene.digest]


# ---- what a lane does


def test_a_job_signs_without_a_key(lane: Callable[..., Ended], scene: Scene, private_sigstore: PrivateSigstore) -> None:
    """A Forgejo job signs and attaches: its certificate and its statement say the same, and both are shown."""
    ended = lane("--output", "b.json")
    assert ended.code == 0, ended.err
    bundle = (scene.folder / "b.json").read_bytes()
    certified = SigstoreTrust(private_sigstore.trusted_root.read_bytes()).certify(bundle)
    context = read_statement(read_bundle(bundle).payload).context
    said = certified.certificate
    assert (context.repository, context.commit, context.ref) == (said.repository, said.commit, said.ref)
    assert (context.run_id, context.run_attempt) == ("1564", 1)
    assert len(attached(scene)) == 1
    for line in (
        f"  issuer      {private_sigstore.issuer}  (the forge's token service)",
        f"  service     {private_sigstore.fulcio_url}  (certificate authority)",
        f"  service     {private_sigstore.tsa_url}  (timestamp authority)",
        f"  service     {private_sigstore.rekor_url}  (transparency log)",
        f"  identity    {private_sigstore.identity()}  (certificate)",
        f"  seen        {certified.times[0]:%Y-%m-%dT%H:%M:%S}.000000Z  (verified)",
    ):
        assert line in ended.err.splitlines()


def test_a_script_gets_the_same(lane: Callable[..., Ended], private_sigstore: PrivateSigstore) -> None:
    """--format json says who signed, by which services, and when that was seen."""
    document = lane(*OUT, "--format", "json").document
    assert (document["issuer"], document["identity"]) == (private_sigstore.issuer, private_sigstore.identity())
    assert document["services"] == {
        "certificate authority": private_sigstore.fulcio_url,
        "timestamp authority": private_sigstore.tsa_url,
        "transparency log": private_sigstore.rekor_url,
    }
    assert document["key"].startswith("sha256:")
    assert len(document["times"]) == 1


def test_a_key_says_that_nobody_saw_it(scene: Scene) -> None:
    """A key alone has no issuer, no identity, no services and no times."""
    document = scene.sign("unit", "--format", "json").document
    assert (document["issuer"], document["identity"], document["services"], document["times"]) == (None, None, {}, [])


@pytest.mark.parametrize("given", ["file", "stdin", "variable"])
def test_a_token_can_be_given(given: str, scene: Scene, private_sigstore: PrivateSigstore) -> None:
    """A token in a file, on standard input or in a variable signs, with white space around it."""
    text = f"\n {private_sigstore.token()} \r\n"
    (scene.folder / "token").write_text(text)
    options = {"file": ("--identity-token", "token"), "stdin": ("--identity-token", "-"), "variable": ()}[given]
    job = forgejo_job(private_sigstore, **({"SIGSTORE_ID_TOKEN": text} if given == "variable" else {}))
    ended = spawn(
        *("sign", scene.image, "--lane", "unit", "--result", "passed", "--keyless", *OUT),
        *("--trust-config", private_sigstore.trust_config, *options),
        cwd=scene.folder,
        stdin=text.encode() if given == "stdin" else b"",
        environment=clean_environment(scene.folder, **job),
    )
    assert ended.code == 0, ended.err
    assert (scene.folder / "b.json").exists()


def test_a_person_may_sign_too(lane: Callable[..., Ended]) -> None:
    """A token that is no job's confirms nothing of the context, and the output says so."""
    ended = lane(*OUT, claims={"repository": None, "sub": "alice"})
    assert "the identity token is not one of a job" in ended.err


def test_a_key_signs_before_witnesses(scene: Scene, private_sigstore: PrivateSigstore) -> None:
    """--key with --trust-config logs and timestamps the signature, and shows when it was seen."""
    ended = scene.sign("unit", "--trust-config", private_sigstore.trust_config, "--output", "b.json")
    material = read_material((scene.folder / "b.json").read_bytes())
    assert (len(material.entries), len(material.timestamps)) == (1, 1)
    assert f"  service     {private_sigstore.rekor_url}  (transparency log)" in ended.err
    assert "  seen        20" in ended.err
    assert "identity" not in ended.err


# ---- what a token does not confirm


@pytest.mark.parametrize(
    ("options", "claims", "words"),
    [
        (("--source-repository", "https://git.example.org/plex/playlist"), {}, "the repository is 'http://127.0.0.1"),
        (
            ("--source-commit", 40 * "b", "--source-ref", "refs/heads/main"),
            {},
            f"the commit is '{COMMIT}' in the token",
        ),
        (("--source-ref", "refs/heads/other"), {}, "the ref is 'refs/heads/main' in the token"),
        (("--run-id", "7"), {}, "the run is '1564' in the token and '7' in the context"),
        (("--run-attempt", "2"), {}, "the attempt is '1' in the token and '2' in the context"),
        ((), {"repository": "plex/other"}, "the repository is 'http://127.0.0.1"),
        ((), {"sha": 40 * "b"}, "the commit is 'bbbb"),
        ((), {"sha": None}, "the token names no commit"),
        ((), {"ref": "refs/tags/main"}, "the ref is 'refs/tags/main'"),
        ((), {"run_id": "2"}, "the run is '2'"),
        ((), {"run_attempt": "9"}, "the attempt is '9'"),
    ],
    ids=str,
)
def test_nothing_is_signed_that_the_token_does_not_confirm(
    options: tuple[str, ...],
    claims: dict[str, object],
    words: str,
    lane: Callable[..., Ended],
    scene: Scene,
    private_sigstore: PrivateSigstore,
) -> None:
    """Each single difference ends with 2 and its own words, before any service is asked or anything is written."""
    dead = f"http://{LOOPBACK}:{free_port()}"
    nobody = private_sigstore.variant(scene.folder / "nobody", fulcio_url=dead, rekor_url=dead, tsa_url=dead)
    ended = lane("--output", "b.json", "--format", "json", *options, claims=claims, sigstore=nobody)
    assert (ended.code, ended.document["error"]) == (2, "token-disagrees")
    assert words in ended.document["message"]
    assert "merge commit" not in ended.document["hint"]
    assert not (scene.folder / "b.json").exists()
    assert attached(scene) == []


def test_a_pull_request_is_told_what_to_do(
    lane: Callable[..., Ended], scene: Scene, private_sigstore: PrivateSigstore
) -> None:
    """Where the token names the merge commit and the context the head, the hint says how to sign either."""
    merge = {"sha": 40 * "c", "ref": "refs/pull/3/merge", "event_name": "pull_request"}
    refused = lane(*OUT, claims=merge)
    assert refused.code == 2
    assert "merge commit" in refused.err
    tested = lane(*OUT, "--source-commit", 40 * "c", "--source-ref", "refs/pull/3/merge", claims=merge)
    assert tested.code == 0, tested.err
    bundle = (scene.folder / "b.json").read_bytes()
    certified = SigstoreTrust(private_sigstore.trusted_root.read_bytes()).certify(bundle)
    assert certified.certificate.commit == read_statement(read_bundle(bundle).payload).context.commit == 40 * "c"


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"iat": 1_767_225_600, "nbf": 1_767_225_600, "exp": 1_767_225_900}, "token-expired"),
        ({"aud": "https://elsewhere.example"}, "token-audience"),
        ({"iss": None}, "token-unusable"),
        ({"iss": "http://git.example.org/api/actions"}, "token-unusable"),
    ],
    ids=str,
)
def test_a_token_that_cannot_be_used_has_its_own_code(
    claims: dict[str, object], error: str, lane: Callable[..., Ended], scene: Scene
) -> None:
    """An expired token, one for others and one of an unsafe issuer each end with 2 and a code of their own."""
    ended = lane("--output", "b.json", "--format", "json", claims=claims)
    assert (ended.code, ended.document["error"]) == (2, error)
    assert not (scene.folder / "b.json").exists()


# ---- what makes no sense


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "nothing says who signs"),
        (("--keyless", "--key", "keys/unit.key"), "--key and --keyless exclude each other"),
        (("--trust-config", "t.json"), "nothing says who signs"),
        (("--keyless", "--password-file", "p"), "--password-file has no place"),
        (("--key", "keys/unit.key", "--identity-token", "t"), "--identity-token has no place"),
        (("--keyless", "--trust-config", "missing.json"), "missing.json"),
        (("--key", "keys/unit.key", "--trust-config", "missing.json"), "missing.json"),
        (("--keyless", "--trust-config", "empty.json"), "no client trust configuration"),
        (("--key", "keys/unit.key", "--trust-config", "empty.json"), "no client trust configuration"),
        (("--keyless", "--identity-token", "-", "--predicate", "-", "--predicate-type", "x"), "standard input"),
    ],
    ids=" ".join,
)
def test_what_makes_no_sense_is_refused(
    options: tuple[str, ...], words: str, scene: Scene, private_sigstore: PrivateSigstore
) -> None:
    """Options that contradict each other, or files that are no configuration, end with 2 and say why."""
    (scene.folder / "empty.json").write_text("{}")
    result = () if "--predicate" in options else ("--result", "passed")
    ended = attest(
        *("sign", scene.image, "--lane", "unit", *result, *OUT, *options),
        cwd=scene.folder,
        stdin=b"",
        **forgejo_job(private_sigstore),
        **private_sigstore.issuers.job_environment(),
    )
    assert ended.code == 2
    assert words in ended.err
    assert not (scene.folder / "b.json").exists()


def test_outside_of_a_job_there_is_no_token(scene: Scene, private_sigstore: PrivateSigstore) -> None:
    """Without a token the error says how a job gets one, and names the option for everybody else."""
    arguments = ("sign", scene.image, "--lane", "unit", "--result", "passed", "--keyless", *OUT)
    ended = attest(
        *arguments,
        "--trust-config",
        private_sigstore.trust_config,
        cwd=scene.folder,
        stdin=b"",
        **forgejo_job(private_sigstore),
    )
    assert ended.code == 2
    assert "enable-openid-connect: true" in ended.err


# ---- services that fail


@pytest.mark.parametrize("kind", ["fulcio", "rekor", "tsa"])
@pytest.mark.parametrize("answer", [faulty.says(200, b"garbage"), faulty.says(500, b""), faulty.silent])
def test_a_service_that_fails_is_3_and_nothing_is_published(
    kind: str,
    answer: faulty.Answer,
    lane: Callable[..., Ended],
    scene: Scene,
    private_sigstore: PrivateSigstore,
) -> None:
    """Whatever service fails, however: 3, its name, no traceback, no bundle, nothing attached."""
    with FaultyService(behind=getattr(private_sigstore, f"{kind}_url"), answer=answer).running() as service:
        broken = private_sigstore.variant(scene.folder / "broken", **{f"{kind}_url": service.url})
        ended = lane("--output", "b.json", "--format", "json", "--timeout", "4", sigstore=broken)
    assert (ended.code, ended.document["error"]) == (3, "service-failed")
    assert service.url in ended.document["message"]
    assert "Traceback" not in ended.err
    assert not (scene.folder / "b.json").exists()
    assert attached(scene) == []


def test_a_process_ends_although_a_service_does_not_answer(scene: Scene, private_sigstore: PrivateSigstore) -> None:
    """What waits for a silent service does not keep the process alive, and the token is shown by nothing."""
    token = private_sigstore.token(jti="canary")
    with FaultyService(behind=private_sigstore.fulcio_url, answer=faulty.silent).running() as service:
        slow = private_sigstore.variant(scene.folder / "slow", fulcio_url=service.url)
        ended = spawn(
            *("--debug", "sign", scene.image, "--lane", "unit", "--result", "passed", "--keyless", *OUT),
            *("--trust-config", slow.trust_config, "--timeout", "3"),
            cwd=scene.folder,
            environment=clean_environment(scene.folder, **forgejo_job(private_sigstore, SIGSTORE_ID_TOKEN=token)),
        )
    assert ended.code == 3
    assert f"certificate authority at {service.url} did not answer in time" in ended.err
    assert not [part for part in token.split(".") if part in ended.err or part in ended.out]


def test_a_key_alone_loads_no_sigstore(scene: Scene) -> None:
    """Signing with a key asks nobody, and so loads nothing that could."""
    arguments = [str(part) for part in scene.sign_arguments("unit", *OUT)]
    environment = clean_environment(scene.folder, PYTHONPROFILEIMPORTTIME="1")
    ended = spawn(*arguments, cwd=scene.folder, environment=environment)
    assert ended.code == 0
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in ended.err.splitlines() if "|" in line}
    assert "attest" in loaded
    assert loaded & {"sigstore", "sigstore_models", "requests", "tuf", "rfc3161_client", "pydantic"} == set()


# ---- others read it


@pytest.fixture
def registered(olareg: Registry, sample_image: BuiltImage, tmp_path: Path) -> Scene:
    """An image in a registry."""
    return registry_scene(tmp_path, olareg, sample_image)


def cosign_verifies(scene: Scene, sigstore: PrivateSigstore, *options: object) -> list[dict[str, Any]]:
    """The Statements that `cosign verify-attestation` accepts under the same trusted root; none where it refuses."""
    home = scene.folder / "cosign-home"
    home.mkdir(exist_ok=True)
    arguments = [str(option) for option in options]
    trust = ["--trusted-root", str(sigstore.trusted_root), "--use-signed-timestamps", "--type", TEST_RESULT]
    done = attempt(
        Command(
            arguments=[require("cosign"), "verify-attestation", *trust, *arguments, scene.image],
            environment=plain_environment(home, DOCKER_CONFIG=str(home)),
            directory=home,
        )
    )
    if done.returncode != 0:
        return []
    return [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in done.stdout.splitlines()]


def test_cosign_accepts_what_a_job_signed(registered: Scene, private_sigstore: PrivateSigstore) -> None:
    """cosign accepts it for the identity and issuer that it is of, and for no other."""
    ended = attest(
        *("sign", registered.image, "--lane", "unit", "--result", "passed", "--keyless", *registered.options),
        *("--trust-config", private_sigstore.trust_config),
        cwd=registered.folder,
        stdin=b"",
        **forgejo_job(private_sigstore),
        **private_sigstore.issuers.job_environment(),
        **registered.environment,
    )
    assert ended.code == 0, ended.err
    identity, issuer = private_sigstore.identity(), private_sigstore.issuer
    (statement,) = cosign_verifies(
        registered, private_sigstore, "--certificate-identity", identity, "--certificate-oidc-issuer", issuer
    )
    assert statement["predicate"]["result"] == "PASSED"
    for wrong in ((identity + "x", issuer), (identity, issuer + "x")):
        options = ("--certificate-identity", wrong[0], "--certificate-oidc-issuer", wrong[1])
        assert cosign_verifies(registered, private_sigstore, *options) == []


def test_cosign_accepts_what_a_key_signed_before_witnesses(
    registered: Scene, private_sigstore: PrivateSigstore
) -> None:
    """cosign verifies log entry and timestamp of a key's signature, without being told to ignore the log."""
    registered.make_keys("unit", "stranger")
    registered.sign("unit", "--trust-config", private_sigstore.trust_config)
    (statement,) = cosign_verifies(registered, private_sigstore, "--key", registered.folder / "keys/unit.pub")
    assert statement["predicate"]["result"] == "PASSED"
    assert cosign_verifies(registered, private_sigstore, "--key", registered.folder / "keys/stranger.pub") == []


def test_cosign_wants_a_witness(registered: Scene, private_sigstore: PrivateSigstore) -> None:
    """The same signature without witnesses is what cosign refuses, so that it did look at them."""
    registered.make_keys("unit")
    registered.sign("unit")
    assert cosign_verifies(registered, private_sigstore, "--key", registered.folder / "keys/unit.pub") == []
