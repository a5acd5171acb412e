"""A policy in sentences and as data."""

from __future__ import annotations

import pytest

from attest.core.explain import document, explain
from attest.core.policy import Policy
from tests.core.make import party, pem
from tests.core.policy_cases import PROVENANCE, RIGHT, waiving
from tests.core.test_policydocument import load, replaced


def said(policy: Policy, title: str) -> list[str]:
    """The sentences of a section."""
    (section,) = (section for section in explain(policy) if section.title == title)
    return list(section.sentences)


def test_a_whole_policy_is_explained() -> None:
    """Images, source, each lane, each signer and what is revoked: a section for each, in the policy's order."""
    policy = load()
    assert [section.title for section in explain(policy)] == [
        *("images", "source", "lane build", "lane contract", "lane approval"),
        *("signer builder", "signer inspector", "signer alice", "signer bob", "revoked"),
    ]
    assert said(policy, "images") == [
        "It speaks for everything below registry.example.org/plex.",
        "It refuses every other image.",
        "An image is for exactly linux/amd64.",
        "Of an image index, every lane is asked of the index.",
    ]
    assert said(policy, "source") == [
        "Everything is about the repository https://git.example.org/plex/playlist.",
        "The ref is refs/heads/main or everything below refs/tags.",
        "All lanes of all images of a release are about the same repository and commit.",
    ]
    assert said(policy, "lane build") == [
        "Needed for every image.",
        f"A statement of the type {PROVENANCE}.",
        "Signed by builder.",
        "It must be true that: predicate.a == 1",
        "It may be of any age.",
    ]
    assert said(policy, "lane contract") == [
        "Needed for every image but migrations.",
        "A test-result that says PASSED.",
        "Signed by inspector.",
        "It is at most 7d old.",
    ]
    assert said(policy, "lane approval") == [
        "Needed for every image.",
        "A test-result that says PASSED.",
        "Signed by 2 of alice and bob (reviewers).",
        "It is about exactly the images of the release, all of them together.",
        "It may be of any age.",
    ]
    assert said(policy, "signer alice") == [
        "May sign approval.",
        f"Has the ecdsa-p256 key {party('alice').trusted.fingerprint}.",
    ]
    assert said(policy, "revoked") == ["sha256:4a03f9284efd850d433e94dcf0e844cf76fe2e7a5c9a28e1011ebcbd0a222446."]


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("allow-warned: true", "A test-result that says PASSED or WARNED."),
        ("unlabelled: true", "It carries no lane name: predicate type and signer alone say that it is this lane."),
        (
            "unbound: true",
            "It need not share or name what the other lanes share; what it names is compared with the policy.",
        ),
        ("source-from: statement", "Its source is what its context says; other places in it may name another."),
        ("allow-dirty: true", "It may come from a work tree with changes that are in no commit."),
        ('where: ["true"]', "Its content may be anything."),
        ("max-age: 90s", "It is at most 90s old."),
    ],
)
def test_everything_that_a_lane_may_say_is_told(option: str, sentence: str) -> None:
    """Each option of a lane is a sentence of its own, which is not there without it."""
    assert sentence not in said(load(replaced(("    max-age: 7d\n", ""))), "lane contract")
    assert sentence in said(load(replaced(("max-age: 7d", option))), "lane contract")


@pytest.mark.parametrize(
    ("evidence", "sentence"),
    [
        ("index", "Of an image index, every lane is asked of the index."),
        ("each", "Of an image index, every lane is asked of each platform, joint ones of the index."),
        ("both", "Of an image index, every lane is asked of the index and of each platform, joint ones of the index."),
    ],
)
def test_the_place_of_evidence_is_told(evidence: str, sentence: str) -> None:
    """Which digests of an index the lanes are asked of."""
    assert said(load(replaced(("evidence: index", f"evidence: {evidence}"))), "images")[-1] == sentence


def test_what_is_left_out_is_told() -> None:
    """A policy says also what follows from what it does not say."""
    policy = load(
        replaced(
            ("platforms: {evidence: index, only: [linux/amd64]}\n", ""),
            ("  refs: [refs/heads/main, refs/tags/*]\n", ""),
            ("registry.example.org/plex/*", "registry.example.org/plex/backend"),
            (RIGHT[RIGHT.index("revoked:") :], ""),
        )
    )
    assert said(policy, "images") == [
        "It speaks for registry.example.org/plex/backend.",
        "It refuses every other image.",
        "It refuses image indexes, since it has no `platforms`.",
    ]
    assert len(said(policy, "source")) == 2
    assert said(policy, "revoked") == ["Nothing is revoked."]


