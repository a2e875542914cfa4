"""The pure twin of `json_scan_c`: find what routing needs in a JSON-RPC body, and nothing else.

`scan` validates the whole body and notes where the id, the method, the target and the keys of
``_meta`` stand, so that a message can be forwarded as the same bytes with a few spans replaced.
Values are never decoded and encoded again: `1.0`, `1e400` and unknown keys reach the backend as
they were written.

This twin leans on the scanner inside the standard library's `json`; the compiled one walks the
bytes itself. `tests/speedups` holds the two to the same answers.
"""

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]
from json.scanner import make_scanner
from typing import Any

import orjson

from only1mcp.errors import InvalidRequest, ParseError

REQUEST, NOTIFICATION, RESPONSE, BATCH = 1, 2, 3, 4
MAX_DEPTH = 128

META_PREFIX = "io.modelcontextprotocol/"
_SPACE = re.compile(r"[ \t\n\r]*+")
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_INNERMOST = re.compile(rb"\[\]|\{\}")
_INTEGER = re.compile(rb"-?(?:0|[1-9][0-9]*)")


class Envelope:
    """Where the parts of one message stand in its bytes. Spans are byte offsets; 0, 0 is absent."""

    __slots__ = (
        "body", "capabilities_end", "capabilities_start", "error_end", "error_start", "id", "kind",
        "meta_end", "meta_start", "method", "name", "name_end", "name_start", "params_end",
        "params_start", "result_end", "result_start", "result_type", "token_end", "token_start",
        "uri", "version", "version_start",
    )  # fmt: skip

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.kind = 0
        """REQUEST, NOTIFICATION, RESPONSE or BATCH."""
        self.id: bytes | None = None
        """The id as it is written, quotes included."""
        self.method: str | None = None
        self.params_start = self.params_end = 0
        self.name: str | None = None
        """`params.name` when it is a string."""
        self.name_start = self.name_end = 0
        """The span of `params.name`, quotes included."""
        self.uri: str | None = None
        self.meta_start = self.meta_end = 0
        self.version: str | None = None
        """`params._meta["io.modelcontextprotocol/protocolVersion"]` when it is a string."""
        self.version_start = 0
        """Not 0 when that key is there, whatever its type."""
        self.capabilities_start = self.capabilities_end = 0
        self.token_start = self.token_end = 0
        """The span of `params._meta.progressToken`."""
        self.result_start = self.result_end = 0
        self.result_type: str | None = None
        """`result.resultType` when it is a string."""
        self.error_start = self.error_end = 0


class _Reader:
    """A cursor over the text of one body that yields keys and the spans of values."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._value = make_scanner(
            json.JSONDecoder(parse_int=float, parse_constant=_refuse_constant)  # type: ignore[arg-type]
        )

    def skip_space(self, at: int) -> int:
        match = _SPACE.match(self.text, at)
        assert match is not None
        return match.end()

    def value_end(self, at: int) -> int:
        try:
            _, end = self._value(self.text, at)
        except StopIteration as stop:
            raise ParseError(f"invalid JSON: a value is expected at offset {stop.value}") from None
        except (ValueError, RecursionError) as error:
            raise ParseError(f"invalid JSON: {error}") from None
        return int(end)

    def members(self, at: int) -> tuple[list[tuple[str, int, int]], int]:
        """Return (key, start, end) of each member of the object at `at`, and the object's end."""
        found: list[tuple[str, int, int]] = []
        at = self.skip_space(at + 1)
        if self.text[at : at + 1] == "}":
            return found, at + 1
        while True:
            if self.text[at : at + 1] != '"':
                raise ParseError(f"invalid JSON: a key is expected at offset {at}")
            try:
                key, at = scanstring(self.text, at + 1, True)
            except ValueError as error:
                raise ParseError(f"invalid JSON: {error}") from None
            at = self.skip_space(at)
            if self.text[at : at + 1] != ":":
                raise ParseError(f"invalid JSON: ':' is expected at offset {at}")
            start = self.skip_space(at + 1)
            end = self.value_end(start)
            found.append((key, start, end))
            at = self.skip_space(end)
            mark = self.text[at : at + 1]
            if mark == "}":
                return found, at + 1
            if mark != ",":
                raise ParseError(f"invalid JSON: ',' or '}}' is expected at offset {at}")
            at = self.skip_space(at + 1)

    def elements(self, at: int, most: int) -> list[tuple[int, int]]:
        """Return the span of each element of the array at `at`, or of its first `most`."""
        found: list[tuple[int, int]] = []
        at = self.skip_space(at + 1)
        if self.text[at : at + 1] == "]":
            return found
        while True:
            end = self.value_end(at)
            found.append((at, end))
            if len(found) == most:
                return found
            at = self.skip_space(end)
            mark = self.text[at : at + 1]
            if mark == "]":
                return found
            if mark != ",":
                raise ParseError(f"invalid JSON: ',' or ']' is expected at offset {at}")
            at = self.skip_space(at + 1)


