"""A server on the Python SDK of the first generation, on the port that PORT names."""

import os

from mcp.server.fastmcp import FastMCP


def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)


if __name__ == "__main__":
    server = FastMCP("python1", host="127.0.0.1", port=int(os.environ["PORT"]))
    server.add_tool(add)
    server.run(transport="streamable-http")
