"""A file and the environment → settings, or everything that is wrong with them."""

import copy
import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from only1mcp.config.compile import compile_settings
from only1mcp.config.overrides import apply_overrides, override_paths
from only1mcp.config.positions import Document, dotted, read
from only1mcp.config.positions import Path as KeyPath
from only1mcp.config.problems import NOWHERE, ConfigInvalid, Place, Problem
from only1mcp.config.schema import (
    ANY_URL_PATTERN,
    HOST_PATTERN,
    KEY_HASH_PATTERN,
    ORIGIN_PATTERN,
    URL_PATTERN,
    ConfigFile,
)
from only1mcp.config.settings import Settings
from only1mcp.config.source_file import read_text
from only1mcp.config.substitution import substitute

MAX_PROBLEMS = 20
EMPTY_HINT = "write `servers: []` to serve none; `only1mcp init` prints an example"
_PATTERN_HINTS = {
    URL_PATTERN: "write an address as http://127.0.0.1:9000/mcp",
    ANY_URL_PATTERN: "write an address as http://127.0.0.1:9000/mcp",
    HOST_PATTERN: "write a host without a port, as gateway.example.com",
    KEY_HASH_PATTERN: "write sha256: and 64 hexadecimal digits, as `only1mcp keys new` prints them",
    ORIGIN_PATTERN: "write an origin as https://app.example.com",
}


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read one file.

    Raises:
        ConfigInvalid: it cannot be used.
    """
    return load_text(str(path), _read_text(path), environment)


def _read_text(path: Path) -> str:
    try:
        text = read_text(path)
    except OSError as error:
        what, hint = f"cannot be read: {error.strerror}", "check the path"
        raise ConfigInvalid([Problem(str(path), NOWHERE, "", what, hint)]) from None
    if not text.strip():  # a disk that is full, or an editor that was interrupted
        raise ConfigInvalid([Problem(str(path), NOWHERE, "", "is empty", EMPTY_HINT)])
    return text.replace("\r\n", "\n").replace("\r", "\n")


def load_text(file: str, text: str, environment: Mapping[str, str]) -> Settings:
    """Read a configuration from its text; `file` gives its form and stands in the problems.

    Raises:
        ConfigInvalid: it cannot be used.
    """
    return compile_settings(*_parse(file, text, environment), environment)


def load_file(path: Path, environment: Mapping[str, str] = os.environ) -> ConfigFile:
    """Read one file and return what it says, with all defaults, substitutions and overrides.

    Raises:
        ConfigInvalid: it cannot be used.
    """
    parsed, document = _parse(str(path), _read_text(path), environment)
    compile_settings(parsed, document, environment)
    return parsed


def _parse(file: str, text: str, environment: Mapping[str, str]) -> tuple[ConfigFile, Document]:
    document = read(file, text)
    data = substitute(document, environment)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        problem = Problem(file, Place(1, 1), "", "must be a mapping of keys", "see `only1mcp init`")
        raise ConfigInvalid([problem])
    problems = [*document.problems, *apply_overrides(data, environment)]
    overridden = override_paths(environment)
    unresolved = {problem.path for problem in document.problems}
    parsed: ConfigFile | None
    try:
        parsed = ConfigFile.model_validate(data)
    except ValidationError as error:
        found = [_explain(detail, document, data, overridden) for detail in error.errors()]
        problems += [problem for problem in found if problem.path not in unresolved]
        parsed = _without(data, [detail["loc"] for detail in error.errors()])
    if problems or parsed is None:
        problems += _contradictions(parsed, document, environment, problems)
        raise ConfigInvalid(_shortened(problems)) from None
    return parsed, document


def _without(data: dict[str, Any], wrong: list[tuple[int | str, ...]]) -> ConfigFile | None:
    """Return what is left without the keys that are wrong; None when that is no configuration."""
    rest = copy.deepcopy(data)
    for path in wrong:
        place: Any = rest
        for part in path[:-1]:
            place = place.get(part) if isinstance(place, dict) else _item(place, part)
        if isinstance(place, dict):
            place.pop(path[-1], None)
        elif isinstance(place, list) and isinstance(path[-1], int):
            place[path[-1]] = ""
    try:
        return ConfigFile.model_validate(rest)
    except ValidationError:
        return None


def _item(place: Any, part: int | str) -> Any:
    is_there = isinstance(place, list) and isinstance(part, int) and part < len(place)
    return place[part] if is_there else None


def _contradictions(
    parsed: ConfigFile | None, document: Document, environment: Mapping[str, str],
    known: list[Problem],
) -> list[Problem]:  # fmt: skip
    """Return what parts of a file say against each other, as far as they can be read."""
    if parsed is None:
        return []
    try:
        compile_settings(parsed, document, environment)
    except ConfigInvalid as error:
        wrong = {problem.path for problem in known}
        return [one for one in error.problems if not any(_concerns(one.path, at) for at in wrong)]
    return []


def _concerns(path: str, other: str) -> bool:
    """Say whether a place is another one, or holds it: what is missing there may be wrong here."""
    return other == path or other.startswith((f"{path}.", f"{path}["))


def _shortened(problems: list[Problem]) -> list[Problem]:
    return problems[:MAX_PROBLEMS]


def _explain(
    detail: ErrorDetails, document: Document, data: Any,
    overridden: Mapping[tuple[str, ...], str],
) -> Problem:  # fmt: skip
    """Say what pydantic found in a person's words, at its place."""
    path = _in_data(detail["loc"], data, missing=detail["type"] == "missing")
    unknown = detail["type"] == "extra_forbidden"
    if unknown:
        what, hint = "unknown key", _suggest_key(path)
    elif detail["type"] == "missing":
        what, hint = "the key is missing", f"add {path[-1]}"
        path = path[:-1]
    else:
        what, hint = _reason(detail), _hint(detail)
    variable = _variable(path, document, overridden)
    if variable is not None:
        return Problem(variable, NOWHERE, dotted(path), what, hint)
    return Problem(document.file, document.place(path, key=unknown), dotted(path), what, hint)


