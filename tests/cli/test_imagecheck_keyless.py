"""`attest image check --sign --keyless`, as a job of a forge before a private Sigstore."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.imagechecks import APPLICATION, BASE, write_contract, write_image
from tests.cli.running import Ended, attest
from tests.cli.scene import Scene, open_layout
from tests.cli.test_sign_keyless import forgejo_job
from tests.parts.sigstore import PrivateSigstore

pytestmark = pytest.mark.parts


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """An image that its contract allows."""
    made = Scene(folder=tmp_path, image=write_image(tmp_path / "image", BASE, APPLICATION))
    write_contract(made)
    return made


@pytest.fixture
def lane(scene: Scene, private_sigstore: PrivateSigstore) -> Callable[..., Ended]:
    """Checks the image and signs keyless, as a job of the private Sigstore's forge."""

    def check(*options: object) -> Ended:
        return attest(
            *("image", "check", scene.image, "--contract", "contract.yaml"),
            *("--sign", "--keyless", "--trust-config", private_sigstore.trust_config, *options),
            cwd=scene.folder,
            stdin=b"",
            **forgejo_job(private_sigstore),
            **private_sigstore.issuers.job_environment(),
        )

    return check


def test_a_job_signs_as_itself(lane: Callable[..., Ended], scene: Scene) -> None:
    """The result is signed as the job that the token is of, witnessed, and attached to the image."""
    ended = lane("--format", "json")
    assert ended.code == 0, ended.err
    signed = ended.document["signed"]
    assert (signed["lane"], signed["result"]) == ("contract", "PASSED")
    assert signed["identity"]
    assert signed["times"]
    assert len(open_layout(scene.folder / "image").read_index()["manifests"]) == 2


def test_people_see_who_signs(lane: Callable[..., Ended]) -> None:
    """Source, run and services are shown before the checks, and the identity with its time after them."""
    ended = lane()
    assert ended.code == 0, ended.err
    words = [line.split()[0] for line in ended.err.splitlines()]
    assert words[:2] == ["repository", "commit"]
    assert {"issuer", "service"} <= set(words)
    assert words[-4:] == ["identity", "seen", "attached", "bundle"]


def test_another_source_is_refused_before_the_checks(lane: Callable[..., Ended], scene: Scene) -> None:
    """A token that does not confirm the source ends with 2, and nothing is checked, printed or signed."""
    ended = lane("--source-commit", 40 * "0")
    assert (ended.code, ended.out) == (2, "")
    assert "the identity token does not confirm the context" in ended.err
    assert len(open_layout(scene.folder / "image").read_index()["manifests"]) == 1
