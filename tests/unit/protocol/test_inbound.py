"""The ladder of checks that a message climbs before anything acts on it; the first failure wins."""

import json
from typing import Any

import pytest

from only1mcp._speedups import scan
from only1mcp.errors import ClientError
from only1mcp.protocol.headers import McpHeaders
from only1mcp.protocol.inbound import classify
from only1mcp.protocol.methods import METHODS
from only1mcp.protocol.versions import LEGACY_VERSIONS, MODERN_VERSIONS, Era
from tests.support.messages import META, MODERN, OWN, encode, legacy, modern, notification

CALL = {"name": "a__b", "arguments": {}}
FUTURE = "2031-01-01"
VERSION, CAPABILITIES = OWN + "protocolVersion", OWN + "clientCapabilities"
LEVEL = OWN + "logLevel"
BAD_LEVELS: list[Any] = ["bogus", "ERROR", "", 3, {}, ["info"]]
OLD = LEGACY_VERSIONS[-1]


def body(meta: Any = META, method: str = "tools/call", **params: Any) -> bytes:
    """Write a request with this `_meta`."""
    return legacy(method, {**CALL, **params, "_meta": meta})


def h(
    version: str | None = MODERN, method: str | None = "tools/call", name: str | None = "a__b",
    session: str | None = None, repeated: tuple[str, ...] = (),
) -> McpHeaders:  # fmt: skip
    """Return the headers of a correct modern call, but for what is named."""
    return McpHeaders(version, method, name, session, repeated)


REFUSED = [
    # what is wrong, body, headers, code, status
    ("a batch", b"[]", h(None), -32600, 400),
    ("a batch of requests", b"[" + body() + b"]", h(), -32600, 400),
    ("legacy: the session header twice", legacy("ping"),
     h(None, repeated=("mcp-session-id",)), -32600, 400),
    ("legacy: the version header twice", legacy("ping"),
     h(OLD, repeated=("mcp-protocol-version",)), -32600, 400),
    ("legacy: an unknown method", legacy("tools/nope"), h(None), -32601, 404),
    ("legacy: a method of the modern era", legacy("server/discover"), h(None), -32601, 404),
    ("legacy: the other era's stream", legacy("subscriptions/listen"), h(OLD), -32601, 404),
    ("a posted response", encode({"jsonrpc": "2.0", "id": 1, "result": {}}), h(), -32600, 400),
    ("a header of an unknown revision", legacy("tools/call", CALL), h(FUTURE), -32022, 400),
    ("no params at all", legacy("tools/list"), h(method="tools/list"), -32602, 400),
    ("no _meta", legacy("tools/call", CALL), h(), -32602, 400),
    ("_meta is a list", body([1]), h(), -32602, 400),
    ("_meta is a string", body("x"), h(), -32602, 400),
    ("_meta is empty", body({}), h(), -32602, 400),
    ("no protocolVersion", body({CAPABILITIES: {}}), h(), -32602, 400),
    ("protocolVersion is a number", body({**META, VERSION: 1}), h(None), -32602, 400),
    ("protocolVersion is null", body({**META, VERSION: None}), h(None), -32602, 400),
    ("no clientCapabilities", body({VERSION: MODERN}), h(), -32602, 400),
    ("clientCapabilities is a list", body({**META, CAPABILITIES: []}), h(), -32602, 400),
    *[(f"the log level {level!r}", body({**META, LEVEL: level}), h(), -32602, 400)
      for level in BAD_LEVELS],
    ("_meta before headers", body({VERSION: FUTURE}), h(None), -32602, 400),
    ("the version header twice", body(), h(repeated=("mcp-protocol-version",)), -32020, 400),
    ("the method header twice", body(), h(repeated=("mcp-method",)), -32020, 400),
    ("the name header twice", body(), h(repeated=("mcp-name",)), -32020, 400),
    ("no version header", body(), h(None), -32020, 400),
    ("the version header is a legacy one", body(), h(OLD), -32020, 400),
    ("the header is ours, the body unknown", body({**META, VERSION: FUTURE}), h(), -32020, 400),
    ("the header is unknown, the body ours", body(), h(FUTURE), -32020, 400),
    ("no method header", body(), h(method=None), -32020, 400),
    ("another method header", body(), h(method="tools/list"), -32020, 400),
    ("the method header in capitals", body(), h(method="Tools/Call"), -32020, 400),
    ("headers before the version", body({**META, VERSION: FUTURE}),
     h(FUTURE, "tools/list"), -32020, 400),
    ("both name a revision to come", body({**META, VERSION: FUTURE}), h(FUTURE), -32022, 400),
    ("both name a legacy revision", body({**META, VERSION: OLD}), h(OLD), -32022, 400),
    ("the version before the method", body({**META, VERSION: FUTURE}, "nope"),
     h(FUTURE, "nope"), -32022, 400),
    ("an unknown method", body(method="tools/nope"), h(method="tools/nope"), -32601, 404),
    ("the method before the name", body(method="tools/nope"),
     h(method="tools/nope", name=None), -32601, 404),
    ("no name header", body(), h(name=None), -32020, 400),
    ("another name header", body(), h(name="a__c"), -32020, 400),
    ("the name header in capitals", body(), h(name="A__B"), -32020, 400),
    ("a name header of bad base64", body(), h(name="=?base64?_?="), -32020, 400),
    ("another uri header", body(method="resources/read", uri="file:///a"),
     h(method="resources/read", name="file:///b"), -32020, 400),
    *[(f"{method} in the modern era", body(method=method), h(method=method), -32601, 404)
      for method in ("initialize", "ping", "logging/setLevel", "resources/subscribe",
                     "resources/unsubscribe")],
]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "headers", "code", "status"),
    [pytest.param(*row[1:], id=row[0]) for row in REFUSED],
)
def test_the_first_broken_rule_decides_the_error(
    message: bytes, headers: McpHeaders, code: int, status: int
) -> None:
    """Each rung has its JSON-RPC code and HTTP status."""
    with pytest.raises(ClientError) as caught:
        classify(scan(message), headers)
    assert (caught.value.code, caught.value.http_status) == (code, status)


