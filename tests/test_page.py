"""The history page: one file that loads nothing and runs nothing, in which foreign text is text."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attest.adapters.page import render
from attest.cli.terminal import escape
from attest.core.delivery.fold import fold
from attest.core.delivery.page import page
from attest.core.delivery.records import Cause, Frozen, Observation, Refused
from attest.core.delivery.services import RecordedService
from attest.core.environment.targets import Match
from tests.cli.test_hostile_text import HOSTILE
from tests.core.make import NOW
from tests.core.make_delivery import ENVIRONMENT, Book, planned, release, seen, waived, waiver
from tests.core.make_story import HOUR, about, of, story

MARKUP: Final = (
    "</title><script>window.pwned = 1</script>",
    "</style><img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "<!--",
    "&lt;script&gt;",
    "javascript:alert(1)",
)
VOID: Final = frozenset({"meta", "br"})


class Reader(HTMLParser):
    """Elements, attributes and text of a page; complains about what is not closed."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(content.decode())
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, tag: str, name: str) -> list[str]:
        """Of all attributes of this name on elements of this kind."""
        return [value for where, what, value in self.attributes if (where, what) == (tag, name)]


def rendered(book: Book) -> bytes:
    """The page of a ledger."""
    shown = page(fold(book), ENVIRONMENT, head=book.head, now=NOW + 76 * HOUR)
    return render(shown, clean=escape, version="1.0")


def hostile(text: str) -> Book:
    """A ledger in which everything that people or machines say is this."""
    book = Book()
    line = text[:500] or "x"
    number = book.write(planned(release(1), reason=line))
    book.write(Refused(deployment=number, cause=Cause.POLICY, message=text[:8000]))
    changes = about(release(1))
    lane = changes["images"][0].lanes[0]
    said = lane.evidence[0].model_copy(update={"signers": (text,), "source": {"url": text}})
    bad = lane.model_copy(update={"lane": text, "message": text, "evidence": (said,)})
    changes["images"] = (changes["images"][0].model_copy(update={"lanes": (bad,)}),)
    number = book.deliver(release(1), "failed", verdicts=changes)
    one = seen(release(2).services["app"].digest, Match.OTHER).model_dump()
    look = RecordedService.model_validate({**one, "detail": text[:8000]})
    book.write(Observation(deployment=number, services={"app": look}, drift=("app",)))
    book.write(Frozen(until=None, reason=line))
    return book


# ---- nothing is loaded, nothing runs


def test_the_policy_allows_the_style_and_nothing_else() -> None:
    """The content security policy is in the page, before anything it is about, and names the style by its hash."""
    content = rendered(story())
    reader = Reader(content)
    style = re.search(rb"<style>(.*?)</style>", content, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1]).digest()).decode()
    expected = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert reader.values("meta", "content")[0] == expected
    assert content.index(b"Content-Security-Policy") < content.index(b"<style>")
    assert content.lstrip().lower().startswith(b"<!doctype html>")


@pytest.mark.parametrize("book", [Book(), story()], ids=["empty", "full"])
def test_nothing_is_loaded(book: Book) -> None:
    """No element that loads or runs, no handler, no inline style, no address but those in the page."""
    reader = Reader(rendered(book))
    assert not {"script", "link", "img", "iframe", "object", "embed", "form", "base", "use", "image"} & set(reader.tags)
    names = {name for _, name, _ in reader.attributes}
    assert not [name for name in names if name.startswith("on") or name in ("style", "src", "action", "xlink:href")]
    assert all(re.fullmatch(r"#d[0-9]+", value) for value in reader.values("a", "href"))
    assert b"url(" not in rendered(book)
    assert b"@import" not in rendered(book)


def test_every_link_leads_somewhere() -> None:
    """Each link is to an entry that is on the page, and no entry is there twice."""
    reader = Reader(rendered(story()))
    entries = reader.values("li", "id")
    assert len(entries) == len(set(entries))
    assert {value.removeprefix("#") for value in reader.values("a", "href")} <= set(entries)


# ---- what it says


def test_it_says_who_vouched_for_what() -> None:
    """Each lane with its state, signer, result, time and bundle; each refusal with its reason."""
    book = story()
    text = " ".join(" ".join(Reader(rendered(book)).text).split())
    image = about(of(2))["images"][0]
    for lane in image.lanes:
        assert lane.lane in text
        for one in lane.evidence:
            assert one.digest in text
    for words in ("signed by", "serial-too-low", "serial 3 came before", "the newest result is FAILED", "passed over"):
        assert words.lower() in text.lower()
    assert book.head is not None
    assert book.head.hash in text


def test_a_waiver_is_loud() -> None:
    """Who let it through without what, why, and until when; a delivery by a waiver is not shown as one that passed."""
    book = Book()
    number = book.deliver(release(1), "planned", waiver=waiver().digest)
    book.write(waived(number, release(1)))
    text = " ".join(" ".join(Reader(rendered(book)).text).split())
    for words in (waiver().digest, waiver().ticket, waiver().reason, *waiver().lanes, *waiver().signers):
        assert words in text
    assert "verdict waived at" in text
    assert "verdict passed at" not in text


def test_it_shows_figures() -> None:
    """The four of DORA, for people."""
    text = " ".join(" ".join(Reader(rendered(story())).text).split())
    for words in ("0.95 a day", "31 min", "50 %", "44 s", "2 of 4 failed or were undone"):
        assert words in text


def test_an_empty_ledger_says_so() -> None:
    """Nothing was deployed, nothing ended, and there is no time line."""
    reader = Reader(rendered(Book()))
    text = " ".join(" ".join(reader.text).split())
    assert "Nothing was ever deployed here." in text
    assert "The ledger is empty" in text
    assert "svg" not in reader.tags


# ---- foreign text


@pytest.mark.slow
@pytest.mark.parametrize("text", [*MARKUP, *HOSTILE.values()])
def test_hostile_text_stays_text(text: str) -> None:
    """Whatever stands in the ledger makes no element, and is shown: as it is, or what cannot be seen by its number."""
    plain, reader = Reader(rendered(hostile("plain"))), Reader(rendered(hostile(text)))
    assert reader.tags == plain.tags
    assert [name for _, name, _ in reader.attributes] == [name for _, name, _ in plain.attributes]
    assert "".join(reader.text).count(escape(text)) >= 5
    shown = "".join(reader.text)
    assert not [one for one in shown if not one.isprintable() and one != "\n"]


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_text_stays_text(text: str) -> None:
    """The same for any text."""
    assert Reader(rendered(hostile(text))).tags == Reader(rendered(hostile("plain"))).tags
