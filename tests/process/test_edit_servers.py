"""`add`, `remove`, `enable`, `disable`: the file is changed, and what runs with it."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from only1mcp.cli.gateway import control_send
from tests.support.command import Done, run_command
from tests.support.gateway import Gateway
from tests.support.keyed import ENV, Caller, keyed
from tests.support.mcp_client import McpClient
from tests.support.waiting import wait_until
from tests.support.zoo import __file__ as zoo_file

TEXT = f"""\
# Of the test.
stdio:
  allowed_commands: ['{sys.executable}']  # ours
servers:
  - id: a   # the first
    command: {sys.executable}
    args: ["{zoo_file}", counter]
"""


def _tools(gateway: Gateway) -> set[str]:
    with McpClient(gateway.port) as client:
        return {tool.partition("__")[0] for tool in client.tools()}


def _said(gateway: Gateway, *arguments: str) -> tuple[int, str]:
    """Run a command on the gateway's file; returns its exit code and what it said."""
    code, _, said = gateway.run(*arguments, "-c", str(gateway.directory / "config.yaml"))
    return code, said


def test_a_file_named_at_the_start_is_known_wherever_a_command_is_typed(tmp_path: Path) -> None:
    """By its whole name: a command elsewhere meets the gateway, or is told of its file."""
    (tmp_path / "elsewhere").mkdir()
    path = str(tmp_path / "config.yaml")
    with Gateway(TEXT, directory=tmp_path, options=["--config", "config.yaml"]) as gateway:
        assert gateway.status()["config"] == path
        home = {**gateway.env, "HOME": str(tmp_path)}
        here = functools.partial(run_command, env=home, cwd=tmp_path / "elsewhere")
        done = here("disable", "a", "-c", "../config.yaml")
        assert "in force" in done.err
        nameless = here("enable", "a", "--json")
        assert nameless.code == 5
        assert nameless.error["hint"] == f"gateways run on {path}: name the file with --config"


def test_servers_are_edited_while_the_gateway_runs(tmp_path: Path) -> None:
    """Each change is in force when its command returns; comments and mode stay as they were."""
    with Gateway(TEXT, workers=2, directory=tmp_path) as gateway:
        path = tmp_path / "config.yaml"
        path.chmod(0o640)
        add = ("add", "b", "-c", str(path), "-e", "K=V", "--", sys.executable, zoo_file, "tame")
        assert gateway.run(*add)[0] == 0
        wait_until(lambda: _tools(gateway) == {"a", "b"}, "the added server")
        pid = gateway.server("a")["pid"]
        code, said = _said(gateway, "disable", "b")
        assert code == 0
        assert "disabled b" in said
        assert "in force" in said
        listed = gateway.command("list", "--json", "--port", str(gateway.port))["data"]
        for servers in (listed, gateway.status()["servers"]):
            assert [(server["id"], server["state"]) for server in servers] == [
                ("a", "up"), ("b", "disabled"),
            ]  # fmt: skip
        assert _tools(gateway) == {"a"}
        assert _said(gateway, "enable", "b")[0] == 0
        wait_until(lambda: _tools(gateway) == {"a", "b"}, "the enabled server")
        assert _said(gateway, "remove", "b")[0] == 0
        assert [server["id"] for server in gateway.status()["servers"]] == ["a"]
        assert gateway.server("a")["pid"] == pid
        assert path.read_text() == TEXT
        assert path.stat().st_mode & 0o777 == 0o640
        assert sorted(one.name for one in tmp_path.iterdir() if "config" in one.name) == [path.name]


def test_a_change_that_cannot_be_made_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    """With an exit code and a sentence of its own; also a program that may not be started."""
    with Gateway(TEXT, directory=tmp_path) as gateway:
        refusals = (
            (("add", "a", "http://127.0.0.1:1/mcp"), 7, "is there already"),
            (("add", "x", "rm"), 5, "not an allowed command"),
            (("add", "no/id", "http://127.0.0.1:1/mcp"), 5, "servers[1].id"),
            (("remove", "x"), 3, "there is no server 'x'"),
            (("enable", "x"), 3, "there is no server 'x'"),
            (("add", "x", "http://a/", "-e", "A=B"), 2, "neither arguments nor --env"),
        )
        for arguments, expected, words in refusals:
            code, said = _said(gateway, *arguments)
            assert (code, words in said) == (expected, True), said
        assert (tmp_path / "config.yaml").read_text() == TEXT
        assert gateway.status()["settings"] == 1


