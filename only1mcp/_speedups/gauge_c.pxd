# Types of the compiled gauge; the code stands in gauge_py.py.
cimport cython

cdef Py_ssize_t KEY, HEALTH, BREAKER, FACTOR, LATENCY, WIDTH
cdef Py_ssize_t IN_FLIGHT, CALLS, FAILURES, MICROS, COLUMN
cdef int DOWN, WHOLE

cdef class Gauge:
    cdef readonly unsigned long long[::1] row
    cdef readonly unsigned long long[::1] columns
    cdef Py_ssize_t _at
    cdef unsigned long long _end
    cdef readonly unsigned long long in_flight

    cpdef int enter(self) except -1
    cpdef int leave(self) except -1
    cpdef int note(self, unsigned long long micros, bint failed) except -1

    @cython.locals(at="unsigned long long", total="unsigned long long")
    cpdef unsigned long long load(self)

    cpdef unsigned long long calls(self)

    cpdef bint is_closed(self)
