"""The real parts are what the other tests take them for."""

from __future__ import annotations

import hashlib
import json
import ssl
import urllib.parse
from pathlib import Path

import pytest

from tests.parts import crane, images, oras_cli, process, web
from tests.parts import gitea as gitea_part
from tests.parts.cosign import Cosign
from tests.parts.images import BuiltImage
from tests.parts.registry import Registry
from tests.parts.token_server import SERVICE, TokenServer

pytestmark = pytest.mark.parts

TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PASSED = {"result": "PASSED", "configuration": [{"name": "unit"}]}

every_registry = pytest.mark.parametrize(
    "which",
    [
        "docker_registry",
        "docker_registry_htpasswd",
        "docker_registry_token",
        "docker_registry_tls",
        "gitea",
        "olareg",
    ],
)


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


# ---- registries


@pytest.mark.parametrize("which", ["docker_registry", "gitea"])
def test_no_referrers_api(which: str, request: pytest.FixtureRequest, sample_image: BuiltImage) -> None:
    """docker-registry and Gitea answer 404 in plain text where the referrers API would be."""
    registry: Registry = request.getfixturevalue(which)
    pushed = images.push(sample_image, registry)
    answer = registry.referrers(pushed.repository, pushed.digest)
    assert (answer.status, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")


def test_olareg_has_the_referrers_api(olareg: Registry, sample_image: BuiltImage, tmp_path: Path) -> None:
    """olareg lists referrers: an empty index at first, afterwards what was attached."""
    pushed = images.push(sample_image, olareg)
    before = olareg.referrers(pushed.repository, pushed.digest)
    assert (before.status, json.loads(before.body)["manifests"]) == (200, [])
    note = tmp_path / "note.txt"
    note.write_text("attached")
    oras_cli.attach(olareg, pushed.reference, artifact_type="text/x-note", file=note)
    (referrer,) = json.loads(olareg.referrers(pushed.repository, pushed.digest).body)["manifests"]
    assert referrer["artifactType"] == "text/x-note"


def test_htpasswd_refuses_strangers(docker_registry_htpasswd: Registry) -> None:
    """The registry with basic authentication lets in its user and nobody else."""
    url = docker_registry_htpasswd.url + "/v2/"
    stranger = web.request("GET", url)
    assert stranger.status == 401
    assert stranger.headers["www-authenticate"].startswith("Basic ")
    wrong = web.request("GET", url, headers={"Authorization": web.basic("lane", "wrong")})
    assert wrong.status == 401
    assert docker_registry_htpasswd.ask("GET", "/v2/").status == 200


def test_token_flow_is_recorded(
    docker_registry_token: Registry, token_server: TokenServer, sample_image: BuiltImage
) -> None:
    """A push to the registry with token authentication asks the token server for just that repository."""
    challenge = web.request("GET", docker_registry_token.url + "/v2/")
    assert challenge.status == 401
    assert f'Bearer realm="{token_server.realm}",service="{SERVICE}"' in challenge.headers["www-authenticate"]
    seen = len(token_server.asked)
    pushed = images.push(sample_image, docker_registry_token)
    name = pushed.repository.partition("/")[2]
    asked = token_server.asked[seen:]
    assert {one.query["service"][0] for one in asked} == {SERVICE}
    assert f"repository:{name}:pull,push" in {scope for one in asked for scope in one.query["scope"]}
    assert all(one.status == 200 for one in asked)


def test_token_server_refuses_a_wrong_password(docker_registry_token: Registry, token_server: TokenServer) -> None:
    """Without the password there is no token, and the registry takes neither no token nor a forged one."""
    scope = urllib.parse.urlencode({"service": SERVICE, "scope": "repository:any:pull"})
    wrong = {"Authorization": web.basic("lane", "wrong")}
    assert web.request("GET", f"{token_server.realm}?{scope}", headers=wrong).status == 401
    assert token_server.asked[-1].authorization == wrong["Authorization"]
    forged = {"Authorization": "Bearer e30.e30.e30"}
    assert web.request("GET", docker_registry_token.url + "/v2/any/tags/list", headers=forged).status == 401


def test_tls_needs_the_authority(docker_registry_tls: Registry) -> None:
    """The registry over TLS is refused by who does not know its authority, and trusted by who does."""
    with pytest.raises(ssl.SSLCertVerificationError):
        web.request("GET", docker_registry_tls.url + "/v2/")
    assert docker_registry_tls.ask("GET", "/v2/").status == 200


def test_gitea_gives_bearer_tokens(gitea: Registry) -> None:
    """Gitea sends strangers to a token endpoint on its own host."""
    answer = web.request("GET", gitea.url + "/v2/")
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith(f'Bearer realm="{gitea.url}/v2/token"')


def test_gitea_forgets_what_only_a_tag_held(gitea: Registry, sample_image: BuiltImage) -> None:
    """On Gitea a manifest that was pushed by tag only is gone when the tag moves; pushed by digest it stays."""
    pushed = images.push(sample_image, gitea)
    name = pushed.repository.partition("/")[2]
    by_tag = json.dumps({**json.loads(pushed.manifest), "annotations": {"pushed": "by tag"}}).encode()
    by_digest = json.dumps({**json.loads(pushed.manifest), "annotations": {"pushed": "by digest"}}).encode()
    kind = {"Content-Type": images.OCI_MANIFEST}

    def put(reference: str, manifest: bytes) -> None:
        answer = gitea.ask("PUT", f"/v2/{name}/manifests/{reference}", headers=kind, body=manifest)
        assert answer.status == 201

    put("moving", by_tag)
    assert gitea.manifest(pushed.repository, _digest(by_tag)).status == 200
    put(_digest(by_digest), by_digest)
    put("moving", by_digest)
    assert gitea.manifest(pushed.repository, _digest(by_tag)).status == 404
    put("moving", pushed.manifest)
    assert gitea.manifest(pushed.repository, _digest(by_digest)).body == by_digest


def test_gitea_takes_a_push_of_its_user(gitea: Registry, tmp_path: Path) -> None:
    """Git pushes over http with the user's credentials, everybody may clone, and a stranger may not push."""
    organization = f"plex-{gitea.host.rpartition(':')[2]}"
    gitea_part.make_organization(gitea, organization)
    url = gitea_part.make_repository(gitea, organization, "playlist")

    def git(folder: Path, *arguments: str, **more: str) -> int:
        identity = ("-c", "user.name=n", "-c", "user.email=e@example.org")
        environment = process.plain_environment(tmp_path, **{"GIT_TERMINAL_PROMPT": "0", **more})
        command: list[str | Path] = ["git", *identity, *arguments]
        done = process.attempt(process.Command(arguments=command, environment=environment, directory=folder))
        return done.returncode

    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "song").write_text("one\n")
    for arguments in (("init", "--quiet", "-b", "main"), ("add", "."), ("commit", "--quiet", "-m", "one")):
        assert git(ours, *arguments) == 0
    assert git(ours, "push", url, "main") != 0
    assert git(ours, "push", url, "main", **gitea_part.git_credentials(gitea)) == 0
    assert git(tmp_path, "clone", "--quiet", url, "theirs") == 0
    assert (tmp_path / "theirs" / "song").read_text() == "one\n"


