"""What a run begins with, for each target: inputs that lead deep into it."""

from fuzz import targets

_CALL = (
    b'{"jsonrpc":"2.0","id":"a\\u0031","method":"tools/call","params":{"name":"x__y","uri":"u",'
    b'"arguments":{"n":1.0e2,"s":"\xc3\xa9\\ud83d\\ude00"},"_meta":{"progressToken":7,'
    b'"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    b'"io.modelcontextprotocol/clientCapabilities":{"a":{}}}}}'
)
_HEAD = b"POST /mcp HTTP/1.1\r\nHost: h\r\n"

SEEDS: dict[str, tuple[bytes, ...]] = {
    "json_scan": (
        _CALL,
        b'{"jsonrpc":"2.0","id":-7,"result":{"resultType":"complete","x":[1,2.5e-3,null,true]}}',
        b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}',
        b' [ {"a" : false } , [ ] , "\\"\\\\\\/\\b\\f\\n\\r\\t" ] ',
        b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}',
    ),
    "event_stream": (
        b"\x03event: message\nid: 7\nretry: 500\ndata: {}\n\n",
        b"\x05\xef\xbb\xbfdata: a\r\ndata: b\r\n\r\n: ping\r\rdata:\n\n",
    ),
    "lines": (b'\x04{"a":1}\r\n\n \t\n{"b":2}\n', b"\x01" + b"x" * 80 + b"\nshort\n"),
    "frames": (
        b"\x02" + targets.frame(b'["a","tools/call"]\n{}'),
        b"\x07" + targets.frame(b"") * 3,
    ),
    "session_id": (b"", b"\x00\x00A", b"\x00\x05\x00", b"\x01\x10 "),
    "request_state": (b"", b"\x00\x00A", b"\x00\x08\x00", b"\x01\x10="),
    "http1": (
        b"\x03" + _HEAD + b"Content-Length: 2\r\n\r\n{}" + _HEAD + b"\r\n",
        b"\x09" + _HEAD + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\nA: b\r\n\r\n",
        b"\x01GET /ws?x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        b"\x81\x02{}",
    ),
    "fast_request": (
        b"POST /mcp HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n"
        b"Accept: application/json, text/event-stream\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /mcp HTTP/1.1\r\nHOST:h \t\r\ncontent-type: Application/JSON; charset=utf-8\r\n"
        b"accept: */*\r\nConnection: keep-alive\r\nMcp-Session-Id: a\r\nMcp-Method: b\r\n"
        b"Mcp-Name: c d\r\nMCP-Protocol-Version: e\r\nUser-Agent:\r\nContent-Length: 09\r\n\r\n",
    ),
    "fast_response": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream ; a=b\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2;x\r\n{}\r\n0\r\nA: b\r\n\r\n",
        b"HTTP/1.0 200\r\nConnection: keep-alive\r\nContent-Encoding: identity\r\n\r\n{}",
        b"HTTP/1.1 103 \r\nLink: </x>\r\n\r\n",
    ),
    "fast_chunks": (
        b"\x022\r\n{}\r\n0\r\n\r\n",
        b'\x01a;b="c"\r\n0123456789\r\n00\r\nA: b\r\n\r\n',
    ),
}
