"""Releases: read one from its file, and make one of images that are there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attest.core import limits
from attest.core.reference import LayoutImage
from attest.core.releasedocument import ReleaseFile, Service, read_release
from attest.core.statement import is_lane
from attest.errors import UsageError
from attest.ops.load import beside
from attest.ops.named import Named
from attest.ops.parallel import each
from attest.ports import ParseDocument, ReadFile, Store


def open_release(file: str, *, read_file: ReadFile, parse_document: ParseDocument) -> ReleaseFile:
    """The release in a file; `-` is standard input. Paths of layouts are those from here on, not from the file on.

    Raises:
        DocumentInvalid: it cannot be read, or is no release; with the place.
    """
    release = read_release(parse_document(read_file(file, limit=limits.DOCUMENT), file=file))
    services = {name: _from_here(file, service) for name, service in release.services.items()}
    return ReleaseFile(commit=release.commit, services=services)


def images_of(release: ReleaseFile) -> tuple[Named, ...]:
    """The images of a release, as a command line would name them."""
    return tuple(Named(reference=one.image, repository=one.repository) for one in release.services.values())


def create_release(store: Store, services: Mapping[str, Named], *, commit: str) -> ReleaseFile:
    """The release of these images; each of them is there.

    Raises:
        UsageError: two services have one image, or nobody said which repository a layout's image stands for.
        StoreError: an image is not there, or could not be read.
    """
    made: dict[str, Service] = {}
    for name, image in services.items():
        if image.repository is None:
            hint = "give one --repository for each oci: image, in their order"
            raise UsageError(f"nothing says which repository {name} ({image.reference}) stands for", hint=hint)
        for other, service in made.items():
            if service.image.digest == image.reference.digest:
                hint = "a release has each image once: name the image that the service runs, or leave one of them out"
                raise UsageError(f"{name} has the same image as {other}: {image.reference.digest}", hint=hint)
        made[name] = Service(image=image.reference, repository=image.repository)
    each(store.describe, [service.image for service in made.values()])
    return ReleaseFile(commit=commit, services=made)


def agree_on_commit(release: ReleaseFile, commit: str | None, *, place: str) -> None:
    """Let a lane sign about a release only where it looked at the commit that the release is of.

    Raises:
        UsageError: `commit`, which `place` names, is another one.
    """
    if commit == release.commit:
        return
    raise UsageError(
        f"the release is of commit {release.commit}, and this lane of {commit or 'none'} ({place})",
        hint="run the lane on the release's commit; if that is what it looked at, say so with --source-commit",
    )


def service_names(texts: Sequence[str]) -> Mapping[str, str]:
    """The services that `--service NAME=REFERENCE` names, in order, each with its reference as text.

    Raises:
        UsageError: one has another form, or stands twice.
    """
    services: dict[str, str] = {}
    for text in texts:
        name, equals, reference = text.partition("=")
        if not equals or not reference or not is_lane(name):
            hint = "write NAME=HOST/REPOSITORY@sha256:..., the name in lower-case letters, digits and . _ -"
            raise UsageError(f"{text[:80]!r} names no service", hint=hint)
        if name in services:
            raise UsageError(f"the service {name} is named twice", hint="a service runs one image")
        services[name] = reference
    return services


def _from_here(file: str, service: Service) -> Service:
    if not isinstance(service.image, LayoutImage):
        return service
    image = LayoutImage(path=beside(file, service.image.path), digest=service.image.digest)
    return Service(image=image, repository=service.repository)
