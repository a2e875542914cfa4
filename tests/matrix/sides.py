"""The two sides that are paired: fronts, which clients use, and backs, which servers are."""

from dataclasses import dataclass
from typing import Any

Plain = dict[str, Any]
MODERN, NEWEST_LEGACY = "2026-07-28", "2025-11-25"


@dataclass(frozen=True)
class Front:
    """One kind of client."""

    id: str
    transport: str
    revision: str

    @property
    def is_modern(self) -> bool:
        """Whether it speaks the modern era."""
        return self.revision == MODERN

    @property
    def kinds(self) -> tuple[str, ...]:
        """What a client of this revision can be asked for."""
        return (
            "sampling", "roots", *(["form"] if self.revision >= "2025-06-18" else []),
            *(["url"] if self.revision >= "2025-11-25" else []),
        )  # fmt: skip

    @property
    def capabilities(self) -> Plain:
        """What such a client declares that can do everything."""
        capabilities: Plain = {"sampling": {}, "roots": {"listChanged": True}}
        if "url" in self.kinds:
            capabilities["elicitation"] = {"form": {}, "url": {}}
        elif "form" in self.kinds:
            capabilities["elicitation"] = {}
        return capabilities


@dataclass(frozen=True)
class Back:
    """One kind of server."""

    id: str
    transport: str
    era: str
    ask_on: str = "post"

    @property
    def is_channel(self) -> bool:
        """Whether all messages share one channel, so that some cannot be told to be a call's."""
        return self.transport != "http"


FRONTS = (
    Front("http-modern", "http", MODERN),
    Front("http-2025-11-25", "http", NEWEST_LEGACY),
    Front("http-2025-06-18", "http", "2025-06-18"),
    Front("http-2025-03-26", "http", "2025-03-26"),
    Front("http-2024-11-05", "http", "2024-11-05"),
    Front("stdio-modern", "stdio", MODERN),
    Front("stdio-legacy", "stdio", NEWEST_LEGACY),
    Front("ws-modern", "websocket", MODERN),
    Front("ws-legacy", "websocket", NEWEST_LEGACY),
    Front("sse-legacy", "sse", NEWEST_LEGACY),
)
BACKS = (
    Back("http-dual", "http", "dual"),
    Back("http-modern", "http", "modern"),
    Back("http-legacy", "http", "legacy"),
    Back("http-legacy-get", "http", "legacy", ask_on="get"),
    Back("stdio-modern", "stdio", "modern"),
    Back("stdio-legacy", "stdio", "legacy"),
    Back("sse-legacy", "sse", "legacy"),
    Back("ws-legacy", "websocket", "legacy"),
)


@dataclass(frozen=True)
class Pair:
    """A front and a back."""

    front: Front
    back: Back

    @property
    def id(self) -> str:
        """What the pair is called."""
        return f"{self.front.id}--{self.back.id}"

    @property
    def leg_is_modern(self) -> bool:
        """Whether the gateway speaks the modern era to the server: the client's, if it can."""
        return self.front.is_modern if self.back.era == "dual" else self.back.era == "modern"

    @property
    def is_bridged(self) -> bool:
        """Whether client and server speak different eras."""
        return self.front.is_modern is not self.leg_is_modern

    def name(self, name: str) -> str:
        """Return what clients call a tool or prompt of the server."""
        return f"{self.back.id}__{name}"

    def uri(self, path: str) -> str:
        """Return a resource of the server."""
        return f"matrix://{self.back.id}/{path}"


PAIRS = tuple(Pair(front, back) for front in FRONTS for back in BACKS)
