"""New settings: how they come, how they are refused, and how all are told."""

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from only1mcp.cli.gateway import control_send
from only1mcp.config.fixed import ANEW
from tests.support.gateway import Gateway
from tests.support.mcp_client import McpClient
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo


def _offers(gateway: Gateway, *server_ids: str) -> bool:
    """Say whether exactly these servers' tools are offered."""
    with McpClient(gateway.port) as client:
        return {tool.partition("__")[0] for tool in client.tools()} == set(server_ids)


def _taken(gateway: Gateway, *server_ids: str) -> None:
    wait_until(lambda: _offers(gateway, *server_ids), f"{server_ids} are offered")


def _post_reload(gateway: Gateway) -> tuple[int, dict[str, Any]]:
    """Ask the admin API for a reload."""
    record = json.loads((gateway.runtime_dir / "supervisor.json").read_text())
    status, answer = control_send("POST", "reload", record["control"])
    return status, answer["reload"]


def _link(path: Path, target: Path) -> None:
    """Turn a symbolic link, in one step."""
    draft = path.with_name(f"{path.name}.new")
    draft.symlink_to(target)
    draft.replace(path)


def _write(gateway: Gateway, text: str) -> None:
    gateway.configure(text)


def _rename(gateway: Gateway, text: str) -> None:
    """Put a new file in the place of the old one, as editors do."""
    draft = gateway.directory / ".config.yaml.swp"
    draft.write_text(text)
    draft.replace(gateway.directory / "config.yaml")


def _touch_nothing(gateway: Gateway, text: str) -> None:
    """Have the same inode, size and time to the second: only nanoseconds tell."""
    path = gateway.directory / "config.yaml"
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


@pytest.mark.parametrize("change", [_write, _rename, _touch_nothing])
def test_a_changed_file_is_taken_by_itself(
    tmp_path: Path, change: Callable[[Gateway, str], None]
) -> None:
    """However it was changed; nobody has to say so."""
    with Gateway(zoo(animal("a", "tame")), workers=2, directory=tmp_path) as gateway:
        for server_id in ("b", "c"):
            change(gateway, json.dumps(zoo(animal(server_id, "tame"))))
            _taken(gateway, server_id)


def test_a_mounted_folder_that_is_swapped_is_seen(tmp_path: Path) -> None:
    """Kubernetes turns the link `..data`, to which the file's own link points."""
    for number, server_id in enumerate("abc"):
        (tmp_path / f"..{number}").mkdir()
        text = json.dumps(zoo(animal(server_id, "tame")))
        (tmp_path / f"..{number}" / "gateway.yaml").write_text(text)
    _link(tmp_path / "..data", Path("..0"))
    (tmp_path / "gateway.yaml").symlink_to(Path("..data/gateway.yaml"))
    options = ("--config", str(tmp_path / "gateway.yaml"))
    with Gateway(zoo(), directory=tmp_path, options=options, wait_for=()) as gateway:
        _taken(gateway, "a")
        for number, server_id in enumerate("bc", start=1):
            _link(tmp_path / "..data", Path(f"..{number}"))
            _taken(gateway, server_id)


