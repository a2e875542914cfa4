"""A legacy MCP server on standard input and output that asks its clients; run as a program.

It offers the tool `ask` only to clients that can be asked, and resources that can be watched, but
for `r://none`. It
tells on standard error of all that has no answer to be seen by.
"""

import json
import random
import sys
from pathlib import Path
from typing import Any

asks = False
waiting: dict[str, object] = {}
"""The call that waits for the answer to each question."""
crowd: list[object] = []
"""Calls that are asked about once there are enough of them."""


def say(message: dict[str, Any]) -> None:
    """Send one message."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def tell(text: str) -> None:
    """Say something on standard error."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def initialize(params: dict[str, Any]) -> dict[str, Any]:
    """Greet the client."""
    global asks  # noqa: PLW0603 - the state of a small program
    asks = "elicitation" in params["capabilities"]
    tell(f"initialized {sorted(params['capabilities'])}")
    capabilities = {"tools": {"listChanged": True}, "resources": {"subscribe": True}}
    return {"protocolVersion": "2025-11-25", "capabilities": capabilities,
            "serverInfo": {"name": "asking", "version": "1"}}  # fmt: skip


def ask_all() -> None:
    """Ask about each call that waits for that, in no order."""
    random.shuffle(crowd)
    for request_id in crowd:
        waiting[f"q{request_id}"] = request_id
        params = {"message": "?"}
        say({"id": f"q{request_id}", "method": "elicitation/create", "params": params})
    crowd.clear()


def call(message: dict[str, Any]) -> dict[str, Any] | None:
    """Run a tool."""
    name, arguments = message["params"]["name"], message["params"].get("arguments", {})
    if name == "ask" and arguments.get("leave"):
        say({"id": "left", "method": "elicitation/create", "params": {"message": "?"}})
    elif name == "ask":
        crowd.append(message["id"])
        if len(crowd) >= arguments.get("crowd", 1):
            ask_all()
        return None
    if name == "slow":
        tell("slow")
        return None
    if name == "update":
        say({"method": "notifications/resources/updated", "params": {"uri": arguments["uri"]}})
    if name == "log":
        say({"method": "notifications/message", "params": {"level": "info", "data": "x"}})
    return {"content": [{"type": "text", "text": name}]}


def stumble(mark: Path) -> None:
    """End without an answer, but once."""
    if mark.name and not mark.exists():
        mark.touch()
        sys.exit()


def answer(message: dict[str, Any]) -> dict[str, Any] | None:
    """Make the result of one request."""
    params = message.get("params", {})
    match message["method"]:
        case "initialize":
            return initialize(params)
        case "tools/list":
            return {"tools": [{"name": name} for name in (["echo", "ask"] if asks else ["echo"])]}
        case "resources/list":
            return {"resources": [{"uri": "r://1", "name": "one"}]}
        case "resources/templates/list" | "ping":  # a health check, on a slow machine
            return {"resourceTemplates": []}
        case "resources/subscribe" | "resources/unsubscribe":
            stumble(Path(params["uri"].partition("stumble:")[2]))
            tell(f"{message['method'].removeprefix('resources/')}d {params['uri']}")
            return {}
    return call(message)


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        message = json.loads(line)
        method = message.get("method")
        if method is None:
            text = json.dumps(message.get("result", message.get("error")))
            if message["id"] == "left":
                tell(f"answered {text}")
                continue
            result = {"content": [{"type": "text", "text": text}]}
            say({"id": waiting.pop(message["id"]), "result": result})
        elif "id" not in message:
            tell(method)
        elif method == "server/discover":
            say({"id": message["id"], "error": {"code": -32601, "message": "no"}})
        else:
            if message.get("params", {}).get("uri") == "r://none":
                say({"id": message["id"], "error": {"code": -32002, "message": "no such thing"}})
                continue
            result_or_none = answer(message)
            if result_or_none is not None:
                say({"id": message["id"], "result": result_or_none})


if __name__ == "__main__":
    main()
