"""The resources, and one template that stands for any number of them."""

import json
import re
from typing import Any

from tests.support.conformance.content import PNG, Block

RESOURCES = [
    {"uri": "test://static-text", "name": "text", "mimeType": "text/plain"},
    {"uri": "test://static-binary", "name": "binary", "mimeType": "image/png"},
    {"uri": "test://watched-resource", "name": "watched", "mimeType": "text/plain"},
]
TEMPLATES = [
    {
        "uriTemplate": "test://template/{id}/data", "name": "template",
        "mimeType": "application/json",
    }
]  # fmt: skip
_CONTENTS: dict[str, Block] = {
    "test://static-text": {"text": "This is the content of the static text resource."},
    "test://static-binary": {"blob": PNG},
    "test://watched-resource": {"text": "This resource can be subscribed to."},
}
_TEMPLATE = re.compile(r"test://template/([^/]+)/data")


def read(uri: str) -> dict[str, Any] | None:
    """Return the contents of a resource; None if there is none at this URI."""
    if uri in _CONTENTS:
        declared = next(resource for resource in RESOURCES if resource["uri"] == uri)
        return {"uri": uri, "mimeType": declared["mimeType"], **_CONTENTS[uri]}
    matched = _TEMPLATE.fullmatch(uri)
    if matched is None:
        return None
    said = {"id": matched[1], "templateTest": True, "data": f"Data for ID: {matched[1]}"}
    return {"uri": uri, "mimeType": "application/json", "text": json.dumps(said)}
