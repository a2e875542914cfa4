"""Cuts into the text of a YAML or JSON file, by the marks of its nodes."""

import json
from typing import Any

import yaml

_WIDE = 10_000


class YamlText:
    """One text; every change returns another.

    Raises:
        LookupError: it has no such place, or an unusual shape.
        yaml.YAMLError: it is no YAML.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._root: Any = yaml.compose(text, Loader=yaml.SafeLoader)

    def append(self, section: str, entry: dict[str, Any]) -> str:
        """Add an entry at the end of a list."""
        key, node = (None, None) if self._root is None else self._pair(self._root, section)
        if key is None:
            return self._append_section(section, entry)
        if not isinstance(node, yaml.SequenceNode):  # nothing behind the colon
            return self._insert_line(key.end_mark.index, _block(entry, 2))
        inline = json.dumps(entry, ensure_ascii=False)
        if node.value and node.flow_style:
            return self._insert_in_flow(node.value[-1], inline)
        if node.value:
            return self._insert_line(self._end(node), _block(entry, node.start_mark.column))
        start, end = node.start_mark.index, node.end_mark.index  # of `[]`
        if self._root.flow_style:
            return self._splice(start + 1, start + 1, inline)
        line_end = self._line_end(end)
        rest = f"{self._text[end:line_end]}\n{_block(entry, 2)}{self._text[line_end + 1 :]}"
        return self._text[:start].rstrip(" ") + rest

    def _append_section(self, section: str, entry: dict[str, Any]) -> str:
        root = self._root
        if root is None or not root.flow_style:
            return f"{_lined(self._text)}{section}:\n{_block(entry, 2)}"
        listed = f"{json.dumps(section)}: {json.dumps([entry], ensure_ascii=False)}"
        return self._append_in_flow(root, listed)

    def remove(self, section: str, key: int | str) -> str:
        """Take an entry out of a list or a map."""
        name, node = self._pair(self._root, section)
        if name is None:
            raise LookupError(section)
        places = self._places(node)
        at = key if isinstance(key, int) else self._labels(node).index(key)
        if node.flow_style:
            return self._remove_from_flow(places, at)
        start, end = places[at]
        if isinstance(node, yaml.SequenceNode):
            start = self._text.rindex("-", 0, start)
        first = self._text.rfind("\n", 0, start) + 1
        if self._text[first:start].strip():
            raise LookupError("something stands before it on its line")
        last = self._line_end(end) + 1
        if len(places) > 1:
            return self._splice(first, last, "")
        empty = " []" if isinstance(node, yaml.SequenceNode) else " {}"
        colon = self._text.index(":", name.end_mark.index) + 1
        return f"{self._text[:colon]}{empty}{self._text[colon:first]}{self._text[last:]}"

    def _remove_from_flow(self, places: list[tuple[int, int]], at: int) -> str:
        start, end = places[at]
        if at + 1 < len(places):
            return self._splice(start, places[at + 1][0], "")
        if at:
            return self._splice(places[at - 1][1], end, "")
        return self._splice(start, end, "")

    def set_flag(self, section: str, key: int | str, flag: str, value: bool) -> str:
        """Set a truth value of an entry."""
        _, node = self._pair(self._root, section)
        at = key if isinstance(key, int) else self._labels(node).index(key)
        entry = node.value[at] if isinstance(key, int) else node.value[at][1]
        word = str(value).lower()
        known, scalar = self._pair(entry, flag)
        if known is not None:
            return self._splice(scalar.start_mark.index, scalar.end_mark.index, word)
        name, first = self._pair(entry, "id")
        if name is None:
            name, first = entry.value[0]
        if entry.flow_style:
            return self._insert_in_flow(first, f'"{flag}": {word}', name)
        indent = " " * entry.start_mark.column
        return self._insert_line(self._end(first), f"{indent}{flag}: {word}\n")

    def set_value(self, section: str, key: str, value: int | str) -> str:
        """Set a number or a word of a map at the top, which need not be there yet."""
        if self._root is None:
            return self._add_map(section, key, value)
        name, node = self._pair(self._root, section)
        if name is None:
            return self._add_map(section, key, value)
        if isinstance(node, yaml.ScalarNode):  # nothing behind the colon
            indent = " " * (name.start_mark.column + 2)
            return self._insert_line(name.end_mark.index, f"{indent}{key}: {value}\n")
        return self._set_in_map(node, key, value)

    def _set_in_map(self, node: Any, key: str, value: int | str) -> str:
        known, scalar = self._pair(node, key)
        if known is not None:
            is_quoted = node.flow_style or scalar.style
            text = json.dumps(value) if is_quoted else str(value)
            return self._splice(scalar.start_mark.index, scalar.end_mark.index, text)
        written = f"{json.dumps(key)}: {json.dumps(value)}"
        if not node.value:
            return self._append_in_flow(node, written)
        first, after = node.value[0]
        if node.flow_style:
            return self._insert_in_flow(after, written, first)
        indent = " " * first.start_mark.column
        return self._insert_line(self._end(after), f"{indent}{key}: {value}\n")

    def _add_map(self, section: str, key: str, value: int | str) -> str:
        """Add a map at the end."""
        root = self._root
        if root is None or not root.flow_style:
            return f"{_lined(self._text)}{section}:\n  {key}: {value}\n"
        return self._append_in_flow(root, f"{json.dumps(section)}: {json.dumps({key: value})}")

    def _append_in_flow(self, mapping: Any, written: str) -> str:
        if mapping.value:
            key, value = mapping.value[-1]
            return self._insert_in_flow(value, written, key)
        at = mapping.start_mark.index + 1
        return self._splice(at, at, written)

    def _pair(self, mapping: Any, name: str) -> tuple[Any, Any]:
        for key, value in mapping.value:
            if key.value == name:
                return key, value
        return None, None

    @staticmethod
    def _labels(node: Any) -> list[str]:
        return [str(key.value) for key, _ in node.value]

    def _insert_in_flow(self, last: Any, new: str, first: Any = None) -> str:
        """Put something behind a value, on a line of its own if that one has one."""
        start = (first or last).start_mark.index
        line = self._text.rfind("\n", 0, start) + 1
        before = self._text[line:start]
        gap = f"\n{before}" if line and not before.strip() else " "
        at = self._end(last)
        return self._splice(at, at, f",{gap}{new}")

    def _insert_line(self, after: int, lines: str) -> str:
        at = self._line_end(after)
        if at == len(self._text):
            return f"{_lined(self._text)}{lines}"
        return self._splice(at + 1, at + 1, lines)

    def _places(self, node: Any) -> list[tuple[int, int]]:
        """Return where each entry of a list or a map begins and ends."""
        if isinstance(node, yaml.SequenceNode):
            return [(item.start_mark.index, self._end(item)) for item in node.value]
        return [(key.start_mark.index, self._end(value)) for key, value in node.value]

    def _end(self, node: Any) -> int:
        """Return where a node's text ends; a block's own mark is that of what follows it."""
        if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
            end = node.end_mark.index
            block = isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")
            return len(self._text[:end].rstrip()) if block else end
        last = node.value[-1]
        return max(map(self._end, last)) if isinstance(last, tuple) else self._end(last)

    def _line_end(self, at: int) -> int:
        found = self._text.find("\n", at)
        return len(self._text) if found < 0 else found

    def _splice(self, start: int, end: int, new: str) -> str:
        return self._text[:start] + new + self._text[end:]


def _lined(text: str) -> str:
    return text if not text or text.endswith("\n") else f"{text}\n"


def _block(entry: dict[str, Any], indent: int) -> str:
    """Write an entry as an item of a list."""
    written = yaml.safe_dump(
        [entry], sort_keys=False, default_flow_style=False, allow_unicode=True, width=_WIDE
    )
    return "".join(f"{' ' * indent}{line}\n" for line in written.splitlines())
