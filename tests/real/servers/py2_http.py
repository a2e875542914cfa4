"""A server on the Python SDK of the second generation, on the port that PORT names."""

import os

from mcp.server import MCPServer


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


if __name__ == "__main__":
    server = MCPServer("python2")
    server.add_tool(add)
    server.run(transport="streamable-http", host="127.0.0.1", port=int(os.environ["PORT"]))
