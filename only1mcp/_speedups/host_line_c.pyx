"""The worker's end of the link on which plain calls reach the servers that the host owns.

A call goes as one frame, and its answer comes as one. What the host could not send comes back, and
takes the common way, which knows what to do while a server starts or is down.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from only1mcp._speedups.call_c cimport Call, decimal_bytes, frame_bytes, pass_on
from only1mcp._speedups.frame_head cimport CANCEL, CARRIED, FAILED, MESSAGE, REPLY
from only1mcp._speedups.frames_c cimport frame
from only1mcp._speedups.json_scan_c cimport Envelope, scan
from only1mcp._speedups.lane_c cimport Lane


cdef class HostLine(Frames):
    """One link, made again whenever it breaks, and the calls on it.

    Args:
        lane: what takes the answers.
        admits: says of a transport whether its other end is our own user.
    """

    def __init__(self, Lane lane not None, admits):
        self.lane = lane
        self.admits = admits
        self.calls = {}

    def way(self, int address, Py_ssize_t limit):
        """Return the way to the server, or the process of one, for so many calls at a time."""
        cdef HostWay way = HostWay.__new__(HostWay)
        way.line = self
        way.address = address
        way.limit = limit
        return way

    cdef int start(self, Call call, int address) except -1:
        if self.transport is None or self.transport.is_closing():
            (<HostWay>call.plan.way).under_way -= 1
            self.lane.leave(call)
            self.lane.helper.go_common(call)
            (<HostWay>call.plan.way).leave_all()  # nobody else would wake those that wait
            return 0
        self.last += 1
        self.carried += 1
        call.token = self.last
        call.upstream_id = decimal_bytes(self.last)
        self.calls[self.last] = call
        self.transport.write(frame_bytes(call, address))
        return 0

    cdef int forget(self, Call call) except -1:
        """Have the host tell the server that nobody waits any more."""
        if self.calls.pop(call.token, None) is call:
            self.send(frame(CANCEL, call.token, b""))
            (<HostWay>call.plan.way).ended()
        return 0

    cdef int take(self, int kind, unsigned long long token, bytes data, Py_ssize_t start,
                  Py_ssize_t end) except -1:
        cdef Lane lane = self.lane
        cdef Call call = self.calls.get(token)
        if call is None:
            return 0
        if kind == MESSAGE:
            lane.helper.event(call, scan(data[start:end]))
            return 0
        del self.calls[token]
        (<HostWay>call.plan.way).ended()
        if kind == CARRIED:
            return self.answer(call, data, start, end)
        lane.leave(call)
        if kind == REPLY:
            lane.well(call)
            lane.helper.relay(call, scan(data[start:end]))
        elif kind == FAILED:
            lane.helper.failed(call, data[start:end])
        else:
            lane.helper.go_common(call)
        return 0

    cdef int answer(self, Call call, bytes data, Py_ssize_t start, Py_ssize_t end) except -1:
        """Answer the client with the result behind the byte that tells how it looks."""
        cdef Lane lane = self.lane
        cdef int look = PyBytes_AS_STRING(data)[start]
        lane.well(call)
        if pass_on(call, data, start + 1, end, look):
            if call.flight is not None:
                lane.helper.landed(call, reply_of(data[start + 1:end]))
            return 0
        lane.leave(call)
        lane.helper.relay(call, reply_of(data[start + 1:end]))
        return 0

    cdef int broken(self) except -1:
        """Fail what was under way, and have the link made again."""
        cdef Call call
        calls, self.calls = self.calls, {}
        for call in calls.values():
            (<HostWay>call.plan.way).under_way -= 1
            self.lane.leave(call)
            self.lane.helper.fail(call, "host", None)
        for way in {(<HostWay>(<Call>one).plan.way) for one in calls.values()}:
            (<HostWay>way).leave_all()
        self.lane.helper.reach_host()
        return 0


cdef Envelope reply_of(bytes result):
    """Return a result as the message that it came in."""
    return scan(b'{"jsonrpc":"2.0","id":0,"result":%b}' % result)


cdef class HostWay(Way):
    """The way to one server behind a link, for so many calls at a time."""

    cdef int send(self, call) except -1:
        if self.under_way >= self.limit:
            return Way.send(self, call)
        self.under_way += 1
        return self.line.start(call, self.address)

    cdef bint drop(self, call) except -1:
        if Way.drop(self, call):
            return True
        self.line.forget(call)
        return False

    cdef int ended(self) except -1:
        """Learn that a call is not under way any more; the next one takes its place."""
        self.under_way -= 1
        if self.waiting and self.under_way < self.limit:
            self.send(self.waiting.pop(0))
        return 0

    cdef int leave_all(self) except -1:
        """Have those that wait take the common way: the link is gone."""
        cdef Call call
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            self.line.lane.leave(call)
            self.line.lane.helper.go_common(call)
        return 0
