"""What the fast lane takes for HTTP: never what another reader would take for something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.judges import RESPONSE_JUDGES
from fuzz.recognisers import fast_chunks, fast_request, fast_response, said_of, said_of_chunks

LINE = b"POST /mcp HTTP/1.1\r\n"
HOST, TYPE = b"Host: localhost:80\r\n", b"Content-Type: application/json\r\n"
BODY = b'{"jsonrpc":"2.0","id":1,"method":"ping"}'
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
NEEDED = [HOST, TYPE, LENGTH]
GOOD = [
    b"Accept: application/json, text/event-stream\r\n", b"accept: */*\r\n",
    b"Accept: text/event-stream, application/json\r\n", b"User-Agent: curl/8\r\n",
    b"MCP-Protocol-Version: 2026-07-28\r\n", b"mcp-method:tools/call\r\n", b"Mcp-Name:  a b \t\r\n",
    b"Mcp-Session-Id: 1.x\r\n", b"Connection: Keep-Alive\r\n", b"Authorization: Bearer x\r\n",
    b"traceparent: \r\n", b"Accept-Encoding: gzip\r\n", b"ACCEPT-LANGUAGE: *\r\n",
]  # fmt: skip
ODD = [
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 4\r\n", b"Content-Length : 40\r\n",
    b"Content-Length: +40\r\n", b"Content-Length: 40, 40\r\n", b"Content-Length: 0\r\n",
    b"Content-Length: 1e3\r\n", b"Content-Length:\r\n", b"Content_Length: 3\r\n",
    b"Content-Length: 0x28\r\n", b"Content-Length: 9999999999\r\n", b"Content-Length: \x0b40\r\n",
    b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding : chunked\r\n", b" X: y\r\n",
    b"Transfer_Encoding: chunked\r\n", b"Host: other\r\n", b"Host : other\r\n", b"Host:\r\n",
    b"Expect: 100-continue\r\n", b"Upgrade: websocket\r\n", b"Connection: upgrade\r\n",
    b"Connection: close\r\n", b"Content-Type: text/plain\r\n", b"Origin: http://x\r\n",
    b"X-Other: y\r\n", b"User-Agent: a\nX: y\r\n", b"User-Agent: a\rX: y\r\n",
    b"User-Agent: a\r\n b\r\n", b"User-Agent: \x00\r\n", b"User-Agent: \xff\r\n", b": x\r\n",
    b"User-Agent\r\n", b"User-Agent: x\n", b"Content-Encoding: gzip\r\n", b"Cookie: a=b\r\n",
    b"Trailer: Host\r\n", b"TE: trailers\r\n", b"Mcp-Name: \x7f\r\n", b"\r\n",
]  # fmt: skip
LINES = [LINE, b"POST /mcp HTTP/1.0\r\n", b"POST /mcp/ HTTP/1.1\r\n", b"GET /mcp HTTP/1.1\r\n",
         b"POST /mcp HTTP/1.1\n", b"post /mcp HTTP/1.1\r\n", b"POST  /mcp HTTP/1.1\r\n",
         b"POST http://h/mcp HTTP/1.1\r\n", b"\r\nPOST /mcp HTTP/1.1\r\n"]  # fmt: skip


def twins(data: bytes) -> tuple[object, ...] | None:
    """Return what both twins recognise in a request."""
    return said_of("recognise_request", data)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Make a head that is right, or nearly."""
    fields = draw(st.permutations(NEEDED)) + draw(st.lists(st.sampled_from(GOOD), max_size=4))
    fields += draw(st.lists(st.sampled_from(ODD), max_size=1))
    line = draw(st.one_of(st.just(LINE), st.sampled_from(LINES)))
    head = line + b"".join(draw(st.permutations(fields))) + b"\r\n"
    if draw(st.booleans()):  # another byte somewhere
        at, byte = draw(st.integers(0, len(head) - 1)), draw(st.binary(max_size=2))
        head = head[:at] + byte + head[at + draw(st.integers(0, 1)) :]
    return head


@given(heads())
def test_a_request_that_is_recognised_is_the_same_to_every_reader(head: bytes) -> None:
    """To the guard, and to the parsers behind it: head, body, and where the next one begins."""
    fast_request(head)


@pytest.mark.parametrize("odd", ODD[:-1])
def test_what_could_be_read_in_two_ways_is_not_recognised(odd: bytes) -> None:
    """Wherever it stands among headers that are in order."""
    for at in range(len(NEEDED) + 1):
        fields = [*NEEDED[:at], odd, *NEEDED[at:]]
        assert twins(LINE + b"".join(fields) + b"\r\n" + BODY) is None


@pytest.mark.parametrize("field", NEEDED + GOOD)
def test_no_header_of_a_request_may_stand_twice(field: bytes) -> None:
    """Not even with the same value, nor one that means nothing."""
    others = [one for one in NEEDED if one != field]
    assert twins(LINE + b"".join([*others, field]) + b"\r\n")
    assert twins(LINE + b"".join([*others, field, field]) + b"\r\n") is None


@pytest.mark.parametrize("line", LINES[1:])
def test_only_one_request_line_is_known(line: bytes) -> None:
    """Not even another spelling of it."""
    assert twins(line + b"".join(NEEDED) + b"\r\n") is None


