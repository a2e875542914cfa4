"""Changes of a configuration's text that leave every other byte as it is, comments included.

No parser that writes files back does that, so the one place that changes is cut out by the marks
of one that reads. Each result is read again: if it does not say exactly what was asked for, the
file is written in a way that we do not understand, and is left alone.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

from only1mcp.config.edit_toml import TomlText
from only1mcp.config.edit_yaml import YamlText
from only1mcp.config.positions import read
from only1mcp.config.refusals import DuplicateServer, EditRefused, UnknownServer
from only1mcp.protocol.names import server_id

Entry = dict[str, Any]
SERVERS, CLIENT_SERVERS = "servers", "mcpServers"
PROXY, WORKERS = "proxy", "workers"


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a server stands."""

    section: str
    key: int | str


def add_server(file: str, text: str, entry: Entry) -> str:
    """Return the text with one more server at the end.

    Raises:
        DuplicateServer: its id is taken.
        EditRefused: the file is written in an unusual way.
        ConfigInvalid: the text is no configuration to begin with.
    """
    data = _data(file, text)
    if _find(data, entry["id"]) is not None:
        raise DuplicateServer(
            f"a server {entry['id']!r} is there already", "remove it, or choose another id"
        )
    wanted = deepcopy(data)
    wanted[SERVERS] = [*(wanted.get(SERVERS) or []), entry]
    return _checked(file, wanted, lambda: _text(file, text).append(SERVERS, entry))


def remove_server(file: str, text: str, name: str) -> str:
    """Return the text without a server.

    Raises:
        UnknownServer: there is none with this id.
        EditRefused: the file is written in an unusual way.
        ConfigInvalid: the text is no configuration to begin with.
    """
    data = _data(file, text)
    found = _need(data, name)
    wanted = deepcopy(data)
    del wanted[found.section][found.key]
    return _checked(file, wanted, lambda: _text(file, text).remove(found.section, found.key))


def switch_server(file: str, text: str, name: str, *, enabled: bool) -> str:
    """Return the text with a server enabled or disabled.

    Raises:
        UnknownServer: there is none with this id.
        EditRefused: the file is written in an unusual way.
        ConfigInvalid: the text is no configuration to begin with.
    """
    data = _data(file, text)
    found = _need(data, name)
    entry = data[found.section][found.key]
    values = {"enabled": enabled} if "enabled" in entry or not enabled else {}
    if found.section == CLIENT_SERVERS and "disabled" in entry:  # as some clients say it
        values["disabled"] = not enabled
        if not enabled:
            values.pop("enabled", None)
    for key, value in values.items():
        if entry.get(key) == value:
            continue
        wanted = deepcopy(data)
        wanted[found.section][found.key][key] = value
        flag = partial(_text(file, text).set_flag, found.section, found.key, key)
        text = _checked(file, wanted, partial(flag, value))
        data = wanted
    return text


def set_workers(file: str, text: str, number: int | str) -> str:
    """Return the text with another number of workers, or `auto`.

    Raises:
        EditRefused: the file is written in an unusual way.
        ConfigInvalid: the text is no configuration to begin with.
    """
    data = _data(file, text)
    wanted = deepcopy(data)
    proxy = wanted.get(PROXY) or {}
    if not isinstance(proxy, dict):
        raise _unusual()
    if proxy.get(WORKERS) == number:
        return text
    wanted[PROXY] = {**proxy, WORKERS: number}
    return _checked(file, wanted, lambda: _text(file, text).set_value(PROXY, WORKERS, number))


def _data(file: str, text: str) -> dict[str, Any]:
    data = read(file, text).data
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise _unusual()
    return data


def _text(file: str, text: str) -> YamlText | TomlText:
    return TomlText(text) if file.endswith(".toml") else YamlText(text)


def _find(data: dict[str, Any], name: str) -> _Found | None:
    for index, entry in enumerate(data.get(SERVERS) or []):
        if isinstance(entry, dict) and str(entry.get("id")) == name:
            return _Found(SERVERS, index)
    for label in data.get(CLIENT_SERVERS) or {}:
        if name in (label, server_id(str(label))):
            return _Found(CLIENT_SERVERS, label)
    return None


def _need(data: dict[str, Any], name: str) -> _Found:
    found = _find(data, name)
    if found is None:
        raise UnknownServer(f"there is no server {name!r}", "see them: only1mcp list")
    return found


def _checked(file: str, wanted: dict[str, Any], change: Callable[[], str]) -> str:
    """Return the changed text if it says what it is to say."""
    try:
        changed = change()
        said = read(file, changed).data
    except Exception as error:  # whatever it is, the file is not what we take it for
        raise _unusual() from error
    if _canonical(said) != _canonical(wanted):
        raise _unusual()
    return changed


def _canonical(data: dict[str, Any] | None) -> str:
    """Write data so that what says the same looks the same; no servers are as good as none."""
    rest = dict(data or {})
    for section in (SERVERS, CLIENT_SERVERS):
        if not rest.get(section):
            rest.pop(section, None)
    return json.dumps(rest, sort_keys=True, default=str)


def _unusual() -> EditRefused:
    return EditRefused(
        "the file is written in a way that this command cannot change safely",
        "edit it by hand; a running gateway takes it over",
    )
