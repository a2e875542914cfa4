"""Servers and what they offer, in one line each."""

import json
from typing import Any

from only1mcp.protocol.versions import Era
from only1mcp.registry.catalogue import Catalogue, Item
from only1mcp.registry.server import Server
from only1mcp.registry.snapshot import Snapshot, build


def server(server_id: str, prefix: str | None = None, **more: Any) -> Server:
    """Declare a server; its prefix is its id unless another is given."""
    return Server(server_id, "stdio", server_id if prefix is None else prefix, **more)


def tool(name: str, **more: Any) -> Item:
    """Describe a tool or prompt."""
    return Item(name, json.dumps({"name": name, **more}).encode())


def resource(uri: str, **more: Any) -> Item:
    """Describe a resource."""
    return Item(uri, json.dumps({"uri": uri, "name": uri, **more}).encode())


def template(text: str) -> Item:
    """Describe a resource template."""
    return Item(text, json.dumps({"uriTemplate": text, "name": text}).encode())


def catalogue(
    server_id: str, *, tools: str = "", prompts: str = "", resources: str = "",
    templates: str = "", eras: frozenset[Era] = frozenset(Era), instructions: str = "",
) -> Catalogue:  # fmt: skip
    """Offer things by name; each kind that is offered is a capability."""
    offered = {"tools": tools, "prompts": prompts, "resources": resources or templates}
    return Catalogue(
        server_id=server_id,
        eras=eras,
        capabilities={kind: {} for kind, names in offered.items() if names},
        info={"name": server_id},
        instructions=instructions,
        tools=tuple(map(tool, tools.split())),
        prompts=tuple(map(tool, prompts.split())),
        resources=tuple(map(resource, resources.split())),
        templates=tuple(map(template, templates.split())),
    )


def snapshot(*catalogues: Catalogue, page_size: int = 1000) -> Snapshot:
    """Merge catalogues of servers that all have their ids as prefixes."""
    servers = [server(one.server_id) for one in catalogues]
    return build(1, servers, {one.server_id: one for one in catalogues}, page_size)
