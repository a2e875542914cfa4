"""The command line: what each command prints, as text and as JSON, and how it exits."""

import asyncio
import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from only1mcp import __version__
from tests.support.command import Done, run_command
from tests.support.gateway import Gateway
from tests.support.http_site import http_site
from tests.support.loop import on_loop
from tests.support.waiting import PATIENCE_S, wait_until
from tests.support.zoo import animal, zoo

Cli = Callable[..., Done]
COMMANDS = (
    "start", "stop", "status", "list", "tools", "test", "benchmark", "doctor", "connect", "init",
    "validate", "config", "completion", "version",
)  # fmt: skip


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    """Run the demonstration."""
    with Gateway(None, workers=2) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def cli(gateway: Gateway) -> Cli:
    """Return a function that runs a command beside that gateway."""
    return functools.partial(run_command, env=gateway.env, cwd=gateway.directory)


@pytest.fixture
def lone(tmp_path: Path) -> Cli:
    """Return a function that runs a command where no gateway runs and nothing is configured."""
    env = Gateway(None, directory=tmp_path).env
    return functools.partial(run_command, env=env, cwd=tmp_path)


def test_help_names_every_command_and_every_exit_code(lone: Cli) -> None:
    """What the program can do stands on one page."""
    done = lone("--help")
    assert done.code == 0
    listed = [line.split()[0] for line in done.out.splitlines() if line[:2] == "  "]
    assert set(COMMANDS) <= set(listed)
    for code in ("0", "1", "2", "3", "4", "5", "6", "7", "130, 143"):
        assert f"  {code}  " in done.out


@pytest.mark.parametrize("command", [*COMMANDS, "tools list", "tools call", "config show"])
def test_every_command_explains_itself(lone: Cli, command: str) -> None:
    """Help for a command needs no gateway and no configuration."""
    done = lone(*command.split(), "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: only1mcp {command}")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["tools", "--help"], ["benchmark", "--help"]]
)
def test_help_does_not_load_what_it_does_not_need(lone: Cli, arguments: list[str]) -> None:
    """Neither the web server nor the validation library is imported for it."""
    code = (
        "import sys\nfrom only1mcp.__main__ import main\ntry:\n    main()\n"
        "finally:\n    print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = lone(*arguments, program=(sys.executable, "-c", code))
    loaded = {name.partition(".")[0] for name in done.err.split()}
    assert "click" in loaded
    assert not loaded & {"aiohttp", "pydantic", "uvloop", "yaml", "prometheus_client", "asyncio"}


def test_the_installed_program_and_the_module_are_the_same(lone: Cli) -> None:
    """`only1mcp` and `python -m only1mcp` print and exit alike."""
    program = (str(Path(sys.executable).with_name("only1mcp")),)
    for arguments in (["--help"], ["version", "--json"], ["status"], ["bogus"]):
        assert lone(*arguments, program=program) == lone(*arguments)


@pytest.mark.parametrize(
    "arguments", [["bogus"], ["status", "--bogus"], ["init", "bogus"], ["tools", "call"],
                  ["completion", "tcsh"], ["start", "--port", "x"],
                  ["start", "--demo", "--no-demo"], ["workers", "--bogus"],
                  ["add", "web", "--url", "x"]],
)  # fmt: skip
def test_wrong_usage_exits_with_2(lone: Cli, arguments: list[str]) -> None:
    """What cannot be understood is said on standard error, with the way to help."""
    done = lone(*arguments)
    assert done.code == 2
    assert done.out == ""
    assert "--help" in done.err
    failed = lone(*arguments, "--json")
    assert failed.code == 2
    assert failed.err == ""
    assert failed.error["code"] == "USAGE"


@pytest.mark.parametrize(
    "arguments", [["status"], ["stop"], ["tools", "list"], ["tools", "call", "x"], ["connect"],
                  ["list", "--port", "1"], ["status", "--port", "1"]],
)  # fmt: skip
def test_without_a_gateway_commands_exit_with_4(lone: Cli, arguments: list[str]) -> None:
    """There is nobody to ask; the hint says how to start one."""
    done = lone(*arguments)
    assert (done.code, done.out) == (4, "")
    assert done.err.startswith("error: no gateway runs")
    assert "hint: start one: only1mcp start" in done.err
    if arguments != ["connect"]:
        done = lone(*arguments, "--json")
        assert done.code == 4
        assert done.error["code"] == "NOT_RUNNING"
        assert done.error["hint"] == "start one: only1mcp start"


def test_an_address_where_nobody_listens_exits_with_4(lone: Cli) -> None:
    """The address is named, and the reason."""
    done = lone("tools", "list", "--url", "http://127.0.0.1:9/mcp")
    assert done.code == 4
    assert "http://127.0.0.1:9/mcp cannot be reached" in done.err
    assert lone("tools", "list", "--url", "http://127.0.0.1:9/mcp", "--json").error["code"] == (
        "UNREACHABLE"
    )


def test_an_address_that_does_not_speak_mcp_exits_with_4(gateway: Gateway, cli: Cli) -> None:
    """An answer that is not JSON is reported as what it is."""
    done = cli("tools", "list", "--url", f"http://127.0.0.1:{gateway.port}/livez", "--json")
    assert done.code in (1, 4)
    assert done.error["message"]


ODD_ANSWERS = [
    ("application/json", b""), ("application/json", b"null"), ("application/json", b"[]"),
    ("application/json", b"{}"), ("application/json", b'{"error": "gone"}'),
    ("application/json", b'{"result": 1}'), ("application/json", b'{"result": {"tools": {}}}'),
    ("text/html", b"<html>"), ("text/plain", b"\xff"), ("text/event-stream", b": nothing\n\n"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "body"), ODD_ANSWERS)
@on_loop
async def test_an_answer_that_is_not_mcp_is_a_failure_in_words(
    lone: Cli, kind: str, body: bytes
) -> None:
    """Whatever stands at the address, which is asked with its query."""
    asked: list[str] = []

    async def odd(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path_qs)
        return web.Response(body=body, headers={"Content-Type": kind})

    async with http_site(odd) as url:
        command = ("tools", "list", "--json", "--url", f"{url}?key=1")
        done = await asyncio.to_thread(lone, *command)
    assert (done.code, done.error["code"]) == (4, "NOT_MCP")
    assert asked == ["/mcp?key=1"]


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "ftp://h/mcp", "http://", "http://[::1", "http://h:x/", ""]
)
def test_what_is_no_address_is_wrong_usage(lone: Cli, url: str) -> None:
    """It says how one is written."""
    done = lone("tools", "list", "--json", "--url", url)
    assert (done.code, done.error["code"]) == (2, "BAD_URL")


