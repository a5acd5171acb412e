"""Policies that are wrong in one way each: a policy that is right, and what to replace in it.

The errors that they lead to are in tests/golden/policy-errors.txt.
"""

from __future__ import annotations

from typing import Final

from tests.core.make import party, pem

TEST_RESULT: Final = "https://in-toto.io/attestation/test-result/v0.1"
PROVENANCE: Final = "https://slsa.dev/provenance/v1"

RIGHT: Final = """\
version: 1
name: staging
serial: 7
expires: 2027-06-30T00:00:00Z
images: [registry.example.org/plex/*]
source:
  repository: https://git.example.org/plex/playlist
  refs: [refs/heads/main, refs/tags/*]
  bind: [repository, commit]
platforms: {evidence: index, only: [linux/amd64]}
signers:
  builder: {key: keys/builder.pub}
  inspector: {keys: [keys/inspector.pub, keys/inspector-2025.pub]}
  alice: {key: keys/alice.pub}
  bob: {key: keys/bob.pub}
  reviewers: {threshold: 2, of: [alice, bob]}
lanes:
  build:
    predicate-type: https://slsa.dev/provenance/v1
    signer: builder
    where: ["predicate.a == 1"]
  contract:
    predicate-type: https://in-toto.io/attestation/test-result/v0.1
    signer: inspector
    max-age: 7d
    except: [migrations]
  approval:
    predicate-type: https://in-toto.io/attestation/test-result/v0.1
    signer: reviewers
    joint: true
revoked: [sha256:4a03f9284efd850d433e94dcf0e844cf76fe2e7a5c9a28e1011ebcbd0a222446]
"""


def waiving(waivers: str) -> str:
    """The policy with a signer `releaser`, who signs no lane, and these `waivers`."""
    signed = RIGHT.replace("  reviewers:", "  releaser: {key: keys/releaser.pub}\n  reviewers:")
    return signed.replace("revoked:", f"waivers: {{{waivers}}}\nrevoked:")


def right_files() -> dict[str, bytes]:
    """The policy that is right, and the files that it names; some more keys, each wrong in one way."""
    files = {
        f"keys/{name}.pub": pem(party(name).private.public_key())
        for name in ("builder", "inspector", "inspector-2025", "alice", "bob", "releaser")
    }
    files["policy.yaml"] = RIGHT.encode()
    files["keys/builder-again.pub"] = b"# the same key\n" + files["keys/builder.pub"]
    files["keys/rsa-1024.pub"] = _RSA_1024
    files["keys/order-one.pub"] = _ORDER_ONE
    files["keys/empty.pub"] = b""
    files["keys/private.pub"] = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    files["keys/large.pub"] = b" " * (64 * 1024 + 1)
    return files


_RSA_1024: Final = b"""-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCbotu3hZfh7ELJzCWUdJkWF0Zj
DK5l9j7JUuoWRubbrPKj0VBmrA87ZcI9rS2dwMAevnLUrsDR+54jjKC8bIWbyD48
y8smW+mItxlcAS2qkklN2Fse5Js8UBhFQfUaBKbpxDZnLwALOW6iFxYX+HHZD0Xx
nnJ5Lrv0aapBUgmZaQIDAQAB
-----END PUBLIC KEY-----
"""
_ORDER_ONE: Final = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
-----END PUBLIC KEY-----
"""

_BUILDER: Final = "builder: {key: keys/builder.pub}"
_WHERE: Final = 'where: ["predicate.a == 1"]'
_ALICE_AND_BOB: Final = "alice: {key: keys/alice.pub}\n  bob: {key: keys/bob.pub}"
_ALICE_TWICE: Final = "alice: {key: keys/alice.pub, shared: true}\n  bob: {key: keys/alice.pub, shared: true}"
_REVOKED: Final = "[sha256:4a03f9284efd850d433e94dcf0e844cf76fe2e7a5c9a28e1011ebcbd0a222446]"
_DISGUISED: Final = (
    RIGHT.replace(_BUILDER, "builder: {key: keys/builder.pub, shared: true}")
    .replace("  reviewers:", "  boss: {key: keys/builder-again.pub, shared: true}\n  reviewers:")
    .replace("revoked:", "waivers: {signer: boss, lanes: [contract], max-lifetime: 24h}\nrevoked:")
)
_UNLABELLED: Final = """\
  build:
    predicate-type: https://slsa.dev/provenance/v1
    signer: builder
    unlabelled: true
    where: ["true"]
  build-again:
    predicate-type: https://slsa.dev/provenance/v1
    signer: builder
    unlabelled: true
