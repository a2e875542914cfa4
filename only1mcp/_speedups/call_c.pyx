"""One call of the fast lane, the plan that it follows, and the bytes of both of its ways."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy
from only1mcp._speedups.json_scan_c cimport Envelope
from only1mcp._speedups.pool_c cimport Pool

import time


cdef double now():
    return time.monotonic()


cdef class Plan:
    """How one kind of call travels: where to, under which head and name.

    Args:
        pool: connections to the server.
        head: the request's head up to the digits of Content-Length.
        raw_name: the server's own name of the target as JSON; None to leave the body's as it is.
        ids: has `next_id()`: the server must not see an id twice.
        opened: the legacy session that the head names, to compare with `ids.opened`; or None.
        slots: first metric slots: request outcome and histogram, server outcome and histogram.
        about: method, target and server id, for log and errors.
    """

    def __init__(self, Pool pool, bytes head, raw_name, ids, opened, bint modern, bint hinted,
                 double timeout_s, slots, tuple about):
        self.pool = pool
        self.head = head
        self.raw_name = raw_name
        self.ids = ids
        self.opened = opened
        self.modern = modern
        self.hinted = hinted
        self.timeout_s = timeout_s
        for i in range(4):
            self.slots[i] = slots[i]
        self.about = about


cdef class Call:
    """One call under way."""


cdef bytes request_bytes(Plan plan, Envelope envelope, bytes upstream_id):
    """Write the request to the server: the client's parameters, its own name of the target."""
    cdef bytes body = envelope.body
    cdef bytes method = envelope.method.encode()
    cdef const char *data = PyBytes_AS_STRING(body)
    cdef Py_ssize_t first = envelope.params_start, last = envelope.params_end
    cdef bytes middle = plan.raw_name
    cdef Py_ssize_t before = last - first, after = 0
    if middle is not None:
        before = envelope.name_start - first
        after = last - envelope.name_end
    cdef Py_ssize_t middle_size = 0 if middle is None else PyBytes_GET_SIZE(middle)
    cdef bytes opening = b'{"jsonrpc":"2.0","id":%b,"method":"%b","params":' % (upstream_id, method)
    cdef Py_ssize_t length = PyBytes_GET_SIZE(opening) + before + middle_size + after + 1
    cdef bytes tail = b"%d\r\n\r\n%b" % (length, opening)
    cdef Py_ssize_t head_size = PyBytes_GET_SIZE(plan.head), tail_size = PyBytes_GET_SIZE(tail)
    cdef bytes whole = PyBytes_FromStringAndSize(
        NULL, head_size + tail_size + before + middle_size + after + 1
    )
    cdef char *at = PyBytes_AS_STRING(whole)
    memcpy(at, PyBytes_AS_STRING(plan.head), head_size)
    at += head_size
    memcpy(at, PyBytes_AS_STRING(tail), tail_size)
    at += tail_size
    memcpy(at, data + first, before)
    at += before
    if middle is not None:
        memcpy(at, PyBytes_AS_STRING(middle), middle_size)
        at += middle_size
        memcpy(at, data + envelope.name_end, after)
        at += after
    at[0] = 125
    return whole


cdef bytes answer_bytes(Envelope reply, bytes request_id, bint closes):
    """Write the answer: the server's result under the client's id."""
    cdef Py_ssize_t size = reply.result_end - reply.result_start
    cdef bytes opening = b'{"jsonrpc":"2.0","id":%b,"result":' % request_id
    cdef Py_ssize_t length = PyBytes_GET_SIZE(opening) + size + 1
    cdef bytes head
    if closes:
        head = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%b") % (length, opening)
    else:
        head = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b") % (length, opening)
    cdef Py_ssize_t head_size = PyBytes_GET_SIZE(head)
    cdef bytes whole = PyBytes_FromStringAndSize(NULL, head_size + size + 1)
    cdef char *at = PyBytes_AS_STRING(whole)
    memcpy(at, PyBytes_AS_STRING(head), head_size)
    memcpy(at + head_size, PyBytes_AS_STRING(reply.body) + reply.result_start, size)
    at[head_size + size] = 125
    return whole
