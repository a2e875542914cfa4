# What a modern request has to keep to before the fast lane carries it, inlined into front_c.
from only1mcp._speedups.compare cimport holds, names_level, says
from only1mcp._speedups.http_head cimport HAS_METHOD, HAS_NAME, RequestHead
from only1mcp._speedups.json_scan_c cimport Envelope


cdef inline bint speaks(const unsigned char *raw, RequestHead *head, Envelope envelope,
                        bint is_newest) except -1:
    """Say whether a modern request's headers repeat its version and method.

    The version header's value comes compared already.
    """
    if not is_newest or envelope.version is None or not envelope.capabilities_end:
        return False
    if envelope.version != "2026-07-28":
        return False
    if not head.seen & HAS_METHOD:
        return False
    return says(raw + head.method.start, head.method.end - head.method.start, envelope.method)


cdef inline bint fits(const unsigned char *raw, RequestHead *head, Envelope envelope,
                      bint is_newest, str target) except -1:
    """Say whether a modern request's headers repeat its body, and it wants nothing special."""
    cdef Py_ssize_t size = head.name.end - head.name.start
    if not speaks(raw, head, envelope, is_newest) or not head.seen & HAS_NAME:
        return False
    if size < 1 or raw[head.name.start] == 61:  # `=?base64?…?=` is decoded the common way
        return False
    if not says(raw + head.name.start, size, target):
        return False
    return not (names_level(envelope) or holds(
        envelope.body, envelope.params_start, envelope.params_end, b"requestState", 12))