def test_status_shows_processes_and_servers(gateway: Gateway, cli: Cli) -> None:
    """The table for people and the data for scripts say the same."""
    data = cli("status", "--json").data
    assert data["pid"] == gateway.pid
    assert data["url"] == gateway.url
    assert data["demo"] is True
    text = cli("status").out
    for row in data["processes"]:
        name = f"worker-{row['index']}" if row["role"] == "worker" else row["role"]
        assert f"{name:<10}  {row['pid']}" in text
    for server in data["servers"]:
        assert server["state"] == "up"
        assert f"{server['id']:<10}  {server['transport']}" in text


def test_status_without_its_control_process_says_what_the_record_knows(tmp_path: Path) -> None:
    """While control hangs the error names the gateway; there is one JSON document, not two."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        control = gateway.pids("control")[0]
        os.kill(control, signal.SIGSTOP)
        done = run_command("status", "--json", env=gateway.env)
        os.kill(control, signal.SIGCONT)
        assert done.code == 4
        assert done.error["code"] == "CONTROL_GONE"
        assert done.error["pid"] == gateway.pid
        assert done.error["port"] == gateway.port


def test_list_shows_the_running_servers_or_the_configured_ones(
    cli: Cli, lone: Cli, tmp_path: Path
) -> None:
    """With a gateway their states, without one what the file declares."""
    ids = [server["id"] for server in cli("list", "--json").data]
    assert ids == ["demo-time", "demo-files", "demo-calc"]
    assert "demo-calc   http       up" in cli("list").out
    assert lone("list").code == 5
    (tmp_path / "only1mcp.yaml").write_text("servers: [{id: a, url: 'http://127.0.0.1:9/mcp'}]")
    listed = lone("list", "--json").data
    assert [(server["id"], server["state"]) for server in listed] == [("a", "configured")]
    assert "a       http       configured" in lone("list").out


def test_tools_list_shows_names_and_descriptions(cli: Cli) -> None:
    """As a table, or as the protocol's own objects."""
    assert "demo-calc__add    " in cli("tools", "list").out
    tools = {tool["name"]: tool for tool in cli("tools", "list", "--json").data}
    assert tools["demo-calc__add"]["inputSchema"]["required"] == ["a", "b"]


