"""What one server offers, as its own bytes."""

from dataclasses import dataclass, field
from typing import Any

from only1mcp._speedups import members
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.task_members import core_operations, offers_extension
from only1mcp.protocol.versions import Era


@dataclass(frozen=True, slots=True)
class Item:
    """One tool, prompt, resource or template."""

    key: str
    """What calls it: a name, a URI or a URI template."""
    raw: bytes
    """The server's own JSON object."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The last known offer of one server."""

    server_id: str
    eras: frozenset[Era] = frozenset()
    """The eras it was seen to speak; empty before the first contact."""
    capabilities: dict[str, Any] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    instructions: str = ""
    tools: tuple[Item, ...] = ()
    prompts: tuple[Item, ...] = ()
    resources: tuple[Item, ...] = ()
    templates: tuple[Item, ...] = ()

    @property
    def is_legacy(self) -> bool:
        """Whether the server speaks no modern revision, so that lists may vary between clients."""
        return self.eras == {Era.LEGACY}

    @property
    def has_task_extension(self) -> bool:
        """Whether its tools may become tasks of 2026-07-28."""
        return Era.MODERN in self.eras and offers_extension(self.capabilities)

    @property
    def core_tasks(self) -> frozenset[str]:
        """What it can do with tasks of 2025-11-25.

        Nothing is known of that where a server speaks both eras: it was met in the newer one.
        """
        return core_operations(self.capabilities) if self.is_legacy else frozenset()

    def differs(self, other: "Catalogue") -> frozenset[str]:
        """Return the kinds of lists in which two catalogues differ."""
        changed = {
            kind for kind in ("tools", "prompts", "resources")
            if getattr(self, kind) != getattr(other, kind)
        }  # fmt: skip
        return frozenset(changed | ({"resources"} if self.templates != other.templates else set()))

    def to_plain(self) -> dict[str, Any]:
        """Give the catalogue a form that JSON can carry between our processes."""
        plain: dict[str, Any] = {
            "server_id": self.server_id,
            "eras": sorted(era.value for era in self.eras),
            "capabilities": self.capabilities,
            "info": self.info,
            "instructions": self.instructions,
        }
        for kind in ("tools", "prompts", "resources", "templates"):
            plain[kind] = [[item.key, item.raw.decode()] for item in getattr(self, kind)]
        return plain

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> "Catalogue":
        """Undo `to_plain`."""
        kinds = {
            kind: tuple(Item(key, raw.encode()) for key, raw in plain[kind])
            for kind in ("tools", "prompts", "resources", "templates")
        }
        eras = frozenset(Era(value) for value in plain["eras"])
        return cls(**{**plain, **kinds, "eras": eras})


def items(raws: list[bytes], key: str) -> tuple[Item, ...]:
    """Make items of the raw objects of a list, leaving out those without their key."""
    found = []
    for raw in raws:
        spans = {name: raw[a:b] for name, a, b in members(raw)} if raw[:1] == b"{" else {}
        value = as_string(spans.get(key, b""))
        if value is not None:
            found.append(Item(value, raw))
    return tuple(found)
