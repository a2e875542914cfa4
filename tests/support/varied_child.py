"""A legacy MCP server on standard input and output whose offer stands in files; run as a program.

Its argument is a directory. `tools` names the tools for all, `asked` those for clients that can be
asked. While `hold` exists, lists for those are not answered, and while `late` exists, nothing is.
The tool `tell` says that the tools have changed.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])


def say(**message: Any) -> None:
    """Send one message."""
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def wait_while(name: str) -> None:
    """Wait until a file is gone."""
    while (FOLDER / name).exists():
        time.sleep(0.01)


def tools(*, asks: bool) -> list[dict[str, Any]]:
    """Return what there is to list now."""
    names = (FOLDER / "tools").read_text().split()
    if asks:
        wait_while("hold")
        names += (FOLDER / "asked").read_text().split()
    return [{"name": name, "inputSchema": {"type": "object"}} for name in names]


def main() -> None:
    """Serve until the input ends."""
    asks = False
    for line in sys.stdin:
        message = json.loads(line)
        wait_while("late")
        method = message.get("method")
        result: dict[str, Any] = {}
        if "id" not in message:
            continue
        if method == "server/discover":
            say(id=message["id"], error={"code": -32601, "message": "no"})
            continue
        if method == "initialize":
            asks = "elicitation" in message["params"]["capabilities"]
            result = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                      "serverInfo": {"name": "varied", "version": "1"}}  # fmt: skip
        elif method == "tools/list":
            result = {"tools": tools(asks=asks)}
        elif method == "tools/call":
            say(method="notifications/tools/list_changed")
            result = {"content": [{"type": "text", "text": "told"}]}
        say(id=message["id"], result=result)


if __name__ == "__main__":
    main()
