"""`only1mcp benchmark` before a real gateway and its demonstration servers."""

import functools
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import Done, run_command
from tests.support.gateway import Gateway
from tests.support.keyed import ENV, KEYS, keyed
from tests.support.processes import Herd
from tests.support.waiting import wait_until

Cli = Callable[..., Done]
ADD = ("--tool", "demo-calc__add", "--args", '{"a":"{number}","b":0}')
SHORT = ("--rate", "200", "--duration", "0.5")


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Run the demonstration."""
    with Gateway(None, workers=2) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def cli(gateway: Gateway) -> Cli:
    """Return a function that runs the benchmark beside that gateway."""
    return functools.partial(run_command, "benchmark", env=gateway.env, cwd=gateway.directory)


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_every_call_is_answered_and_checked(cli: Cli, era: str, processes: str) -> None:
    """By the gateway that runs, which is found without its address."""
    done = cli(*ADD, *SHORT, "--era", era, "--processes", processes, "--json")
    assert done.code == 0, done.err
    assert (done.data["calls"], done.data["ok"], done.data["failures"]) == (100, 100, {})
    latency = done.data["latency_ms"]
    assert 0 < latency["min"] <= latency["p50"] <= latency["p99"] <= latency["max"]
    assert sum(bucket["count"] for bucket in done.data["histogram"]) == 100


def test_without_a_tool_the_list_is_asked_for(cli: Cli, gateway: Gateway) -> None:
    """No tool is called that nobody named."""
    done = cli(gateway.url, *SHORT)
    assert done.code == 0, done.err
    assert done.out.startswith(f"tools/list at {gateway.url}, modern\n100 of 100 calls")
    lines = done.out.splitlines()
    assert next(line for line in lines if "p99.9" in line).split()[2:5] == ["p50", "p90", "p99"]
    bars = lines[lines.index(next(line for line in lines if line.startswith("BETWEEN"))) + 1 :]
    assert sum(int(line.split()[3]) for line in bars) == 100
    assert max(line.count("#") for line in bars) == 40


def test_a_call_that_fails_is_shown_and_sets_the_exit_code(cli: Cli) -> None:
    """Half of them do; the first may be one of those."""
    done = cli("--tool", "demo-calc__flaky", "--args", '{"p":0.5}', *SHORT)
    assert done.code == 6
    assert "tool error" in done.out + done.err
    assert "failed, as happens with probability 0.5" in done.out + done.err


@pytest.mark.parametrize(
    ("arguments", "code", "name"),
    [
        (["http://192.0.2.1:8080/mcp"], 2, "NOT_LOCAL"),
        (["https://127.0.0.1/mcp"], 2, "BAD_URL"),
        (["http://127.0.0.1:1/mcp"], 4, "UNREACHABLE"),
        (["--tool", "nobody__knows"], 6, "CALL_FAILED"),
        (["--tool", "nobody__knows", "--processes", "2"], 6, "CALL_FAILED"),
        (["--tool", "demo-calc__add", "--args", "{"], 2, "BAD_ARGS"),
        (["--tool", "demo-calc__add", "--args", "[]"], 2, "BAD_ARGS"),
    ],
)
def test_what_cannot_be_measured_says_why(
    cli: Cli, arguments: list[str], code: int, name: str
) -> None:
    """With an exit code that programs understand, and what to do about it."""
    done = cli(*arguments, "--json")
    assert (done.code, done.error["code"]) == (code, name)
    assert done.error["hint"]


@pytest.fixture(scope="module")
def guarded() -> Iterator[Gateway]:
    """Run a gateway that asks for keys."""
    with Gateway(keyed(), env=ENV) as gateway:
        yield gateway


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("processes", ["1", "2"])
def test_with_a_key_a_gateway_that_asks_for_one_is_measured(
    guarded: Gateway, tmp_path: Path, era: str, processes: str
) -> None:
    """The key comes from a file or from the environment, and is printed nowhere."""
    file = tmp_path / "key"
    file.write_text(KEYS["ann"] + "\n")
    command = ("benchmark", guarded.url, "--tool", "time__now", *SHORT, "--era", era,
               "--processes", processes, "--json")  # fmt: skip
    plain = {name: value for name, value in guarded.env.items() if name not in ENV}
    by_file = run_command(*command, "--key-file", str(file), env=plain)
    by_variable = run_command(*command, env={**plain, "ONLY1MCP_KEY": KEYS["ann"]})
    for done in (by_file, by_variable):
        assert done.code == 0, done.err
        assert (done.data["ok"], done.data["failures"]) == (100, {})
        assert KEYS["ann"] not in done.out + done.err


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("key", ["", "o1_nobody"])
def test_without_a_key_that_is_known_it_says_how_to_give_one(
    guarded: Gateway, era: str, key: str
) -> None:
    """Not that the tool might be another one."""
    env = {**guarded.env, "ONLY1MCP_KEY": key}
    done = run_command("benchmark", guarded.url, *SHORT, "--era", era, "--json", env=env)
    assert (done.code, done.error["code"]) == (6, "REFUSED")
    assert "answered HTTP 401" in done.error["message"]
    assert "ONLY1MCP_KEY" in done.error["hint"]
    assert "--key-file" in done.error["hint"]


def test_without_a_gateway_it_says_how_to_start_one(tmp_path: Path) -> None:
    """Instead of an address that nobody gave."""
    done = run_command("benchmark", env=Gateway(None, directory=tmp_path).env, cwd=tmp_path)
    assert done.code == 4
    assert "no gateway runs" in done.err
    assert "only1mcp start" in done.err


@pytest.mark.parametrize("processes", ["1", "2"])
def test_an_interrupt_prints_what_there_is(gateway: Gateway, processes: str) -> None:
    """And ends all processes of a run that would take an hour."""
    before = served(gateway)
    process = subprocess.Popen(
        [sys.executable, "-m", "only1mcp", "benchmark", *ADD, "--rate", "200", "--duration",
         "3600", "--processes", processes, "--json"],
        env=gateway.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with process:
        try:
            wait_until(lambda: served(gateway) >= before + 50, "some calls")
            herd = Herd.below(process.pid)
            process.send_signal(signal.SIGINT)
            printed, _ = process.communicate(timeout=20)
        finally:
            process.kill()
    with herd:
        herd.wait_gone(20)
    data = json.loads(printed)["data"]
    assert process.returncode == 130
    assert data["interrupted"]
    assert data["failures"] == {}
    assert 40 < data["ok"] < 200 * 3600


@pytest.mark.parametrize("processes", ["1", "2"])
def test_an_interrupt_ends_a_run_whose_server_does_not_answer(
    gateway: Gateway, processes: str
) -> None:
    """Before there is anything to print."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/mcp"
        process = subprocess.Popen(
            [sys.executable, "-m", "only1mcp", "benchmark", url, "--timeout", "3600",
             "--processes", processes],
            env=gateway.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        with process:
            try:
                silent.accept()[0].close()
                herd = Herd.below(process.pid)
                process.send_signal(signal.SIGINT)
                printed, said = process.communicate(timeout=20)
            finally:
                process.kill()
    with herd:
        herd.wait_gone(20)
    assert (process.returncode, printed) == (130, "")
    assert "Traceback" not in said


def served(gateway: Gateway) -> int:
    """Return how many tool calls the gateway says that it has served."""
    _, text = gateway.get("/metrics")
    lines = text.decode().splitlines()
    named = [line for line in lines if line.startswith("only1mcp_requests_total{")]
    return sum(int(float(line.split()[-1])) for line in named if '"tools/call"' in line)
