"""Run a demonstration server on standard input and output: `python -m only1mcp.demo time`."""

import json
import sys
import tempfile
from pathlib import Path

from only1mcp.demo.clock import TOOLS
from only1mcp.demo.files import make_tools
from only1mcp.demo.mcp import DemoServer

_WELCOME = "This folder is what the demonstration server demo-files may read. Nothing else.\n"


def main() -> None:
    """Serve until the input ends."""
    if sys.argv[1] == "time":
        _serve(DemoServer("demo-time", TOOLS, modern=True))
        return
    with tempfile.TemporaryDirectory(prefix="only1mcp-demo-") as folder:
        (Path(folder) / "welcome.txt").write_text(_WELCOME)
        _serve(DemoServer("demo-files", make_tools(Path(folder)), modern=False))


def _serve(server: DemoServer) -> None:
    """Answer one line with another."""
    for line in sys.stdin:
        response = server.answer(json.loads(line))
        if response is not None:
            print(json.dumps(response), flush=True)


if __name__ == "__main__":
    main()
