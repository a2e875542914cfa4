# Types of pools.
cdef class Pool

from only1mcp._speedups.call_c cimport Call
from only1mcp._speedups.lane_c cimport Lane
from only1mcp._speedups.upstream_c cimport Upstream


cdef class Pool:
    cdef Lane lane
    cdef object connect
    cdef Py_ssize_t limit
    cdef Py_ssize_t open
    cdef list idle
    cdef list waiting

    cdef int send(self, Call call) except -1
    cdef int forget(self, Call call) except -1
    cdef int free(self, Upstream upstream) except -1


cdef int drop_upstream(Call call) except -1
