# Types of connections to servers.
cdef class Upstream

from only1mcp._speedups.call_c cimport Call
from only1mcp._speedups.http_body cimport Chunks
from only1mcp._speedups.http_head cimport ResponseHead
from only1mcp._speedups.json_scan_c cimport Envelope
from only1mcp._speedups.outlet cimport Outlet
from only1mcp._speedups.pool_c cimport Pool


cdef class Upstream:
    cdef Pool pool
    cdef object transport
    cdef Outlet out
    cdef bint is_made           # the connection stood once
    cdef bint is_closing        # nothing can be sent any more
    cdef Call call
    cdef ResponseHead head
    cdef bint has_head
    cdef bytearray start        # of a head that is not complete
    cdef bytes whole            # a body whose length is known, as far as it has come
    cdef bytearray text         # a body whose length is not known, likewise
    cdef Py_ssize_t held        # bytes of the body so far, its frames included
    cdef Chunks frames
    cdef object reader          # of events, once there was one that is not plain
    cdef str event_id           # the last one on the stream
    cdef object retry_ms
    cdef bint is_last           # the body is complete
    cdef bint is_ending         # the answer has come, the end of its body has not
    cdef double since           # idle or ending

    cdef int begin(self, Call call) except -1
    cdef bint read_head(self, bytes data) except -1
    cdef int tail(self, bytes data) except -1
    cdef int body(self, bytes data) except -1
    cdef int fill(self, bytes data) except -1
    cdef int gather(self, bytes data) except -1
    cdef int chunks(self, bytes data) except -1
    cdef int events(self, bytes data) except -1
    cdef bint take(self, Call call, bytes payload) except -1
    cdef int finish(self, bytes body) except -1
    cdef int deliver(self, Envelope reply) except -1
    cdef int release(self) except -1
    cdef int settle(self) except -1
    cdef int cut(self) except -1
    cdef int fail(self, str kind, error) except -1
