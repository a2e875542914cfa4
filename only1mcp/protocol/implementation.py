"""Who we are, as clients and servers are told (2025-11-25 and 2026-07-28, Implementation)."""

from only1mcp import __version__

IMPLEMENTATION = {"name": "only1mcp", "title": "Only1MCP", "version": __version__}
