"""Kept answers and lists of a server that has changed while nobody heard it."""

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from tests.support.cached import configured, look
from tests.support.changing_backend import ChangingBackend
from tests.support.gateway import Gateway
from tests.support.keyed import ENV, Caller
from tests.support.mcp_client import McpClient
from tests.support.waiting import wait_until
from tests.support.zoo import animal, zoo

CHANGED = "notifications/tools/list_changed"
KEPT = {"tools": {"whoami": "10m"}}


def keeping(mode: str, argument: object = "") -> dict[str, object]:
    """Return a configuration with a program whose answers are kept."""
    kept = animal("b", mode, argument, cache=KEPT)
    return zoo(kept, cache={"enabled": True, "max_bytes": "4MiB"})


def tools(caller: Caller) -> list[str]:
    """Return the names of all tools."""
    return [tool["name"] for tool in caller.modern("tools/list")[1]["result"]["tools"]]


def again(caller: Caller, backends: list[ChangingBackend]) -> Callable[[], bool]:
    """Return what calls the tool, and says whether that has reached a server."""

    def calls() -> int:
        return sum((one.counts for one in backends), Counter[str]())["look"]

    def reached() -> bool:
        before = calls()
        look(caller)
        return calls() > before

    return reached


def test_what_a_program_answered_is_forgotten_when_another_one_takes_its_place(
    tmp_path: Path,
) -> None:
    """The one before serves while its successor starts: also what it says then is not kept."""
    go = tmp_path / "go"
    with (
        Gateway(keeping("tame"), workers=1) as gateway, McpClient(gateway.port) as client,
    ):  # fmt: skip
        client.initialize()
        before = client.call("b__whoami")
        gateway.configure(keeping("late", go))
        assert gateway.command("reload", "--json")["data"]["ok"]
        assert client.call("b__whoami") == before == client.call("b__whoami")
        go.touch()
        wait_until(lambda: client.call("b__whoami") != before, "the successor's answer")
        assert client.call("b__whoami") == str(gateway.server("b")["pid"])


def test_what_a_process_answered_is_forgotten_when_it_is_started_again() -> None:
    """Also if it offers the same."""
    with Gateway(keeping("tame"), workers=1) as gateway, McpClient(gateway.port) as client:
        client.initialize()
        before = client.call("b__whoami")
        assert client.call("b__whoami") == before
        os.kill(int(before), signal.SIGKILL)
        wait_until(lambda: gateway.server("b")["pid"] not in (0, int(before)), "another process")
        gateway.wait_up("b")
        wait_until(lambda: client.call("b__whoami") != before, "its answer")


def test_changes_that_were_said_while_there_was_no_stream_are_found_out() -> None:
    """A moment in which the server refuses new streams included."""
    with (
        ChangingBackend() as backend,
        Gateway(configured(backend), workers=1, env=ENV) as gateway,
        Caller(gateway.port, "ann") as ann,
    ):
        kept = look(ann)
        assert look(ann) == kept
        wait_until(lambda: backend.streams, "the subscription")
        backend.hang_up(refuse=True)
        wait_until(lambda: not backend.streams, "its end")
        backend.tools.append("late")
        backend.announce(CHANGED)
        backend.hang_up(refuse=False)
        wait_until(lambda: look(ann) != kept, "another answer")
        wait_until(lambda: "b__late" in tools(ann), "the new tool")


def test_each_instance_of_a_modern_server_is_listened_to() -> None:
    """What one of them says holds for all."""
    with ChangingBackend() as one, ChangingBackend() as two:
        both = configured(one)
        del both["servers"][0]["url"]
        both["servers"][0]["instances"] = [{"url": one.url}, {"url": two.url}]
        with Gateway(both, workers=1, env=ENV) as gateway, Caller(gateway.port, "ann") as ann:
            reached = again(ann, [one, two])
            wait_until(lambda: one.streams and two.streams, "the subscriptions")
            wait_until(lambda: not reached(), "an answer that is kept")
            for backend in (one, two):
                backend.announce(CHANGED)
                wait_until(reached, "it to be forgotten")
                assert not reached()
