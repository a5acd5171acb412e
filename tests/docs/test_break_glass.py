"""docs/break-glass.md is true: its commands parse, its policy loads, its codes and names are those of the code."""

from __future__ import annotations

import re
import shlex

from attest.core.delivery.records import Pass, PromotionWaived
from attest.core.verdict import Reason
from attest.core.waiver import WAIVER
from tests.cli.test_help import COMMANDS, parse
from tests.core.make import party, pem
from tests.core.policy_cases import RIGHT
from tests.core.test_policydocument import load
from tests.project import ROOT

DOCUMENT = (ROOT / "docs" / "break-glass.md").read_text()


def test_the_commands_parse() -> None:
    """Every command line that is shown has only options that exist."""
    shown = re.findall(r"^    (attest .*)$", DOCUMENT.replace("\\\n", " "), re.MULTILINE)
    assert len(shown) == 4
    for line in shown:
        parse(shlex.split(line))


def test_the_policy_loads() -> None:
    """The lines that are shown make a policy, with the rule that the text describes."""
    (shown,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
    waivers = shown.splitlines()[-1].replace("e2e", "build")
    people = "\n".join(shown.splitlines()[2:-1]).replace("../keys/", "keys/duty-")
    people = people.replace("alice", "ann").replace("bob", "ben")
    text = RIGHT.replace("  reviewers:", f"{people}\n  reviewers:").replace("revoked:", f"{waivers}\nrevoked:")
    keys = {f"keys/duty-{name}.pub": pem(party(name).private.public_key()) for name in ("ann", "ben")}
    rule = load(text, files=keys).waivers
    assert rule is not None
    assert (rule.signer, rule.threshold) == ("duty", 2)
    assert rule.parties == {"ann", "ben"}
    assert rule.lanes == {"build"}
    assert rule.max_lifetime.total_seconds() == 24 * 3600


def test_the_codes_are_those_that_there_are() -> None:
    """Each reason why a waiver does not hold is named, and no other; so are the type and the record."""
    named = set(re.findall(r"`(waivers?-[a-z-]+)`", DOCUMENT))
    assert named == {reason.value for reason in Reason if reason.value.startswith("waiver")}
    assert f"`{WAIVER}`" in DOCUMENT
    assert f"`{PromotionWaived.TYPE}`" in DOCUMENT
    assert f"(`{Pass.WAIVED}`)" in DOCUMENT


def test_two_commands_take_a_waiver() -> None:
    """`--waiver` is an option of `promote` and `deploy`, and of nothing else."""
    taking = [path for path, made in COMMANDS.items() if any("--waiver" in one.opts for one in made.command.params)]
    assert taking == ["attest deploy", "attest promote"]
