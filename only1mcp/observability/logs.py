"""Logs: one line for each event, for a person on a terminal, as JSON elsewhere.

Records carry their facts as `extra` fields named in `FIELDS`. Control characters are escaped, so
that what a client or a server sends can never forge a line.
"""

import json
import logging
import os
import sys
from datetime import UTC, datetime

import orjson

FIELDS = (
    "request_id", "method", "server", "instance", "tool", "outcome", "status", "duration_ms",
    "client", "principal", "cache", "pid", "role", "signal", "exit_code", "cause", "number",
    "added", "removed", "changed", "late", "took_ms", "detail",
)  # fmt: skip
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31m", "DEBUG": "\x1b[2m"}
_WIDE = (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
"""Line ends of Unicode, and what turns the order of the text around."""
_ESCAPES = {i: f"\\x{i:02x}" for i in (*range(32), *range(127, 160))} | {
    i: f"\\u{i:04x}" for i in _WIDE}  # fmt: skip
_JSON_ESCAPES = {i: f"\\u{i:04x}" for i in (*range(127, 160), *_WIDE)}
_MAX_FIELD = 2000


def _timestamp(record: logging.LogRecord) -> str:
    stamp = datetime.fromtimestamp(record.created, UTC)
    return stamp.strftime("%Y-%m-%dT%H:%M:%S.") + f"{stamp.microsecond // 1000:03d}Z"


def _facts(record: logging.LogRecord) -> dict[str, object]:
    facts = {}
    for name in FIELDS:
        value = getattr(record, name, None)
        if value is not None:
            facts[name] = value[:_MAX_FIELD] if isinstance(value, str) else value
    return facts


class JsonFormatter(logging.Formatter):
    """A JSON object on one line."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        line: dict[str, object] = {
            "ts": _timestamp(record),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "msg": record.getMessage()[:_MAX_FIELD],
            **_facts(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            text = orjson.dumps(line, default=str).decode()
        except TypeError:  # half a character, or a number that does not fit
            text = json.dumps(line, default=str, skipkeys=True)
        return text.translate(_JSON_ESCAPES)


class TextFormatter(logging.Formatter):
    """A line for a person."""

    def __init__(self, process: str, *, colour: bool) -> None:
        super().__init__()
        self._process = process
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """Write one record; only an exception takes more than a line, the others marked as such."""
        facts = " ".join(f"{name}={value}" for name, value in _facts(record).items())
        message = f"{record.getMessage()[:_MAX_FIELD]}  {facts}".rstrip().translate(_ESCAPES)
        level = f"{record.levelname.lower():7}"
        if self._colour and record.levelname in _COLOURS:
            level = f"{_COLOURS[record.levelname]}{level}\x1b[0m"
        line = f"{_timestamp(record)[11:23]} {level} {self._process:10} {message}"
        if record.exc_info:
            for below in self.formatException(record.exc_info).split("\n"):
                line += f"\n  | {below.translate(_ESCAPES)}"
        return line


def setup_logging(level: str, form: str, process: str) -> None:
    """Send this process's records to standard error.

    Args:
        level: a key of `LEVELS`.
        form: `text`, `json`, or `auto` for text on a terminal and JSON elsewhere.
        process: what stands before each line, as `worker-0`.
    """
    handler = logging.StreamHandler(sys.stderr)
    terminal = sys.stderr.isatty()
    if form == "json" or (form == "auto" and not terminal):
        handler.setFormatter(JsonFormatter(process))
    else:
        colour = (terminal and not os.environ.get("NO_COLOR")) or bool(
            os.environ.get("FORCE_COLOR"))  # fmt: skip
        handler.setFormatter(TextFormatter(process, colour=colour))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("only1mcp").setLevel(LEVELS[level])
