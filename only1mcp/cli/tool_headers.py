"""Which arguments of which tools an HTTP server wants repeated as headers (SEP-2243).

A client on stdio does not send them, and need not know; the bridge learns of them from the tool's
schema when the server first refuses a call for their lack.
"""

from collections.abc import Awaitable, Callable

from only1mcp._speedups import Envelope, elements, scan
from only1mcp.protocol import jsonrpc
from only1mcp.protocol.jsonrpc import as_string
from only1mcp.protocol.param_headers import (
    InvalidAnnotation,
    ParamHeader,
    emit_param_headers,
    read_param_headers,
)
from only1mcp.protocol.raw_object import fields

MAX_PAGES = 100
_MISMATCH = b"-32020"
_ID = b'"only1mcp-tools"'
Ask = Callable[[bytes], Awaitable[Envelope]]
"""Sends a request and returns its response."""


class ToolHeaders:
    """What is known of the tools so far."""

    def __init__(self) -> None:
        self._wanted: dict[str, tuple[ParamHeader, ...]] = {}

    def emit(self, call: Envelope) -> dict[str, str]:
        """Return the headers for a call."""
        wanted = self._wanted.get(call.name or "") if call.method == "tools/call" else None
        if not wanted:
            return {}
        params = fields(call.body[call.params_start : call.params_end])
        return dict(emit_param_headers(wanted, params.get("arguments")))

    def is_lack(self, call: Envelope, answer: bytes) -> bool:
        """Say whether a call was refused for headers that it may lack."""
        if call.method != "tools/call" or _MISMATCH not in answer:
            return False
        reply = scan(answer)
        error = fields(answer[reply.error_start : reply.error_end])
        return error.get("code") == _MISMATCH

    async def learn(self, call: Envelope, ask: Ask) -> bool:
        """Read the schema of the tool that was called; says whether it wants any headers."""
        meta = call.body[call.meta_start : call.meta_end]
        cursor: bytes | None = None
        for _ in range(MAX_PAGES):
            after = b"" if cursor is None else b'"cursor":%b,' % cursor
            params = b'{%b"_meta":%b}' % (after, meta)
            reply = await ask(jsonrpc.request(_ID, "tools/list", params))
            page = fields(reply.body[reply.result_start : reply.result_end])
            if self._find(call.name or "", page.get("tools", b"")):
                return True
            cursor = page.get("nextCursor")
            if cursor is None or cursor == b"null":
                break
        return False

    def _find(self, name: str, tools: bytes) -> bool:
        """Keep what the tool of this name wants, if it is there and wants anything."""
        for start, end in elements(tools) if tools[:1] == b"[" else ():
            tool = tools[start:end]
            if as_string(fields(tool).get("name", b"")) == name:
                try:
                    self._wanted[name] = read_param_headers(tool)
                except InvalidAnnotation:
                    return False
                return bool(self._wanted[name])
        return False
