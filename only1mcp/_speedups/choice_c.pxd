# Types of choices.
cdef class Choice

from only1mcp._speedups.balancer_c cimport Balancer
from only1mcp._speedups.call_c cimport Caller, Plan
from only1mcp._speedups.front_c cimport Front
from only1mcp._speedups.gauge_c cimport Gauge
from only1mcp._speedups.json_scan_c cimport Envelope
from only1mcp._speedups.refusal_c cimport Refusal


cdef class Choice:
    cdef list plans
    cdef readonly object make
    cdef Balancer balancer
    cdef list gauges
    cdef unsigned long long timeout_ms, successes
    cdef object key_of
    cdef unsigned long long fixed
    cdef bint by_session, by_caller
    cdef bint sticky
    cdef str server_id
    cdef object refuse
    cdef Py_ssize_t slots[2]
    cdef Refusal refusal
    cdef long long left_s       # until an instance is tried again, as the refusal says

    cdef Plan pick(self, Front front, Envelope envelope, unsigned long long session,
                   unsigned long long caller)
    cdef bint is_due(self, double moment) except -1
    cdef int turn_away(self, Front front, Caller caller, Envelope envelope) except -1
    cdef long long seconds_left(self, double moment) except -1
