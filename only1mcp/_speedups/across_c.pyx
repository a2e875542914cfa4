"""Calls of modern clients to servers of an older revision, as far as they are plain ones.

What such a server is told differs in `_meta` alone, which mostly is the same in all calls of a
client, and its result wants a type (`only1mcp.protocol.translate` is the common way of both).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from only1mcp._speedups.compare cimport LONGEST_KEY, holds
from only1mcp._speedups.json_scan_c cimport Envelope

cdef enum:
    MANY = 256              # so many `_meta` are remembered


cdef class Across:
    """The plans of one kind of call that is translated on its way.

    Args:
        leads: a plan, or what chooses one.
        read: returns what is to stand for the bytes of a request's `_meta`; None when the call is
            no plain one.
        known: what it has returned; the same for all, for each client may send what it likes.
    """

    def __init__(self, leads, read, dict known not None):
        self.leads = leads
        self.read = read
        self.known = known

    cdef bytes meta_for(self, Envelope envelope):
        """Return what stands for a request's `_meta`; None for the common way.

        Source: 2026-07-28, basic/index (Tasks, multi round-trip requests): what only that revision
        puts among the parameters is taken away by those who read them closely.
        """
        cdef Py_ssize_t start = envelope.params_start, end = envelope.params_end
        cdef Py_ssize_t size = envelope.meta_end - envelope.meta_start
        cdef bytes body = envelope.body, meta
        if not 0 < size < LONGEST_KEY or holds(body, start, end, b'"task"', 6):
            return None
        if holds(body, start, end, b'"inputResponses"', 16):
            return None
        if holds(body, start, end, b'"requestState"', 14):
            return None
        meta = PyBytes_FromStringAndSize(PyBytes_AS_STRING(body) + envelope.meta_start, size)
        found = self.known.get(meta)
        if found is None:
            if len(self.known) >= MANY:
                self.known.clear()
            found = self.known[meta] = self.read(meta) or False
        return found or None
