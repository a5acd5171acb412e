"""A whole contract against an image: the report, its exit code, and what exceptions do."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.contract import check_image
from attest.core.contract.finding import LOCK_DRIFT, CheckResult, Finding, FoundLayer, Outcome, Standing, Use
from attest.core.contract.table import CHECKS
from attest.core.image.facts import BuildStep, Place, SecretFound
from attest.core.oci import Platform
from attest.core.statement import format_time
from tests.core.contract_cases import RIGHT
from tests.core.contract_scene import (
    AMD,
    ARM,
    BASE_IMAGE,
    GOOD,
    NOW,
    FakeLock,
    check,
    contract,
    file,
    image,
    layers,
    messages,
    outcomes,
    places,
    unread,
    with_config,
    with_files,
)
from tests.core.make_image import dpkg, whole
from tests.core.make_image import image as stacked
from tests.layerstacks import File

EVERY_CHECK = """
user.nonroot: true
config.entrypoint: true
config.cmd: true
config.workdir: true
config.stopsignal: true
label.required: true
port.allowed: [8080/tcp]
volume.allowed: [/srv/data]
env.secret: true
file.secret: true
file.setid: true
file.world_writable: true
path.forbidden: [/root/**]
path.allowed: [/usr/**, /etc/**]
package.forbidden: [pkg:npm/npm]
exe.forbidden: [sh]
account.empty_password: true
account.duplicate_id: true
healthcheck.present: true
base.digest: true
size.compressed: 200MB
size.unpacked: 500MB
size.delta: {baseline: 100MB}
layer.count: 12
layer.wasted: 5MB
ci.overlap: true
lock.drift: true
"""
INPUTS = {
    "lock": FakeLock({AMD: 1}),
    "baseline": BASE_IMAGE,
    "ci_image": image(dataclasses.replace(GOOD, layers=layers("x"))),
}
ALLOWED = "exceptions: [{id: file.setid, path: /usr/bin/su, reason: vendor, owner: ann, expires: 2027-01-01T00:00:00Z}]"
SU = file("/usr/bin/su", "4755")


def test_a_good_image_keeps_every_check() -> None:
    """The image of these tests passes each check of the table, so that what a test changes is what is found."""
    report = check(EVERY_CHECK, GOOD, **INPUTS)
    assert report.findings == ()
    assert outcomes(report.results) == [(each.id, "linux/amd64", "passed") for each in CHECKS]
    assert (report.exit, report.outcome) == (0, Outcome.PASSED)
    assert (report.contract, report.image) == ("test", image().digest)


def test_each_input_that_is_missing_is_said() -> None:
    """Without baseline, CI image and lock, what needs them is undecided, and nothing passes for want of them."""
    report = check(EVERY_CHECK, GOOD)
    assert report.exit == 3
    assert [result.check for result in report.results if result.outcome is Outcome.UNDECIDED] == [
        "base.digest",
        "size.delta",
        "ci.overlap",
        "lock.drift",
    ]
    assert {result.outcome for result in report.results} == {Outcome.PASSED, Outcome.UNDECIDED}


def test_no_value_of_a_variable_is_told() -> None:
    """Whatever a contract finds wrong, no message has the value of a variable or a build step of the history."""
    bad = with_config(dataclasses.replace(with_files(SU), history=(BuildStep(created_by="RUN --key canary-7"),)))
    bad = with_config(bad, env=(("PASSWORD", "canary-7"),), user="", workdir="", entrypoint=None, healthcheck=None)
    secret = SecretFound(rule="named-secret", place=Place.ENV, name="PASSWORD", layer=None)
    report = check(EVERY_CHECK, dataclasses.replace(bad, secrets=(secret,)))
    assert len(places(report)) >= 6
    assert "canary-7" not in repr(report)


def test_only_what_is_named_is_checked() -> None:
    """A contract with one check leads to one result for each platform, in the order of the image."""
    arm = dataclasses.replace(with_config(user="root"), platform=ARM)
    report = check("user.nonroot: true", arm, GOOD)
    assert outcomes(report.results) == [
        ("user.nonroot", "linux/arm64", "failed"),
        ("user.nonroot", "linux/amd64", "passed"),
    ]
    assert (report.exit, [finding.platform for finding in report.findings]) == (1, [ARM])


def test_an_image_without_platforms_does_not_pass() -> None:
    """Where nothing can be checked nothing passes."""
    report = check("user.nonroot: true\nlock.drift: true", lock=FakeLock({}))
    assert outcomes(report.results) == [("user.nonroot", None, "undecided"), ("lock.drift", None, "undecided")]
    assert report.exit == 3
    without = dataclasses.replace(report, results=())
    assert (without.exit, without.outcome) == (3, Outcome.UNDECIDED)


@pytest.mark.parametrize(
    ("standings", "exit_code"),
    [
        ([], 0),
        ([Standing.WARNING, Standing.EXCEPTED], 0),
        ([Standing.UNDECIDED, Standing.WARNING], 3),
        ([Standing.UNDECIDED, Standing.VIOLATION], 1),
        ([Standing.VIOLATION], 1),
    ],
)
def test_the_exit_code(standings: list[Standing], exit_code: int) -> None:
    """A violation is 1 and beats what is undecided, which is 3; warnings and exceptions change nothing."""
    found = [Finding(check="a", platform=AMD, place="p", message="m", standing=each) for each in standings]
    report = check("user.nonroot: true", GOOD)
    assert dataclasses.replace(report, results=(CheckResult.of("a", AMD, found),)).exit == exit_code


def test_findings_are_sorted() -> None:
    """Findings stand by place, layer and message, whatever order they were found in."""

    def finding(place: str, layer: int | None, message: str) -> Finding:
        return Finding(
            check="a",
            platform=AMD,
            place=place,
            message=message,
            standing=Standing.WARNING,
            layer=FoundLayer.of(GOOD, layer),
        )

    sorted_ = [
        finding("a", None, "z"),
        finding("a", 0, "b"),
        finding("a", 0, "c"),
        finding("a", 1, "a"),
        finding("b", 0, "a"),
    ]
    assert CheckResult.of("a", AMD, reversed(sorted_)).findings == tuple(sorted_)


def test_the_same_arguments_lead_to_the_same_report() -> None:
    """Nothing of a report depends on anything but what it is made from."""
    bad = dataclasses.replace(with_files(SU, file("/usr/bin/sh", "0777")), platform=ARM)
    first, again = (check(f"{EVERY_CHECK}\n{ALLOWED}", GOOD, bad, **INPUTS) for _ in range(2))
    assert first == again


# ---- locks


def drift(platform: Platform | None, place: str = "/packages/0") -> Finding:
    """A drift from a lock."""
    return Finding(check=LOCK_DRIFT, platform=platform, place=place, message="added", standing=Standing.VIOLATION)


def test_a_lock_that_is_given_is_compared() -> None:
    """Drift is reported whether the contract names it or not, and on a platform that the image does not have too."""
    lock = FakeLock({}, [drift(AMD), drift(None), drift(ARM)])
    for text in ("env.secret: true", "env.secret: true\nlock.drift: true"):
        report = check(text, GOOD, lock=lock)
        assert outcomes(report.results) == [
            ("env.secret", "linux/amd64", "passed"),
            ("lock.drift", "linux/amd64", "failed"),
            ("lock.drift", "linux/arm64", "failed"),
            ("lock.drift", None, "failed"),
        ]
    assert outcomes(check("lock.drift: true", GOOD, lock=FakeLock({})).results) == [
        ("lock.drift", "linux/amd64", "passed")
    ]


def test_an_exception_for_drift() -> None:
    """Drift can be allowed by the pointer to it."""
    text = f"lock.drift: true\n{ALLOWED.replace('file.setid', 'lock.drift').replace('/usr/bin/su', '/packages/*')}"
    assert check(text, GOOD, lock=FakeLock({}, [drift(AMD)])).exit == 0
    assert check(text, GOOD, lock=FakeLock({}, [drift(AMD, "/size")])).exit == 1


# ---- exceptions


def test_an_exception_allows_what_it_names() -> None:
    """The finding stays, with the exception that allows it, and the image passes."""
    report = check(f"file.setid: true\n{ALLOWED}", with_files(SU))
    (finding,) = report.findings
    assert (report.exit, finding.standing) == (0, Standing.EXCEPTED)
    assert finding.exemption == contract(f"file.setid: true\n{ALLOWED}").exemptions[0]
    (use,) = report.exemptions
    assert (use.use, use.findings) == (Use.USED, 1)


def test_an_exception_allows_nothing_else() -> None:
    """Another path, and another check at the same path, stay violations."""
    facts = with_files(file("/usr/bin/su", "4757"), file("/usr/bin/sudo", "4755"))
    report = check(f"file.setid: true\nfile.world_writable: true\n{ALLOWED}", facts)
    assert report.exit == 1
    assert [
        (finding.check, finding.place) for finding in report.findings if finding.standing is Standing.VIOLATION
    ] == [
        ("file.setid", "/usr/bin/sudo"),
        ("file.world_writable", "/usr/bin/su"),
    ]


@pytest.mark.parametrize(("seconds", "expired"), [(-1, False), (0, True), (1, True)])
def test_an_exception_expires(seconds: int, expired: bool) -> None:
    """From its moment on an exception allows nothing and is a violation itself, needed or not."""
    agreed = contract(f"file.setid: true\n{ALLOWED}")
    (exemption,) = agreed.exemptions
    now = exemption.expires + timedelta(seconds=seconds)
    report = check_image(agreed, image(with_files(SU)), now=now)
    assert (report.exit, report.exemptions[0].use) == ((1, Use.EXPIRED) if expired else (0, Use.USED))
    if expired:
        assert outcomes(report.results) == [("file.setid", "linux/amd64", "failed"), ("file.setid", None, "failed")]
        assert report.findings[1].message == (
            f"the exception for /usr/bin/su of ann expired at {format_time(exemption.expires)}: vendor"
        )
    unneeded = check_image(agreed, image(GOOD), now=now)
    assert unneeded.exit == (1 if expired else 0)


def test_an_exception_that_nothing_needs() -> None:
    """It warns, in a result about the image as a whole, and the image passes."""
    report = check(f"file.setid: true\nenv.secret: true\n{ALLOWED}", GOOD)
    assert outcomes(report.results) == [
        ("env.secret", "linux/amd64", "passed"),
        ("file.setid", "linux/amd64", "passed"),
        ("file.setid", None, "passed"),
    ]
    assert (report.exit, places(report, Standing.WARNING)) == (0, ["/usr/bin/su"])
    assert messages(report) == "nothing needs the exception for /usr/bin/su of ann any more"
    assert (report.exemptions[0].use, report.exemptions[0].findings) == (Use.UNUSED, 0)


def test_several_exceptions() -> None:
    """The first that fits is named; another that fits as well is needed as well, on every platform."""
    one = "{id: file.setid, path: /usr/**, reason: r, owner: o, expires: 2027-01-01T00:00:00Z}"
    two = one.replace("/usr/**", "/usr/bin/su")
    report = check(
        f"file.setid: true\nexceptions: [{one}, {two}]",
        with_files(SU),
        dataclasses.replace(with_files(SU), platform=ARM),
    )
    assert [(use.use, use.findings) for use in report.exemptions] == [(Use.USED, 2), (Use.USED, 2)]
    assert {finding.exemption.path for finding in report.findings if finding.exemption} == {"/usr/**"}


def test_what_could_not_be_read_can_be_allowed() -> None:
    """An exception for the path of an unreadable database settles it; one for everything does not stand in for an
    input that was not given."""
    allowed = "exceptions: [{id: ID, path: '**', reason: r, owner: o, expires: 2027-01-01T00:00:00Z}]"
    facts = dataclasses.replace(GOOD, unread=(unread("packages", "/var/lib/rpm/Packages"),))
    assert check(f"package.forbidden: [pkg:npm/npm]\n{allowed.replace('ID', 'package.forbidden')}", facts).exit == 0
    assert check(f"base.digest: true\n{allowed.replace('ID', 'base.digest')}", GOOD).exit == 3


def test_an_exception_with_a_result_about_the_whole_image() -> None:
    """A result about no platform takes the exception's own finding in, and there are not two of them."""
    text = (
        "lock.drift: true\nexceptions: [{id: lock.drift, path: /x, reason: r, owner: o, expires: 2026-01-01T00:00:00Z}]"
    )
    report = check(text, GOOD, lock=FakeLock({}, [drift(None)]))
    assert outcomes(report.results) == [("lock.drift", "linux/amd64", "passed"), ("lock.drift", None, "failed")]
    assert places(report) == ["/packages/0", "/x"]


@given(st.sets(st.sampled_from([each.id for each in CHECKS if each.id != LOCK_DRIFT]), min_size=1))
def test_an_input_that_is_missing_is_never_a_pass(named: set[str]) -> None:
    """Whatever a contract names: without its inputs an image that keeps it all is undecided where it needs one."""
    lines = [line for line in EVERY_CHECK.strip().split("\n") if line.partition(":")[0] in named]
    full, bare = check("\n".join(lines), GOOD, **INPUTS), check("\n".join(lines), GOOD)
    assert full.exit == 0
    needs = {"base.digest", "size.delta", "ci.overlap"} & named
    assert bare.exit == (3 if needs else 0)


# ---- real layers


def test_layers_lead_to_findings_with_their_build_steps() -> None:
    """From archives to findings: what each step brought, and what a later one removed, has that step's layer."""
    facts = stacked(
        (
            "COPY base",
            [File("etc/passwd", b"root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/false\n"), dpkg(libc6="2.36")],
        ),
        ("RUN apt-get install gcc", [dpkg(libc6="2.36", gcc="12"), File("usr/bin/gcc", mode=0o4755)]),
        ("RUN apt-get remove gcc", [dpkg(libc6="2.36"), File("usr/bin/.wh.gcc")]),
        config={"User": "app", "Cmd": ["/bin/true"]},
    )
    text = "user.nonroot: true\nfile.setid: true\nexe.forbidden: [gcc]\nlayer.count: 2\n"
    text += "package.forbidden: ['pkg:deb/*/gcc']\n"
    report = check_image(contract(text), whole(facts), now=NOW)
    gcc, count = report.findings
    assert (gcc.check, gcc.place) == ("package.forbidden", "pkg:deb/debian/gcc@12")
    assert gcc.layer is not None
    assert (gcc.layer.position, gcc.layer.created_by) == (1, "RUN apt-get install gcc")
    assert "layer 2 removes it" in gcc.message
    assert count.layer is not None
    assert count.layer.created_by == "RUN apt-get remove gcc"


def test_the_contract_of_the_mistakes_can_be_held_against_an_image() -> None:
    """The contract with every parameter decides about an image without an exception, and names what it breaks."""
    text = RIGHT.partition("\n")[2].partition("\n")[2]
    report = check(text, GOOD)
    assert report.exit == 1
    assert {result.check for result in report.results} == {each.id for each in CHECKS}
