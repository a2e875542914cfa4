"""A legacy MCP server on standard input and output that says more than anybody holds; a program.

The tool `say` answers with the pid. Its argument `what` names a message that comes before, or
instead of that: `last` and `first` are answers whose id stands there, the others what they say.
"""

import json
import os
import sys
from typing import Any

HUGE = 'x\\"},' * 3_500_000
LIST = {"tools": [{"name": "say", "inputSchema": {"type": "object"}}]}


def say(message: dict[str, Any]) -> None:
    """Send one message."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def huge(what: str, request_id: Any, meta: dict[str, Any]) -> bool:
    """Say something huge; returns whether that was the answer."""
    text = {"content": [{"type": "text", "text": HUGE}]}
    match what:
        case "first":
            say({"jsonrpc": "2.0", "id": request_id, "result": text})
        case "last":
            say({"result": text, "jsonrpc": "2.0", "id": request_id})
        case "progress":
            params = {"progressToken": meta["progressToken"], "progress": 1, "message": HUGE}
            say({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        case "log":
            params = {"level": "error", "data": HUGE}
            say({"jsonrpc": "2.0", "method": "notifications/message", "params": params})
        case "question":
            params = {"message": HUGE, "requestedSchema": {"type": "object", "properties": {}}}
            say({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params})
    return what in {"first", "last"}


def main() -> None:
    """Serve until the input ends."""
    waiting = None
    for line in sys.stdin:
        message = json.loads(line)
        method, request_id = message.get("method"), message.get("id")
        if method is None:
            text = json.dumps(message.get("error", {}))
            say(
                {
                    "jsonrpc": "2.0",
                    "id": waiting,
                    "result": {"content": [{"type": "text", "text": text}]},
                }
            )
        elif method == "initialize":
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "logging": {}},
                      "serverInfo": {"name": "huge", "version": "1"}}  # fmt: skip
            say({"jsonrpc": "2.0", "id": request_id, "result": result})
        elif method == "tools/list":
            say({"jsonrpc": "2.0", "id": request_id, "result": LIST})
        elif method == "tools/call":
            params = message["params"]
            what = params["arguments"].get("what", "")
            is_answered = huge(what, request_id, params.get("_meta", {}))
            waiting = request_id
            if not is_answered and what != "question":
                content = [{"type": "text", "text": str(os.getpid())}]
                say({"jsonrpc": "2.0", "id": request_id, "result": {"content": content}})
        elif request_id is not None:
            say({"jsonrpc": "2.0", "id": request_id, "error": {"code": -32601, "message": "no"}})


if __name__ == "__main__":
    main()
