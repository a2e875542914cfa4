"""Durations and sizes as people write them."""

import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"([0-9]+)(B|KiB|MiB|GiB|kB|MB|GB)?")
_COUNT = re.compile(r"[0-9]{1,4}")
MAX_WORKERS = 64
_BYTES = {None: 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
          "kB": 10**3, "MB": 10**6, "GB": 10**9}  # fmt: skip


def parse_duration(value: object) -> float:
    """Return seconds.

    Raises:
        ValueError: it is no duration with a unit.
    """
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a duration needs a number and a unit, as 500ms, 30s, 5m or 1h")
    return float(match.group(1)) * _SECONDS[match.group(2)]


def parse_lifetime(value: object) -> float:
    """Return seconds; none for what is never kept.

    Raises:
        ValueError: it is no duration, and not `never`.
    """
    try:
        return 0.0 if value == "never" else parse_duration(value)
    except ValueError as error:
        raise ValueError(f"{error}, or is never") from None


def parse_size(value: object) -> int:
    """Return bytes.

    Raises:
        ValueError: it is no size.
    """
    match = _SIZE.fullmatch(str(value).strip()) if isinstance(value, str | int) else None
    if match is None or isinstance(value, bool):
        raise ValueError("a size is a number of bytes or has a unit, as 64KiB or 4MiB")
    return int(match.group(1)) * _BYTES[match.group(2)]


def parse_workers(value: object) -> int | str:
    """Return a number of worker processes, or `auto`.

    Raises:
        ValueError: it is neither.
    """
    if value == "auto":
        return "auto"
    match = _COUNT.fullmatch(str(value).strip()) if isinstance(value, str | int) else None
    if match is None or not 1 <= int(match.group()) <= MAX_WORKERS:
        raise ValueError(f"must be 1 to {MAX_WORKERS}, or auto")
    return int(match.group())


def write_duration(seconds: float) -> str:
    """Write a duration as it may stand in a file, in the largest unit that keeps it whole."""
    for unit in ("h", "m", "s"):
        if seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds * 1000:g}ms"


Duration = Annotated[
    float, BeforeValidator(parse_duration), Field(gt=0),
    PlainSerializer(write_duration, when_used="json-unless-none"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(ms|s|m|h|d)$"}),
]  # fmt: skip
"""Seconds."""
Lifetime = Annotated[
    float, BeforeValidator(parse_lifetime), Field(ge=0),
    PlainSerializer(lambda seconds: write_duration(seconds) if seconds else "never",
                    when_used="json-unless-none"),
    WithJsonSchema({"type": "string", "pattern": r"^(never|\d+(\.\d+)?(ms|s|m|h|d))$"}),
]  # fmt: skip
"""Seconds, or none at all."""
Size = Annotated[
    int, BeforeValidator(parse_size), Field(gt=0),
    WithJsonSchema({"type": ["string", "integer"], "pattern": r"^\d+(B|KiB|MiB|GiB|kB|MB|GB)?$"}),
]  # fmt: skip
"""Bytes."""
Workers = Annotated[int | Literal["auto"], BeforeValidator(parse_workers)]
