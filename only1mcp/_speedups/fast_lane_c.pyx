"""The fast lane: plain calls to HTTP servers, from the client's socket to the server's and back.

`Front` is the protocol of a client's connection, `Upstream` that of a connection to a server, and
`Lane` what all of one worker share. The lane takes what it recognises with certainty and what a
`Plan` covers. A message that it cannot carry goes the common way through the pipeline, on the same
connection; a request that it does not recognise takes its connection along to aiohttp's door.

Nothing here awaits. Python code is called only for what is rare: `Lane.helper` has one method for
each such case (see `only1mcp.worker.fast_lane`).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp, memcpy
from only1mcp._speedups.http_head cimport (
    HAS_METHOD, HAS_NAME, HAS_SESSION, HAS_VERSION, OTHER, RECOGNISED, RequestHead, ResponseHead,
    Span, read_request, read_response,
)
from only1mcp._speedups.json_scan_c cimport Envelope, scan

import time

cdef enum:
    PATIENCE_BYTES = 65536  # more of an unfinished request is gathered by aiohttp's door
    MANY_PLANS = 4096
    LARGEST_BODY = 67108864


cdef double now():
    return time.monotonic()


cdef bytes cut(const unsigned char *data, Span *span):
    return PyBytes_FromStringAndSize(<const char *>data + span.start, span.end - span.start)


cdef class Plan:
    """How one kind of call travels: where to, under which head and name.

    Args:
        pool: connections to the server.
        head: the request's head up to the digits of Content-Length.
        raw_name: the server's own name of the target as JSON; None to leave the body's as it is.
        ids: has `next_id()`: the server must not see an id twice.
        opened: the legacy session that the head names, to compare with `ids.opened`; or None.
        slots: first metric slots: request outcome and histogram, server outcome and histogram.
        about: method, target and server id, for log and errors.
    """

    cdef Pool pool
    cdef bytes head
    cdef readonly bytes raw_name
    cdef object ids
    cdef object opened
    cdef readonly bint modern
    cdef readonly bint hinted
    cdef readonly double timeout_s
    cdef Py_ssize_t slots[4]
    cdef readonly tuple about

    def __init__(self, Pool pool, bytes head, raw_name, ids, opened, bint modern, bint hinted,
                 double timeout_s, slots, tuple about):
        self.pool = pool
        self.head = head
        self.raw_name = raw_name
        self.ids = ids
        self.opened = opened
        self.modern = modern
        self.hinted = hinted
        self.timeout_s = timeout_s
        for i in range(4):
            self.slots[i] = slots[i]
        self.about = about


cdef class Call:
    """One call under way."""

    cdef readonly Front front
    cdef readonly Plan plan
    cdef readonly Envelope envelope
    cdef readonly bytes upstream_id
    cdef readonly bytes request     # the message as it goes to the server, with its head
    cdef Upstream upstream
    cdef readonly double began
    cdef double deadline
    cdef public object exchange     # set once the answer has become a stream
    cdef public object client       # version and session headers, for a second try the common way


cdef class Lane:
    """What the connections of one worker share.

    Args:
        loop: the event loop.
        helper: takes what is rare.
        row: the worker's metric slots.
        bounds: upper bounds of the histogram's buckets, in seconds.
        epoch: one word, which changes whenever a legacy session is ended or changed.
        max_header, max_body: sizes in bytes.
    """

    cdef readonly object loop
    cdef readonly object helper
    cdef unsigned long long[::1] row
    cdef double[::1] bounds
    cdef Py_ssize_t max_header, max_body
    cdef unsigned long long[::1] epoch
    cdef unsigned long long epoch_seen
    cdef readonly dict plans
    cdef readonly dict sessions
    cdef readonly dict hosts
    cdef readonly set fronts
    cdef set calls
    cdef public bint draining
    cdef public long log_budget

    def __init__(self, loop, helper, row, bounds, epoch, Py_ssize_t max_header,
                 Py_ssize_t max_body):
        self.epoch = epoch
        self.epoch_seen = 0
        self.loop = loop
        self.helper = helper
        self.row = row
        self.bounds = bounds
        self.max_header = max_header
        self.max_body = max_body
        self.plans = {}
        self.sessions = {}
        self.hosts = {}
        self.fronts = set()
        self.calls = set()

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
        pool.waiting = []
        return pool

    def forget(self):
        """Forget all plans: something has changed that they were made of."""
        self.plans.clear()

    def busy(self):
        """Return how many calls are under way."""
        return len(self.calls)

    def tick(self):
        """End what has taken too long; called a few times a second."""
        cdef double moment = now()
        cdef Call call
        for call in list(self.calls):
            if call.deadline < moment:
                self.calls.discard(call)
                drop_upstream(call)
                self.helper.fail(call, "timeout", None)

    def drain(self):
        """Close connections on which nothing is under way; others close with their answer."""
        cdef Front front
        for front in list(self.fronts):
            if not front.is_busy and front.transport is not None and front.pending is None:
                front.transport.close()

    def sweep(self, double idle_s):
        """Close connections on which nothing has come for long."""
        cdef double moment = now()
        cdef Front front
        for front in list(self.fronts):
            if not front.is_busy and front.transport is not None:
                if moment - front.active > idle_s:
                    front.transport.close()

    cdef bytes session_of(self, bytes session, bytes version):
        """Return the features key of a legacy session that may take the lane; or None."""
        if self.epoch[0] != self.epoch_seen:  # a session was ended, or wants other log messages
            self.epoch_seen = self.epoch[0]
            self.sessions.clear()
        found = self.sessions.get((session, version))
        if found is None:
            found = self.helper.session(session, version)
            if len(self.sessions) >= MANY_PLANS:
                self.sessions.clear()
            self.sessions[session, version] = found or b""
        return found or None

    cdef int count(self, Plan plan, double seconds) except -1:
        """Count a call that went well."""
        cdef Py_ssize_t bucket = 0, size = self.bounds.shape[0], i
        cdef unsigned long long micros = <unsigned long long>(seconds * 1e6)
        while bucket < size and seconds > self.bounds[bucket]:
            bucket += 1
        self.row[plan.slots[0]] += 1
        self.row[plan.slots[2]] += 1
        for i in (plan.slots[1], plan.slots[3]):
            self.row[i + bucket] += 1
            self.row[i + size + 1] += micros
        return 0


cdef class Front:
    """One connection of a client, as an asyncio protocol."""

    cdef Lane lane
    cdef readonly object transport
    cdef object inner           # aiohttp's door, once the connection is its
    cdef bytes pending          # what came and was not used yet
    cdef readonly bint is_busy
    cdef bint paused
    cdef double active
    cdef Call call
    cdef object cancel          # of a message on the common way
    cdef object timer

    def connection_made(self, transport):
        self.transport = transport
        self.active = now()
        self.lane.fronts.add(self)
        self.lane.helper.opened(self)

    def connection_lost(self, exc):
        self.lane.fronts.discard(self)
        self.stop_timer()
        self.transport = None
        self.lane.helper.closed(self)
        cdef Call call = self.call
        cancel, self.cancel = self.cancel, None
        if call is not None:
            self.call = None
            self.lane.calls.discard(call)
            drop_upstream(call)
            self.lane.helper.cancelled(call)
        if cancel is not None:
            cancel()

    def eof_received(self):
        return False

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False
        if self.pending is not None and not self.is_busy:
            data, self.pending = self.pending, None
            self.feed(data)

    def data_received(self, bytes data not None):
        if self.pending is not None:
            data = self.pending + data
            self.pending = None
        if self.is_busy or self.paused:
            self.pending = data
            if PyBytes_GET_SIZE(data) > self.lane.max_header:
                self.transport.pause_reading()
            return
        self.feed(data)

    cdef int feed(self, bytes data) except -1:
        """Take bytes that begin a request."""
        cdef RequestHead head
        cdef const unsigned char *raw = <const unsigned char *>PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef int found = read_request(raw, size, &head)
        if found == OTHER or (found == RECOGNISED and (
                head.size > self.lane.max_header or head.length > self.lane.max_body)):
            return self.hand_over(data)
        if found != RECOGNISED:
            return self.hand_over(data) if size > self.lane.max_header else self.keep(data)
        if size < head.size + head.length:
            return self.hand_over(data) if size > PATIENCE_BYTES else self.keep(data)
        self.stop_timer()
        if size > head.size + head.length:
            self.pending = data[head.size + head.length:]
        self.take(raw, &head, data[head.size:head.size + head.length], data)
        return 0

    cdef int keep(self, bytes data) except -1:
        """Wait for the rest of a request, for some time."""
        self.pending = data
        if self.timer is None:
            self.timer = self.lane.helper.wait(self)
        return 0

    cdef int stop_timer(self) except -1:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        return 0

    cdef int hand_over(self, bytes data) except -1:
        """Give the connection, and what has come on it, to aiohttp's door for good."""
        self.stop_timer()
        transport, self.transport = self.transport, None
        self.lane.fronts.discard(self)
        self.lane.helper.closed(self)
        self.lane.helper.hand_over(transport, data)
        return 0

    def give_up(self):
        """Hand over what never became a whole request: the door knows how to refuse it."""
        if self.transport is not None and self.pending is not None and not self.is_busy:
            data, self.pending = self.pending, None
            self.timer = None
            self.hand_over(data)

    cdef int take(self, const unsigned char *raw, RequestHead *head, bytes body,
                  bytes data) except -1:
        """Answer one whole request; its head is one that we know."""
        cdef Lane lane = self.lane
        cdef bytes host = cut(raw, &head.host)
        cdef bytes version = cut(raw, &head.version) if head.seen & HAS_VERSION else None
        cdef bytes session = cut(raw, &head.session) if head.seen & HAS_SESSION else None
        cdef Envelope envelope = None
        cdef Plan plan = None
        if host not in lane.hosts and not lane.helper.knows_host(host):
            self.pending = None
            return self.hand_over(data)
        self.is_busy = True
        self.active = now()
        try:
            envelope = scan(body)
        except Exception:  # the common way finds it again, and says what is wrong
            pass
        if envelope is not None and envelope.kind == 1:
            plan = self.plan_for(raw, head, envelope, version, session)
        if plan is None:
            method = cut(raw, &head.method) if head.seen & HAS_METHOD else None
            name = cut(raw, &head.name) if head.seen & HAS_NAME else None
            self.cancel = lane.helper.handle(self, version, method, name, session, body)
            if not self.is_busy:
                self.cancel = None
            return 0
        return self.start(plan, envelope, version, session)

    cdef Plan plan_for(self, const unsigned char *raw, RequestHead *head, Envelope envelope,
                       bytes version, bytes session):
        """Return how a request travels; None when it takes the common way."""
        cdef Lane lane = self.lane
        cdef str target = envelope.name if envelope.name is not None else envelope.uri
        cdef bytes caps = b""
        cdef tuple key
        if target is None or envelope.token_start:
            return None
        if envelope.version_start:
            if not fits(raw, head, envelope, version, target):
                return None
            caps = envelope.body[envelope.capabilities_start:envelope.capabilities_end]
        elif session is None:
            return None
        else:
            caps = lane.session_of(session, version)
            if caps is None or b'"task"' in envelope.body:  # it may ask for a task
                return None
        key = (envelope.version_start > 0, envelope.method, target, caps)
        found = lane.plans.get(key)
        if found is None:
            found = lane.helper.plan(envelope, caps)
            if len(lane.plans) >= MANY_PLANS:
                lane.plans.clear()
            lane.plans[key] = found or False
        if not found:
            return None
        cdef Plan plan = found
        if plan.opened is not None and plan.ids.opened is not plan.opened:
            del lane.plans[key]
            return None
        return plan

    cdef int start(self, Plan plan, Envelope envelope, bytes version, bytes session) except -1:
        cdef Call call = Call.__new__(Call)
        call.front = self
        call.plan = plan
        call.envelope = envelope
        call.client = (version, session)
        call.began = self.active
        call.deadline = self.active + plan.timeout_s
        call.upstream_id = plan.ids.next_id()
        call.request = request_bytes(plan, envelope, call.upstream_id)
        self.call = call
        self.lane.calls.add(call)
        plan.pool.send(call)
        return 0

    def write(self, bytes data not None):
        """Send bytes to the client."""
        if self.transport is not None:
            self.transport.write(data)

    def go_common(self, cancel):
        """Go on with a request that is sent again the common way."""
        if self.is_busy:
            self.call = None
            self.cancel = cancel

    def done(self, bint announced=True):
        """Learn that the answer has been written: take the next request.

        Args:
            announced: whether the answer said that the connection closes, if it is to close.
        """
        self.is_busy = False
        self.call = None
        self.cancel = None
        if self.transport is None:
            return
        if self.lane.draining and announced:
            self.transport.close()
        elif self.pending is not None and not self.paused:
            self.lane.loop.call_soon(self.go_on)

    def go_on(self):
        """Take a request that came before the last one was answered."""
        if self.pending is None or self.is_busy or self.transport is None:
            return
        data, self.pending = self.pending, None
        self.transport.resume_reading()
        self.feed(data)


