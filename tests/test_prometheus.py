"""Metrics as Prometheus takes them: what promtool says of them, and what a server answers."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from attest.adapters.prometheus import ListenAddress, parse_listen, serving, text
from attest.core.delivery.fold import fold
from attest.core.delivery.metrics import Distribution, Family, Shape, Value, metrics, unbelieved
from attest.core.delivery.view import status
from attest.errors import UsageError
from tests.core.make_delivery import ENVIRONMENT
from tests.core.make_story import NAMES, story
from tests.core.test_delivery_decisions import environment
from tests.parts.find import lacking, require
from tests.parts.web import request


def families() -> tuple[Family, ...]:
    """The metrics of a ledger in which everything happened."""
    book, place = story(), environment(*NAMES)
    history = fold(book)
    shown = status(place, history.of(ENVIRONMENT), None, now=book.time)
    return metrics(place, history, shown, observed=True, version="1.0")


def gauge(value: str) -> Family:
    """One number with one label."""
    return Family(
        name="attest_any", shape=Shape.GAUGE, help="Any.", labels=("any",), values=(Value(labels=(value,), value=1),)
    )


def promtool(metrics: bytes) -> subprocess.CompletedProcess[bytes]:
    """What Prometheus's own linter says."""
    tool = str(require("promtool"))
    return subprocess.run([tool, "check", "metrics"], input=metrics, capture_output=True, check=False, timeout=60)


# ---- the format


@pytest.mark.parts
def test_promtool_finds_nothing() -> None:
    """All metrics of an environment, and those of a ledger that cannot be believed, pass Prometheus's linter."""
    for found in (families(), unbelieved("staging", version="1.0")):
        done = promtool(text(found))
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.parts
@pytest.mark.parametrize("value", ['a"b\\c\nd', "\u202eevil", "# HELP attest_drift x", 'x"} 1\nattest_ledger_ok 1'])
def test_hostile_labels_stay_labels(value: str) -> None:
    """A label is what it was, whatever stands in it, and nothing else comes of it."""
    made = text([gauge(value)])
    done = promtool(made)
    assert done.returncode == 0, done.stderr
    (family,) = text_string_to_metric_families(made.decode())
    (sample,) = family.samples
    assert sample.labels == {"any": value}


@pytest.mark.parts
def test_promtool_would_find_something() -> None:
    """A counter without its suffix is complained about: the linter does look."""
    broken = text(families()).replace(b"attest_deploy_total", b"attest_deploy")
    assert promtool(broken).returncode != 0


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_label_can_be_read_back(value: str) -> None:
    """Every text that a ledger can hold is read back as it was by Prometheus's own parser."""
    (family,) = text_string_to_metric_families(text([gauge(value)]).decode())
    assert family.samples[0].labels == {"any": value}


def test_the_text_says_what_was_counted() -> None:
    """Every family is there once with its help and type, and every number is the one that was given."""
    found = families()
    made = text(found).decode()
    read = {family.name: family for family in text_string_to_metric_families(made)}
    assert len(read) == len(found)
    for family in found:
        same = read[family.name.removesuffix("_total")]
        assert (same.type, same.documentation) == (str(family.shape), family.help)
        names = (*family.labels, "le")
        samples = {
            (sample.name, *(sample.labels[name] for name in names if name in sample.labels)): sample.value
            for sample in same.samples
        }
        for value in family.values:
            assert samples[family.name, *value.labels] == value.value
        for spread in family.distributions:
            assert samples[f"{family.name}_sum", *spread.labels] == spread.total
            assert samples[f"{family.name}_count", *spread.labels] == spread.counts[-1]
            for bound, count in zip((*family.buckets, "+Inf"), spread.counts, strict=True):
                assert samples[f"{family.name}_bucket", *spread.labels, str(bound)] == count


