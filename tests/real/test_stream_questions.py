"""What server-everything asks between calls reaches the client that it is about."""

import json
from typing import Any

import pytest

from tests.real.http_server import everything
from tests.real.installed import ALLOWED, node_server
from tests.support.event_client import EventStream
from tests.support.gateway import Gateway
from tests.support.mcp_client import HEADERS, LEGACY, McpClient
from tests.support.roots_backend import CHANGED
from tests.support.waiting import wait_until

pytestmark = pytest.mark.real


@pytest.mark.parametrize("pure", [False, True], ids=["compiled", "pure"])
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_server_asks_for_changed_roots_at_once(transport: str, pure: bool) -> None:
    """Its client makes no call meanwhile; all calls from then on know the new ones."""
    with (
        everything() as site,
        Gateway(_config(transport, site.url), workers=2, pure=pure) as gateway,
        McpClient(gateway.port).initialize(roots={"listChanged": True}) as client,
        EventStream(gateway.port, str(client.session)) as stream,
    ):
        headers = {**HEADERS, "Mcp-Session-Id": str(client.session),
                   "MCP-Protocol-Version": LEGACY}  # fmt: skip
        client.request("tools/list")
        _post(client, headers, {"id": 100, "method": "tools/call", "params": _ECHO})
        for names in (["first"], ["second", "third"]):
            roots = [{"uri": f"file:///{name}", "name": name} for name in names]
            _post(client, headers, {"method": CHANGED})
            question = stream.until("roots/list")
            client.answer(question["id"], {"roots": roots})
            wait_until(lambda: _knows(client, headers, names), "the new roots")  # noqa: B023


_ECHO = {"name": "ev__echo", "arguments": {"message": "here"}}
_ROOTS = {"name": "ev__get-roots-list", "arguments": {}}


def _config(transport: str, url: str) -> dict[str, Any]:
    stdio = node_server("ev", "server-everything", "stdio")
    server = stdio if transport == "stdio" else {"id": "ev", "url": url}
    return {"stdio": {"allowed_commands": ALLOWED}, "servers": [server]}


def _post(client: McpClient, headers: dict[str, str], message: dict[str, object]) -> str:
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    return client.exchange("POST", body, headers)[1].decode()


def _knows(client: McpClient, headers: dict[str, str], names: list[str]) -> bool:
    said = _post(client, headers, {"id": 101, "method": "tools/call", "params": _ROOTS})
    return all(f"file:///{name}" in said for name in names)
