"""The plans of one kind of call, one for each instance of its server."""

from only1mcp._speedups.call_c cimport Caller, Plan, now
from only1mcp._speedups.front_c cimport Front
from only1mcp._speedups.gauge_c cimport Gauge
from only1mcp._speedups.json_scan_c cimport Envelope
from only1mcp._speedups.lane_c cimport Lane

cdef enum:
    BREAKER = 2             # the word of a row, as `only1mcp.resilience.breaker` writes it
    OPEN = 1
    COUNT = 10
    TIME = 42


cdef class Choice:
    """Chooses by which of its plans a call travels.

    Args:
        make: returns the plan for the instance at a place; None while calls cannot travel there.
        balancer: chooses the place.
        gauges: what is known of each instance.
        timeout_ms, successes: when an instance with an open breaker is to be tried again, and with
            how many calls: those take the common way.
        fixed: the key of all such calls, where calls are placed by what they call.
        key_of: returns the key of a call by its message; None where that plays no part.
        by_session, by_caller: whether calls are placed by the client's session, or by who calls.
        sticky: whether a session keeps its instance, however calls are placed.
        server_id: whose instances they are, for the log.
        refuse: returns how calls are refused while no instance takes any, by the seconds left.
        slots: first metric slots of refused calls: their histogram, and the server's outcome.
    """

    def __init__(self, make, Balancer balancer not None, gauges, timeout_ms, successes, fixed,
                 key_of, bint by_session, bint by_caller, bint sticky, str server_id not None,
                 refuse, slots):
        self.make = make
        self.plans = [None] * balancer.size
        self.balancer = balancer
        self.gauges = list(gauges)
        self.timeout_ms = timeout_ms
        self.successes = successes
        self.fixed = fixed
        self.key_of = key_of
        self.by_session = by_session
        self.by_caller = by_caller
        self.sticky = sticky
        self.server_id = server_id
        self.refuse = refuse
        self.slots[0], self.slots[1] = slots

    cdef Plan pick(self, Front front, Envelope envelope, unsigned long long session,
                   unsigned long long caller):
        """Return the plan that a call takes; None for the common way, or no way at all.

        Args:
            front: where it came just now; learns if it is to be turned away.
            envelope: the call.
            session: stands for the client's session; 0 when it has none.
            caller: stands for who calls; 0 for anyone.
        """
        cdef unsigned long long key = self.fixed
        cdef bint keyed = False
        cdef Py_ssize_t place = 0
        cdef Plan plan
        cdef Gauge gauge
        if self.balancer.size == 1:
            gauge = self.gauges[0]
            place = -1 if gauge.row[BREAKER] >> 62 else 0
        else:
            if session and (self.sticky or self.by_session):
                key = session
                keyed = self.sticky
            elif self.by_caller and caller:
                key = caller
            elif self.key_of is not None:
                key = self.key_of(envelope)
            if self.is_due(front.active):
                return None
            place = self.balancer.pick(key, keyed, 0)
        if place < 0:
            if not self.is_due(front.active):
                front.shut = self
            return None
        plan = self.plans[place]
        if plan is None or plan.opened is not None and plan.ids.opened is not plan.opened:
            plan = self.plans[place] = self.make(place)
        return plan

    cdef bint is_due(self, double moment) except -1:
        """Say whether an instance waits for a call that tries it."""
        cdef unsigned long long word, since, instant = <unsigned long long>(moment * 1000)
        cdef Gauge gauge
        for gauge in self.gauges:
            word = gauge.row[BREAKER]
            if not word >> 62:
                continue
            since = word & ((<unsigned long long>1 << TIME) - 1)
            if not since or instant >= since + self.timeout_ms:
                return True
            if word >> 62 != OPEN:
                if (word >> (TIME + COUNT) & ((1 << COUNT) - 1)) < self.successes:
                    return True
        return False

    cdef int turn_away(self, Front front, Caller caller, Envelope envelope) except -1:
        """Refuse a call: no instance takes any, nor is one to be tried yet."""
        cdef Lane lane = front.lane
        cdef long long left_s = self.seconds_left(front.active)
        cdef double began = front.active
        if self.refusal is None or left_s != self.left_s:
            self.refusal, self.left_s = self.refuse(left_s), left_s
        lane.row[self.slots[1]] += 1
        lane.observe(self.slots[0], now() - began)
        if lane.shut_budget > 0:
            lane.shut_budget -= 1
            lane.helper.log_shut(front, envelope, self.server_id, caller, now() - began)
        return self.refusal.give(front, caller, envelope)

    cdef long long seconds_left(self, double moment) except -1:
        """Return in how many seconds an instance is tried again."""
        cdef unsigned long long since, first = 0, instant = <unsigned long long>(moment * 1000)
        cdef Gauge gauge
        for gauge in self.gauges:
            since = gauge.row[BREAKER] & ((<unsigned long long>1 << TIME) - 1)
            if not first or since < first:
                first = since
        first += self.timeout_ms
        return (first - instant + 500) // 1000 if first > instant else 0