def test_an_empty_histogram_has_its_buckets() -> None:
    """A histogram in which nothing was counted has all of its series, at nothing."""
    empty = Distribution(labels=("x",), counts=(0, 0), total=0)
    family = Family(
        name="attest_h", shape=Shape.HISTOGRAM, help="H.", labels=("a",), buckets=(1.0,), distributions=(empty,)
    )
    assert re.findall(r'^attest_h_bucket\{a="x",le="([^"]+)"\} 0.0$', text([family]).decode(), re.M) == ["1.0", "+Inf"]


# ---- the server


@pytest.fixture
def served() -> Iterator[str]:
    """A server with the metrics of the story."""
    found = families()
    with serving(ListenAddress(host="127.0.0.1", port=0), lambda: found) as address:
        yield f"http://{address}"


def test_metrics_are_served(served: str) -> None:
    """`/metrics` answers with the text format and its media type; another path is not found, another method refused."""
    answer = request("GET", f"{served}/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert answer.body == text(families())
    assert request("GET", f"{served}/").status == 404
    assert request("POST", f"{served}/metrics", body=b"x").status == 405


def test_each_scrape_counts_anew() -> None:
    """What is served is what is true when it is asked for."""
    values = iter(["first", "second"])
    with serving(ListenAddress(host="127.0.0.1", port=0), lambda: [gauge(next(values))]) as address:
        bodies = [request("GET", f"http://{address}/metrics").body for _ in range(2)]
        assert [b"first" in bodies[0], b"second" in bodies[1]] == [True, True]
        # The third finds nothing more to say: a fault is this client's 500, and says nothing of what went wrong.
        failed = request("GET", f"http://{address}/metrics")
        assert (failed.status, failed.body) == (500, b"the metrics could not be collected\n")


def test_scrapes_take_turns() -> None:
    """Two clients at once never have two looks at once."""
    inside, worst = 0, 0

    def collect() -> list[Family]:
        nonlocal inside, worst
        inside += 1
        worst = max(worst, inside)
        threading.Event().wait(0.05)
        inside -= 1
        return [gauge("x")]

    with serving(ListenAddress(host="127.0.0.1", port=0), collect) as address:
        threads = [threading.Thread(target=request, args=("GET", f"http://{address}/metrics")) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert worst == 1


def test_a_client_that_says_nothing_holds_nobody_up(served: str) -> None:
    """While a connection is open and silent, others are answered."""
    port = int(served.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        assert request("GET", f"{served}/metrics").status == 200


def test_a_port_in_use_is_said(served: str) -> None:
    """Where somebody else listens, or nobody may, it is a wrong command line."""
    port = int(served.rpartition(":")[2])
    for address in (ListenAddress(host="127.0.0.1", port=port), ListenAddress(host="192.0.2.1", port=0)):
        with pytest.raises(UsageError, match="cannot listen at"), serving(address, list):
            pass


@pytest.mark.parametrize(
    ("given", "host", "port"),
    [("127.0.0.1:9464", "127.0.0.1", 9464), (":0", "127.0.0.1", 0), ("[::1]:80", "::1", 80), ("here:1", "here", 1)],
)
def test_addresses_are_read(given: str, host: str, port: int) -> None:
    """A host and a port; without a host, this machine alone."""
    assert parse_listen(given) == ListenAddress(host=host, port=port)


@pytest.mark.parametrize(
    "given", ["", "9464", "host", "host:", "host:x", "host:65536", "::1:80", "[::1]", "a:\u0661", f"host:{'9' * 5000}"]
)
def test_what_is_no_address_is_said(given: str) -> None:
    """With what would be one."""
    with pytest.raises(UsageError) as caught:
        parse_listen(given)
    assert caught.value.hint is not None


def test_ipv6_is_listened_at() -> None:
    """An address in brackets is one of IPv6, and is printed so."""
    assert str(ListenAddress(host="::1", port=1)) == "[::1]:1"
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        lacking(f"the loopback address of IPv6, ::1, is not here: {error}")
    with serving(ListenAddress(host="::1", port=0), lambda: [gauge("x")]) as address:
        assert request("GET", f"http://{address}/metrics").status == 200
