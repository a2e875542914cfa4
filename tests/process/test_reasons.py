"""What the gateway says of itself: once, with its reason, and of whom it speaks."""

import sys
from pathlib import Path
from typing import Any

from tests.support.gateway import Gateway
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

CHATTER = "import sys; print('Listening on port 3000', flush=True); sys.stdin.read()"


def _chatty(server_id: str) -> dict[str, Any]:
    """Declare a server that prints for people instead of speaking MCP."""
    return {"id": server_id, "command": sys.executable, "args": ["-c", CHATTER],
            "handshake_timeout": "300ms"}  # fmt: skip


def test_reload_says_what_the_file_watcher_has_done_already(tmp_path: Path) -> None:
    """Whoever changes the file and then asks wants to know of that change; asked again, of none."""
    with Gateway(zoo(animal("a", "tame")), directory=tmp_path) as gateway:
        gateway.configure(zoo(animal("a", "tame"), animal("b", "tame")))
        wait_until(lambda: gateway.status()["reload"], "the watcher has reloaded")
        code, _, said = gateway.run("reload", "--port", str(gateway.port))
        assert code == 0
        assert "already reloaded" in said
        assert "when the file changed; added: b" in said
        assert "nothing has changed" in gateway.run("reload", "--port", str(gateway.port))[2]


def test_a_collision_is_told_once_for_all_workers(tmp_path: Path) -> None:
    """Those that come later, and reloads, do not tell it again; another one is told."""
    one, two = (animal(name, "tame", prefix="none") for name in "ab")
    with Gateway(zoo(one, two), workers=3, directory=tmp_path) as gateway:
        wait_until(lambda: gateway.log.count("name collision: tool 'act'") > 0, "it is told")
        gateway.configure(zoo(one, two, animal("c", "tame")))
        wait_until(lambda: gateway.status()["settings"] == 2, "a reload")
        assert gateway.run("restart", "--port", str(gateway.port))[0] == 0
        assert gateway.log.count("name collision: tool 'act'") == 1
        gateway.configure(zoo(one, two, animal("c", "tame", prefix="none")))
        wait_until(lambda: gateway.log.count("name collision: tool 'act'") == 2, "another one")


def test_a_server_that_prints_for_people_is_shown_with_what_it_prints(tmp_path: Path) -> None:
    """In `status` and in `test`, where one looks, not only in the log."""
    why = "it prints what is no message: "
    config = zoo(_chatty("chatty"), animal("a", "tame"))
    with Gateway(config, directory=tmp_path, wait_for=["a"]) as gateway:
        wait_until(lambda: why in gateway.server("chatty")["detail"], "status says why")
        assert "Listening on port 3000" in gateway.server("chatty")["detail"]
        file = str(tmp_path / "config.yaml")
        trials = gateway.command("test", "--json", "-c", file)["data"]
        assert [why in trial["problem"] for trial in trials] == [True, False]
        assert "Listening on port 3000" in trials[0]["problem"]
        _, _, log = gateway.run("test", "-c", file)
        noted = [line for line in log.splitlines() if "not an MCP message" in line]
        assert noted
        assert all('"server":"chatty"' in line for line in noted)
