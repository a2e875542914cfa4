# Types of choices.
cdef class Choice

from only1mcp._speedups.balancer_c cimport Balancer
from only1mcp._speedups.call_c cimport Plan
from only1mcp._speedups.gauge_c cimport Gauge
from only1mcp._speedups.json_scan_c cimport Envelope


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

    cdef Plan pick(self, Envelope envelope, unsigned long long session, unsigned long long caller,
                   double moment)
    cdef bint is_due(self, double moment) except -1
