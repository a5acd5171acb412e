"""Policies of identities that are wrong in one way each, as `policy_cases` has them of keys."""

from __future__ import annotations

from functools import cache
from typing import Final

from attest.core.trust.document import root_document, write_trust
from tests.core import make_trust
from tests.core.policy_cases import PROVENANCE, right_files

RIGHT: Final = """\
version: 1
name: keyless
serial: 3
images: [registry.example.org/plex/*]
source:
  repository: https://git.example.org/plex/playlist
  bind: [repository, commit]
trust: {file: trust/root.json}
signers:
  e2e:
    issuer: https://git.example.org/api/actions
    identity: https://git.example.org/plex/playlist/.forgejo/workflows/e2e.yml@refs/heads/main
    repository: https://git.example.org/plex/playlist
    ref: refs/heads/main
    trigger: push
    workflow: https://git.example.org/plex/playlist/.forgejo/workflows/main.yml@refs/heads/main
  mirror:
    issuer: https://accounts.example.org
    identity: mirror@example.org
    commit: 4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70
  alice: {key: keys/alice.pub}
  two: {threshold: 2, of: [e2e, mirror, alice]}
lanes:
  e2e:
    predicate-type: https://in-toto.io/attestation/test-result/v0.1
    signer: e2e
    time: trusted
  image:
    predicate-type: https://slsa.dev/provenance/v1
    signer: mirror
    unlabelled: true
    where: ["certificate.trigger == 'push'"]
  approval:
    predicate-type: https://in-toto.io/attestation/test-result/v0.1
    signer: two
"""


@cache
def trusted_root() -> bytes:
    """The bytes of a trusted root that names one service of each kind."""
    return write_trust(root_document(make_trust.root()))


def right_keyless_files() -> dict[str, bytes]:
    """The policy that is right, and the files that it names; some more roots, each wrong in one way."""
    return {
        "policy.yaml": RIGHT.encode(),
        "keys/alice.pub": right_files()["keys/alice.pub"],
        "trust/root.json": trusted_root(),
        "trust/empty.json": b"",
        "trust/other.json": b'{"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json"}',
        "trust/nobody.json": b'{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}',
        "trust/large.json": b" " * (256 * 1024 + 1),
    }


_ALICE: Final = "alice: {key: keys/alice.pub}"
_TRUST: Final = "trust: {file: trust/root.json}"
_ISSUER: Final = "issuer: https://git.example.org/api/actions"
_IDENTITY: Final = "identity: https://git.example.org/plex/playlist/.forgejo/workflows/e2e.yml@refs/heads/main"
_MIRROR: Final = "issuer: https://accounts.example.org\n    identity: mirror@example.org"
_E2E: Final = f"{_ISSUER}\n    {_IDENTITY}"
_OF_ALICE: Final = f"""\
  two: {{threshold: 1, of: [alice]}}
lanes:
  e2e: {{predicate-type: {PROVENANCE}, signer: alice, where: ["true"], TIME}}
"""
_AGAIN: Final = f"""\
  again:
    predicate-type: {PROVENANCE}
    signer: mirror
    unlabelled: true
    where: ["true"]
  approval:
"""

