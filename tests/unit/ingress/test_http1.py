"""Requests that two parsers could read differently are refused; all others pass byte for byte."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from only1mcp.ingress.http1 import Framer, Refused, Stage, parse_head

MAX_HEADER, MAX_BODY = 1000, 5000
HEAD = b"POST /mcp HTTP/1.1\r\nHost: h\r\n"


def framer() -> Framer:
    """Return a framer with small limits."""
    return Framer(MAX_HEADER, MAX_BODY)


def with_lines(*lines: bytes) -> bytes:
    """Return a request with these header lines after the Host."""
    return HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


CHUNKED = with_lines(b"Transfer-Encoding: chunked")
REFUSED = [
    # what is wrong, request, status
    ("both framings", with_lines(b"Content-Length: 5", b"Transfer-Encoding: chunked"), 400),
    ("both, the other way", with_lines(b"Transfer-Encoding: chunked", b"Content-Length: 5"), 400),
    ("two lengths", with_lines(b"Content-Length: 5", b"Content-Length: 6"), 400),
    ("the same length twice", with_lines(b"Content-Length: 5", b"content-length: 5"), 400),
    ("a list of lengths", with_lines(b"Content-Length: 5, 5"), 400),
    ("a signed length", with_lines(b"Content-Length: +5"), 400),
    ("a negative length", with_lines(b"Content-Length: -5"), 400),
    ("a hexadecimal length", with_lines(b"Content-Length: 0x5"), 400),
    ("an empty length", with_lines(b"Content-Length:"), 400),
    ("a length in other digits", with_lines(b"Content-Length: \xd9\xa5"), 400),
    ("a fraction", with_lines(b"Content-Length: 5.0"), 400),
    ("a length of twenty digits", with_lines(b"Content-Length: " + b"9" * 20), 400),
    ("a second coding", with_lines(b"Transfer-Encoding: gzip, chunked"), 400),
    ("chunked twice", with_lines(b"Transfer-Encoding: chunked, chunked"), 400),
    ("the coding twice", with_lines(*[b"Transfer-Encoding: chunked"] * 2), 400),
    ("identity", with_lines(b"Transfer-Encoding: identity"), 400),
    ("a quoted coding", with_lines(b'Transfer-Encoding: "chunked"'), 400),
    ("a coding with a parameter", with_lines(b"Transfer-Encoding: chunked;q=1"), 400),
    ("a vertical tab before it", with_lines(b"Transfer-Encoding:\x0bchunked"), 400),
    ("an empty coding", with_lines(b"Transfer-Encoding:"), 400),
    ("chunked in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
    ("two hosts", with_lines(b"Host: h"), 400),
    ("no host", b"GET / HTTP/1.1\r\nAccept: */*\r\n\r\n", 400),
    *[(f"two of {name.decode()}", with_lines(name + b": a", name + b": a"), 400)
      for name in (b"Content-Type", b"Authorization", b"Origin", b"Cookie", b"Upgrade")],
    ("an obs-fold", with_lines(b"A: b", b" c: d"), 400),
    ("an obs-fold by tab", with_lines(b"A: b", b"\tc"), 400),
    ("a first line that is folded", HEAD[:-2] + b"\r\n x\r\n\r\n", 400),
    ("a space before the colon", with_lines(b"Content-Length : 5"), 400),
    ("a tab before the colon", with_lines(b"A\t: 5"), 400),
    ("no colon", with_lines(b"Nonsense"), 400),
    ("no name", with_lines(b": x"), 400),
    ("an underscore in a name", with_lines(b"Content_Length: 5"), 400),
    ("a space in a name", with_lines(b"A B: 5"), 400),
    ("a name in another alphabet", with_lines("Ä: 5".encode()), 400),
    ("a NUL in a value", with_lines(b"A: b\0c"), 400),
    ("a NUL in a name", with_lines(b"A\0: b"), 400),
    ("a DEL in a value", with_lines(b"A: b\x7f"), 400),
    ("a bell in a value", with_lines(b"A: \x07"), 400),
    ("a bare CR in a value", with_lines(b"A: b\rC: d"), 400),
    ("a bare LF in a value", with_lines(b"A: b\nC: d"), 400),
    ("bare LFs all over", b"GET / HTTP/1.1\nHost: h\n\n", 400),
    ("a bare LF after the request line", b"GET / HTTP/1.1\nHost: h\r\n\r\n", 400),
    ("CR CR LF", b"GET / HTTP/1.1\r\r\nHost: h\r\n\r\n", 400),
    ("absolute form", b"GET http://h/mcp HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("authority form", b"GET h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("asterisk form", b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("no target", b"GET  HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("two spaces", b"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("a tab", b"GET\t/ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("a space in the target", b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("another alphabet in the target", "GET /ä HTTP/1.1\r\nHost: h\r\n\r\n".encode(), 400),
    ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: h\r\n\r\n", 400),
    ("HTTP/2.0", b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 400),
    ("HTTP/2 with prior knowledge", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ("HTTP/0.9", b"GET /\r\n\r\n", 400),
    ("http/1.1 in small letters", b"GET / http/1.1\r\nHost: h\r\n\r\n", 400),
    ("a lower-case method", b"get / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("an endless method", b"G" * 20 + b" / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
    ("a leading empty line", b"\r\n" + with_lines(), 400),
    ("a TLS greeting", b"\x16\x03\x01\x02\x00\x01\x00\n\r\n\r\n", 400),
    ("nothing but line ends", b"\r\n\r\n", 400),
    ("a tunnel", b"CONNECT /mcp HTTP/1.1\r\nHost: h\r\n\r\n", 501),
    ("a WebSocket", with_lines(b"Upgrade: WebSocket", b"Connection: Upgrade"), 501),
    ("a WebSocket among others", with_lines(b"Upgrade: h2c, websocket"), 501),
    ("a head without end", HEAD + b"A: " + b"x" * MAX_HEADER, 431),
    ("a head that is too long", with_lines(b"A: " + b"x" * MAX_HEADER), 431),
    ("a target that is too long", b"GET /" + b"x" * MAX_HEADER, 431),
    ("a body that is too long", with_lines(b"Content-Length: %d" % (MAX_BODY + 1)), 413),
    ("a chunk that is too long", CHUNKED + b"%x\r\n" % (MAX_BODY + 1), 413),
    ("chunks that are too long", CHUNKED + b"fff\r\n" + b"x" * 4095 + b"\r\nfff\r\n", 413),
    ("a chunk size with a sign", CHUNKED + b"+5\r\nhello\r\n", 400),
    ("a chunk size in 0x", CHUNKED + b"0x5\r\nhello\r\n", 400),
    ("a chunk size in words", CHUNKED + b"five\r\nhello\r\n", 400),
    ("an empty chunk size", CHUNKED + b"\r\nhello\r\n", 400),
    ("a space before the size", CHUNKED + b" 5\r\nhello\r\n", 400),
    ("a size of nine digits", CHUNKED + b"000000005\r\nhello\r\n", 400),
    ("a chunk size ended by LF", CHUNKED + b"5\nhello\r\n", 400),
    ("a control byte in an extension", CHUNKED + b"5;a=\0\r\nhello\r\n", 400),
    ("a bare CR in an extension", CHUNKED + b"5;a\rb\r\nhello\r\n", 400),
    ("an endless extension", CHUNKED + b"5;" + b"x" * 300, 431),
    ("a chunk that is longer than it says", CHUNKED + b"3\r\nhello\r\n0\r\n\r\n", 400),
    ("a chunk ended by LF", CHUNKED + b"5\r\nhello\n0\r\n\r\n", 400),
    ("a chunk ended by something and LF", CHUNKED + b"5\r\nhelloX\n0\r\n\r\n", 400),
    ("a chunk without an end", CHUNKED + b"5\r\nhello0\r\n\r\n", 400),
    ("a trailer with a bad name", CHUNKED + b"0\r\nA B: c\r\n\r\n", 400),
    ("a trailer that is folded", CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n", 400),
    ("a trailer ended by LF", CHUNKED + b"0\r\nA: b\n\r\n\r\n", 400),
    ("an endless trailer", CHUNKED + b"0\r\nA: " + b"x" * 9000, 431),
    ("endless trailers", CHUNKED + b"0\r\n" + b"A: b\r\n" * 2000, 431),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_bytes", "status"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED]
)
def test_what_could_be_read_in_two_ways_is_refused(request_bytes: bytes, status: int) -> None:
    """Whole and byte by byte, with the status that says why."""
    for step in (len(request_bytes), 1, 7):
        with pytest.raises(Refused) as caught:
            feed_in_pieces(framer(), request_bytes, step)
        assert caught.value.status == status
        assert str(caught.value)


def feed_in_pieces(subject: Framer, data: bytes, step: int) -> bytes:
    """Feed the data in pieces of this size; return what passed."""
    return b"".join(subject.feed(data[i : i + step]) for i in range(0, len(data), step))


@pytest.mark.parametrize("position", [0, 1])
def test_a_bad_request_takes_its_whole_piece_with_it(position: int) -> None:
    """Nothing of the bytes that held it goes on, be it the first request on the line or not."""
    subject = framer()
    assert subject.feed(with_lines() * position) == with_lines() * position
    with pytest.raises(Refused):
        subject.feed(with_lines() + b"BAD\r\n\r\n")


NAMES = st.sampled_from([b"Accept", b"X-Request-Id", b"mcp-method", b"A!#$%&'*+.^`|~-9"])
VALUES = st.sampled_from([b"", b"a", b" \t a b\t", b"\xff\x80", b'"=;,', b"x" * 50])
CHUNK_ENDS = st.sampled_from([b"", b";a", b';a="b"', b" ; a=b", b"\t"])


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Write a request that any server must accept."""
    method = draw(st.sampled_from([b"GET", b"POST", b"DELETE", b"HEAD", b"OPTIONS"]))
    target = draw(st.sampled_from([b"/", b"/mcp", b"/a?b=c&d", b"//x", b"/%41;~"]))
    fields = draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    lines = [b"%b: %b" % field for field in fields]
    lines.insert(draw(st.integers(0, len(lines))), b"hOST:h:80")
    body = draw(st.binary(max_size=40))
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    if framing == "length":
        lines.append(b"Content-Length: %b%d" % (draw(st.sampled_from([b"", b"00"])), len(body)))
    elif framing == "chunked":
        lines.append(
            draw(st.sampled_from([b"Transfer-Encoding: chunked", b"tRANSFER-eNCODING:\t CHUNKED "]))
        )
        body = draw(chunked_bodies())
    else:
        body = b""
    return method + b" " + target + b" HTTP/1.1\r\n" + b"\r\n".join([*lines, b"", b""]) + body


