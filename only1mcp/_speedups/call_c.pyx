"""One call of the fast lane, the plan that it follows, and the bytes of both of its ways."""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memchr, memcpy
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec
from only1mcp._speedups.cells cimport o1_take
from only1mcp._speedups.compare cimport holds
from only1mcp._speedups.frame_head cimport CARRY, HEAD_BYTES, put_head, put_number
from only1mcp._speedups.gauge_c cimport Gauge
from only1mcp._speedups.json_scan_c cimport Envelope
from only1mcp._speedups.outlet cimport send_out
from only1mcp._speedups.way_c cimport Way

cdef enum:
    IDS = 256               # a plan takes so many ids of its session at a time
    DIGITS = 20
    ADDRESS = 3             # bytes of it in a frame: a server's slot, the number of its process
    LARGE = 16384           # of a result: from there on a copy costs more than another buffer


cdef double now() noexcept:
    """Return the seconds of `time.monotonic`."""
    cdef timespec moment
    clock_gettime(CLOCK_MONOTONIC, &moment)
    return moment.tv_sec + moment.tv_nsec * 1e-9


cdef inline char *put(char *at, bytes piece) noexcept:
    """Write a piece; return where the next one goes."""
    memcpy(at, PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece))
    return at + PyBytes_GET_SIZE(piece)


cdef inline char *put_raw(char *at, const char *data, Py_ssize_t size) noexcept:
    memcpy(at, data, size)
    return at + size


cdef Py_ssize_t decimal(unsigned long long number, char *last) noexcept:
    """Write a number so that it ends before `last`; return how many digits it has."""
    cdef Py_ssize_t size = 0
    while True:
        size += 1
        (last - size)[0] = 48 + number % 10
        number //= 10
        if not number:
            return size


cdef class Caller:
    """Who sends requests, as far as the lane has to know.

    Args:
        principal: for log and errors.
        scope: a number that stands for what exists for them; plans are remembered by it.
        place: where on the ring their calls belong; 0 for nowhere.
        slot: the metric slot that counts their requests.
        cells: the buckets of all.
        bucket: the number of theirs, and the two of its rate; None for no limit.
        part: stands for them in the keys of answers that are kept.
    """

    def __init__(self, principal, scope, unsigned long long place, Py_ssize_t slot, cells,
                 bucket, bytes part not None):
        self.part = part
        self.principal = principal
        self.place = place
        self.scope = scope
        self.slot = slot
        self.cells = cells
        self.cell = -1
        if bucket is not None:
            self.cell, self.interval, self.capacity = bucket
            if not 0 <= self.cell < self.cells.shape[0]:
                raise IndexError(self.cell)

    cdef bint has_token(self, double moment) noexcept:
        """Take a token for one call; False when there is none."""
        if self.cell < 0:
            return True
        return not o1_take(&self.cells[self.cell], <unsigned long long>(moment * 1e9),
                           self.interval, self.capacity)


cdef bytes decimal_bytes(unsigned long long number):
    cdef char digits[DIGITS]
    cdef Py_ssize_t size = decimal(number, digits + DIGITS)
    return PyBytes_FromStringAndSize(digits + DIGITS - size, size)


cdef class Plan:
    """How one kind of call travels: where to, under which head and name.

    Args:
        way: leads to the server, or to one instance of it.
        instances: those of its server; None where there is one process at the host.
        place: its place among them.
        gauge: what is known of it; None likewise.
        head: the request's head up to the digits of Content-Length; empty to the host.
        raw_name: the server's own name of the target as JSON; None to leave the body's as it is.
        ids: has `take_ids(count)`: the server must not see an id twice; None to the host.
        opened: the legacy session that the head names, to compare with `ids.opened`; or None.
        slots: first metric slots: request outcome and histogram, server outcome and histogram.
        modern, across: what the client speaks, and whether the server speaks the other.
        safe: whether such a call may be sent again when nobody knows if it ran.
        about: method, target and server id, for log and errors.
    """

    def __init__(self, Way way not None, instances, Py_ssize_t place, Gauge gauge, bytes head,
                 raw_name, ids, opened, bint modern, bint across, bint hinted, bint safe,
                 double timeout_s, slots, tuple about):
        self.way = way
        self.gauge = gauge
        self.place = place
        self.instances = instances
        self.head = head
        self.raw_name = raw_name
        self.ids = ids
        self.opened = opened
        self.modern = modern
        self.across = across
        self.hinted = hinted
        self.safe = safe
        self.timeout_s = timeout_s
        for i in range(4):
            self.slots[i] = slots[i]
        self.about = about
        self.middle = b',"method":"%b","params":' % about[0].encode()

    cdef bytes next_id(self):
        """Return an id that the server has not seen, as JSON."""
        if self.first_id == self.last_id:
            self.first_id = self.ids.take_ids(IDS)
            self.last_id = self.first_id + IDS
        self.first_id += 1
        return decimal_bytes(self.first_id - 1)


