"""Checks that compare an image with others: its base, its lock, its provenance; and its sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from attest.core.contract import BuildClaim, read_claim
from attest.core.contract.finding import Standing
from attest.core.image.facts import Base, Kind, ShadowedFile, Sizes
from attest.core.lane.buildfacts import FactsInvalid
from attest.core.predicates import PROVENANCE_V02, PROVENANCE_V1
from attest.core.reference import Digest
from tests.core.contract_scene import (
    AMD,
    ARM,
    BASE_IMAGE,
    GOOD,
    FakeLock,
    check,
    claim,
    image,
    messages,
    of,
    places,
)

B = Digest("sha256:" + 64 * "b")
C = Digest("sha256:" + 64 * "c")
OTHER = Digest("sha256:" + 64 * "d")
LABEL = "org.opencontainers.image.base.digest"


# ---- base.digest


def test_an_image_on_its_base() -> None:
    """Layers that begin with the baseline's, with a label that names it, are built on it."""
    report = check("base.digest: true", GOOD, baseline=BASE_IMAGE)
    assert (report.exit, report.findings) == (0, ())


@pytest.mark.parametrize("digest", [B, C])
def test_the_base_that_the_contract_allows(digest: Digest) -> None:
    """A base is allowed by the digest of its index or of its platform, and the label may say either."""
    facts = dataclasses.replace(GOOD, base=Base(name=None, digest=digest))
    assert check(f"base.digest: {{digests: ['{digest}']}}", facts, baseline=BASE_IMAGE).exit == 0


def test_without_a_baseline_nothing_is_proved() -> None:
    """A label alone is no proof: the check is undecided."""
    report = check("base.digest: true", GOOD)
    assert (report.exit, places(report, Standing.UNDECIDED)) == (3, ["baseline"])
    assert "a label alone does not prove" in messages(report)


def test_a_baseline_of_another_platform_proves_nothing() -> None:
    """A baseline without the image's platform leaves the check undecided, on that platform alone."""
    report = check("base.digest: true", GOOD, of("base", platform=ARM), baseline=BASE_IMAGE)
    assert [result.outcome.value for result in report.results] == ["passed", "undecided"]
    assert messages(report) == "the baseline has no linux/arm64"


@pytest.mark.parametrize(("variant", "same"), [("v8", True), (None, True), ("v9", False)])
def test_the_usual_variant_of_a_platform_is_the_platform(variant: str | None, same: bool) -> None:
    """linux/arm64 and linux/arm64/v8 are one platform, as builders write it."""
    base = image(of("base", platform=dataclasses.replace(ARM, variant=variant)), digest=B)
    assert check("base.digest: true", of("base", "app", platform=ARM), baseline=base).exit == (0 if same else 3)


@pytest.mark.parametrize(
    ("names", "alike", "layer"),
    [(("other", "os"), 0, 0), (("os", "base"), 0, 0), (("base", "other"), 1, 1), (("base",), 1, None), ((), 0, None)],
)
def test_an_image_on_another_base(names: tuple[str, ...], alike: int, layer: int | None) -> None:
    """Layers that differ, stand in another order or end too early are no base; the first that differs is named."""
    baseline = image(of("base", "os"), digest=B)
    report = check("base.digest: true", of(*names), baseline=baseline)
    (finding,) = report.findings
    assert (report.exit, finding.place) == (1, "baseline")
    assert finding.message.endswith(f"of its 2 layers the first {alike} are there")
    assert (None if finding.layer is None else finding.layer.position) == layer


def test_a_baseline_without_layers_proves_nothing() -> None:
    """Every image begins with no layers at all: that is no base."""
    report = check("base.digest: true", GOOD, baseline=image(of(), digest=B))
    assert (report.exit, messages(report)) == (3, "the baseline has no layers, and proves nothing")


def test_a_base_that_the_contract_does_not_allow() -> None:
    """The right layers of a base that is not on the list are a violation."""
    report = check(f"base.digest: {{digests: ['{OTHER}']}}", GOOD, baseline=BASE_IMAGE)
    assert places(report) == ["baseline"]
    assert "is not one that the contract allows" in messages(report)


def test_a_label_that_lies_about_the_base() -> None:
    """A label that names another image than the one whose layers are there is a violation of its own."""
    facts = dataclasses.replace(GOOD, base=Base(name=None, digest=OTHER))
    report = check("base.digest: true", facts, baseline=BASE_IMAGE)
    assert places(report) == [LABEL]
    silent = dataclasses.replace(GOOD, base=Base(name=None, digest=None))
    assert check("base.digest: true", silent, baseline=BASE_IMAGE).exit == 0


