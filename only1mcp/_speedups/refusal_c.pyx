"""Refusals, for lack of room or by a breaker: the cheaper each, the more is done of what can be."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

from only1mcp._speedups.call_c cimport Caller, decimal_bytes
from only1mcp._speedups.front_c cimport Front
from only1mcp._speedups.json_scan_c cimport Envelope
from only1mcp._speedups.lane_c cimport Lane

cdef bytes BLANK = b"\r\n\r\n"
cdef bytes OPENING = b'{"jsonrpc":"2.0","id":'


cdef class Refusal:
    """How requests are refused for one reason, as long as that lasts.

    Args:
        pieces: head and end of the response to a legacy request, to one after which the connection
            closes, and the same for modern ones. The length of the body follows the head; the end
            is what follows the request's id.
        slots: where a refused request is counted, by its method.
        other: where one of any other method is.
    """

    def __init__(self, tuple pieces not None, dict slots not None, Py_ssize_t other):
        if len(pieces) != 8:
            raise ValueError(len(pieces))
        self.pieces = pieces
        self.slots = slots
        self.other = other

    cdef int give(self, Front front, Caller caller, Envelope envelope) except -1:
        """Count a request, and refuse it."""
        cdef Lane lane = front.lane
        cdef int at = (4 if envelope.version_start else 0) + (2 if lane.draining else 0)
        cdef object slot = self.slots.get(envelope.method)
        self.count += 1
        lane.row[self.other if slot is None else <Py_ssize_t>slot] += 1
        lane.row[caller.slot] += 1
        front.write(response(self.pieces[at], envelope.id, self.pieces[at + 1]))
        front.done()
        return 0


cdef bytes response(bytes head, bytes request_id, bytes end):
    """Write the whole response around the request's id."""
    cdef bytes length = decimal_bytes(
        PyBytes_GET_SIZE(OPENING) + PyBytes_GET_SIZE(request_id) + PyBytes_GET_SIZE(end)
    )
    cdef tuple parts = (head, length, BLANK, OPENING, request_id, end)
    cdef Py_ssize_t size = 0
    cdef bytes part
    for part in parts:
        size += PyBytes_GET_SIZE(part)
    cdef bytes whole = PyBytes_FromStringAndSize(NULL, size)
    cdef char *at = PyBytes_AS_STRING(whole)
    for part in parts:
        memcpy(at, PyBytes_AS_STRING(part), PyBytes_GET_SIZE(part))
        at += PyBytes_GET_SIZE(part)
    return whole
