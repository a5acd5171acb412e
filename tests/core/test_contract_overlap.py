"""The wall between CI images and runtime images: every way in which they can share layers, and what is decided."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.contract import BuildClaim
from attest.core.contract.finding import Report, SharedAs, Standing
from attest.core.reference import Digest
from tests.core.contract_scene import AMD, ARM, GOOD, check, claim, diff_of, image, messages, of, places

B = Digest("sha256:" + 64 * "b")
OTHER = Digest("sha256:" + 64 * "d")


def overlap(runtime: Sequence[str], ci: Sequence[str], base: Sequence[str] | None = None, text: str = "true") -> Report:
    """The report on a runtime image beside a CI image."""
    baseline = None if base is None else image(of(*base), digest=B)
    return check(f"ci.overlap: {text}", of(*runtime), ci_image=image(of(*ci)), baseline=baseline)


@pytest.mark.parametrize(
    ("runtime", "ci", "base", "shared"),
    [
        # nothing in common
        ("base app", "other tools", None, ""),
        # the CI image builds on the runtime image
        ("base app", "base app tools", None, "runtime runtime"),
        ("base app", "base app tools", "base", "runtime runtime"),
        # both build on a base that is known
        ("base app", "base tools", "base", "base"),
        ("base os app", "base os tools", "base os", "base base"),
        # both begin alike, and nobody said why
        ("base app", "base tools", None, "unknown"),
        ("base app", "base tools", "another", "unknown"),
        # a layer of the CI image is in the runtime image
        ("base app tools", "base tools", "base", "base leak"),
        ("base tools app", "base tools more", "base", "base leak"),
        ("base tools app", "base tools more", None, "unknown unknown"),
        ("other tools", "base tools", None, "leak"),
        ("tools base", "base tools", None, "leak leak"),
        # the runtime image builds on the CI image, whatever is called the base
        ("base tools app", "base tools", None, "leak leak"),
        ("base tools app", "base tools", "base", "leak leak"),
        ("base tools app", "base tools", "base tools", "leak leak"),
        # they have the same layers
        ("base app", "base app", None, "leak leak"),
        ("base app", "base app", "base app", "leak leak"),
        # empty layers are all alike
        ("empty app", "empty tools", None, ""),
        ("base empty app", "base empty tools", "base", "base"),
    ],
)
def test_the_wall_between_ci_and_runtime(runtime: str, ci: str, base: str | None, shared: str) -> None:
    """A shared layer is allowed if it came from the base or the runtime image; else it is a leak, or undecided."""
    report = overlap(runtime.split(), ci.split(), None if base is None else base.split())
    assert " ".join(each.shared_as.value for each in report.shared) == shared
    assert len(places(report)) == shared.split().count("leak")
    assert len(places(report, Standing.UNDECIDED)) == shared.split().count("unknown")


def test_shared_layers_are_told_both_ways() -> None:
    """A leak names its layer and build step in the runtime image, and its position in the CI image."""
    report = overlap(["base", "app", "tools"], ["base", "more", "other", "tools"], ["base"])
    (finding,) = report.findings
    assert (finding.place, finding.message) == (
        diff_of("tools"),
        "layer 2 is layer 3 of the CI image (linux/amd64) as well",
    )
    assert finding.layer is not None
    assert (finding.layer.position, finding.layer.created_by) == (2, "RUN tools")
    base, tools = report.shared
    assert (base.shared_as, base.runtime.position, base.ci.position) == (SharedAs.BASE, 0, 0)
    assert (tools.shared_as, tools.runtime.position, tools.ci.position) == (SharedAs.LEAK, 2, 3)
    assert (tools.diff_id, tools.platform, tools.ci_platform) == (diff_of("tools"), AMD, AMD)


def test_without_a_ci_image_nothing_is_known() -> None:
    """The check is undecided; and layers are compared for the report although no check asks for it."""
    assert check("ci.overlap: true", GOOD).exit == 3
    report = check("env.secret: true", of("base", "app"), ci_image=image(of("base", "app", "tools")))
    assert (report.exit, len(report.shared)) == (0, 2)


def test_every_platform_of_the_ci_image_is_compared() -> None:
    """A CI image of one platform is compared with each of the runtime image; the worst of several counts."""
    ci = image(of("base", "app", "tools"), of("base", "other", platform=ARM))
    report = check("ci.overlap: true", of("base", "app"), ci_image=ci)
    assert [(str(each.ci_platform), each.shared_as.value) for each in report.shared] == [
        ("linux/amd64", "runtime"),
        ("linux/amd64", "runtime"),
        ("linux/arm64", "unknown"),
    ]
    assert (report.exit, "(linux/arm64), and nobody said whether it is of the base" in messages(report)) == (3, True)
    leaking = image(of("base", "other"), of("x", "base", platform=ARM), of("y", "base", platform=ARM))
    report = check("ci.overlap: true", of("base", "app"), ci_image=leaking)
    assert [finding.message for finding in report.findings] == [
        "layer 0 is layer 1 of the CI image (linux/arm64) as well"
    ]


def test_a_base_that_the_contract_does_not_allow_explains_nothing() -> None:
    """A baseline that is not on the list of bases does not make a shared layer one of the base."""
    text = f"ci.overlap: true\nbase.digest: {{digests: ['{OTHER}']}}"
    given_base = image(of("base"), digest=B)
    report = check(text, of("base", "app"), ci_image=image(of("base", "tools")), baseline=given_base)
    assert [each.shared_as for each in report.shared] == [SharedAs.UNKNOWN]
    allowed = check(text.replace(OTHER, B), of("base", "app"), ci_image=image(of("base", "tools")), baseline=given_base)
    assert [each.shared_as for each in allowed.shared] == [SharedAs.BASE]
    arm = image(of("base", platform=ARM), digest=B)
    without = check(text, of("base", "app"), ci_image=image(of("base", "tools")), baseline=arm)
    assert [each.shared_as for each in without.shared] == [SharedAs.UNKNOWN]


NAMES = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=1, max_size=4, unique=True)


@given(NAMES, NAMES, st.none() | NAMES)
def test_no_layer_of_the_ci_image_passes_without_a_reason(
    runtime: list[str], ci: list[str], base: list[str] | None
) -> None:
    """If the check passes, each shared layer is the base's, or the CI image begins with all of the runtime image."""
    report = overlap(runtime, ci, base)
    if report.exit != 0:
        return
    explained = set(base or ()) if base and runtime[: len(base)] == base else set()
    on_runtime = len(ci) > len(runtime) and ci[: len(runtime)] == runtime
    assert on_runtime or set(runtime) & set(ci) <= explained
    assert runtime[: len(ci)] != ci


@pytest.mark.parametrize(
    ("claims", "exit_code", "said"),
    [
        ([claim(target="runtime")], 0, ""),
        ([claim(target="app")], 0, ""),
        ([claim(target="test")], 1, "says that the target 'test' was built; the contract demands runtime, app"),
        ([claim(target="runtime"), claim(target="test")], 1, "says that the target 'test' was built"),
        ([claim()], 3, "does not say which target was built"),
        ([], 3, "no provenance says which target was built"),
    ],
)
def test_the_target_of_the_build(claims: list[BuildClaim], exit_code: int, said: str) -> None:
    """Where the contract names targets, every provenance has to name one of them."""
    ci = image(of("other"))
    report = check("ci.overlap: {target: [runtime, app]}", GOOD, ci_image=ci, provenance=claims)
    assert report.exit == exit_code
    assert said in messages(report)
    assert check("ci.overlap: true", GOOD, ci_image=ci, provenance=claims).exit == 0
