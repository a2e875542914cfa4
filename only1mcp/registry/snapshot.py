"""One immutable edition of everything offered: merged lists, and whose each name is.

Built whole whenever a catalogue changes, then swapped in by one assignment. Names that collide
never drop or hijack anything: the first configured keeps the name, the next one stays reachable
under its prefixed name, and `collisions` says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from only1mcp._speedups import members
from only1mcp.protocol.names import qualify
from only1mcp.protocol.pages import render
from only1mcp.protocol.param_headers import InvalidAnnotation, ParamHeader, read_param_headers
from only1mcp.protocol.structured import (
    may_repeat,
    only_reads,
    takes_tasks,
    tool_for_legacy,
    without_task_support,
    wraps_output,
)
from only1mcp.protocol.translate import splice
from only1mcp.protocol.uri_template import UriTemplate, compile_template
from only1mcp.protocol.versions import Era
from only1mcp.registry.catalogue import Catalogue, Item
from only1mcp.registry.server import Server

_ANNOTATION = b"x-mcp-header"
_TASK_SUPPORT = b"taskSupport"
_HINT = b'Hint"'
HINTS = b'"resultType":"complete","ttlMs":0,"cacheScope":"private"'
"""What 2026-07-28 requires of list results (server/utilities/caching)."""


class Scope(Protocol):
    """What exists for one caller; equal ones see the same."""

    @property
    def is_everything(self) -> bool:
        """Whether there is nothing that it leaves out."""

    def allows_server(self, server_id: str) -> bool:
        """Say whether a server exists."""

    def allows_tool(self, server_id: str, name: str) -> bool:
        """Say whether a tool of a server exists, by the name that clients know it by."""


@dataclass(frozen=True, slots=True)
class Target:
    """Who owns a name, and what the owner calls it."""

    server_id: str
    name: str
    raw_name: bytes
    """The same as a JSON string."""
    param_headers: tuple[ParamHeader, ...] = ()
    """The arguments that calls repeat as headers."""
    wraps_output: bool = False
    """Whether legacy clients see the tool's structured output inside an object."""
    safe: bool = False
    """Whether a call may be sent again when nobody knows if it ran: the tool's own hints say so."""
    takes_tasks: bool = False
    """Whether a call of the tool may ask for a task of 2025-11-25."""
    only_reads: bool = False
    """Whether the tool says that it changes nothing."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What clients see at one moment."""

    version: int
    catalogues: Mapping[str, Catalogue]
    """By server id, in configuration order."""
    lists: Mapping[str, tuple[bytes, ...]]
    """The merged items under each result key: tools, prompts, resources, resourceTemplates."""
    tools: Mapping[str, Target]
    prompts: Mapping[str, Target]
    resources: Mapping[str, str]
    """URI to server id."""
    templates: tuple[tuple[str, UriTemplate, str], ...]
    """Template, the same taken apart, server id."""
    collisions: tuple[str, ...]
    page_size: int
    unlisted: Mapping[str, str] = field(default_factory=dict)
    """Prefix to id, of the servers that were not up yet."""
    _pages: dict[tuple[str, Era, bool, int], bytes] = field(default_factory=dict, repr=False)
    _tools: dict[tuple[Era, bool], tuple[bytes, ...]] = field(default_factory=dict, repr=False)

    @property
    def core_tasks(self) -> frozenset[str]:
        """What can be done with tasks of 2025-11-25 by any server."""
        return frozenset().union(*(one.core_tasks for one in self.catalogues.values()))

    @property
    def has_task_extension(self) -> bool:
        """Whether the tools of any server may become tasks of 2026-07-28."""
        return any(one.has_task_extension for one in self.catalogues.values())

    def page(self, key: str, era: Era, offset: int, *, core_tasks: bool = False) -> bytes:
        """Return the list result that starts at `offset`, rendered once for each kind of client.

        Args:
            key: where the result holds its items.
            era: the client's.
            offset: the first item.
            core_tasks: whether the client knows tasks of 2025-11-25.
        """
        place = (key, era, core_tasks, offset)
        ready = self._pages.get(place)
        if ready is None:
            extra = HINTS if era is Era.MODERN else b""
            items = self._tools_for(era, core_tasks) if key == "tools" else self.lists[key]
            ready = self._pages[place] = render(items, key, offset, self.page_size, extra)
        return ready

    def _tools_for(self, era: Era, core_tasks: bool) -> tuple[bytes, ...]:
        ready = self._tools.get((era, core_tasks))
        if ready is None:
            owned = zip(self.lists["tools"], self.tools.values(), strict=True)
            ready = self._tools[era, core_tasks] = tuple(
                _tool_for(tool, self.catalogues[target.server_id], era, core_tasks)
                for tool, target in owned
            )
        return ready


def _tool_for(tool: bytes, owner: Catalogue, era: Era, core_tasks: bool) -> bytes:
    """Return a tool as the clients of an era see it; it offers tasks only to who can use them."""
    if era is Era.LEGACY:
        tool = tool_for_legacy(tool)
        keeps = core_tasks and (bool(owner.core_tasks) or not takes_tasks(tool))
    else:
        keeps = Era.MODERN in owner.eras
    return tool if keeps or _TASK_SUPPORT not in tool else without_task_support(tool)