cdef bint fits(const unsigned char *raw, RequestHead *head, Envelope envelope, bytes version,
               str target):
    """Say whether a modern request's headers repeat its body, and it wants nothing special."""
    cdef Py_ssize_t size = head.name.end - head.name.start
    cdef bytes text
    if version is None or envelope.version is None or not envelope.capabilities_end:
        return False
    if version != b"2026-07-28" or envelope.version != "2026-07-28":
        return False
    if not head.seen & HAS_METHOD or not head.seen & HAS_NAME:
        return False
    text = envelope.method.encode()
    if not equal(raw + head.method.start, head.method.end - head.method.start, text):
        return False
    if size < 1 or raw[head.name.start] == 61:  # `=?base64?…?=` is decoded the common way
        return False
    text = target.encode("utf-8", "surrogatepass")
    if not equal(raw + head.name.start, size, text):
        return False
    return b"logLevel" not in envelope.body[envelope.meta_start:envelope.meta_end]


cdef bint equal(const unsigned char *data, Py_ssize_t size, bytes text):
    return size == PyBytes_GET_SIZE(text) and memcmp(data, PyBytes_AS_STRING(text), size) == 0


cdef bytes request_bytes(Plan plan, Envelope envelope, bytes upstream_id):
    """Write the request to the server: the client's parameters, its own name of the target."""
    cdef bytes body = envelope.body
    cdef bytes method = envelope.method.encode()
    cdef const char *data = PyBytes_AS_STRING(body)
    cdef Py_ssize_t first = envelope.params_start, last = envelope.params_end
    cdef bytes middle = plan.raw_name
    cdef Py_ssize_t before = last - first, after = 0
    if middle is not None:
        before = envelope.name_start - first
        after = last - envelope.name_end
    cdef Py_ssize_t middle_size = 0 if middle is None else PyBytes_GET_SIZE(middle)
    cdef bytes opening = b'{"jsonrpc":"2.0","id":%b,"method":"%b","params":' % (upstream_id, method)
    cdef Py_ssize_t length = PyBytes_GET_SIZE(opening) + before + middle_size + after + 1
    cdef bytes tail = b"%d\r\n\r\n%b" % (length, opening)
    cdef Py_ssize_t head_size = PyBytes_GET_SIZE(plan.head), tail_size = PyBytes_GET_SIZE(tail)
    cdef bytes whole = PyBytes_FromStringAndSize(
        NULL, head_size + tail_size + before + middle_size + after + 1
    )
    cdef char *at = PyBytes_AS_STRING(whole)
    memcpy(at, PyBytes_AS_STRING(plan.head), head_size)
    at += head_size
    memcpy(at, PyBytes_AS_STRING(tail), tail_size)
    at += tail_size
    memcpy(at, data + first, before)
    at += before
    if middle is not None:
        memcpy(at, PyBytes_AS_STRING(middle), middle_size)
        at += middle_size
        memcpy(at, data + envelope.name_end, after)
        at += after
    at[0] = 125
    return whole


