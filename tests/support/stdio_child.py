"""A small legacy MCP server on standard input and output, with moods; run as a program.

Arguments: `no-probe` ends it on a probe, `crash` at once, `mute` makes it say nothing, `restless`
makes it change its tools while it lists them. `modern` makes it speak the newest revision, and
`slow=N` takes N seconds of each start. It tells on standard error of each cancellation.
"""

import json
import os
import sys
import time
from typing import Any

MOODS = sys.argv[1:]
MODERN = {"result": {"resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0,
                     "capabilities": {"tools": {}}, "cacheScope": "public"}}  # fmt: skip
NO = {"error": {"code": -32601, "message": "no"}}
tools = ["echo", "die", "slow", "grow"]


def say(message: dict[str, Any]) -> None:
    """Send one message."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def changed() -> None:
    """Say that the tools have changed."""
    say({"method": "notifications/tools/list_changed"})


def call(name: str, arguments: Any) -> dict[str, Any] | None:
    """Run a tool."""
    if name == "die":
        sys.stderr.write("I die\n")
        sys.stderr.flush()
        os._exit(3)
    if name == "slow":
        return None
    if name == "grow":
        tools.append(f"grown-{len(tools)}")
        changed()
    return {"content": [{"type": "text", "text": json.dumps([os.getpid(), arguments])}]}


def answer(message: dict[str, Any]) -> dict[str, Any] | None:
    """Make the result of one request."""
    method, params = message["method"], message.get("params", {})
    if method == "initialize":
        return {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}, "prompts": {}},
                "serverInfo": {"name": "child", "version": "7"}}  # fmt: skip
    if method == "ping":
        return {}
    if method == "tools/list":
        result = {"tools": [{"name": name} for name in tools]}
        if "restless" in MOODS and len(tools) < 7:
            tools.append(f"grown-{len(tools)}")
            say({"id": message["id"], "result": result})
            changed()
            return None
        return result
    if method == "prompts/list":
        return {"prompts": []}
    return call(params["name"], params.get("arguments"))


def main() -> None:
    """Serve until the input ends."""
    if "crash" in MOODS:
        sys.stderr.write("Error: no license\n" + "    at check (license.js:1)\n" * 9 + "\nv20\n")
        sys.exit(9)
    time.sleep(sum(float(mood[5:]) for mood in MOODS if mood.startswith("slow=")))
    for line in sys.stdin:
        message = json.loads(line)
        method = message.get("method")
        if method == "notifications/cancelled":
            sys.stderr.write(f"cancelled {message['params']['requestId']}\n")
        if "id" not in message or "mute" in MOODS:
            continue
        if method == "server/discover":
            if "no-probe" in MOODS:
                sys.exit(5)
            say({"id": message["id"], **(MODERN if "modern" in MOODS else NO)})
            continue
        result = answer(message)
        if result is not None:
            say({"id": message["id"], "result": result})


if __name__ == "__main__":
    main()