@pytest.mark.parametrize("missing", NEEDED)
def test_nothing_that_is_needed_may_be_missing(missing: bytes) -> None:
    """Host, type and length."""
    assert twins(LINE + b"".join(x for x in NEEDED if x != missing) + b"\r\n") is None


STATUSES = [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 200\r\n",
            b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.1 101 X\r\n",
            b"HTTP/1.1 404 \r\n", b"HTTP/1.1 2000 OK\r\n", b"HTTP/1.1 200\rOK\r\n",
            b"HTTP/2.0 200 OK\r\n", b"HTTP/1.1 200 OK\n", b"HTTP/1.1 304 Not Modified\r\n",
            b"HTTP/1.1 099 X\r\n", b"HTTP/1.1  200 OK\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"]  # fmt: skip
SAID = [
    b"Content-Length: 5\r\n", b"content-length:0\r\n", b"Content-Length: -1\r\n",
    b"Transfer-Encoding: Chunked\r\n", b"Transfer-Encoding: gzip, chunked\r\n",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n",
    b"Content-Type: application/json; charset=utf-8\r\n",
    b"Content-Type: text/event-stream\r\n", b"Content-Type: text/html\r\n", b"Date: x \r\n",
    b"Content-Encoding: gzip\r\n", b"Content-Encoding: identity\r\n", b"X:\r\n", b":\r\n", b"X\r\n",
    b"X: a\r\n b\r\n", b"X: a\rb\r\n", b"X: a\n", b"X Y: a\r\n", b"X: \xff\x00\r\n",
    b"Access-Control-Allow-Origin: *\r\n", b"Content-Length : 5\r\n", b"Content-Length: 5 5\r\n",
]  # fmt: skip


ENDS = [b"\r\n", b"\r\n{}", b"\r\n12345", b"\r\n2\r\n{}\r\n0\r\n\r\n", b"\r\n0\r\nA: b\r\n\r\n"]


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    """Make a response that is right, or nearly."""
    fields = draw(st.lists(st.sampled_from(SAID), max_size=4))
    data = draw(st.sampled_from(STATUSES)) + b"".join(fields) + draw(st.sampled_from(ENDS))
    changes = st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=2)), max_size=1)
    for at, byte in draw(changes):
        data = data[:at] + byte + data[at + 1 :]
    return data


@given(responses())
def test_a_response_that_is_recognised_is_the_same_to_every_reader(data: bytes) -> None:
    """Status, body, where the next one begins, and whether there may be one."""
    fast_response(data)


LIKELY = [
    b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
    b"Content-Type: text/event-stream\r\n", b"Server: x\r\n",
]  # fmt: skip


@given(st.sampled_from(STATUSES[:7]), st.permutations(LIKELY))
def test_what_servers_send_is_recognised(line: bytes, fields: list[bytes]) -> None:
    """With a length or in chunks; and everybody else accepts it, too."""
    length, chunked = LIKELY[1:3]
    for framing, body in ((length, b"12345"), (chunked, b"5\r\n12345\r\n0\r\n\r\n")):
        others = [field for field in fields if field not in (length, chunked)]
        data = line + b"".join([framing, *others]) + b"\r\n"
        found = said_of("recognise_response", data)
        if (line[7:8] == b"0" and framing == chunked) or b"101" in line:
            assert found is None
            continue
        assert found
        whole = data if found[2] in (100, 204, 304) else data + body
        assert all(judge(whole)[0].is_whole for judge in RESPONSE_JUDGES.values())


SIZES = [
    b"5", b"0", b"5;a=b", b"5 ", b"05", b"fffffff", b"10000000", b"", b"-1", b"0x5", b"5;\x00",
    b"g", b"5" * 31, b"5;" + b"x" * 9000, b"A", b" 5",
]  # fmt: skip
PARTS = [b"12345\r\n", b"12345\n", b"0\r\n\r\n", b"\r\n", b"\n", b"\r", b"A: b\r\n", b"A\n"]
PARTS += [size + b"\r\n" for size in SIZES]


@given(st.integers(1, 255), st.lists(st.sampled_from(PARTS) | st.binary(max_size=3), max_size=8))
def test_a_body_in_chunks_is_the_same_to_every_reader(cut: int, parts: list[bytes]) -> None:
    """However it is cut into pieces."""
    fast_chunks(bytes([cut]) + b"".join(parts))


@pytest.mark.parametrize("size", SIZES[5:14])
def test_a_chunk_size_that_others_might_read_otherwise_is_odd(size: bytes) -> None:
    """Signs, prefixes, digits without end."""
    found = said_of_chunks([size + b"\r\n"])
    assert found == (() if size == b"fffffff" else None)


def test_what_stands_between_and_after_chunks_has_bounds() -> None:
    """Extensions of one chunk, and trailers, could else go on for ever."""
    assert said_of_chunks([b"1;" + b"x" * 8000]) == ()
    assert said_of_chunks([b"1;" + b"x" * 9000]) is None
    assert said_of_chunks([b"0\r\n" + b"X: y\r\n" * 1000]) == ()
    assert said_of_chunks([b"0\r\n" + b"X: y\r\n" * 2000]) is None