cdef class Ready:
    """A result that is the same for all who ask in the same way.

    Args:
        result: as JSON.
        slots: first metric slots: request outcome and histogram.
    """

    def __init__(self, bytes result not None, slots):
        self.result = result
        self.slots[0], self.slots[1] = slots


@cython.freelist(64)
cdef class Call:
    """One call under way."""

    cdef bint is_awaited(self) except -1:
        """Say whether its own client waits; others may, even when that has gone."""
        return self.front.transport is not None


cdef bytes OPENING = b'{"jsonrpc":"2.0","id":'
cdef bytes RESULT = b',"result":'
cdef bytes BLANK = b"\r\n\r\n"
cdef bytes TYPED = b'{"resultType":"complete",'
cdef bytes ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
cdef bytes LAST_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
    b"Content-Length: "
)


cdef bytes request_bytes(Call call):
    """Write the request to the server: the client's parameters, its own name of the target."""
    cdef Plan plan = call.plan
    cdef bytes upstream_id = call.upstream_id
    cdef Py_ssize_t length, size
    cdef char digits[DIGITS]
    length = PyBytes_GET_SIZE(OPENING) + PyBytes_GET_SIZE(upstream_id) + size_after_id(call)
    size = decimal(length, digits + DIGITS)
    cdef bytes whole = PyBytes_FromStringAndSize(
        NULL, PyBytes_GET_SIZE(plan.head) + size + PyBytes_GET_SIZE(BLANK) + length
    )
    cdef char *at = put(PyBytes_AS_STRING(whole), plan.head)
    at = put(put_raw(at, digits + DIGITS - size, size), BLANK)
    put_after_id(put(put(at, OPENING), upstream_id), call)
    return whole


cdef bytes frame_bytes(Call call, int address):
    """Write the same for the host, which puts an id of its own before it; on one line."""
    cdef Py_ssize_t size = size_after_id(call)
    cdef bytes whole = PyBytes_FromStringAndSize(NULL, HEAD_BYTES + ADDRESS + size)
    cdef char *at = put_head(PyBytes_AS_STRING(whole), ADDRESS + size, CARRY, call.token)
    at = put_number(at, address, ADDRESS)
    put_after_id(at, call)
    flatten(at, size, 10)
    flatten(at, size, 13)
    return whole


cdef int flatten(char *data, Py_ssize_t size, char end) except -1:
    """Replace line ends by spaces: each would end the message; inside strings JSON has none."""
    cdef char *last = data + size
    cdef char *found = <char *>memchr(data, end, size)
    while found != NULL:
        found[0] = 32
        found = <char *>memchr(found, end, last - found)
    return 0


cdef Py_ssize_t size_after_id(Call call) noexcept:
    """Return the size of what `put_after_id` writes."""
    cdef Envelope envelope = call.envelope
    cdef bytes name = call.plan.raw_name
    cdef Py_ssize_t size = envelope.params_end - envelope.params_start
    if name is not None:
        size += PyBytes_GET_SIZE(name) - (envelope.name_end - envelope.name_start)
    if call.meta is not None:
        size += PyBytes_GET_SIZE(call.meta) - (envelope.meta_end - envelope.meta_start)
    return PyBytes_GET_SIZE(call.plan.middle) + size + 1


