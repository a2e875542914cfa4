"""A legacy stdio server that talks back: `python talker.py [JOURNAL]`.

Its tools report progress and log, ask the client, change the list of tools, or never answer; what
is cancelled is noted in the journal, and what is to be logged. Tests declare it with `talker`.
"""

import itertools
import json
import sys
from pathlib import Path
from typing import Any

TOOLS = ["echo", "report", "ask", "grow", "slow"]
_LABELLED = {
    "type": "object", "properties": {"text": {"type": "string", "x-mcp-header": "Text"}},
}  # fmt: skip
FORM = {"type": "object", "properties": {"name": {"type": "string"}}}
ids = itertools.count(1)
waiting: dict[int, Any] = {}


def talker(server_id: str, journal: object = "") -> dict[str, Any]:
    """Declare the server as an entry of `servers`."""
    return {"id": server_id, "command": sys.executable, "args": [__file__, str(journal)]}


def say(**message: Any) -> None:
    """Send one message."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def note(word: str) -> None:
    """Write into the journal, if there is one."""
    if sys.argv[1:] and sys.argv[1]:
        with Path(sys.argv[1]).open("a", encoding="utf-8") as journal:
            journal.write(word + "\n")


def text(said: str) -> dict[str, Any]:
    """Make the result of a tool."""
    return {"content": [{"type": "text", "text": said}]}


def call(request_id: Any, params: dict[str, Any]) -> dict[str, Any] | None:
    """Run a tool; None when its answer comes later, or never."""
    name = params["name"]
    if name == "report":
        token = params.get("_meta", {}).get("progressToken")
        if token is not None:
            say(method="notifications/progress", params={"progressToken": token, "progress": 1})
        say(method="notifications/message", params={"level": "info", "data": "reporting"})
    elif name == "grow":
        TOOLS.append(f"grown-{len(TOOLS)}")
        say(method="notifications/tools/list_changed")
    elif name == "ask":
        number = next(ids)
        waiting[number] = request_id
        params = {"message": "Your name?", "requestedSchema": FORM}
        say(id=number, method="elicitation/create", params=params)
        return None
    elif name == "slow":
        note("slow")
        return None
    return text(json.dumps(params.get("arguments") or {}))


def answer(message: dict[str, Any]) -> dict[str, Any] | None:
    """Make the result of one request."""
    method = message["method"]
    if method == "initialize":
        capabilities = {"tools": {"listChanged": True}, "logging": {}}
        return {"protocolVersion": "2025-11-25", "capabilities": capabilities,
                "serverInfo": {"name": "talker", "version": "1"}}  # fmt: skip
    if method == "tools/list":
        schemas: dict[str, Any] = {"echo": _LABELLED}
        plain = {"type": "object"}
        return {"tools": [{"name": x, "inputSchema": schemas.get(x, plain)} for x in TOOLS]}
    if method == "tools/call":
        return call(message["id"], message["params"])
    if method == "logging/setLevel":
        note(message["params"]["level"])
    return {}


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        message = json.loads(line)
        method = message.get("method")
        if method is None:
            say(id=waiting.pop(message["id"]), result=text(json.dumps(message.get("result"))))
        elif method == "notifications/cancelled":
            note("cancelled")
        elif method == "server/discover":
            say(id=message["id"], error={"code": -32601, "message": "unknown method"})
        elif "id" in message:
            result = answer(message)
            if result is not None:
                say(id=message["id"], result=result)


if __name__ == "__main__":
    main()
