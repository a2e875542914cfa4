"""The method table holds together."""

from only1mcp.protocol.methods import METHOD_LABELS, METHODS, OTHER_INDEX, Kind


def test_each_row_has_a_metric_slot_of_its_own() -> None:
    """Labels and indexes go together, and what is not in the table has the last slot."""
    assert [row.index for row in METHODS.values()] == list(range(len(METHODS)))
    assert METHOD_LABELS[OTHER_INDEX] == "other"
    assert list(METHOD_LABELS[:-1]) == list(METHODS)


def test_lists_name_their_items_and_calls_name_their_target() -> None:
    """The kind of a method tells which columns of its row are filled."""
    for row in METHODS.values():
        assert (row.result_key is not None) == (row.kind is Kind.LIST)
        assert (row.target is not None) == (row.kind in (Kind.TARGET, Kind.TASK)) or (
            row.name == "tasks/list"
        )
    assert {row.result_key for row in METHODS.values() if row.result_key} == {
        "tools", "resources", "resourceTemplates", "prompts",
    }  # fmt: skip


def test_only_tool_calls_and_what_changes_a_task_may_do_harm_when_repeated() -> None:
    """Everything else may be sent again when nobody knows whether it ran."""
    assert {row.name for row in METHODS.values() if not row.safe} == {
        "tools/call", "tasks/update", "tasks/cancel", "tasks/result",
    }  # fmt: skip


def test_only_the_result_of_a_task_is_waited_for_without_end() -> None:
    """It comes when the task has ended (2025-11-25, basic/utilities/tasks)."""
    assert [row.name for row in METHODS.values() if row.waits] == ["tasks/result"]
