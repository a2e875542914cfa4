"""Runs the server of the conformance suite: `python -m tests.support.conformance_server --port N`.

It needs the interpreter of .real/py2. The first line of its standard output is the endpoint's URL.
"""

import argparse
import socket
import warnings

import uvicorn
from mcp.shared.exceptions import MCPDeprecationWarning

from tests.support.conformance.server import ERAS, application


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="The server of the conformance suite.")
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--era", choices=ERAS, default="dual", help="revisions it speaks")
    options = parser.parse_args()
    # What a revision deprecates, its predecessors still require.
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    # With its protocol named: asyncio sets TCP_NODELAY on no other sockets.
    with socket.socket(proto=socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", options.port))
        listener.listen()
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)  # noqa: T201
        config = uvicorn.Config(application(options.era), log_level="warning")
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