def scan(body: bytes) -> Envelope:
    """Validate one JSON-RPC message and note where its parts stand.

    Raises:
        ParseError: the body is not JSON in UTF-8, or is nested deeper than `MAX_DEPTH`.
        InvalidRequest: it is JSON, but not one JSON-RPC 2.0 message, or repeats a key that matters.
    """
    text = _decode(body)
    reader = _Reader(text)
    start = reader.skip_space(0)
    end = reader.value_end(start)
    if reader.skip_space(end) != len(text):
        raise ParseError(f"invalid JSON: unexpected data after the value at offset {end}")
    _check_depth(body)
    _check_surrogates(body)
    envelope = Envelope(body)
    if text[start] == "[":
        envelope.kind = BATCH
        return envelope
    if text[start] != "{":
        raise InvalidRequest("a JSON-RPC message must be an object")
    members, _ = reader.members(start)
    _read_envelope(envelope, reader, _unique(members, ""), _Offsets(text, body))
    return envelope


def members(data: bytes, start: int = 0) -> list[tuple[str, int, int]]:
    """Return (key, start, end) of each member of the JSON object at `start`, in byte offsets.

    Raises:
        ParseError: there is no valid object at `start`.
    """
    text, at, offsets = _locate(data, start)
    if text[at : at + 1] != "{":
        raise ParseError(f"invalid JSON: an object is expected at offset {start}")
    found, _ = _Reader(text).members(at)
    return [(key, offsets.byte(first), offsets.byte(last)) for key, first, last in found]


def elements(data: bytes, start: int = 0, most: int = 0) -> list[tuple[int, int]]:
    """Return the span of each element of the JSON array at `start`, in byte offsets.

    After `most` of them it looks no further; 0 for all.

    Raises:
        ParseError: there is no valid array at `start`.
    """
    text, at, offsets = _locate(data, start)
    if text[at : at + 1] != "[":
        raise ParseError(f"invalid JSON: an array is expected at offset {start}")
    return [(offsets.byte(a), offsets.byte(b)) for a, b in _Reader(text).elements(at, most)]


class _Offsets:
    """Turns offsets in the text into offsets in the bytes."""

    def __init__(self, text: str, body: bytes) -> None:
        self._text = text
        self._same = len(text) == len(body)

    def byte(self, at: int) -> int:
        return at if self._same else len(self._text[:at].encode())


def _locate(data: bytes, start: int) -> tuple[str, int, _Offsets]:
    text = _decode(data)
    at = start if len(text) == len(data) else len(data[:start].decode())
    return text, _Reader(text).skip_space(at), _Offsets(text, data)


