"""Policies of identities that load: what becomes of every claim, of the trust, and of the digest."""

from __future__ import annotations

import dataclasses
import hashlib
import struct
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from attest.adapters.conditions import compile_condition
from attest.adapters.documents import parse_document
from attest.core import limits
from attest.core.document import Document
from attest.core.explain import document, explain
from attest.core.identity import CLAIMS, Identity
from attest.core.policy import Policy
from attest.core.policydocument import OpenTrust, build_policy, named_files, named_root, read_policy
from attest.core.policymodel import schema
from attest.core.reference import digest_of
from attest.core.verify import Trust
from attest.errors import DocumentInvalid
from attest.ops.load import load_policy
from tests.core.make import party
from tests.core.make_identity import open_trust
from tests.core.policy_cases_keyless import RIGHT, right_keyless_files

ISSUER = "https://git.example.org/api/actions"
REPOSITORY = "https://git.example.org/plex/playlist"
E2E = f"{REPOSITORY}/.forgejo/workflows/e2e.yml@refs/heads/main"
MAIN = f"{REPOSITORY}/.forgejo/workflows/main.yml@refs/heads/main"
MIRROR = "https://accounts.example.org\n    identity: mirror@example.org"
ROOT = right_keyless_files()["trust/root.json"]


class Opened:
    """An `open_trust` that remembers what it was asked to open."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes | None, str]] = []

    def __call__(self, root: bytes | None, *, file: str) -> Trust:
        self.asked.append((root, file))
        return open_trust(root, file=file)


def replaced(*changes: tuple[str, str]) -> str:
    text = RIGHT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def load(text: str = RIGHT, *, opened: OpenTrust = open_trust, root: bytes = ROOT) -> Policy:
    held: Mapping[str, bytes] = {**right_keyless_files(), "trust/root.json": root, "policy.yaml": text.encode()}

    def read_file(path: str, *, limit: int) -> bytes:
        assert limit == (limits.KEY_FILE if path.endswith(".pub") else limits.DOCUMENT)
        if (name := path.removeprefix("some/folder/")) not in held:
            raise DocumentInvalid("not there", file=path)
        return held[name]

    return load_policy(
        "some/folder/policy.yaml",
        read_file=read_file,
        parse_document=parse_document,
        compile_condition=compile_condition,
        open_trust=opened,
    )


# Signers


def test_every_claim_becomes_a_value() -> None:
    """Issuer, identity and each claim that is named are those of the document, and the others are not compared."""
    policy = load()
    assert policy.signers["e2e"].identity == Identity(
        issuer=ISSUER, identity=E2E, repository=REPOSITORY, ref="refs/heads/main", trigger="push", workflow=MAIN
    )
    assert policy.signers["mirror"].identity == Identity(
        issuer="https://accounts.example.org",
        identity="mirror@example.org",
        commit="4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70",
    )
    assert (policy.signers["e2e"].keys, policy.signers["alice"].identity) == ((), None)
    assert list(policy.signers) == ["e2e", "mirror", "alice"]


def test_the_keyring_has_the_identities_beside_the_keys() -> None:
    """Identities by the name of their signer, keys as ever, and a threshold is neither."""
    policy = load()
    assert policy.keyring.identities == {name: policy.signers[name].identity for name in ("e2e", "mirror")}
    assert [key.fingerprint for key in policy.keyring.keys] == [party("alice").trusted.fingerprint]
    assert policy.holders == {party("alice").trusted.fingerprint: {"alice"}}
    _, _, approval = policy.lanes
    assert approval.parties == {"e2e", "mirror", "alice"}
    assert approval.threshold == 2


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.1", "[::1]"])
@pytest.mark.parametrize("rest", ["", ":3000", "/api/actions", ":3000/api/actions"])
def test_an_issuer_on_loopback_may_do_without_tls(host: str, rest: str) -> None:
    """A forge on the same machine has plain http, with and without a port and a path."""
    policy = load(replaced((ISSUER, f"http://{host}{rest}")))
    assert policy.signers["e2e"].identity is not None
    assert policy.signers["e2e"].identity.issuer == f"http://{host}{rest}"


def test_signers_may_be_one_identity_if_both_say_so() -> None:
    """With `shared: true` on both, two signers are one identity, and differ in the claims that they demand."""
    text = replaced(
        ("    trigger: push\n", "    trigger: push\n    shared: true\n"),
        (
            "https://accounts.example.org\n    identity: mirror@example.org",
            f"{ISSUER}\n    identity: {E2E}\n    shared: true",
        ),
        ("threshold: 2, of: [e2e, mirror, alice]", "threshold: 2, of: [e2e, alice]"),
    )
    identities = load(text).keyring.identities
    assert identities["e2e"] != identities["mirror"]
    assert identities["e2e"].party == identities["mirror"].party


def test_an_identity_of_another_issuer_is_another() -> None:
    """The same text under two issuers is two identities, which share nothing."""
    text = replaced(("mirror@example.org", E2E))
    assert len({identity.party for identity in load(text).keyring.identities.values()}) == 2


def test_a_threshold_counts_keys_and_identities_together() -> None:
    """Members with a key and members with an identity reach a threshold together."""
    assert load(replaced(("threshold: 2", "threshold: 3"))).lanes[2].threshold == 3


def test_unlabelled_lanes_of_other_identities_are_told_apart() -> None:
    """Two unlabelled lanes may share a predicate type where they share neither key nor identity."""
    lane = (
        "  again:\n    predicate-type: https://slsa.dev/provenance/v1\n    signer: SIGNER\n    unlabelled: true\n"
        '    where: ["true"]\n  approval:\n'
    )
    for signer in ("e2e", "alice"):
        policy = load(replaced(("  approval:\n", lane.replace("SIGNER", signer))))
        assert [one.unlabelled for one in policy.lanes] == [False, True, True, False]
    with pytest.raises(DocumentInvalid, match="could not be told apart"):
        load(replaced(("  approval:\n", lane.replace("SIGNER", "two"))))


# Lanes


def test_a_lane_may_want_a_trusted_time() -> None:
    """`time: trusted` is asked of the lane that says so, and of no other."""
    assert [lane.trusted_time for lane in load().lanes] == [True, False, False]


def test_a_condition_may_ask_the_certificate() -> None:
    """An expression over `certificate` compiles, and holds of what the certificate says."""
    (condition,) = load().lanes[1].where
    given: dict[str, Any] = {"predicate": {}, "statement": {}, "image": {}}
    assert condition.holds(**given, certificate={"trigger": "push"})
    assert not condition.holds(**given, certificate={"trigger": "schedule"})
    assert not condition.holds(**given, certificate={})


# Trust


def test_the_trust_is_that_of_the_file() -> None:
    """The bytes of the trusted root are opened, once, under the name that the document gives them."""
    opened = Opened()
    policy = load(opened=opened)
    assert opened.asked == [(ROOT, "trust/root.json")]
    assert policy.keyring.trust is not None
    assert policy.keyring.trust.digest == digest_of(ROOT)
    assert not policy.public_good


def test_public_good_is_a_trust_without_a_file() -> None:
    """No file is read for it, and the policy remembers that its root is not in its digest."""
    opened = Opened()
    policy = load(replaced(("{file: trust/root.json}", "public-good")), opened=opened)
    assert opened.asked == [(None, "public-good")]
    assert policy.public_good
    assert policy.keyring.trust is not None


def test_without_trust_nothing_is_opened() -> None:
    """A policy of keys has no trust, whatever lies beside it."""
    opened = Opened()
    signers = RIGHT[RIGHT.index("signers:") : RIGHT.index("  approval:")]
    text = replaced(
        ("trust: {file: trust/root.json}\n", ""),
        (signers, "signers:\n  alice: {key: keys/alice.pub}\nlanes:\n"),
        ("signer: two", "signer: alice"),
    )
    policy = load(text, opened=opened)
    assert (policy.keyring.trust, policy.public_good, opened.asked) == (None, False, [])
    assert policy.keyring.identities == {}


def test_a_policy_of_keys_may_have_a_trust() -> None:
    """So that times are trusted, a policy without identities may name a trusted root."""
    signers = RIGHT[RIGHT.index("signers:") : RIGHT.index("  approval:")]
    text = replaced(
        (signers, "signers:\n  alice: {key: keys/alice.pub}\nlanes:\n"),
        ("signer: two", "signer: alice\n    time: trusted"),
    )
    policy = load(text)
    assert policy.keyring.trust is not None
    assert policy.lanes[0].trusted_time


def test_a_root_that_is_a_key_file_too_is_read_once() -> None:
    """A file that is named twice is one file, read once; that a key is no trusted root is for the trust to say."""
    opened = Opened()
    read: list[str] = []
    files = {**right_keyless_files(), "policy.yaml": replaced(("trust/root.json", "keys/alice.pub")).encode()}

    def read_file(path: str, *, limit: int) -> bytes:
        read.append(path)
        return files[path.removeprefix("./")][:limit]

    load_policy(
        "policy.yaml",
        read_file=read_file,
        parse_document=parse_document,
        compile_condition=compile_condition,
        open_trust=opened,
    )
    assert read == ["policy.yaml", "./keys/alice.pub"]
    assert opened.asked == [(files["keys/alice.pub"], "keys/alice.pub")]


def test_the_root_is_named_where_it_stands() -> None:
    """The files of a policy are its keys, in order; its trusted root comes with its own place."""
    policy = read_policy(parsed(RIGHT))
    assert list(named_files(policy)) == [("keys/alice.pub", ("signers", "alice", "key"))]
    assert named_root(policy) == ("trust/root.json", ("trust", "file"))
    assert named_root(read_policy(parsed(replaced(("{file: trust/root.json}", "public-good"))))) is None


def parsed(text: str) -> Document:
    return parse_document(text.encode(), file="policy.yaml")


def test_what_the_trust_says_of_its_root_is_told_at_its_place() -> None:
    """An error in the trusted root is one of the policy: with its file, the place of the name in it, and the hint."""

    def refuse(root: bytes | None, *, file: str) -> Trust:
        assert root == ROOT
        raise DocumentInvalid("no trusted root", file=file, hint="look at it")

    with pytest.raises(DocumentInvalid) as caught:
        load(opened=refuse)
    error = caught.value
    assert (error.file, error.line, error.column) == ("some/folder/policy.yaml", 8, 15)
    assert (error.problem, error.hint) == ("trust/root.json: no trusted root", "look at it")


# Digest


def test_the_digest_covers_the_trusted_root() -> None:
    """The root is one of the files of the documented encoding, under the name that the document gives it."""
    key = right_keyless_files()["keys/alice.pub"]
    encoded = b"attest policy v1\n" + struct.pack(">Q", 3)
    for name, content in [("", RIGHT.encode()), ("keys/alice.pub", key), ("trust/root.json", ROOT)]:
        encoded += struct.pack(">Q", len(name)) + name.encode() + struct.pack(">Q", len(content)) + content
    assert load().digest == "sha256:" + hashlib.sha256(encoded).hexdigest()


def test_any_change_of_the_root_changes_the_digest() -> None:
    """Also where the services in it stay the same: the bytes are what is covered."""
    seen = {load(root=content).digest for content in (ROOT, ROOT + b"\n", b" " + ROOT, b"{}")}
    assert len(seen) == 4
    public = replaced(("{file: trust/root.json}", "public-good"))
    assert load(public).digest == load(public, root=b"{}").digest


# Schema and explanation


@given(st.sampled_from(["issuer", "identity", *CLAIMS]), st.text("ab0-._/:*@ ~\\[\n{}'\"é\u202e", max_size=12))
def test_the_schema_accepts_every_claim_that_loads(name: str, text: str) -> None:
    """Whatever one writes into a claim: what loads is accepted by the schema and is the value, to the letter."""
    value = f"https://{text}" if name == "issuer" else text
    quoted = "'" + value.replace("'", "''").replace("\n", "\n\n") + "'"
    start = RIGHT.index("  mirror:")
    claims = {"issuer": "https://accounts.example.org", "identity": "mirror@example.org", name: None}
    lines = [f"    {key}: {quoted if said is None else said}\n" for key, said in claims.items()]
    changed = RIGHT[:start] + "  mirror:\n" + "".join(lines) + RIGHT[RIGHT.index("  alice:") :]
    try:
        policy = load(changed)
    except DocumentInvalid:
        return
    identity = policy.signers["mirror"].identity
    assert identity is not None
    assert getattr(identity, name) == value
    assert "*" not in value
    assert list(Draft202012Validator(schema()).iter_errors(parsed(changed).value)) == []


def said(policy: Policy, title: str) -> list[str]:
    """The sentences of a section."""
    (section,) = (section for section in explain(policy) if section.title == title)
    return list(section.sentences)


def test_identities_trust_and_times_are_explained() -> None:
    """Each claim is a sentence, the trusted root is named by its digest, and a trusted time is asked for in words."""
    policy = load()
    assert [section.title for section in explain(policy)][:4] == ["images", "source", "trust", "lane e2e"]
    assert said(policy, "trust") == [
        f"Certificates, logs and timestamps are those of the trusted root {digest_of(ROOT)}."
    ]
    assert said(policy, "signer e2e") == [
        "May sign e2e and approval.",
        f"Is {E2E}, as {ISSUER} says.",
        f"Its certificate names the repository {REPOSITORY}.",
        "Its certificate names the ref refs/heads/main.",
        "Its certificate names the trigger push.",
        f"Its certificate names the workflow {MAIN}.",
    ]
    assert said(policy, "signer mirror") == [
        "May sign image and approval.",
        "Is mirror@example.org, as https://accounts.example.org says.",
        "Its certificate names the commit 4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70.",
    ]
    assert "A trusted timestamp or log says when it was signed." in said(policy, "lane e2e")
    assert "A trusted timestamp or log says when it was signed." not in said(policy, "lane image")


def test_a_shared_identity_and_the_public_trust_are_explained() -> None:
    """Who shares an identity is told at each of them, and that the public root is fetched."""
    text = replaced(
        ("    trigger: push\n", "    trigger: push\n    shared: true\n"),
        (
            "https://accounts.example.org\n    identity: mirror@example.org",
            f"{ISSUER}\n    identity: {E2E}\n    shared: true",
        ),
        ("{file: trust/root.json}", "public-good"),
    )
    policy = load(text)
    assert said(policy, "signer e2e")[-1] == "Shares this identity with mirror."
    assert said(policy, "signer mirror")[-1] == "Shares this identity with e2e."
    assert said(policy, "trust") == [
        "Certificates, logs and timestamps are those of the public-good Sigstore, fetched through TUF."
    ]
    assert not any("Shares" in sentence for sentence in said(load(), "signer e2e"))


def test_the_data_say_the_same() -> None:
    """As data a trust has its kind and digest, an identity its claims, a lane its demand; no trust is null."""
    policy = load()
    data = document(policy)
    assert data["trust"] == {"root": "file", "digest": digest_of(ROOT)}
    assert data["signers"]["mirror"] == [
        {
            "issuer": "https://accounts.example.org",
            "identity": "mirror@example.org",
            "commit": "4a0d2f6b1c83f7e95a6d0b7c2e91f3d84c5b6a70",
        }
    ]
    assert list(data["signers"]["e2e"][0]) == ["issuer", "identity", "repository", "ref", "trigger", "workflow"]
    assert [lane["time"] for lane in data["lanes"]] == ["trusted", None, None]
    public = document(load(replaced(("{file: trust/root.json}", "public-good"))))
    assert public["trust"] == {"root": "public-good", "digest": None}
    bare = dataclasses.replace(policy, keyring=type(policy.keyring)(policy.keyring.keys))
    assert document(bare)["trust"] is None


def test_a_policy_is_built_from_the_files_that_it_is_given() -> None:
    """Nothing is read while it is built: the same document and files make the same policy."""
    document = parsed(RIGHT)
    files = {name: right_keyless_files()[name] for name in ("keys/alice.pub", "trust/root.json")}
    built = build_policy(
        document, read_policy(document), files, compile_condition=compile_condition, open_trust=open_trust
    )
    assert built == load()
