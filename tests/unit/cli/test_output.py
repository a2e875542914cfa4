"""How commands talk."""

import array
import fcntl
import json
import os
import socket
import subprocess
import sys
import termios

from tests.support.waiting import wait_until

_INTERRUPTED = """
import os, signal
from only1mcp.cli.output import print_json, write_wholly
signal.signal(signal.SIGALRM, lambda *_: os.write(2, b"."))
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
write_wholly()
print_json("long", "x" * 200_000)
signal.setitimer(signal.ITIMER_REAL, 0)
"""


def test_what_is_said_in_several_lines_is_written_at_once() -> None:
    """A line that another process logs at that moment stands before it or after it."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        program = "from only1mcp.cli.output import say; say('one\\ntwo'); say('three')"
        subprocess.run(
            [sys.executable, "-c", program], stderr=there.fileno(), check=True, timeout=30
        )
        here.settimeout(5)
        assert [here.recv(100) for _ in range(2)] == [b"one\ntwo\n", b"three\n"]


def test_output_is_whole_when_writing_is_interrupted() -> None:
    """A full pipe takes a part when a signal comes; Python's own stdout may drop the rest."""
    with subprocess.Popen(
        [sys.executable, "-u", "-c", _INTERRUPTED], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        assert writer.stderr is not None
        out = writer.stdout.fileno()
        size = fcntl.fcntl(out, fcntl.F_GETPIPE_SZ)
        wait_until(lambda: _unread(out) == size, "the pipe to be full")
        os.read(writer.stderr.fileno(), 4096)
        assert writer.stderr.read(3) == b"..."  # three more signals
        written, _ = writer.communicate(timeout=30)
    assert json.loads(written)["data"] == "x" * 200_000
    assert writer.returncode == 0


def _unread(pipe: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]
