"""Cuts into the text of a TOML file whose servers are tables.

They stand under `[[servers]]` or `[mcpServers.name]`; of inline tables it knows nothing.
"""

import json
import re
from typing import Any

_HEADER = re.compile(r"^\s*\[(\[)?\s*([^\]]+?)\s*\]")


class TomlText:
    """One text; every change returns another.

    Raises:
        LookupError: it has no such place, or an unusual shape.
    """

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines(keepends=True)

    def append(self, section: str, entry: dict[str, Any]) -> str:
        """Add an entry at the end of an array of tables."""
        written = [f"[[{section}]]\n", *(f"{key} = {_value(entry[key])}\n" for key in entry)]
        text = "".join(self._lines)
        gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
        return text + gap + "".join(written)

    def remove(self, section: str, key: int | str) -> str:
        """Take an entry out."""
        start, end = self._span(section, key)
        return "".join([*self._lines[:start], *self._lines[end:]])

    def set_flag(self, section: str, key: int | str, flag: str, value: bool) -> str:
        """Set a truth value of an entry."""
        start, end = self._span(section, key)
        word = str(value).lower()
        pattern = re.compile(rf"^(\s*{flag}\s*=\s*)(true|false)")
        for number in range(start + 1, end):
            if _HEADER.match(self._lines[number]):
                break
            if pattern.match(self._lines[number]):
                self._lines[number] = pattern.sub(rf"\g<1>{word}", self._lines[number])
                return "".join(self._lines)
        self._lines.insert(start + 1, f"{flag} = {word}\n")
        return "".join(self._lines)

    def set_value(self, section: str, key: str, value: int | str) -> str:
        """Set a number or a word of a table at the top, which need not be there yet."""
        own = next((at for at, name, is_array in self._headers() if name == section), None)
        if own is None:
            text = "".join(self._lines)
            gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
            return f"{text}{gap}[{section}]\n{key} = {_value(value)}\n"
        pattern = re.compile(rf"^(\s*{key}\s*=\s*)(\"[^\"]*\"|'[^']*'|[^\s#]+)")
        for number in range(own + 1, len(self._lines)):
            if _HEADER.match(self._lines[number]):
                break
            if pattern.match(self._lines[number]):
                self._lines[number] = pattern.sub(
                    lambda found: found.group(1) + _value(value), self._lines[number]
                )
                return "".join(self._lines)
        self._lines[own] = _lined(self._lines[own])
        self._lines.insert(own + 1, f"{key} = {_value(value)}\n")
        return "".join(self._lines)

    def _span(self, section: str, key: int | str) -> tuple[int, int]:
        """Return the lines of an entry, tables within it included."""
        own = section if isinstance(key, int) else f"{section}.{key}"
        starts = [at for at, name, _ in self._headers() if name == own]
        start = starts[key if isinstance(key, int) else 0]
        for at, name, _ in self._headers():
            if at > start and not name.startswith(f"{own}."):
                return start, at
        return start, len(self._lines)

    def _headers(self) -> list[tuple[int, str, bool]]:
        found = []
        for at, line in enumerate(self._lines):
            match = _HEADER.match(line)
            if match is not None:
                name = re.sub(r"[\"'\s]", "", match.group(2))
                found.append((at, name, bool(match.group(1))))
        return found


def _lined(line: str) -> str:
    return line if line.endswith("\n") else f"{line}\n"


def _value(value: object) -> str:
    """Write a value in line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_value(value[k])}" for k in value) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
