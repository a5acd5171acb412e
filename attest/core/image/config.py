"""The configuration of an image, read from its bytes; secrets in it are told by their places and left out.

Sources: OCI image-spec v1.1, "Image Configuration"; Docker's image specification v1.2 for what it adds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from attest.core import limits
from attest.core.image.facts import REDACTED, BuildStep, Healthcheck, ImageConfig, Place, SecretFound
from attest.core.image.secretscan import find_in_command, find_in_value, redacted
from attest.core.oci import OciInvalid, Platform, config_platform, refuse_other_spellings
from attest.core.reference import Digest, is_digest
from attest.core.strictjson import Json, loads

_STEPS: Final = 10_000
_DOCUMENT: Final = ("os", "architecture", "variant", "config", "rootfs", "history", "created", "author")
_ROOTFS: Final = ("type", "diff_ids")
_STEP: Final = ("created", "created_by", "author", "comment", "empty_layer")
_CONFIG: Final = (
    *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"),
    *("ArgsEscaped", "Healthcheck", "OnBuild", "Shell"),
)
_HEALTHCHECK: Final = ("Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadConfig:
    """What a configuration says."""

    platform: Platform
    config: ImageConfig
    history: tuple[BuildStep, ...]
    diff_ids: tuple[Digest, ...]
    secrets: tuple[SecretFound, ...]

    def created_by(self, layer: int) -> str | None:
        """The build step that made a layer, where the history says it."""
        return next((step.created_by for step in self.history if step.layer == layer), None)


def read_config(content: bytes) -> ReadConfig:
    """What the bytes of an image's configuration say.

    Raises:
        OciInvalid: they are no configuration that the image-spec allows.
    """
    platform = config_platform(content)
    document = loads(content)
    refuse_other_spellings(document, _DOCUMENT, "the configuration")
    reader = _Reader()
    diff_ids = _diff_ids(document)
    history = reader.history(document.get("history"), len(diff_ids))
    config = reader.config(_object(document.get("config"), "config", _CONFIG), document)
    return ReadConfig(
        platform=platform, config=config, history=history, diff_ids=diff_ids, secrets=tuple(reader.secrets)
    )


def read_annotations(annotations: Mapping[str, str]) -> tuple[Mapping[str, str], tuple[SecretFound, ...]]:
    """The annotations of an image's manifest without the secrets in them, and where those are."""
    reader = _Reader()
    values = {name: reader.value(Place.ANNOTATION, name, value) for name, value in annotations.items()}
    return values, tuple(reader.secrets)


