"""Files read together with the place of every key and value."""

import re
import tomllib
from bisect import bisect_right
from dataclasses import dataclass, field
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

import yaml

from only1mcp.config.nesting import (
    MAX_DEPTH,
    BoundedYaml,
    check_depth,
    check_toml_keys,
    too_deep,
)
from only1mcp.config.problems import NOWHERE, ConfigInvalid, Place, Problem

Path = tuple[str | int, ...]
MAX_VALUES = 100_000
"""A few aliases of aliases stand for more than any machine holds."""


@dataclass(slots=True)
class Document:
    """The data of one file and where its parts stand."""

    file: str
    data: Any = None
    keys: dict[Path, Place] = field(default_factory=dict)
    values: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def place(self, path: Path, *, key: bool) -> Place:
        """Return the place of a key or value, or of the nearest thing around it."""
        first, second = (self.keys, self.values) if key else (self.values, self.keys)
        while path:
            found = first.get(path) or second.get(path)
            if found is not None:
                return found
            path = path[:-1]
        return NOWHERE

    def stands(self, path: Path, place: Place) -> None:
        """Note where a value stands.

        Raises:
            ConfigInvalid: that is too deep, or one value too many.
        """
        self.values[path] = place
        if len(path) > MAX_DEPTH:
            raise too_deep(self.file, place)
        if len(self.values) > MAX_VALUES:
            what = f"holds more than {MAX_VALUES} values, aliases counted as often as they stand"
            raise ConfigInvalid([Problem(self.file, place, "", what, "")])

    def repeated(self, path: Path, place: Place) -> None:
        """Note a key that stands twice."""
        self.problems.append(
            Problem(self.file, place, dotted(path), "the key stands twice", "keep one of them")
        )


