"""Whom to ask, by name, URI, template, scheme and reference."""

import json
from typing import Any

import pytest

from only1mcp._speedups import scan
from only1mcp.errors import InvalidParams, UnknownTarget, UnlistedTarget
from only1mcp.protocol.headers import McpHeaders
from only1mcp.protocol.inbound import Inbound, classify
from only1mcp.registry.snapshot import Snapshot, build
from only1mcp.routing.router import Route, route
from tests.support.catalogues import catalogue, server, snapshot
from tests.support.messages import legacy

OFFER = snapshot(
    catalogue("a", tools="x y", prompts="p", resources="file:///1 db://1"),
    catalogue("b", tools="x", resources="file:///2", templates="file:///{+path} t://{id}"),
    catalogue("c", resources="http://c"),
    catalogue("d", tools="z", templates="t://{id}"),
)


def inbound(method: str, params: dict[str, Any]) -> Inbound:
    """Classify a legacy request."""
    return classify(scan(legacy(method, params)), McpHeaders())


def routed(method: str, params: dict[str, Any], offer: Snapshot = OFFER) -> Route:
    """Route a legacy request."""
    return route(inbound(method, params), offer)


@pytest.mark.parametrize(
    ("method", "name", "server", "bare"),
    [
        ("tools/call", "a__x", "a", "x"), ("tools/call", "b__x", "b", "x"),
        ("tools/call", "d__z", "d", "z"), ("prompts/get", "a__p", "a", "p"),
    ],
)  # fmt: skip
def test_a_name_leads_to_its_owner_by_its_bare_name(
    method: str, name: str, server: str, bare: str
) -> None:
    """The span of the name says where to put it."""
    message = inbound(method, {"arguments": {"name": "other"}, "name": name})
    found = route(message, OFFER)
    assert (found.server_ids, found.target, found.name) == (
        (server,), bare, json.dumps(bare).encode(),
    )  # fmt: skip
    span = message.envelope.body[found.name_start : found.name_end]
    assert span == json.dumps(name).encode()