def test_a_file_that_is_empty_for_a_moment_takes_no_server_away(tmp_path: Path) -> None:
    """Whoever writes it anew has emptied it first; asked for, it is what it says: nothing."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        gateway.configure("")
        for _ in range(100):  # each takes milliseconds, and a look comes every 20
            assert gateway.status()["settings"] == 1
        assert _offers(gateway, "a")
        gateway.configure(zoo(animal("b", "tame")))
        _taken(gateway, "b")


def test_the_first_half_of_a_file_is_not_put_in_force(tmp_path: Path) -> None:
    """Though it is valid, and its writer takes his time over the rest; who insists is refused."""
    path = tmp_path / "config.yaml"
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        gateway.configure(zoo(animal("b", "tame")))
        _taken(gateway, "b")  # whatever reads the file is there now, and quick
        with path.open("w") as file:
            file.write(json.dumps(zoo(animal("c", "tame"))))
            file.flush()
            for _ in range(200):  # each takes milliseconds, and a look comes every 30
                assert gateway.status()["settings"] == 2
            file.write("\n# That is all.\n")
        _taken(gateway, "c")
        with path.open("w") as file:
            file.write(json.dumps(zoo(animal("d", "tame"))))
            file.flush()
            gateway.send(signal.SIGHUP)
            wait_until(lambda: "is open for writing by another" in gateway.log, "the refusal")
            assert gateway.status()["settings"] == 3
        _taken(gateway, "d")


@pytest.mark.parametrize("way", ["signal", "command", "api"])
def test_a_reload_can_be_asked_for(tmp_path: Path, way: str) -> None:
    """The one who asks is answered when all processes work by the new settings."""
    with Gateway(zoo(animal("a", "tame")), workers=2, directory=tmp_path) as gateway:
        before = gateway.log.count('"msg":"reloaded"')
        gateway.configure(zoo(animal("b", "tame")))
        if way == "signal":
            gateway.send(signal.SIGHUP)
            wait_until(lambda: gateway.log.count('"msg":"reloaded"') > before, "it is reloaded")
        elif way == "command":
            done = gateway.command("reload", "--json", "--port", str(gateway.port))
            assert done["data"]["ok"]
        else:
            assert _post_reload(gateway)[0] == 200
        status = gateway.status()
        serving = {row["role"]: row["settings"] for row in status["processes"]}
        assert serving["worker"] == serving["host"] == status["settings"] == 2
        _taken(gateway, "b")


@pytest.mark.parametrize(
    ("broken", "place"), [("servers: [{id: a}]", "1:11:"), ("servers: [", "2:1:"), ("\x00", " ")]
)
def test_an_invalid_file_changes_nothing_and_is_reported_everywhere(
    tmp_path: Path, broken: str, place: str
) -> None:
    """In the log, by `status`, by `reload` with its exit code, and by the admin API."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        before = gateway.processes().keys(), gateway.pids("worker"), gateway.server("a")["pid"]
        path = gateway.configure(broken)
        wait_until(lambda: "the configuration is not valid" in gateway.log, "it is reported")
        assert f"{path}:{place}" in gateway.log
        told = gateway.command("reload", "--json", "--port", str(gateway.port))["error"]
        assert (told["code"], told["file"]) == ("CONFIG_INVALID", str(path))
        code, outcome = _post_reload(gateway)
        assert (code, outcome["ok"]) == (409, False)
        assert outcome["problems"] == told["problems"] == gateway.status()["reload"]["problems"]
        after = gateway.processes().keys(), gateway.pids("worker"), gateway.server("a")["pid"]
        assert after == before
        assert b'only1mcp_config_reloads_total{outcome="failed"} 3.0' in gateway.get("/metrics")[1]
        gateway.configure(zoo(animal("b", "tame")))
        _taken(gateway, "b")
        assert gateway.status()["reload"]["ok"]


def test_reload_says_by_its_exit_code_that_a_file_is_bad(tmp_path: Path) -> None:
    """The problems stand on lines of their own, as `validate` shows them; then all is well."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        path = gateway.configure("proxy: {prot: 1}")
        code, _, said = gateway.run("reload", "--port", str(gateway.port))
        assert code == 5
        assert f'{path}:1:9: proxy.prot: unknown key. Did you mean "port"?' in said
        gateway.configure(zoo(animal("b", "tame")))
        code, _, said = gateway.run("reload", "--port", str(gateway.port))
        assert code == 0
        assert "reloaded" in said or "nothing has changed" in said  # the watcher may come first


def _nest(path: Path) -> None:
    path.write_text("version: " + "[" * 100_000)


@pytest.mark.parametrize(
    ("put", "why"),
    [
        (_nest, "is nested too deeply"),
        (os.mkfifo, "it is a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
    ],
)
def test_a_file_that_no_parser_bears_is_refused_by_name(
    tmp_path: Path, put: Callable[[Path], None], why: str
) -> None:
    """It is neither waited for nor read for ever; the gateway goes on."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        path = gateway.configure("servers: []")
        _taken(gateway)
        path.unlink()
        put(path)
        code, _, said = gateway.run("reload", "--port", str(gateway.port))
        assert (code, str(path) in said, why in said) == (5, True, True), said
        path.unlink()
        gateway.configure(zoo(animal("b", "tame")))
        _taken(gateway, "b")


