"""What notifications say of what is watched."""

import pytest

from only1mcp._speedups import scan
from only1mcp.errors import InvalidParams
from only1mcp.protocol import subscriptions
from only1mcp.protocol.subscriptions import (
    UPDATED,
    is_of_session,
    list_changed,
    read_wanted,
    updated_uri,
)
from tests.support.messages import modern, notification


@pytest.mark.parametrize(
    ("params", "uri"),
    [({"uri": "r://1"}, "r://1"), ({"_meta": {"uri": "r://2"}, "uri": "r://é"}, "r://é"),
     ({"uri": 1}, None), ({"uri": None}, None), ({}, None), (None, None)],
)  # fmt: skip
def test_an_update_names_one_resource_or_none(
    params: dict[str, object] | None, uri: str | None
) -> None:
    """Servers may leave out what they should say, or say it of another type."""
    assert updated_uri(scan(notification(UPDATED, params))) == uri


@pytest.mark.parametrize("kind", ["tools", "prompts", "resources"])
def test_news_of_lists_is_about_a_whole_session(kind: str) -> None:
    """As updates are; all else belongs to a call."""
    assert list_changed(kind) == f"notifications/{kind}/list_changed"
    assert is_of_session(list_changed(kind))
    assert is_of_session(UPDATED)
    assert not is_of_session("notifications/message")
    assert not is_of_session(None)


@pytest.mark.parametrize("other", [False, None, 1, "true", [], {}])
def test_a_subscription_names_lists_resources_and_tasks(other: object) -> None:
    """What it does not name is none of it; only true is true."""
    wanted = {
        "toolsListChanged": True,
        "promptsListChanged": 1,
        "resourceSubscriptions": ["r://1", 2],
    }
    read = read_wanted(scan(modern("subscriptions/listen", {"notifications": wanted})))
    assert read == (frozenset({"tools"}), ["r://1"], None)
    read = read_wanted(scan(modern("subscriptions/listen", {"notifications": {"taskIds": ["t"]}})))
    assert read == (frozenset(), [], ["t"])
    other = {"resourceSubscriptions": "r://1"}
    read = read_wanted(scan(modern("subscriptions/listen", {"notifications": other})))
    assert read == (frozenset(), [], None)


@pytest.mark.parametrize(
    "params", [{}, {"notifications": None}, {"notifications": []}, {"notifications": "x"},
               {"notifications": {"taskIds": ["1", "2", "3"]}}],
)  # fmt: skip
def test_a_subscription_to_nothing_that_can_be_read_or_to_too_much_is_refused(
    params: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the client's mistake."""
    monkeypatch.setattr(subscriptions, "MAX_URIS", 2)
    with pytest.raises(InvalidParams):
        read_wanted(scan(modern("subscriptions/listen", params)))
