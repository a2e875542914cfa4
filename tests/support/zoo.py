"""Stdio servers that behave well in one way and badly in another: `python zoo.py MODE [ARGUMENT]`.

Every animal speaks MCP in both eras and offers the tools `whoami`, `echo` and `act`; what `act`
does, and what happens around it, depends on the mode. Tests declare one with `animal`.
"""

import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from only1mcp.demo.mcp import DemoServer, Tool

HUGE_BYTES = 17 * 1024 * 1024
FLOOD_LINES = 5000


def animal(server_id: str, mode: str, argument: object = "", **keys: Any) -> dict[str, Any]:
    """Declare one animal as an entry of `servers`."""
    return {
        "id": server_id, "command": sys.executable, "args": [__file__, mode, str(argument)],
        **keys,
    }  # fmt: skip


def zoo(*animals: Mapping[str, Any], **proxy: Any) -> dict[str, Any]:
    """Return a configuration with these servers."""
    return {
        "proxy": {"shutdown_timeout": "10s", **proxy},
        "stdio": {"allowed_commands": [sys.executable]},
        "servers": [dict(entry) for entry in animals],
    }


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _note(argument: str, word: str) -> None:
    """Write one word into the journal, whole lines only, whoever else writes."""
    with Path(argument).open("a", encoding="utf-8") as journal:
        journal.write(f"{word}\n")


def _serve(
    act: Callable[[], str] = lambda: "done", before: Callable[[], None] | None = None,
    write: Callable[[str], None] = _say,
) -> None:  # fmt: skip
    """Answer one line with another until the input ends."""
    text = {"text": {"type": "string"}}
    tools = [
        Tool("whoami", "Tell the process id.", lambda: str(os.getpid()), {}),
        Tool("echo", "Say it again.", lambda text: text, text, ("text",)),
        Tool("act", "Do what this server does.", act, {}),
    ]
    server = DemoServer("zoo", tools, modern=True)
    for line in sys.stdin:
        answer = server.answer(json.loads(line))
        if before is not None:
            before()
        if answer is not None:
            write(json.dumps(answer))


def tame(argument: str) -> None:
    """Do nothing bad; note start and orderly end in a journal, if there is one."""
    if argument:
        _note(argument, f"start {os.getpid()}")
    _serve()
    if argument:
        _note(argument, "end")


def late(argument: str) -> None:
    """Serve while a file of this name is there; `act` removes it, and exits."""
    while not Path(argument).exists():
        time.sleep(0.02)

    def act() -> str:
        Path(argument).unlink()
        os._exit(7)

    _serve(act)


def silent(argument: str) -> None:
    """Read everything and answer nothing."""
    del argument
    for _ in sys.stdin:
        pass


def deaf(argument: str) -> None:
    """Answer the handshake and the lists, but never a call of `act`; note it in a journal."""

    def act() -> str:
        if argument:
            _note(argument, "act")
        while True:
            signal.pause()

    _serve(act)


def babbler(argument: str) -> None:
    """Put lines that are not messages before every answer."""
    del argument
    _serve(before=lambda: _say("Server listening ...\n{broken json\n[]\n\x00\xff"))


def clerk(argument: str) -> None:
    """Enter every `act` in a journal."""

    def act() -> str:
        _note(argument, "act")
        return "done"

    _serve(act)


def counter(argument: str) -> None:
    """Keep state: `act` tells how often it was called."""
    del argument
    counts = itertools.count(1)
    _serve(lambda: str(next(counts)))


def patient(argument: str) -> None:
    """Answer `act` once a file of this name is there."""

    def act() -> str:
        while not Path(argument).exists():
            time.sleep(0.02)
        return str(os.getpid())

    _serve(act)


def whale(argument: str) -> None:
    """Answer `act` with a line longer than anybody may send."""
    del argument

    def act() -> str:
        return "x" * HUGE_BYTES

    _serve(act)


def flood(argument: str) -> None:
    """Write thousands of lines, and one without an end, to standard error before serving."""
    del argument
    for number in range(FLOOD_LINES):
        sys.stderr.write(f"drop {number}\n")
    sys.stderr.write("y" * 1024 * 1024)
    sys.stderr.flush()
    _serve()


def quitter(argument: str) -> None:
    """Exit in the middle of a call."""
    del argument
    _serve(lambda: os._exit(7))


