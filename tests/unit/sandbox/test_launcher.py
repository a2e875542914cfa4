"""The launcher by itself: what it refuses, and what it leaves for the program."""

import json
import os
import signal
import subprocess
import sys

import pytest

from only1mcp.sandbox import launcher

SHOW = """
import ctypes, json, os, signal
flag = ctypes.c_int()
ctypes.CDLL(None).prctl(2, ctypes.byref(flag), 0, 0, 0)
print(json.dumps({
    "death_signal": flag.value,
    "no_new_privs": ctypes.CDLL(None).prctl(39, 0, 0, 0, 0),
    "files": sorted(os.listdir("/proc/self/fd")),
    "pid": os.getpid(), "argv": __import__("sys").argv[1:],
}))
"""


def launch(
    *command: str, parent: int | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the launcher as the transport does."""
    line = [sys.executable, "-I", "-S", launcher.__file__, str(parent or os.getpid()), *command]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=env)


def test_it_becomes_the_program_with_the_kernel_s_promises() -> None:
    """Killed with its parent, never more privileged, with its arguments and three files."""
    done = launch(sys.executable, "-c", SHOW, "a b", "$x")
    shown = json.loads(done.stdout)
    assert (shown["death_signal"], shown["no_new_privs"]) == (9, 1)
    assert shown["argv"] == ["a b", "$x"]
    assert shown["files"][:3] == ["0", "1", "2"]
    assert len(shown["files"]) == 4


def test_signals_are_as_any_program_expects_them() -> None:
    """Python ignores two of them, our own processes two more; a program must not inherit that."""
    line = [sys.executable, "-I", "-S", launcher.__file__, str(os.getpid())]
    deaf = ["sh", "-c", 'trap "" HUP INT; exec "$@"', "sh", *line]
    done = subprocess.run(
        [*deaf, "grep", "SigIgn", "/proc/self/status"], capture_output=True, text=True, check=True
    )
    ignored = int(done.stdout.split()[1], 16)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        assert not ignored & 1 << (number - 1)


def test_it_does_not_outlive_a_parent_that_is_gone_already() -> None:
    """The kernel's promise came too late, so it leaves by itself."""
    done = launch(sys.executable, "-c", "print('ran')", parent=1)
    assert (done.returncode, done.stdout) == (1, "")
    assert "the parent has gone" in done.stderr


@pytest.mark.parametrize("command", ["no-such-program", "/no/such/program", "/", "/etc/passwd"])
def test_a_program_that_cannot_be_executed_is_named(command: str) -> None:
    """With the kernel's reason."""
    done = launch(command)
    assert done.returncode == 1
    assert done.stderr.startswith(f"cannot execute {command}: ")


@pytest.mark.parametrize("env", [{}, {"LC_ALL": "C"}, {"LANG": "xx_YY"}, {"PYTHONUTF8": "0"}])
def test_the_environment_goes_through_unchanged(env: dict[str, str]) -> None:
    """Whatever Python would like to add for itself."""
    done = launch("/usr/bin/env", env=env)
    assert dict(line.split("=", 1) for line in done.stdout.splitlines()) == env
