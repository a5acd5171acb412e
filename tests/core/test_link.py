"""Links as the specification has them."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf import json_format
from in_toto_attestation.v1.resource_descriptor_pb2 import ResourceDescriptor

from attest.core.lane.link import LINK, Step, link
from attest.core.reference import digest_of

STEP = Step(
    name="unit",
    command=("pytest", "-q"),
    status=137,
    signal="SIGKILL",
    started=datetime(2026, 7, 1, 10, tzinfo=UTC),
    finished=datetime(2026, 7, 1, 11, tzinfo=UTC),
    environment={"TZ": "UTC"},
    materials={"b": digest_of(b"b"), "a": digest_of(b"a")},
    products={"out.xml": digest_of(b"x")},
)


def test_a_link_has_the_fields_of_its_type() -> None:
    """Name, command, materials, byproducts and environment as link v0.3 has them; what is ours says so."""
    made = link(STEP)
    assert LINK == "https://in-toto.io/attestation/link/v0.3"
    assert list(made) == ["name", "command", "materials", "byproducts", "environment"]
    assert (made["name"], made["command"], made["environment"]) == ("unit", ["pytest", "-q"], {"TZ": "UTC"})
    assert made["byproducts"] == {
        "return-value": 137,
        "attest_signal": "SIGKILL",
        "attest_started": "2026-07-01T10:00:00.000000Z",
        "attest_finished": "2026-07-01T11:00:00.000000Z",
        "attest_products": [{"name": "out.xml", "digest": {"sha256": digest_of(b"x").removeprefix("sha256:")}}],
    }


def test_materials_are_resource_descriptors_in_order() -> None:
    """Each has a name and a digest, as link v0.3 asks, in the order of the names, and protobuf reads them."""
    materials = link(STEP)["materials"]
    assert [one["name"] for one in materials] == ["a", "b"]
    for one in materials:
        read = json_format.ParseDict(one, ResourceDescriptor())
        assert read.digest["sha256"] == digest_of(read.name.encode()).removeprefix("sha256:")