def crash(argument: str) -> None:
    """Exit at start, after a last word."""
    if argument:
        _note(argument, f"start {os.getpid()}")
    sys.exit("no licence found")


def parent(argument: str) -> None:
    """Leave a daemon behind: forked twice, in a session of its own, holding our pipes open."""
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        _note(argument, f"daemon {os.getpid()}")
        while True:
            time.sleep(3600)
    os.wait()
    _serve(lambda: os._exit(7))


def stubborn(argument: str) -> None:
    """Note the end of the input and SIGTERM in a journal, and stay."""
    signal.signal(signal.SIGTERM, lambda *_: _note(argument, "term"))
    _note(argument, f"start {os.getpid()}")
    _serve()
    _note(argument, "eof")
    while True:
        signal.pause()


def echoing(argument: str) -> None:
    """Answer everything twice."""
    del argument
    _serve(write=lambda line: _say(f"{line}\n{line}"))


def confused(argument: str) -> None:
    """Answer calls of `act` under the id of another request."""
    del argument

    def write(line: str) -> None:
        answer = json.loads(line)
        if "content" in answer.get("result", {}):
            answer["id"] += 1000
        _say(json.dumps(answer))

    _serve(write=write)


def fickle(argument: str) -> None:
    """Say with every answer, many times, that all lists have changed."""
    del argument
    changed = [
        json.dumps({"jsonrpc": "2.0", "method": f"notifications/{kind}/list_changed"})
        for kind in ("tools", "prompts", "resources")
    ]
    _serve(before=lambda: _say("\n".join(changed * 20)))


def breathless(argument: str) -> None:
    """Begin a line on `act`, and never end it."""
    del argument

    def act() -> str:
        while True:
            sys.stdout.write("x" * 1024)
            sys.stdout.flush()
            time.sleep(0.01)

    _serve(act)


def torn(argument: str) -> None:
    """Exit in the middle of the answer to `act`."""
    del argument

    def write(line: str) -> None:
        if "done" in line:
            sys.stdout.write(line[: len(line) // 2])
            sys.stdout.flush()
            os._exit(7)
        _say(line)

    _serve(write=write)


def sleepy(argument: str) -> None:
    """Start slowly."""
    del argument
    time.sleep(1.5)
    _serve()


def breeder(argument: str) -> None:
    """Have some children, and grandchildren, that stay when it exits on `act`."""
    del argument
    for _ in range(4):
        if os.fork() == 0:
            os.fork()
            os.fork()
            while True:
                time.sleep(3600)
    _serve(lambda: os._exit(7))


def blocked(argument: str) -> None:
    """Stop reading on `act`, and answer it."""
    del argument

    def write(line: str) -> None:
        _say(line)
        if "done" in line:
            while True:
                signal.pause()

    _serve(write=write)


def mute(argument: str) -> None:
    """Close the output on `act`, and live on."""
    del argument

    def act() -> str:
        os.close(1)
        while True:
            signal.pause()

    _serve(act)


def foreign(argument: str) -> None:
    """Answer the handshake with a version that nobody knows."""
    del argument
    _serve(write=lambda line: _say(line.replace("20", "30")))


def shapeless(argument: str) -> None:
    """Answer calls with results that are no results."""
    del argument
    _serve(write=lambda line: _say(line.replace('"result": {"content"', '"result": ["content"')
           if "done" in line else line))  # fmt: skip


def latin(argument: str) -> None:
    """Answer `act` in bytes that are no UTF-8."""
    del argument

    def write(line: str) -> None:
        sys.stdout.buffer.write(line.replace("done", "\u00fc").encode("latin-1") + b"\n")
        sys.stdout.buffer.flush()

    _serve(lambda: "done", write=lambda line: write(line) if "done" in line else _say(line))


BAD = (
    "silent", "deaf", "babbler", "whale", "flood", "quitter", "crash", "parent", "stubborn",
    "echoing", "confused", "fickle", "breathless", "torn", "sleepy", "breeder", "blocked", "mute",
    "foreign", "shapeless", "latin",
)  # fmt: skip
"""Those that do something no server should."""
MODES = {name: globals()[name] for name in (*BAD, "tame", "late", "clerk", "counter", "patient")}

if __name__ == "__main__":
    MODES[sys.argv[1]](sys.argv[2] if len(sys.argv) > 2 else "")
