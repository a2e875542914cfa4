"""Questions to the client, inside results and as requests, and the way from one to the other."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp._speedups import scan
from only1mcp.errors import BackendProtocolError, InvalidParams
from only1mcp.protocol.input_required import (
    ELICIT,
    LIST_ROOTS,
    SAMPLE,
    InputRequest,
    Retry,
    params_for_legacy,
    params_for_modern,
    read_input_required,
    read_retry,
    retry_params,
    url_elicitations,
    write_input_required,
)
from only1mcp.protocol.versions import LEGACY_VERSIONS

ODD = b'{"n": 1.0,"huge":1e400 ,"\\u0061":"\\/\xc3\xa9","deep":[{ }]}'
"""Values that a parser and writer on the way would change."""
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
PARAMS = st.sampled_from([b"", b"{}", ODD, b'{"_meta":{}}'])
REQUESTS = st.dictionaries(TEXT, st.tuples(st.sampled_from([ELICIT, SAMPLE, LIST_ROOTS]), PARAMS))
RELATED_TASK = b'"io.modelcontextprotocol/related-task"'


def test_questions_and_state_are_read_as_they_are_written() -> None:
    """Keys are text, parameters and state raw bytes; absent parameters are empty."""
    requests, state = read_input_required(
        b'{ "resultType":"input_required","inputRequests" : {"k\\u0031":{"params": %b ,'
        b'"method":"elicitation/create","x":1},"\xc3\xa9":{"method":"roots/list"}},'
        b'"requestState" : "a\\u002fb","_meta":{}}' % ODD
    )
    assert requests == [InputRequest("k1", ELICIT, ODD), InputRequest("é", LIST_ROOTS, b"")]
    assert state == b'"a\\u002fb"'


@pytest.mark.parametrize(
    ("result", "count", "state"),
    [
        (b'{"requestState":"s"}', 0, b'"s"'),
        (b'{"requestState":""}', 0, b'""'),
        (b'{"inputRequests":{},"requestState":"s"}', 0, b'"s"'),
        (b'{"inputRequests":null,"requestState":"s"}', 0, b'"s"'),
        (b'{"inputRequests":{"a":{"method":"roots/list"}}}', 1, None),
        (b'{"inputRequests":{"a":{"method":"roots/list","params":null}},"requestState":null}',
         1, None),
    ],
)  # fmt: skip
def test_either_questions_or_a_state_suffice(
    result: bytes, count: int, state: bytes | None
) -> None:
    """And null is how some SDKs leave a member out."""
    requests, found = read_input_required(result)
    assert (len(requests), found) == (count, state)
    assert all(request.params == b"" for request in requests)


@pytest.mark.parametrize(
    "result",
    [
        b"", b"null", b"[]", b'"x"', b"{}", b'{"inputRequests":{}}', b'{"requestState":null}',
        b'{"requestState":1}', b'{"requestState":{}}', b'{"requestState":["s"]}',
        b'{"inputRequests":[]}', b'{"inputRequests":"x","requestState":"s"}',
        b'{"inputRequests":{"a":null}}', b'{"inputRequests":{"a":"roots/list"}}',
        b'{"inputRequests":{"a":{}}}', b'{"inputRequests":{"a":{"method":1e400}}}',
        b'{"inputRequests":{"a":{"method":"ping"}}}',
        b'{"inputRequests":{"a":{"method":"tools/call","params":{}}}}',
        b'{"inputRequests":{"a":{"method":"roots/list","params":[]}}}',
        b'{"inputRequests":{"a":{"method":"roots/list","params":1}}}',
        b'{"inputRequests":{"a":{"method":"roots/list"},"\\u0061":{"method":"roots/list"}}}',
        b'{"inputRequests":{"a":{"method":"roots/list"}},"requestState":7}',
    ],
)  # fmt: skip
def test_a_malformed_result_is_the_servers_fault(result: bytes) -> None:
    """It asks for nothing, for the unknown, or in a shape that no client can answer."""
    with pytest.raises(BackendProtocolError, match="malformed"):
        read_input_required(result)


@given(REQUESTS, TEXT)
def test_what_is_written_is_read_back(asked: dict[str, tuple[str, bytes]], state: str) -> None:
    """Whatever the keys, the parameters and the state."""
    requests = [InputRequest(key, *rest) for key, rest in asked.items()]
    result = write_input_required(requests, state)
    envelope = scan(b'{"jsonrpc":"2.0","id":1,"result":' + result + b"}")
    assert envelope.result_type == "input_required"
    found, raw = read_input_required(result)
    assert found == requests
    assert raw is not None
    assert json.loads(raw) == state


def test_a_result_that_asks_has_the_shape_of_the_specification() -> None:
    """2026-07-28, basic/patterns/mrtr; with nothing to ask it only bears the state."""
    result = write_input_required(
        [InputRequest("k1", ELICIT, ODD), InputRequest("k2", LIST_ROOTS, b"")], "s"
    )
    assert result == (
        b'{"resultType":"input_required","inputRequests":{"k1":{"method":"elicitation/create",'
        b'"params":%b},"k2":{"method":"roots/list"}},"requestState":"s"}' % ODD
    )
    assert write_input_required([], "s") == b'{"resultType":"input_required","requestState":"s"}'


@pytest.mark.parametrize(
    "params",
    [b"", b"{}", b'{"name":"x","arguments":{"inputResponses":{},"requestState":"s"}}',
     b'{"inputResponses":null,"requestState":null}'],
)  # fmt: skip
def test_a_request_without_answers_and_state_is_no_retry(params: bytes) -> None:
    """Only members of the parameters themselves count."""
    assert read_retry(params) is None


@pytest.mark.parametrize(
    ("params", "retry"),
    [
        (b'{"name":"x","inputResponses":{"k\\u0031": %b },"arguments": %b,"requestState":"a\\/b"}'
         % (ODD, ODD),
         Retry({"k1": ODD}, "a/b", b'{"name":"x","arguments":%b}' % ODD)),
        (b'{"requestState":""}', Retry({}, "", b"{}")),
        (b'{"inputResponses":{}}', Retry({}, None, b"{}")),
        (b'{"inputResponses":{"a":{}},"requestState":null}', Retry({"a": b"{}"}, None, b"{}")),
        (b'{"inputResponses":null,"requestState":"s","uri":"u"}',
         Retry({}, "s", b'{"uri":"u"}')),
    ],
)  # fmt: skip
def test_a_retry_is_answers_state_and_the_parameters_without_them(
    params: bytes, retry: Retry
) -> None:
    """The parameters that are left are those of the first request, value by value."""
    assert read_retry(params) == retry


@pytest.mark.parametrize(
    "params",
    [
        b'{"requestState":1}', b'{"requestState":{}}', b'{"requestState":1e400}',
        b'{"requestState":true,"inputResponses":{}}',
        b'{"inputResponses":[]}', b'{"inputResponses":"x"}', b'{"inputResponses":1e400}',
        b'{"inputResponses":{"a":null}}', b'{"inputResponses":{"a":"accept"}}',
        b'{"inputResponses":{"a":[]}}', b'{"inputResponses":{"a":{},"b":1}}',
        b'{"inputResponses":{"a":{},"\\u0061":{}}}',
    ],
)  # fmt: skip
def test_a_malformed_retry_is_the_clients_fault(params: bytes) -> None:
    """Every answer is an object, and each question is answered once."""
    with pytest.raises(InvalidParams):
        read_retry(params)


@pytest.mark.parametrize(
    ("params", "responses", "state", "again"),
    [
        (b'{ "name" : "x" }', [("k", b'{"n": 1.0}')], b'"a\\/b"',
         b'{ "name" : "x","inputResponses":{"k":{"n": 1.0}},"requestState":"a\\/b"}'),
        (b'{"a":1.0,"requestState":"old","inputResponses":{"z":{}}}', [("k", b"{}")], None,
         b'{"a":1.0,"inputResponses":{"k":{}}}'),
        (b'{"requestState":"old", "a": 1.0}', [], b'"new"', b'{"a":1.0,"requestState":"new"}'),
        (b"", [], b'"s"', b'{"requestState":"s"}'),
        (b'{ "a":1}', [], None, b'{ "a":1}'),
    ],
)  # fmt: skip
def test_a_retry_adds_answers_and_the_exact_state(
    params: bytes, responses: list[tuple[str, bytes]], state: bytes | None, again: bytes
) -> None:
    """In place of older ones; a state that the server did not send is not sent (mrtr)."""
    assert retry_params(params, responses, state) == again


@given(st.dictionaries(TEXT, st.just(b'{"n":1.0}')), st.none() | TEXT)
def test_a_retry_that_is_written_is_read_back(answers: dict[str, bytes], state: str | None) -> None:
    """What one side adds the other takes off."""
    raw = None if state is None else json.dumps(state).encode()
    retry = read_retry(retry_params(b'{"name":"x"}', list(answers.items()), raw))
    expected = Retry(answers, state, b'{"name":"x"}') if answers or raw else None
    assert retry == expected


@pytest.mark.parametrize(
    ("method", "params", "expected"),
    [
        (SAMPLE, b'{"messages": [ ],"task":{"ttl":1},"maxTokens":1.0}',
         b'{"messages":[ ],"maxTokens":1.0}'),
        (SAMPLE, b'{"_meta":{"progressToken":1, "x/y":1e400}, "a":1}',
         b'{"_meta":{"x/y":1e400}, "a":1}'),
        (LIST_ROOTS, b'{"_meta":{"progressToken":"t",%b:{"taskId":"1"}}}' % RELATED_TASK, b"{}"),
        (ELICIT, b'{"mode":"url","url":"u","elicitationId":"e","message":"m"}',
         b'{"mode":"url","url":"u","message":"m"}'),
        (ELICIT, b'{"mode":"url","elicitationId":"e","task":{},"_meta":{"progressToken":1}}',
         b'{"mode":"url"}'),
    ],
)  # fmt: skip
def test_a_legacy_question_loses_what_a_modern_client_does_not_know(
    method: str, params: bytes, expected: bytes
) -> None:
    """Tasks of 2025-11-25, progress on the server's connection, and the id of a URL."""
    assert params_for_modern(method, params) == expected