@st.composite
def chunked_bodies(draw: st.DrawFn) -> bytes:
    """Write a chunked body with extensions and trailers."""
    chunks = b"".join(
        draw(st.sampled_from([b"%x", b"%X", b"0%x"])) % len(data)
        + draw(CHUNK_ENDS) + b"\r\n" + data + b"\r\n"
        for data in draw(st.lists(st.binary(min_size=1, max_size=20), max_size=4))
    )  # fmt: skip
    trailers = draw(st.sampled_from([b"", b"Expires: 0\r\n", b"A: \r\nB: c\r\n"]))
    return chunks + b"0" + draw(CHUNK_ENDS) + b"\r\n" + trailers + b"\r\n"


@given(st.lists(requests(), min_size=1, max_size=4), st.lists(st.integers(0, 600), max_size=6))
def test_valid_requests_pass_byte_for_byte_however_they_come(
    pipeline: list[bytes], cuts: list[int]
) -> None:
    """Pipelined or alone, whole or cut anywhere; afterwards the line is idle."""
    data = b"".join(pipeline)
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    subject = framer()
    passed = b"".join(subject.feed(data[a:b]) for a, b in pairwise(places))
    assert passed == data
    assert subject.requests == len(pipeline)
    assert subject.idle


@given(requests())
def test_a_request_is_not_idle_until_its_last_byte(request_bytes: bytes) -> None:
    """So a slow one can be told from a quiet connection."""
    subject = framer()
    for at in range(len(request_bytes)):
        assert subject.idle == (at == 0)
        subject.feed(request_bytes[at : at + 1])
    assert subject.idle


