"""What is kept of the words of a server's child."""

import pytest

from only1mcp.host.connection import Connection
from only1mcp.registry.server import Server
from only1mcp.transports.streamable_http import make_client
from tests.support.loop import on_loop


async def _last_words(*lines: str) -> str:
    """Return what is said of a child that has written these lines, and ended."""
    client = make_client()
    connection = Connection(Server("srv", "stdio", "srv"), client, lambda message: None)
    for line in lines:
        connection.on_stderr(line.encode())
    connection.on_exit("exited")
    await client.close()
    return connection.reason


@on_loop
@pytest.mark.parametrize(
    "frame",
    [
        "at check (license.js:1)", "at Object.<anonymous> (/srv/app.js:1:7)",
        "at node:internal/main/run_main_module:28:49", "at new Promise (<anonymous>)",
        "at async Promise.all (index 0)", "at async file:///srv/app.js:3:1",
        "at com.example.Main.main(Main.java:5)", "at java.lang.Thread.run(Native Method)",
        "at Example.Program.Main(String[] args) in /srv/Program.cs:line 9",
        'File "/srv/app.py", line 3, in <module>',
    ],
)  # fmt: skip
async def test_the_frames_of_a_stack_are_no_last_words(frame: str) -> None:
    """In each language that servers are written in: the message stands before or after them."""
    said = await _last_words("Error: no license", *[frame] * 9)
    assert said == "exited; its last words: Error: no license"


@on_loop
@pytest.mark.parametrize(
    "line",
    [
        "at least one directory must be given", "at startup: no license (see the manual)",
        "File \"x.db\" is locked", "attempt 3 failed",
    ],
)  # fmt: skip
async def test_a_message_that_begins_as_a_frame_does_is_kept(line: str) -> None:
    """It may be all that says why a server does not start."""
    assert await _last_words(line) == f"exited; its last words: {line}"
