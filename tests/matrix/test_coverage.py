"""Each method and each notification has its cases on every pair, and the README says so."""

import ast
import re
from pathlib import Path

import pytest

from only1mcp.protocol.methods import METHODS as KNOWN
from tests.matrix.coverage import METHODS, NOTIFICATIONS, QUESTIONS
from tests.matrix.gaps import BEHAVIOURS, GAPS, gap, pairs
from tests.matrix.sides import PAIRS
from tests.matrix.table import BEGIN, END, README, collect, written

ROOT = Path(__file__).parents[2]
TABLE = {**METHODS, **QUESTIONS, **NOTIFICATIONS}
_NOTIFICATION = re.compile(r"notifications/[a-z_/]+[a-z]")
_KINDS = ("tools", "prompts", "resources")


@pytest.fixture(scope="module", autouse=True)
def _collected() -> None:
    """Know all behaviours, whatever was selected."""
    collect()


def known_notifications() -> set[str]:
    """Return the notifications that stand in the source of the product."""
    found: set[str] = set()
    for path in (ROOT / "only1mcp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value} if _NOTIFICATION.fullmatch(node.value) else set()
    return found


def test_every_method_has_its_cases() -> None:
    """A new row in the table of methods needs a behaviour here."""
    assert METHODS.keys() == KNOWN.keys()


def test_every_notification_has_its_cases() -> None:
    """All that the product reads or writes, and the changes of each kind of list."""
    known = known_notifications()
    assert len(known) > 5
    assert known <= NOTIFICATIONS.keys()
    assert {f"notifications/{kind}/list_changed" for kind in _KINDS} <= NOTIFICATIONS.keys()


@pytest.mark.parametrize("name", TABLE)
def test_every_case_is_tried_or_listed_with_a_reason(name: str) -> None:
    """On every pair: what is not tried there says why."""
    assert set(TABLE[name]) <= BEHAVIOURS.keys()
    for pair in PAIRS:
        found = [gap(behaviour, pair) for behaviour in TABLE[name]]
        assert None in found or all(one is not None and one.reason for one in found)
    assert any(pairs(behaviour) for behaviour in TABLE[name])


def test_every_gap_is_one() -> None:
    """Of a behaviour that exists, with a reason, and fitting somewhere but not everywhere."""
    assert {one.behaviour for one in GAPS} <= BEHAVIOURS.keys()
    for one in GAPS:
        assert one.reason
        assert any(one.fits(pair) for pair in PAIRS), one
    assert all(pairs(behaviour) for behaviour in BEHAVIOURS)


def test_the_readme_says_what_the_suite_tries() -> None:
    """`python -m tests.matrix.table --write` puts it there."""
    readme = README.read_text()
    assert readme.count(BEGIN) == readme.count(END) == 1
    assert readme == written(readme)
