"""How deep a configuration may be: parsers go down by recursion, and one in C dies of it."""

import re
from typing import Any

import yaml

from only1mcp.config.problems import NOWHERE, ConfigInvalid, Place, Problem

MAX_DEPTH = 100
"""Ten times as deep as any key of ours."""
_NAME = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')"""
_DEEP_KEY = re.compile(
    rf"(?:^|[\[{{,])[ \t]*+({_NAME}(?:[ \t]*+\.[ \t]*+{_NAME}){{{MAX_DEPTH}}})", re.MULTILINE
)
"""From where keys may begin: to try each quote of a value takes the square of its length."""


def too_deep(file: str, place: Place = NOWHERE) -> ConfigInvalid:
    """Return the refusal of a file that is."""
    hint = f"{MAX_DEPTH} levels are the most; in YAML an alias may hold itself"
    return ConfigInvalid([Problem(file, place, "", "is nested too deeply", hint)])


class BoundedYaml(yaml.CSafeLoader):
    """Gives up at the first thing that stands too deep, of however many there are."""

    def __init__(self, file: str, text: str) -> None:
        super().__init__(text)
        self._file = file
        self._depth = 0

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        """Count; the parser calls this on its way down to each node, before it goes deeper."""
        super().descend_resolver(current_node, current_index)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = current_node.start_mark
            raise too_deep(self._file, Place(mark.line + 1, mark.column + 1))

    def ascend_resolver(self) -> None:
        """Count likewise on the way up."""
        super().ascend_resolver()
        self._depth -= 1


def check_toml_keys(file: str, text: str) -> None:
    """Refuse keys of very many names: reading one takes a time that grows with their square.

    Raises:
        ConfigInvalid: there is one.
    """
    found = _DEEP_KEY.search(text)
    if found is not None:
        before = text[: found.start(1)]
        raise too_deep(file, Place(before.count("\n") + 1, len(before) - before.rfind("\n")))


def check_depth(file: str, data: Any, depth: int = 0) -> None:
    """Refuse data that are too deep.

    Raises:
        ConfigInvalid: they are.
    """
    if depth > MAX_DEPTH:
        raise too_deep(file)
    below = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    for value in below:
        check_depth(file, value, depth + 1)
