"""Questions of a server to the client: inside results (2026-07-28), or as requests before that.

In the modern era a result may ask for input, and the client sends its request again with the
answers (basic/patterns/mrtr). What server and client wrote is spliced, never written anew; the
state belongs to who made it and is returned to him byte for byte.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from only1mcp._speedups import elements, members
from only1mcp.errors import BackendProtocolError, InvalidParams
from only1mcp.protocol.client_features import Feature, needed
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.raw_object import ABSENT, fields, with_field, without_fields
from only1mcp.protocol.translate import error_code, write_object

ELICIT, SAMPLE, LIST_ROOTS = "elicitation/create", "sampling/createMessage", "roots/list"
URL_ELICITATION_REQUIRED = -32042
"""The error of 2025-11-25 that asks the client to open URLs and to call again."""
_INPUT_METHODS = frozenset({ELICIT, SAMPLE, LIST_ROOTS})
_RETRY_KEYS = frozenset({"inputResponses", "requestState"})
_CONNECTION_META = frozenset({"progressToken", "io.modelcontextprotocol/related-task"})
_SINCE = (
    (Feature.ELICIT_FORM, "2025-06-18", "elicitation"),
    (Feature.ELICIT_URL, "2025-11-25", "elicitation by URL"),
    (Feature.SAMPLING_TOOLS, "2025-11-25", "tools in sampling"),
)


@dataclass(frozen=True, slots=True)
class InputRequest:
    """One question to the client."""

    key: str
    """What names it among the questions of one result."""
    method: str
    params: bytes
    """Empty when there are none."""


@dataclass(frozen=True, slots=True)
class Retry:
    """What a request brings that is sent again."""

    responses: dict[str, bytes]
    """The client's results, by the key of their question."""
    state: str | None
    params: bytes
    """The parameters without these two."""


def read_input_required(result: bytes) -> tuple[list[InputRequest], bytes | None]:
    """Return what a result asks, and its state as it is written.

    Raises:
        BackendProtocolError: the result is malformed, or holds neither question nor state.
    """
    found = fields(result)
    state = found.get("requestState", b"")
    if state in ABSENT:
        state = b""
    elif state[:1] != b'"':
        raise _malformed("requestState is no string")
    asked = found.get("inputRequests", b"")
    requests = [] if asked in ABSENT else _read_requests(asked)
    if not requests and not state:
        raise _malformed("there is neither a request nor a state")
    return requests, state or None


def _read_requests(raw: bytes) -> list[InputRequest]:
    if raw[:1] != b"{":
        raise _malformed("inputRequests is no object")
    requests = [_read_request(key, raw[start:end]) for key, start, end in members(raw)]
    if len({request.key for request in requests}) != len(requests):
        raise _malformed("two requests have the same key")
    return requests


def _read_request(key: str, raw: bytes) -> InputRequest:
    found = fields(raw)
    method = as_string(found.get("method", b""))
    if method not in _INPUT_METHODS:
        raise _malformed("a request is none that a client can be asked")
    params = found.get("params", b"")
    if params in ABSENT:
        params = b""
    elif params[:1] != b"{":
        raise _malformed("the params of a request are no object")
    return InputRequest(key, method, params)


def _malformed(what: str) -> BackendProtocolError:
    return BackendProtocolError(f"the server asks for input in a malformed way: {what}")


def write_input_required(requests: Sequence[InputRequest], request_state: str | None) -> bytes:
    """Write a result that asks for input."""
    parts = [("resultType", b'"input_required"')]
    if requests:
        asked = write_object((request.key, _write_request(request)) for request in requests)
        parts.append(("inputRequests", asked))
    if request_state is not None:
        parts.append(("requestState", orjson.dumps(request_state)))
    return write_object(parts)


def _write_request(request: InputRequest) -> bytes:
    parts = [("method", orjson.dumps(request.method))]
    if request.params:
        parts.append(("params", request.params))
    return write_object(parts)


def read_retry(params: bytes) -> Retry | None:
    """Return what a request brings that is sent again; None for one that is sent first.

    Raises:
        InvalidParams: answers or state are malformed.
    """
    found = fields(params)
    answered = found.get("inputResponses", b"")
    state = found.get("requestState", b"")
    if answered in ABSENT and state in ABSENT:
        return None
    text = None if state in ABSENT else as_string(state)
    if text is None and state not in ABSENT:
        raise InvalidParams("params.requestState must be a string")
    responses = {} if answered in ABSENT else _read_responses(answered)
    return Retry(responses, text, without_fields(params, _RETRY_KEYS))


def _read_responses(raw: bytes) -> dict[str, bytes]:
    responses: dict[str, bytes] = {}
    if raw[:1] != b"{":
        raise InvalidParams("params.inputResponses must be an object")
    for key, start, end in members(raw):
        if key in responses:
            raise InvalidParams("a key of params.inputResponses stands twice")
        if raw[start : start + 1] != b"{":
            raise InvalidParams("every member of params.inputResponses must be an object")
        responses[key] = raw[start:end]
    return responses


def retry_params(
    params: bytes, responses: Sequence[tuple[str, bytes]], state: bytes | None
) -> bytes:
    """Return the parameters with which a request is sent again."""
    again = without_fields(params, _RETRY_KEYS)
    if responses:
        again = with_field(again, "inputResponses", write_object(responses))
    if state is not None:
        again = with_field(again, "requestState", state)
    return again


def params_for_modern(method: str, params: bytes) -> bytes:
    """Return the parameters of a legacy server's request as a modern client is asked them.

    Left out is what belongs to the server's own connection, and what 2026-07-28 took away.
    """
    dropped = {"task"}
    if needed(method, params) == Feature.ELICIT_URL:
        dropped.add("elicitationId")
    meta = fields(params).get("_meta", b"")
    kept = without_fields(meta, _CONNECTION_META)
    if kept is not meta and kept == b"{}":
        dropped.add("_meta")
    elif kept is not meta:
        params = with_field(params, "_meta", kept)
    return without_fields(params, dropped)


def params_for_legacy(request: InputRequest, version: str, elicitation_id: str) -> bytes:
    """Return the parameters with which a legacy client is asked in a request of its own.

    Raises:
        BackendProtocolError: the client's revision has no such request.
    """
    features = needed(request.method, request.params)
    if features is None:
        raise _malformed("a request is none that a client can be asked")
    for feature, since, name in _SINCE:
        if feature & features and version < since:
            raise BackendProtocolError(
                f"the server asks for {name}, which the client's revision {version} does not have"
            )
    if features & Feature.ELICIT_URL:
        return with_field(request.params, "elicitationId", orjson.dumps(elicitation_id))
    return request.params


def url_elicitations(error: bytes) -> list[InputRequest]:
    """Return the URLs that an error of 2025-11-25 asks the client to open; none for other errors.

    Source: 2025-11-25, client/elicitation (URL Elicitation Required Error).
    """
    if error_code(error) != URL_ELICITATION_REQUIRED:
        return []
    listed = fields(fields(error).get("data", b"")).get("elicitations", b"")
    spans = elements(listed) if listed[:1] == b"[" else []
    with_url = [
        raw
        for raw in (listed[start:end] for start, end in spans)
        if as_string(fields(raw).get("url", b"")) is not None
    ]
    return [
        InputRequest(
            f"url-{number}", ELICIT, params_for_modern(ELICIT, with_field(raw, "mode", b'"url"'))
        )
        for number, raw in enumerate(with_url, 1)
    ]