def test_an_escaped_name_is_the_same_name() -> None:
    r"""`\u0061__x` is `a__x`."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\\u0061__x"}}'
    found = route(classify(scan(body), McpHeaders()), OFFER)
    assert found.server_ids == ("a",)
    assert body[found.name_start : found.name_end] == b'"\\u0061__x"'


@pytest.mark.parametrize(
    ("method", "name", "kind"),
    [("tools/call", "a__nope", "tool"), ("tools/call", "x", "tool"), ("tools/call", "a__p", "tool"),
     ("tools/call", "A__X", "tool"), ("prompts/get", "a__x", "prompt"), ("tools/call", "", "tool")],
)  # fmt: skip
def test_an_unknown_name_is_said_to_be_unknown(method: str, name: str, kind: str) -> None:
    """Tools and prompts have names of their own; case matters."""
    with pytest.raises(UnknownTarget, match=f"unknown {kind}: {name}") as caught:
        routed(method, {"name": name})
    assert caught.value.hint == f"list the {kind}s again"


@pytest.mark.parametrize(
    ("method", "params", "key"),
    [
        ("tools/call", {}, "name"), ("tools/call", {"name": None}, "name"),
        ("tools/call", {"name": 3}, "name"), ("prompts/get", {"name": ["a__p"]}, "name"),
        ("resources/read", {}, "uri"), ("resources/read", {"uri": {}}, "uri"),
        ("completion/complete", {}, "ref"), ("completion/complete", {"ref": "x"}, "ref"),
        ("completion/complete", {"ref": {}}, "ref"),
        ("completion/complete", {"ref": {"type": "ref/prompt"}}, "ref"),
        ("completion/complete", {"ref": {"type": "ref/prompt", "uri": "x"}}, "ref"),
        ("completion/complete", {"ref": {"type": "ref/resource", "name": "x"}}, "ref"),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": 1}}, "ref"),
        ("completion/complete", {"ref": {"type": 1, "name": "x"}}, "ref"),
        ("completion/complete", {"ref": {"type": "ref/other", "name": "x"}}, "ref"),
    ],
)  # fmt: skip
def test_a_call_without_a_target_is_refused(method: str, params: dict[str, Any], key: str) -> None:
    """The parameter that is missing is named."""
    with pytest.raises(InvalidParams, match=f"params.{key} must be"):
        routed(method, params)


def test_a_call_without_any_params_is_refused() -> None:
    """There is nothing to look for a target in."""
    for method in ("tools/call", "resources/read", "prompts/get", "completion/complete"):
        bare = b'{"jsonrpc":"2.0","id":1,"method":"%b"}' % method.encode()
        with pytest.raises(InvalidParams):
            route(classify(scan(bare), McpHeaders()), OFFER)


@pytest.mark.parametrize(
    ("uri", "servers"),
    [
        ("file:///1", ("a",)),
        ("db://1", ("a",)),
        ("http://c", ("c",)),
        ("file:///new", ("b", "a", "c", "d")),
        ("t://7", ("b", "d", "a", "c")),
        ("db://new", ("a", "b", "c", "d")),
        ("http://other", ("c", "a", "b", "d")),
        ("unknown://x", ("a", "b", "c", "d")),
        ("no scheme", ("a", "b", "c", "d")),
        ("", ("a", "b", "c", "d")),
    ],
)
def test_a_resource_is_asked_of_those_who_may_have_it(uri: str, servers: tuple[str, ...]) -> None:
    """By index, else by template, then by scheme, then of all that have resources."""
    found = routed("resources/read", {"uri": uri})
    assert (found.server_ids, found.target, found.name) == (servers, uri, None)


def test_a_resource_that_nobody_can_have_is_unknown() -> None:
    """The error names it, as the specification asks."""
    offer = snapshot(catalogue("a", tools="x"))
    with pytest.raises(UnknownTarget) as caught:
        routed("resources/read", {"uri": "file:///1"}, offer)
    assert caught.value.data == {"uri": "file:///1"}
    assert caught.value.code == -32602


def test_a_completion_goes_where_its_reference_leads() -> None:
    """A prompt by its name, which is replaced; a template or resource by its URI."""
    message = inbound(
        "completion/complete",
        {"name": "decoy", "ref": {"type": "ref/prompt", "name": "a__p"}, "argument": {}},
    )
    found = route(message, OFFER)
    assert (found.server_ids, found.target, found.name) == (("a",), "p", b'"p"')
    assert message.envelope.body[found.name_start : found.name_end] == b'"a__p"'
    for uri, servers in (("t://{id}", ("b",)), ("db://1", ("a",)), ("t://7", ("b", "d", "a", "c"))):
        found = routed("completion/complete", {"ref": {"type": "ref/resource", "uri": uri}})
        assert (found.server_ids, found.name) == (servers, None)


def test_a_completion_for_an_unknown_prompt_is_unknown() -> None:
    """Tools cannot be completed."""
    for name in ("a__x", "nope"):
        with pytest.raises(UnknownTarget):
            routed("completion/complete", {"ref": {"type": "ref/prompt", "name": name}})


def test_odd_values_beside_the_reference_do_no_harm() -> None:
    """JSON has larger numbers than parsers take."""
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"completion/complete",'
        b'"params":{"ref":{"x":1e400,"type":"ref/prompt","name":"a__p"}}}'
    )
    assert route(classify(scan(body), McpHeaders()), OFFER).server_ids == ("a",)


def test_a_name_of_a_server_that_was_never_up_says_so() -> None:
    """Whoever asks then looks at the server, not at the name."""
    servers = [server("a"), server("late"), server("bare", prefix="")]
    offer = build(1, servers, {"a": catalogue("a", tools="x")}, 1000)
    for method, params in (
        ("tools/call", {"name": "late__x"}),
        ("prompts/get", {"name": "late__x"}),
        ("completion/complete", {"ref": {"type": "ref/prompt", "name": "late__x"}}),
    ):
        with pytest.raises(
            UnlistedTarget, match="server late is not up, and was not since the start"
        ):
            routed(method, params, offer)
    for name in ("a__y", "late_x", "bare__x", "latex__x"):
        with pytest.raises(UnknownTarget, match="unknown tool"):
            routed("tools/call", {"name": name}, offer)
