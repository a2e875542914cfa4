# Types of clients' connections.
cdef class Front

from only1mcp._speedups.call_c cimport Call, Caller, Plan
from only1mcp._speedups.choice_c cimport Choice
from only1mcp._speedups.http_head cimport RequestHead
from only1mcp._speedups.json_scan_c cimport Envelope
from only1mcp._speedups.lane_c cimport Lane
from only1mcp._speedups.outlet cimport Outlet


cdef class Front:
    cdef Lane lane
    cdef readonly object transport
    cdef Outlet out
    cdef object inner           # aiohttp's door, once the connection is its
    cdef bytes pending          # what came and was not used yet
    cdef readonly bint is_busy
    cdef readonly bint paused
    cdef bint is_due            # what is pending is taken in the next turn
    cdef bint is_stopped        # nothing is read
    cdef Py_ssize_t held        # bytes of the request, as far as the lane counts them
    cdef double active
    cdef bytes host             # the Host header that was found good last
    cdef bytes authorization    # the header that was found good last
    cdef bytes version, session, capabilities   # what the last request said
    cdef tuple known            # of the legacy session that `Lane.session_of` found last
    cdef bytes known_session, known_version     # and what it was found by
    cdef Caller known_caller
    cdef unsigned long long known_turn  # of the lane
    cdef Caller caller          # whose it is
    cdef unsigned long long stamp       # of the lane, when that was found
    cdef Call call
    cdef tuple missed           # how the answer that was not there is kept, and its key; or None
    cdef bytes meta             # as `Call.meta`
    cdef Choice shut            # none of whose instances takes the call; or None
    cdef object cancel          # of a message on the common way
    cdef object timer

    cdef int feed(self, bytes data) except -1
    cdef int throttle(self) except -1
    cdef int go_on_soon(self) except -1
    cdef bint read_page(self, bytes data) except -1
    cdef bint hold(self, Py_ssize_t size)
    cdef int keep(self, bytes data) except -1
    cdef int stop_timer(self) except -1
    cdef int hand_over(self, bytes data) except -1
    cdef int take(self, const unsigned char *raw, RequestHead *head, bytes body,
                  bytes data) except -1
    cdef bytes version_of(self, const unsigned char *raw, RequestHead *head)
    cdef bint is_refused(self, Envelope envelope, Plan plan, Caller caller) except -1
    cdef Plan plan_for(self, const unsigned char *raw, RequestHead *head, Envelope envelope,
                       bytes version, bytes session, Caller caller)
    cdef bint is_turned_away(self, Caller caller, Envelope envelope) except -1
    cdef bint answer_ready(self, const unsigned char *raw, RequestHead *head, Envelope envelope,
                           bytes version, bytes session, Caller caller) except -1
    cdef int start(self, Plan plan, Envelope envelope, bytes version, bytes session,
                   Caller caller) except -1