def test_tools_call_takes_pairs_and_json(cli: Cli) -> None:
    """Values that are JSON are passed as such, anything else as text."""
    assert cli("tools", "call", "demo-calc__add", "a=1", "b=2.5").out == "3.5\n"
    assert cli("tools", "call", "demo-calc__add", "--args", '{"a": 1, "b": 2}').out == "3\n"
    done = cli("tools", "call", "demo-files__read", "path=welcome.txt", "--json")
    assert "demo-files" in done.data["content"][0]["text"]


def test_tools_call_exits_with_1_when_the_tool_says_that_it_failed(cli: Cli) -> None:
    """The tool's own words are printed all the same."""
    done = cli("tools", "call", "demo-calc__flaky", "p=1")
    assert done.code == 1
    assert "failed, as happens" in done.out
    done = cli("tools", "call", "demo-calc__flaky", "p=1", "--json")
    assert done.code == 1
    assert done.data["isError"] is True


def test_tools_call_exits_with_3_for_a_tool_that_nobody_offers(cli: Cli) -> None:
    """The name is repeated in the message."""
    done = cli("tools", "call", "demo-calc__divide")
    assert done.code == 3
    assert "demo-calc__divide" in done.err
    assert cli("tools", "call", "demo-calc__divide", "--json").error["rpc_code"] == -32602


@pytest.mark.parametrize("arguments", [["a"], ["--args", "[1]"], ["--args", "{"]])
def test_tools_call_refuses_arguments_that_it_cannot_read(cli: Cli, arguments: list[str]) -> None:
    """Before anything is sent."""
    done = cli("tools", "call", "demo-calc__add", *arguments)
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert "hint: write a=1" in done.err
    assert cli("tools", "call", "demo-calc__add", *arguments, "--json").error["code"] == "BAD_ARGS"


def test_of_several_gateways_one_must_be_named(tmp_path: Path) -> None:
    """Without --port the ports to choose from are named; with it each one answers."""
    with Gateway(zoo(), directory=tmp_path) as one, Gateway(zoo(), directory=tmp_path) as other:
        done = run_command("status", "--json", env=one.env)
        assert done.code == 2
        assert done.error["code"] == "AMBIGUOUS"
        ports = {str(one.port), str(other.port)}
        assert {word.strip(",") for word in done.error["message"].split()} >= ports
        for gateway in (one, other):
            data = run_command("status", "--json", "--port", str(gateway.port), env=one.env).data
            assert data["pid"] == gateway.pid


