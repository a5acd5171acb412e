"""Manifests: every image is found where it stands, and nothing but images is changed."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from attest.adapters.kubernetes.manifests import Manifest, read_manifest
from attest.core.environment.kubernetes import Workload
from attest.core.reference import RegistryImage, Repository, digest_of, parse_repository
from attest.errors import DocumentInvalid

BACKEND = "registry.example.org/plex/backend"
DIGEST = digest_of(b"image")
REFERENCE = RegistryImage(repository=parse_repository(BACKEND), digest=DIGEST)
IMAGES = {BACKEND: REFERENCE}

EVERYTHING = f"""\
# Über die Anwendung: comments stay, wherever they stand.
apiVersion: apps/v1
kind: Deployment
metadata:
    name:   web          # with odd spaces
spec:
  template:
    spec:
      initContainers:
      - {{name: migrate, image: "{BACKEND}:1.2" , command: [x]}}
      containers:
      - name: web
        image: {BACKEND}   # the tag is attest's
        env: [{{name: IMAGE, value: "{BACKEND}:1.2"}}]
      - image: 'envoyproxy/envoy:v1'
        name: proxy
      ephemeralContainers: [{{name: debug, image: {BACKEND}:debug}}]
---
---
apiVersion: batch/v1
kind: CronJob
metadata: {{name: report, namespace: plex}}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          containers:
            - name: report
              image: {BACKEND}:1.2@sha256:{"0" * 64}
...
---
{{"apiVersion": "v1", "kind": "List", "items": [{{"apiVersion": "v1", "kind": "Pod", "metadata": {{"name": "once"}},
 "spec": {{"containers": [{{"image": "{BACKEND}", "name": "once"}}]}}}}]}}
"""


def read(text: str) -> Manifest:
    return read_manifest(text.encode(), file="app.yaml")


def test_every_image_is_found_with_what_it_belongs_to() -> None:
    """Of each container: its workload, its name and where the image stands; a variable that looks like one is none."""
    manifest = read(EVERYTHING)
    found = {(str(place.workload), place.container): place for place in manifest.places}
    assert {key: place.repository for key, place in found.items()} == {
        ("deployment/web", "migrate"): BACKEND,
        ("deployment/web", "web"): BACKEND,
        ("deployment/web", "proxy"): "envoyproxy/envoy",
        ("deployment/web", "debug"): BACKEND,
        ("cronjob/report", "report"): BACKEND,
        ("pod/once", "once"): BACKEND,
    }
    assert {place.namespace for place in manifest.places} == {None, "plex"}
    report = found["cronjob/report", "report"]
    assert report.workload == Workload(kind="CronJob", name="report")
    line = EVERYTHING.splitlines()[report.line - 1]
    assert line[report.column - 1 :].startswith(report.image)


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_nothing_but_the_images_is_changed(ends: str) -> None:
    """Comments, spaces, quotes, line ends and images of others stay, character by character."""
    text = EVERYTHING.replace("\n", ends)
    written = read(text).with_images(IMAGES)
    image = re.compile(re.escape(BACKEND) + r"(?::1\.2|:debug)?(?:@sha256:0{64})?")
    expected = image.sub(str(REFERENCE), text).replace(f'value: "{REFERENCE}"', f'value: "{BACKEND}:1.2"')
    assert written == expected
    assert read(written).with_images(IMAGES) == written
    assert read(text).with_images({}) == text


def test_an_address_in_brackets_is_quoted() -> None:
    """A registry that is an IPv6 address would begin a list where the old image stood without quotes."""
    repository = Repository(host="[::1]:5000", path="plex")
    text = "kind: Pod\nmetadata: {name: x}\nspec: {containers: [{image: '[::1]:5000/plex:1', name: a}]}\n"
    reference = RegistryImage(repository=repository, digest=DIGEST)
    assert f"image: '{reference}'" in read(text).with_images({"[::1]:5000/plex": reference})
    plain = text.replace("'[::1]:5000/plex:1'", "[::1]:5000/plex:1").replace("{containers", "\n  {containers")
    with pytest.raises(DocumentInvalid):
        read(plain)
    bare = "kind: Pod\nmetadata: {name: x}\nspec: {containers: [{image: plex, name: a}]}\n"
    (place,) = read(bare).places
    manifest = Manifest(file="f", text=bare, places=(replace(place, image="[::1]:5000/plex"),))
    assert manifest.with_images({"[::1]:5000/plex": reference}) == bare.replace("plex", f'"{reference}"')


POD = "kind: Pod\nmetadata: {name: x}\nspec:\n  containers:\n  - name: a\n    image: %s\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (POD % "&image nginx" + "other: *image\n", "7:8: an alias (*); write the value out"),
        ("base: &b {image: nginx}\n" + POD % "x\n    <<: *b", "8:9: an alias (*)"),
        (POD % "x\n    <<: {image: nginx}", "7:5: a merge key (<<); write the values out"),
        (POD % "a\n    image: b", "7:5: the key 'image' stands here for the second time"),
        (POD % "", "5:5: an image that is no text on one line"),
        (POD % "|\n      nginx", "6:12: an image that is no text on one line"),
        (POD % ">-\n      nginx", "6:12: an image that is no text on one line"),
        (POD % "[nginx]", "6:12: an image that is no text on one line"),
        (POD % '""', "5:5: an image that is no text on one line"),
        ((POD % "nginx").replace("metadata: {name: x}\n", ""), "1:1: an object with containers that has no `kind`"),
        ((POD % "nginx").replace("kind: Pod\n", ""), "1:1: an object with containers that has no `kind`"),
        ("- a\n", "1:1: no object of Kubernetes: it is no mapping"),
        ("text\n", "1:1: no object of Kubernetes: it is no mapping"),
        ("? [a]\n: b\n", "1:3: a key that is a mapping or a list"),
        ("a: [\n", "this is not YAML"),
        ("a: \x00\n", "this is not YAML"),
        ("kind: List\nitems: [1]\n", "2:9: no object of Kubernetes"),
        ("[" * 5000, "nested deeper than 100"),
    ],
)
def test_what_two_readers_could_take_for_two_images_is_refused(text: str, words: str) -> None:
    """Aliases, merge keys, keys that stand twice and images that are no plain text are errors with their place."""
    with pytest.raises(DocumentInvalid) as refused:
        read(text)
    assert refused.value.message.startswith("app.yaml:")
    assert words in refused.value.message


def test_what_is_not_utf8_is_refused() -> None:
    """A manifest in another encoding has no characters that could be counted."""
    with pytest.raises(DocumentInvalid, match="it is not UTF-8 from byte 2"):
        read_manifest(b"a:\xff", file="app.yaml")


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Co"]), max_size=12)


@given(st.lists(st.tuples(WORDS, st.sampled_from(["", "'", '"']), WORDS), min_size=1, max_size=4))
def test_whatever_stands_around_an_image_stays(containers: list[tuple[str, str, str]]) -> None:
    """After writing, a YAML reader finds the new image in each container, and everything else as it was."""
    lines = ["kind: Pod", "metadata: {name: x}", "spec:", "  containers:"]
    for before, quote, after in containers:
        name = before.replace("'", "''")
        lines += [f"  - name: '{name}'", f"    image: {quote}{BACKEND}{quote} # {after}", "    args: ['{}']"]
    text = "\n".join(lines) + "\n"
    written = read(text).with_images(IMAGES)
    yaml = YAML(typ="safe", pure=True)
    old, new = yaml.load(text), yaml.load(written)
    for container in old["spec"]["containers"]:
        container["image"] = str(REFERENCE)
    assert new == old
