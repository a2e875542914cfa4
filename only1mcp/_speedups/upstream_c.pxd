# Types of connections to servers.
cdef class Upstream

from only1mcp._speedups.call_c cimport Call
from only1mcp._speedups.http_head cimport ResponseHead
from only1mcp._speedups.json_scan_c cimport Envelope
from only1mcp._speedups.pool_c cimport Pool


cdef class Upstream:
    cdef Pool pool
    cdef object transport
    cdef bint is_closing        # the server has ended its half
    cdef Call call
    cdef ResponseHead head
    cdef bint has_head
    cdef list parts             # of a body whose length is not known
    cdef bytes whole            # a body whose length is known, as far as it has come
    cdef Py_ssize_t wanted      # bytes that the buffer must hold before another chunk is complete
    cdef Py_ssize_t held
    cdef bytearray buffer       # of a head, or of a body in chunks
    cdef bytearray text         # the body of an event stream, without its chunks' frames
    cdef bint is_last           # the last chunk has come
    cdef bint is_ending         # the answer has come, the end of its body has not

    cdef int begin(self, Call call) except -1
    cdef int tail(self, bytes data) except -1
    cdef int body(self, bytes data) except -1
    cdef int fill(self, bytes data) except -1
    cdef int chunks(self, bytes data) except -1
    cdef int events(self, bytes data) except -1
    cdef int finish(self, bytes body) except -1
    cdef int ended(self) except -1
    cdef int deliver(self, Envelope reply) except -1
    cdef int release(self) except -1
    cdef int settle(self) except -1
    cdef int fail(self, str kind, error) except -1
