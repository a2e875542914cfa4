"""A gateway of two workers that keeps the answers of a server which changes, and its clients."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.support.changing_backend import PRIVATE, ChangingBackend
from tests.support.gateway import Gateway
from tests.support.keyed import Caller
from tests.support.mcp_client import META, modern_headers
from tests.support.waiting import wait_until

Clients = Callable[..., list[Caller]]
"""Takes the owner of a key; returns a client of theirs on each worker."""
WORKERS = 2
KINDS = {"tools": {"look": "10m", "ask": "10m", "fail": "10m", "tell": "10m"}}


def configured(backend: ChangingBackend, **cache: Any) -> dict[str, Any]:
    """Return a configuration with the server, and with two callers who have keys."""
    keys = [{"id": one, "key_env": f"KEY_{one.upper()}"} for one in ("ann", "tom")]
    root = {"id": "root", "key_env": "KEY_ROOT", "admin": True}
    few = {"id": "few", "key_env": "KEY_FEW", "tools": ["b__fail"],
           "rate_limit": {"requests": 3, "per": "1h"}}  # fmt: skip
    return {
        "proxy": {"cache": {"enabled": True, "max_bytes": "4MiB"}},
        "auth": {"keys": [*keys, few, root]},
        "servers": [{"id": "b", "url": backend.url, "cache": {**KINDS, **cache}}],
    }


@contextmanager
def clients_of(gateway: Gateway) -> Iterator[Clients]:
    """Yield what finds clients on each worker, by what the workers say of themselves."""
    with ExitStack() as stack:

        def connect(owner: str = "ann") -> list[Caller]:
            found: dict[int, Caller] = {}
            workers = [number for role, number in gateway.processes() if role == "worker"]

            def complete() -> bool:
                caller = stack.enter_context(Caller(gateway.port, owner))
                found.setdefault(worker_of(gateway, caller), caller)
                return len(found) == len(workers)

            wait_until(complete, "a connection to each worker")
            return [found[number] for number in sorted(found)]

        yield connect


def worker_of(gateway: Gateway, caller: Caller) -> int:
    """Return which worker serves a connection: its id for requests names it."""
    mark = f"mark-{id(caller)}"
    caller.modern("tools/call", name=mark, arguments={})

    def line() -> dict[str, Any] | None:
        for text in gateway.log.splitlines():
            if mark in text and text.startswith("{"):
                said: dict[str, Any] = json.loads(text)
                return said
        return None

    return int(wait_until(line, "the line about a call")["process"].removeprefix("worker-"))


def look(caller: Caller, tool: str = "look", **arguments: Any) -> str:
    """Call a tool; return what it says."""
    status, message = caller.modern("tools/call", name=f"b__{tool}", arguments=arguments)
    assert status == 200, message
    text: str = message["result"]["content"][0]["text"]
    return text


def read(caller: Caller, uri: str) -> str:
    """Read a resource; return what it holds."""
    status, message = caller.modern("resources/read", uri=uri)
    assert status == 200, message
    text: str = message["result"]["contents"][0]["text"]
    return text


class Watch:
    """A client that watches a resource, so that its server tells of updates."""

    def __init__(self, port: int) -> None:
        self._caller = Caller(port, "ann")
        wanted = {"resourceSubscriptions": [PRIVATE]}
        body = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen",
                "params": {"notifications": wanted, "_meta": META}}  # fmt: skip
        response, _ = self._caller.ask(
            "POST", "/mcp", modern_headers("subscriptions/listen"), json.dumps(body).encode()
        )
        line = b""
        while b"acknowledged" not in line:
            line = response.readline()

    def close(self) -> None:
        """Leave."""
        self._caller.http.close()


def shown(gateway: Gateway) -> dict[str, Any]:
    """Return what `only1mcp cache` shows of the server."""
    (row,) = gateway.command("cache", "--json")["data"]["servers"]
    assert isinstance(row, dict)
    return row


def waiting(gateway: Gateway) -> int:
    """Return how many calls are under way or wait for one that is."""
    row = shown(gateway)
    return int(row["joined"] + row["misses"])
