"""SLSA Provenance v1 of an image's build, as a build lane signs it.

Source: SLSA v1.1 `provenance.md`. The build type, with what each parameter means, is described in docs/provenance.md.
Where BuildKit has a place for a parameter it stands there, so that one `where` reads either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from attest.core.lane.buildfacts import BuildFacts, Material
from attest.core.oci import OciInvalid
from attest.core.reference import Digest, RegistryImage, Repository, is_digest
from attest.core.secrets import find_secret
from attest.core.statement import Context, format_time
from attest.core.strictjson import Json, JsonInvalid, loads

BUILD_TYPE: Final = "https://attest-gate.dev/build/container/v1"
"""`buildType`: a name, not an address to ask; docs/provenance.md says what it means."""


class ProvenanceInvalid(ValueError):
    """What is known about a build does not fit together, or may not be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedImage:
    """An image that went into the build, by digest."""

    repository: Repository
    digest: Digest

    @property
    def uri(self) -> str:
        """The package URL (purl-spec, type `oci`): the name, the digest as version, and where it is."""
        place = quote(str(self.repository), safe="/")
        return f"pkg:oci/{self.repository.name}@{quote(self.digest, safe='')}?repository_url={place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What the lane itself says of the build; None and empty where it says nothing."""

    builder: str | None = None
    invocation: str | None = None
    containerfile: str | None = None
    """The path within the source."""
    containerfile_digest: Digest | None = None
    target: str | None = None
    arguments: Mapping[str, str | None] = field(default_factory=dict)
    """Build arguments to tell, by name; None where the builder has said the value."""
    bases: Sequence[UsedImage] = ()
    """Images whose layers the built image begins with: somebody has looked."""
    images: Sequence[UsedImage] = ()
    """Other images that the build used, such as those of earlier stages."""
    platforms: Sequence[str] = ()
    started: datetime | None = None
    finished: datetime | None = None


def provenance(recipe: Recipe, facts: BuildFacts, context: Context) -> dict[str, Json]:
    """The predicate of a SLSA Provenance v1.

    Of the build arguments that a builder names only those are told that the recipe names, since a value may be a
    secret and the statement is public; the names of the others stand in `internalParameters`.

    Raises:
        ProvenanceInvalid: nobody says who the builder is; recipe, facts and context contradict each other; a build
            argument has no value; or something that would be told has the form of a credential.
    """
    _check_source(facts, context)
    builder = recipe.builder or facts.builder
    if builder is None:
        raise ProvenanceInvalid("nothing says who the builder is; name it with --builder-id URI")
    started, finished = recipe.started or facts.started, recipe.finished or facts.finished
    predicate: dict[str, Json] = {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": _external(recipe, facts, context),
            "internalParameters": _internal(recipe, facts, context),
            "resolvedDependencies": _dependencies(recipe, facts, context),
        },
        "runDetails": {
            "builder": _without_empty({"id": builder, "version": dict(sorted(facts.tool.items()))}),
            "metadata": _without_empty(
                {
                    "invocationId": recipe.invocation or facts.invocation or context.run_url or context.run_id,
                    "startedOn": None if started is None else format_time(started),
                    "finishedOn": None if finished is None else format_time(finished),
                }
            ),
        },
    }
    _check_public(predicate, "")
    return predicate


def diff_ids(config: bytes) -> tuple[str, ...]:
    """The digests of an image's unpacked layers, lowest first (image-spec, "Image Configuration", `rootfs`).

    Raises:
        OciInvalid: the bytes are no configuration with layers.
    """
    try:
        document = loads(config)
    except JsonInvalid as error:
        raise OciInvalid(f"the image configuration is not strict JSON: {error}") from error
    rootfs = document.get("rootfs") if isinstance(document, dict) else None
    layers = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    if not isinstance(layers, list) or not all(isinstance(layer, str) and is_digest(layer) for layer in layers):
        raise OciInvalid("the image configuration names no layers")
    return tuple(layers)


def is_built_on(image: Sequence[str], base: Sequence[str]) -> bool:
    """Whether an image with these layers begins with all of the base's; a base without layers proves nothing."""
    return bool(base) and tuple(image[: len(base)]) == tuple(base)


