"""How commands talk."""

import socket
import subprocess
import sys


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