def test_an_unfinished_head_is_held_back_and_a_body_is_not() -> None:
    """A parser sees whole heads only; bodies stream."""
    subject = framer()
    assert subject.feed(HEAD) == b""
    head = HEAD + b"Content-Length: 4\r\n\r\n"
    assert subject.feed(b"Content-Length: 4\r\n\r\nab") == head + b"ab"
    stages = [subject.stage]
    assert subject.feed(b"c") == b"c"
    assert subject.feed(b"d") == b"d"
    assert [*stages, subject.stage] == [Stage.BODY, Stage.HEAD]


def test_the_limits_themselves_are_allowed() -> None:
    """One byte less than too much."""
    request = with_lines(b"A: " + b"x" * (MAX_HEADER - len(HEAD) - 3))
    assert request.index(b"\r\n\r\n") == MAX_HEADER
    assert framer().feed(request) == request
    request = with_lines(b"Content-Length: %d" % MAX_BODY)
    assert framer().feed(request) == request
    request = CHUNKED + b"%x\r\n" % MAX_BODY + b"x" * MAX_BODY + b"\r\n0\r\n\r\n"
    assert framer().feed(request) == request


UPGRADE = (b"Upgrade: websocket", b"Connection: Upgrade")


def get(target: bytes, *lines: bytes) -> bytes:
    """Return a GET with these header lines after the Host."""
    return with_lines(*lines).replace(b"POST /mcp", b"GET " + target)


