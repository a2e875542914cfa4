"""Real children: started without a shell, heard in full, ended for good."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from only1mcp.errors import BackendUnreachable
from only1mcp.host.environment import INHERITED, child_environment
from only1mcp.transports import stdio
from only1mcp.transports.stdio import ChildProcess, descendants
from tests.support.heard import Heard
from tests.support.loop import eventually, on_loop
from tests.support.waiting import wait_until

GRACE_S = 0.3
PATH = {"PATH": os.environ["PATH"]}


@asynccontextmanager
async def child(
    code: str, *arguments: str, env: Mapping[str, str] = PATH
) -> AsyncIterator[tuple[ChildProcess, Heard]]:
    """Run Python code in a child for the time of a block."""
    heard = Heard()
    command = [sys.executable, "-u", "-c", code, *arguments]
    subject = await ChildProcess.spawn(command, env, None, heard)
    try:
        yield subject, heard
    finally:
        subject.kill()
        await eventually(subject.exited.is_set, "the child to be gone")


def is_running(pid: int) -> bool:
    """Say whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


ECHO = "import sys\nfor line in sys.stdin: print(line, end='')"
STUBBORN = """
import signal, sys, time
def on_term(number, frame):
    print("term", flush=True)
    if "obeys" in sys.argv: sys.exit(3)
signal.signal(signal.SIGTERM, on_term)
print("ready", flush=True)
sys.stdin.read()
print("eof", flush=True)
while True: time.sleep(0.01)
"""


@on_loop
async def test_messages_go_in_and_come_out_line_by_line() -> None:
    """Byte for byte."""
    async with child(ECHO) as (subject, heard):
        sent = [b'{"a":1.0}', '"é\u2028"'.encode(), b"x" * 300_000]
        for message in sent:
            assert subject.write(message)
        await eventually(lambda: len(heard.lines) == 3, "the echo")
    assert heard.lines == sent


@on_loop
async def test_shell_metacharacters_arrive_as_plain_text(tmp_path: Path) -> None:
    """There is no shell that could read them otherwise."""
    trap = tmp_path / "pwned"
    nasty = [
        f"; touch {trap}", f"$(touch {trap})", f"`touch {trap}`", f"| touch {trap}", "&& true",
        "$HOME", "*", "~", "'", '"', "\\", "a b", "", "\n", "-c", "--help", "é", "%s", "#x",
    ]  # fmt: skip
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    async with child(code, *nasty, env={**PATH, "EVIL": f"$(touch {trap})"}) as (_, heard):
        await eventually(lambda: heard.lines, "the arguments")
    assert json.loads(heard.lines[0]) == nasty
    assert not trap.exists()


@pytest.mark.parametrize(
    "ours",
    [dict(os.environ), PATH, {**PATH, "LC_ALL": "C", "LANG": "C"}, {**PATH, "LANG": "de_DE.UTF-8"}],
    ids=["as it is", "bare", "C", "other"],
)
@on_loop
async def test_the_environment_is_the_inherited_list_and_what_is_declared(
    ours: dict[str, str],
) -> None:
    """And nothing else: no secret of ours, nothing that starting it would add."""
    mine = {**ours, "ONLY1MCP_SECRET": "s", "AWS_SECRET_ACCESS_KEY": "s", "PYTHONPATH": "/x"}
    env = child_environment([("DECLARED", "a=b"), ("TZ", "UTC")], mine)
    code = "import json; print(json.dumps(open('/proc/self/environ').read().split('\\0')[:-1]))"
    async with child(code, env=env) as (_, heard):
        await eventually(lambda: heard.lines, "the environment")
    found = dict(entry.split("=", 1) for entry in json.loads(heard.lines[0]))
    expected = {name: ours[name] for name in INHERITED if name in ours}
    assert found == {**expected, "DECLARED": "a=b", "TZ": "UTC"}


@on_loop
async def test_a_program_is_looked_up_in_the_search_path_that_it_gets(tmp_path: Path) -> None:
    """Not in ours."""
    program = tmp_path / "hello"
    program.write_text(f"#!{sys.executable}\nprint('hello')\n")
    program.chmod(0o755)
    heard = Heard()
    await ChildProcess.spawn(["hello"], {"PATH": str(tmp_path)}, str(tmp_path), heard)
    await eventually(lambda: heard.exits, "its exit")
    assert (heard.lines, heard.exits) == ([b"hello"], ["exited with code 0"])


