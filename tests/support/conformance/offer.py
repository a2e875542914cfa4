"""What a server offers by name: the declaration that clients see and the function behind it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.support.conformance.call import Call

Function = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True)
class Offer:
    """A tool or a prompt."""

    declaration: Mapping[str, Any]
    function: Function


class Tools(dict[str, Offer]):
    """Tools by name, in the order of their declaration."""

    def tool(
        self, name: str, schema: Mapping[str, Any] | None = None
    ) -> Callable[[Function], Function]:
        """Offer a function as a tool; its docstring is the description.

        The function returns the blocks of the result.
        """

        def add(function: Function) -> Function:
            declaration = {
                "name": name, "description": function.__doc__,
                "inputSchema": schema or arguments(),
            }  # fmt: skip
            self[name] = Offer(declaration, function)
            return function

        return add


class Prompts(dict[str, Offer]):
    """Prompts by name, in the order of their declaration."""

    def prompt(self, name: str, required: Sequence[str] = ()) -> Callable[[Function], Function]:
        """Offer a function as a prompt; its docstring is the description.

        The function returns the contents of the messages, which are all the user's.
        """

        def add(function: Function) -> Function:
            declaration = {
                "name": name, "description": function.__doc__,
                "arguments": [{"name": argument, "required": True} for argument in required],
            }  # fmt: skip
            self[name] = Offer(declaration, function)
            return function

        return add


def arguments(**properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a tool's arguments, all of them required."""
    return {"type": "object", "properties": properties, "required": list(properties)}
