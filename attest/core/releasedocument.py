"""The document of a release, version 1: which image each service runs, and the source commit of all of them.

It names what is tested together, signed together by joint lanes, and verified, promoted and deployed together. The
language is described in docs/releases.md; `schema()` is what editors check it with. A release file decides nothing:
whether its images may go anywhere is for a policy to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import Field, PlainValidator, WithJsonSchema

from attest.core.document import Document, Path
from attest.core.model import DocumentModel, read_model, schema_of
from attest.core.policyfields import LANE_PATTERN, Commit, Name, Version
from attest.core.reference import (
    ImageReference,
    LayoutImage,
    RegistryImage,
    Repository,
    parse_reference,
    parse_repository,
)
from attest.core.statement import is_commit, is_lane
from attest.core.strictjson import Json
from attest.errors import ReferenceInvalid

SCHEMA_NAME: Final = "https://attest-gate.dev/schema/release-v1.json"
"""`$id` of the schema: a name, not an address to ask."""

_KEYS: Final = ("image", "repository")
_FORM: Final = "write {image: oci:PATH@sha256:..., repository: HOST/REPOSITORY}"
_REGISTRY_FORM: Final = "write HOST/REPOSITORY@sha256:..., or for a layout {image: oci:..., repository: ...}"
_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9._/@+-]*(?::[A-Za-z0-9._/@+-]+)*")
"""Text that YAML reads as this very text, without quotes; what begins with a digit might be a number."""
_WORDS: Final = frozenset({"null", "true", "false"})


def _service(value: Json) -> Json:
    if isinstance(value, str | dict):
        return value
    raise ValueError(f"it must be the reference of an image; {_REGISTRY_FORM}")


_Service = Annotated[
    Json,
    PlainValidator(_service),
    WithJsonSchema(
        {
            "description": "the image of this service, by digest",
            "oneOf": [
                {"type": "string", "pattern": "^[^/@]+/[^@]+@sha256:[0-9a-f]{64}$"},
                {
                    "type": "object",
                    "properties": {
                        "image": {"type": "string", "pattern": "^oci:.+@sha256:[0-9a-f]{64}$"},
                        "repository": {"type": "string", "pattern": "^[^/@]+/[^@]+$"},
                    },
                    "required": list(_KEYS),
                    "additionalProperties": False,
                },
            ],
        }
    ),
]


class ReleaseDocument(DocumentModel):
    """A release for attest: the image of each service by digest, and the commit that they are built from."""

    version: Version
    commit: Commit
    services: Annotated[
        dict[Name, _Service], Field(min_length=1, json_schema_extra={"propertyNames": {"pattern": LANE_PATTERN}})
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The image that a service runs. `repository` is what policies compare, and what a layout's image stands for."""

    image: ImageReference
    repository: Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFile:
    """What a release file says: its services in the order of the document, no two of them with one image."""

    commit: str
    services: Mapping[str, Service]


def schema() -> dict[str, Json]:
    """JSON Schema of a release document, for editors. The loader refuses more: what no schema can say."""
    return schema_of(ReleaseDocument, title="attest release", name=SCHEMA_NAME)


def read_release(document: Document) -> ReleaseFile:
    """The release that a document is. Paths of layouts stay as they stand there.

    Raises:
        DocumentInvalid: it is none, a service is named by a tag, or two services have one image; with the place.
    """
    model = read_model(ReleaseDocument, document)
    services: dict[str, Service] = {}
    for name, value in model.services.items():
        path: Path = ("services", name)
        services[name] = _read_service(document, path, value)
        twin = next((other for other in services if other != name and _same(services[other], services[name])), None)
        if twin is not None:
            problem = f"{name} has the same image as {twin}; a release has each image once"
            raise document.invalid(path, problem, hint="name the image that it runs, or leave one of them out")
    return ReleaseFile(commit=model.commit, services=services)


def write_release(release: ReleaseFile) -> str:
    """The document that says this: the same text for the same release, services in the order of their names.

    Raises:
        ValueError: what would be written is no release that `read_release` accepts.
    """
    if not is_commit(release.commit) or not release.services or not all(map(is_lane, release.services)):
        raise ValueError("no release: it needs a full commit id and services with names")
    return "".join(f"{line}\n" for line in _lines(release))


def _lines(release: ReleaseFile) -> Iterator[str]:
    yield "version: 1"
    yield f"commit: {_quoted(release.commit)}"
    yield "services:"
    for name, service in sorted(release.services.items()):
        if isinstance(service.image, RegistryImage):
            yield f"  {_quoted(name)}: {_quoted(str(service.image))}"
        else:
            yield f"  {_quoted(name)}:"
            yield f"    image: {_quoted(str(service.image))}"
            yield f"    repository: {_quoted(str(service.repository))}"


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) is not None and text not in _WORDS:
        return text
    return json.dumps(text)  # YAML 1.2 reads JSON


def _same(one: Service, other: Service) -> bool:
    """By digest alone: the same bytes under another name are the same image, and one subject of a Statement."""
    return one.image.digest == other.image.digest


def _read_service(document: Document, path: Path, value: Json) -> Service:
    if isinstance(value, str):
        image = _image(document, path, value)
        if isinstance(image, LayoutImage):
            raise document.invalid(path, f"{value[:80]!r} does not say which repository it stands for", hint=_FORM)
        return Service(image=image, repository=image.repository)
    texts = _members(document, path, value)
    image = _image(document, (*path, "image"), texts["image"])
    if isinstance(image, RegistryImage):
        problem = "an image in a registry says itself which repository it is in"
        raise document.invalid_key((*path, "repository"), problem, hint=f"write {path[-1]}: {image}")
    try:
        return Service(image=image, repository=parse_repository(texts["repository"]))
    except ReferenceInvalid as error:
        raise document.invalid((*path, "repository"), error.message, hint=error.hint) from error


def _members(document: Document, path: Path, value: Json) -> Mapping[str, str]:
    assert isinstance(value, dict)  # noqa: S101 - what `_service` lets through
    texts: dict[str, str] = {}
    for key, text in value.items():
        if key not in _KEYS:
            raise document.invalid_key((*path, key), f"unknown key `{key}`; there may be {', '.join(_KEYS)}")
        if not isinstance(text, str):
            raise document.invalid((*path, key), f"`{key}` must be text", hint=_FORM)
        texts[key] = text
    for key in _KEYS:
        if key not in texts:
            raise document.invalid_key(path, f"`{key}` is missing", hint=_FORM)
    return texts


def _image(document: Document, path: Path, text: str) -> ImageReference:
    try:
        reference = parse_reference(text)
    except ReferenceInvalid as error:
        raise document.invalid(path, error.message, hint=error.hint) from error
    if isinstance(reference, RegistryImage | LayoutImage):
        return reference
    problem = f"{text[:80]!r} is a tag, and a tag can be moved; name the image by its digest"
    raise document.invalid(path, problem, hint=f"`attest resolve {text[:80]}` prints what it stands for now")
