"""What we say of ourselves and of all servers together."""

import json

import pytest

from only1mcp._speedups import scan
from only1mcp.errors import InvalidParams
from only1mcp.protocol.pages import encode_cursor
from only1mcp.protocol.versions import Era
from only1mcp.proxy import local
from tests.support.catalogues import catalogue, snapshot
from tests.support.messages import legacy

TOLD = {"listChanged": True}


def test_capabilities_are_those_of_all_servers_that_we_can_pass_on() -> None:
    """Lists change when a server comes or goes, so that is promised for all."""
    merged = snapshot(
        catalogue("a", tools="x"), catalogue("b", prompts="p"), catalogue("c", resources="r://1")
    )
    assert local.capabilities(merged) == {
        "tools": TOLD, "prompts": TOLD, "resources": TOLD,
    }  # fmt: skip
    merged.catalogues["a"].capabilities.update(
        {
            "tools": {"listChanged": False},
            "logging": {"x": 1},
            "experimental": {"x": {}},
            "completions": {},
        }
    )
    assert local.capabilities(merged) == {
        "tools": TOLD, "completions": {}, "logging": {}, "prompts": TOLD, "resources": TOLD,
    }  # fmt: skip
    assert local.capabilities(snapshot()) == {}


def test_instructions_stand_under_their_server_s_name_and_are_bounded() -> None:
    """One server cannot fill the client's context for all."""
    merged = snapshot(
        catalogue("a", instructions="First."), catalogue("b"), catalogue("c", instructions="Third.")
    )
    assert local.instructions(merged) == "## a\nFirst.\n\n## c\nThird."
    flood = snapshot(catalogue("a", instructions="x" * 100_000))
    assert len(local.instructions(flood)) == 16_000
    assert local.instructions(snapshot()) == ""


def test_without_instructions_nothing_is_said() -> None:
    """The member is optional."""
    assert "instructions" not in json.loads(local.discover(snapshot(catalogue("a"))))


@pytest.mark.parametrize("params", [None, {}, {"cursor": encode_cursor(1)}])
def test_a_list_needs_no_parameters(params: dict[str, object] | None) -> None:
    """With a cursor it goes on."""
    merged = snapshot(catalogue("a", tools="x y"), page_size=1)
    page = local.list_page(scan(legacy("tools/list", params)), "tools", Era.LEGACY, merged)
    expected = "a__y" if params else "a__x"
    assert [tool["name"] for tool in json.loads(page)["tools"]] == [expected]


@pytest.mark.parametrize("cursor", [None, "", 1, {}, "x", encode_cursor(2), encode_cursor(0)])
def test_a_cursor_that_is_not_ours_is_refused(cursor: object) -> None:
    """Also null: a cursor is a string or absent."""
    merged = snapshot(catalogue("a", tools="x y"), page_size=1)
    envelope = scan(legacy("tools/list", {"cursor": cursor}))
    with pytest.raises(InvalidParams):
        local.list_page(envelope, "tools", Era.LEGACY, merged)
