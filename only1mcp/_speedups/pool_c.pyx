"""Which connection to a server takes a call."""

from only1mcp._speedups.call_c cimport Call
from only1mcp._speedups.upstream_c cimport Upstream


cdef int drop_upstream(Call call) except -1:
    """Break the connection on which a call is under way: nobody reads its answer."""
    cdef Upstream upstream = call.upstream
    if upstream is not None:
        call.upstream = None
        upstream.call = None
        if upstream.transport is not None:
            upstream.transport.abort()
    else:
        call.plan.pool.forget(call)
    return 0


cdef class Pool:
    """Connections to one server, each for one call at a time."""

    cdef int send(self, Call call) except -1:
        cdef Upstream upstream
        while self.idle:
            upstream = self.idle.pop()
            if upstream.transport is not None and not upstream.is_closing:
                upstream.begin(call)
                return 0
        self.waiting.append(call)
        if self.open < self.limit:
            self.open += 1
            upstream = Upstream.__new__(Upstream)
            upstream.pool = self
            self.lane.helper.connect(self, self.connect, upstream)
        return 0

    cdef int forget(self, Call call) except -1:
        if call in self.waiting:
            self.waiting.remove(call)
        return 0

    cdef int free(self, Upstream upstream) except -1:
        """Take back a connection whose call has ended."""
        if self.waiting:
            upstream.begin(self.waiting.pop(0))
        elif self.lane.draining:
            upstream.transport.close()
        else:
            self.idle.append(upstream)
        return 0

    def failed(self, error):
        """Learn that no connection is to be had: nobody waits for one in vain."""
        self.open -= 1
        waiting, self.waiting = self.waiting, []
        cdef Call call
        for call in waiting:
            self.lane.calls.discard(call)
            self.lane.helper.fail(call, "unreachable", error)

    def close(self):
        """Close the connections on which nothing is under way."""
        cdef Upstream upstream
        for upstream in list(self.idle):
            if upstream.transport is not None:
                upstream.transport.close()
        self.idle.clear()
