"""Runs the matrix server: `python -m tests.support.matrix_server --transport http --era dual`.

On a port, the first line of standard output is the address; on stdio it serves there.
"""

import argparse
import asyncio
import importlib
from pathlib import Path

from tests.support.matrix.channels import serve_stdio
from tests.support.matrix.recorder import Recorder
from tests.support.matrix.server import MatrixServer

ERAS = {
    "legacy": frozenset({"legacy"}), "modern": frozenset({"modern"}),
    "dual": frozenset({"legacy", "modern"}),
}  # fmt: skip


def main() -> None:
    """Serve until killed, or until standard input ends."""
    parser = argparse.ArgumentParser(description="A server in which all of MCP can be tried.")
    parser.add_argument("--name", default="matrix", help="what its URIs begin with")
    parser.add_argument(
        "--transport", choices=("http", "stdio", "sse", "websocket"), default="http"
    )
    parser.add_argument("--era", choices=ERAS, default="dual", help="revisions it speaks")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--record", type=Path, help="file of what it was sent")
    parser.add_argument(
        "--ask-on", choices=("post", "get"), default="post",
        help="the stream on which legacy clients are asked over HTTP",
    )  # fmt: skip
    options = parser.parse_args()
    server = MatrixServer(options.name, ERAS[options.era], Recorder(options.record))
    if options.transport == "stdio":
        asyncio.run(serve_stdio(server))
        return
    # Not needed by children, which are many: they start in a third of the time without aiohttp.
    site = importlib.import_module("tests.support.matrix.site")
    asks_on_get = options.ask_on == "get"
    asyncio.run(site.serve_site(server, options.transport, options.port, asks_on_get=asks_on_get))


if __name__ == "__main__":
    main()
