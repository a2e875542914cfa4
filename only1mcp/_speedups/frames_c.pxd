# Types of links that carry calls of the fast lane.

cdef class Frames:
    cdef object admits
    cdef readonly object transport
    cdef bytes begun            # of a head that is not complete
    cdef bytes whole            # a frame whose length is known, as far as it has come
    cdef Py_ssize_t held

    cdef Py_ssize_t fill(self, bytes data, Py_ssize_t at) except -1
    cdef int take(self, int kind, unsigned long long token, bytes data, Py_ssize_t start,
                  Py_ssize_t end) except -1
    cdef int taken(self) except -1
    cdef int broken(self) except -1
    cdef int send(self, bytes data) except -1


cdef bytes frame(int kind, unsigned long long token, bytes payload)