@pytest.mark.parametrize("target", [b"/ws", b"/ws?x=y"])
def test_after_an_upgrade_where_it_is_offered_all_masked_frames_pass(target: bytes) -> None:
    """Of any length; what follows is no HTTP, and whoever answers the upgrade bounds it."""
    request = get(target, *UPGRADE)
    for step in (1, 1000):
        subject = Framer(MAX_HEADER, MAX_BODY, b"/ws")
        assert feed_in_pieces(subject, request, step) == request
        assert subject.idle
        frames = b"".join(masked(b"x" * size) for size in (0, 2, 125, 126, 65535, 65536)) * 2
        assert feed_in_pieces(subject, frames, 7) == frames
        assert (subject.idle, subject.requests) == (True, 1)


def masked(payload: bytes) -> bytes:
    """Return a text frame of a client; the mask changes nothing."""
    size = len(payload)
    short = size if size < 126 else 126 if size < 65536 else 127
    length = size.to_bytes({126: 2, 127: 8}[short]) if short > 125 else b""
    return bytes([0x81, 0x80 | short]) + length + bytes(4) + payload


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_after_a_frame_without_a_mask_nothing_passes(step: int) -> None:
    """In its place comes what no parser of WebSockets takes."""
    subject, good = Framer(MAX_HEADER, MAX_BODY, b"/ws"), masked(b"{}")
    assert subject.feed(get(b"/ws", *UPGRADE))
    sent = good + b"\x81\x02{}" + good
    assert feed_in_pieces(subject, sent, step) == good + b"\xff\xff"
    assert (subject.feed(good), subject.idle) == (b"", True)


@pytest.mark.parametrize(
    "request_bytes",
    [
        get(b"/mcp", *UPGRADE), get(b"/ws/", *UPGRADE), get(b"/w%73", *UPGRADE),
        with_lines(*UPGRADE).replace(b"/mcp", b"/ws"), get(b"/ws", *UPGRADE, b"Content-Length: 1"),
        get(b"/ws", *UPGRADE, b"Transfer-Encoding: chunked"),
        get(b"/ws", b"Upgrade: h2c, websocket"),
        get(b"/ws", *UPGRADE).replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)  # fmt: skip
def test_any_other_upgrade_to_websocket_is_refused(request_bytes: bytes) -> None:
    """Another path or method, or with a body."""
    with pytest.raises(Refused) as caught:
        Framer(MAX_HEADER, MAX_BODY, b"/ws").feed(request_bytes)
    assert caught.value.status == 501


def test_an_offer_to_speak_http_2_is_no_reason_to_look_away() -> None:
    """Java's client makes it with every first request; what follows is still judged as HTTP/1.1."""
    subject = framer()
    request = with_lines(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c",
                         b"HTTP2-Settings: AAMAAABk", b"Content-Length: 2") + b"{}"  # fmt: skip
    assert subject.feed(request) == request
    with pytest.raises(Refused):
        subject.feed(with_lines(b"Content-Length: 5", b"Transfer-Encoding: chunked"))


def test_a_head_tells_what_framing_needs() -> None:
    """Method, target, length and coding."""
    head = parse_head(with_lines(b"Content-Length:  7 ")[:-4])
    assert (head.method, head.target, head.content_length, head.chunked) == (
        b"POST", b"/mcp", 7, False,
    )  # fmt: skip
    assert parse_head(b"GET / HTTP/1.0").content_length == 0
    assert parse_head(CHUNKED[:-4]).chunked
