"""The servers that are declared and not served."""

from tests.support.configuration import settings_of

TEXT = """\
servers:
- {id: files, command: python3}
- {id: old, command: anything, enabled: false}
- {id: search, url: "http://127.0.0.1:9/mcp", headers: {X: "${NOT_SET}"}, enabled: false}
- {id: stream, url: "http://127.0.0.1:9/sse", transport: sse, enabled: false}
mcpServers:
  My Tool: {command: npx, disabled: true}
  socket: {url: "ws://127.0.0.1:9/ws", enabled: false}
  served: {url: "http://127.0.0.1:9/mcp"}
"""


def test_what_is_disabled_is_known_by_name_and_transport() -> None:
    """Of all sections; a program that is not allowed is no mistake as long as nobody starts it."""
    settings = settings_of(TEXT.replace("${NOT_SET}", "set"))
    assert [server.id for server in settings.servers] == ["files", "served"]
    assert settings.disabled == (
        ("old", "stdio"), ("search", "http"), ("stream", "sse"),
        ("My_Tool", "stdio"), ("socket", "websocket"),
    )  # fmt: skip
    assert settings.plain_disabled[0] == {
        "id": "old", "transport": "stdio", "state": "disabled", "detail": "",
    }  # fmt: skip
