"""The board behind its manager, in real processes that are stopped, killed and started again."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from only1mcp.health.manager import HealthReporter
from tests.support.waiting import wait_until

KEY = b"k" * 32
BOARD = """
import json, sys
from pathlib import Path
from only1mcp.health.board import HealthBoard
from only1mcp.health.manager import serve_board
from only1mcp.memory.health_words import HealthWords
from only1mcp.memory.layout import Layout, SharedMemory
ids = ("a", "b", "c")
board = HealthBoard(ids, HealthWords(SharedMemory(Layout(1, len(ids), 1))))
serve_board(board, Path(sys.argv[1]), bytes.fromhex(sys.argv[2]))
print("ready", flush=True)
for line in sys.stdin:
    print(json.dumps({server["id"]: server["state"] for server in board.servers()}), flush=True)
"""
REPORTER = """
import json, sys
from pathlib import Path
from only1mcp.health.manager import HealthReporter
reporter = HealthReporter("host", Path(sys.argv[1]), bytes.fromhex(sys.argv[2]))
reporter.start()
print("ready", flush=True)
for line in sys.stdin:
    for server, state in json.loads(line):
        reporter.say(server, {"id": server, "state": state})
    print("said", flush=True)
"""

IDLE_REPORTER = REPORTER.replace("reporter.start()", """
from only1mcp.health import manager
manager._PING_S = 3600.0
connected, connect = __import__("threading").Event(), reporter._connect
def note():
    board = connect()
    connected.set()
    return board
