"""What the server offers: its lists, page by page, each item as it is written on the wire."""

import base64
from typing import Any

from tests.support.matrix.exotic import with_exotic

PAGE = 10
_TEXT = {"type": "string"}
_SHAPES = {
    "object": {"type": "object", "properties": {"value": {"type": "number"}}},
    "array": {"type": "array", "items": {"$ref": "#/$defs/row"}, "$defs": {"row": _TEXT}},
    "string": _TEXT,
}
"""Output schemas; what is no object only servers of the modern era may offer."""


class Offers:
    """The lists of one server process.

    Args:
        name: of the server; its URIs begin with it, so that no two servers have the same.
        is_modern: whether it may offer what only the modern era knows.
    """

    def __init__(self, name: str, *, is_modern: bool) -> None:
        self.name = name
        self.lists: dict[str, dict[str, str]] = {
            "tools": {}, "prompts": {}, "resources": {}, "resourceTemplates": {},
        }  # fmt: skip
        for tool in ("echo", "progress", "log", "hang", "ask", "url_first", "change", "touch",
                     "fail", "hang_up", "withdraw", "ping", "opened"):  # fmt: skip
            self.add_tool(tool)
        execution = {} if is_modern else {"execution": {"taskSupport": "optional"}}
        self.add_tool("job", **execution)
        region = {"type": "string", "x-mcp-header": "Region"}
        self.add_tool("region", inputSchema={"type": "object", "properties": {"region": region}})
        for shape, schema in _SHAPES.items():
            if is_modern or shape == "object":
                self.add_tool(f"structured_{shape}", outputSchema=schema)
        for prompt in ("greet", "ask"):
            argument = {"name": "who", "required": False}
            self._add("prompts", prompt, name=prompt, arguments=[argument])
        for resource in ("static", "blob", "ask"):
            self.add_resource(self.uri(resource))
        template = self.uri("items/{id}")
        self._add("resourceTemplates", template, name="items", uriTemplate=template)

    def uri(self, path: str) -> str:
        """Name a resource."""
        return f"matrix://{self.name}/{path}"

    def add_tool(self, name: str, **members: Any) -> None:
        """Offer a tool."""
        tool = {"description": f"{name} of {self.name}", "inputSchema": {"type": "object"}}
        self._add("tools", name, **{"name": name, **tool, **members})

    def add_prompt(self, name: str) -> None:
        """Offer a prompt."""
        self._add("prompts", name, name=name)

    def add_resource(self, uri: str) -> None:
        """Offer a resource."""
        self._add("resources", uri, name=uri, uri=uri)

    def _add(self, key: str, label: str, /, **members: Any) -> None:
        self.lists[key][label] = with_exotic(members)

    def page(self, key: str, cursor: object) -> str | None:
        """Return the members of the page that a cursor names; None when there is no such page."""
        items = list(self.lists[key].values())
        offset = 0 if cursor is None else _offset(cursor)
        if offset is None or (cursor is not None and not 0 < offset < len(items)):
            return None
        following = offset + PAGE
        more = f',"nextCursor":"{_cursor(following)}"' if following < len(items) else ""
        return f'"{key}":[{",".join(items[offset:following])}]{more}'


def _cursor(offset: int) -> str:
    return base64.b64encode(b"from %d" % offset).decode()


def _offset(cursor: object) -> int | None:
    try:
        text = base64.b64decode(str(cursor), validate=True).decode()
        return int(text.removeprefix("from "))
    except ValueError:
        return None
