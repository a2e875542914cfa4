# Types of the worker's end of a link to the host.
from only1mcp._speedups.call_c cimport Call
from only1mcp._speedups.frames_c cimport Frames
from only1mcp._speedups.lane_c cimport Lane
from only1mcp._speedups.way_c cimport Way


cdef class HostLine(Frames):
    cdef Lane lane
    cdef dict calls             # under way, by token
    cdef unsigned long long last
    cdef readonly unsigned long long carried

    cdef int start(self, Call call, int address) except -1
    cdef int forget(self, Call call) except -1
    cdef int answer(self, Call call, bytes data, Py_ssize_t start, Py_ssize_t end) except -1


cdef class HostWay(Way):
    cdef HostLine line
    cdef int address
    cdef Py_ssize_t limit
    cdef readonly Py_ssize_t under_way

    cdef int ended(self) except -1
    cdef int leave_all(self) except -1
