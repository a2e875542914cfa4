"""The board: who says what of each server, and the verdict."""

import threading

import pytest

from only1mcp.health.board import HOST, HealthBoard
from only1mcp.memory.health_words import Health, HealthWords
from only1mcp.memory.layout import Layout, SharedMemory


def board(*server_ids: str) -> tuple[HealthBoard, HealthWords]:
    """Return a board and the words it writes."""
    words = HealthWords(SharedMemory(Layout(1, len(server_ids), 1)))
    return HealthBoard(server_ids, words), words


@pytest.mark.parametrize(
    ("state", "verdict"),
    [("up", Health.UP), ("down", Health.DOWN), ("parked", Health.PARKED), ("stopped", Health.DOWN),
     ("starting", Health.UNKNOWN), ("", Health.UNKNOWN), (None, Health.UNKNOWN)],
)  # fmt: skip
def test_the_host_s_word_is_the_verdict(state: str | None, verdict: Health) -> None:
    """Published where all workers read it."""
    subject, words = board("a", "b")
    subject.report(HOST, "b", {"id": "b", "state": "up"})
    subject.report(HOST, "b", {"id": "b", "state": state})
    assert [words.read(0), words.read(1)] == [Health.UNKNOWN, verdict]


def test_a_worker_s_word_is_shown_but_is_no_verdict() -> None:
    """Failed calls are counted over all workers; the last one in time is named."""
    subject, words = board("a")
    subject.report(HOST, "a", {"id": "a", "state": "up", "pid": 7})
    subject.report("worker-0", "a", {"failures": 3, "last": "backend_lost", "at": 10.0})
    subject.report("worker-1", "a", {"failures": 1, "last": "backend_timeout", "at": 20.0})
    subject.report("worker-0", "a", {"failures": 4, "last": "backend_lost", "at": 15.0})
    assert subject.servers() == [
        {"id": "a", "state": "up", "pid": 7, "failed_calls": 5, "last_failure": "backend_timeout"}
    ]
    assert words.read(0) is Health.UP


def test_servers_are_shown_in_configuration_order_from_the_start() -> None:
    """Those of which nothing was said are starting."""
    subject, _ = board("b", "a")
    subject.report(HOST, "a", {"id": "a", "state": "down", "detail": "why"})
    assert subject.servers() == [
        {"id": "b", "state": "starting", "detail": "", "failed_calls": 0},
        {"id": "a", "state": "down", "detail": "why", "failed_calls": 0},
    ]


def test_a_server_that_is_not_ours_is_ignored() -> None:
    """An observer of an old edition may still speak."""
    subject, _ = board("a")
    subject.report(HOST, "gone", {"id": "gone", "state": "up"})
    assert [status["id"] for status in subject.servers()] == ["a"]


def test_many_may_speak_at_once() -> None:
    """The manager serves each in a thread of its own."""
    subject, _ = board("a")

    def speak(number: int) -> None:
        for count in range(1, 51):
            observation = {"failures": count, "last": "x", "at": float(count)}
            subject.report(f"worker-{number}", "a", observation)
            subject.servers()

    threads = [threading.Thread(target=speak, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert subject.servers()[0]["failed_calls"] == 8 * 50
