# Types of the compiled scanner, for other compiled modules.

cdef class Envelope:
    cdef readonly bytes body
    cdef readonly int kind
    cdef readonly bytes id
    cdef readonly str method, name, uri, version, result_type
    cdef readonly Py_ssize_t params_start, params_end, name_start, name_end
    cdef readonly Py_ssize_t meta_start, meta_end, version_start
    cdef readonly Py_ssize_t capabilities_start, capabilities_end, token_start, token_end
    cdef readonly Py_ssize_t result_start, result_end, error_start, error_end
    cdef bint is_plain          # no key of the message, of its params or of their _meta is escaped
    cdef bint has_more          # if it is plain: parameters that not all revisions know

cpdef Envelope scan(bytes body)
