# Types of the compiled store of answers; the code stands in lru_py.py.
cimport cython

cdef Py_ssize_t OVERHEAD, HITS, JOINED, MISSES, ENTRIES, BYTES, SHELF, LARGEST_PART


cdef class Entry:
    cdef readonly bytes key, value
    cdef readonly Py_ssize_t split
    cdef readonly double expires
    cdef readonly Py_ssize_t server, target, shelf, size
    cdef readonly unsigned long long stamp
    cdef Entry older, newer

    @cython.locals(left="long long")
    cpdef bytes text(self, double now)


cdef class Lru:
    cdef readonly Py_ssize_t max_bytes, size
    cdef unsigned long long[::1] _epochs
    cdef unsigned long long[::1] _row
    cdef dict _entries
    cdef Entry _oldest, _newest

    cpdef unsigned long long stamp(self, Py_ssize_t server, Py_ssize_t target)

    cpdef bint is_good(self, Entry entry, double now)

    @cython.locals(entry=Entry)
    cpdef Entry get(self, bytes key, double now)

    cpdef int hit(self, Entry entry) except -1

    @cython.locals(before=Entry)
    cpdef bint put(self, Entry entry) except -1

    cpdef shrink(self, Py_ssize_t max_bytes)

    @cython.locals(entry=Entry, newer=Entry)
    cpdef sweep(self, double now)

    cdef int _drop(self, Entry entry) except -1

    cdef int _link(self, Entry entry) except -1

    cdef int _unlink(self, Entry entry) except -1
