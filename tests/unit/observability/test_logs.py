"""Log lines: one for each event, and nobody but us can write one."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.observability.logs import (
    FIELDS,
    LEVELS,
    JsonFormatter,
    TextFormatter,
    setup_logging,
)

EVIL = [
    "x\n2026-11-20T00:00:00.000Z error   worker-0 forged", "x\r\nforged", "x\rforged",
    "\x1b[2J\x1b[31mforged", "x\x00y", "x\x7fy", "x\x85forged", "x\u2028forged\u2029",
    "x\x0bforged", "\u202edegrof\u202c", "\u2067x",
    "x\x0cforged", "\x9b31m", "\udcff", "é日😀", "\x08\x08\x08", 'x" , "level":"error"', "{}", "%s",
]  # fmt: skip


def record(message: str = "hello", **facts: object) -> logging.LogRecord:
    """Make a record of our own."""
    made = logging.LogRecord("only1mcp.x", logging.INFO, "f.py", 1, "%s", (message,), None)
    made.__dict__.update(facts)
    return made


def failed(message: str) -> logging.LogRecord:
    """Make a record of an exception that says this."""
    error = RuntimeError(message)
    error.__cause__ = ValueError(message)
    made = record()
    made.exc_info = (RuntimeError, error, None)
    return made


TEXT = TextFormatter("worker-0", colour=False)
JSON = JsonFormatter("worker-0")


@pytest.mark.parametrize("evil", EVIL)
def test_what_others_send_stays_on_its_line(evil: str) -> None:
    """In the message and in every field, for people and for programs."""
    made = record(evil, **dict.fromkeys(FIELDS, evil))
    line = TEXT.format(made)
    assert len(line.splitlines()) == 1
    assert line.encode(errors="backslashreplace").decode().isprintable()
    text = JSON.format(made)
    assert len(text.splitlines()) == 1
    parsed = json.loads(text)
    assert (parsed["level"], parsed["msg"], parsed["tool"]) == ("info", evil, evil)


@pytest.mark.parametrize("evil", EVIL)
def test_an_exception_cannot_forge_a_line_either(evil: str) -> None:
    """Its message may be a stranger's; each of its lines is marked as its own."""
    text = TEXT.format(failed(evil))
    first, *others = text.split("\n")
    assert "hello" in first
    assert len(others) >= 4
    assert all(line.startswith("  | ") for line in others)
    assert all(line.encode(errors="backslashreplace").decode().isprintable() for line in others)
    parsed = json.loads(JSON.format(failed(evil)))
    assert "RuntimeError" in parsed["exception"]


@given(st.text(st.characters(), max_size=40))
def test_any_text_makes_one_line_that_parses(text: str) -> None:
    """Half characters included."""
    made = record(text, tool=text, detail=text)
    assert len(TEXT.format(made).splitlines()) == 1
    assert json.loads(JSON.format(made))["process"] == "worker-0"


def test_a_json_line_has_the_facts_as_fields() -> None:
    """With their types, and nothing that was not said."""
    line = json.loads(JSON.format(record("call", server="a", duration_ms=1.5, pid=7, tool=None)))
    assert line.pop("ts").endswith("Z")
    assert line == {
        "level": "info", "process": "worker-0", "logger": "only1mcp.x", "msg": "call",
        "server": "a", "duration_ms": 1.5, "pid": 7,
    }  # fmt: skip


def test_times_are_utc_with_milliseconds() -> None:
    """As other systems' logs have them."""
    made = record()
    made.created = 1_763_596_799.0625
    assert json.loads(JSON.format(made))["ts"] == "2025-11-19T23:59:59.062Z"
    assert TEXT.format(made).startswith("23:59:59.062 info    worker-0   hello")


def test_a_flood_in_one_record_is_cut() -> None:
    """Message and fields."""
    made = record("x" * 100_000, detail="y" * 100_000)
    assert len(JSON.format(made)) < 5000
    assert len(TEXT.format(made)) < 5000


def test_a_fact_of_an_odd_type_is_written_somehow() -> None:
    """A log line is never lost for it."""
    for odd in (object(), {1: 2}, {"a"}, b"x", 2**70, float("nan"), ValueError("x")):
        assert json.loads(JSON.format(record("call", detail=odd)))["msg"] == "call"
        assert "call" in TEXT.format(record("call", detail=odd))


def test_colours_are_for_terminals() -> None:
    """And for what matters."""
    coloured = TextFormatter("p", colour=True)
    assert "\x1b[" not in coloured.format(record())
    warning = record()
    warning.levelno, warning.levelname = logging.WARNING, "WARNING"
    assert "\x1b[33mwarning\x1b[0m" in coloured.format(warning)
    assert "\x1b[" not in TEXT.format(warning)


@pytest.fixture
def _as_before() -> Iterator[None]:
    """Put the loggers back in the end."""
    root, ours = logging.getLogger(), logging.getLogger("only1mcp")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, ours.level = before


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize("level", list(LEVELS))
def test_only_records_of_the_level_and_above_are_written(
    level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To standard error, each once; of libraries only warnings."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    for _ in range(2):
        setup_logging(level, "json", "p")
    for name, number in LEVELS.items():
        logging.getLogger("only1mcp.y").log(number, "ours %s", name)
        logging.getLogger("library").log(number, "theirs %s", name)
    written = [json.loads(line)["msg"] for line in stream.getvalue().splitlines()]
    expected = [f"ours {name}" for name, number in LEVELS.items() if number >= LEVELS[level]]
    assert [message for message in written if message.startswith("ours")] == expected
    assert [message for message in written if message.startswith("theirs")] == [
        "theirs warning", "theirs error",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("form", "environment", "start"),
    [("json", {}, "{"), ("auto", {}, "{"), ("text", {}, "2"), ("text", {"FORCE_COLOR": "1"}, "2")],
)
def test_the_form_is_chosen_by_name_or_by_where_the_lines_go(
    form: str, environment: dict[str, str], start: str
) -> None:
    """Not to a terminal, here."""
    code = (
        "import logging; from only1mcp.observability.logs import setup_logging;"
        f"setup_logging('info', {form!r}, 'p'); logging.getLogger('only1mcp').warning('x')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "TZ": "UTC", **environment},
    )  # fmt: skip
    line = done.stderr.strip()
    assert line.startswith(start) or (start == "2" and line[2] == ":")
    assert ("\x1b[" in line) == bool(environment)