@every_registry
def test_every_registry_stores_the_bytes(
    which: str, request: pytest.FixtureRequest, sample_image: BuiltImage, index_image: BuiltImage
) -> None:
    """Every registry gives back an image and an image index byte for byte, by digest and by tag."""
    registry: Registry = request.getfixturevalue(which)
    for image in (sample_image, index_image):
        pushed = images.push(image, registry, tag="v1")
        assert _digest(pushed.manifest) == pushed.digest == image.digest
        assert registry.manifest(pushed.repository, "v1").body == image.manifest
        assert crane.digest(registry, f"{pushed.repository}:v1") == pushed.digest
        for child in pushed.platforms:
            assert registry.manifest(pushed.repository, child).status == 200


# ---- images


def test_images_are_what_they_are_called(
    sample_image: BuiltImage, other_image: BuiltImage, index_image: BuiltImage
) -> None:
    """The images are OCI images of real layers with different digests, the index has its two platforms."""
    assert len({sample_image.digest, other_image.digest, index_image.digest}) == 3
    manifest = json.loads(sample_image.manifest)
    assert manifest["mediaType"] == images.OCI_MANIFEST
    assert sum(layer["size"] for layer in manifest["layers"]) > 500_000
    index = json.loads(index_image.manifest)
    assert index["mediaType"] == images.OCI_INDEX
    platforms = sorted(child["platform"]["architecture"] for child in index["manifests"])
    assert platforms == ["amd64", "arm64"]


