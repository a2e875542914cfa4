# Types of what a worker's connections share.
cdef enum:
    MANY_PLANS = 4096

cdef class Lane

from only1mcp._speedups.call_c cimport Call, Caller, Plan, Ready
from only1mcp._speedups.front_c cimport Front
from only1mcp._speedups.json_scan_c cimport Envelope


cdef class Lane:
    cdef readonly object loop
    cdef readonly object helper
    cdef unsigned long long[::1] row
    cdef double[::1] bounds
    cdef Py_ssize_t max_header, max_body
    cdef unsigned long long[::1] epoch
    cdef unsigned long long epoch_seen
    cdef unsigned long long turn        # grows when what is known of sessions is forgotten
    cdef unsigned long long[::1] revoked
    cdef public Caller anyone       # None where everybody needs credentials
    cdef public unsigned long long edition      # grows when other keys are in force
    cdef readonly dict plans
    cdef readonly dict sessions
    cdef readonly dict hosts
    cdef readonly set fronts
    cdef public Py_ssize_t held         # bytes of bodies that came in and are not answered yet
    cdef public Py_ssize_t max_held
    cdef readonly list calls
    cdef readonly list pools
    cdef public bint draining
    cdef public long log_budget         # lines about calls that go well, until it is set again
    cdef public long shut_budget        # likewise about those that are turned away
    cdef readonly unsigned long long taken  # requests, as far as they were read here
    cdef readonly dict refusals         # what is going on, by the server's id; "" for all
    cdef public double refuses_after    # on the clock of calls; infinite but for overload
    cdef public double patience_s       # for calls that wait for room at their server

    cdef int remember(self, tuple key, plan) except -1
    cdef int enter(self, Call call) except -1
    cdef int leave(self, Call call) except -1
    cdef int forget_call(self, Py_ssize_t place) except -1
    cdef int left(self, Call call) except -1
    cdef int well(self, Call call) except -1
    cdef int give_up(self, Call call, str kind) except -1
    cpdef forget_sessions(self)
    cdef tuple session_of(self, Front front, bytes session, bytes version, Caller caller)
    cdef tuple session_among_all(self, bytes session, bytes version, Caller caller)
    cdef int carried(self, Call call) except -1
    cdef int count(self, Call call, double seconds) except -1
    cdef int refuse(self, Front front, Caller caller, Envelope envelope, str why) except -1
    cdef int observe(self, Py_ssize_t at, double seconds) except -1
    cdef int count_ready(self, Ready ready, Caller caller, double seconds) except -1
