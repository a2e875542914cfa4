cdef class Across

from only1mcp._speedups.json_scan_c cimport Envelope


cdef class Across:
    cdef readonly object leads
    cdef object read
    cdef dict known             # what stands for each `_meta`

    cdef bytes meta_for(self, Envelope envelope)