def _decode(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise ParseError(f"invalid JSON: not UTF-8 at offset {error.start}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _check_depth(body: bytes) -> None:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    brackets = _STRINGS.sub(b"", body).translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return
        brackets = _INNERMOST.sub(b"", brackets)
    if brackets:
        raise ParseError(f"invalid JSON: nested deeper than {MAX_DEPTH}")


def _check_surrogates(body: bytes) -> None:
    if b"\\ud" not in body.replace(b"\\uD", b"\\ud"):
        return
    try:
        orjson.dumps(json.loads(body, parse_int=float, object_pairs_hook=_flat))
    except orjson.JSONEncodeError:
        raise ParseError("invalid JSON: an escape stands for half a character") from None


def _flat(members: list[tuple[str, Any]]) -> list[Any]:
    """Keep every key and value: of two members with one key, a dictionary keeps only the last."""
    return [part for member in members for part in member]


def _unique(found: list[tuple[str, int, int]], path: str) -> dict[str, tuple[int, int]]:
    result = {key: (start, end) for key, start, end in found}
    if len(result) != len(found):
        seen: set[str] = set()
        twice = next(key for key, _, _ in found if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidRequest(f'the key "{path}{twice}" stands twice')
    return result


def _read_envelope(
    envelope: Envelope, reader: _Reader, top: dict[str, tuple[int, int]], offsets: _Offsets
) -> None:
    text = reader.text
    version = top.get("jsonrpc")
    if version is None or text[version[0] : version[1]] != '"2.0"':
        raise InvalidRequest('"jsonrpc" must be "2.0"')
    if "id" in top:
        envelope.id = _read_id(text[slice(*top["id"])].encode(), "method" in top)
    if "method" not in top:
        _read_response(envelope, reader, top, offsets)
        return
    envelope.method = _string(text, top["method"])
    if envelope.method is None:
        raise InvalidRequest('"method" must be a string')
    envelope.kind = NOTIFICATION if "id" not in top else REQUEST
    if "params" in top:
        _read_params(envelope, reader, top["params"], offsets)


def _read_response(
    envelope: Envelope, reader: _Reader, top: dict[str, tuple[int, int]], offsets: _Offsets
) -> None:
    if "id" not in top or ("result" in top) == ("error" in top):
        raise InvalidRequest('"method" is missing')
    envelope.kind = RESPONSE
    if "error" in top:
        start, end = top["error"]
        envelope.error_start, envelope.error_end = offsets.byte(start), offsets.byte(end)
        return
    start, end = top["result"]
    envelope.result_start, envelope.result_end = offsets.byte(start), offsets.byte(end)
    if reader.text[start] == "{":
        found, _ = reader.members(start)
        result = _unique(found, "result.")
        if "resultType" in result:
            envelope.result_type = _string(reader.text, result["resultType"])


def _read_id(raw: bytes, is_call: bool) -> bytes | None:
    if raw[:1] == b'"' or _INTEGER.fullmatch(raw):
        return raw
    if raw == b"null" and not is_call:
        return None
    raise InvalidRequest('"id" must be a string or an integer')


def _read_params(
    envelope: Envelope, reader: _Reader, span: tuple[int, int], offsets: _Offsets
) -> None:
    if reader.text[span[0]] != "{":
        raise InvalidRequest('"params" must be an object')
    envelope.params_start, envelope.params_end = offsets.byte(span[0]), offsets.byte(span[1])
    found, _ = reader.members(span[0])
    params = _unique(found, "params.")
    if "name" in params:
        envelope.name = _string(reader.text, params["name"])
        start, end = params["name"]
        envelope.name_start, envelope.name_end = offsets.byte(start), offsets.byte(end)
    if "uri" in params:
        envelope.uri = _string(reader.text, params["uri"])
    if "_meta" in params and reader.text[params["_meta"][0]] == "{":
        _read_meta(envelope, reader, params["_meta"], offsets)


def _read_meta(
    envelope: Envelope, reader: _Reader, span: tuple[int, int], offsets: _Offsets
) -> None:
    envelope.meta_start, envelope.meta_end = offsets.byte(span[0]), offsets.byte(span[1])
    found, _ = reader.members(span[0])
    meta = _unique(found, "params._meta.")
    version = meta.get(META_PREFIX + "protocolVersion")
    if version:
        envelope.version = _string(reader.text, version)
        envelope.version_start = offsets.byte(version[0])
    capabilities = meta.get(META_PREFIX + "clientCapabilities")
    if capabilities and reader.text[capabilities[0]] == "{":
        envelope.capabilities_start = offsets.byte(capabilities[0])
        envelope.capabilities_end = offsets.byte(capabilities[1])
    token = meta.get("progressToken")
    if token:
        envelope.token_start, envelope.token_end = offsets.byte(token[0]), offsets.byte(token[1])


def _string(text: str, span: tuple[int, int]) -> str | None:
    if text[span[0]] != '"':
        return None
    value, _ = scanstring(text, span[0] + 1, True)
    return str(value)
