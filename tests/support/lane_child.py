"""An MCP server on standard input and output that answers calls in odd ways; run as a program.

Arguments: `modern` or `legacy`, the era that it speaks. A tool's name says how it answers.
"""

import json
import os
import signal
import sys
from typing import Any

MODERN = "modern" in sys.argv[1:]
VERSION = "2026-07-28" if MODERN else "2025-11-25"
TOOLS = ("echo", "hold", "free", "large", "garbage", "error", "untyped", "task", "log", "stray",
         "string_id", "die", "heard", "sleep", "ask", "overlong", "raw", "line")  # fmt: skip
held: list[dict[str, Any]] = []
heard: list[str] = []
"""What was cancelled, and lines that were no message."""
last = [""]
"""The line that came last."""


def write(line: str) -> None:
    """Write one line."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def say(message: dict[str, Any]) -> None:
    """Send one message; the id stands behind the result, as some servers write it."""
    write(json.dumps({"jsonrpc": "2.0", **message}))


def answer(request: dict[str, Any], text: str, **more: Any) -> None:
    """Answer a call."""
    result = {"content": [{"type": "text", "text": text}], **more}
    if MODERN:
        result.setdefault("resultType", "complete")
    say({"result": result, "id": request["id"]})


def call(request: dict[str, Any]) -> None:
    """Run a tool."""
    name, arguments = request["params"]["name"], request["params"].get("arguments", {})
    if name == "line":  # which may hold anything
        answer(request, last[0])
        return
    text = str(arguments.get("text", ""))
    if name == "hold":
        held.append({**request, "text": text})
    elif name == "free":
        for one in reversed(held):
            answer(one, one["text"])
        held.clear()
        answer(request, text)
    elif name == "large":
        answer(request, "x" * int(text))
    elif name == "overlong":
        answer(request, "x" * (17 * 1024 * 1024))
    elif name == "heard":
        answer(request, json.dumps(heard))
    elif name == "raw":
        write(f'{{"jsonrpc":"2.0","id":{request["id"]},"result":{text}}}')
    elif name == "sleep":
        signal.pause()
    else:
        odd(name, request, text)


def odd(name: str, request: dict[str, Any], text: str) -> None:
    """Say something else than only the answer."""
    request_id = request["id"]
    if name == "die":
        os._exit(3)
    if name == "error":
        say({"error": {"code": -32602, "message": text}, "id": request_id})
        return
    if name == "untyped":
        say({"result": {"content": [], "said": text}, "id": request_id})
        return
    if name == "task":
        say({"result": {"resultType": "task", "task": {"taskId": "t"}}, "id": request_id})
        return
    if name == "garbage":
        write(f'{{"jsonrpc":"2.0","id":{request_id},"result":{{]}}}}')
        write("Listening on stdio")
    if name == "log":
        say({"method": "notifications/message", "params": {"level": "error", "data": text}})
    if name == "stray":
        say({"result": {"content": []}, "id": request_id + 1_000_000})
    if name == "string_id":
        say({"result": {"content": []}, "id": str(request_id)})
    if name == "ask":
        say({"method": "roots/list", "id": "q"})
    answer(request, text)


def serve(message: dict[str, Any]) -> None:
    """Take one message."""
    method = message.get("method")
    if method == "notifications/cancelled":
        heard.append("cancelled")
    elif method is None:
        heard.append(f"answer {message.get('error', {}).get('code')}")
    elif method == "tools/call":
        call(message)
    elif method == "tools/list":
        tools = [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]
        more = {"resultType": "complete", "ttlMs": 0, "cacheScope": "public"} if MODERN else {}
        say({"id": message["id"], "result": {"tools": tools, **more}})
    elif method == "server/discover" and MODERN:
        result = {"resultType": "complete", "supportedVersions": [VERSION],
                  "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "public"}  # fmt: skip
        say({"id": message["id"], "result": result})
    elif method == "initialize" and not MODERN:
        result = {"protocolVersion": VERSION, "capabilities": {"tools": {}, "logging": {}},
                  "serverInfo": {"name": "child", "version": "1"}}  # fmt: skip
        say({"id": message["id"], "result": result})
    elif method == "ping":
        say({"id": message["id"], "result": {}})
    elif "id" in message:
        say({"id": message["id"], "error": {"code": -32601, "message": "no"}})


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        last[0] = line
        try:
            message = json.loads(line)
        except ValueError:
            heard.append("garbage")
        else:
            serve(message)


if __name__ == "__main__":
    main()
