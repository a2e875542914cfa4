"""A stdio server that answers out of order: `python shuffler.py`.

It takes all requests that have arrived, and answers the last one first. `hold` is never answered;
it leaves a file behind, so that a test can tell that the call has reached this process.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

TEXT = {"type": "object", "properties": {"text": {"type": "string"}}}
TOOLS = [
    {"name": "echo", "description": "Say it again.", "inputSchema": TEXT},
    {"name": "hold", "description": "Make this file, and stay silent.", "inputSchema": TEXT},
]


def shuffler(server_id: str) -> dict[str, Any]:
    """Declare one as an entry of `servers`; `sys.executable` must be allowed."""
    return {"id": server_id, "command": sys.executable, "args": [__file__]}


def answer(message: dict[str, Any]) -> dict[str, Any] | None:
    """Return the response to a message, if it gets one."""
    params = message.get("params", {})
    result: dict[str, Any] | None = None
    match message["method"]:
        case "initialize":
            result = {
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "shuffler", "version": "1"},
            }  # fmt: skip
        case "tools/list":
            result = {"tools": TOOLS}
        case "ping":
            result = {}
        case "tools/call" if params["name"] == "echo":
            result = {"content": [{"type": "text", "text": params["arguments"]["text"]}]}
        case "tools/call":
            Path(params["arguments"]["text"]).touch()
            return None
    if "id" not in message:
        return None
    if result is None:
        error = {"code": -32601, "message": "Method not found"}
        return {"jsonrpc": "2.0", "id": message["id"], "error": error}
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


def serve() -> None:
    """Answer until the input ends."""
    rest = b""
    while data := os.read(0, 65536):
        *lines, rest = (rest + data).split(b"\n")
        answers = [answer(json.loads(line)) for line in reversed(lines)]
        for each in answers:
            if each is not None:
                sys.stdout.write(json.dumps(each) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
