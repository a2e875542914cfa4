"""What the server can ask its client, in the words of either era."""

from typing import Any

from tests.support.matrix.exotic import EXOTIC_KEY

Plain = dict[str, Any]
CAPABILITIES: dict[str, Plain] = {
    "form": {"elicitation": {"form": {}}},
    "url": {"elicitation": {"url": {}}},
    "sampling": {"sampling": {}},
    "roots": {"roots": {}},
}
"""The questions, and what a client declares that can answer them."""


def question(kind: str, text: str, *, modern: bool) -> Plain:
    """Write a question as method and params, without id."""
    if kind == "roots":
        return {"method": "roots/list"}
    if kind == "sampling":
        said = {"role": "user", "content": {"type": "text", "text": text}}
        params: Plain = {"messages": [said], "maxTokens": 100}
        return {"method": "sampling/createMessage", "params": {**params, EXOTIC_KEY: "@exotic@"}}
    params = {"message": text, EXOTIC_KEY: "@exotic@"}
    if kind == "url":
        params |= {"mode": "url", "url": f"https://example.com/{text}"}
        if not modern:
            params["elicitationId"] = f"theirs-{text}"
    else:
        name = {"name": {"type": "string", "default": "Jo"}}
        params["requestedSchema"] = {"type": "object", "properties": name, "required": ["name"]}
    return {"method": "elicitation/create", "params": params}


def is_declared(kind: str, capabilities: Plain) -> bool:
    """Say whether a client with these capabilities can be asked this."""
    if kind in ("sampling", "roots"):
        return kind in capabilities
    elicitation = capabilities.get("elicitation")
    if elicitation is None:
        return False
    return kind in elicitation or (kind == "form" and "url" not in elicitation)