@on_loop
async def test_a_program_that_cannot_be_executed_says_why() -> None:
    """On its standard error, where its own messages would stand."""
    for command, reason in (("no-such-program", b"No such file"), ("/etc/passwd", b"Permission")):
        heard = Heard()
        await ChildProcess.spawn([command], PATH, None, heard)
        await eventually(lambda heard=heard: heard.exits, "its exit")  # type: ignore[misc]
        assert b"cannot execute " + command.encode() in heard.errors[-1]
        assert reason in heard.errors[-1]
        assert heard.exits == ["exited with code 1"]


@pytest.mark.parametrize(
    ("arguments", "env", "cwd"),
    [([], PATH, "/no/such/directory"), (["a\0b"], PATH, None), ([], {"A=B": "c"}, None),
     ([], {"A": "b\0"}, None), ]
)  # fmt: skip
@on_loop
async def test_what_no_process_can_be_given_is_a_failure_to_start(
    arguments: list[str], env: dict[str, str], cwd: str | None
) -> None:
    """A directory that is not there, an argument or a name that no process can have."""
    with pytest.raises(BackendUnreachable, match="cannot start"):
        await ChildProcess.spawn([sys.executable, *arguments], env, cwd, Heard())


@pytest.mark.parametrize(
    ("code", "reason"),
    [("pass", "exited with code 0"), ("raise SystemExit(7)", "exited with code 7"),
     ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
     ("import os; os.abort()", "killed by SIGABRT"),
     ("import os; os.kill(os.getpid(), 35)", "killed by signal 35")],
)  # fmt: skip
@on_loop
async def test_an_exit_is_reported_once_with_its_reason(code: str, reason: str) -> None:
    """From then on nothing can be written."""
    async with child(code) as (subject, heard):
        await eventually(lambda: heard.exits, "its exit")
        assert subject.exited.is_set()
        assert subject.write(b"x") is False
        await subject.stop(GRACE_S)
        subject.kill()
    assert heard.exits == [reason]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@on_loop
async def test_a_message_is_one_line_however_it_was_laid_out(end: bytes) -> None:
    """A line end between its tokens would let a client put messages of its own on the pipe."""
    inner = b'{"jsonrpc":"2.0","id":6,"method":"tools/call"}'
    message = end.join([b'{"a":[', inner, b"]}"])
    async with child(ECHO) as (subject, heard):
        assert subject.write(message)
        assert subject.write(b"{}")
        await eventually(lambda: b"{}" in heard.lines, "the second message")
    assert [json.loads(line) for line in heard.lines] == [json.loads(message), {}]


@on_loop
async def test_the_last_words_are_heard_before_the_exit() -> None:
    """On both streams, however many they are."""
    code = """
import sys
for n in range(20_000): print(n)
print("trouble " * 1000, file=sys.stderr)
sys.stdout.write("no line end")
"""
    async with child(code) as (_, heard):
        await eventually(lambda: heard.exits, "its exit")
    assert heard.lines == [b"%d" % n for n in range(20_000)]
    assert heard.errors[0].startswith(b"trouble trouble")


@on_loop
async def test_a_descendant_that_hides_with_our_pipes_does_not_hold_up_the_exit() -> None:
    """It has left the group, so it is not killed; it is not waited for either."""
    code = """
import subprocess, sys
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
print(subprocess.Popen(sleep, start_new_session=True).pid, flush=True)
"""
    async with child(code) as (_, heard):
        await eventually(lambda: heard.lines, "the pid")
        hidden = int(heard.lines[0])
        try:
            await eventually(lambda: heard.exits, "its exit")
            assert is_running(hidden)
        finally:
            os.kill(hidden, signal.SIGKILL)


@on_loop
async def test_a_child_that_ends_takes_its_group_along() -> None:
    """Helpers that it started and forgot."""
    code = """
import subprocess, sys
helper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(helper.pid, flush=True)
"""
    async with child(code) as (_, heard):
        await eventually(lambda: heard.exits, "its exit")
        helper = int(heard.lines[0])
        await eventually(lambda: not is_running(helper), "the helper to be gone")