@pytest.mark.parametrize(
    ("method", "params"),
    [
        (ELICIT, ODD), (LIST_ROOTS, b""), (LIST_ROOTS, b'{"_meta":{}}'),
        (ELICIT, b'{ "requestedSchema" : {"properties":{"task":{}}},"elicitationId":1 }'),
        (SAMPLE, b'{"_meta":{"com.x/y": 1.0},"elicitationId":"e"}'), (SAMPLE, b'{"_meta":3}'),
    ],
)  # fmt: skip
def test_a_question_that_both_eras_know_stays_as_it_is(method: str, params: bytes) -> None:
    """The very same bytes."""
    assert params_for_modern(method, params) is params


FORM, URL = b'{"message": "m"}', b'{"mode":"url","url":"u"}'
TOOLS = b'{"tools":[],"messages":[]}'
SINCE = [
    (LIST_ROOTS, b"", "2024-11-05"), (SAMPLE, ODD, "2024-11-05"),
    (SAMPLE, b'{"includeContext":"thisServer","tools":null}', "2024-11-05"),
    (ELICIT, FORM, "2025-06-18"), (ELICIT, b'{"mode":"form"}', "2025-06-18"),
    (ELICIT, URL, "2025-11-25"), (SAMPLE, TOOLS, "2025-11-25"),
    (SAMPLE, b'{"toolChoice":{}}', "2025-11-25"),
]  # fmt: skip