PASSED = [
    # what is sent, body, headers, era, method
    ("legacy initialize", legacy("initialize", {}), h(None), Era.LEGACY, "initialize"),
    ("legacy ping without params", legacy("ping"), h(OLD), Era.LEGACY, "ping"),
    *[(f"a list in {version}", legacy("tools/list"), h(version), Era.LEGACY, "tools/list")
      for version in LEGACY_VERSIONS],
    ("a legacy call with other _meta keys", body({"progressToken": 1}), h(None, None, None),
     Era.LEGACY, "tools/call"),
    ("legacy with stray modern headers", legacy("ping"), h(None, "x", "y"), Era.LEGACY, "ping"),
    ("a legacy notification", notification("notifications/initialized"), h(OLD), Era.LEGACY, None),
    ("a legacy response", encode({"jsonrpc": "2.0", "id": 1, "result": {}}), h(OLD),
     Era.LEGACY, None),
    ("an error as response", encode({"jsonrpc": "2.0", "id": "a", "error": {"code": 1}}), h(None),
     Era.LEGACY, None),
    ("a modern call", body(), h(), Era.MODERN, "tools/call"),
    ("a modern call with a stray session", body(), h(session="x"), Era.MODERN, "tools/call"),
    ("a name in base64", body(), h(name="=?base64?YV9fYg==?="), Era.MODERN, "tools/call"),
    ("a name between spaces", body(), h(name="\t a__b "), Era.MODERN, "tools/call"),
    ("a resource", body(method="resources/read", uri="file:///a b"),
     h(method="resources/read", name="file:///a b"), Era.MODERN, "resources/read"),
    ("a list needs no name", modern("tools/list"), h(method="tools/list", name=None),
     Era.MODERN, "tools/list"),
    ("a completion needs no name", modern("completion/complete", {"ref": {}}),
     h(method="completion/complete", name=None), Era.MODERN, "completion/complete"),
    ("discover", modern("server/discover"), h(method="server/discover", name=None),
     Era.MODERN, "server/discover"),
    ("a modern notification, headers undefined", notification("notifications/cancelled"),
     h(method=None, name=None), Era.MODERN, None),
    ("a missing target is the router's to refuse", modern("tools/call"), h(name="anything"),
     Era.MODERN, "tools/call"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "headers", "era", "method"),
    [pytest.param(*row[1:], id=row[0]) for row in PASSED],
)
def test_what_keeps_the_rules_is_classified(
    message: bytes, headers: McpHeaders, era: Era, method: str | None
) -> None:
    """The era is told by body or header, and the method by the table."""
    inbound = classify(scan(message), headers)
    assert inbound.era is era
    assert (inbound.method.name if inbound.method else None) == method


def test_a_version_error_says_what_is_supported_and_what_was_asked() -> None:
    """Clients pick their next try from `data.supported`."""
    with pytest.raises(ClientError) as caught:
        classify(scan(body({**META, VERSION: FUTURE})), h(FUTURE))
    assert caught.value.data == {"supported": list(MODERN_VERSIONS), "requested": FUTURE}


def test_the_missing_key_of_meta_is_named() -> None:
    """A client's author reads in the message what to add."""
    for missing in (VERSION, CAPABILITIES):
        meta = {key: value for key, value in META.items() if key != missing}
        with pytest.raises(ClientError, match=missing):
            classify(scan(body(meta)), h())


def test_whoever_names_no_log_level_is_told_those_there_are() -> None:
    """One that is known, or none, is in order."""
    with pytest.raises(ClientError, match=LEVEL) as caught:
        classify(scan(body({**META, LEVEL: "verbose"})), h())
    assert caught.value.hint == (
        "one of debug, info, notice, warning, error, critical, alert, emergency"
    )
    for level in ("debug", None):
        classify(scan(body({**META, LEVEL: level})), h())


def test_an_unknown_method_is_cut_and_quoted_in_the_message() -> None:
    """A client cannot blow up or forge what is written about it."""
    with pytest.raises(ClientError) as caught:
        classify(scan(legacy("x\n" * 5000)), h(None))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_each_method_of_the_table_is_known_in_its_eras_only() -> None:
    """The method table alone decides which era has which method."""
    for name, row in METHODS.items():
        params = json.loads(modern(name, {"name": "n", "uri": "n"}))["params"]
        for era, headers in ((Era.MODERN, h(method=name, name="n")), (Era.LEGACY, h(None))):
            message = legacy(name, params if era is Era.MODERN else {})
            if era in row.eras:
                assert classify(scan(message), headers).method is row
            else:
                with pytest.raises(ClientError) as caught:
                    classify(scan(message), headers)
                assert caught.value.code == -32601
