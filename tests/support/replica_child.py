"""A stdio server that runs as several processes, and says which of them has answered.

Arguments: `modern` or `legacy`, and a directory. There it notes what it runs in `ran`, and finds
out what has changed: `resource` when the resource has, `tools` when there is one more tool. Calls
run side by side.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

MODERN = sys.argv[1:2] == ["modern"]
VERSION = "2026-07-28" if MODERN else "2025-11-25"
PLACE = Path(sys.argv[2]) if len(sys.argv) > 2 else Path()
URI = "r://1"
_SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
_HINTS = {"ttlMs": 0, "cacheScope": "private"}
_writing = threading.Lock()
_subscribed = threading.Event()


def say(message: dict[str, Any]) -> None:
    """Send one message."""
    with _writing:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def answer(request: dict[str, Any], result: dict[str, Any]) -> None:
    """Answer a request."""
    more = {"resultType": "complete"} if MODERN else {}
    say({"id": request["id"], "result": {**more, **result}})


def run(request: dict[str, Any]) -> None:
    """Run a tool: `look` and `act` say who they are, `wait` once a file of this name is there."""
    name, arguments = request["params"]["name"], request["params"].get("arguments", {})
    with (PLACE / "ran").open("a") as journal:
        journal.write(f"{name} {os.getpid()} {arguments.get('n', 0)}\n")
    while name in ("wait", "wait_safely") and not (PLACE / f"go{arguments.get('n', 0)}").exists():
        time.sleep(0.01)
    answer(request, {"content": [{"type": "text", "text": str(os.getpid())}]})


def tools() -> list[dict[str, Any]]:
    """Return the list; the file `tools` adds to it."""
    found: list[dict[str, Any]] = [
        {"name": name, "inputSchema": _SCHEMA, "annotations": {"readOnlyHint": is_safe}}
        for name, is_safe in (
            ("look", True),
            ("act", False),
            ("wait", False),
            ("wait_safely", True),
        )
    ]
    if (PLACE / "tools").exists():
        found.append({"name": "more", "inputSchema": _SCHEMA})
    return found


def serve(message: dict[str, Any]) -> None:
    """Answer one message."""
    method = message.get("method")
    capabilities = {"tools": {"listChanged": True}, "resources": {"subscribe": True}}
    if "id" not in message:
        return
    if method == "tools/call":
        threading.Thread(target=run, args=(message,), daemon=True).start()
    elif method == "tools/list":
        answer(message, {"tools": tools(), **(_HINTS if MODERN else {})})
    elif method == "resources/list":
        resources = [{"uri": URI, "name": "one"}]
        answer(message, {"resources": resources, **(_HINTS if MODERN else {})})
    elif method == "resources/subscribe":
        _subscribed.set()
        answer(message, {})
    elif method == "server/discover" and MODERN:
        answer(message, {"supportedVersions": [VERSION], "capabilities": capabilities, **_HINTS})
    elif method == "initialize" and not MODERN:
        info = {"name": "replica", "version": "1"}
        answer(message, {"protocolVersion": VERSION, "capabilities": capabilities,
                         "serverInfo": info})  # fmt: skip
    elif method == "ping":
        answer(message, {})
    else:
        say({"id": message["id"], "error": {"code": -32601, "message": "no"}})


def watch() -> None:
    """Tell of what changes, as every process of this program does."""
    said = {"resource": 0, "tools": 0}
    while True:
        for name, notice in (("resource", "resources/updated"), ("tools", "tools/list_changed")):
            path = PLACE / name
            size = path.stat().st_size if path.exists() else 0
            if size != said[name] and (name == "tools" or _subscribed.is_set()):
                said[name] = size
                params = {"params": {"uri": URI}} if name == "resource" else {}
                say({"method": f"notifications/{notice}", **params})
        time.sleep(0.005)


def main() -> None:
    """Serve until the input ends."""
    threading.Thread(target=watch, daemon=True).start()
    for line in sys.stdin:
        serve(json.loads(line))


if __name__ == "__main__":
    main()
