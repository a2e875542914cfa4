"""`init`, `validate` and `config`: what people write, and what the program makes of it."""

import functools
import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from only1mcp.config.templates import NAMES
from tests.support.command import Done, run_command
from tests.support.gateway import Gateway

Cli = Callable[..., Done]
README = Path(__file__).parents[2] / "README.md"
SECRET = "hunter2-hunter2"
STARS = "*" * 10
BROKEN = """\
version: "1.0"
proxy:
  port: abc
  wrokers: 2
servers:
  - id: a
    url: http://127.0.0.1:9/mcp
    timeout: soon
"""


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Return a function that runs a command in an empty directory."""
    env = Gateway(None, directory=tmp_path).env
    return functools.partial(run_command, env=env, cwd=tmp_path)


@pytest.mark.parametrize("template", NAMES)
def test_what_init_prints_is_valid(cli: Cli, tmp_path: Path, template: str) -> None:
    """A template can be redirected into a file, or written by the command itself."""
    (tmp_path / "a.yaml").write_text(cli("init", template).out)
    done = cli("init", template, "-o", "b.yaml")
    assert done.code == 0
    assert "only1mcp start --config b.yaml" in done.err
    assert (tmp_path / "a.yaml").read_text() == (tmp_path / "b.yaml").read_text()
    assert cli("validate", "a.yaml").out.startswith("a.yaml: valid, ")


def test_init_overwrites_nothing(cli: Cli, tmp_path: Path) -> None:
    """A file that exists is kept, and the command exits with 7."""
    (tmp_path / "only1mcp.yaml").write_text("mine")
    done = cli("init", "-o", "only1mcp.yaml")
    assert done.code == 7
    assert "only1mcp.yaml exists" in done.err
    assert (tmp_path / "only1mcp.yaml").read_text() == "mine"


def test_init_says_when_it_cannot_write(cli: Cli) -> None:
    """A directory that is not there is an error with a sentence, not a trace."""
    done = cli("init", "-o", "nowhere/only1mcp.yaml")
    assert done.code == 1
    assert done.err == "error: nowhere/only1mcp.yaml cannot be written: No such file or directory\n"


def test_validate_shows_every_problem_with_its_place(cli: Cli, tmp_path: Path) -> None:
    """One line for each: file, line, column, key, what, and a hint; exit code 5."""
    (tmp_path / "c.yaml").write_text(BROKEN)
    done = cli("validate", "c.yaml")
    assert (done.code, done.out) == (5, "")
    lines = done.err.splitlines()
    assert lines[0].startswith("c.yaml:3:9: proxy.port: ")
    assert lines[1] == 'c.yaml:4:3: proxy.wrokers: unknown key. Did you mean "workers"?'
    assert lines[2].startswith("c.yaml:8:14: servers[0].timeout: ")
    assert lines[3:] == [
        "error: 3 problems in the configuration",
        "hint: only1mcp config schema describes all keys",
    ]


def test_validate_tells_programs_the_same(cli: Cli, tmp_path: Path) -> None:
    """An editor finds file, line and column as numbers."""
    (tmp_path / "c.yaml").write_text(BROKEN)
    done = cli("validate", "c.yaml", "--json")
    assert (done.code, done.err) == (5, "")
    assert done.error["code"] == "CONFIG_INVALID"
    assert (done.error["file"], done.error["line"], done.error["column"]) == ("c.yaml", 3, 9)
    places = [(found["line"], found["column"]) for found in done.error["problems"]]
    assert places == [(3, 9), (4, 3), (8, 14)]
    (tmp_path / "c.yaml").write_text("servers: []")
    assert cli("validate", "c.yaml", "--json").data == {
        "valid": True, "file": "c.yaml", "servers": 0, "disabled": 0,
    }  # fmt: skip


def test_the_example_of_the_readme_is_valid_as_it_stands(cli: Cli, tmp_path: Path) -> None:
    """With the line that needs a variable, whoever leaves that out is told how to set it."""
    example = re.search(r"```yaml\n(version: .*?)```", README.read_text(), re.DOTALL)
    assert example is not None
    (tmp_path / "a.yaml").write_text(example[1])
    assert cli("validate", "a.yaml").out == "a.yaml: valid, 2 servers\n"
    (tmp_path / "b.yaml").write_text(example[1].replace("# auth: ", "auth: "))
    problem, *_ = cli("validate", "b.yaml").err.splitlines()
    assert problem.endswith(
        "servers[1].auth: ${SEARCH_TOKEN} is not set. "
        "set it before the start: export SEARCH_TOKEN=..."
    )
    env = {**Gateway(None, directory=tmp_path).env, "SEARCH_TOKEN": "x"}
    done = run_command("validate", "b.yaml", env=env, cwd=tmp_path)
    assert done.out == "b.yaml: valid, 2 servers\n"


def test_validate_finds_the_file_by_itself(cli: Cli, tmp_path: Path) -> None:
    """As `start` does: by its variable, by option, or by its name in this directory."""
    assert cli("validate").code == 5
    (tmp_path / "only1mcp.yaml").write_text("servers: []")
    assert cli("validate").out == "only1mcp.yaml: valid, 0 servers\n"
    (tmp_path / "other.yaml").write_text("servers: []")
    assert cli("validate", "-c", "other.yaml").out == "other.yaml: valid, 0 servers\n"
    done = cli("validate", "missing.yaml")
    assert done.code == 5
    assert "missing.yaml: cannot be read" in done.err


@pytest.mark.parametrize("command", ["validate", "start"])
def test_a_pipe_in_the_place_of_a_configuration_is_refused_and_not_passed_over(
    cli: Cli, tmp_path: Path, command: str
) -> None:
    """Neither is it waited for, nor does the demonstration run instead."""
    os.mkfifo(tmp_path / "only1mcp.yaml")
    done = cli(command)
    assert done.code == 5
    assert "only1mcp.yaml: cannot be read: it is a pipe, no regular file" in done.err


@pytest.mark.parametrize(("name", "start"), [("c.yaml", "a: "), ("c.json", ""), ("c.toml", "a = ")])
def test_a_configuration_that_is_nested_too_deeply_is_refused(
    cli: Cli, tmp_path: Path, name: str, start: str
) -> None:
    """By a problem with its place, however its parser would have ended."""
    (tmp_path / name).write_text(start + "[" * 100_000)
    done = cli("validate", name, "--json")
    assert (done.code, done.error["code"], done.error["file"]) == (5, "CONFIG_INVALID", name)
    assert [one["what"] for one in done.error["problems"]] == ["is nested too deeply"]


def test_config_show_hides_every_secret(cli: Cli, tmp_path: Path) -> None:
    """Tokens, headers and environments are shown as stars, in text and in JSON."""
    config = {
        "servers": [
            {"id": "a", "url": "http://127.0.0.1:9/mcp", "headers": {"X-Key": SECRET},
             "auth": {"type": "bearer", "token": SECRET}},
            {"id": "d", "url": f"https://me:{SECRET}@127.0.0.1:9/mcp?key={SECRET}"},
            {"id": "b", "command": "python3", "env": {"API_KEY": SECRET, "FROM": "${TOKEN}"}},
        ],
        "mcpServers": {"c": {"command": "python3", "env": {"KEY": SECRET}}},
    }  # fmt: skip
    (tmp_path / "only1mcp.yaml").write_text(json.dumps(config))
    env = {**Gateway(None, directory=tmp_path).env, "TOKEN": f"{SECRET}-too"}
    text = run_command("config", "show", env=env, cwd=tmp_path)
    shown = run_command("config", "show", "--json", env=env, cwd=tmp_path)
    assert (text.code, shown.code) == (0, 0)
    assert SECRET not in text.out + shown.out
    servers = {server["id"]: server for server in shown.data["servers"]}
    assert servers["a"]["headers"] == {"X-Key": STARS}
    assert servers["a"]["auth"] == {"type": "bearer", "token": STARS}
    assert servers["d"]["url"] == f"https://{STARS}@127.0.0.1:9/mcp?key={STARS}"
    assert servers["b"]["env"] == {"API_KEY": STARS, "FROM": STARS}
    assert f"API_KEY: '{STARS}'" in text.out
    assert shown.data["mcpServers"]["c"]["env"] == {"KEY": STARS}


@pytest.mark.parametrize("template", NAMES)
def test_what_config_show_prints_is_a_configuration(
    cli: Cli, tmp_path: Path, template: str
) -> None:
    """A person can keep it, and it says the same."""
    text = cli("init", template).out
    (tmp_path / "only1mcp.yaml").write_text(text)
    shown = cli("config", "show")
    assert shown.code == 0
    (tmp_path / "only1mcp.yaml").write_text(shown.out)
    assert cli("config", "show").out == shown.out
    assert cli("validate").code == 0


def test_config_show_gives_defaults_and_overrides(cli: Cli, tmp_path: Path) -> None:
    """What is shown is what would run: the file, the environment, and the defaults."""
    (tmp_path / "only1mcp.yaml").write_text("proxy: {workers: 3}")
    env = {**Gateway(None, directory=tmp_path).env, "ONLY1MCP_PROXY__PORT": "9123"}
    shown = run_command("config", "show", "--json", env=env, cwd=tmp_path).data
    proxy = shown["proxy"]
    assert (proxy["workers"], proxy["port"], proxy["timeout"]) == (3, 9123, "30s")
    assert "\n  port: 8080\n  workers: 3\n  timeout: 30s\n" in cli("config", "show").out


def test_config_schema_is_a_json_schema(cli: Cli) -> None:
    """An editor can check a file with it."""
    schema = json.loads(cli("config", "schema").out)
    assert schema["type"] == "object"
    assert {"proxy", "servers", "mcpServers"} <= schema["properties"].keys()


def test_a_problem_in_a_secret_does_not_show_it(cli: Cli, tmp_path: Path) -> None:
    """A wrong type where a token stands is reported without the token."""
    server = {"id": "a", "url": "http://127.0.0.1:9/mcp", "headers": {"X-Key": [SECRET]},
              "auth": {"token": {"x": SECRET}}}  # fmt: skip
    (tmp_path / "only1mcp.yaml").write_text(json.dumps({"servers": [server]}))
    for arguments in (["validate"], ["validate", "--json"], ["doctor"], ["config", "show"]):
        done = cli(*arguments)
        assert done.code in (5, 6)
        assert SECRET not in done.out + done.err


def test_the_state_and_runtime_directories_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Sockets, record and session key cannot be reached by other users of the machine."""
    with Gateway("servers: []", directory=tmp_path) as gateway:
        for path in (tmp_path / "run", gateway.runtime_dir, gateway.runtime_dir / "g1",
                     tmp_path / "home"):  # fmt: skip
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "home/session.key").stat().st_mode) == 0o600
        control = gateway.runtime_dir / "g1/control.sock"
        assert stat.S_IMODE(control.stat().st_mode) == 0o600
