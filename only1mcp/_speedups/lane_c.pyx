"""The fast lane: plain calls to HTTP servers, from the client's socket to the server's and back.

`Front` is the protocol of a client's connection, `Upstream` that of a connection to a server, and
`Lane` what all of one worker share. The lane takes what it recognises with certainty and what a
`Plan` covers. A message that it cannot carry goes the common way through the pipeline, on the same
connection; a request that it does not recognise takes its connection along to aiohttp's door, but
for pages that probes and collectors read.

Nothing here awaits. Python code is called only for what is rare: `Lane.helper` has one method for
each such case (see `only1mcp.worker.fast_lane`).
"""

from libc.math cimport INFINITY
from only1mcp._speedups.call_c cimport Call, Caller, Plan, Ready, now
from only1mcp._speedups.compare cimport LONGEST_KEY
from only1mcp._speedups.front_c cimport Front
from only1mcp._speedups.json_scan_c cimport Envelope
from only1mcp._speedups.pool_c cimport Pool
from only1mcp._speedups.refusal_c cimport Refusal

cdef enum:
    BREAKER = 2             # the word of an instance's row

cdef class Lane:
    """What the connections of one worker share.

    Args:
        loop: the event loop.
        helper: takes what is rare.
        row: the worker's metric slots.
        bounds: upper bounds of the histogram's buckets, in seconds.
        epoch: one word, which changes whenever a legacy session is ended or changed.
        revoked: one word, which changes whenever credentials stop being good.
        anyone: who calls where nobody needs credentials; else None.
        max_header, max_body: sizes in bytes.
    """

    def __init__(self, loop, helper, row, bounds, epoch, revoked, Caller anyone,
                 Py_ssize_t max_header, Py_ssize_t max_body):
        self.revoked = revoked
        self.anyone = anyone
        self.epoch = epoch
        self.epoch_seen = 0
        self.loop = loop
        self.helper = helper
        self.row = row
        self.bounds = bounds
        self.max_header = max_header
        self.max_body = max_body
        self.refuses_after = INFINITY
        self.plans = {}
        self.sessions = {}
        self.hosts = {}
        self.refusals = {}
        self.fronts = set()
        self.calls = []
        self.pools = []

    def front(self):
        """Return the protocol of a new connection."""
        cdef Front front = Front.__new__(Front)
        front.lane = self
        return front

    def pool(self, connect, Py_ssize_t limit):
        """Return connections to one server; `connect(protocol)` returns an awaitable."""
        cdef Pool pool = Pool.__new__(Pool)
        pool.lane = self
        pool.connect = connect
        pool.limit = limit
        pool.idle = []
        pool.ending = set()
        self.pools.append(pool)
        return pool

    def dismiss(self, Pool pool not None):
        """Let go of a pool that was retired and has nothing under way any more."""
        pool.close()
        self.pools.remove(pool)

    def forget(self):
        """Forget all plans: something has changed that they were made of."""
        self.plans.clear()

    def busy(self):
        """Return how many calls are under way."""
        return len(self.calls)

    def end(self, Call call not None):
        """Learn that a call has ended that was in the helper's hands."""
        self.leave(call)

    cdef int enter(self, Call call) except -1:
        """Note that a call is under way."""
        call.place = len(self.calls)
        self.calls.append(call)
        call.is_counted = True
        if call.plan.gauge is not None:
            call.plan.gauge.enter()
        return 0

    cdef int leave(self, Call call) except -1:
        """Note that a call is not under way any more."""
        if call.is_counted:
            call.is_counted = False
            self.forget_call(call.place)
            if call.plan.gauge is not None:
                call.plan.gauge.leave()
        return 0

    cdef int forget_call(self, Py_ssize_t place) except -1:
        """Take a call off the list; the last one gets its place."""
        cdef Call last = self.calls.pop()
        if last.place != place:
            self.calls[place] = last
            last.place = place
        return 0

    cdef int well(self, Call call) except -1:
        """Note that an instance has answered."""
        if call.plan.gauge is None:
            return 0
        call.plan.gauge.note(<unsigned long long>((now() - call.began) * 1e6), False)
        if call.plan.gauge.row[BREAKER]:
            self.helper.well(call)
        return 0

    def cancel(self, bytes session not None, bytes request_id not None):
        """End calls of a legacy session at its client's wish; say whether there were any."""
        cdef Call call
        cdef bint found = False
        for call in list(self.calls):
            if call.session == session and call.envelope.id == request_id and call.is_awaited():
                if call.flight is not None and self.helper.goes_on(call):
                    call.front = self.front()  # of nobody
                else:
                    self.give_up(call, "cancelled")
                found = True
        return found

    cdef int left(self, Call call) except -1:
        """Learn that a call's client has gone; the call goes on if others wait for its answer."""
        if call.flight is None or not self.helper.goes_on(call):
            self.leave(call)
            call.plan.way.drop(call)
            self.helper.cancelled(call)
        return 0

    def abandon(self, Call call not None):
        """End a call whose client has gone, and for which nobody else waits any more."""
        self.leave(call)
        call.plan.way.drop(call)
        self.helper.abandoned(call)

    cdef int give_up(self, Call call, str kind) except -1:
        self.leave(call)
        call.plan.way.drop(call)
        self.helper.fail(call, kind, None)
        return 0

    def tick(self):
        """End what has taken too long; called a few times a second."""
        cdef double moment = now()
        cdef Call call
        cdef Pool pool
        for call in list(self.calls):
            if call.deadline < moment:
                self.give_up(call, "timeout")
        for pool in self.pools:
            pool.sweep(moment)

    def drain(self):
        """Close connections on which nothing is under way; others close with their answer."""
        cdef Front front
        for front in list(self.fronts):
            if not front.is_busy and front.transport is not None and front.pending is None:
                if not self.helper.has_unread(front):
                    front.transport.close()

    def sweep(self, double idle_s):
        """Close connections on which nothing has come for long."""
        cdef double moment = now()
        cdef Front front
        for front in list(self.fronts):
            if not front.is_busy and front.transport is not None:
                if moment - front.active > idle_s:
                    front.transport.close()

    cdef int remember(self, tuple key, plan) except -1:
        """Keep what becomes of requests of one kind: False stands for the common way.

        None is for now only.
        """
        if plan is not None:
            if len(self.plans) >= MANY_PLANS:
                self.plans.clear()
            self.plans[key] = plan
        return 0

    cpdef forget_sessions(self):
        """Ask again of each legacy session what it is: it may have expired, or changed."""
        self.sessions.clear()
        self.turn += 1

    cdef tuple session_of(self, Front front, bytes session, bytes version, Caller caller):
        """Return what a legacy session that may take the lane is known by; or None.

        That is the key of its features, and the place of its calls among instances. A connection
        mostly names the same session, in the very objects that it has kept of its last request.
        """
        if self.epoch[0] != self.epoch_seen:  # a session was ended, or wants other log messages
            self.epoch_seen = self.epoch[0]
            self.forget_sessions()
        if (session is front.known_session and version is front.known_version
                and caller is front.known_caller and front.known_turn == self.turn):
            return front.known
        front.known = self.session_among_all(session, version, caller)
        front.known_session, front.known_version = session, version
        front.known_caller, front.known_turn = caller, self.turn
        return front.known

    cdef tuple session_among_all(self, bytes session, bytes version, Caller caller):
        """Return the same, for a session that the connection has not named just now."""
        cdef tuple key = (session, version, caller)
        if len(session) > LONGEST_KEY or version is not None and len(version) > LONGEST_KEY:
            return None
        found = self.sessions.get(key)
        if found is None:
            found = self.helper.session(session, version, caller)
            if len(self.sessions) >= MANY_PLANS:
                self.forget_sessions()
            self.sessions[key] = found or ()
        return found or None

    cdef int refuse(self, Front front, Caller caller, Envelope envelope, str why) except -1:
        """Refuse a request: the server named has too much to do, or without a name we have."""
        found = self.refusals.get(why)
        if found is None:
            found = self.refusals[why] = self.helper.refusal(why)
        return (<Refusal>found).give(front, caller, envelope)

    cdef int carried(self, Call call) except -1:
        """Note the end of a call that went well; before its answer, which may be asked about."""
        self.leave(call)
        self.count(call, now() - call.began)
        if self.log_budget > 0:
            self.log_budget -= 1
            self.helper.log(call)
        return 0

    cdef int count(self, Call call, double seconds) except -1:
        """Count a call that went well."""
        cdef Plan plan = call.plan
        self.row[call.caller.slot] += 1
        self.row[plan.slots[0]] += 1
        self.row[plan.slots[2]] += 1
        self.observe(plan.slots[1], seconds)
        self.observe(plan.slots[3], seconds)
        return 0

    cdef int count_ready(self, Ready ready, Caller caller, double seconds) except -1:
        """Count an answer from ready-made bytes."""
        self.row[caller.slot] += 1
        self.row[ready.slots[0]] += 1
        self.observe(ready.slots[1], seconds)
        return 0

    cdef int observe(self, Py_ssize_t at, double seconds) except -1:
        """Add to the histogram at this slot: its buckets, one for the rest, and the sum."""
        cdef Py_ssize_t bucket = 0, size = self.bounds.shape[0]
        while bucket < size and seconds > self.bounds[bucket]:
            bucket += 1
        self.row[at + bucket] += 1
        self.row[at + size + 1] += <unsigned long long>(seconds * 1e6)
        return 0