@dataclass(slots=True)
class _Reader:
    """Reads the parts, and gathers the secrets in them."""

    secrets: list[SecretFound] = field(default_factory=list)

    def history(self, value: Json, layers: int) -> tuple[BuildStep, ...]:
        entries = _list(value, "history")
        if len(entries) > _STEPS:
            raise OciInvalid(f"the history has more than {_STEPS} steps")
        steps = [_object(entry, "a step of the history", _STEP) for entry in entries]
        made = [step for step in steps if not step.get("empty_layer")]
        told = len(made) == layers  # else nobody can say which step made which layer
        found: list[BuildStep] = []
        layer = 0
        for number, step in enumerate(steps):
            if not isinstance(step.get("empty_layer", False), bool):
                raise OciInvalid("empty_layer of a step of the history is neither true nor false")
            here = layer if told and not step.get("empty_layer") else None
            layer += here is not None
            found.append(
                BuildStep(
                    created_by=self._command(_text(step, "created_by"), number, here),
                    comment=self._command(_text(step, "comment"), number, here),
                    created=_text(step, "created") or None,
                    layer=here,
                )
            )
        return tuple(found)

    def config(self, config: dict[str, Json], document: dict[str, Json]) -> ImageConfig:
        labels = {
            name: self.value(Place.LABEL, name, value)
            for name, value in _texts_by_name(config.get("Labels"), "Labels").items()
        }
        return ImageConfig(
            user=_text(config, "User"),
            entrypoint=self._vector(config.get("Entrypoint"), "Entrypoint"),
            cmd=self._vector(config.get("Cmd"), "Cmd"),
            workdir=_text(config, "WorkingDir"),
            stop_signal=_text(config, "StopSignal"),
            env=tuple(self._env(config.get("Env"))),
            labels=labels,
            exposed_ports=_names(config.get("ExposedPorts"), "ExposedPorts"),
            volumes=_names(config.get("Volumes"), "Volumes"),
            healthcheck=self._healthcheck(config.get("Healthcheck")),
            on_build=self._vector(config.get("OnBuild"), "OnBuild") or (),
            shell=self._vector(config.get("Shell"), "Shell"),
            created=_text(document, "created") or None,
            author=_text(document, "author") or None,
        )

    def _env(self, value: Json) -> list[tuple[str, str]]:
        found = []
        for entry in _texts(value, "Env"):
            name, equals, text = entry.partition("=")
            if not name:
                raise OciInvalid("an entry of Env has no name")
            found.append((name, self.value(Place.ENV, name, text) if equals else ""))
        return found

    def _healthcheck(self, value: Json) -> Healthcheck | None:
        if value is None:
            return None
        check = _object(value, "Healthcheck", _HEALTHCHECK)
        return Healthcheck(
            test=self._vector(check.get("Test"), "Healthcheck.Test") or (),
            interval=_count(check, "Interval"),
            timeout=_count(check, "Timeout"),
            start_period=_count(check, "StartPeriod"),
            start_interval=_count(check, "StartInterval"),
            retries=_count(check, "Retries"),
        )

    def _vector(self, value: Json, name: str) -> tuple[str, ...] | None:
        if value is None:
            return None
        return tuple(
            self._redacted(text, lambda rule: SecretFound(rule=rule, place=Place.CONFIG, name=name, layer=None))
            for text in _texts(value, name)
        )

    def value(self, place: Place, name: str, value: str) -> str:
        """A value under a name, or what stands in its stead if it is a secret."""
        rule = find_in_value(name, value)
        if rule is None:
            return value
        self.secrets.append(SecretFound(rule=rule, place=place, name=name, layer=None))
        return REDACTED

    def _command(self, text: str, number: int, layer: int | None) -> str:
        return self._redacted(
            text, lambda rule: SecretFound(rule=rule, place=Place.HISTORY, name=str(number), layer=layer)
        )

    def _redacted(self, text: str, found: Callable[[str], SecretFound]) -> str:
        spans = find_in_command(text)
        for rule in dict.fromkeys(span.rule for span in spans):
            self.secrets.append(found(rule))
        return redacted(text, spans, instead=REDACTED) if spans else text


def _diff_ids(document: dict[str, Json]) -> tuple[Digest, ...]:
    rootfs = _object(document.get("rootfs"), "rootfs", _ROOTFS)
    if rootfs.get("type") != "layers":
        raise OciInvalid("the type of rootfs is not 'layers'")
    found = _texts(rootfs.get("diff_ids"), "diff_ids")
    if len(found) > limits.LAYERS:
        raise OciInvalid(f"more than {limits.LAYERS} layers")
    if not all(map(is_digest, found)):
        raise OciInvalid("a diff_id is no sha256 digest")
    return tuple(map(Digest, found))


def _object(value: Json, name: str, members: tuple[str, ...] = ()) -> dict[str, Json]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise OciInvalid(f"{name} is not an object")
    refuse_other_spellings(value, members, name)
    return value


def _list(value: Json, name: str) -> list[Json]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise OciInvalid(f"{name} is not an array")
    return value


def _texts(value: Json, name: str) -> list[str]:
    found = _list(value, name)
    if not all(isinstance(text, str) for text in found):
        raise OciInvalid(f"{name} is not an array of strings")
    return found


def _texts_by_name(value: Json, name: str) -> dict[str, str]:
    found = _object(value, name)
    if not all(isinstance(text, str) for text in found.values()):
        raise OciInvalid(f"{name} are not strings by name")
    return found


def _names(value: Json, name: str) -> tuple[str, ...]:
    """The keys of an object whose values say nothing: how the specification writes a set."""
    return tuple(sorted(_object(value, name)))


def _text(item: dict[str, Json], name: str) -> str:
    value = item.get(name)
    if value is not None and not isinstance(value, str):
        raise OciInvalid(f"{name} is not a string")
    return value or ""


def _count(item: dict[str, Json], name: str) -> int:
    value = item.get(name)
    if value is not None and type(value) is not int:
        raise OciInvalid(f"{name} is not a whole number")
    return value or 0