@pytest.mark.parametrize("version", LEGACY_VERSIONS)
@pytest.mark.parametrize(("method", "params", "since"), SINCE)
def test_a_legacy_client_is_asked_what_its_revision_has(
    method: str, params: bytes, since: str, version: str
) -> None:
    """Older clients are not sent what they cannot read: the server learns that it failed."""
    request = InputRequest("k", method, params)
    if version < since:
        with pytest.raises(BackendProtocolError, match=version):
            params_for_legacy(request, version, "e")
    elif params is URL:
        assert params_for_legacy(request, version, "e\n") == (
            b'{"mode":"url","url":"u","elicitationId":"e\\n"}'
        )
    else:
        assert params_for_legacy(request, version, "e") is params


def test_an_elicitation_id_that_is_there_is_replaced() -> None:
    """The id is ours to give: it must be unique among all servers behind us."""
    request = InputRequest("k", ELICIT, b'{"elicitationId":"theirs", "mode":"url"}')
    assert params_for_legacy(request, "2025-11-25", "ours") == (
        b'{"elicitationId":"ours", "mode":"url"}'
    )


def test_a_request_that_no_client_answers_is_not_sent() -> None:
    """Whatever revision the client has."""
    with pytest.raises(BackendProtocolError):
        params_for_legacy(InputRequest("k", "tools/call", b"{}"), "2025-11-25", "e")


def test_urls_that_an_error_demands_become_questions() -> None:
    """In their order, without the ids that 2026-07-28 took away, and always marked as URLs."""
    error = (
        b'{"message":"m","code":-32042,"data":{"elicitations":[{"mode":"url","elicitationId":"e",'
        b'"url":"https://a/ \\u0061","n": 1e400}, 3 ,{"url":"u"},{"mode":"url"},{"url":1.0}]}}'
    )
    assert url_elicitations(error) == [
        InputRequest("url-1", ELICIT, b'{"mode":"url","url":"https://a/ \\u0061","n":1e400}'),
        InputRequest("url-2", ELICIT, b'{"url":"u","mode":"url"}'),
    ]


LISTED: dict[str, Any] = {"elicitations": [{"mode": "url", "url": "u", "elicitationId": "e"}]}


@pytest.mark.parametrize(
    "error",
    [
        {}, {"code": -32602, "data": LISTED}, {"code": "-32042", "data": LISTED}, {"code": -32042},
        {"code": -32042, "data": None}, {"code": -32042, "data": [LISTED]},
        {"code": -32042, "data": {}}, {"code": -32042, "data": {"elicitations": None}},
        {"code": -32042, "data": {"elicitations": {}}},
        {"code": -32042, "data": {"elicitations": []}},
    ],
    ids=str,
)  # fmt: skip
def test_other_errors_demand_no_urls(error: dict[str, Any]) -> None:
    """Nor does one that lists none."""
    assert url_elicitations(json.dumps(error).encode()) == []