def _status(gateway: Gateway, owner: str | None) -> int:
    with Caller(gateway.port, owner) as caller:
        return caller.modern("tools/list")[0]


def test_an_edit_during_another_program_s_save_costs_no_key_and_no_comment(tmp_path: Path) -> None:
    """An editor that has emptied the file, and has not written it yet, is not overtaken."""
    text = f"# Of the test.\n{json.dumps(keyed(listen={}), indent=2)}\n"
    saved = text.replace("Of the test", "Of the editor")
    path = tmp_path / "config.yaml"
    with Gateway(text, directory=tmp_path, env=ENV) as gateway:
        with path.open("w") as editor:
            done = gateway.run("add", "b", "http://127.0.0.1:1/mcp", "-c", str(path), "--json")
            assert _status(gateway, None) == 401
            assert done[0] == 7, done
            refusal = json.loads(done[1])["error"]
            assert refusal["code"] == "BEING_WRITTEN"
            assert "try again" in refusal["hint"]
            assert path.read_text() == ""
            editor.write(saved)
        assert path.read_text() == saved
        assert _status(gateway, None) == 401
        assert gateway.run("add", "b", "http://127.0.0.1:1/mcp", "-c", str(path))[0] == 0
        assert "# Of the editor." in path.read_text()
        assert [_status(gateway, owner) for owner in (None, "ann")] == [401, 200]
        assert {row["id"] for row in gateway.status()["servers"]} == {"time", "files", "b"}


def test_without_a_gateway_the_file_is_changed_all_the_same(tmp_path: Path) -> None:
    """Through a link, which stays one; many at once lose nothing of each other's."""
    (tmp_path / "real.yaml").write_text(TEXT)
    path = tmp_path / "config.yaml"
    path.symlink_to("real.yaml")
    env = {**os.environ, "ONLY1MCP_RUNTIME_DIR": str(tmp_path / "run")}
    program = [sys.executable, "-m", "only1mcp"]
    adding = [
        subprocess.Popen([*program, "add", f"s{n}", f"http://127.0.0.1:{n + 1}/", "-c", str(path)],
                         env=env, stderr=subprocess.PIPE, text=True)
        for n in range(4)
    ]  # fmt: skip
    for process in adding:
        _, said = process.communicate()
        assert process.returncode == 0, said
        assert "no gateway runs on it" in said
    assert path.is_symlink()
    text = path.read_text()
    assert all(f"- id: s{n}\n" in text for n in range(4))
    assert text.startswith(TEXT)


def test_the_admin_api_takes_addresses_but_no_programs(tmp_path: Path) -> None:
    """Whoever speaks for the network; the command line on this machine may name programs."""
    with Gateway(TEXT, directory=tmp_path) as gateway:
        record = json.loads((gateway.runtime_dir / "supervisor.json").read_text())
        entry = {"id": "web", "url": "http://127.0.0.1:1/mcp"}
        assert control_send("POST", "servers", record["control"], body=entry)[0] == 200
        assert [server["id"] for server in gateway.status()["servers"]] == ["a", "web"]
        assert control_send("POST", "servers", record["control"], body=[])[0] == 400
        program = {"id": "p", "command": sys.executable}
        for body in (program, {**entry, "id": "p", "env": {"A": "B"}}):
            code, said = control_send("POST", "servers", record["control"], body=body, local=False)
            assert (code, said["error"]["code"]) == (403, "NO_PROGRAMS")
        assert control_send("POST", "servers/web/disable", record["control"])[0] == 200
        assert control_send("DELETE", "servers/web", record["control"])[0] == 200
        assert control_send("DELETE", "servers/web", record["control"])[0] == 404
        assert (tmp_path / "config.yaml").read_text() == TEXT


