"""Which connection to a server takes a call."""

from only1mcp._speedups.call_c cimport Call, now, request_bytes
from only1mcp._speedups.upstream_c cimport Upstream

cdef enum:
    IDLE_S = 30             # after so long a connection is more likely than not to be refused
    ENDING_S = 1


cdef class Pool(Way):
    """Connections to one server, each for one call at a time."""

    cdef int send(self, given) except -1:
        cdef Call call = given
        cdef Upstream upstream
        call.upstream_id = call.plan.next_id()
        call.request = request_bytes(call)
        while self.idle:
            upstream = self.idle.pop()
            if not upstream.is_closing:
                upstream.begin(call)
                return 0
        Way.send(self, call)
        return self.widen()

    cdef bint drop(self, given) except -1:
        """Break the connection on which a call is under way: nobody reads its answer."""
        cdef Call call = given
        cdef Upstream upstream = call.upstream
        if upstream is None:
            if not Way.drop(self, call):
                return False
            call.upstream_id = None  # the server has never heard of it
            return True
        call.upstream = None
        upstream.call = None
        upstream.cut()
        return False

    cdef bint is_full(self, double moment, double patience_s) except -1:
        """Say the same; a call for which a connection is being opened waits for that."""
        return self.opening == 0 and Way.is_full(self, moment, patience_s)

    cdef int widen(self) except -1:
        """Open one more connection if a call waits that none is being opened for."""
        cdef Upstream upstream
        if len(self.waiting) > self.opening and self.open < self.limit:
            self.open += 1
            self.opening += 1
            upstream = Upstream.__new__(Upstream)
            upstream.pool = self
            self.lane.helper.connect(self, self.connect, upstream)
        return 0

    cdef int joined(self, Upstream upstream) except -1:
        """Take a connection that stands now."""
        self.opening -= 1
        upstream.is_made = True
        return self.free(upstream)

    cdef int left(self, Upstream upstream) except -1:
        """Learn that a connection has ended; who waited for it must not wait in vain."""
        self.open -= 1
        if upstream in self.idle:
            self.idle.remove(upstream)
        self.ending.discard(upstream)
        return self.widen()

    cdef int free(self, Upstream upstream) except -1:
        """Take back a connection whose call has ended."""
        if self.waiting:
            upstream.begin(self.waiting.pop(0))
        elif self.lane.draining or self.is_retired:
            upstream.is_closing = True
            upstream.transport.close()
        else:
            upstream.since = now()
            self.idle.append(upstream)
        return 0

    def failed(self, Upstream upstream not None, error):
        """Learn that a connection could not be opened.

        The call that waits longest has waited for this one; when no connection stands at all, there
        is none to be had for the others either.
        """
        if upstream.is_made:  # and was lost at once, of which uvloop tells it nothing
            upstream.connection_lost(error)
            return
        self.open -= 1
        self.opening -= 1
        if not self.waiting:
            return
        if self.open > self.opening:
            self.refuse(self.waiting.pop(0), error)
            self.widen()
            return
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            self.refuse(call, error)

    cdef int refuse(self, Call call, error) except -1:
        self.lane.leave(call)
        self.lane.helper.fail(call, "unreachable", error)
        return 0

    cdef int sweep(self, double moment) except -1:
        """Close what has been idle for long, and what does not come to its end."""
        cdef Upstream upstream
        for upstream in list(self.ending):
            if moment - upstream.since > ENDING_S:
                upstream.cut()
        while self.idle:  # the first one has been idle longest
            upstream = self.idle[0]
            if moment - upstream.since < IDLE_S:
                break
            del self.idle[0]
            if not upstream.is_closing:
                upstream.is_closing = True
                upstream.transport.close()
        return 0

    def busy(self):
        """Return how many calls are under way or wait."""
        return len(self.waiting) + self.open - len(self.idle)

    def retire(self):
        """Let calls that are under way end, and keep no connection for others."""
        self.is_retired = True
        self.close()

    def close(self):
        """Close the connections on which nothing is under way."""
        self.sweep(now() + IDLE_S + ENDING_S)
