"""Which layer and which build step brought something into an image, or took it away.

A layer is known for files and packages. What the configuration says is in no layer; there the history is asked, which
has one text for each instruction of the build, in the words of its tool: the last step that sets the thing is taken.

Sources: OCI image-spec v1.1, "Image Configuration" (history); Docker's classic builder writes
`/bin/sh -c #(nop) ENV A=b`, buildah the same, and BuildKit `ENV A=b`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from attest.core.contract.finding import FoundLayer
from attest.core.image.facts import PlatformFacts
from attest.core.reference import Digest

INSTRUCTIONS: Final = {
    "user": "USER",
    "entrypoint": "ENTRYPOINT",
    "cmd": "CMD",
    "workdir": "WORKDIR",
    "stop_signal": "STOPSIGNAL",
    "env": "ENV",
    "labels": "LABEL",
    "exposed_ports": "EXPOSE",
    "volumes": "VOLUME",
    "healthcheck": "HEALTHCHECK",
    "on_build": "ONBUILD",
    "shell": "SHELL",
    "author": "MAINTAINER",
}
"""The instruction of a build file that sets each part of the configuration."""

_NO_LAYER: Final = re.compile(r"/bin/sh -c #\(nop\)\s*")
_ASSIGNED: Final = re.compile(r"""(?:^|(?<=\s))(?:"([^"]+)"|'([^']+)'|([^\s"'=]+))=(?:"[^"]*"|'[^']*'|\S)*""")
_NUMBER: Final = re.compile(r"\d+")
_LISTED: Final = re.compile(r"""[^\s\[\]"',]+""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where something comes from. The layer is None for a build step that made none."""

    layer: int | None
    """Its position, from 0."""
    digest: Digest | None
    """Of the layer's blob."""
    created_by: str | None
    """The build step; None where the history does not say."""

    @property
    def found(self) -> FoundLayer | None:
        """The layer, as findings name it."""
        if self.layer is None or self.digest is None:
            return None
        return FoundLayer(position=self.layer, digest=self.digest, created_by=self.created_by)

    def __str__(self) -> str:
        step = " ".join((self.created_by or "").split()) or "a build step that the history does not name"
        return step if self.layer is None else f"layer {self.layer} {self.digest}: {step}"


@dataclass(slots=True)
class Origins:
    """Answers for one image of one platform."""

    facts: PlatformFacts
    _files: dict[str, int] = field(init=False)
    _removed_files: dict[str, int] = field(init=False)
    _packages: dict[str, int] = field(init=False)
    _removed_packages: dict[str, int] = field(init=False)
    _settings: dict[str, dict[str | None, Origin]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._files = {file.path: file.layer for file in self.facts.files}
        self._removed_files = {file.path: file.hidden_by for file in self.facts.shadowed}  # sorted: the last one counts
        self._packages = {}
        self._removed_packages = {}
        for package in self.facts.packages:
            if package.hidden_by is None:
                self._packages.setdefault(package.purl, package.layer)  # sorted: of copies the first path's
            else:
                before = self._removed_packages.get(package.purl, 0)
                self._removed_packages[package.purl] = max(before, package.hidden_by)

    def of_layer(self, position: int | None) -> Origin | None:
        """A layer, and the step that made it; None for no layer."""
        if position is None:
            return None
        layer = self.facts.layers[position]
        return Origin(layer=position, digest=layer.digest, created_by=layer.created_by)

    def of_file(self, path: str) -> Origin | None:
        """The layer that wrote a path; for one that is not there the layer that removed it, if it ever was there."""
        return self.of_layer(self._files.get(path, self._removed_files.get(path)))

    def of_package(self, purl: str) -> Origin | None:
        """The layer that brought a package; for one that is not there the layer that removed it."""
        return self.of_layer(self._packages.get(purl, self._removed_packages.get(purl)))

    def of_setting(self, setting: str, name: str | None = None) -> Origin | None:
        """The last build step that sets a part of the configuration, or of several the one of this name.

        None where the history does not show it, as for what a program set without an instruction.
        """
        if setting == "exposed_ports" and name is not None:
            name = name.partition("/")[0]
        return self._steps(setting).get(name)

    def _steps(self, setting: str) -> Mapping[str | None, Origin]:
        """The last build step for each name that steps of this instruction set, and at None the last one at all."""
        found = self._settings.get(setting)
        if found is None:
            found = self._settings[setting] = {}
            instruction = INSTRUCTIONS.get(setting)
            for step in self.facts.history:
                word, _, rest = _NO_LAYER.sub("", step.created_by, count=1).lstrip().partition(" ")
                if word == instruction:
                    digest = None if step.layer is None else self.facts.layers[step.layer].digest
                    origin = Origin(layer=step.layer, digest=digest, created_by=step.created_by)
                    found.update(dict.fromkeys((None, *_names(setting, rest)), origin))
        return found


def _names(setting: str, text: str) -> Iterable[str]:
    """The variables, labels, ports or volumes that the rest of an instruction sets."""
    match setting:
        case "env" | "labels":
            # NAME=value, also quoted and several of them; or NAME value
            return ["".join(names) for names in _ASSIGNED.findall(text)] or text.split()[:1]
        case "exposed_ports":  # 8080, 8080/tcp, map[8080/tcp:{}]
            return _NUMBER.findall(text)
        case "volumes":  # /data, [/data /cache], ["/data"]
            return _LISTED.findall(text)
        case _:
            return ()