def used(image: RegistryImage) -> UsedImage:
    """An image of a registry, as something that a build used."""
    return UsedImage(repository=image.repository, digest=image.digest)


def _check_source(facts: BuildFacts, context: Context) -> None:
    for source in facts.sources:
        for what in ("repository", "commit"):
            said, known = getattr(source, what), getattr(context, what)
            if said is not None and said != known:
                raise ProvenanceInvalid(f"{facts.place} is about the {what} {said}, and this lane about {known}")


def _external(recipe: Recipe, facts: BuildFacts, context: Context) -> dict[str, Json]:
    target = _agreed("target", recipe.target, facts)
    containerfile = recipe.containerfile or facts.containerfile
    if recipe.containerfile and facts.containerfile and _name(recipe.containerfile) != _name(facts.containerfile):
        _agreed("containerfile", recipe.containerfile, facts)
    arguments: dict[str, Json] = {} if target is None else {"target": target}
    for name, value in sorted(_arguments(recipe, facts).items()):
        arguments[f"build-arg:{name}"] = value
    return {
        "configSource": _without_empty({**_source(context), "path": containerfile}),
        "request": {"args": arguments},
    }


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _agreed(what: str, said: str | None, facts: BuildFacts) -> str | None:
    """What the lane says, or the builder; both alike where both do."""
    found: str | None = getattr(facts, what)
    if said is not None and found is not None and said != found:
        raise ProvenanceInvalid(f"--{what} is {said}, and {facts.place} says {found}")
    return said or found


def _arguments(recipe: Recipe, facts: BuildFacts) -> dict[str, str]:
    told: dict[str, str] = {}
    for name, value in recipe.arguments.items():
        found = facts.arguments.get(name)
        if value is None and found is None:
            raise ProvenanceInvalid(f"nothing says the value of the build argument {name}; give it as {name}=VALUE")
        if value is not None and found is not None and value != found:
            raise ProvenanceInvalid(f"{facts.place} says another value of the build argument {name}")
        told[name] = value if value is not None else found or ""
    return told


def _check_public(value: Json, where: str) -> None:
    """Whatever a builder or an option says ends up in a public statement, the address of a material too."""
    if isinstance(value, str):
        secret = find_secret(value)
        if secret is not None:
            raise ProvenanceInvalid(f"{where} looks like {secret}, and would be public")
    elif isinstance(value, dict):
        for name, member in value.items():
            _check_public(member, f"{where}.{name}" if where else name)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            _check_public(item, f"{where}[{position}]")


def _internal(recipe: Recipe, facts: BuildFacts, context: Context) -> dict[str, Json]:
    return _without_empty(
        {
            "platforms": list(recipe.platforms),
            "omittedBuildArguments": sorted(set(facts.arguments) - set(recipe.arguments)),
            "dirty": True if context.dirty or facts.dirty else None,
        }
    )


def _dependencies(recipe: Recipe, facts: BuildFacts, context: Context) -> list[Json]:
    """Every input that is known, each with a `name` that says what it was: `base` only where somebody has looked."""
    found: list[Json] = [{"name": "source", **_source(context)}]
    if recipe.containerfile_digest is not None:
        found.append({"name": "containerfile", "digest": _digest_set(recipe.containerfile_digest)})
    known: set[str] = set()
    for name, images in (("base", recipe.bases), ("image", recipe.images)):
        for image in images:
            if image.digest not in known:
                found.append({"name": name, "uri": image.uri, "digest": _digest_set(image.digest)})
                known.add(image.digest)
    found += [_material(one) for one in facts.materials if f"sha256:{one.digest.get('sha256')}" not in known]
    return found


def _material(material: Material) -> dict[str, Json]:
    name = "image" if material.is_image else "material"
    return _without_empty({"name": name, "uri": material.uri, "digest": dict(material.digest)})


def _source(context: Context) -> dict[str, Json]:
    ref = "" if context.ref is None else f"@{context.ref}"
    return {"uri": f"git+{context.repository}{ref}", "digest": {"gitCommit": context.commit}}


def _digest_set(digest: Digest) -> dict[str, Json]:
    return {"sha256": digest.removeprefix("sha256:")}


def _without_empty(members: Mapping[str, Any]) -> dict[str, Json]:
    return {name: value for name, value in members.items() if value not in (None, "", [], {})}
