"""Children that end."""

import os
import signal

from only1mcp.supervisor.reaping import reaped
from tests.support.forking import fork, join
from tests.support.waiting import wait_until


def test_each_child_that_ended_is_told_of_once() -> None:
    """With how it ended; one that lives is not, and without any child there is nothing to tell."""

    def work() -> None:  # in a process of its own, which has no other children
        assert list(reaped()) == []
        ended = [fork(lambda: None), fork(lambda: os._exit(3))]
        alive = fork(signal.pause)
        codes: dict[int, int] = {}

        def look() -> bool:
            found = [(pid, os.waitstatus_to_exitcode(status)) for pid, status in reaped()]
            assert not codes.keys() & dict(found).keys()
            codes.update(found)
            return len(codes) >= 2

        try:
            wait_until(look, "the ends of two")
            assert codes == dict(zip(ended, (0, 3), strict=True))
            assert list(reaped()) == []
        finally:
            os.kill(alive, signal.SIGKILL)
        assert join(alive) == [-signal.SIGKILL]
        assert list(reaped()) == []

    assert join(fork(work)) == [0]
