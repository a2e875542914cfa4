"""The smallest contents of every kind."""

from typing import Any

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5E"
    "rkJggg=="
)
"""One red pixel."""
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA="
"""No sound at all."""

Block = dict[str, Any]


def text(words: str) -> Block:
    """Return a block of text."""
    return {"type": "text", "text": words}


def image() -> Block:
    """Return a picture."""
    return {"type": "image", "data": PNG, "mimeType": "image/png"}


def audio() -> Block:
    """Return a recording."""
    return {"type": "audio", "data": WAV, "mimeType": "audio/wav"}


def embedded(uri: str, words: str, mime_type: str = "text/plain") -> Block:
    """Return a resource inside another content."""
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": words}}
