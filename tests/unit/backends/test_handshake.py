"""What a backend's answers to our greetings prove."""

import json

import pytest

from only1mcp._speedups import Envelope, scan
from only1mcp.backends.handshake import (
    discover,
    initialize,
    judge_probe,
    own_request,
    read_initialize,
)
from only1mcp.errors import BackendProtocolError
from only1mcp.protocol.implementation import IMPLEMENTATION
from only1mcp.protocol.versions import LEGACY_VERSIONS, NEWEST_LEGACY, Era
from tests.support.messages import MODERN, OWN


def result(value: object) -> Envelope:
    """Return a response with this result."""
    return scan(json.dumps({"jsonrpc": "2.0", "id": 1, "result": value}).encode())


def error(code: int, **more: object) -> Envelope:
    """Return an error response."""
    body = {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": "no", **more}}
    return scan(json.dumps(body).encode())


def test_the_probe_is_a_modern_request_that_declares_no_features() -> None:
    """In our own name."""
    probe = discover()
    assert (probe.method, probe.era, probe.safe) == ("server/discover", Era.MODERN, True)
    assert json.loads(probe.params) == {
        "_meta": {
            OWN + "protocolVersion": MODERN,
            OWN + "clientInfo": IMPLEMENTATION,
            OWN + "clientCapabilities": {},
        }
    }


def test_initialize_offers_our_newest_legacy_revision_and_no_features() -> None:
    """A shared session can serve no client's requests for input."""
    opening = initialize()
    assert (opening.method, opening.era, opening.safe) == ("initialize", Era.LEGACY, False)
    assert json.loads(opening.params) == {
        "protocolVersion": NEWEST_LEGACY, "capabilities": {},
        "clientInfo": IMPLEMENTATION,
    }  # fmt: skip


def test_our_own_requests_have_the_form_of_their_era() -> None:
    """With or without members."""
    assert own_request("tools/list", Era.LEGACY).params == b""
    members = (("cursor", b'"x"'),)
    assert own_request("tools/list", Era.LEGACY, members).params == b'{"cursor":"x"}'
    modern = json.loads(own_request("tools/list", Era.MODERN, members).params)
    assert modern["cursor"] == "x"
    assert modern["_meta"][OWN + "protocolVersion"] == MODERN


def test_a_discover_result_with_our_revision_proves_a_modern_backend() -> None:
    """With all that it says of itself."""
    hello = judge_probe(
        result(
            {
                "resultType": "complete", "supportedVersions": ["2031-01-01", MODERN],
                "capabilities": {"tools": {}}, "instructions": "Do.",
                "_meta": {OWN + "serverInfo": {"name": "s", "version": "1"}},
            }
        )
    )  # fmt: skip
    assert hello is not None
    assert (hello.era, hello.version, hello.eras) == (
        Era.MODERN, MODERN, frozenset({Era.MODERN}),
    )  # fmt: skip
    assert (hello.capabilities, hello.info) == ({"tools": {}}, {"name": "s", "version": "1"})
    assert hello.instructions == "Do."


@pytest.mark.parametrize(
    "reply",
    [
        error(-32601), error(-32602), error(-32000), error(-32603), error(5),
        error(-32022, data={"supported": ["2031-01-01"], "requested": MODERN}),
        result({}), result(None), result([]), result("x"), result({"supportedVersions": MODERN}),
        result({"supportedVersions": []}), result({"supportedVersions": ["2025-11-25"]}),
        result({"supportedVersions": [1, None]}), result({"protocolVersion": "2025-11-25"}),
    ],
    ids=lambda reply: reply.body[26:70].decode(),
)  # fmt: skip
def test_anything_else_proves_a_legacy_one(reply: Envelope) -> None:
    """Errors of every code, results without our revision."""
    assert judge_probe(reply) is None


@pytest.mark.parametrize("version", LEGACY_VERSIONS)
def test_an_initialize_result_opens_a_legacy_session(version: str) -> None:
    """Of any revision that we speak."""
    hello = read_initialize(
        result({"protocolVersion": version, "capabilities": {"prompts": {}},
                "serverInfo": {"name": "s"}, "instructions": "Do."})
    )  # fmt: skip
    assert (hello.era, hello.version, hello.eras) == (
        Era.LEGACY, version, frozenset({Era.LEGACY}),
    )  # fmt: skip
    assert (hello.capabilities, hello.info, hello.instructions) == (
        {"prompts": {}}, {"name": "s"}, "Do.",
    )  # fmt: skip


def test_what_is_missing_or_malformed_in_a_greeting_counts_as_nothing() -> None:
    """A server need not say more than its revision."""
    for junk in ({}, {"capabilities": [], "serverInfo": "x", "instructions": 3}):
        hello = read_initialize(result({"protocolVersion": "2025-11-25", **junk}))
        assert (hello.capabilities, hello.info, hello.instructions) == ({}, {}, "")
    hello_too = judge_probe(result({"supportedVersions": [MODERN], "_meta": 3}))
    assert hello_too is not None
    assert (hello_too.capabilities, hello_too.info) == ({}, {})


@pytest.mark.parametrize("version", [MODERN, "2024-10-07", "", None, 3, "x" * 1000])
def test_a_revision_that_we_do_not_speak_is_an_error(version: object) -> None:
    """Said briefly."""
    with pytest.raises(BackendProtocolError, match="answered with version") as caught:
        read_initialize(result({"protocolVersion": version}))
    assert len(str(caught.value)) < 200


def test_a_refused_initialize_says_why() -> None:
    """In the server's words, not all of them."""
    with pytest.raises(BackendProtocolError, match="initialize was refused: no"):
        read_initialize(error(-32600))
    with pytest.raises(BackendProtocolError) as caught:
        read_initialize(scan(b'{"jsonrpc":"2.0","id":1,"error":"%b"}' % (b"x" * 5000)))
    assert len(str(caught.value)) < 300


def test_a_greeting_with_numbers_beyond_reason_is_an_error_not_an_accident() -> None:
    """It is JSON, but not for our parser."""
    greeting = scan(b'{"jsonrpc":"2.0","id":1,"result":{"x":1e400}}')
    for read in (judge_probe, read_initialize):
        with pytest.raises(BackendProtocolError, match="greeting cannot be read"):
            read(greeting)


def test_a_backend_of_both_eras_keeps_its_greeting() -> None:
    """And is remembered to speak both."""
    hello = judge_probe(result({"supportedVersions": [MODERN], "capabilities": {"tools": {}}}))
    assert hello is not None
    both = hello.also(Era.LEGACY)
    assert (both.era, both.eras, both.capabilities) == (
        Era.MODERN, frozenset(Era), hello.capabilities,
    )  # fmt: skip
    assert hello.eras == {Era.MODERN}