cdef bytes answer_bytes(Envelope reply, bytes request_id, bint closes):
    """Write the answer: the server's result under the client's id."""
    cdef Py_ssize_t size = reply.result_end - reply.result_start
    cdef bytes opening = b'{"jsonrpc":"2.0","id":%b,"result":' % request_id
    cdef Py_ssize_t length = PyBytes_GET_SIZE(opening) + size + 1
    cdef bytes head
    if closes:
        head = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
                b"Content-Length: %d\r\n\r\n%b") % (length, opening)
    else:
        head = (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b") % (length, opening)
    cdef Py_ssize_t head_size = PyBytes_GET_SIZE(head)
    cdef bytes whole = PyBytes_FromStringAndSize(NULL, head_size + size + 1)
    cdef char *at = PyBytes_AS_STRING(whole)
    memcpy(at, PyBytes_AS_STRING(head), head_size)
    memcpy(at + head_size, PyBytes_AS_STRING(reply.body) + reply.result_start, size)
    at[head_size + size] = 125
    return whole


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

    cdef Lane lane
    cdef object connect
    cdef Py_ssize_t limit
    cdef Py_ssize_t open
    cdef list idle
    cdef list waiting

    cdef int send(self, Call call) except -1:
        cdef Upstream upstream
        while self.idle:
            upstream = self.idle.pop()
            if upstream.transport is not None and not upstream.transport.is_closing():
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


cdef class Upstream:
    """One connection to a server, as an asyncio protocol."""

    cdef Pool pool
    cdef object transport
    cdef Call call
    cdef ResponseHead head
    cdef bint has_head
    cdef list parts             # of a body whose length is known
    cdef Py_ssize_t held
    cdef bytearray buffer       # of a head, or of a body in chunks
    cdef bytearray text         # the body of an event stream, without its chunks' frames
    cdef bint is_last           # the last chunk has come
    cdef bint is_ending         # the answer has come, the end of its body has not

    def connection_made(self, transport):
        self.transport = transport
        self.pool.free(self)

    def connection_lost(self, exc):
        self.transport = None
        self.pool.open -= 1
        if self in self.pool.idle:
            self.pool.idle.remove(self)
        cdef Call call = self.call
        if call is None:
            return
        if self.has_head and not self.head.chunked and self.head.length < 0 and exc is None:
            self.ended()
            return
        self.fail("lost", exc)

    def pause_writing(self):
        pass

    def resume_writing(self):
        pass

    def eof_received(self):
        return False

    cdef int begin(self, Call call) except -1:
        self.call = call
        call.upstream = self
        self.has_head = False
        self.parts = None
        self.buffer = None
        self.text = None
        self.held = 0
        self.is_last = self.is_ending = False
        self.transport.write(call.request)
        return 0

    def data_received(self, bytes data not None):
        if self.call is None:
            self.tail(data)
            return
        if not self.has_head:
            if self.buffer is not None:
                self.buffer += data
                data = bytes(self.buffer)
                self.buffer = None
            found = read_response(<const unsigned char *>PyBytes_AS_STRING(data),
                                  PyBytes_GET_SIZE(data), &self.head)
            if found == OTHER:
                self.fail("protocol", None)
                return
            if found != RECOGNISED:
                self.buffer = bytearray(data)
                if len(data) > 65536:
                    self.fail("protocol", None)
                return
            self.has_head = True
            if self.head.size == PyBytes_GET_SIZE(data) and self.head.length != 0:
                return
            if (self.head.length == PyBytes_GET_SIZE(data) - self.head.size
                    and not self.head.events):
                self.finish(data[self.head.size:])
                return
            data = data[self.head.size:]
        self.body(data)

    cdef int tail(self, bytes data) except -1:
        """Take what comes after the answer; more than its end cannot be trusted."""
        self.held += PyBytes_GET_SIZE(data)
        if self.is_ending and self.head.chunked:
            self.buffer += data
            if bytes(self.buffer) == b"0\r\n\r\n":
                self.is_ending = False
                return self.settle()
            if b"0\r\n\r\n".startswith(self.buffer):
                return 0
        elif self.is_ending and self.head.length >= self.held:
            if self.head.length == self.held:
                self.is_ending = False
                self.settle()
            return 0
        self.transport.abort()
        return 0

    cdef int body(self, bytes data) except -1:
        """Take a piece of the body."""
        self.held += PyBytes_GET_SIZE(data)
        if self.held > LARGEST_BODY:
            self.fail("size", None)
        elif self.head.chunked:
            self.chunks(data)
        elif self.head.events:
            self.events(data)
            if self.call is not None and self.head.length >= 0 and self.held >= self.head.length:
                self.fail("lost", None)
        else:
            if self.parts is None:
                self.parts = []
            self.parts.append(data)
            if self.head.length >= 0 and self.held > self.head.length:
                self.fail("protocol", None)
            elif self.held == self.head.length:
                self.finish(b"".join(self.parts))
        return 0

    cdef int chunks(self, bytes data) except -1:
        """Take the frames off the chunks that are complete."""
        cdef Py_ssize_t at = 0, size, length, end
        cdef const unsigned char *raw
        cdef bint is_last = False
        if self.buffer is None:
            self.buffer = bytearray(data)
        else:
            self.buffer += data
        cdef bytes whole = bytes(self.buffer)
        raw = <const unsigned char *>PyBytes_AS_STRING(whole)
        size = PyBytes_GET_SIZE(whole)
        cdef list pieces = []
        while True:
            end = line_end(raw, size, at)
            if end < 0:
                break
            length = hexadecimal(raw + at, end - at)
            if length < 0:
                self.fail("protocol", None)
                return 0
            if length == 0:
                if size < end + 4:
                    break
                is_last = raw[end + 2] == 13 and raw[end + 3] == 10
                if not is_last:  # trailers: nobody sends them
                    self.fail("protocol", None)
                    return 0
                at = end + 4
                break
            if size < end + 2 + length + 2:
                break
            if raw[end + 2 + length] != 13 or raw[end + 3 + length] != 10:
                self.fail("protocol", None)
                return 0
            pieces.append(whole[end + 2:end + 2 + length])
            at = end + 4 + length
        self.buffer = bytearray(whole[at:])
        if is_last and at != size:
            self.fail("protocol", None)
            return 0
        cdef bytes text = b"".join(pieces)
        self.is_last = is_last
        if self.head.events:
            if text:
                self.events(text)
            if is_last and self.call is not None:
                self.fail("lost", None)
        else:
            if self.parts is None:
                self.parts = []
            self.parts.append(text)
            if is_last:
                self.finish(b"".join(self.parts))
        return 0

    cdef int events(self, bytes data) except -1:
        """Take the events that are complete; the response among them ends the call."""
        cdef Py_ssize_t end, size
        cdef const unsigned char *raw
        cdef Call call = self.call
        if call is None:
            return 0
        if self.text is None:
            self.text = bytearray(data)
        else:
            self.text += data
        while True:
            whole = bytes(self.text)
            raw = <const unsigned char *>PyBytes_AS_STRING(whole)
            size = PyBytes_GET_SIZE(whole)
            end = event_end(raw, size)
            if end < 0:
                return 0
            self.text = bytearray(whole[end:])
            payload = event_data(whole[:end])
            if not payload:
                continue
            try:
                message = scan(payload)
            except Exception as error:
                self.fail("garbage", error)
                return 0
            if message.kind != 3:
                self.pool.lane.helper.event(call, message)
                continue
            self.deliver(message)
            return 0

    cdef int finish(self, bytes body) except -1:
        """Take a whole body that is no event stream."""
        cdef Call call = self.call
        if self.head.status == 200 and self.head.json:
            try:
                message = scan(body)
            except Exception as error:
                self.fail("garbage", error)
                return 0
            self.deliver(message)
        else:
            self.release()
            self.pool.lane.calls.discard(call)
            self.pool.lane.helper.odd(call, self.head.status, body)
        return 0

    cdef int ended(self) except -1:
        """The body has ended: is it the answer, or did the stream break off?"""
        if self.head.events:
            self.fail("lost", None)
        else:
            self.finish(b"".join(self.parts or []))
        return 0

    cdef int deliver(self, Envelope reply) except -1:
        """Answer the client."""
        cdef Call call = self.call
        cdef Plan plan = call.plan
        cdef Lane lane = self.pool.lane
        cdef Front front = call.front
        if reply.kind != 3 or reply.id is None or reply.id != call.upstream_id:
            self.fail("foreign", None)
            return 0
        self.release()
        lane.calls.discard(call)
        if (call.exchange is None and reply.result_end and not plan.hinted
                and (not plan.modern or reply.result_type not in (None, "task"))):
            lane.count(plan, now() - call.began)
            if lane.log_budget > 0:
                lane.log_budget -= 1
                lane.helper.log(call)
            if front.transport is not None:
                front.transport.write(answer_bytes(reply, call.envelope.id, lane.draining))
            front.done()
        else:
            lane.helper.relay(call, reply)
        return 0

    cdef int release(self) except -1:
        """Let go of the call; the connection serves the next once its body has ended."""
        self.call.upstream = None
        self.call = None
        if not self.head.events or self.is_last:
            return self.settle()
        if not self.head.chunked and self.held >= self.head.length:
            return self.settle()
        self.is_ending = True
        return 0

    cdef int settle(self) except -1:
        """Be free for the next call, unless the connection ends."""
        if self.transport is None:
            return 0
        if self.head.closes or self.head.length < 0 and not self.head.chunked:
            self.transport.close()
        else:
            self.pool.free(self)
        return 0

    cdef int fail(self, str kind, error) except -1:
        """End the call without an answer, and the connection with it."""
        cdef Call call = self.call
        if call is not None:
            self.call = None
            call.upstream = None
            self.pool.lane.calls.discard(call)
        if self.transport is not None:
            self.transport.abort()
        if call is not None:
            self.pool.lane.helper.fail(call, kind, error)
        return 0


cdef Py_ssize_t line_end(const unsigned char *data, Py_ssize_t size, Py_ssize_t at) noexcept nogil:
    """Return where the line at `at` ends with CRLF; -1 when it does not (yet)."""
    cdef Py_ssize_t p = at
    while p + 1 < size:
        if data[p] == 13 and data[p + 1] == 10:
            return p
        p += 1
    return -1


cdef Py_ssize_t hexadecimal(const unsigned char *data, Py_ssize_t size) noexcept nogil:
    """Read a chunk's size; -1 when it is none, or has extensions."""
    cdef Py_ssize_t value = 0, i
    cdef unsigned char c
    if size < 1 or size > 7:
        return -1
    for i in range(size):
        c = data[i]
        if 48 <= c <= 57:
            c -= 48
        elif 97 <= (c | 32) <= 102:
            c = (c | 32) - 87
        else:
            return -1
        value = value * 16 + c
    return value


cdef Py_ssize_t event_end(const unsigned char *data, Py_ssize_t size) noexcept nogil:
    """Return where the first event ends, its empty line included; -1 when it does not (yet)."""
    cdef Py_ssize_t p = 0, start
    while p < size:
        start = p
        while p < size and data[p] != 10 and data[p] != 13:
            p += 1
        if p >= size or (data[p] == 13 and p + 1 >= size):
            return -1
        p += 2 if data[p] == 13 and data[p + 1] == 10 else 1
        if data[start] == 10 or data[start] == 13:
            return p
    return -1


cdef bytes event_data(bytes event):
    """Return the data of one event; empty when it is none of ours."""
    cdef list found = []
    for line in event.splitlines():
        if line.startswith(b"data:"):
            found.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"event:") and line[6:].strip() != b"message":
            return b""
    return b"\n".join(found)
