"""Which notifications of a call reach its client, and in what form."""

import json
from typing import Any

import pytest

from only1mcp._speedups import scan
from only1mcp.protocol.headers import McpHeaders
from only1mcp.protocol.inbound import Inbound, classify
from only1mcp.protocol.log_levels import LEVELS
from only1mcp.proxy.notices import Notices, asked_level
from tests.support.asking import ACCEPTED, Asked, askable_desk
from tests.support.catalogues import catalogue
from tests.support.desk import Desk
from tests.support.loop import on_loop
from tests.support.messages import OWN, legacy, modern, modern_headers, notification

LOG_LEVEL = OWN + "logLevel"
CALL = {"name": "a__x"}


def inbound(**meta: object) -> Inbound:
    """Return a modern call."""
    body = modern("tools/call", {"name": "x", "_meta": meta})
    return classify(scan(body), modern_headers("tools/call", "x"))


def legacy_inbound() -> Inbound:
    """Return a legacy call."""
    return classify(scan(legacy("tools/call", CALL)), McpHeaders())


def passed(subject: Notices, method: str, params: dict[str, Any] | None) -> Any:
    """Return a notification as the client gets it."""
    found = subject.passed(scan(notification(method, params)))
    return None if found is None else json.loads(found)


def progress(subject: Notices, **params: object) -> Any:
    """Return progress as the client gets it."""
    return passed(subject, "notifications/progress", params)


def log(subject: Notices, level: object) -> bool:
    """Say whether the client gets a log message."""
    return passed(subject, "notifications/message", {"level": level, "data": 1}) is not None


def test_the_end_of_a_url_concerns_clients_that_know_its_id() -> None:
    """Those of 2026-07-28 get none with the question."""
    params = {"elicitationId": "theirs"}
    found = [
        passed(Notices(one, None, None, None), "notifications/elicitation/complete", params)
        for one in (legacy_inbound(), inbound())
    ]
    assert [message and message["params"] for message in found] == [params, None]


@pytest.mark.parametrize("own", [b"7", b'"a"', b"0", b'"\\u0061"', b"-1"])
def test_progress_bears_the_client_s_own_token(own: bytes) -> None:
    """In its own spelling; the rest is the server's, byte for byte."""
    subject = Notices(legacy_inbound(), own, b'"ours"', None)
    body = (
        b'{"jsonrpc":"2.0","method":"notifications/progress",'
        b'"params":{"x":1.0,"progressToken":"ours","progress":1e2}}'
    )
    found = subject.passed(scan(body))
    assert found == body.replace(b'"ours"', own)


@pytest.mark.parametrize("token", ["ours-2", 1, None, "", "OURS", ["ours"]])
def test_progress_of_another_call_is_not_for_this_client(token: object) -> None:
    """Whatever token it bears."""
    subject = Notices(legacy_inbound(), b"7", b'"ours"', None)
    assert progress(subject, progressToken=token, progress=1) is None
    assert progress(subject, progress=1) is None
    assert passed(subject, "notifications/progress", None) is None


def test_a_client_without_a_token_gets_no_progress() -> None:
    """Not even if the server makes up some that has no token either."""
    for call in (legacy_inbound(), inbound(), inbound(progressToken=7)):
        subject = Notices(call, None, None, None)
        assert progress(subject, progress=1) is None
        assert progress(subject, progressToken=7, progress=1) is None


def test_progress_follows_a_client_to_its_next_request() -> None:
    """It bears that one's token; if that one has none, nothing is told any more."""
    subject = Notices(inbound(progressToken="first"), b'"first"', b'"ours"', None)
    assert progress(subject, progressToken="ours")["params"]["progressToken"] == "first"
    subject.continue_with(inbound(progressToken=2))
    assert progress(subject, progressToken="ours")["params"]["progressToken"] == 2
    subject.continue_with(inbound())
    assert progress(subject, progressToken="ours") is None