def test_an_address_that_is_given_as_an_option_is_shown_its_place(tmp_path: Path) -> None:
    """Other programs, and the file, call it `url`."""
    cli = _alone(tmp_path)
    done = cli("add", "web", "--url", "http://127.0.0.1:9/mcp")
    assert done.code == 2
    assert "only1mcp add NAME http://127.0.0.1:9/mcp" in done.err
    assert "--url" not in cli("add", "--help").out


@pytest.mark.parametrize("number", ["-1", "0"])
def test_a_number_of_workers_that_cannot_be_is_refused_as_a_number(
    tmp_path: Path, number: str
) -> None:
    """One that is below nought is not taken for an option."""
    file = tmp_path / "only1mcp.yaml"
    file.write_text("proxy: {port: 0}\n")
    done = _alone(tmp_path)("workers", number)
    assert done.code == 5
    assert "proxy.workers" in done.err
    assert file.read_text() == "proxy: {port: 0}\n"


def test_what_could_not_come_into_force_is_not_written(tmp_path: Path) -> None:
    """The file has a mistake already; what only a new start can change is told as such."""
    with Gateway(TEXT, workers=1, directory=tmp_path) as gateway:
        path = gateway.directory / "config.yaml"
        bad = f"{TEXT}bogus: 1\n"
        path.write_text(bad)
        for edit in (("add", "b", "http://127.0.0.1:9/mcp"), ("disable", "a")):
            code, said = _said(gateway, *edit)
            assert (code, path.read_text()) == (5, bad), said
            assert "unknown key" in said
        path.write_text(f"{TEXT}proxy: {{listen: {{sse: true}}}}\n")
        code, said = _said(gateway, "disable", "a")
        assert code == 5
        assert "the change is in the file, but not in force" in said
        assert "enabled: false" in path.read_text()
        path.write_text(bad)
        assert _tools(gateway) == {"a"}


def test_a_file_that_is_gone_is_reported_like_a_bad_one(tmp_path: Path) -> None:
    """And what was in force stays so."""
    with Gateway(TEXT, workers=1, directory=tmp_path) as gateway:
        path = gateway.directory / "config.yaml"
        path.unlink()
        wait_until(lambda: "cannot be read" in json.dumps(gateway.status()), "the report")
        assert "cannot be read" in gateway.log
        assert _tools(gateway) == {"a"}
        path.write_text(TEXT)
        wait_until(lambda: "cannot be read" not in json.dumps(gateway.status()), "its end")


def test_a_disabled_server_is_listed_and_counted_as_such(tmp_path: Path) -> None:
    """Where no gateway runs, too: it is in the file, and can be enabled."""
    cli = _alone(tmp_path)
    (tmp_path / "only1mcp.yaml").write_text(
        "servers:\n- {id: a, url: 'http://127.0.0.1:9/mcp'}\n"
        "- {id: b, command: nobody-has-this, enabled: false}\n"
    )
    states = {server["id"]: server["state"] for server in cli("list", "--json").data}
    assert states == {"a": "configured", "b": "disabled"}
    assert "b       stdio      disabled" in cli("list").out
    assert cli("validate").out == "only1mcp.yaml: valid, 1 server, 1 disabled\n"
    data = cli("validate", "--json").data
    assert (data["servers"], data["disabled"]) == (1, 1)


@pytest.mark.parametrize("arguments", [("test", "b"), ("test",)])
def test_a_disabled_server_is_not_tried_and_how_to_enable_it_is_said(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Be it named, or the only one that there is."""
    (tmp_path / "only1mcp.yaml").write_text("servers: [{id: b, command: x, enabled: false}]")
    done = _alone(tmp_path)(*arguments, "--json")
    assert (done.code, done.error["code"]) == (7, "DISABLED")
    assert "only1mcp enable b" in done.error["hint"]


def _alone(directory: Path) -> Callable[..., Done]:
    """Return what runs commands where no gateway runs."""
    env = Gateway(None, directory=directory).env
    return functools.partial(run_command, env=env, cwd=directory)
