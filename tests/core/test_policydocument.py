"""Policies that load: what becomes of every field, the digest, and the schema that editors use."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from attest.adapters.conditions import compile_condition
from attest.adapters.documents import parse_document
from attest.core import limits
from attest.core.oci import Platform
from attest.core.policy import Bind, EvidenceAt, Policy, WaiverRule
from attest.core.policydocument import lifetime, policy_digest
from attest.core.policymodel import schema
from attest.core.reference import digest_of, parse_repository
from attest.errors import DocumentInvalid
from attest.ops.load import load_policy
from tests.core import policy_cases_keyless as keyless
from tests.core.make import party
from tests.core.make_identity import open_trust
from tests.core.policy_cases import CASES, PROVENANCE, RIGHT, TEST_RESULT, right_files, waiving, wrong

FOLDER = "some/folder"
TOOLS: Any = {
    "parse_document": parse_document,
    "compile_condition": compile_condition,
    "open_trust": open_trust,
}


class Files:
    """Files in memory, which remember how often each was read."""

    def __init__(self, files: Mapping[str, bytes], folder: str = FOLDER) -> None:
        self._files = {f"{folder}/{name}": content for name, content in files.items()}
        self.read: list[str] = []

    def __call__(self, path: str, *, limit: int) -> bytes:
        self.read.append(path)
        assert limit == (limits.DOCUMENT if path.endswith(".yaml") else limits.KEY_FILE)
        if path not in self._files:
            raise DocumentInvalid("not there", file=path)
        return self._files[path]


def load(text: str = RIGHT, *, folder: str = FOLDER, files: Mapping[str, bytes] | None = None) -> Policy:
    held = Files({**right_files(), **(files or {}), "policy.yaml": text.encode()}, folder)
    return load_policy(f"{folder}/policy.yaml", read_file=held, **TOOLS)


def replaced(*changes: tuple[str, str]) -> str:
    text = RIGHT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def test_every_field_becomes_a_value() -> None:
    """Nothing that a policy says is lost or changed on the way from its document."""
    policy = load()
    assert (policy.name, policy.serial) == ("staging", 7)
    assert policy.expires == datetime(2027, 6, 30, tzinfo=UTC)
    assert policy.images == ("registry.example.org/plex/*",)
    assert policy.speaks_for(parse_repository("registry.example.org/plex/backend"))
    assert policy.source.repository == "https://git.example.org/plex/playlist"
    assert policy.source.refs == ("refs/heads/main", "refs/tags/*")
    assert policy.source.bind == (Bind.REPOSITORY, Bind.COMMIT)
    assert policy.platforms is not None
    assert policy.platforms.evidence is EvidenceAt.INDEX
    assert policy.platforms.only == (Platform(os="linux", architecture="amd64"),)
    assert policy.revoked == {"sha256:4a03f9284efd850d433e94dcf0e844cf76fe2e7a5c9a28e1011ebcbd0a222446"}
    build, contract, approval = policy.lanes
    assert (build.name, build.predicate_type, build.signer) == ("build", PROVENANCE, "builder")
    assert build.parties == {"builder"}
    assert [condition.text for condition in build.where] == ["predicate.a == 1"]
    assert build.where[0].holds(predicate={"a": 1}, statement={}, image={}, certificate={})
    assert not build.where[0].holds(predicate={"a": 2}, statement={}, image={}, certificate={})
    assert (contract.predicate_type, contract.max_age, contract.where) == (TEST_RESULT, timedelta(days=7), ())
    assert contract.exempt == {"migrations"}
    assert approval.signer == "reviewers"
    assert approval.parties == {"alice", "bob"}
    assert [lane.threshold for lane in policy.lanes] == [1, 1, 2]
    assert [lane.joint for lane in policy.lanes] == [False, False, True]


def test_waivers_become_a_rule() -> None:
    """Who waives what for how long is a value; without `waivers` there is none; the schema knows the section."""
    assert load().waivers is None
    text = waiving("signer: releaser, lanes: [contract, build], max-lifetime: 36h")
    assert load(text).waivers == WaiverRule(
        signer="releaser",
        parties=frozenset({"releaser"}),
        threshold=1,
        lanes=frozenset({"build", "contract"}),
        max_lifetime=timedelta(hours=36),
    )
    assert Draft202012Validator(schema()).is_valid(parse_document(text.encode(), file="f").value)


def test_signers_hold_their_keys() -> None:
    """The keyring has every key of every party, each key its holders, and a threshold has no key of its own."""
    policy = load()
    fingerprints = {name: [key.fingerprint for key in signer.keys] for name, signer in policy.signers.items()}
    assert fingerprints == {
        "builder": [party("builder").trusted.fingerprint],
        "inspector": [party("inspector").trusted.fingerprint, party("inspector-2025").trusted.fingerprint],
        "alice": [party("alice").trusted.fingerprint],
        "bob": [party("bob").trusted.fingerprint],
    }
    assert policy.holders == {key: {name} for name, keys in fingerprints.items() for key in keys}
    assert {key.fingerprint for key in policy.keyring.keys} == set(policy.holders)


@pytest.mark.parametrize(
    ("option", "attribute"),
    [
        ("joint", "joint"),
        ("unlabelled", "unlabelled"),
        ("unbound", "unbound"),
        ("allow-warned", "allow_warned"),
        ("allow-dirty", "allow_dirty"),
    ],
)
def test_a_lane_is_strict_unless_it_says_otherwise(option: str, attribute: str) -> None:
    """Each option of a lane is off by default, off where it says so, and on only where it says so."""
    for text, expected in (("", False), (f"{option}: false", False), (f"{option}: true", True)):
        _, contract, _ = load(replaced(("max-age: 7d\n", f"max-age: 7d\n    {text}\n"))).lanes
        assert getattr(contract, attribute) is expected
        others = {"joint", "unlabelled", "unbound", "allow_warned", "allow_dirty"} - {attribute}
        assert not any(getattr(contract, other) for other in others)


def test_the_rest_of_a_lane_is_strict_too() -> None:
    """Without them there is no age limit and no exception, and the source is what every place says."""
    _, contract, _ = load(replaced(("    max-age: 7d\n    except: [migrations]\n", ""))).lanes
    assert (contract.max_age, contract.exempt, contract.source_from_statement) == (None, frozenset(), False)
    _, contract, _ = load(replaced(("max-age: 7d", "source-from: statement"))).lanes
    assert contract.source_from_statement


def test_what_is_optional_may_be_left_out() -> None:
    """A policy without expires, refs, platforms and revoked loads, and has none of them."""
    policy = load(
        replaced(
            ("expires: 2027-06-30T00:00:00Z\n", ""),
            ("  refs: [refs/heads/main, refs/tags/*]\n", ""),
            ("platforms: {evidence: index, only: [linux/amd64]}\n", ""),
            (RIGHT[RIGHT.index("revoked:") :], ""),
        )
    )
    assert (policy.expires, policy.source.refs, policy.platforms, policy.revoked) == (None, None, None, frozenset())


def test_a_condition_that_is_literally_true_needs_no_compiler() -> None:
    """`where: ["true"]` holds for any content, and no CEL is asked for it."""

    def refuse(text: str) -> Any:
        raise AssertionError(text)

    held = Files({**right_files(), "policy.yaml": replaced(("predicate.a == 1", "true")).encode()})
    policy = load_policy(f"{FOLDER}/policy.yaml", read_file=held, **{**TOOLS, "compile_condition": refuse})
    (condition,) = policy.lanes[0].where
    assert condition.text == "true"
    assert condition.holds(predicate=None, statement=None, image=None, certificate={})


@pytest.mark.parametrize(
    ("text", "age"),
    [
        ("7d", timedelta(days=7)),
        ("24h", timedelta(days=1)),
        ("36h", timedelta(hours=36)),
        ("30m", timedelta(minutes=30)),
        ("90s", timedelta(seconds=90)),
        ("999999d", timedelta(days=999999)),
    ],
)
def test_an_age_is_read_and_told(text: str, age: timedelta) -> None:
    """Ages mean what they say, and are told again as something that means the same."""
    _, contract, _ = load(replaced(("max-age: 7d", f"max-age: {text}"))).lanes
    assert contract.max_age == age
    _, again, _ = load(replaced(("max-age: 7d", f"max-age: {lifetime(age)}"))).lanes
    assert again.max_age == age


# ---- keys


def test_two_signers_may_share_a_key_if_both_say_so() -> None:
    """With `shared: true` on both, one key has two holders."""
    policy = load(
        replaced(
            ("{key: keys/builder.pub}", "{key: keys/builder.pub, shared: true}"),
            ("{key: keys/alice.pub}", "{key: keys/builder-again.pub, shared: true}"),
        )
    )
    assert policy.holders[party("builder").trusted.fingerprint] == {"builder", "alice"}


def test_every_file_is_read_once() -> None:
    """A key that several signers name is read once, so that all of them hold the same bytes."""
    text = replaced(
        ("{key: keys/builder.pub}", "{key: keys/builder.pub, shared: true}"),
        ("{key: keys/alice.pub}", "{key: keys/builder.pub, shared: true}"),
    )
    held = Files({**right_files(), "policy.yaml": text.encode()})
    load_policy(f"{FOLDER}/policy.yaml", read_file=held, **TOOLS)
    assert len(held.read) == len(set(held.read)) == 5


def test_unlabelled_lanes_with_other_keys_or_types_are_told_apart() -> None:
    """Two unlabelled lanes may share a predicate type or a key, only not both."""
    lanes = RIGHT[RIGHT.index("lanes:") : RIGHT.index("  approval:")]
    for signer, kind in (("inspector", PROVENANCE), ("builder", TEST_RESULT)):
        text = f"""lanes:
  build: {{predicate-type: {PROVENANCE}, signer: builder, unlabelled: true, where: ["true"]}}
  contract: {{predicate-type: {TEST_RESULT}, signer: inspector}}
  again: {{predicate-type: {kind}, signer: {signer}, unlabelled: true, where: ["true"]}}
