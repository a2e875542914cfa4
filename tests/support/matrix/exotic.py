"""JSON that is easily damaged on its way, as text, and how it is put into messages."""

import json
from typing import Any

EXOTIC = (
    r'{"one":1.0,"huge":1e400,"minus":-0.0,"tiny":1E-7,"big":123456789012345678901234567890,'
    r'"text":"\u017elut\u00fd ěšč \ud83d\ude00 \/ \u0000",'
    r'"empty":"","deep":[[{}]], "spaced" : null,"":false}'
)
"""An object of which every byte has to arrive."""
EXOTIC_KEY = "vendor.example/exotic"
_MARK = json.dumps("@exotic@")


def with_exotic(value: dict[str, Any]) -> str:
    """Write an object with the exotic one as its last member."""
    return write({**value, EXOTIC_KEY: "@exotic@"})


def write(value: Any) -> str:
    """Write JSON; the string `@exotic@` stands for the exotic object."""
    return json.dumps(value, separators=(",", ":")).replace(_MARK, EXOTIC)