def test_a_label_against_the_contract_without_a_baseline() -> None:
    """Where the contract lists the bases, a label that names none of them is wrong whatever the layers are."""
    report = check(f"base.digest: {{digests: ['{OTHER}']}}", GOOD)
    assert (report.exit, places(report), places(report, Standing.UNDECIDED)) == (1, [LABEL], ["baseline"])


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        ([claim()], None),
        ([claim(bases=[B])], None),
        ([claim(bases=[C], images=[OTHER])], None),
        ([claim(images=[OTHER, B])], None),
        ([claim(bases=[OTHER])], "says that the base is"),
        ([claim(bases=[OTHER], images=[B])], "says that the base is"),
        ([claim(images=[OTHER])], "names the images that went into the build, without"),
        ([claim(bases=[B]), claim(bases=[OTHER])], "says that the base is"),
    ],
)
def test_a_provenance_that_names_another_base(claims: list[BuildClaim], problem: str | None) -> None:
    """Every provenance that says what went into the build has to name the base; one that does not say says nothing."""
    report = check("base.digest: true", GOOD, baseline=BASE_IMAGE, provenance=claims)
    assert places(report) == ([] if problem is None else ["provenance"])
    assert (problem or "") in messages(report)


# ---- sizes


def shadowed(path: str, size: int, layer: int) -> ShadowedFile:
    """A file that layer 2 deletes."""
    return ShadowedFile(
        path=path, kind=Kind.FILE, mode="0644", uid=0, gid=0, size=size, layer=layer, hidden_by=2, replaced=False
    )


LARGE = of(
    "base", "os", "app",
    sizes=Sizes(compressed=200_000_001, unpacked=500_000_000, wasted=6_000_000),
    shadowed=(
        shadowed("/a", 1_000_000, 0),
        shadowed("/b", 2_000_000, 1),
        shadowed("/c", 2_000_000, 1),
        shadowed("/d", 1, 0),
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size.compressed: 200000.001kB", None),
        (
            "size.compressed: 200MB",
            "the image has 200,000,001 bytes compressed; the contract allows 200,000,000; "
            "the largest layer is 0, of 500",
        ),
        ("size.unpacked: 500MB", None),
        (
            "size.unpacked: 400MiB",
            "the image has 500,000,000 bytes unpacked; the contract allows 419,430,400; "
            "the largest layer is 0, of 1,000",
        ),
        ("layer.count: 3", None),
        ("layer.count: 2", "the image has 3 layers; the contract allows 2"),
        ("layer.wasted: 6MB", None),
        (
            "layer.wasted: 0B",
            "6,000,000 bytes of files are in layers and no container sees them; the contract allows 0; the largest: "
            "/b (layer 1, hidden by 2), /c (layer 1, hidden by 2), /a (layer 0, hidden by 2)",
        ),
    ],
)
def test_sizes_and_counts(text: str, message: str | None) -> None:
    """Exactly the size that is allowed is allowed, one byte more is not, and the message says where the bytes are."""
    assert messages(check(text, LARGE)) == (message or "")


def test_the_layers_of_sizes() -> None:
    """A finding names the largest layer, the one that wastes most, and the one too many."""
    sizes = dataclasses.replace(LARGE, layers=(*LARGE.layers[:2], dataclasses.replace(LARGE.layers[2], compressed=900)))
    report = check("size.compressed: 1MB\nlayer.wasted: 1MB\nlayer.count: 1", sizes)
    assert [finding.layer.position for finding in report.findings if finding.layer] == [2, 2, 1]


def test_sizes_of_an_image_without_layers() -> None:
    """An image without layers has no largest one, and is measured all the same."""
    facts = of(sizes=Sizes(compressed=10, unpacked=10, wasted=10))
    report = check("size.compressed: 1B\nlayer.wasted: 1B", facts)
    assert [(finding.layer, finding.place) for finding in report.findings] == [(None, "compressed"), (None, "wasted")]
    assert messages(report).endswith("the contract allows 1")


