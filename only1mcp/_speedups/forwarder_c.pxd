# Types of the host's end of links that carry calls of the fast lane.
cdef class WorkerLine
cdef class Carried
cdef class Forwarder

from only1mcp._speedups.frames_c cimport Frames
from only1mcp._speedups.json_scan_c cimport Envelope


cdef class WorkerLine(Frames):
    cdef dict found             # forwarders by address, as far as they were looked for
    cdef object find
    cdef object on_end
    cdef object encode_failure
    cdef dict calls             # under way, by token
    cdef list unsent            # frames that go at the end of what is being done
    cdef Py_ssize_t unsent_size
    cdef list touched           # forwarders with lines that go then too

    cdef int push(self, bytes data) except -1
    cdef int flush(self) except -1
    cdef int cancel(self, unsigned long long token) except -1


cdef class Carried:
    cdef WorkerLine line
    cdef Forwarder forwarder
    cdef unsigned long long number
    cdef bytes id
    cdef readonly object token, level, task

    cdef int answer(self, Envelope reply) except -1
    cdef int end(self, bytes data) except -1


cdef class Forwarder:
    cdef dict waiting           # who waits at the session, by id
    cdef object take_ids
    cdef object write
    cdef object on_message
    cdef object on_garbage
    cdef object cancel
    cdef Py_ssize_t limit
    cdef unsigned long long first_id, last_id
    cdef list lines             # of calls that go at the end of what is being done
    cdef list starting          # the calls
    cdef list touched           # links with frames that go then

    cdef bint carry(self, WorkerLine line, unsigned long long token, const char *rest,
                    Py_ssize_t size) except -1
    cdef int flush(self) except -1
    cdef int hear_one(self, bytes said) except -1