def test_stop_ends_the_gateway_and_waits_for_its_end(tmp_path: Path) -> None:
    """When `stop` returns the supervisor is gone and the port is free."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        done = run_command("stop", "--json", env=gateway.env)
        assert done.data == {"pid": gateway.pid, "port": gateway.port}
        assert gateway.wait() == 143
        assert run_command("stop", env=gateway.env).code == 4


def test_stop_gives_up_after_its_timeout(tmp_path: Path) -> None:
    """A gateway that drains for long is left to it, and the hint says how to end it at once."""
    config = zoo(animal("a", "stubborn", tmp_path / "journal"))
    with Gateway(config, directory=tmp_path) as gateway:
        done = run_command("stop", "--timeout", "0.1", "--json", env=gateway.env)
        assert done.code == 1
        assert done.error["code"] == "STOP_TIMEOUT"
        assert done.error["hint"] == (
            f"end it at once, with all of its processes: kill -KILL {gateway.pid}"
        )


def test_version_names_version_python_and_speedups(lone: Cli) -> None:
    """What a bug report needs."""
    assert lone("--version").out == f"only1mcp {__version__}\n"
    assert lone("version").out.startswith(f"only1mcp {__version__} (Python 3.")
    data = lone("version", "--json").data
    assert set(data) == {"version", "python", "accel"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_works(lone: Cli, shell: str) -> None:
    """The script asks this very program for words, and gets the commands."""
    script = lone("completion", shell).out
    assert f"_ONLY1MCP_COMPLETE={shell}_complete" in script
    env = {**os.environ, "_ONLY1MCP_COMPLETE": f"{shell}_complete",
           "COMP_WORDS": "only1mcp st", "COMP_CWORD": "1" if shell != "fish" else "st"}  # fmt: skip
    words = run_command(env=env).out
    assert "start" in words
    assert "status" in words


def test_doctor_finds_nothing_on_a_machine_that_is_well(lone: Cli, tmp_path: Path) -> None:
    """Each line is a check; a configuration that is missing is a warning, not a failure."""
    done = lone("doctor", "--json")
    assert done.code == 0
    verdicts = {finding["check"]: finding["verdict"] for finding in done.data}
    assert verdicts["configuration"] == "warn"
    assert "fail" not in verdicts.values()
    (tmp_path / "only1mcp.yaml").write_text(json.dumps(zoo(animal("a", "tame"))))
    assert "ok  server a" in lone("doctor").out


def test_doctor_exits_with_6_when_something_is_wrong(lone: Cli, tmp_path: Path) -> None:
    """A program that is not there, a broken file, a directory open to others."""
    config = tmp_path / "only1mcp.yaml"
    missing = {"id": "gone", "command": "/nonexistent/server"}
    config.write_text(
        json.dumps({**zoo(missing), "stdio": {"allowed_commands": ["/nonexistent/server"]}})
    )
    done = lone("doctor")
    assert done.code == 6
    assert "fail  server gone" in done.out
    config.write_text("nonsense: 1")
    assert "fail  configuration" in lone("doctor").out
    config.unlink()
    (tmp_path / "run").mkdir()
    for mode, verdict in ((0o777, "fail"), (0o1777, "ok")):  # as /tmp is
        (tmp_path / "run").chmod(mode)
        verdicts = {found["check"]: found["verdict"] for found in lone("doctor", "--json").data}
        assert verdicts["runtime directory"] == verdict


def test_doctor_names_the_gateways_that_run(gateway: Gateway, cli: Cli) -> None:
    """A port that is taken by us is no riddle."""
    assert f"on port {gateway.port}" in cli("doctor").out


def test_test_tries_each_server_alone(lone: Cli, tmp_path: Path) -> None:
    """Good and bad ones stand in one table; one bad one makes the exit code 6."""
    journal = tmp_path / "journal"
    config = zoo(animal("good", "tame", journal), animal("bad", "crash"))
    (tmp_path / "only1mcp.yaml").write_text(json.dumps(config))
    done = lone("test", "--json")
    assert done.code == 6
    good, bad = done.data
    assert (good["server"], good["result"], good["tools"]) == ("good", "ok", 3)
    assert (bad["server"], bad["result"]) == ("bad", "failed")
    assert "no licence found" in bad["problem"]
    done = lone("test", "good")
    assert done.code == 0
    assert "good    ok      modern" in done.out
    assert journal.read_text().count("end") == 2  # ended by closing its input, both times


def test_test_exits_with_3_for_a_server_that_is_not_declared(lone: Cli, tmp_path: Path) -> None:
    """The declared ones are named."""
    (tmp_path / "only1mcp.yaml").write_text(json.dumps(zoo(animal("good", "tame"))))
    done = lone("test", "better")
    assert done.code == 3
    assert "hint: known: good" in done.err
    assert lone("test", "better", "--json").error["code"] == "NO_SERVER"


def test_test_says_so_when_no_server_is_declared(lone: Cli, tmp_path: Path) -> None:
    """There is nothing to try."""
    (tmp_path / "only1mcp.yaml").write_text("version: 1.0")
    done = lone("test", "--json")
    assert (done.code, done.error["message"]) == (3, "no server is declared")


def test_ctrl_c_ends_a_command_with_130(tmp_path: Path) -> None:
    """A command that waits for an answer is interrupted without a trace."""
    journal = tmp_path / "journal"
    config = zoo(animal("a", "deaf", journal), timeout="300s")
    with Gateway(config, directory=tmp_path) as gateway:
        process = subprocess.Popen(
            [sys.executable, "-m", "only1mcp", "tools", "call", "a__act"], env=gateway.env,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        wait_until(journal.exists, "the call is under way")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE_S)[0] == ""
        assert process.returncode == 130