reporter._connect = note
reporter.start()
connected.wait()
""")  # fmt: skip
"""Says that it is ready when it knows the board, which has heard nothing of it yet."""


class Program:
    """A Python program that answers each line of its input with one line."""

    def __init__(self, code: str, path: Path, key: bytes = KEY) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, str(path), key.hex()],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._read() == "ready"

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self, line: object = None) -> Any:
        """Send a line and return the answer to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(line) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        return json.loads(answer) if answer.startswith("{") else answer

    def signal(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        os.kill(self._process.pid, number)

    def end(self) -> None:
        """Kill the program."""
        self._process.kill()
        self._process.communicate()


class Stage:
    """A place for a board and reporters."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "b.sock"
        self._programs: list[Program] = []

    def start(self, code: str, key: bytes = KEY) -> Program:
        """Start a program; it is killed in the end."""
        program = Program(code, self.path, key)
        self._programs.append(program)
        return program

    def end(self) -> None:
        """Kill all programs."""
        for program in self._programs:
            program.end()


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A stage in a short temporary directory."""
    with tempfile.TemporaryDirectory(prefix="o1-") as folder:
        subject = Stage(Path(folder))
        try:
            yield subject
        finally:
            subject.end()


def wait_for(board: Program, **states: str) -> None:
    """Wait until the board knows these states."""
    wait_until(lambda: states.items() <= board.ask().items(), f"the board to know {states}")


def test_what_is_said_reaches_the_board(stage: Stage) -> None:
    """Each server's last word, also when many come at once."""
    board, reporter = stage.start(BOARD), stage.start(REPORTER)
    reporter.ask([["a", "up"], ["b", "down"]])
    wait_for(board, a="up", b="down", c="starting")
    reporter.ask([["a", "down"]] * 500 + [["b", "up"]] + [["a", "parked"]])
    wait_for(board, a="parked", b="up")


def test_what_was_said_before_there_was_a_board_is_told_it_later(stage: Stage) -> None:
    """Saying it never waits."""
    reporter = stage.start(REPORTER)
    for number in range(50):
        assert reporter.ask([["a", "down" if number % 2 else "starting"], ["c", "up"]]) == "said"
    wait_for(stage.start(BOARD), a="down", c="up")


def test_a_killed_board_blocks_nobody_and_its_successor_hears_everything(stage: Stage) -> None:
    """Also what was said long before, and nothing else since."""
    board, reporter = stage.start(BOARD), stage.start(REPORTER)
    reporter.ask([["a", "up"], ["b", "up"]])
    wait_for(board, a="up", b="up")
    board.end()
    for _ in range(50):
        assert reporter.ask([["b", "parked"], ["c", "down"]]) == "said"
    wait_for(stage.start(BOARD), a="up", b="parked", c="down")


def test_a_successor_hears_everything_although_there_is_no_news(stage: Stage) -> None:
    """Nobody says anything while the board is gone."""
    board, reporter = stage.start(BOARD), stage.start(REPORTER)
    reporter.ask([["a", "up"], ["b", "down"]])
    wait_for(board, a="up", b="down")
    board.end()
    wait_for(stage.start(BOARD), a="up", b="down")


def test_a_stopped_board_blocks_nobody_and_catches_up(stage: Stage) -> None:
    """It answers nothing while it is stopped, as a process that hangs."""
    board, reporter = stage.start(BOARD), stage.start(REPORTER)
    reporter.ask([["a", "up"]])
    wait_for(board, a="up")
    with stopped(board):
        for number in range(200):
            assert reporter.ask([["a", "down"], ["b", "up" if number % 2 else "down"]]) == "said"
    wait_for(board, a="down", b="up")


def test_a_board_that_is_killed_while_it_hangs_is_replaced(stage: Stage) -> None:
    """As the supervisor does it."""
    board, reporter = stage.start(BOARD), stage.start(REPORTER)
    reporter.ask([["a", "up"]])
    wait_for(board, a="up")
    board.signal(signal.SIGSTOP)
    assert reporter.ask([["a", "down"], ["c", "parked"]]) == "said"
    board.end()
    wait_for(stage.start(BOARD), a="down", c="parked")


def test_several_observers_are_heard(stage: Stage) -> None:
    """Each over a connection of its own."""
    board = stage.start(BOARD)
    for server in ("a", "b", "c"):
        stage.start(REPORTER).ask([[server, "up"]])
    wait_for(board, a="up", b="up", c="up")


def test_a_stranger_without_the_key_is_not_heard(stage: Stage) -> None:
    """Though it finds the socket."""
    board = stage.start(BOARD)
    stranger = stage.start(REPORTER, key=b"x" * 32)
    stranger.ask([["a", "down"]])
    stage.start(REPORTER).ask([["b", "up"]])
    wait_for(board, a="starting", b="up")


@contextmanager
def stopped(program: Program) -> Iterator[None]:
    """Stop a program for the time of a block."""
    program.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        program.signal(signal.SIGCONT)


def test_a_board_that_is_replaced_before_it_has_heard_anything_costs_no_reporter(
    stage: Stage,
) -> None:
    """The next one does not know what the reporter calls it by, and says so as no other does."""
    board, reporter = stage.start(BOARD), stage.start(IDLE_REPORTER)
    board.end()
    board = stage.start(BOARD)
    reporter.ask([["a", "up"]])
    wait_for(board, a="up")


def test_what_is_said_all_the_time_is_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last word on each server, and nothing else, is told after a while of silence."""
    told: list[tuple[str, int]] = []

    def is_all() -> bool:
        return {("a", 99), ("b", 99)} <= set(told)

    class Board:
        def report(self, observer: str, server_id: str, observation: dict[str, Any]) -> None:
            told.append((server_id, observation["failures"]))

        def ping(self) -> None:
            if is_all():
                raise SystemExit  # the reporter by itself goes on for ever

    reporter = HealthReporter("worker-0", Path("nowhere"), KEY, rest_s=0.1)
    monkeypatch.setattr(reporter, "_connect", Board)

    def report() -> None:
        with suppress(SystemExit):
            reporter._run()

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    for number in range(100):
        for server_id in "ab":
            reporter.say(server_id, {"failures": number})
        time.sleep(0.002)
    wait_until(is_all, "the last word on both")
    thread.join()
    assert len(told) < 100