@pytest.mark.parametrize(
    ("text", "more", "expected"),
    [
        ("{baseline: 2kB}", {"baseline": BASE_IMAGE}, (0, [])),
        ("{baseline: 1999B}", {"baseline": BASE_IMAGE}, (1, ["baseline"])),
        ("{baseline: 2kB}", {}, (3, [])),
        ("{baseline: 2kB}", {"baseline": image(of("base", platform=ARM))}, (3, [])),
        ("{lock: 0B}", {"lock": FakeLock({AMD: 3000})}, (0, [])),
        ("{lock: 0B}", {"lock": FakeLock({AMD: 9000})}, (0, [])),
        ("{lock: 0B}", {"lock": FakeLock({AMD: 2999})}, (1, ["lock"])),
        ("{lock: 0B}", {"lock": FakeLock({ARM: 3000})}, (3, [])),
        ("{lock: 0B}", {}, (3, [])),
        ("{baseline: 1B, lock: 1B}", {"baseline": BASE_IMAGE, "lock": FakeLock({AMD: 1})}, (1, ["baseline", "lock"])),
        ("{baseline: 1B, lock: 1B}", {"baseline": BASE_IMAGE}, (1, ["baseline"])),
    ],
)
def test_growth(text: str, more: Mapping[str, Any], expected: tuple[int, list[str]]) -> None:
    """An image may grow by so much over its baseline and its lock; without them nobody can tell."""
    report = check(f"size.delta: {text}", GOOD, **more)
    assert (report.exit, places(report)) == expected


def test_what_is_said_of_growth() -> None:
    """The message has both sizes, and says what is missing."""
    assert messages(check("size.delta: {lock: 1kB}", GOOD, lock=FakeLock({AMD: 1}))) == (
        "the image has 2,999 bytes unpacked more than the lock; the contract allows 1,000"
    )
    assert messages(check("size.delta: {lock: 1kB}", GOOD)) == "no lock was given to compare sizes with"
    arm = FakeLock({ARM: 1})
    assert messages(check("size.delta: {lock: 1kB}", GOOD, lock=arm)) == "the lock has no linux/amd64"


# ---- provenance


def predicate(dependencies: Any, target: str = "runtime") -> dict[str, Any]:
    """A SLSA provenance of version 1, as attest and BuildKit write it."""
    args = {"target": target} if target else {}
    return {
        "buildDefinition": {
            "externalParameters": {"request": {"args": args}},
            "resolvedDependencies": dependencies,
        },
        "runDetails": {"builder": {"id": "https://ci.example.org"}},
    }


def test_what_a_provenance_says() -> None:
    """The target, the bases by their name, and all images are read from the statement of a build."""
    dependencies = [
        {"name": "source", "uri": "git+https://git.example.org/a/b", "digest": {"gitCommit": "1" * 40}},
        {"name": "base", "uri": "pkg:oci/debian@sha256%3A1", "digest": {"sha256": "b" * 64}},
        {"name": "base", "uri": "pkg:oci/x", "digest": {"sha256": "short"}},
        {"uri": "pkg:docker/node@20?platform=linux%2Famd64", "digest": {"sha256": "c" * 64}},
        {"uri": "pkg:docker/none@20", "digest": {}},
        {"uri": "https://example.org/file", "digest": {"sha256": "d" * 64}},
        {"name": "containerfile", "digest": {"sha256": "e" * 64}},
    ]
    found = read_claim(PROVENANCE_V1, predicate(dependencies), place="here")
    assert found == BuildClaim(place="here", target="runtime", bases=frozenset({B}), images=frozenset({B, C}))


@pytest.mark.parametrize("dependencies", [None, []])
def test_a_provenance_that_says_nothing(dependencies: Any) -> None:
    """A build without a target and inputs has neither."""
    found = read_claim(PROVENANCE_V1, predicate(dependencies, target=""), place="here")
    assert (found.target, found.bases, found.images) == (None, frozenset(), frozenset())


def test_a_provenance_of_the_version_before() -> None:
    """BuildKit's older provenance has its images among the materials, and calls none of them a base."""
    older = {
        "invocation": {"parameters": {"args": {"target": "app"}}},
        "materials": [{"uri": "pkg:docker/debian@12", "digest": {"sha256": "b" * 64}}],
    }
    found = read_claim(PROVENANCE_V02, older, place="here")
    assert (found.target, found.bases, found.images) == ("app", frozenset(), frozenset({B}))


@pytest.mark.parametrize("type_", ["https://example.org/other", PROVENANCE_V1])
def test_what_is_no_provenance(type_: str) -> None:
    """Another type, or inputs that are no list, are refused as they are elsewhere."""
    with pytest.raises(FactsInvalid):
        read_claim(type_, predicate("x"), place="here")


def test_base_without_a_digest_object() -> None:
    """A base that is named without digests is no base that could be compared."""
    found = read_claim(PROVENANCE_V1, predicate([{"name": "base", "uri": "pkg:oci/x"}]), place="here")
    assert found.bases == frozenset()


def test_the_scene_is_what_the_tests_say() -> None:
    """The base image of these tests has the digest that the good image's label names."""
    assert BASE_IMAGE.digest == GOOD.base.digest == B
