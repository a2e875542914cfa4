# Type of what a plan leads over. It names no other: the modules that do would name it in a circle.

cdef class Way:
    cdef readonly list waiting          # calls that there is no room for yet

    cdef int send(self, call) except -1
    cdef bint drop(self, call) except -1
    cdef bint is_full(self, double moment, double patience_s) except -1