def test_retired_and_shared_keys_are_told() -> None:
    """A revoked key is named as such, with its signer; a shared one with those who share it."""
    key = party("builder").trusted.fingerprint
    policy = load(
        replaced(
            ("{key: keys/builder.pub}", "{key: keys/builder.pub, shared: true}"),
            ("{key: keys/alice.pub}", "{key: keys/builder.pub, shared: true}"),
            (RIGHT[RIGHT.index("[sha256:") :], f"[{key}]\n"),
        )
    )
    assert said(policy, "signer builder") == [
        "May sign build.",
        f"Has the ecdsa-p256 key {key} (revoked: what it signed as good does not count).",
        "Shares this key with alice.",
    ]
    assert said(policy, "revoked") == [f"{key}, a key of alice and builder."]


def test_a_spare_signer_is_told() -> None:
    """A signer that no lane needs may stand in a policy, and is said to sign nothing."""
    policy = load(replaced(("signer: inspector", "signer: builder")))
    assert said(policy, "signer inspector")[0] == "May sign nothing: no lane needs it."


def test_the_data_say_the_same() -> None:
    """`--format json` has every value of the policy, and the sentences."""
    policy = load()
    data = document(policy)
    assert {key: data[key] for key in ("schema", "name", "serial", "digest", "expires", "images", "source")} == {
        "schema": "attest.policy/v1",
        "name": "staging",
        "serial": 7,
        "digest": policy.digest,
        "expires": "2027-06-30T00:00:00.000000Z",
        "images": ["registry.example.org/plex/*"],
        "source": {
            "repository": "https://git.example.org/plex/playlist",
            "refs": ["refs/heads/main", "refs/tags/*"],
            "bind": ["repository", "commit"],
        },
    }
    assert data["platforms"] == {"evidence": "index", "only": ["linux/amd64"]}
    assert list(data["signers"]) == ["builder", "inspector", "alice", "bob"]
    assert data["signers"]["bob"] == [
        {"fingerprint": party("bob").trusted.fingerprint, "algorithm": "ecdsa-p256", "revoked": False}
    ]
    assert data["lanes"][2] == {
        "lane": "approval",
        "predicate-type": "https://in-toto.io/attestation/test-result/v0.1",
        "signer": "reviewers",
        "parties": ["alice", "bob"],
        "threshold": 2,
        "where": [],
        "max-age": None,
        "time": None,
        "joint": True,
        "unlabelled": False,
        "unbound": False,
        "allow-warned": False,
        "allow-dirty": False,
        "source-from": None,
        "except": [],
    }
    assert data["lanes"][1]["max-age"] == "7d"
    assert data["lanes"][1]["except"] == ["migrations"]
    assert data["revoked"] == ["sha256:4a03f9284efd850d433e94dcf0e844cf76fe2e7a5c9a28e1011ebcbd0a222446"]
    assert data["explanation"][0]["sentences"] == said(policy, "images")


def test_the_data_of_a_policy_with_little() -> None:
    """What a policy leaves out is null in the data, not absent and not empty."""
    text = replaced(
        ("expires: 2027-06-30T00:00:00Z\n", ""),
        ("platforms: {evidence: index, only: [linux/amd64]}\n", ""),
        ("  refs: [refs/heads/main, refs/tags/*]\n", ""),
        ("max-age: 7d", "source-from: statement"),
    )
    data = document(load(text))
    assert (data["expires"], data["platforms"], data["source"]["refs"]) == (None, None, None)
    assert data["lanes"][1]["source-from"] == "statement"


def test_who_may_waive_is_told() -> None:
    """The waivers of a policy are a section and data of their own, for one signer and for several of many."""
    policy = load(waiving("signer: releaser, lanes: [contract, build], max-lifetime: 36h"))
    assert said(policy, "waivers") == [
        "In an emergency releaser may waive build and contract, for at most 36h.",
        "What runs by a waiver has not passed, and is never gone back to.",
    ]
    assert said(policy, "signer releaser")[0] == "May waive lanes, and sign none."
    assert said(policy, "signer builder")[0] == "May sign build."
    assert document(policy)["waivers"] == {
        "signer": "releaser",
        "parties": ["releaser"],
        "threshold": 1,
        "lanes": ["build", "contract"],
        "max-lifetime": "36h",
    }
    assert document(load())["waivers"] is None
    text = waiving("signer: board, lanes: [build], max-lifetime: 7d").replace(
        "  releaser: {key: keys/releaser.pub}\n",
        "  releaser: {key: keys/releaser.pub}\n  carol: {key: keys/carol.pub}\n"
        "  board: {threshold: 2, of: [releaser, carol]}\n",
    )
    policy = load(text, files={"keys/carol.pub": pem(party("carol").private.public_key())})
    assert said(policy, "waivers")[0] == (
        "In an emergency 2 of carol and releaser (board) may waive build, for at most 7d."
    )
