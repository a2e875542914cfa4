"""Connections of clients."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE

from only1mcp._speedups.across_c cimport Across
from only1mcp._speedups.call_c cimport Call, Caller, Plan, Ready, now, write_result
from only1mcp._speedups.choice_c cimport Choice
from only1mcp._speedups.compare cimport (
    LONGEST_KEY, again, cut, equal, holds, is_simple, names_level,
)
from only1mcp._speedups.http_head cimport (
    HAS_METHOD, HAS_NAME, HAS_VERSION, OTHER, RECOGNISED, RequestHead, read_request,
)
from only1mcp._speedups.json_scan_c cimport Envelope, scan
from only1mcp._speedups.kept_c cimport Keeping, give
from only1mcp._speedups.lane_c cimport Lane
from only1mcp._speedups.modern_rules cimport fits, speaks
from only1mcp._speedups.outlet cimport open_outlet, send_out
from only1mcp._speedups.said cimport caller_of, capabilities_of, session_of

cdef enum:
    PATIENCE_BYTES = 65536  # more of an unfinished request is gathered by aiohttp's door


cdef bytes NEWEST = b"2026-07-28"


cdef class Front:
    """One connection of a client, as an asyncio protocol."""

    def connection_made(self, transport):
        self.transport = transport
        open_outlet(&self.out, transport)
        self.active = now()
        self.lane.fronts.add(self)
        self.lane.helper.opened(self)

    def connection_lost(self, exc):
        self.lane.fronts.discard(self)
        self.stop_timer()
        self.pending = None
        self.hold(0)
        if self.paused:
            self.lane.helper.resumed(self.transport)
        self.transport = None
        self.lane.helper.closed(self)
        cdef Call call = self.call
        cancel, self.cancel = self.cancel, None
        if call is not None:
            self.call = None
            self.lane.left(call)
        if cancel is not None:
            cancel()

    def eof_received(self):
        return False

    def pause_writing(self):
        self.paused = True
        if self.transport is not None:
            self.lane.helper.paused(self)

    def resume_writing(self):
        self.paused = False
        self.lane.helper.resumed(self.transport)
        self.go_on_soon()

    def data_received(self, bytes data not None):
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if self.pending is not None:
            data = self.pending + data
            self.pending = None
        if self.is_busy or self.is_due or self.paused:
            self.pending = data
            self.hold(self.held + size)
        else:
            self.feed(data)
        self.throttle()

    cdef int throttle(self) except -1:
        """Read no more while much waits for its turn: requests are answered one after the other."""
        cdef bint is_much = self.pending is not None and (
            self.is_busy or self.is_due or self.paused
        ) and PyBytes_GET_SIZE(self.pending) > self.lane.max_header
        if is_much != self.is_stopped and self.transport is not None:
            self.is_stopped = is_much
            if is_much:
                self.transport.pause_reading()
            else:
                self.transport.resume_reading()
        return 0

    cdef int feed(self, bytes data) except -1:
        """Take bytes that begin a request."""
        cdef RequestHead head
        cdef const unsigned char *raw = <const unsigned char *>PyBytes_AS_STRING(data)
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        cdef int found = read_request(raw, size, &head)
        if found == OTHER and raw[0] == 71 and self.read_page(data):  # a `G`, as in `GET`
            return 0
        if found == OTHER or (found == RECOGNISED and (
                head.size > self.lane.max_header or head.length > self.lane.max_body)):
            return self.hand_over(data)
        if found != RECOGNISED:
            return self.hand_over(data) if size > self.lane.max_header else self.keep(data)
        if size < head.size + head.length:
            return self.hand_over(data) if size > PATIENCE_BYTES else self.keep(data)
        if not self.hold(size - head.size):  # the other door says so
            return self.hand_over(data)
        self.stop_timer()
        if size > head.size + head.length:
            self.pending = data[head.size + head.length:]
        self.take(raw, &head, PyBytes_FromStringAndSize(<const char *>raw + head.size, head.length),
                  data)
        return 0

    cdef bint read_page(self, bytes data) except -1:
        """Have a page written that needs no other door; False for all else."""
        cdef tuple page = self.lane.helper.answer_page(self, data)
        if page is None:
            return False
        size, answer, closes = page
        self.is_busy, self.active = True, now()
        if size < PyBytes_GET_SIZE(data):
            self.pending = data[size:]
        if answer is not None:
            self.write(answer)
            self.done(True, closes)
        return True

    cdef bint hold(self, Py_ssize_t size):
        """Count bytes of a request until it is answered; False when there is no room for them."""
        cdef Lane lane = self.lane
        if size > self.held and lane.held + size - self.held > lane.max_held:
            return False
        lane.held += size - self.held
        self.held = size
        return True

    cdef int keep(self, bytes data) except -1:
        """Wait for the rest of a request, for some time; whether it may be sent, nobody knows."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if self.lane.held + size - self.held > self.lane.max_held // 2:
            return self.hand_over(data)
        self.hold(size)
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
        timer = self.timer
        self.stop_timer()
        self.hold(0)
        transport, self.transport = self.transport, None
        self.lane.fronts.discard(self)
        self.lane.helper.closed(self)
        self.lane.helper.hand_over(transport, data, timer)
        return 0

    def leave(self):
        """Hand over a connection on which nothing has come."""
        self.hand_over(b"")

    def give_up(self):
        """Hand over what never became a whole request: the door knows how to refuse it."""
        if self.transport is not None and self.pending is not None and not self.is_busy:
            data, self.pending = self.pending, None
            self.hand_over(data)

    cdef int take(self, const unsigned char *raw, RequestHead *head, bytes body,
                  bytes data) except -1:
        """Answer one whole request; its head is one that we know."""
        cdef Lane lane = self.lane
        cdef Py_ssize_t size = head.host.end - head.host.start
        cdef bytes version = self.version_of(raw, head), session = session_of(self, raw, head)
        cdef Envelope envelope = None
        cdef Plan plan = None
        cdef Caller caller
        if self.host is None or not equal(raw + head.host.start, size, self.host):
            host = cut(raw, &head.host)
            if host not in lane.hosts and not lane.helper.knows_host(host):
                self.pending = None
                return self.hand_over(data)
            self.host = host
        caller = lane.anyone if lane.anyone is not None else caller_of(self, raw, head)
        if caller is None:  # the door says what is missing
            self.pending = None
            return self.hand_over(data)
        self.is_busy, self.active = True, now()
        lane.taken += 1
        try:
            envelope = scan(body)
        except Exception:  # the common way finds it again, and says what is wrong
            pass
        if envelope is not None and envelope.kind == 1 and is_simple(envelope):
            plan = self.plan_for(raw, head, envelope, version, session, caller)
            if not self.is_busy or plan is None and (
                    self.is_turned_away(caller, envelope)
                    or self.answer_ready(raw, head, envelope, version, session, caller)):
                return 0
        if self.is_refused(envelope, plan, caller):
            return 0
        if plan is not None and not caller.has_token(self.active):
            plan = None  # the common way says when there will be one
        if plan is None:
            method = cut(raw, &head.method) if head.seen & HAS_METHOD else None
            name = cut(raw, &head.name) if head.seen & HAS_NAME else None
            cancel = lane.helper.handle(self, caller, version, method, name, session, body)
            self.cancel = cancel if self.is_busy else None
            return 0
        return self.start(plan, envelope, version, session, caller)

    cdef bytes version_of(self, const unsigned char *raw, RequestHead *head):
        """Return the version header; None when there is none."""
        cdef const unsigned char *data = raw + head.version.start
        cdef Py_ssize_t size = head.version.end - head.version.start
        if not head.seen & HAS_VERSION:
            return None
        if equal(data, size, NEWEST):
            return NEWEST
        self.version = again(self.version, data, size)
        return self.version

    cdef bint is_refused(self, Envelope envelope, Plan plan, Caller caller) except -1:
        """Refuse a request to which we come late, and one whose server has too much to do."""
        cdef Lane lane = self.lane
        cdef double patience_s = 0 if plan is None else lane.patience_s  # in the lane all is cheap
        cdef bint is_late = self.active > lane.refuses_after + patience_s
        cdef bint is_full = plan is not None and plan.way.is_full(self.active, patience_s)
        if not (is_late or is_full) or envelope is None or envelope.kind != 1:
            return False
        lane.refuse(self, caller, envelope, "" if is_late else plan.about[2])
        return True

    cdef Plan plan_for(self, const unsigned char *raw, RequestHead *head, Envelope envelope,
                       bytes version, bytes session, Caller caller):
        """Return how a request travels; None for the common way, or if refused or `shut` out."""
        cdef Lane lane = self.lane
        cdef str target = envelope.uri if envelope.method == "resources/read" else envelope.name
        cdef bytes caps = b""
        cdef tuple key, known
        cdef unsigned long long place = 0
        self.missed = self.meta = self.shut = None
        if target is None or envelope.token_start or len(target) > LONGEST_KEY:
            return None
        if envelope.version_start:
            if not fits(raw, head, envelope, version is NEWEST, target):
                return None
            caps = capabilities_of(self, envelope)
        elif session is None:
            return None
        else:
            known = lane.session_of(self, session, version, caller)
            if known is None or envelope.has_more:  # it may ask for a task, which is not read here
                return None
            caps, place = known
        key = (envelope.version_start > 0, envelope.method, target, caps, caller.scope)
        found = lane.plans.get(key)
        if found is None:
            found = lane.helper.plan(envelope, caps, caller)
            lane.remember(key, found)
        if isinstance(found, Across):
            self.meta = (<Across>found).meta_for(envelope)
            found = None if self.meta is None else (<Across>found).leads
        if not found:
            return None
        if isinstance(found, Choice):
            return (<Choice>found).pick(self, envelope, place, caller.place)
        if isinstance(found, Keeping):
            return give(self, found, envelope, caller, place)
        if isinstance(found, Plan):
            return <Plan>found
        if found.is_full(self.active):
            lane.refuse(self, caller, envelope, found.server_id)
        return None

    cdef bint is_turned_away(self, Caller caller, Envelope envelope) except -1:
        """Refuse a call to a server whose breakers are open, as far as its caller may call now."""
        if self.shut is None or not caller.has_token(self.active):
            return False  # the common way says when there will be a token
        self.shut.turn_away(self, caller, envelope)
        self.shut = None
        return True

    cdef bint answer_ready(self, const unsigned char *raw, RequestHead *head, Envelope envelope,
                           bytes version, bytes session, Caller caller) except -1:
        """Answer from ready-made bytes: a list, a greeting; False when there are none."""
        cdef Lane lane = self.lane
        cdef Ready ready
        cdef tuple key, known
        cdef bytes caps
        if envelope.name is not None or envelope.uri is not None or envelope.token_start:
            return False
        if holds(envelope.body, envelope.params_start, envelope.params_end, b"cursor", 6):
            return False
        if envelope.version_start:
            if not speaks(raw, head, envelope, version is NEWEST) or names_level(envelope):
                return False
            caps = capabilities_of(self, envelope)
        else:
            if session is None:
                return False
            known = lane.session_of(self, session, version, caller)
            if known is None:
                return False
            caps = known[0]
        key = (envelope.version_start > 0, envelope.method, None, caps, caller.scope)
        found = lane.plans.get(key)
        if found is None:
            found = lane.helper.ready(envelope, caps, caller)
            lane.remember(key, found)
        if not found:
            return False
        ready = found
        lane.count_ready(ready, caller, now() - self.active)
        write_result(self, ready.result, 0, PyBytes_GET_SIZE(ready.result), envelope.id,
                     lane.draining)
        self.done()
        return True

    cdef int start(self, Plan plan, Envelope envelope, bytes version, bytes session,
                   Caller caller) except -1:
        cdef Call call = Call.__new__(Call)
        call.front = self
        call.caller = caller
        call.plan = plan
        call.envelope = envelope
        call.version = version
        call.session = session
        call.meta = self.meta
        call.began = self.active
        call.deadline = self.active + plan.timeout_s
        self.call = call
        if self.missed is not None:
            call.flight = self.lane.helper.lead(call, self.missed)
        self.lane.enter(call)
        plan.way.send(call)
        return 0

    def write(self, bytes data not None):
        """Send bytes to the client."""
        if self.transport is not None:
            send_out(&self.out, self.transport, data)

    def go_common(self, cancel):
        """Go on with a request that is sent again the common way."""
        if self.is_busy:
            self.call = None
            self.cancel = cancel

    def done(self, bint announced=True, bint last=False):
        """Learn that the answer has been written: take the next request.

        Args:
            announced: whether the answer said that the connection closes, if it is to close.
            last: whether it has said so, and it is to close.
        """
        self.is_busy = False
        self.active = now()
        self.call = None
        self.cancel = None
        if last or self.lane.draining and announced:
            self.pending = None  # what stands behind the last answer is nobody's request
            if self.transport is not None:
                self.transport.close()
        self.hold(0)
        if self.pending is not None:
            self.hold(PyBytes_GET_SIZE(self.pending))
            self.go_on_soon()

    cdef int go_on_soon(self) except -1:
        """Take what waits in the next turn of the loop."""
        if self.pending is not None and not self.is_due and self.transport is not None:
            self.is_due = True
            self.lane.loop.call_soon(self.go_on)
        return 0

    def go_on(self):
        """Take a request that came before the last one was answered."""
        self.is_due = False
        if self.pending is None or self.is_busy or self.paused or self.transport is None:
            return
        if self.transport.is_closing():
            return
        data, self.pending = self.pending, None
        try:
            self.feed(data)
        except BaseException:
            if self.transport is not None:
                self.transport.abort()  # or the next answer would stand in the place of this one
            raise
        self.throttle()