cdef int put_after_id(char *at, Call call) except -1:
    """Write the request from its id on."""
    cdef Envelope envelope = call.envelope
    cdef bytes name = call.plan.raw_name, meta = call.meta
    cdef const char *data = PyBytes_AS_STRING(envelope.body)
    cdef Py_ssize_t first = envelope.params_start
    cdef bint is_early = name is None or envelope.meta_start < envelope.name_start
    at = put(at, call.plan.middle)
    if meta is not None and is_early:
        at = put(put_raw(at, data + first, envelope.meta_start - first), meta)
        first = envelope.meta_end
    if name is not None:
        at = put(put_raw(at, data + first, envelope.name_start - first), name)
        first = envelope.name_end
    if meta is not None and not is_early:
        at = put(put_raw(at, data + first, envelope.meta_start - first), meta)
        first = envelope.meta_end
    put_raw(at, data + first, envelope.params_end - first)[0] = 125
    return 0


cdef int look_of(Envelope reply) except -1:
    """Return how a result looks: a key that is written with escapes may be its type."""
    if reply.result_type == "complete":
        return COMPLETE
    return PLAIN if reply.is_plain else OPAQUE


cdef bint pass_on(Call call, bytes data, Py_ssize_t start, Py_ssize_t end,
                  int look) except -1:
    """Answer the client with the server's result; False when that needs understanding.

    Args:
        call: is under way still.
        data, start, end: the result.
        look: what `look_of` says of it.
    """
    cdef Plan plan = call.plan
    cdef Front front = call.front
    if call.exchange is not None or plan.hinted or not call.is_awaited():
        return False
    if plan.modern and look != COMPLETE:
        data = typed(data, start, end) if plan.across and look == PLAIN else None
        if data is None:
            return False
        start, end = 0, PyBytes_GET_SIZE(data)
    front.lane.carried(call)
    write_result(front, data, start, end, call.envelope.id, front.lane.draining)
    front.done()
    return True


cdef bytes typed(bytes data, Py_ssize_t start, Py_ssize_t end):
    """Return a plain result with the type of a complete one; None for a closer look."""
    cdef const char *result = PyBytes_AS_STRING(data) + start
    cdef Py_ssize_t at = 1, size = end - start
    if result[0] != 123 or holds(data, start, end, b'"resultType"', 12):
        return None
    while result[at] in (32, 9, 10, 13):
        at += 1
    if result[at] != 34:
        return None
    cdef bytes whole = PyBytes_FromStringAndSize(NULL, PyBytes_GET_SIZE(TYPED) + size - at)
    put_raw(put(PyBytes_AS_STRING(whole), TYPED), result + at, size - at)
    return whole


cdef int write_result(Front front, bytes data, Py_ssize_t start, Py_ssize_t end,
                      bytes request_id, bint closes) except -1:
    """Write the answer: the server's result under the client's id; a large one is not copied."""
    cdef Py_ssize_t size = end - start
    cdef const char *result = PyBytes_AS_STRING(data) + start
    if size < LARGE:
        send_out(&front.out, front.transport, result_bytes(result, size, size, request_id, closes))
        return 0
    head = result_bytes(result, 0, size, request_id, closes)
    body = memoryview(data)[start:end]
    front.out.has_queue = True
    front.transport.writelines((head, body, b"}"))
    return 0


cdef bytes result_bytes(const char *result, Py_ssize_t size, Py_ssize_t announced,
                        bytes request_id, bint closes):
    """Write an answer around a result; without one, only what comes before it."""
    cdef bytes head = LAST_ANSWER if closes else ANSWER
    cdef char digits[DIGITS]
    cdef Py_ssize_t length = (PyBytes_GET_SIZE(OPENING) + PyBytes_GET_SIZE(request_id)
                              + PyBytes_GET_SIZE(RESULT) + announced + 1)
    cdef Py_ssize_t width = decimal(length, digits + DIGITS)
    cdef bytes whole = PyBytes_FromStringAndSize(
        NULL, PyBytes_GET_SIZE(head) + width + PyBytes_GET_SIZE(BLANK) + length
        - (0 if size else announced + 1)
    )
    cdef char *at = put_raw(put(PyBytes_AS_STRING(whole), head), digits + DIGITS - width, width)
    at = put(put(put(put(at, BLANK), OPENING), request_id), RESULT)
    if size:
        put_raw(at, result, size)[0] = 125
    return whole
