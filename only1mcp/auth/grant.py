"""What a caller may reach: an allow-list of servers and of tools. Pure.

Patterns know `*` for any text and `?` for one character, nothing else, and case matters. There are
no exceptions to take things away again: what no pattern names is not there.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Grant:
    """An allow-list; equal ones share what is remembered of their decisions."""

    servers: tuple[str, ...] = ("*",)
    """Patterns of server ids: all that a server offers."""
    tools: tuple[str, ...] = ("*",)
    """Patterns of tools' names as clients see them; they narrow what `servers` allows."""
    _server: "re.Pattern[str]" = field(init=False, repr=False, compare=False)
    _tool: "re.Pattern[str]" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_server", _compiled(self.servers))
        object.__setattr__(self, "_tool", _compiled(self.tools))

    @property
    def is_everything(self) -> bool:
        """Whether there is nothing that it does not allow."""
        return "*" in self.servers and "*" in self.tools

    def allows_server(self, server_id: str) -> bool:
        """Say whether a server exists for the caller."""
        return self._server.fullmatch(server_id) is not None

    def allows_tool(self, server_id: str, name: str) -> bool:
        """Say whether a tool exists for the caller, by the name that clients know it by."""
        return self.allows_server(server_id) and self._tool.fullmatch(name) is not None


def is_literal(pattern: str) -> bool:
    """Say whether a pattern means one name only."""
    return "*" not in pattern and "?" not in pattern


def _compiled(patterns: Iterable[str]) -> "re.Pattern[str]":
    """Make one expression of many patterns."""
    return re.compile("|".join(map(_expression, patterns)) or r"(?!)", re.DOTALL)


def _expression(pattern: str) -> str:
    signs = {"*": ".*", "?": "."}
    return "".join(signs.get(sign) or re.escape(sign) for sign in re.sub(r"\*+", "*", pattern))


EVERYTHING = Grant()
