"""The settings in force, as all processes see them."""

import os
import signal

from only1mcp.memory.published import PLACES, Published
from tests.support.forking import fork, join


def test_the_newest_edition_is_read_in_every_process() -> None:
    """Also by one that was there before it was published."""
    subject = Published()
    assert (subject.number, subject.read()) == (0, (0, b""))
    subject.publish(1, b"first")

    def publish() -> None:
        subject.publish(2, b"second, and longer")

    assert join(fork(publish)) == [0]
    assert subject.read() == (2, b"second, and longer")
    subject.publish(3, b"3")
    assert (subject.number, subject.read()) == (3, (3, b"3"))


def test_readers_never_see_half_of_an_edition() -> None:
    """However often and however much is published while they read."""
    subject = Published()
    subject.publish(1, b"1" * 100_000)

    def publish() -> None:
        for number in range(2, 400):
            subject.publish(number, str(number % 10).encode() * (100_000 + 1000 * (number % 7)))

    child = fork(publish)
    try:
        while True:
            number, data = subject.read()
            assert data.count(str(number % 10).encode()) == len(data)
            if number == 399:
                break
    finally:
        join(child)


def test_a_writer_that_is_killed_leaves_the_edition_before() -> None:
    """What it had written of the next one is in nobody's way."""
    subject = Published()
    subject.publish(1, b"whole")

    def write_and_die() -> None:
        os.pwrite(subject._file, b"half of it", PLACES[2 % 2])
        os.kill(os.getpid(), signal.SIGKILL)

    assert join(fork(write_and_die)) == [-signal.SIGKILL]
    assert subject.read() == (1, b"whole")
    subject.publish(2, b"next")
    assert subject.read() == (2, b"next")
