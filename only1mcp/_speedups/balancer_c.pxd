# Types of the compiled balancer; the code stands in balancer_py.py.
cimport cython

from only1mcp._speedups.gauge_c cimport Gauge
from only1mcp._speedups.hash_ring_c cimport HashRing

cdef int ROUND_ROBIN, LEAST, HASH, RANDOM, WEIGHTED
cdef Py_ssize_t _HEALTH, _BREAKER, _FACTOR
cdef unsigned long long _DOWN, _WHOLE

cdef class Balancer:
    cdef readonly Py_ssize_t size
    cdef int _algorithm
    cdef list _gauges
    cdef long long[::1] _weights
    cdef long long[::1] _near
    cdef long long[::1] _credit
    cdef long long[::1] _able
    cdef unsigned long long[::1] _bit
    cdef HashRing _ring
    cdef long long _spare
    cdef long long _panic
    cdef object _entropy
    cdef bytes _random
    cdef Py_ssize_t _used

    @cython.locals(count=Py_ssize_t)
    cpdef Py_ssize_t pick(self, unsigned long long key, bint keyed,
                          unsigned long long tried) except -2

    @cython.locals(closed="long long", up="long long", near="long long", count=Py_ssize_t,
                   place=Py_ssize_t, gauge=Gauge, heeds=bint)
    cdef Py_ssize_t _gather(self, unsigned long long tried) except -1

    @cython.locals(gauge=Gauge, factor="unsigned long long")
    cdef long long _weight(self, Py_ssize_t place) except -1

    cdef Py_ssize_t _by_chance(self, Py_ssize_t count) except -2

    @cython.locals(total="long long", weight="long long", best=Py_ssize_t, index=Py_ssize_t,
                   place=Py_ssize_t)
    cdef Py_ssize_t _in_turn(self, Py_ssize_t count) except -2

    @cython.locals(first=Py_ssize_t, second=Py_ssize_t, gauge=Gauge, other=Gauge,
                   mine="unsigned long long", yours="unsigned long long")
    cdef Py_ssize_t _least(self, Py_ssize_t count) except -2

    @cython.locals(total="long long", weight="long long", left="long long", index=Py_ssize_t,
                   last=Py_ssize_t)
    cdef Py_ssize_t _weighted(self, Py_ssize_t count, Py_ssize_t without) except -2

    @cython.locals(left="unsigned long long", total="unsigned long long",
                   weights="unsigned long long", index=Py_ssize_t, place=Py_ssize_t, gauge=Gauge)
    cdef Py_ssize_t _by_key(self, unsigned long long key, long long spare,
                            Py_ssize_t count) except -2

    @cython.locals(at=Py_ssize_t, first=Py_ssize_t, place=Py_ssize_t, gauge=Gauge, ring=HashRing,
                   share="unsigned long long")
    cdef Py_ssize_t _walk(self, unsigned long long key, unsigned long long left, long long spare,
                          unsigned long long total, unsigned long long weights) except -2

    @cython.locals(at=Py_ssize_t, bits="long long")
    cdef long long _bits(self) except -1
