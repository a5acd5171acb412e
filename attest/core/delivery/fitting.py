"""Which image each service of an environment gets, of those that somebody names."""

from __future__ import annotations

from collections.abc import Sequence

from attest.core.delivery.records import DeliveredRelease
from attest.core.environment.definition import Environment
from attest.core.reference import RegistryImage
from attest.core.releasedocument import ReleaseFile
from attest.errors import UsageError


def release_of_file(environment: Environment, release: ReleaseFile) -> DeliveredRelease:
    """The release in a file, as it is deployed here.

    Services are matched by their names, and what counts of an image is its digest: it is pulled from the one repository
    that the environment binds the service to, wherever the file found it.

    Raises:
        UsageError: the two do not have the same services.
    """
    for name in environment.services:
        if name not in release.services:
            raise UsageError(f"the release has no image for {name} of {environment.name}", hint=_WHOLE)
    for name in release.services:
        if name not in environment.services:
            problem = f"the release has a service {name}, which {environment.name} does not have"
            raise UsageError(problem, hint="name it in the environment, or leave it out of the release")
    services = {
        name: RegistryImage(repository=service.repository, digest=release.services[name].image.digest)
        for name, service in environment.services.items()
    }
    return DeliveredRelease(commit=release.commit, services=services)


def release_of_images(environment: Environment, images: Sequence[RegistryImage]) -> DeliveredRelease:
    """The release that images are, each for the services that are bound to its repository.

    Raises:
        UsageError: an image is for no service, two are for one, or a service gets none.
    """
    services: dict[str, RegistryImage] = {}
    for image in images:
        found = environment.services_of(image.repository)
        if not found:
            places = ", ".join(str(service.repository) for service in environment.services.values())
            problem = f"{image.repository} is the repository of no service of {environment.name}"
            raise UsageError(problem, hint=f"its services are bound to {places}")
        for name in found:
            if name in services:
                raise UsageError(f"{name} would get two images", hint="name one image of each repository")
            services[name] = image
    for name in environment.services:
        if name not in services:
            raise UsageError(f"no image is named for {name} of {environment.name}", hint=_WHOLE)
    return DeliveredRelease(commit=None, services={name: services[name] for name in environment.services})


_WHOLE = "an environment is deployed as a whole, so that there is a whole to go back to: name an image of each service"
