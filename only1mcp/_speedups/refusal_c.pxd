# The type of refusals, known to the modules of the fast lane.
cdef class Refusal

from only1mcp._speedups.call_c cimport Caller
from only1mcp._speedups.front_c cimport Front
from only1mcp._speedups.json_scan_c cimport Envelope


cdef class Refusal:
    cdef readonly unsigned long long count
    cdef tuple pieces
    cdef dict slots
    cdef Py_ssize_t other

    cdef int give(self, Front front, Caller caller, Envelope envelope) except -1
