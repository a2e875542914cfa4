# Types of the compiled ring; the code stands in hash_ring_py.py.
cimport cython

cdef class HashRing:
    cdef readonly Py_ssize_t size
    cdef unsigned long long[::1] _places
    cdef int[::1] _nodes

    cpdef int pick(self, key) except -1

    cpdef int node(self, Py_ssize_t at) except -1

    @cython.locals(low=Py_ssize_t, high=Py_ssize_t, middle=Py_ssize_t,
                   places="unsigned long long[::1]")
    cpdef Py_ssize_t find(self, unsigned long long place) except -1
