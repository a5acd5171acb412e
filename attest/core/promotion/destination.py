"""Where a promotion goes, and the tag that it ends with: decided before anything moves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from attest.core.policy import Policy
from attest.core.reference import (
    Digest,
    ImageReference,
    LayoutImage,
    LayoutTag,
    RegistryImage,
    RegistryTag,
    Repository,
    TagReferences,
    parse_repository,
)
from attest.core.verdict import Findings, State
from attest.errors import ReferenceInvalid, UsageError

TAG_FORMAT: Final = "sha-{commit}-{digest12}"
"""What a promoted image is tagged with, unless the command line says otherwise."""

_LAYOUT: Final = "oci:"
_FIELD: Final = re.compile(r"\{([^{}]*)\}")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_EVIDENCE: Final = "sha256-"
_COMMITS: Final = frozenset({"commit", "commit12"})
_DIGESTS: Final = frozenset({"digest", "digest12"})
_FIELDS_HINT: Final = "there are {commit}, {commit12}, {digest} and {digest12}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagFormat:
    """How the tags of promoted images are written: text with fields, at least one of them a digest's.

    A tag that names its digest can be claimed by one image only. That is what makes it immutable on registries that
    would let it be moved: two promotions can never want it for different images.
    """

    text: str

    @property
    def names_commit(self) -> bool:
        """Whether a commit is needed to write one."""
        return not _COMMITS.isdisjoint(_FIELD.findall(self.text))

    def tag(self, digest: Digest, commit: str | None) -> str:
        """The tag of an image.

        Raises:
            UsageError: what comes out is no tag, or a commit is named and there is none.
        """
        if self.names_commit and commit is None:
            raise UsageError(
                "the evidence does not name one commit for the tag",
                hint="write the tag without it, as --tag-format 'sha-{digest12}', or name a release with its commit",
            )
        hexadecimal = digest.removeprefix("sha256:")
        whole = commit or ""
        values = {
            "commit": whole,
            "commit12": whole[:12],
            "digest": hexadecimal,
            "digest12": hexadecimal[:12],
        }
        text = _FIELD.sub(lambda match: values[match[1]], self.text)
        if _TAG.fullmatch(text) is None:
            raise UsageError(f"{text!r} is not a tag", hint="at most 128 letters, digits, and . _ -")
        return text


def parse_tag_format(text: str) -> TagFormat:
    """The format that a command line names.

    Raises:
        UsageError: it has an unknown field, no digest, or makes tags that mean something else.
    """
    fields = _FIELD.findall(text)
    for name in fields:
        if name not in _COMMITS | _DIGESTS:
            raise UsageError(f"--tag-format has an unknown field {{{name}}}", hint=_FIELDS_HINT)
    if _DIGESTS.isdisjoint(fields):
        raise UsageError(
            "--tag-format names no digest, so that two images could claim one tag",
            hint="end it with {digest12}, as in " + TAG_FORMAT,
        )
    if text.startswith(_EVIDENCE):
        raise UsageError(
            f"tags that begin with {_EVIDENCE} are those of attestations", hint=f"the default is {TAG_FORMAT}"
        )
    made = TagFormat(text=text)
    made.tag(Digest("sha256:" + 64 * "0"), 40 * "0")  # what is no tag for one image is none for any
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an image goes. `repository` is what policies compare, and what a layout stands for."""

    repository: Repository
    layout: str | None = None
    """The path of an OCI image layout; None for the repository itself."""

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.repository) if self.layout is None else f"{_LAYOUT}{self.layout}"

    def image(self, digest: Digest) -> ImageReference:
        """The image there, by digest."""
        if self.layout is not None:
            return LayoutImage(path=self.layout, digest=digest)
        return RegistryImage(repository=self.repository, digest=digest)

    def tag(self, tag: str) -> TagReferences:
        """The tag there."""
        if self.layout is not None:
            return LayoutTag(path=self.layout, tag=tag)
        return RegistryTag(repository=self.repository, tag=tag)


def places(to: str, repositories: Sequence[Repository], *, release: str | None) -> tuple[Place, ...]:
    """Where the images that stand for these repositories go.

    `to` is a repository or `oci:PATH`. It is a prefix, to which the last path component of each is added, where it ends
    in `/`, and always for a release (`release` names its file).

    Raises:
        ReferenceInvalid: it is no place.
        UsageError: several images would go to one place.
    """
    prefix = to.endswith("/") or release is not None
    if len(repositories) > 1 and not prefix:
        raise UsageError(
            f"{len(repositories)} images cannot all go to {to}",
            hint=f"--to {to}/ puts each into a repository of its own below it",
        )
    found: list[Place] = []
    for repository in repositories:
        place = _place(f"{to.removesuffix('/')}/{repository.name}" if prefix else to, repository)
        if place.name in [other.name for other in found]:
            raise UsageError(
                f"two images would go to {place.name}",
                hint="promote them one by one, each with a --to of its own",
            )
        found.append(place)
    return tuple(found)


def _place(to: str, source: Repository) -> Place:
    if not to.startswith(_LAYOUT):
        return Place(repository=parse_repository(to))
    path = to.removeprefix(_LAYOUT)
    if not path or "@" in path.rpartition("/")[2] or ":" in path.rpartition("/")[2]:
        raise ReferenceInvalid(
            f"{to!r} is not the place of an image layout", hint="write oci:PATH; --tag-format makes the tag"
        )
    return Place(repository=source, layout=path)


def check_places(policy: Policy, found: Sequence[Place]) -> None:
    """Let images go only where the policy speaks.

    Raises:
        UsageError: the policy's `images` do not name a destination.
    """
    for place in found:
        if not policy.speaks_for(place.repository):
            raise UsageError(
                f"the policy {policy.name} does not speak for {place.repository}; nothing was moved",
                hint="its `images` name every place that an image may be in, the destination of a promotion too",
            )


def commit_of(policy: Policy, findings: Findings) -> str | None:
    """The one commit that the evidence of all bound lanes is about; None where they name none, or several."""
    lanes = {lane.name: lane for lane in policy.lanes}
    found: set[str] = set()
    for image in findings.images:
        for verdict in image.lanes:
            lane = lanes[verdict.lane]
            if lane.unbound or verdict.state is not State.PRESENT:
                continue  # what is waived may be about anything
            for verified in verdict.evidence:
                sources = () if lane.source_from_statement else verified.sources
                commits = (verified.statement.context.commit, *(source.commit for source in sources))
                found.update(commit for commit in commits if commit is not None)
    return found.pop() if len(found) == 1 else None
