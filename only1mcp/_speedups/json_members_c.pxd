# Types of the walk over one object, for the scanner.
from only1mcp._speedups.json_walk cimport Walk

cdef class Members:
    cdef Walk *w
    cdef int depth
    cdef bint begun
    cdef str path
    cdef set seen
    cdef Py_ssize_t start, end
    cdef str name
    cdef str repeated

    cdef bint step(self, bint enter) except -1
    cdef int skip(self) except -1
    cdef int read_key(self, Py_ssize_t key_start) except -1
    cdef int check(self) except -1

cdef object failed(Walk *w)
cdef str text_of(Walk *w, Py_ssize_t start, Py_ssize_t end)
cdef Members open_object(Walk *w, int depth, str path)
