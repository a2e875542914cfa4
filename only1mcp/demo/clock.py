"""`demo-time`: what time it is, here and elsewhere."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from only1mcp.demo.mcp import Tool

_ZONE = {"type": "string", "description": "IANA time zone, as Europe/Berlin"}
_TIME = {"type": "string", "description": "ISO 8601 date and time"}


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"unknown time zone {name!r}") from None


def _now(timezone: str = "UTC") -> dict[str, Any]:
    return {"timezone": timezone, "time": datetime.now(_zone(timezone)).isoformat("T", "seconds")}


def _convert(time: str, timezone: str) -> dict[str, Any]:
    moment = datetime.fromisoformat(time)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return {"timezone": timezone, "time": moment.astimezone(_zone(timezone)).isoformat()}


def _diff(start: str, end: str) -> dict[str, Any]:
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    return {"seconds": seconds}


TOOLS = [
    Tool("now", "Tell the current time in a time zone.", _now, {"timezone": _ZONE}),
    Tool("convert", "Convert a time to another time zone.", _convert,
         {"time": _TIME, "timezone": _ZONE}, ("time", "timezone")),
    Tool("diff", "Tell the seconds between two times.", _diff,
         {"start": _TIME, "end": _TIME}, ("start", "end")),
]  # fmt: skip