def restrict(whole: Snapshot, scope: Scope) -> Snapshot:
    """Return what there is for a caller: lists, and with them all that can be called.

    Names are those of the whole, or an allow-list would mean another tool than the one it names. A
    resource that two servers have is the first one's that the caller may reach.
    """
    catalogues = {
        key: one for key, one in whole.catalogues.items() if scope.allows_server(key)
    }  # fmt: skip
    tools = _within(whole, whole.tools, "tools", scope.allows_tool)
    prompts = _within(
        whole, whole.prompts, "prompts", lambda server_id, _: scope.allows_server(server_id)
    )
    resources = _Resources()
    for server_id, catalogue in catalogues.items():
        for item in catalogue.resources:
            resources.add(server_id, item)
        for item in catalogue.templates:
            resources.add_template(server_id, item)
    return Snapshot(
        version=whole.version,
        catalogues=catalogues,
        lists={
            "tools": tuple(raw for _, raw in tools.values()),
            "prompts": tuple(raw for _, raw in prompts.values()),
            "resources": tuple(resources.raws),
            "resourceTemplates": tuple(resources.template_raws),
        },
        tools={name: target for name, (target, _) in tools.items()},
        prompts={name: target for name, (target, _) in prompts.items()},
        resources=resources.index,
        templates=tuple(resources.templates),
        collisions=(),
        page_size=whole.page_size,
        unlisted={
            prefix: key for prefix, key in whole.unlisted.items() if scope.allows_server(key)
        },
    )


def _within(
    whole: Snapshot, index: Mapping[str, Target], key: str, allows: Callable[[str, str], bool]
) -> dict[str, tuple[Target, bytes]]:
    """Return the tools or prompts that are allowed, each with its place in the list."""
    return {
        name: (target, raw)
        for (name, target), raw in zip(index.items(), whole.lists[key], strict=True)
        if allows(target.server_id, name)
    }


class _Names:
    """Gives each tool or prompt of every server a name of its own."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.index: dict[str, Target] = {}
        self.raws: list[bytes] = []
        self.collisions: list[str] = []
        self._numbers: dict[str, int] = {}
        """The last number behind each name that was taken."""

    def add(self, server: Server, item: Item) -> None:
        try:
            headers = read_param_headers(item.raw) if _ANNOTATION in item.raw else ()
        except InvalidAnnotation as error:
            self.collisions.append(f"{self._kind} {item.key!r} of {server.id!r} is hidden: {error}")
            return
        name = qualify(server.prefix, item.key)
        if name in self.index:
            owner = self.index[name].server_id
            name = self._free(server, item)
            self.collisions.append(
                f"{self._kind} {item.key!r} of {server.id!r} is served as {name!r}: "
                f"{owner!r} has the name"
            )
        self.index[name] = Target(
            server.id, item.key, orjson.dumps(item.key), headers, wraps_output(item.raw),
            _HINT in item.raw and may_repeat(item.raw),
            _TASK_SUPPORT in item.raw and takes_tasks(item.raw),
            _HINT in item.raw and only_reads(item.raw),
        )  # fmt: skip
        self.raws.append(_renamed(item, name))

    def _free(self, server: Server, item: Item) -> str:
        name = first = qualify(server.id, item.key)
        number = self._numbers.get(first, 1)
        while name in self.index:
            number += 1
            name = qualify(server.id, f"{item.key}_{number}")
        self._numbers[first] = number
        return name


def _renamed(item: Item, name: str) -> bytes:
    """Write the item with its new name, every other byte as it was."""
    if name == item.key:
        return item.raw
    spans = {key: (start, end) for key, start, end in members(item.raw)}
    return splice(item.raw, *spans["name"], orjson.dumps(name))


class _Resources:
    """Lists each URI and each template once, as the first server that offers it describes it."""

    def __init__(self) -> None:
        self.index: dict[str, str] = {}
        self.raws: list[bytes] = []
        self.templates: list[tuple[str, UriTemplate, str]] = []
        self.template_raws: list[bytes] = []
        self.collisions: list[str] = []
        self._template_owners: dict[str, str] = {}

    def add(self, server_id: str, item: Item) -> None:
        owner = self.index.get(item.key)
        if owner is None:
            self.index[item.key] = server_id
            self.raws.append(item.raw)
        else:
            self.collisions.append(
                f"resource {item.key!r} of {server_id!r} is hidden: {owner!r} has the URI"
            )

    def add_template(self, server_id: str, item: Item) -> None:
        owner = self._template_owners.get(item.key)
        self.templates.append((item.key, compile_template(item.key), server_id))
        if owner is None:
            self._template_owners[item.key] = server_id
            self.template_raws.append(item.raw)
        else:
            self.collisions.append(
                f"template {item.key!r} of {server_id!r} is listed as {owner!r} has it, "
                f"which is asked first"
            )


def build(
    version: int, servers: Sequence[Server], known: Mapping[str, Catalogue], page_size: int
) -> Snapshot:
    """Merge what is known of each server, in configuration order."""
    tools, prompts, resources = _Names("tool"), _Names("prompt"), _Resources()
    catalogues: dict[str, Catalogue] = {}
    for server in servers:
        catalogue = known.get(server.id) or Catalogue(server.id)
        catalogues[server.id] = catalogue
        for item in catalogue.tools:
            tools.add(server, item)
        for item in catalogue.prompts:
            prompts.add(server, item)
        for item in catalogue.resources:
            resources.add(server.id, item)
        for item in catalogue.templates:
            resources.add_template(server.id, item)
    return Snapshot(
        version=version,
        catalogues=catalogues,
        lists={
            "tools": tuple(tools.raws),
            "prompts": tuple(prompts.raws),
            "resources": tuple(resources.raws),
            "resourceTemplates": tuple(resources.template_raws),
        },
        tools=tools.index,
        prompts=prompts.index,
        resources=resources.index,
        templates=tuple(resources.templates),
        collisions=(*tools.collisions, *prompts.collisions, *resources.collisions),
        page_size=page_size,
        unlisted={one.prefix: one.id for one in servers if one.prefix and one.id not in known},
    )
