# Types of calls whose answers are kept.
cdef class Keeping

from only1mcp._speedups.call_c cimport Caller, Ready
from only1mcp._speedups.front_c cimport Front
from only1mcp._speedups.json_scan_c cimport Envelope
from only1mcp._speedups.lru_c cimport Entry, Lru


cdef class Keeping(Ready):
    cdef readonly Lru store
    cdef bytes common
    cdef bint named, is_shared
    cdef readonly str server_id

    cdef bytes key_for(self, Envelope envelope, bytes caller)
    cdef Entry find(self, Envelope envelope, bytes caller, double moment)


cdef bint give(Front front, Keeping kind, Envelope envelope, Caller caller) except -1
