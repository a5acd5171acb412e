"""How two images differ, section by section, and what cannot be known of files."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.core.image.change import Change
from attest.core.image.diff import ImageDiff, Section, diff_images
from attest.core.image.facts import ImageFacts, PlatformFacts
from attest.errors import Undecided
from tests.core.locks import APP, BASE, CAPABILITY, CONFIG, GOOD
from tests.core.make_image import Layer, dpkg, image, whole
from tests.layerstacks import File, folder, hard_link, symlink


def diff(before: PlatformFacts, after: PlatformFacts) -> ImageDiff:
    """The difference of two images of one platform."""
    return diff_images(whole(before), whole(after))


def changes(before: PlatformFacts, after: PlatformFacts, section: Section) -> list[Change]:
    """The differences of one section."""
    (platform,) = diff(before, after).platforms
    return list(platform.changes[section])


def words(found: list[Change]) -> list[str]:
    """What people see of differences: the sentence, and the step that brought it, or had brought it."""
    return [f"{each.message} | {(each.origin or each.former or each).created_by}" for each in found]  # type: ignore[union-attr]


def test_an_image_does_not_differ_from_itself() -> None:
    """The same image has no difference in any section, and every section is there to say so."""
    found = diff(GOOD, GOOD)
    assert not found.differs
    (platform,) = found.platforms
    assert platform.changes == dict.fromkeys(Section, ())
    assert (platform.count, platform.rewritten) == (0, ())


def test_packages_and_executables_with_layer_and_step() -> None:
    """A package that is new, gone or another version, and a program, each with the step that did it."""
    after = image(
        BASE,
        APP,
        ("RUN apt-get", [dpkg(libc="2.37", nano="7"), File("bin/.wh.sh"), File("bin/nano", b"n", mode=0o755)]),
        config=CONFIG,
    )
    assert words(changes(GOOD, after, Section.PACKAGES)) == [
        "package libc was 2.36 and is 2.37 | RUN apt-get",
        "package nano 7 is new | RUN apt-get",
        "package zlib 1.2 is gone | RUN apt-get",
    ]
    assert words(changes(GOOD, after, Section.EXECUTABLES)) == [
        "executable /bin/nano is new | RUN apt-get",
        "executable /bin/sh is gone | RUN apt-get",
    ]
    back = changes(after, GOOD, Section.PACKAGES)
    assert [each.kind.value for each in back] == ["changed", "removed", "added"]
    assert [each.former and each.former.created_by for each in back] == ["RUN apt-get", "RUN apt-get", "RUN apt-get"]
    assert [each.origin and each.origin.created_by for each in back] == ["ADD base", None, "ADD base"]


def test_files_in_words() -> None:
    """Files that came, went or changed say what they are, and in what they differ."""
    before = image(("ADD", [folder("d"), File("d/a", b"1"), symlink("l", "d/a"), File("g"), File("same")]))
    link = dataclasses.replace(hard_link("h", "d/a", mode=0o600), uid=1)
    after = image(
        ("COPY", [folder("d", 0o700), File("d/a", b"12", mode=0o600, uid=1), File("new", b"x"), File("same")]),
        (
            "RUN ln",
            [
                link,
                symlink("s", "/etc"),
                File("l", pax=CAPABILITY),
            ],
        ),
    )
    assert words(changes(before, after, Section.FILES)) == [
        'directory /d: mode was "0755" and is "0700" | COPY',
        'file /d/a: mode was "0644" and is "0600", uid was 0 and is 1, size was 1 and is 2 | COPY',
        "file /g is gone, 0644 0:0, 0 bytes | ADD",
        'file /h is new, a link to "/d/a" | RUN ln',
        'file /l: kind was "symlink" and is "file", mode was "0777" and is "0644", target was "d/a" and is null, '
        'capabilities was null and is "cap_net_bind_service=ep" | RUN ln',
        "file /new is new, 0644 0:0, 1 bytes | COPY",
        'symlink /s is new, a link to "/etc" | RUN ln',
    ]
    assert [each.message for each in changes(after, before, Section.FILES) if each.name == "/h"] == [
        'file /h is gone, a link to "/d/a"'
    ]
    directory = changes(before, image(("ADD", [folder("e")])), Section.FILES)
    assert "directory /e is new, 0755 0:0" in [each.message for each in directory]


def test_long_paths_are_cut_in_sentences() -> None:
    """A path of any length is whole as a name, and cut where people read it."""
    path = "/".join(["d" * 200] * 10)
    found = changes(image(BASE), image(BASE, ("COPY", [File(path)])), Section.FILES)[-1]  # after its folders
    assert found.name == f"/{path}"
    assert len(found.message) < 300


def test_all_labels_and_annotations_are_compared() -> None:
    """What a lock leaves out because every build changes it is a difference here: labels, annotations, author, time."""
    label = "org.opencontainers.image.revision"
    before = image(BASE, config={"Labels": {label: "1"}}, annotations={"a": "1"})
    after = image(BASE, config={"Labels": {label: "2"}}, annotations={"a": "2", "b": ""}, steps=[f"LABEL {label}=2"])
    after = dataclasses.replace(after, config=dataclasses.replace(after.config, author="ann", created="2026"))
    assert [each.message for each in changes(before, after, Section.CONFIG)] == [
        'annotation a was "1" and is "2"',
        'annotation b "" is new',
        'author "ann" is new',
        'created "2026" is new',
        f'label {label} was "1" and is "2"',
    ]
    assert changes(before, after, Section.CONFIG)[-1].origin is not None


def test_a_step_that_had_set_a_value_is_told_of_what_is_gone() -> None:
    """Of a value that is gone nobody knows who took it away; the step that had set it is told in its stead."""
    before = image(BASE, config={"Env": ["A=1"]}, steps=["ENV A=1"])
    (gone,) = changes(before, image(BASE), Section.CONFIG)
    assert gone.origin is None
    assert gone.former is not None
    assert gone.former.created_by == "ENV A=1"


def test_set_id_files_and_sizes() -> None:
    """Set-id files and sizes are sections of their own."""
    after = image(BASE, APP, ("RUN", [File("bin/su", b"", mode=0o755)]), config=CONFIG)
    assert [each.name for each in changes(GOOD, after, Section.SETID)] == ["set-id file /bin/su"]
    assert {each.name for each in changes(GOOD, after, Section.SIZE)} == {
        "compressed size",
        "unpacked size",
        "wasted size",
    }


def test_layers_are_compared_by_content_and_in_their_order() -> None:
    """A layer that was put in between, one that is gone, and two that changed places are told; equal ones are not."""
    middle: Layer = ("RUN x", [File("x")])
    after = image(BASE, middle, APP, config=CONFIG)
    (new,) = changes(GOOD, after, Section.LAYERS)
    assert (new.name, new.kind.value, new.after["diff_id"]) == ("layer 1", "added", after.layers[1].diff_id)
    assert new.origin is not None
    assert new.origin.created_by == "RUN x"
    (gone,) = changes(after, GOOD, Section.LAYERS)
    assert (gone.name, gone.kind.value, gone.origin) == ("layer 1", "removed", None)
    assert gone.former is not None
    assert gone.former.created_by == "RUN x"
    assert diff(image(BASE, APP), image(APP, BASE)).differs


def test_files_whose_bytes_are_not_known_to_be_the_same() -> None:
    """A file that another layer wrote again, alike in all that is known, is told; one of an equal layer is not."""
    before = image(BASE, ("COPY app /srv/app", [File("srv/app", b"application", mode=0o755), File("srv/data", b"1")]))
    after = image(BASE, ("COPY app /srv/app", [File("srv/app", b"APPLICATION", mode=0o755), File("srv/data", b"22")]))
    found = diff(before, after)
    (platform,) = found.platforms
    assert platform.rewritten == ("/srv/app",)
    assert [each.name for each in platform.changes[Section.FILES]] == ["/srv/data"]
    assert found.differs
    assert platform.changes[Section.LAYERS]


def test_a_hard_link_in_an_equal_layer_may_share_other_bytes() -> None:
    """A hard link to a file of a lower layer that differs is not known to be the same, though its layer is equal."""
    link: Layer = ("RUN ln", [hard_link("h", "a")])
    before, after = (image(("ADD", [File("a", content)]), link) for content in (b"1", b"2"))
    (platform,) = diff(before, after).platforms
    assert platform.rewritten == ("/a", "/h")
    (same,) = diff(before, image(("ADD", [File("a", b"1")]), link, config={"User": "x"})).platforms
    assert same.rewritten == ()


def test_platforms_are_matched_by_name() -> None:
    """Platforms of one side only are named, and are a difference; an image with one twice cannot be compared."""
    arm, s390 = image(BASE, platform="linux/arm64"), image(BASE, platform="linux/s390x")
    found = diff_images(whole(s390, GOOD), whole(arm, GOOD))
    assert ([each.platform for each in found.platforms], found.only_before, found.only_after) == (
        ["linux/amd64"],
        ("linux/s390x",),
        ("linux/arm64",),
    )
    assert found.platforms[0].count == 0
    assert found.differs
    with pytest.raises(Undecided):
        diff_images(whole(GOOD, GOOD), whole(GOOD))


def rebuilt(facts: PlatformFacts, **more: Any) -> ImageFacts:
    """An image of the same platform with other facts."""
    return whole(dataclasses.replace(facts, **more))


@pytest.mark.parametrize("side", ["only_before", "only_after"])
def test_a_platform_alone_makes_a_difference(side: str) -> None:
    """With nothing else different, a platform of one side alone is a difference."""
    arm = image(BASE, platform="linux/arm64")
    images = [whole(GOOD, arm), whole(GOOD)]
    found = diff_images(*(images if side == "only_before" else reversed(images)))
    assert getattr(found, side) == ("linux/arm64",)
    assert found.differs


_FILES = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.builds(File, st.just(""), st.sampled_from([b"", b"1", b"2"])), min_size=1
)


@given(before=_FILES, after=_FILES)
def test_what_is_not_told_is_the_same(before: dict[str, File], after: dict[str, File]) -> None:
    """Whatever two layers hold: a file that is neither a difference nor rewritten has the same bytes in both."""
    one, other = (
        image(("ADD", [dataclasses.replace(file, name=name) for name, file in sorted(files.items())]))
        for files in (before, after)
    )
    (platform,) = diff(one, other).platforms
    told = {each.name for each in platform.changes[Section.FILES]} | set(platform.rewritten)
    for name in before.keys() | after.keys():
        if f"/{name}" not in told:
            assert before[name].content == after[name].content
    assert diff(one, other).differs is (before != after)
