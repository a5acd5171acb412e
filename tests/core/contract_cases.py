"""Contracts that are wrong in one way each: a contract that is right, and what to replace in it.

The errors that they lead to are in tests/golden/contract-errors.txt.
"""

from __future__ import annotations

from typing import Final

RIGHT: Final = """\
version: 1
name: python-web
user.nonroot: {only: ["app:app"]}
config.entrypoint: [/usr/bin/service, --serve]
config.cmd: none
config.workdir: /srv/app
config.stopsignal: SIGTERM
label.required: {org.opencontainers.image.source: "https://git.example.org/*/*", maintainer: true}
port.allowed: [8080/tcp, 9000-9010/udp]
volume.allowed: [/srv/data]
env.secret: true
file.secret: true
file.setid: {allowed: [/usr/bin/ping]}
file.world_writable: {allowed: [/srv/data/**]}
path.forbidden: [/root/**, "/**/*.pem"]
path.allowed: [/usr/**, /etc/**]
package.forbidden: ["pkg:pypi/pytest*", pkg:npm/npm]
exe.forbidden: [sh, apt-*]
account.empty_password: true
account.duplicate_id: true
healthcheck.present: true
base.digest: {digests: [sha256:4a03f9284efd850d433e94dcf0e844cf76fe2e7a5c9a28e1011ebcbd0a222446]}
size.compressed: 200MB
size.unpacked: 1.5 GiB
size.delta: {baseline: 100MB, lock: 0B}
layer.count: 12
layer.wasted: 5MB
ci.overlap: {target: [runtime]}
lock.drift: true
exceptions:
  - id: file.setid
    path: /usr/bin/su
    reason: the image of the vendor has it
    owner: ann@example.org
    expires: 2027-01-31T00:00:00Z
"""

_DIGEST: Final = "sha256:4a03f9284efd850d433e94dcf0e844cf76fe2e7a5c9a28e1011ebcbd0a222446"
_EXCEPTIONS: Final = RIGHT[RIGHT.index("exceptions:") :]
_EXCEPTION: Final = RIGHT[RIGHT.index("  - id:") :]
_SOURCE: Final = 'org.opencontainers.image.source: "https://git.example.org/*/*"'
_LABELS: Final = RIGHT[RIGHT.index("label.required:") : RIGHT.index("port.allowed")]

