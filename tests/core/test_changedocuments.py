"""The JSON of drift and of differences: what is in it, and that it obeys its schema."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from attest.core.image.diff import diff_images
from attest.core.image.diffdocument import diff_document, diff_schema
from attest.core.lock.driftdocument import Action, drift_document, drift_schema
from attest.core.lock.locking import compare
from tests.core.locks import APP, BASE, CONFIG, CONTRACT, GOOD, broken, lock
from tests.core.make_image import dpkg, image, whole
from tests.layerstacks import File

AFTER = image(
    BASE,
    APP,
    ("RUN apt-get install nano", [dpkg(libc="2.36", nano="7.2-1"), File("bin/su", b"su", mode=0o755)]),
    config={**CONFIG, "User": "root"},
    steps=["USER root"],
)


def valid(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The document, which is JSON and obeys the schema, as read back."""
    jsonschema.Draft202012Validator.check_schema(schema)
    read: dict[str, Any] = json.loads(json.dumps(document))
    jsonschema.validate(read, schema, cls=jsonschema.Draft202012Validator)
    return read


def test_drift_as_json() -> None:
    """Each drift has its pointer, both values, its layer and build step, and of a package both versions."""
    found = compare(lock(), whole(AFTER))
    document = valid(
        drift_document(
            Action.CHECKED, found, lock="contract.lock.json", image="oci:x", digest=GOOD.manifest, contract=CONTRACT
        ),
        drift_schema(),
    )
    drift = {each["place"]: each for each in document.pop("drift")}
    assert document == {
        "schema": "attest.lock-drift/v1",
        "action": "checked",
        "lock": "contract.lock.json",
        "image": "oci:x",
        "digest": GOOD.manifest,
        "contract": {"name": CONTRACT.name, "digest": CONTRACT.digest},
    }
    layer = {"layer": 2, "digest": AFTER.layers[2].digest, "created_by": "RUN apt-get install nano"}
    assert drift["/packages/pkg:deb/debian/nano"] == {
        "kind": "added",
        "part": "packages",
        "platform": "linux/amd64",
        "pointer": "/platforms/linux~1amd64/packages/-",
        "place": "/packages/pkg:deb/debian/nano",
        "name": "package nano",
        "message": "package nano 7.2-1 is new",
        "expected": None,
        "actual": "pkg:deb/debian/nano@7.2-1?arch=amd64",
        "package": {"type": "deb", "name": "nano", "before": None, "after": "7.2-1"},
        "origin": layer,
    }
    assert drift["/config/user"]["origin"] == {"layer": None, "digest": None, "created_by": "USER root"}
    assert drift["/setid/bin/su"]["expected"] == {"mode": "4755", "uid": 0, "gid": 0, "capabilities": None}
    assert (drift["/setid/bin/su"]["actual"], drift["/setid/bin/su"]["origin"]) == (None, layer)


@pytest.mark.parametrize("action", Action)
def test_every_action_obeys_the_schema(action: Action) -> None:
    """What became of the file is one of the words of the schema, with drift and without."""
    for found in (compare(lock(), whole(AFTER)), ()):
        document = drift_document(action, found, lock="l", image="i", digest=GOOD.manifest, contract=CONTRACT)
        assert valid(document, drift_schema())["action"] == action.value


def test_a_difference_as_json() -> None:
    """Both images and manifests, each section with its differences, and what could not be read on either side."""
    arm = image(BASE, platform="linux/arm64")
    before, after = whole(GOOD, arm), whole(broken())
    document = valid(diff_document(diff_images(before, after), before="oci:a", after="oci:b"), diff_schema())
    assert document["schema"] == "attest.image-diff/v1"
    assert document["before"] == {"image": "oci:a", "digest": before.digest}
    assert document["after"] == {"image": "oci:b", "digest": after.digest}
    assert (document["differs"], document["only_before"], document["only_after"]) == (True, ["linux/arm64"], [])
    (platform,) = document["platforms"]
    assert platform["before"] == {"manifest": GOOD.manifest, "unread": []}
    assert [each["path"] for each in platform["after"]["unread"]] == ["/var/lib/dpkg/status"]
    assert list(platform["changes"]) == ["config", "packages", "files", "setid", "executables", "size", "layers"]
    (gone,) = [each for each in platform["changes"]["executables"] if each["name"] == "executable /srv/app"]
    assert (gone["kind"], gone["before"], gone["after"], gone["origin"]) == ("removed", "/srv/app", None, None)
    assert gone["former"] == {"layer": 1, "digest": GOOD.layers[1].digest, "created_by": "COPY app /srv/app"}
    assert platform["rewritten"] == []


def test_equal_images_as_json() -> None:
    """Without a difference every section is there and empty."""
    document = valid(diff_document(diff_images(whole(GOOD), whole(GOOD)), before="oci:a", after="oci:a"), diff_schema())
    assert document["differs"] is False
    assert set(map(len, document["platforms"][0]["changes"].values())) == {0}


def test_another_member_is_not_of_the_schema() -> None:
    """The schemas are closed: a member that is missing or too much is an error."""
    document = diff_document(diff_images(whole(GOOD), whole(GOOD)), before="oci:a", after="oci:a")
    for changed in ({**document, "more": 1}, {key: document[key] for key in document if key != "differs"}):
        with pytest.raises(jsonschema.ValidationError):
            valid(changed, diff_schema())
