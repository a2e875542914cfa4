"""Servers that have tasks, in one line each, and clients that want them."""

from typing import Any

from only1mcp.protocol.task_members import EXTENSION
from only1mcp.protocol.versions import Era
from only1mcp.registry.catalogue import Catalogue
from tests.support.catalogues import tool
from tests.support.messages import OWN


def declared(capabilities: dict[str, Any]) -> dict[str, Any]:
    """Return capabilities with the extension."""
    return {**capabilities, "extensions": {EXTENSION: {}}}


DECLARED: dict[str, Any] = {"_meta": {OWN + "clientCapabilities": declared({})}}
"""Parameters of a modern request that declares the extension."""


def offers_extension(server_id: str) -> Catalogue:
    """Offer a tool `x` that may become a task of 2026-07-28."""
    return Catalogue(
        server_id, frozenset({Era.MODERN}), declared({"tools": {}}), tools=(tool("x"),)
    )


def offers_core(server_id: str, *operations: str, plain: str = "") -> Catalogue:
    """Offer a tool `x` that may run as a task of 2025-11-25, and others that may not.

    Args:
        server_id: whose.
        operations: what can be done with tasks besides: list, cancel.
        plain: names of further tools.
    """
    tasks: dict[str, Any] = {"requests": {"tools": {"call": {}}}, **{key: {} for key in operations}}
    tools = (tool("x", execution={"taskSupport": "optional"}), *map(tool, plain.split()))
    capabilities = {"tools": {}, "tasks": tasks}
    return Catalogue(server_id, frozenset({Era.LEGACY}), capabilities, tools=tools)