def test_a_file_that_is_gone_changes_nothing(tmp_path: Path) -> None:
    """Without its file the gateway goes on with what it has read."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        (tmp_path / "config.yaml").unlink()
        gateway.send(signal.SIGHUP)
        wait_until(lambda: "cannot be read" in gateway.log, "it is reported")
        assert _offers(gateway, "a")


@pytest.mark.parametrize(
    ("key", "value"),
    [("host", "127.0.0.2"), ("port", 1), ("listen", {"sse": True}),
     ("limits", {"max_body": "1MiB"})],
)  # fmt: skip
def test_what_only_a_new_start_can_change_is_refused_by_name(
    tmp_path: Path, key: str, value: object
) -> None:
    """With all else that the file says: half of a configuration is none."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        config = zoo(animal("b", "tame"), **{key: value})
        gateway.configure(config)
        if key in ("host", "port"):  # the options of `start` stand above the file
            _taken(gateway, "b")
            return
        code, outcome = _post_reload(gateway)
        assert code == 409
        assert [problem["hint"] for problem in outcome["problems"]] == [ANEW]
        assert outcome["problems"][0]["path"].startswith(f"proxy.{key}")
        assert _offers(gateway, "a")


def test_what_changed_while_control_was_away_is_taken(tmp_path: Path) -> None:
    """The next control process compares the file with what is in force."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        [control] = gateway.pids("control")
        os.kill(control, signal.SIGSTOP)
        gateway.configure(zoo(animal("b", "tame")))
        os.kill(control, signal.SIGKILL)
        _taken(gateway, "b")


def test_sessions_ended_around_a_reload_stay_ended(tmp_path: Path) -> None:
    """What DELETE ended is refused by all workers from then on."""
    over = threading.Event()
    ended: list[str | None] = []

    def end_sessions() -> None:
        while not over.is_set():
            with McpClient(gateway.port) as client:
                client.initialize()
                assert client.end_session() == 200
                ended.append(client.session)

    with Gateway(zoo(animal("a", "tame")), workers=2, directory=tmp_path) as gateway:
        ending = threading.Thread(target=end_sessions)
        ending.start()
        wait_until(lambda: len(ended) > 20, "sessions are ended")
        gateway.configure(zoo(animal("b", "tame")))
        _taken(gateway, "b")
        over.set()
        ending.join()
        for session in ended:
            with McpClient(gateway.port, session) as client:
                assert client.request("ping")[0] == 404


def test_the_demonstration_has_nothing_to_reload(tmp_path: Path) -> None:
    """It says so, and shows no second banner."""
    with Gateway(None, directory=tmp_path) as gateway:
        assert _post_reload(gateway)[1]["message"] == "nothing has changed"
        gateway.wait_up()
        assert gateway.log.count("Ctrl-C to stop") == 1


@pytest.mark.parametrize("is_demonstration", [False, True])
def test_what_lies_in_the_folder_is_no_part_of_the_program(
    tmp_path: Path, is_demonstration: bool
) -> None:
    """Modules there have the names of ours, and of libraries; the gateway is started there."""
    for name in ("orjson.py", "json.py", "yaml.py", "only1mcp.py"):
        (tmp_path / name).write_text("open('run-from-here', 'w').close()\nraise SystemExit(1)\n")
    config = None if is_demonstration else zoo(animal("a", "tame"))
    with Gateway(config, directory=tmp_path) as gateway:
        if not is_demonstration:
            _write(gateway, json.dumps(zoo(animal("a", "tame"), animal("b", "tame"))))
            _taken(gateway, "a", "b")
    assert not (tmp_path / "run-from-here").exists()


def test_an_empty_file_takes_no_server_away(tmp_path: Path) -> None:
    """Whoever asks for the reload is told so."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        gateway.configure("\n")
        status, outcome = _post_reload(gateway)
        assert (status, outcome["problems"][0]["what"]) == (409, "is empty")
        assert _offers(gateway, "a")


def test_status_and_admin_follow_the_reload(tmp_path: Path) -> None:
    """The command line, the data port and the metrics speak of the new configuration."""
    with Gateway(zoo(animal("a", "tame")), workers=2, directory=tmp_path) as gateway:
        gateway.configure(zoo(animal("b", "tame")))
        _taken(gateway, "b")
        gateway.wait_up("b")
        listed = gateway.command("list", "--json", "--port", str(gateway.port))["data"]
        assert [server["id"] for server in listed] == ["b"]
        status, body = gateway.get("/api/v1/admin/servers")
        assert status == 200
        assert [server["id"] for server in json.loads(body)["servers"]] == ["b"]
        health = json.loads(gateway.get("/health")[1])
        assert health["servers"] == {"up": 1, "total": 1}
        metrics = gateway.get("/metrics")[1].decode()
        assert 'only1mcp_backend_health_status{server_id="b"} 1.0' in metrics
        assert 'server_id="a"' not in metrics