"""
        assert [lane.unlabelled for lane in load(replaced((lanes, text))).lanes] == [True, False, True, False]


def test_paths_start_at_the_folder_of_the_policy() -> None:
    """Relative paths start where the document stands, also in the working directory itself; absolute ones do not."""
    files = right_files()
    read: list[str] = []

    def read_file(path: str, *, limit: int) -> bytes:
        read.append(path)
        return files[path.removeprefix("./").removeprefix("/")][:limit]

    files["policy.yaml"] = replaced(("keys/builder.pub", "/keys/builder.pub")).encode()
    load_policy("policy.yaml", read_file=read_file, **TOOLS)
    assert read[:3] == ["policy.yaml", "/keys/builder.pub", "./keys/inspector.pub"]


def test_a_policy_is_not_read_from_standard_input() -> None:
    """`-` is refused, since a policy without a folder would take its keys from the working directory."""
    with pytest.raises(DocumentInvalid, match="relative to where it stands"):
        load_policy("-", read_file=Files({}), **TOOLS)


# ---- digest


def test_the_digest_has_the_encoding_of_the_documentation() -> None:
    """The digest can be computed by anybody from docs/policy.md: count, then name and content, each with its length."""
    names = ["keys/alice.pub", "keys/bob.pub", "keys/builder.pub", "keys/inspector-2025.pub", "keys/inspector.pub"]
    files = right_files()
    encoded = b"attest policy v1\n" + struct.pack(">Q", 6)
    for name, content in [("", RIGHT.encode()), *((name, files[name]) for name in names)]:
        encoded += struct.pack(">Q", len(name)) + name.encode() + struct.pack(">Q", len(content)) + content
    assert load().digest == "sha256:" + hashlib.sha256(encoded).hexdigest()


def test_any_byte_of_any_file_changes_the_digest() -> None:
    """No byte of the document or of a key, and no byte more or less, leaves the digest as it was."""
    files = {name: content for name, content in right_files().items() if name in RIGHT}
    seen = {policy_digest(RIGHT.encode(), files)}
    contents = {"policy.yaml": RIGHT.encode(), **files}
    count = 1
    for name, content in contents.items():
        for changed in (
            *(content[:at] + bytes([byte ^ 1]) + content[at + 1 :] for at, byte in enumerate(content)),
            content + b"\n",
            content[:-1],
        ):
            others = {**contents, name: changed}
            seen.add(policy_digest(others.pop("policy.yaml"), others))
            count += 1
    assert len(seen) == count


@given(
    st.tuples(st.binary(max_size=4), st.dictionaries(st.text("ab/", min_size=1, max_size=3), st.binary(max_size=4))),
    st.tuples(st.binary(max_size=4), st.dictionaries(st.text("ab/", min_size=1, max_size=3), st.binary(max_size=4))),
)
def test_other_files_have_another_digest(
    one: tuple[bytes, dict[str, bytes]], other: tuple[bytes, dict[str, bytes]]
) -> None:
    """Bytes that move between names, contents and files make another digest; the order of the files does not."""
    assert (policy_digest(*one) == policy_digest(*other)) == (one == other)
    assert policy_digest(one[0], dict(reversed(one[1].items()))) == policy_digest(*one)


def test_the_folder_does_not_change_the_digest() -> None:
    """The same policy has the same digest wherever it lies, and whatever lies beside it."""
    assert load(folder="/elsewhere").digest == load().digest
    assert load(files={"keys/unnamed.pub": b"x"}).digest == load().digest


def test_a_key_in_another_form_is_another_policy() -> None:
    """The digest covers the bytes of a key, also where they mean the same key."""
    files = right_files()
    changed = load(files={"keys/builder.pub": files["keys/builder-again.pub"]})
    assert changed.holders == load().holders
    assert changed.digest != load().digest


def test_a_digest_of_the_document_alone_is_not_the_policy_digest() -> None:
    """What stands in verdicts is not the digest of a file, which could be taken for the whole."""
    assert load().digest != digest_of(RIGHT.encode())


# ---- schema


BEYOND_A_SCHEMA = {
    "a version with a point",  # JSON Schema takes 1.0 for 1
    "no such time",
    "an image with a tag",
    "a ref with a space",
    "a ref with two dots",
    "a repository with .git",
    "a threshold above its members",
    "a member that is not there",
    "a threshold of itself",
    "a threshold of thresholds",
    "a threshold that its keys cannot reach",
    "a key that is not there",
    "a key that is a folder",
    "a key from standard input",
    "an empty key file",
    "a large key file",
    "a private key",
    "a short key",
    "a key under which anything verifies",
    "one key in two files of a signer",
    "a key that two signers hold",
    "a key that only one of them shares",
    "a signer that is not there",
    "unlabelled lanes alike",
    "a condition that is no CEL",
    "a condition that ends early",
    "an unknown variable",
    "an unknown function",
    "a regular expression",
    "a list that is built",
    "a macro that looks outside",
    "an identity without trust",
    "a trusted time without trust",
    "a trusted root that is not there",
    "a trusted root that is a folder",
    "a trusted root that is too large",
    "an empty trusted root",
    "a key as the trusted root",
    "a signing configuration as the trusted root",
    "a trusted root of nobody",
    "an issuer over plain http",
    "an issuer that is like loopback",
    "an identity with a space behind it",
    "an identity of two lines",
    "an identity that two signers are",
    "an identity that only one of them shares",
    "a threshold that its identities cannot reach",
    "unlabelled lanes of one identity",
    "waivers of a signer that is not there",
    "waivers of a lane that is not there",
    "waivers of a lane's signer",
    "waivers of a lane's threshold",
    "waivers of a member of a lane's threshold",
    "waivers of a lane's signer under another name",
}


def test_the_schema_is_one() -> None:
    """What `attest policy schema` prints is a valid JSON Schema of draft 2020-12."""
    Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_the_schema_refuses_what_a_schema_can() -> None:
    """The schema refuses every mistake of the golden files but those listed here, and accepts what is right."""
    validator = Draft202012Validator(schema())
    for right in (RIGHT, keyless.RIGHT):
        assert validator.is_valid(parse_document(right.encode(), file="f").value)
    accepted = set()
    texts = [(title, wrong(old, new)) for title, old, new in CASES]
    texts += [(title, keyless.wrong(old, new)) for title, old, new in keyless.CASES]
    for title, text in texts:
        try:
            value = parse_document(text.encode(), file="f").value
        except DocumentInvalid:
            continue  # no YAML that is read here, so there is nothing to check
        if validator.is_valid(value):
            accepted.add(title)
    assert accepted == BEYOND_A_SCHEMA


_TEXT = st.text("ab0-._/:*@ ~^?\\[\n{}'\"é", max_size=12)
_FIELDS: dict[str, st.SearchStrategy[str]] = {
    "name: staging": st.builds("name: {!r}".format, _TEXT),
    "[registry.example.org/plex/*]": st.builds("[{!r}]".format, _TEXT | st.builds("a.b/{}".format, _TEXT)),
    "[refs/heads/main, refs/tags/*]": st.builds("[{!r}]".format, st.builds("refs/{}".format, _TEXT)),
    "[linux/amd64]": st.builds("[{!r}]".format, _TEXT),
    "max-age: 7d": st.builds("max-age: {!r}".format, st.from_regex(r"\A[0-9]{0,9}[a-z]?\Z")),
    "[migrations]": st.builds("[{!r}]".format, _TEXT),
    "predicate-type: https://slsa.dev/provenance/v1": st.builds(
        "predicate-type: {!r}".format, _TEXT | st.builds("a:{}".format, _TEXT)
    ),
    "2027-06-30T00:00:00Z": st.from_regex(r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:00:00(\.[0-9]+)?Z\Z"),
    "https://git.example.org/plex/playlist": st.builds("http{}://a.b/{!s}".format, st.just("s"), st.text("ab.-/+")),
    "serial: 7": st.builds("serial: {}".format, st.integers()),
}


@given(st.data())
def test_the_schema_accepts_what_loads(data: st.DataObject) -> None:
    """Whatever one writes into a field: what loads is accepted by the schema, so an editor never warns of it."""
    old = data.draw(st.sampled_from(sorted(_FIELDS)))
    text = RIGHT.replace(old, data.draw(_FIELDS[old]))
    try:
        load(text)
    except DocumentInvalid:
        return
    value = parse_document(text.encode(), file="f").value
    assert list(Draft202012Validator(schema()).iter_errors(value)) == []


# ---- which error is told


def test_the_first_error_is_told() -> None:
    """Of several errors the first of the document is told; one about something missing comes after the others."""
    with pytest.raises(DocumentInvalid, match="3:9: `serial`"):
        load(
            replaced(("serial: 7", "serial: 0"), ("joint: true", "joint: 1"), ("version: 1\n", "\n"), ("name", "name"))
        )
    with pytest.raises(DocumentInvalid, match=r"30:12: `lanes\.approval\.joint`"):
        load(replaced(("serial: 7\n", "\n"), ("joint: true", "joint: 1")))


@given(st.data())
def test_a_damaged_policy_is_read_or_refused_with_a_place(data: st.DataObject) -> None:
    """Bytes taken out of a policy, put in or moved: it still is one, or the error names a line and a column."""
    content = RIGHT.encode()
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(start + 40, len(content))))
    into = data.draw(st.binary(max_size=4) | st.sampled_from(RIGHT.split()).map(str.encode))
    held = Files({**right_files(), "policy.yaml": content[:start] + into + content[end:]})
    error: DocumentInvalid | None = None
    try:
        load_policy(f"{FOLDER}/policy.yaml", read_file=held, **TOOLS)
    except DocumentInvalid as caught:
        error = caught
    if error is not None:
        assert error.file == f"{FOLDER}/policy.yaml"
        assert None not in (error.line, error.column)
