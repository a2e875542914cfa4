"""The recognisers of HTTP as Python sees them: for tests, which hold them to `http1_py`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from only1mcp._speedups.http_body cimport LAST, PIECE, SIZE, WRONG, Chunks, next_piece
from only1mcp._speedups.http_head cimport (
    HAS_HOST, HAS_METHOD, HAS_NAME, HAS_SESSION, HAS_VERSION, INCOMPLETE, RECOGNISED,
    RequestHead, ResponseHead, Span, read_request, read_response,
)


cdef bytes cut(bytes data, unsigned int is_there, Span *span):
    return data[span.start:span.end] if is_there else None


def recognise_request(bytes data not None):
    """Return what the head says; an empty tuple when it is not complete, None when it is odd."""
    cdef RequestHead head
    cdef int found = read_request(
        <const unsigned char *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), &head
    )
    if found != RECOGNISED:
        return () if found == INCOMPLETE else None
    return (
        head.size, head.length, cut(data, head.seen & HAS_HOST, &head.host),
        cut(data, head.seen & HAS_VERSION, &head.version),
        cut(data, head.seen & HAS_METHOD, &head.method),
        cut(data, head.seen & HAS_NAME, &head.name),
        cut(data, head.seen & HAS_SESSION, &head.session),
    )


def recognise_response(bytes data not None):
    """Return what the head says; an empty tuple when it is not complete, None when it is odd."""
    cdef ResponseHead head
    cdef int found = read_response(
        <const unsigned char *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), &head
    )
    if found != RECOGNISED:
        return () if found == INCOMPLETE else None
    return (
        head.size, head.length, head.status, head.chunked, head.events, head.json, head.closes,
    )


def read_chunks(pieces):
    """Return what a body in chunks carries, and how many bytes it takes, trailers included.

    An empty tuple when its end has not come, None when it is odd. It comes in these pieces.
    """
    cdef Chunks chunks
    cdef Py_ssize_t at, start, size = 0
    cdef int found
    cdef bytes data
    chunks.step = SIZE
    chunks.left = chunks.line = 0
    body = []
    for data in pieces:
        at = 0
        found = PIECE
        while found == PIECE:
            found = next_piece(&chunks, <const unsigned char *>PyBytes_AS_STRING(data),
                               PyBytes_GET_SIZE(data), &at, &start)
            if found == PIECE:
                body.append(data[start:at])
        size += at
        if found == WRONG:
            return None
        if found == LAST:
            return b"".join(body), size
    return ()
