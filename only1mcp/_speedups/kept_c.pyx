"""Calls of one kind whose answers are kept; the key of each is that of `proxy.cache_keys`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy
from only1mcp._speedups.call_c cimport Caller, Plan, Ready, now, write_result
from only1mcp._speedups.choice_c cimport Choice
from only1mcp._speedups.front_c cimport Front
from only1mcp._speedups.json_scan_c cimport Envelope
from only1mcp._speedups.lane_c cimport Lane
from only1mcp._speedups.lru_c cimport Entry, Lru

cdef enum:
    LARGEST_PARAMS = 65536  # as `only1mcp.proxy.cache` has it

cdef bytes ANYBODY = b"*"


cdef class Keeping(Ready):
    """One kind of calls.

    Args:
        store: the answers.
        common: the part of the key that they have in common.
        named: whether `name` is the target.
        is_shared: whether there may be answers for all callers.
        slots: first metric slots: request outcome and histogram.
        kind: what `only1mcp.proxy.cache` knows of them.
        flights: what knows which calls are under way that others may join.
        leads: the plan, or the choice of one, by which they travel; None for the common way.
    """

    def __init__(self, Lru store not None, bytes common not None, bint named, bint is_shared,
                 slots, kind, flights, leads):
        Ready.__init__(self, b"", slots)
        self.store = store
        self.common = common
        self.named = named
        self.is_shared = is_shared
        self.kind = kind
        self.server_id = kind.shelf.server.id
        self.flights = flights
        self.under_way = flights.under_way
        self.leads = leads

    def key(self, Envelope envelope not None, bytes caller not None):
        """Return the key of a call."""
        return self.key_for(envelope, caller)

    cdef bytes key_for(self, Envelope envelope, bytes caller):
        cdef const char *data = PyBytes_AS_STRING(envelope.body)
        cdef Py_ssize_t first = envelope.meta_start, first_end = envelope.meta_end
        cdef Py_ssize_t second = 0, second_end = 0, start = envelope.params_start, size
        cdef char *at
        if self.named:
            second, second_end = envelope.name_start, envelope.name_end
        if second and second < first:
            first, second = second, first
            first_end, second_end = second_end, first_end
        size = envelope.params_end - start - (first_end - first) - (second_end - second)
        cdef bytes whole = PyBytes_FromStringAndSize(
            NULL, PyBytes_GET_SIZE(self.common) + PyBytes_GET_SIZE(caller) + 1 + size
        )
        at = put(PyBytes_AS_STRING(whole), PyBytes_AS_STRING(self.common),
                 PyBytes_GET_SIZE(self.common))
        at = put(at, PyBytes_AS_STRING(caller), PyBytes_GET_SIZE(caller))
        at[0] = 0
        at += 1
        if first_end:
            at = put(at, data + start, first - start)
            start = first_end
        if second_end:
            at = put(at, data + start, second - start)
            start = second_end
        put(at, data + start, envelope.params_end - start)
        return whole

    cdef Entry find(self, Envelope envelope, bytes key, double moment):
        """Return the answer that may be given to the caller of this key; None for none."""
        cdef Entry entry = self.store.get(key, moment)
        if entry is None and self.is_shared:
            entry = self.store.get(self.key_for(envelope, ANYBODY), moment)
        return entry

    cdef Plan pick(self, Front front, Envelope envelope, Caller caller, unsigned long long place):
        """Return how a call travels; None as `Choice` has it."""
        if isinstance(self.leads, Choice):
            return (<Choice>self.leads).pick(front, envelope, place, caller.place)
        return self.leads


cdef Plan give(Front front, Keeping kind, Envelope envelope, Caller caller,
               unsigned long long place):
    """Answer a call with what is kept.

    Returns how it travels if there is nothing; None when it was answered, is to be turned away, or
    takes the common way: to wait there for an equal call, or to be told when there will be a token.
    """
    cdef Lane lane = front.lane
    cdef Entry entry
    cdef bytes result, key
    if envelope.params_end - envelope.params_start > LARGEST_PARAMS:
        return kind.pick(front, envelope, caller, place)
    key = kind.key_for(envelope, caller.part)
    entry = kind.find(envelope, key, front.active)
    if entry is None:
        if key in kind.under_way:
            return None
        front.missed = (kind, key)
        return kind.pick(front, envelope, caller, place)
    if not caller.has_token(front.active):
        return None
    result = entry.text(front.active)
    kind.store.hit(entry)
    lane.count_ready(kind, caller, now() - front.active)
    write_result(front, result, 0, PyBytes_GET_SIZE(result), envelope.id, lane.draining)
    if lane.log_budget > 0:
        lane.log_budget -= 1
        lane.helper.log_kept(front, envelope, kind.server_id, caller, now() - front.active)
    front.done()
    return None


cdef inline char *put(char *at, const char *data, Py_ssize_t size) noexcept:
    memcpy(at, data, size)
    return at + size
