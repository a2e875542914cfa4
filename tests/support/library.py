"""A stdio server that may have any resource: `python library.py ANSWER`.

What it answers to `resources/read` is its name: the text of the resource, or how it fails.
"""

import json
import os
import sys
from typing import Any

ERRORS = {"unknown": -32002, "broken": -32603}
_RESULTS: dict[str, dict[str, Any]] = {
    "initialize": {
        "protocolVersion": "2025-11-25", "capabilities": {"resources": {}},
        "serverInfo": {"name": "library", "version": "1"},
    },
    "resources/list": {"resources": []},
    "resources/templates/list": {"resourceTemplates": []},
    "ping": {},
}  # fmt: skip


def library(server_id: str, answer: str) -> dict[str, Any]:
    """Declare one as an entry of `servers`; `gone` exits instead of answering."""
    return {"id": server_id, "command": sys.executable, "args": [__file__, answer]}


def _answer(method: str, answer: str) -> dict[str, Any]:
    if method in _RESULTS:
        return {"result": _RESULTS[method]}
    if method != "resources/read":
        return {"error": {"code": -32601, "message": f"unknown method {method}"}}
    if answer == "gone":
        os._exit(7)
    if answer in ERRORS:
        return {"error": {"code": ERRORS[answer], "message": answer}}
    return {"result": {"contents": [{"uri": "x:any", "text": answer}]}}


def main(answer: str) -> None:
    """Answer one line with another until the input ends."""
    for line in sys.stdin:
        message = json.loads(line)
        if "id" in message:
            reply = {"jsonrpc": "2.0", "id": message["id"], **_answer(message["method"], answer)}
            sys.stdout.write(json.dumps(reply) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