def _in_data(loc: tuple[int | str, ...], data: Any, *, missing: bool) -> KeyPath:
    """Drop from pydantic's location what names a branch of a union and not a key."""
    path: KeyPath = ()
    for part in loc:
        known = part in data if isinstance(data, dict) else isinstance(data, list)
        if known:
            data = data[part]
        elif not missing:
            break
        path = (*path, part)
    return path


def _variable(
    path: KeyPath, document: Document, overridden: Mapping[tuple[str, ...], str]
) -> str | None:
    """Return the environment variable to blame; None when the key stands in the file."""
    keys = tuple(str(part) for part in path)
    if keys in overridden or path in document.keys:
        return overridden.get(keys)
    return next((name for at, name in overridden.items() if keys == at[: len(keys)] != ()), None)


def _reason(detail: ErrorDetails) -> str:
    message = detail["msg"].removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _hint(detail: ErrorDetails) -> str:
    if detail["type"] == "string_type" and isinstance(detail["input"], int | float):
        return "put it in quotes"
    pattern = detail.get("ctx", {}).get("pattern")
    if pattern is None:
        return ""
    return _PATTERN_HINTS.get(str(pattern), "use letters, digits, '_', '-' and '.'")


def _suggest_key(path: KeyPath) -> str:
    known = _known_keys(ConfigFile, path[:-1])
    close = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.6)
    if close:
        return f'Did you mean "{close[0]}"?'
    return f"known here: {', '.join(sorted(known))}" if known else ""


def _known_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
    """Return the keys that the schema has at a path."""
    for part in path:
        if isinstance(part, int):
            continue
        field = next((f for name, f in model.model_fields.items() if part in (name, f.alias)), None)
        below = _models_in(field.annotation) if field is not None else []
        if not below:
            return []
        model = below[0]
    return [field.alias or name for name, field in model.model_fields.items()]


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
