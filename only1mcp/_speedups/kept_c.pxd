# Types of calls whose answers are kept.
cdef class Keeping

from only1mcp._speedups.call_c cimport Caller, Plan, Ready
from only1mcp._speedups.front_c cimport Front
from only1mcp._speedups.json_scan_c cimport Envelope
from only1mcp._speedups.lru_c cimport Entry, Lru


cdef class Keeping(Ready):
    cdef readonly Lru store
    cdef bytes common
    cdef bint named
    cdef readonly bint is_shared
    cdef readonly str server_id
    cdef readonly object kind       # what `proxy.cache` knows of such calls
    cdef readonly object flights    # those that others may join
    cdef dict under_way             # the same by the keys of their answers
    cdef object leads               # the plan or choice by which calls travel; None for none

    cdef bytes key_for(self, Envelope envelope, bytes caller)
    cdef Entry find(self, Envelope envelope, bytes key, double moment)
    cdef Plan pick(self, Front front, Envelope envelope, Caller caller, unsigned long long place)


cdef Plan give(Front front, Keeping kind, Envelope envelope, Caller caller,
               unsigned long long place)
