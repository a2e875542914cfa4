"""What notifications say of what is watched."""

import pytest

from only1mcp._speedups import scan
from only1mcp.protocol.subscriptions import UPDATED, is_of_session, list_changed, updated_uri
from tests.support.messages import notification


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
