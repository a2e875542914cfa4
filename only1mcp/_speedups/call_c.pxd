# Types of calls. The modules of the fast lane know each other: each names its types before it asks
# for others.
cdef class Caller
cdef class Plan
cdef class Ready
cdef class Call

from only1mcp._speedups.front_c cimport Front
from only1mcp._speedups.gauge_c cimport Gauge
from only1mcp._speedups.json_scan_c cimport Envelope
from only1mcp._speedups.upstream_c cimport Upstream
from only1mcp._speedups.way_c cimport Way

cdef enum:
    OPAQUE = 0              # how a result looks: what it says of its type is to be read closely
    COMPLETE = 1            # it says that it is complete
    PLAIN = 2               # none of its members hides behind escapes


cdef class Caller:
    cdef readonly object principal
    cdef readonly object scope
    cdef unsigned long long place   # where its calls belong on the ring; 0 for nowhere
    cdef Py_ssize_t slot            # counts its requests
    cdef unsigned long long[::1] cells
    cdef Py_ssize_t cell
    cdef unsigned long long interval, capacity
    cdef bytes part

    cdef bint has_token(self, double moment) noexcept


cdef class Plan:
    cdef Way way
    cdef readonly Gauge gauge           # None where there is one process at the host
    cdef readonly object instances
    cdef readonly Py_ssize_t place
    cdef bytes head
    cdef readonly bytes raw_name
    cdef readonly object ids
    cdef readonly object opened
    cdef readonly bint modern           # the client; the server is the other if `across`
    cdef readonly bint across
    cdef readonly bint hinted
    cdef readonly bint safe
    cdef readonly double timeout_s
    cdef Py_ssize_t slots[4]
    cdef readonly tuple about
    cdef bytes middle           # of the message: from the id to the parameters
    cdef unsigned long long first_id, last_id

    cdef bytes next_id(self)


cdef class Ready:
    cdef bytes result
    cdef Py_ssize_t slots[2]


cdef class Call:
    cdef readonly Front front
    cdef readonly Caller caller
    cdef readonly Plan plan
    cdef readonly Envelope envelope
    cdef bytes meta                 # stands for the `_meta` of a call that is translated
    cdef readonly bytes upstream_id
    cdef readonly bytes request     # the message as it goes to the server, with its head
    cdef Upstream upstream
    cdef unsigned long long token       # on a link to the host
    cdef Py_ssize_t place       # among the calls under way
    cdef bint is_counted         # as under way, at the instance that it went to
    cdef readonly double began
    cdef double deadline
    cdef public object exchange     # set once the answer has become a stream
    cdef readonly object flight     # where others may wait for its answer, which may be kept
    cdef public object reading      # task that reads on in a stream that broke off
    cdef readonly bytes version     # header, for a second try the common way
    cdef readonly bytes session     # likewise

    cdef bint is_awaited(self) except -1


cdef double now() noexcept
cdef bytes decimal_bytes(unsigned long long number)
cdef bytes request_bytes(Call call)
cdef bytes frame_bytes(Call call, int address)
cdef int look_of(Envelope reply) except -1
cdef bint pass_on(Call call, bytes data, Py_ssize_t start, Py_ssize_t end,
                  int look) except -1
cdef int write_result(Front front, bytes data, Py_ssize_t start, Py_ssize_t end,
                      bytes request_id, bint closes) except -1
