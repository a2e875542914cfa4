"""What is logged of a child's standard error, and what is kept of it."""

import logging

import pytest

from only1mcp.host.standard_error import StandardError

GROUP = """\
+ Exception Group Traceback (most recent call last):
|   File "/usr/lib/server.py", line 5, in main
|     async with create_task_group() as group:
|                ~~~~~~~~~~~~~~~~~^^
| ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
+-+---------------- 1 ----------------
| Traceback (most recent call last):
|   File "/usr/lib/streams.py", line 287, in send
|     raise BrokenResourceError from None
| anyio.BrokenResourceError
+------------------------------------"""


class Clock:
    """Time that passes when it is told to."""

    now_s = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def test_the_last_words_tell_of_faults_in_groups_without_their_stacks() -> None:
    """What a server of the Python SDK says of its end is such a group."""
    subject = StandardError("a")
    for line in GROUP.split("\n"):
        subject.take(line.encode())
    assert subject.last_words.endswith("(1 sub-exception) | 1 ---------------- | "
        "Traceback (most recent call last): | anyio.BrokenResourceError")  # fmt: skip


def test_a_child_that_says_nothing_has_no_last_words() -> None:
    """An empty line says nothing either."""
    subject = StandardError("a")
    subject.take(b"")
    assert subject.last_words == ""


def test_a_chatty_child_is_logged_again_in_the_next_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its log tells how much is missing, and has what it says after that."""
    clock = Clock()
    subject = StandardError("a", clock)
    with caplog.at_level(logging.INFO, "only1mcp"):
        for number in range(2500):
            subject.take(b"call %d" % number)
        assert caplog.messages[-1] == "stderr: no more of it is logged in this minute"
        clock.now_s += 60
        subject.take(b"fatal: the disk is full")
    assert caplog.messages[-2:] == [
        "stderr: 500 lines of it were not logged", "stderr: fatal: the disk is full",
    ]  # fmt: skip
    assert len(caplog.messages) == 2002
