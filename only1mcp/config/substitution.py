"""References to the environment and to files inside scalar values.

`${VAR}`, `${env:VAR}`, `${VAR:-default}`, `${VAR:?message}`, `${file:/path}`; `$$` is a dollar
sign. They are resolved after parsing, so what a variable holds can never become structure.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from only1mcp.config.positions import Document, dotted
from only1mcp.config.positions import Path as KeyPath
from only1mcp.config.problems import ConfigInvalid, Problem
from only1mcp.config.source_file import read_text

_REFERENCE = re.compile(r"\$(?:\$|\{(env:|file:)?([^}:]*)(?::([-?])([^}]*))?\}|\{[^}]*\})")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Unresolved(ValueError):
    """A reference leads nowhere."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def substitute(document: Document, environment: Mapping[str, str]) -> Any:
    """Return the document's data with all references resolved; problems are noted in it."""
    return _walk(document, environment, document.data, ())


def _walk(document: Document, environment: Mapping[str, str], value: Any, path: KeyPath) -> Any:
    if isinstance(value, dict):
        return {k: _walk(document, environment, v, (*path, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_walk(document, environment, v, (*path, i)) for i, v in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value
    try:
        return _REFERENCE.sub(lambda match: _resolve(match, environment), value)
    except _Unresolved as error:
        place = document.place(path, key=False)
        document.problems.append(
            Problem(document.file, place, dotted(path), str(error), error.hint)
        )
        return None


def _resolve(match: re.Match[str], environment: Mapping[str, str]) -> str:
    if match.group() == "$$":
        return "$"
    kind, name, operator, word = match.groups()
    if name is None:
        forms = "${VAR}, ${VAR:-default}, ${VAR:?message} or ${file:/path}; $$ for a dollar sign"
        raise _Unresolved(f"{match.group()} is no reference", f"write {forms}")
    if kind == "file:":
        return _read(name)
    if _NAME.fullmatch(name) is None:
        raise _Unresolved(f"{match.group()} names no variable", "write $$ for a dollar sign")
    value = environment.get(name)
    if value and not is_text(value):
        raise _Unresolved(f"${{{name}}} is not text in UTF-8", f"set {name} anew")
    if value:
        return value
    if operator == "-":
        return str(word)
    if operator == "?":
        raise _Unresolved(f"${{{name}}} is not set: {word}", f"set {name}")
    if value is not None:
        return value
    raise _Unresolved(f"${{{name}}} is not set", f"set {name}, or write ${{{name}:-default}}")


def is_text(value: str) -> bool:
    """Say whether a variable holds text; other bytes reach us as halves of characters."""
    return not any("\ud800" <= c <= "\udfff" for c in value)


def _read(name: str) -> str:
    try:
        return read_text(Path(name)).rstrip("\r\n")
    except OSError as error:
        raise _Unresolved(f"{name} cannot be read: {error.strerror}", "check the path") from None
    except ConfigInvalid as error:
        why = error.problems[0]
        raise _Unresolved(f"{name} cannot be read: it {why.what}", why.hint) from None