CASES: Final[tuple[tuple[str, str, str], ...]] = (
    # the notation
    ("an empty document", RIGHT, ""),
    ("not a mapping", RIGHT, "- python-web\n"),
    ("not YAML", "[/srv/data]", "[/srv/data"),
    ("an anchor", "name: python-web", "name: &name python-web"),
    ("a check twice", "env.secret: true", "env.secret: true\nenv.secret: true"),
    ("a check without a value", "env.secret: true", "env.secret:"),
    # keys
    ("another version", "version: 1", "version: 2"),
    ("no name", "name: python-web\n", ""),
    ("a name with capitals", "name: python-web", "name: Python"),
    ("an unknown check", "user.nonroot:", "user.root:"),
    ("an unknown check that is like none", "layer.count: 12", "colour: red"),
    ("a check by what another tool calls it", "env.secret: true", "DS-0002: true"),
    ("checks by what another tool calls both", "env.secret: true", "CIS-DI-0008: true"),
    ("a check with a hyphen", "file.world_writable:", "file.world-writable:"),
    ("checks in a mapping", "env.secret: true", "env: {secret: true}"),
    ("no check", RIGHT[RIGHT.index("user.nonroot") :], ""),
    ("nothing but exceptions", RIGHT[RIGHT.index("user.nonroot") : RIGHT.index("exceptions:")], ""),
    # true and what is not
    ("a check that is false", "env.secret: true", "env.secret: false"),
    ("a check that is text", "env.secret: true", "env.secret: yes"),
    ("a check with parameters that it does not have", "env.secret: true", "env.secret: {allowed: [A]}"),
    ("parameters that are false", '{only: ["app:app"]}', "false"),
    ("parameters that are empty", '{only: ["app:app"]}', "{}"),
    ("parameters that are a list", '{only: ["app:app"]}', "[app]"),
    ("an unknown parameter", "{allowed: [/usr/bin/ping]}", "{except: [/usr/bin/ping]}"),
    ("an unknown parameter of a size", "baseline: 100MB, ", "base: 100MB, "),
    ("an empty parameter", '["app:app"]', "[]"),
    ("empty text", '"app:app"', '""'),
    ("a user that is a number", '"app:app"', "1000"),
    ("a user twice", '"app:app"', "app, app"),
    # configuration
    ("an entry point that is text", "[/usr/bin/service, --serve]", "/usr/bin/service --serve"),
    ("an entry point that is empty", "[/usr/bin/service, --serve]", "[]"),
    ("an entry point with a number", "--serve", "8080"),
    ("an entry point that is false", "[/usr/bin/service, --serve]", "false"),
    ("a working directory that is relative", "/srv/app", "srv/app"),
    ("a working directory that is a pattern", "/srv/app", "/srv/*"),
    ("a working directory that is a number", "/srv/app", "7"),
    ("a stop signal that there is not", "SIGTERM", "SIGSTOPP"),
    ("a stop signal that is a number", "SIGTERM", "15"),
    ("a stop signal that is empty", "SIGTERM", '""'),
    ("no labels", _LABELS, "label.required: []\n"),
    ("labels that are empty", _LABELS, "label.required: {}\n"),
    ("labels that are text", _LABELS, "label.required: maintainer\n"),
    ("a label twice", _LABELS, "label.required: [maintainer, maintainer]\n"),
    ("a label without a name", _LABELS, 'label.required: {"": true}\n'),
    ("a label that is a number", _LABELS, "label.required: [7]\n"),
    ("a label that must be a number", _SOURCE, "org.opencontainers.image.source: 7"),
    ("a label that must be false", _SOURCE, "org.opencontainers.image.source: false"),
    ("a label that must be empty", _SOURCE, 'org.opencontainers.image.source: ""'),
    ("no ports", "[8080/tcp, 9000-9010/udp]", "[]"),
    ("ports that are text", "[8080/tcp, 9000-9010/udp]", "8080/tcp"),
    ("ports that are true", "[8080/tcp, 9000-9010/udp]", "true"),
    ("a port that is a number", "8080/tcp", "8080"),
    ("a port too large", "8080/tcp", "80800/tcp"),
    ("a port of zero", "8080/tcp", "0/tcp"),
    ("a port of another protocol", "8080/tcp", "8080/http"),
    ("ports backwards", "9000-9010/udp", "9010-9000/udp"),
    ("a port twice", "9000-9010/udp", '"8080"'),
    ("no volumes", "volume.allowed: [/srv/data]", "volume.allowed: []"),
    ("a volume that is relative", "volume.allowed: [/srv/data]", "volume.allowed: [data]"),
    # paths, packages, executables
    ("a path that is relative", "/root/**", "root/**"),
    ("a path that ends in a slash", "/root/**", "/root/"),
    ("two stars within a component", "/root/**", "/root**"),
    ("a path with dots", "/root/**", "/srv/../root/**"),
    ("a path twice", "/root/**", '"/**/*.pem"'),
    ("no paths", "[/usr/**, /etc/**]", "[]"),
    ("paths that are true", "[/usr/**, /etc/**]", "true"),
    ("a package that is no URL", "pkg:npm/npm", "npm"),
    ("a package of an unknown type", "pkg:npm/npm", "pkg:gem/rails"),
    ("a package without a distribution", "pkg:npm/npm", "pkg:deb/gcc"),
    ("a package with qualifiers", "pkg:npm/npm", '"pkg:npm/npm?arch=x"'),
    ("a Python package as its project writes it", "pkg:pypi/pytest*", "pkg:pypi/Pytest_Cov"),
    ("an executable by its path", "[sh, apt-*]", "[/bin/sh]"),
    ("an executable with two stars", "[sh, apt-*]", '["**"]'),
    ("an executable that is true", "[sh, apt-*]", "[true]"),
    # digests, sizes, counts
    ("a digest that is short", _DIGEST, "sha256:4a03"),
    ("a size that is a number", "200MB", "200"),
    ("a size without a unit", "200MB", '"200"'),
    ("a size with another unit", "200MB", "200mb"),
    ("a size with a comma", "200MB", '"1,5GB"'),
    ("a size of a part of a byte", "200MB", "0.5B"),
    ("a size that is negative", "200MB", "-1MB"),
    ("a growth that is a size", "{baseline: 100MB, lock: 0B}", "100MB"),
    ("a growth that is empty", "{baseline: 100MB, lock: 0B}", "{}"),
    ("no layers", "layer.count: 12", "layer.count: 0"),
    ("layers that are text", "layer.count: 12", 'layer.count: "12"'),
    ("layers that are true", "layer.count: 12", "layer.count: true"),
    ("a target that is text", "[runtime]", "runtime"),
    # exceptions
    ("no exceptions", _EXCEPTIONS, "exceptions: []\n"),
    ("exceptions that are a mapping", _EXCEPTIONS, "exceptions: {file.setid: /usr/bin/su}\n"),
    ("an exception for no check", "id: file.setid", "id: file.setuid"),
    ("an exception for what is like no check", "id: file.setid", "id: colour"),
    ("an exception for a check that is not asked for", "file.setid: {allowed: [/usr/bin/ping]}\n", ""),
    ("an exception without a path", "    path: /usr/bin/su\n", ""),
    ("an exception without a reason", "    reason: the image of the vendor has it\n", ""),
    ("an exception with an empty reason", "the image of the vendor has it", '" "'),
    ("an exception without an owner", "    owner: ann@example.org\n", ""),
    ("an exception that never expires", "    expires: 2027-01-31T00:00:00Z\n", ""),
    ("an exception that expires on a day", "2027-01-31T00:00:00Z", "2027-01-31"),
    ("an exception with an unknown key", "    owner:", "    approver: bob\n    owner:"),
    ("an exception with a wrong path", "path: /usr/bin/su", "path: /usr/**/**/su"),
    ("an exception twice", _EXCEPTION, _EXCEPTION + _EXCEPTION),
)


def wrong(old: str, new: str) -> str:
    """The contract with what is wrong."""
    assert RIGHT.count(old) == 1, old
    return RIGHT.replace(old, new)