def dotted(path: Path) -> str:
    """Write a path as a person does: `servers[0].url`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read(file: str, text: str) -> Document:
    """Read a file by its name's ending: TOML, JSON (with comments), or YAML.

    Raises:
        ConfigInvalid: the syntax is wrong.
    """
    document = Document(file)
    try:
        if file.endswith(".toml"):
            _read_toml(document, text)
        elif file.endswith((".json", ".jsonc")):
            _JsonReader(document, text).read()
        else:
            _read_yaml(document, text)
    except RecursionError:
        raise too_deep(file) from None
    return document


def _syntax(file: str, place: Place, what: str) -> ConfigInvalid:
    return ConfigInvalid([Problem(file, place, "", what, "correct the syntax")])


def _read_yaml(document: Document, text: str) -> None:
    loader = BoundedYaml(document.file, text)
    try:
        node = loader.get_single_node()
        if node is not None:
            document.data = _yaml_value(document, loader, node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(mark.line + 1, mark.column + 1) if mark else NOWHERE
        raise _syntax(document.file, place, f"not valid YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise _syntax(document.file, NOWHERE, f"not valid YAML: {error}") from None
    finally:
        loader.dispose()


def _yaml_value(document: Document, loader: Any, node: yaml.Node, path: Path) -> Any:
    place = Place(node.start_mark.line + 1, node.start_mark.column + 1)
    document.stands(path, place)
    if isinstance(node, yaml.SequenceNode):
        return [
            _yaml_value(document, loader, item, (*path, index))
            for index, item in enumerate(node.value)
        ]
    if not isinstance(node, yaml.MappingNode):
        return _yaml_scalar(document, loader, node, place)
    _merge(loader, node)
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = _yaml_key(loader, key_node)
        place = Place(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
        if key in mapping:
            document.repeated((*path, key), place)
        document.keys[(*path, key)] = place
        mapping[key] = _yaml_value(document, loader, value_node, (*path, key))
    return mapping


def _yaml_scalar(document: Document, loader: Any, node: yaml.Node, place: Place) -> Any:
    try:
        return loader.construct_object(node)
    except ValueError as error:  # a date in month 13, or a number that Python does not read
        raise _syntax(document.file, place, f"not valid YAML: {error}") from None


def _merge(loader: Any, node: yaml.MappingNode) -> None:
    """Resolve merge keys; what the mapping says itself hides what is merged into it."""
    own = [pair for pair in node.value if pair[0].tag != "tag:yaml.org,2002:merge"]
    loader.flatten_mapping(node)
    said = {str(key.value) for key, _ in own}
    merged = {str(pair[0].value): pair for pair in node.value[: len(node.value) - len(own)]}
    node.value = [*(pair for name, pair in merged.items() if name not in said), *own]


def _yaml_key(loader: Any, node: yaml.Node) -> str:
    """Return a key as it is written: the name `ON` of a variable is no truth value."""
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    return str(loader.construct_object(node, deep=True))


class _JsonReader:
    """JSON with `//` and `/* */` comments and trailing commas, as editors' own files have them."""

    _SKIP = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
    _ATOM = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null")
    _WORDS = {"true": True, "false": False, "null": None}  # noqa: RUF012 - never changed

    def __init__(self, document: Document, text: str) -> None:
        self._document = document
        self._text = text
        self._at = 0
        self._lines = [match.end() for match in re.finditer("\n", text)]
        """Where those after the first begin."""

    def read(self) -> None:
        self._document.data = self._value(())
        self._skip()
        if self._at != len(self._text):
            raise self._error("something follows the value")

    def _error(self, what: str) -> ConfigInvalid:
        return _syntax(self._document.file, self._place(), f"not valid JSON: {what}")

    def _place(self) -> Place:
        before = bisect_right(self._lines, self._at)
        return Place(before + 1, self._at - (self._lines[before - 1] if before else 0) + 1)

    def _skip(self) -> str:
        match = self._SKIP.match(self._text, self._at)
        assert match is not None
        self._at = match.end()
        return self._text[self._at : self._at + 1]

    def _value(self, path: Path) -> Any:
        mark = self._skip()
        self._document.stands(path, self._place())
        if mark == "{":
            return self._object(path)
        if mark == "[":
            return self._array(path)
        if mark == '"':
            return self._string()
        match = self._ATOM.match(self._text, self._at)
        if match is None:
            raise self._error("a value is expected")
        self._at = match.end()
        word = match.group()
        if word in self._WORDS:
            return self._WORDS[word]
        try:
            return float(word) if set(word) & set(".eE") else int(word)
        except ValueError:  # Python reads no integer of more than some thousand digits
            raise self._error("a number is too long") from None

    def _string(self) -> str:
        try:
            value, self._at = scanstring(self._text, self._at + 1, True)
        except JSONDecodeError as error:
            self._at = error.pos
            raise self._error(error.msg.lower()) from None
        return str(value)

    def _object(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        self._at += 1
        while (mark := self._skip()) != "}":
            if mark != '"':
                raise self._error("a key in double quotes is expected")
            place = self._place()
            key = self._string()
            if key in found:
                self._document.repeated((*path, key), place)
            self._document.keys[(*path, key)] = place
            if self._skip() != ":":
                raise self._error("':' is expected")
            self._at += 1
            found[key] = self._value((*path, key))
            self._comma("}")
        self._at += 1
        return found

    def _array(self, path: Path) -> list[Any]:
        found: list[Any] = []
        self._at += 1
        while self._skip() != "]":
            found.append(self._value((*path, len(found))))
            self._comma("]")
        self._at += 1
        return found

    def _comma(self, closing: str) -> None:
        mark = self._skip()
        if mark == ",":
            self._at += 1
        elif mark != closing:
            raise self._error(f"',' or '{closing}' is expected")


_TOML_ERROR = re.compile(r"^(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)
_TOML_TABLE = re.compile(r"^[ \t]*(\[\[?)([^\[\]#]+)\]\]?[ \t]*(?:#.*)?$")
_PART = r"""(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')"""
_TOML_KEY = re.compile(rf"^[ \t]*({_PART}(?:[ \t]*\.[ \t]*{_PART})*)[ \t]*=[ \t]*")
_TOML_PART = re.compile(_PART)


def _read_toml(document: Document, text: str) -> None:
    """Read TOML; `tomllib` gives the data, a walk over the lines the places.

    What stands inside an inline table or array is placed at the key before it.
    """
    check_toml_keys(document.file, text)
    try:
        document.data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = _TOML_ERROR.match(str(error))
        what = match.group(1) if match else str(error)
        last = Place(text.count("\n") + 1, 1)
        place = (
            Place(int(match.group(2)), int(match.group(3))) if match and match.group(2) else last
        )
        raise _syntax(document.file, place, f"not valid TOML: {what}") from None
    check_depth(document.file, document.data)
    table: Path = ()
    counts: dict[Path, int] = {}
    for number, line in enumerate(_outside_strings(text), start=1):
        header = _TOML_TABLE.match(line)
        if header is not None:
            table = _table_path(header, counts)
            place = Place(number, header.start(2) + 1)
            document.keys.setdefault(table, place)
            document.values.setdefault(table, place)
            continue
        key = _TOML_KEY.match(line)
        if key is not None:
            path = (*table, *_parts(key.group(1)))
            document.keys[path] = Place(number, key.start(1) + 1)
            document.values[path] = Place(number, key.end() + 1)


def _parts(text: str) -> Path:
    return tuple(part.strip("\"'") for part in _TOML_PART.findall(text))


def _table_path(header: re.Match[str], counts: dict[Path, int]) -> Path:
    """Return the path of a table, arrays of tables counted."""
    path: Path = ()
    parts = _parts(header.group(2))
    for depth, part in enumerate(parts, start=1):
        path = (*path, part)
        if depth == len(parts) and header.group(1) == "[[":
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path = (*path, counts[path])
    return path


def _outside_strings(text: str) -> list[str]:
    """Return the lines with those inside multi-line strings emptied."""
    lines, quote = [], ""
    for line in text.splitlines():
        inside = bool(quote)
        for mark in re.findall(r'"""|\'\'\'', line):
            quote = "" if quote == mark else quote or mark
        lines.append("" if inside else line)
    return lines
