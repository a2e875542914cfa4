# What a request says of itself, as objects: mostly those that its connection has kept of the last
# one. Inlined into front_c.
from cpython.bytes cimport PyBytes_AS_STRING

from only1mcp._speedups.call_c cimport Caller
from only1mcp._speedups.compare cimport again, cut, is_secret
from only1mcp._speedups.front_c cimport Front
from only1mcp._speedups.http_head cimport HAS_AUTHORIZATION, HAS_SESSION, RequestHead
from only1mcp._speedups.json_scan_c cimport Envelope
from only1mcp._speedups.lane_c cimport Lane


cdef inline bytes session_of(Front front, const unsigned char *raw, RequestHead *head):
    """Return the session header; None when there is none."""
    if not head.seen & HAS_SESSION:
        return None
    front.session = again(front.session, raw + head.session.start,
                          head.session.end - head.session.start)
    return front.session


cdef inline bytes capabilities_of(Front front, Envelope envelope):
    """Return what a modern request says of its client."""
    cdef Py_ssize_t start = envelope.capabilities_start
    cdef const char *data = PyBytes_AS_STRING(envelope.body) + start
    front.capabilities = again(front.capabilities, <const unsigned char *>data,
                               envelope.capabilities_end - start)
    return front.capabilities


cdef inline Caller caller_of(Front front, const unsigned char *raw, RequestHead *head):
    """Return who sent a request; None for nobody that we know."""
    cdef Lane lane = front.lane
    cdef const unsigned char *sent = raw + head.authorization.start
    cdef Py_ssize_t size = head.authorization.end - head.authorization.start
    if not head.seen & HAS_AUTHORIZATION:
        return None
    cdef unsigned long long stamp = lane.revoked[0] + lane.edition  # neither ever falls
    if front.caller is not None and front.stamp == stamp:
        if is_secret(sent, size, front.authorization):
            return front.caller
    cdef bytes header = cut(raw, &head.authorization)
    cdef Caller caller = lane.helper.caller(header)
    if caller is not None:
        front.caller, front.authorization, front.stamp = caller, header, stamp
    return caller