def test_docker_format(any_registry: Registry, sample_image: BuiltImage) -> None:
    """An image can be pushed with Docker's own manifest type, as most images in the world are."""
    pushed = images.push_docker_format(sample_image, any_registry)
    assert pushed.media_type == images.DOCKER_MANIFEST
    assert _digest(pushed.manifest) == pushed.digest


# ---- peers


@every_registry
def test_cosign_round_trip(
    which: str, request: pytest.FixtureRequest, sample_image: BuiltImage, cosign: Cosign
) -> None:
    """What cosign attests in any registry cosign verifies there, with that key and that type only; oras shows it."""
    registry: Registry = request.getfixturevalue(which)
    pushed = images.push(sample_image, registry)
    key = cosign.generate_key_pair(f"right-{which}", password="secret")
    stranger = cosign.generate_key_pair(f"wrong-{which}")
    cosign.attest(registry, pushed.reference, key=key, predicate_type=TEST_RESULT, predicate=PASSED)

    (statement,) = cosign.verify_attestation(
        registry, pushed.reference, public_key=key.public, predicate_type=TEST_RESULT
    )
    assert statement["predicate"] == PASSED
    assert statement["subject"][0]["digest"] == {"sha256": pushed.digest.removeprefix("sha256:")}
    with pytest.raises(process.PartError, match="no matching attestations"):
        cosign.verify_attestation(registry, pushed.reference, public_key=stranger.public, predicate_type=TEST_RESULT)
    with pytest.raises(process.PartError, match="none of the attestations matched the predicate type"):
        cosign.verify_attestation(
            registry, pushed.reference, public_key=key.public, predicate_type="https://example.com/other"
        )
    (found,) = oras_cli.discover(registry, pushed.reference)
    assert found.artifact_type == BUNDLE
    assert found.annotations["dev.sigstore.bundle.predicateType"] == TEST_RESULT


def test_cosign_legacy(any_registry: Registry, sample_image: BuiltImage, cosign: Cosign) -> None:
    """cosign's older form is one image at the tag `sha256-HEX.att`, a layer for each attestation, no referrer."""
    pushed = images.push(sample_image, any_registry)
    key = cosign.generate_key_pair(f"legacy-{any_registry.name}")
    for _ in range(2):
        cosign.attest_legacy(any_registry, pushed.reference, key=key, predicate_type=TEST_RESULT, predicate=PASSED)
    tag = pushed.digest.replace(":", "-") + ".att"
    assert crane.tags(any_registry, pushed.repository) == [tag]
    layers = json.loads(crane.manifest(any_registry, f"{pushed.repository}:{tag}"))["layers"]
    assert [layer["mediaType"] for layer in layers] == ["application/vnd.dsse.envelope.v1+json"] * 2
    assert oras_cli.discover(any_registry, pushed.reference) == []
    statements = cosign.verify_attestation(
        any_registry, pushed.reference, public_key=key.public, predicate_type=TEST_RESULT
    )
    assert [statement["predicate"] for statement in statements] == [PASSED, PASSED]


def test_cosign_stays_off_the_network(docker_registry: Registry, sample_image: BuiltImage, cosign: Cosign) -> None:
    """Neither attesting nor verifying asks anybody but the registry."""
    pushed = images.push(sample_image, docker_registry)
    key = cosign.generate_key_pair("hermetic")
    attesting = cosign.attesting(
        docker_registry, pushed.reference, key=key, predicate_type=TEST_RESULT, predicate=PASSED
    )
    verifying = cosign.verifying(docker_registry, pushed.reference, public_key=key.public, predicate_type=TEST_RESULT)
    for command in (attesting, verifying):
        result = process.attempt(command)
        assert result.returncode == 0
        assert b"TUF" not in result.stderr
        assert b"sigstore.dev" not in result.stderr


def test_oras_sees_a_layout(sample_image: BuiltImage, tmp_path: Path) -> None:
    """oras shows what is attached to an image in an OCI layout, and nothing before."""
    layout = images.copy_layout(sample_image, tmp_path / "layout").layout
    assert oras_cli.discover_in_layout(layout, sample_image.digest) == []
    note = tmp_path / "note.txt"
    note.write_text("attached")
    oras_cli.attach_in_layout(layout, sample_image.digest, artifact_type="text/x-note", file=note)
    (found,) = oras_cli.discover_in_layout(layout, sample_image.digest)
    assert found.artifact_type == "text/x-note"
