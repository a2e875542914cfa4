"""Calls of modern clients to servers of an older revision, as far as they are plain ones.

What such a server is told differs in `_meta` alone, which mostly is the same in all calls of a
client, and its result wants a type (`only1mcp.protocol.translate` is the common way of both).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from only1mcp._speedups.compare cimport LONGEST_KEY
from only1mcp._speedups.json_scan_c cimport Envelope

cdef enum:
    MANY = 256              # so many `_meta` are remembered


cdef class Across:
    """The plans of one kind of call that is translated on its way.

    Args:
        leads: a plan, or what chooses one.
        read: returns what is to stand for the bytes of a request's `_meta`.
        known: what it has returned; the same for all, for each client may send what it likes.
    """

    def __init__(self, leads, read, dict known not None):
        self.leads = leads
        self.read = read
        self.known = known

    cdef bytes meta_for(self, Envelope envelope):
        """Return what stands for a request's `_meta`; None for the common way.

        That way reads closely what only one revision puts among the parameters: wishes for a task,
        answers to questions.
        """
        cdef Py_ssize_t size = envelope.meta_end - envelope.meta_start
        cdef bytes meta
        if not 0 < size < LONGEST_KEY or envelope.has_more:
            return None
        meta = PyBytes_FromStringAndSize(
            PyBytes_AS_STRING(envelope.body) + envelope.meta_start, size
        )
        found = self.known.get(meta)
        if found is None:
            if len(self.known) >= MANY:
                self.known.clear()
            found = self.known[meta] = self.read(meta)
        return found
