"""Tasks in the two designs of MCP: what declares them, and where their ids stand."""

import json
from typing import Any

import pytest

from only1mcp.protocol.task_members import (
    CREATED_ID,
    EXTENSION,
    OWN_ID,
    RELATED,
    RELATED_ID,
    Place,
    asks_for_task,
    core_capability,
    core_operations,
    declares_extension,
    id_at,
    offers_extension,
    renamed,
    without_tasks,
)

CALL: dict[str, Any] = {"requests": {"tools": {"call": {}}}}


@pytest.mark.parametrize(
    ("capabilities", "declared"),
    [
        ({}, False), ({"extensions": {}}, False), ({"extensions": {EXTENSION: {}}}, True),
        ({"extensions": {EXTENSION: {"x": 1}}}, True), ({"extensions": {EXTENSION: None}}, False),
        ({"extensions": []}, False), ({"tasks": {}}, False),
    ],
)  # fmt: skip
def test_a_client_or_server_has_the_extension_when_its_settings_are_an_object(
    capabilities: dict[str, Any], declared: bool
) -> None:
    """An empty one will do."""
    assert declares_extension(json.dumps(capabilities).encode()) is declared
    assert offers_extension(capabilities) is declared


@pytest.mark.parametrize(
    ("tasks", "operations"),
    [
        (None, set()), ({}, set()), ({"list": {}, "cancel": {}}, set()), (CALL, {"call"}),
        ({**CALL, "list": {}}, {"call", "list"}), ({**CALL, "cancel": {}}, {"call", "cancel"}),
        ({**CALL, "list": None}, {"call"}), ({"requests": {"tools": []}}, set()),
    ],
)  # fmt: skip
def test_a_server_of_2025_11_25_has_tasks_when_its_tools_can_be_called_as_such(
    tasks: Any, operations: set[str]
) -> None:
    """Listing and cancelling are worth nothing without; what we announce reads the same again."""
    assert core_operations({"tasks": tasks}) == operations
    if operations:
        assert core_operations({"tasks": core_capability(frozenset(operations))}) == operations


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"roots": {}}, {"roots": {}}),
        ({"tasks": CALL, "roots": {}}, {"roots": {}}),
        ({"extensions": {EXTENSION: {}, "x": {}}}, {"extensions": {"x": {}}}),
    ],
)
def test_a_server_of_the_other_era_hears_nothing_of_tasks(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    """All else that a client can do stays."""
    assert json.loads(without_tasks(json.dumps(before).encode())) == after


@pytest.mark.parametrize(
    ("params", "asks"),
    [(b"", False), (b"{}", False), (b'{"task":{}}', True), (b'{"task":{"ttl":5}}', True),
     (b'{"task":null}', False), (b'{"arguments":{"task":{}}}', False)],
)  # fmt: skip
def test_a_call_asks_for_a_task_by_a_parameter_of_its_own(params: bytes, asks: bool) -> None:
    """Not by an argument of the tool."""
    assert asks_for_task(params) is asks


@pytest.mark.parametrize(
    ("place", "raw"),
    [
        (OWN_ID, b'{"a":1.0, "taskId":"%b" ,"b":[]}'),
        (CREATED_ID, b'{"task":{"taskId":"%b","ttl":1e2}}'),
        (RELATED_ID, b'{"x":1,"_meta":{"y":2.50,"' + RELATED.encode() + b'":{"taskId":"%b"}}}'),
    ],
)
def test_an_id_is_exchanged_where_it_stands(place: Place, raw: bytes) -> None:
    """Every other byte stays."""
    assert id_at(raw % b"t1", place) == "t1"
    assert renamed(raw % b"t1", place, str.upper) == raw % b"T1"


@pytest.mark.parametrize("place", [OWN_ID, CREATED_ID, RELATED_ID])
@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"taskId":1,"task":2,"_meta":3}', b'{"task":{"taskId":null}}']
)
def test_where_no_id_stands_nothing_is_exchanged(place: Place, raw: bytes) -> None:
    """The very same bytes come back."""
    assert id_at(raw, place) is None
    assert renamed(raw, place, str.upper) is raw