CASES: Final[tuple[tuple[str, str, str], ...]] = (
    # trust
    ("an identity without trust", f"{_TRUST}\n", ""),
    (
        "a trusted time without trust",
        f"{_TRUST}\n{RIGHT[RIGHT.index('signers:') : RIGHT.index('  approval:')]}",
        f"signers:\n  {_ALICE}\n{_OF_ALICE.replace('TIME', 'time: trusted')}",
    ),
    ("trust that is a word", _TRUST, "trust: private"),
    ("trust that is a file's name", _TRUST, "trust: trust/root.json"),
    ("trust that is a list", _TRUST, "trust: [public-good]"),
    ("trust that is empty", _TRUST, "trust: {}"),
    ("trust of two kinds", _TRUST, "trust: {file: trust/root.json, url: https://tuf.example.org}"),
    ("trust of another kind", _TRUST, "trust: {url: https://tuf.example.org}"),
    ("trust whose file is a number", _TRUST, "trust: {file: 7}"),
    ("trust whose file has no name", _TRUST, 'trust: {file: ""}'),
    ("a trusted root that is not there", "trust/root.json", "trust/roots.json"),
    ("a trusted root that is a folder", "trust/root.json", "trust"),
    ("a trusted root that is too large", "trust/root.json", "trust/large.json"),
    ("an empty trusted root", "trust/root.json", "trust/empty.json"),
    ("a key as the trusted root", "trust/root.json", "keys/alice.pub"),
    ("a signing configuration as the trusted root", "trust/root.json", "trust/other.json"),
    ("a trusted root of nobody", "trust/root.json", "trust/nobody.json"),
    # who it is
    ("an identity without an issuer", f"    {_ISSUER}\n", ""),
    ("an issuer without an identity", f"    {_IDENTITY}\n", ""),
    ("claims alone", f"    {_E2E}\n", ""),
    ("an identity with a key", _IDENTITY, f"{_IDENTITY}\n    key: keys/alice.pub"),
    ("an identity with a threshold", _IDENTITY, f"{_IDENTITY}\n    threshold: 1\n    of: [alice]"),
    ("a claim beside a key", _ALICE, "alice: {key: keys/alice.pub, trigger: push}"),
    ("a claim beside a threshold", "of: [e2e, mirror, alice]", "of: [e2e, mirror, alice], ref: refs/heads/main"),
    ("an unknown claim", "trigger: push", "event: push"),
    # what they must say
    ("a pattern in an identity", "e2e.yml@refs/heads/main", "e2e.yml@refs/tags/*"),
    ("an identity that is only a pattern", "identity: mirror@example.org", 'identity: "*"'),
    ("a pattern in an issuer", "https://accounts.example.org", "https://*.example.org"),
    ("a pattern in a claim", "ref: refs/heads/main", "ref: refs/heads/*"),
    ("an issuer over plain http", _ISSUER, "issuer: http://git.example.org/api/actions"),
    ("an issuer that is like loopback", _ISSUER, "issuer: http://127.0.0.1.example.org/api/actions"),
    ("an issuer without a scheme", _ISSUER, "issuer: git.example.org/api/actions"),
    ("an issuer without a host", _ISSUER, 'issuer: "https://"'),
    ("an empty issuer", _ISSUER, 'issuer: ""'),
    ("an empty identity", "identity: mirror@example.org", 'identity: ""'),
    ("an identity with a space behind it", "identity: mirror@example.org", 'identity: "mirror@example.org "'),
    ("an identity of two lines", "identity: mirror@example.org", 'identity: "mirror@example.org\\nx"'),
    ("an identity that is too long", "identity: mirror@example.org", f"identity: {'m' * 1025}"),
    ("an identity that is a number", "identity: mirror@example.org", "identity: 7"),
    ("a claim that is a list", "trigger: push", "trigger: [push, schedule]"),
    ("a short commit", "4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70", "4a0d2f6b"),
    # who else it is
    ("an identity that two signers are", _MIRROR, _E2E),
    ("an identity that only one of them shares", _MIRROR, f"{_E2E}\n    shared: true"),
    (
        "a threshold that its identities cannot reach",
        RIGHT[RIGHT.index(_ISSUER) : RIGHT.index("lanes:")],
        f"{_E2E}\n    shared: true\n  mirror:\n    {_E2E}\n    trigger: push\n    shared: true\n"
        "  two: {threshold: 2, of: [e2e, mirror]}\n",
    ),
    ("unlabelled lanes of one identity", "  approval:\n", _AGAIN),
    # lanes
    ("another time", "time: trusted", "time: signed"),
    ("a time that is a boolean", "time: trusted", "time: true"),
)


def wrong(old: str, new: str) -> str:
    """The policy with what is wrong."""
    assert RIGHT.count(old) == 1, old
    return RIGHT.replace(old, new)