def test_a_token_that_only_a_later_request_brings_comes_too_late() -> None:
    """The server was not asked for progress."""
    subject = Notices(inbound(), None, None, None)
    subject.continue_with(inbound(progressToken=2))
    assert progress(subject, progress=1) is None


@pytest.mark.parametrize("at", range(len(LEVELS)))
def test_a_modern_client_gets_log_messages_from_its_level_on(at: int) -> None:
    """As its request says."""
    subject = Notices(inbound(**{LOG_LEVEL: LEVELS[at]}), None, None, None)
    assert [log(subject, level) for level in LEVELS] == [n >= at for n in range(len(LEVELS))]
    assert log(subject, "unheard of")


def test_a_modern_client_that_names_no_level_gets_no_log_messages() -> None:
    """It has to ask for them (2026-07-28, server/utilities/logging); null says nothing."""
    subject = Notices(inbound(**{LOG_LEVEL: None}), None, None, None)
    assert not any(log(subject, level) for level in LEVELS)
    assert not any(log(Notices(inbound(), None, None, None), level) for level in LEVELS)


def test_a_word_that_looks_like_the_key_is_not_the_key() -> None:
    """Nor is the key in a deeper place."""
    assert asked_level(inbound(x="logLevel", logLevel="debug")) is None
    assert asked_level(inbound(deep={LOG_LEVEL: "debug"})) is None
    assert asked_level(inbound(**{LOG_LEVEL: "debug"})) == 0


def test_the_level_of_a_modern_client_is_that_of_its_newest_request() -> None:
    """Each one says it anew."""
    subject = Notices(inbound(**{LOG_LEVEL: "error"}), None, None, None)
    subject.continue_with(inbound(**{LOG_LEVEL: "debug"}))
    assert log(subject, "info")
    subject.continue_with(inbound())
    assert not log(subject, "emergency")


def test_a_legacy_client_gets_all_log_messages_until_it_says_otherwise() -> None:
    """As the server wrote them."""
    assert all(log(Notices(legacy_inbound(), None, None, None), level) for level in LEVELS)
    assert [log(Notices(legacy_inbound(), None, None, 4), level) for level in LEVELS] == (
        [False] * 4 + [True] * 4
    )


@pytest.mark.parametrize(
    "method",
    ["notifications/tools/list_changed", "notifications/resources/updated", "notifications/x",
     "notifications/initialized"],
)  # fmt: skip
def test_what_belongs_to_no_call_is_not_told_on_the_way_of_one(method: str) -> None:
    """It has streams of its own."""
    assert passed(Notices(legacy_inbound(), b"7", b"1", None), method, {"uri": "x"}) is None


@on_loop
async def test_two_clients_that_chose_the_same_token_hear_each_its_own() -> None:
    """They share the connection to the server."""
    desk = Desk(catalogue("a", tools="x"))
    told = [
        desk.legacy("tools/call", {**CALL, "_meta": {"progressToken": 1}}),
        desk.modern("tools/call", {**CALL, "_meta": {"progressToken": 1}}),
    ]
    backend = desk.backends["a"]
    for number in (0, 1):
        for token in ("ours-1", "ours-2"):
            backend.notify(
                "notifications/progress", {"progressToken": token, "progress": 1}, number
            )
    assert [[m["params"]["progressToken"] for m in one.messages] for one in told] == [[1], [1]]


@on_loop
async def test_what_a_client_hears_is_settled_by_each_of_its_requests() -> None:
    """One that asked for nothing at first can do so when it comes back."""
    call = Asked(askable_desk())
    call.backend.notify("notifications/progress", {"progressToken": "x", "progress": 1})
    call.backend.notify("notifications/message", {"level": "error", "data": 0})
    assert call.told.messages == []
    call.ask()
    _, state = await call.wanted()
    told = call.retry(state, {"q1": ACCEPTED}, progressToken="p", **{LOG_LEVEL: "info"})
    call.backend.notify("notifications/message", {"level": "info", "data": 1})
    call.backend.notify("notifications/message", {"level": "debug", "data": 2})
    assert [message["params"]["data"] for message in told.messages] == [1]
