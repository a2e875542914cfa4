"""What the host says of one server."""

import json
from dataclasses import replace

from only1mcp.host.status import ServerState, ServerStatus
from only1mcp.protocol.versions import Era
from tests.support.catalogues import catalogue


def test_a_status_can_be_written_as_json() -> None:
    """The board and the command line get it so."""
    plain = json.loads(json.dumps(ServerStatus("a", "stdio").to_plain()))
    assert (plain["id"], plain["state"], plain["pid"]) == ("a", "starting", 0)


def test_a_catalogue_fills_in_what_the_server_is_and_offers() -> None:
    """Its version is cut: a stranger wrote it."""
    status = ServerStatus("a", "stdio")
    status.note(catalogue("a", tools="x y", prompts="p", resources="r://1"))
    assert (status.tools, status.prompts, status.resources) == (2, 1, 1)
    assert (status.eras, status.version) == (("legacy", "modern"), "a")
    offer = catalogue("a", eras=frozenset({Era.MODERN}))
    status.note(replace(offer, info={"name": "n" * 300, "version": 3}))
    assert (status.eras, len(status.version), status.tools) == (("modern",), 100, 0)
    status.note(replace(offer, info={}))
    assert status.version == ""


def test_states_are_words() -> None:
    """As people and the admin API read them."""
    assert [str(state) for state in ServerState] == ["starting", "up", "down", "parked", "stopped"]