@on_loop
async def test_of_an_over_long_line_both_ends_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines around it come as ever."""
    monkeypatch.setattr(stdio, "MAX_LINE_BYTES", 1000)
    code = "print('fine'); print('a' + 200_000 * 'x' + 'z'); print('after'); input()"
    async with child(code) as (_, heard):
        await eventually(lambda: len(heard.lines) == 2, "the lines")
    assert heard.lines == [b"fine", b"after"]
    (line,) = heard.skipped
    assert (line.head[:2], line.tail[-2:], line.size) == (b"ax", b"xz", 200_002)


@on_loop
async def test_a_line_without_an_end_ends_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads for ever; the reason says so."""
    monkeypatch.setattr(stdio, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(stdio, "MAX_SKIPPED_BYTES", 10_000)
    code = "import sys\nprint('fine')\nwhile True: sys.stdout.write('x' * 5000)"
    async with child(code) as (_, heard):
        await eventually(lambda: heard.exits, "its exit")
    assert heard.lines == [b"fine"]
    assert heard.exits == ["a line of more than 10000 bytes"]


@on_loop
async def test_a_flood_on_standard_error_blocks_nobody() -> None:
    """Not even one without line ends."""
    code = """
import sys
for n in range(20_000): print("log line", n, file=sys.stderr)
sys.stderr.write("x" * 3_000_000)
print("\\nafter", file=sys.stderr)
print("done")
sys.stdin.read()
"""
    async with child(code) as (_, heard):
        await eventually(lambda: heard.lines, "the line after the flood")
        await eventually(lambda: heard.errors[-1] == b"after", "the end of the flood")
    assert heard.lines == [b"done"]
    assert heard.errors[:2] == [b"log line 0", b"log line 1"]
    assert max(map(len, heard.errors)) < 200_000


@on_loop
async def test_a_child_that_does_not_read_is_not_written_to_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What cannot be sent is refused once there is too much of it."""
    monkeypatch.setattr(stdio, "MAX_UNSENT_BYTES", 100_000)
    async with child("import time; print('up'); time.sleep(60)") as (subject, heard):
        await eventually(lambda: heard.lines, "the child")
        accepted = 0
        while subject.write(b"x" * 50_000):
            accepted += 1
            assert accepted < 100
    assert accepted >= 2


@on_loop
async def test_stopping_begins_with_the_end_of_input() -> None:
    """A child that ends by itself gets no signal."""
    async with child(f"{ECHO}\nprint('bye')\nsys.exit(4)") as (subject, heard):
        assert subject.write(b"hello")
        await subject.stop(20.0)
    assert heard.lines == [b"hello", b"bye"]
    assert heard.exits == ["exited with code 4"]


@pytest.mark.parametrize(
    ("arguments", "lines", "reason"),
    [(["obeys"], [b"ready", b"eof", b"term"], "exited with code 3"),
     ([], [b"ready", b"eof", b"term"], "killed by SIGKILL")],
)  # fmt: skip
@on_loop
async def test_stopping_goes_on_with_sigterm_and_ends_with_sigkill(
    arguments: list[str], lines: list[bytes], reason: str
) -> None:
    """In this order, each after a time of grace."""
    async with child(STUBBORN, *arguments) as (subject, heard):
        await eventually(lambda: heard.lines, "the child")
        await subject.stop(GRACE_S)
        assert not is_running(subject.pid)
    assert (heard.lines, heard.exits) == (lines, [reason])


@on_loop
async def test_a_kill_reaches_the_whole_family() -> None:
    """Also those who left the group for a session of their own."""
    code = """
import subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
print(subprocess.Popen(sleep).pid, subprocess.Popen(sleep, start_new_session=True).pid, flush=True)
time.sleep(60)
"""
    async with child(code) as (subject, heard):
        await eventually(lambda: heard.lines, "the family")
        family = [int(pid) for pid in heard.lines[0].split()]
        assert set(descendants(os.getpid())) >= {subject.pid, *family}
        subject.kill()
        await eventually(lambda: heard.exits, "its exit")
        await eventually(lambda: not any(map(is_running, family)), "the family to be gone")


@pytest.mark.parametrize("turns", range(1, 8))
@on_loop
async def test_a_start_that_is_called_off_leaves_nothing_behind(turns: int) -> None:
    """At whatever moment."""
    before = set(descendants(os.getpid()))
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    starting = asyncio.get_running_loop().create_task(
        ChildProcess.spawn(command, PATH, None, Heard())
    )
    for _ in range(turns):
        await asyncio.sleep(0)
    starting.cancel()
    try:
        started = await starting
    except asyncio.CancelledError:
        pass
    else:
        await started.stop(0.0)
    assert set(descendants(os.getpid())) == before


PARENT = """
import asyncio, sys
from only1mcp.transports.stdio import ChildProcess
class Observer:
    def on_lines(self, lines): print(child.pid, flush=True)
    def on_stderr(self, line): pass
    def on_exit(self, reason): pass
async def main():
    global child
    code = "import time; print('up', flush=True); time.sleep(60)"
    child = await ChildProcess.spawn([sys.executable, "-c", code], {}, None, Observer())
    await asyncio.sleep(60)
asyncio.run(main())
"""


def test_a_child_dies_with_its_parent() -> None:
    """Even when the parent is killed and can do nothing any more."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_running(pid)
    finally:
        parent.kill()
        parent.communicate()
    wait_until(lambda: not is_running(pid), "the child to die")