"""

CASES: Final[tuple[tuple[str, str, str], ...]] = (
    # the notation
    ("an empty document", RIGHT, ""),
    ("only a comment", RIGHT, "# nothing\n"),
    ("not a mapping", RIGHT, "- staging\n"),
    ("not YAML", "bind: [repository, commit]", "bind: [repository, commit"),
    ("a tab", "  bind:", "\tbind:"),
    ("a second document", "revoked:", "---\nrevoked:"),
    ("a directive", "version: 1\n", "%YAML 1.1\n---\nversion: 1\n"),
    ("a tag", "name: staging", "name: !!str staging"),
    ("an anchor", "name: staging", "name: &name staging"),
    ("an alias", "signer: builder\n    where", "signer: *name\n    where"),
    ("a merge key", "    signer: inspector", "    <<: {joint: true}\n    signer: inspector"),
    ("a key twice", "serial: 7", "serial: 7\nserial: 8"),
    ("a lane twice", "  approval:", "  build: {}\n  approval:"),
    ("a key that is a number", "  alice: {key", "  1: {key"),
    ("a list as the key of a mapping", "name: staging", "[name]: staging"),
    ("a key without a value", "name: staging", "name:"),
    ("null", "name: staging", "name: ~"),
    ("a character that nobody sees", "staging", "stag\u202eing"),
    ("an escaped character that nobody sees", "name: staging", 'name: "stag\\u202eing"'),
    ("a number of many digits", "serial: 7", "serial: 123456789012345678901234567890"),
    ("nested too deep", "images: [registry.example.org/plex/*]", f"images: {'[' * 40}{']' * 40}"),
    # keys
    ("an unknown key", "expires:", "expire:"),
    ("an unknown key with an underscore", "max-age:", "max_age:"),
    ("an unknown key that is like none", "serial: 7", "serial: 7\ncolour: red"),
    ("an unknown key in a signer", _BUILDER, "builder: {key: keys/builder.pub, owner: me}"),
    ("an unknown key in source", "  bind:", "  branch: main\n  bind:"),
    ("an unknown key in platforms", "evidence: index", "evidence: index, os: linux"),
    ("a missing key", "serial: 7\n", ""),
    ("a missing key, misspelt", "signers:\n", "signer:\n"),
    ("a missing key in a lane", "    signer: inspector\n", ""),
    ("a missing key in source", "  bind: [repository, commit]\n", ""),
    ("a missing key in platforms", "evidence: index, ", ""),
    # waivers
    *(
        (title, RIGHT, waiving(waivers))
        for title, waivers in (
            ("waivers of nobody", "lanes: [build], max-lifetime: 24h"),
            ("waivers of no lane", "signer: releaser, lanes: [], max-lifetime: 24h"),
            ("waivers of a lane twice", "signer: releaser, lanes: [build, build], max-lifetime: 24h"),
            ("waivers for ever", "signer: releaser, lanes: [build]"),
            ("waivers for no time", "signer: releaser, lanes: [build], max-lifetime: 0h"),
            ("waivers with more", "signer: releaser, lanes: [build], max-lifetime: 24h, reason: none"),
            ("waivers of a signer that is not there", "signer: releeser, lanes: [build], max-lifetime: 24h"),
            ("waivers of a lane that is not there", "signer: releaser, lanes: [build, e2e], max-lifetime: 24h"),
            ("waivers of a lane's signer", "signer: builder, lanes: [contract], max-lifetime: 24h"),
            ("waivers of a lane's threshold", "signer: reviewers, lanes: [build], max-lifetime: 24h"),
            ("waivers of a member of a lane's threshold", "signer: alice, lanes: [build], max-lifetime: 24h"),
        )
    ),
    ("waivers of a lane's signer under another name", RIGHT, _DISGUISED),
    # kinds of values
    ("another version", "version: 1", "version: 2"),
    ("a version that is text", "version: 1", 'version: "1"'),
    ("a version that is true", "version: 1", "version: true"),
    ("a version with a point", "version: 1", "version: 1.0"),
    ("a name that is a number", "name: staging", "name: 7"),
    ("a name with capitals", "name: staging", "name: Staging"),
    ("an empty name", "name: staging", 'name: ""'),
    ("a serial of zero", "serial: 7", "serial: 0"),
    ("a serial that is text", "serial: 7", 'serial: "7"'),
    ("a serial that is octal", "serial: 7", "serial: 007"),
    ("a serial that is a fraction", "serial: 7", "serial: 7.5"),
    ("a serial that is true", "serial: 7", "serial: true"),
    ("a serial that does not fit", "serial: 7", "serial: 9223372036854775808"),
    ("a date", "2027-06-30T00:00:00Z", "2027-06-30"),
    ("a time elsewhere", "2027-06-30T00:00:00Z", "2027-06-30T00:00:00+02:00"),
    ("no such time", "2027-06-30T00:00:00Z", "2027-06-31T00:00:00Z"),
    ("a list that is text", "images: [registry.example.org/plex/*]", "images: registry.example.org/plex/*"),
    ("a list that is a mapping", "images: [registry.example.org/plex/*]", "images: {a: b}"),
    ("a mapping that is a list", "evidence: index, only: [linux/amd64]}", "evidence: index, only: linux/amd64}"),
    ("signers that are a list", "platforms: {evidence: index, only: [linux/amd64]}", "platforms: [linux/amd64]"),
    ("a boolean that is text", "joint: true", "joint: yes"),
    ("text that is a boolean", "predicate.a == 1", 'predicate.a == 1", true, "x'),
    # lists
    ("an empty list of images", "[registry.example.org/plex/*]", "[]"),
    ("an empty list of keys", "[keys/inspector.pub, keys/inspector-2025.pub]", "[]"),
    ("an empty list of conditions", '["predicate.a == 1"]', "[]"),
    ("an empty list of what is revoked", _REVOKED, "[]"),
    ("no lanes", RIGHT[RIGHT.index("lanes:") :], "lanes: {}\n"),
    ("an image twice", "[registry.example.org/plex/*]", "[registry.example.org/plex/a, registry.example.org/plex/a]"),
    ("a ref twice", "[refs/heads/main, refs/tags/*]", "[refs/tags/*, refs/tags/*]"),
    ("a bound value twice", "bind: [repository, commit]", "bind: [commit, commit]"),
    ("a platform twice", "[linux/amd64]", "[linux/amd64, linux/amd64]"),
    ("a member twice", "of: [alice, bob]", "of: [alice, bob, alice]"),
    # images, source, platforms, revoked
    ("an image without a registry", "registry.example.org/plex/*", "plex/*"),
    ("a pattern in the middle", "registry.example.org/plex/*", "registry.example.org/*/backend"),
    ("a pattern within a name", "registry.example.org/plex/*", "registry.example.org/plex/back*"),
    ("every image", "[registry.example.org/plex/*]", '["*"]'),
    ("an image with a tag", "registry.example.org/plex/*", "registry.example.org/plex/backend:main"),
    ("a branch", "refs/heads/main", "main"),
    ("a pattern within a ref", "refs/heads/main", "refs/heads/release-*"),
    ("a ref with a space", "refs/heads/main", "refs/heads/a b"),
    ("a ref with two dots", "refs/heads/main", "refs/heads/a..b"),
    ("a repository with .git", "plex/playlist\n", "plex/playlist.git\n"),
    ("a repository by ssh", "https://git.example.org/plex/playlist", "git@git.example.org:plex/playlist"),
    ("no repository", "https://git.example.org/plex/playlist", "playlist"),
    ("an unknown bound value", "bind: [repository, commit]", "bind: [branch]"),
    ("an unknown place of evidence", "evidence: index", "evidence: all"),
    ("no platform", "linux/amd64", "amd64"),
    ("no digest", "sha256:4a03f9284efd850d", "SHA256:4A03F9284EFD850D"),
    # signers
    ("a signer without a key", _BUILDER, "builder: {}"),
    ("a signer with a key and keys", _BUILDER, "builder: {key: keys/builder.pub, keys: [keys/alice.pub]}"),
    ("a threshold without members", "threshold: 2, of: [alice, bob]", "threshold: 2"),
    ("members without a threshold", "threshold: 2, of: [alice, bob]", "of: [alice, bob]"),
    ("a threshold with a key", "threshold: 2, of: [alice, bob]", "threshold: 2, of: [alice, bob], key: keys/bob.pub"),
    ("a threshold of zero", "threshold: 2", "threshold: 0"),
    ("a threshold above its members", "threshold: 2", "threshold: 3"),
    ("a member that is not there", "of: [alice, bob]", "of: [alice, dave]"),
    ("a threshold of itself", "of: [alice, bob]", "of: [alice, bob, reviewers]"),
    ("a threshold of thresholds", _BUILDER, "builder: {threshold: 1, of: [reviewers]}"),
    ("a threshold that shares", "of: [alice, bob]", "of: [alice, bob], shared: true"),
    ("a threshold that its keys cannot reach", _ALICE_AND_BOB, _ALICE_TWICE),
    ("a signer with a strange name", "  builder: {key", "  Builder: {key"),
    ("a key that is not there", "key: keys/builder.pub", "key: keys/bilder.pub"),
    ("a key that is a folder", "key: keys/builder.pub", "key: keys"),
    ("a key from standard input", "key: keys/builder.pub", 'key: "-"'),
    ("an empty key file", "key: keys/builder.pub", "key: keys/empty.pub"),
    ("a large key file", "key: keys/builder.pub", "key: keys/large.pub"),
    ("a private key", "key: keys/builder.pub", "key: keys/private.pub"),
    ("a short key", "key: keys/builder.pub", "key: keys/rsa-1024.pub"),
    ("a key under which anything verifies", "key: keys/builder.pub", "key: keys/order-one.pub"),
    ("an empty path", "key: keys/builder.pub", 'key: ""'),
    ("a key twice in a signer", "keys/inspector-2025.pub", "keys/inspector.pub"),
    ("one key in two files of a signer", _BUILDER, "builder: {keys: [keys/builder.pub, keys/builder-again.pub]}"),
    ("a key that two signers hold", "key: keys/alice.pub", "key: keys/builder-again.pub"),
    ("a key that only one of them shares", "key: keys/alice.pub", "key: keys/builder-again.pub, shared: true"),
    # lanes
    ("a lane with a strange name", "  build:\n", "  Build it:\n"),
    ("a signer that is not there", "signer: inspector", "signer: inspecter"),
    ("a predicate type that is no URI", f"predicate-type: {PROVENANCE}", "predicate-type: provenance"),
    ("an empty predicate type", f"predicate-type: {PROVENANCE}", 'predicate-type: ""'),
    ("no where", f"    {_WHERE}\n", ""),
    ("a warning of what cannot warn", _WHERE, f"{_WHERE}\n    allow-warned: true"),
    ("another source", "joint: true", "source-from: certificate"),
    ("an age of zero", "max-age: 7d", "max-age: 0d"),
    ("an age in words", "max-age: 7d", "max-age: 7 days"),
    ("an age that is a number", "max-age: 7d", "max-age: 7"),
    ("an exception that is a path", "except: [migrations]", "except: [plex/migrations]"),
    ("an exception that is no name", "except: [migrations]", "except: [Migrations]"),
    ("unlabelled lanes alike", RIGHT[RIGHT.index("  build:") : RIGHT.index("    where")], _UNLABELLED),
    # conditions
    ("an empty condition", '"predicate.a == 1"', '" "'),
    ("a condition that is a boolean", '["predicate.a == 1"]', "[true]"),
    ("a condition that YAML takes for a mapping", '["predicate.a == 1"]', "[predicate.a == 'b: c']"),
    ("a key that is a list", "keys: [keys/inspector.pub, keys/inspector-2025.pub]", "key: [keys/inspector.pub]"),
    ("a condition that is no CEL", "predicate.a == 1", "predicate.a = 1"),
    ("a condition that ends early", "predicate.a == 1", "predicate.a =="),
    ("an unknown variable", "predicate.a == 1", "predicate.a == production"),
    ("an unknown function", "predicate.a == 1", "predicate.a.lower() == 'a'"),
    ("a regular expression", "predicate.a == 1", "predicate.a.matches('^a')"),
    ("a list that is built", "predicate.a == 1", "predicate.a.map(x, x) == [1]"),
    ("a macro that looks outside", "predicate.a == 1", "predicate.a.all(x, x == predicate.b)"),
    ("a long condition", "predicate.a == 1", f"predicate.a == '{'x' * 4096}'"),
)


def wrong(old: str, new: str) -> str:
    """The policy with what is wrong."""
    assert RIGHT.count(old) == 1, old
    return RIGHT.replace(old, new)
