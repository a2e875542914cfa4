"""A modern MCP server on standard input and output that takes its time to listen; a program.

It tells of a resource from when it has acknowledged that, which it does after a while. While the
file that it is given exists it does not acknowledge anything. The tool `update` updates `r://1`.
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

SLOWNESS_S = 0.3
hold = Path(sys.argv[1])
told: set[object] = set()
"""The subscriptions that hear of the resource."""
lock = threading.Lock()


def say(**message: Any) -> None:
    """Send one message."""
    with lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def notify(method: str, request_id: object, **params: Any) -> None:
    """Send a notification on a subscription."""
    tag = {"io.modelcontextprotocol/subscriptionId": request_id}
    say(method=f"notifications/{method}", params={**params, "_meta": tag})


def listen(request_id: object, wanted: dict[str, Any]) -> None:
    """Begin to tell, after a while."""
    time.sleep(SLOWNESS_S)
    while hold.exists():
        time.sleep(0.01)
    if wanted.get("resourceSubscriptions"):
        told.add(request_id)
    notify("subscriptions/acknowledged", request_id, notifications=wanted)


def result(method: str) -> dict[str, Any]:
    """Make the result of one request."""
    hints = {"resultType": "complete", "ttlMs": 0, "cacheScope": "public"}
    match method:
        case "server/discover":
            capabilities = {"tools": {}, "resources": {"subscribe": True}}
            return {"supportedVersions": ["2026-07-28"], "capabilities": capabilities, **hints}
        case "tools/list":
            return {"tools": [{"name": "update", "inputSchema": {"type": "object"}}], **hints}
        case "resources/list":
            return {"resources": [{"uri": "r://1", "name": "one"}], **hints}
        case "resources/templates/list":
            return {"resourceTemplates": [], **hints}
    return {"resultType": "complete", "content": [{"type": "text", "text": "updated"}]}


def main() -> None:
    """Serve until the input ends."""
    for line in sys.stdin:
        message = json.loads(line)
        method, params = message.get("method"), message.get("params", {})
        if method == "notifications/cancelled":
            told.discard(params["requestId"])
        elif method == "subscriptions/listen":
            heard = (message["id"], params["notifications"])
            threading.Thread(target=listen, args=heard, daemon=True).start()
        elif "id" in message:
            if method == "tools/call":
                for request_id in set(told):
                    notify("resources/updated", request_id, uri="r://1")
            say(id=message["id"], result=result(method))


if __name__ == "__main__":
    main()
