"""A client's request as one backend gets it."""

import json
from typing import Any

import pytest

from only1mcp._speedups import scan
from only1mcp.backends.call import NOTHING, Outgoing
from only1mcp.errors import HeaderMismatch
from only1mcp.protocol.client_features import Feature
from only1mcp.protocol.headers import McpHeaders
from only1mcp.protocol.inbound import Inbound, classify
from only1mcp.protocol.versions import Era
from only1mcp.proxy.outbound import (
    check_headers,
    choose_leg,
    client_features,
    client_token,
    outgoing,
)
from only1mcp.registry.catalogue import Catalogue, Item
from only1mcp.registry.snapshot import Snapshot
from only1mcp.routing.router import Route, route
from only1mcp.sessions.session import Session
from tests.support.catalogues import catalogue, snapshot
from tests.support.messages import OWN, legacy, modern, modern_headers

SESSION = Session(7, 1_000_000, "2025-11-25", b'{"roots":{}}', b'{"name":"c"}')
REGION = {"type": "string", "x-mcp-header": "Region"}
TOOL = {"name": "x", "inputSchema": {"type": "object", "properties": {"region": REGION}}}
OFFER = snapshot(catalogue("a", tools="x", resources="r://1"))
WITH_HEADERS = snapshot(
    Catalogue("a", eras=frozenset(Era), capabilities={"tools": {}},
              tools=(Item("x", json.dumps(TOOL).encode()),))
)  # fmt: skip
CALL: dict[str, Any] = {"name": "a__x", "arguments": {"region": "eu", "n": 1.0}}


def modern_call(params: dict[str, Any] | None = None, method: str = "tools/call") -> Inbound:
    """Return a modern request."""
    params = params or CALL
    name = params.get("name", params.get("uri"))
    return classify(scan(modern(method, params)), modern_headers(method, name))


def legacy_call(params: dict[str, Any] | None = None, method: str = "tools/call") -> Inbound:
    """Return a legacy request."""
    return classify(scan(legacy(method, params or CALL)), McpHeaders())


def written(
    inbound: Inbound, leg: Era, offer: Snapshot = OFFER, token: bytes | None = None,
    level: int | None = None,
) -> Outgoing:  # fmt: skip
    """Return the request that a backend gets."""
    session = SESSION if inbound.era is Era.LEGACY else None
    return outgoing(inbound, session, route(inbound, offer), leg, token, level)


@pytest.mark.parametrize("client", list(Era))
@pytest.mark.parametrize("other", list(Era))
def test_a_server_is_spoken_to_in_the_client_s_era_if_it_knows_it(client: Era, other: Era) -> None:
    """Else in the one that it knows; one of whom nothing is known yet is asked as the client is."""
    both, one, none = frozenset(Era), frozenset({other}), frozenset[Era]()
    assert choose_leg(client, "a", snapshot(catalogue("a", eras=both))) is client
    assert choose_leg(client, "a", snapshot(catalogue("a", eras=one))) is other
    assert choose_leg(client, "a", snapshot(catalogue("a", eras=none))) is client


def test_what_a_client_can_be_asked_stands_in_its_session_or_its_request() -> None:
    """Each where its era puts it."""
    assert client_features(legacy_call(), SESSION) is Feature.ROOTS
    assert client_features(modern_call(), None) == NOTHING
    meta: dict[str, Any] = {OWN + "clientCapabilities": {"sampling": {}, "elicitation": {}}}
    found = client_features(modern_call({**CALL, "_meta": meta}), None)
    assert found == Feature.SAMPLING | Feature.ELICIT_FORM


def test_only_a_legacy_server_is_told_what_the_client_can_be_asked() -> None:
    """A modern one reads it in the request."""
    assert written(legacy_call(), Era.LEGACY).features is Feature.ROOTS
    assert written(legacy_call(), Era.MODERN).features == NOTHING


@pytest.mark.parametrize("token", [7, "x", 0, ""])
def test_a_progress_token_is_exchanged_for_ours(token: object) -> None:
    """In the parameters, and beside them for whoever brings progress back."""
    call = legacy_call({**CALL, "_meta": {"progressToken": token, "x": 1.0}})
    assert client_token(call) == json.dumps(token).encode()
    found = written(call, Era.LEGACY, token=b'"ours"')
    assert json.loads(found.params)["_meta"] == {"progressToken": "ours", "x": 1.0}
    assert found.token == b'"ours"'
    assert client_token(legacy_call()) is None
    assert written(legacy_call(), Era.LEGACY).token is None


@pytest.mark.parametrize(("level", "word"), [(None, "info"), (0, "debug"), (7, "emergency")])
def test_a_modern_server_is_told_how_much_a_legacy_client_wants_to_hear(
    level: int | None, word: str
) -> None:
    """A client that never said gets what is worth knowing."""
    found = written(legacy_call(), Era.MODERN, level=level)
    assert json.loads(found.params)["_meta"][OWN + "logLevel"] == word
    assert found.level == level


def test_a_request_names_its_session_and_its_target() -> None:
    """For those whose connections belong to one session, and for headers."""
    found = written(legacy_call(), Era.LEGACY)
    assert (found.session, found.target, found.method, found.safe) == (7, "x", "tools/call", False)
    assert written(modern_call(), Era.MODERN).session == 0
    read = written(modern_call({"uri": "r://1"}, "resources/read"), Era.MODERN)
    assert (read.target, read.safe) == ("r://1", True)


def test_arguments_are_repeated_in_headers_where_the_tool_asks_for_it() -> None:
    """For modern servers, whichever era the client speaks (SEP-2243)."""
    for call in (modern_call(), legacy_call()):
        assert dict(written(call, Era.MODERN, WITH_HEADERS).headers) == {"Mcp-Param-Region": "eu"}
        assert written(call, Era.LEGACY, WITH_HEADERS).headers == ()
        assert written(call, Era.MODERN).headers == ()


@pytest.mark.parametrize(
    ("sent", "good"),
    [({"mcp-param-region": ["eu"]}, True), ({"mcp-param-region": ["us"]}, False), ({}, False),
     ({"mcp-param-region": ["eu", "eu"]}, False)],
)  # fmt: skip
def test_a_modern_client_s_headers_must_agree_with_its_arguments(
    sent: dict[str, list[str]], good: bool
) -> None:
    """Somebody on the way may have trusted them; legacy clients send none."""
    way: Route = route(modern_call(), WITH_HEADERS)
    check_headers(legacy_call(), way, sent)
    if good:
        check_headers(modern_call(), way, sent)
    else:
        with pytest.raises(HeaderMismatch):
            check_headers(modern_call(), way, sent)
