# Types of pools.
from only1mcp._speedups.way_c cimport Way

cdef class Pool(Way)

from only1mcp._speedups.call_c cimport Call
from only1mcp._speedups.lane_c cimport Lane
from only1mcp._speedups.upstream_c cimport Upstream


cdef class Pool(Way):
    cdef Lane lane
    cdef object connect
    cdef Py_ssize_t limit
    cdef readonly Py_ssize_t open       # connections, those that are being opened included
    cdef readonly Py_ssize_t opening
    cdef readonly list idle
    cdef readonly set ending            # connections on which the answer has come, but not its end
    cdef bint is_retired                # no connection is kept for a next call

    cdef int widen(self) except -1
    cdef int joined(self, Upstream upstream) except -1
    cdef int left(self, Upstream upstream) except -1
    cdef int free(self, Upstream upstream) except -1
    cdef int refuse(self, Call call, error) except -1
    cdef int sweep(self, double moment) except -1
