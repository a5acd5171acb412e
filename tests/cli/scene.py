"""A folder with keys, images in OCI layouts and a policy, and the commands that lanes and the gate run in it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from attest.adapters.keys import Algorithm, generate
from attest.core.keys import public_key
from tests.cli.running import Ended, attest
from tests.layouts import Entry, Layout

SOURCE = "https://git.example.org/plex/playlist"
COMMIT = "4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70"
REF = "refs/heads/main"
REPOSITORY = "registry.example.org/plex/backend"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
PROVENANCE = "https://slsa.dev/provenance/v1"
LANES = ("build", "contract", "fast-check", "integration", "e2e")

PROVENANCE_PREDICATE = {
    "buildDefinition": {
        "buildType": "https://example.org/build/v1",
        "externalParameters": {"target": "runtime"},
        "resolvedDependencies": [{"uri": f"git+{SOURCE}@{REF}", "digest": {"gitCommit": COMMIT}}],
    },
    "runDetails": {"builder": {"id": "https://example.org/builder"}},
}

CONTEXT = (
    *("--source-repository", SOURCE),
    *("--source-commit", COMMIT),
    *("--source-ref", REF),
)


def policy_text(
    lanes: Mapping[str, str] | Sequence[str],
    *,
    images: Sequence[str] = (REPOSITORY,),
    name: str = "staging",
    serial: int = 1,
    signers: Mapping[str, str] | None = None,
    more: str = "",
    bind: str = "[repository, commit]",
) -> str:
    """A policy document. `lanes` gives each its rule, or names lanes of a test-result each signed with its own key."""
    if not isinstance(lanes, Mapping):
        lanes = {lane: f"{{predicate-type: {TEST_RESULT}, signer: {lane}}}" for lane in lanes}
    if signers is None:
        signers = {lane: f"{{key: keys/{lane}.pub}}" for lane in lanes}
    lines = [
        "version: 1",
        f"name: {name}",
        f"serial: {serial}",
        f"images: [{', '.join(images)}]",
        f"source: {{repository: {SOURCE}, bind: {bind}}}",
        *([more] if more else []),
        "signers:",
        *(f"  {signer}: {rule}" for signer, rule in signers.items()),
        "lanes:",
        *(f"  {lane}: {rule}" for lane, rule in lanes.items()),
    ]
    return "\n".join(lines) + "\n"


def open_layout(path: Path) -> Layout:
    """A layout that is there already, to write into."""
    layout = Layout.__new__(Layout)
    layout.path = path
    layout._blobs = path / "blobs" / "sha256"
    return layout


@dataclass(slots=True, kw_only=True)
class Scene:
    """One folder. `image` is the reference that commands use unless they are given another."""

    folder: Path
    image: str = ""
    repository: str | None = REPOSITORY
    """What the image in a layout stands for; None for one in a registry."""
    options: tuple[str, ...] = ()
    """What every command that speaks to a store gets."""
    environment: dict[str, str] = field(default_factory=dict)
    run: int = 1
    others: tuple[str, ...] = ()
    """The further images of a release."""

    def make_keys(self, *names: str, algorithm: Algorithm = "ecdsa-p256") -> None:
        """Key pairs in `keys/`, without passphrases."""
        for name in names:
            generate(name, self.folder / "keys", algorithm, None)

    def fingerprint(self, name: str) -> str:
        """SHA-256 of a key's DER, as `revoked` names it."""
        return public_key((self.folder / "keys" / f"{name}.pub").read_bytes()).fingerprint

    def make_image(self, name: str = "image", content: str = "an application") -> Entry:
        """An image in a layout of its own, which becomes the image of the scene; its descriptor."""
        layout = Layout(self.folder / name)
        entry = layout.add(layout.image(content), name="v1")
        self.image = f"oci:{name}@{entry['digest']}"
        return entry

    def write_policy(self, text: str, name: str = "policy.yaml") -> Path:
        """Write a policy document."""
        path = self.folder / name
        path.write_text(text)
        return path

    def attach_bytes(self, content: bytes) -> None:
        """Attach anything to the scene's image in its layout, as somebody may who never heard of bundles."""
        layout = open_layout(self.folder / "image")
        (image,) = [one for one in layout.read_index()["manifests"] if one["digest"] == self.digest]
        layout.add(layout.referrer({name: image[name] for name in ("mediaType", "digest", "size")}, content))

    def copy_layout(self, name: str, source: str = "image") -> str:
        """The scene's image in a copy of its layout."""
        shutil.copytree(self.folder / source, self.folder / name)
        return f"oci:{name}@{self.digest}"

    @property
    def digest(self) -> str:
        """The digest of the scene's image."""
        return self.image.rpartition("@")[2]

    def attest(self, *arguments: object, stdin: bytes = b"", **environment: str) -> Ended:
        """Any command, in the folder."""
        return attest(*arguments, cwd=self.folder, stdin=stdin, **{**self.environment, **environment})

    def sign_arguments(
        self, lane: str, *options: object, image: str | Sequence[str] | None = None, key: str | None = None
    ) -> list[object]:
        """The arguments of a lane that signs: PASSED, unless `options` say what."""
        images = [image or self.image] if image is None or isinstance(image, str) else list(image)
        what = () if {"--result", "--predicate"} & set(options) else ("--result", "passed")
        run = () if "--run-id" in options else ("--run-id", str(self.run))
        return [
            "sign",
            *images,
            *self._repositories(images),
            *("--lane", lane, "--key", f"keys/{key or lane}.key"),
            *(() if "--source-commit" in options else CONTEXT),
            *run,
            *what,
            *self.options,
            *options,
        ]

    def sign(
        self, lane: str, *options: object, image: str | Sequence[str] | None = None, key: str | None = None
    ) -> Ended:
        """A lane signs, and succeeds."""
        ended = self.attest(*self.sign_arguments(lane, *options, image=image, key=key))
        assert ended.code == 0, ended.err
        return ended

    def verify(self, *options: object, image: str | Sequence[str] | None = None) -> Ended:
        """Ask the gate, under `policy.yaml` unless `options` name another policy."""
        images = [image or self.image] if image is None or isinstance(image, str) else list(image)
        policy = () if "--policy" in options else ("--policy", "policy.yaml")
        return self.attest("verify", *images, *self._repositories(images), *policy, *self.options, *options)

    def _repositories(self, images: Sequence[str]) -> list[str]:
        if self.repository is None:
            return []
        return [part for image in images if image.startswith("oci:") for part in ("--repository", self.repository)]
