"""Connections to servers."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy
from only1mcp._speedups.call_c cimport Call, look_of, now, pass_on
from only1mcp._speedups.http_body cimport (
    LAST, MORE, PIECE, SIZE, WRONG, next_piece, plain_event,
)
from only1mcp._speedups.http_head cimport INCOMPLETE, OTHER, read_response
from only1mcp._speedups.json_scan_c cimport Envelope, scan
from only1mcp._speedups.lane_c cimport Lane
from only1mcp._speedups.outlet cimport open_outlet, send_out

cdef enum:
    LARGEST_HEAD = 65536
    LARGEST_BODY = 67108864
    LARGEST_TAIL = 65536    # of what follows the answer


cdef class Upstream:
    """One connection to a server, as an asyncio protocol."""

    def connection_made(self, transport):
        self.transport = transport
        open_outlet(&self.out, transport)
        self.pool.joined(self)

    def connection_lost(self, exc):
        if self.transport is None:  # its opening was given up: it has heard of it
            return
        self.transport = None
        self.is_closing = True
        cdef Call call = self.call
        if call is not None:
            if not self.has_head or self.head.chunked or self.head.length >= 0 or exc is not None:
                self.fail("lost", exc)
            elif self.head.events:
                self.fail("ended", None)
            else:
                self.is_last = True
                self.finish(bytes(self.text or b""))
        self.pool.left(self)

    def pause_writing(self):
        pass

    def resume_writing(self):
        pass

    def eof_received(self):
        self.is_closing = True
        return False

    cdef int begin(self, Call call) except -1:
        self.call = call
        call.upstream = self
        self.has_head = False
        self.start = self.text = None
        self.whole = None
        self.held = 0
        self.frames.step = SIZE
        self.frames.left = self.frames.line = 0
        self.reader = self.event_id = self.retry_ms = None
        self.is_last = self.is_ending = False
        send_out(&self.out, self.transport, call.request)
        return 0

    def data_received(self, bytes data not None):
        if self.call is None:
            self.tail(data)
            return
        if not self.has_head:
            if not self.read_head(data):
                return
            if self.start is not None:
                data = bytes(self.start)
                self.start = None
            if self.head.size == PyBytes_GET_SIZE(data) and self.head.length != 0:
                return
            if (self.head.length == PyBytes_GET_SIZE(data) - self.head.size
                    and not self.head.events):
                self.is_last = True
                self.finish(data[self.head.size:])
                return
            data = data[self.head.size:]
        self.body(data)

    cdef bint read_head(self, bytes data) except -1:
        """Read the head, which stands in `data`, or in `start` once that is set."""
        cdef int found
        if self.start is not None:
            self.start += data
            data = bytes(self.start)
        while True:
            found = read_response(<const unsigned char *>PyBytes_AS_STRING(data),
                                  PyBytes_GET_SIZE(data), &self.head)
            if found == INCOMPLETE and PyBytes_GET_SIZE(data) <= LARGEST_HEAD:
                if self.start is None:
                    self.start = bytearray(data)
                return False
            if found == INCOMPLETE or found == OTHER:
                self.fail("protocol", None)
                return False
            if self.head.status >= 200:
                self.has_head = True
                return True
            data = data[self.head.size:]  # more is said before the answer
            self.start = bytearray(data)

    cdef int tail(self, bytes data) except -1:
        """Take what comes after the answer; more than its end cannot be trusted."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data), at = 0, start
        cdef int found = PIECE
        self.held += size
        if not self.is_ending or self.held > LARGEST_TAIL:
            return self.cut()
        if not self.head.chunked:
            if self.held < self.head.length:
                return 0
            return self.settle() if self.held == self.head.length else self.cut()
        while found == PIECE:
            found = next_piece(&self.frames, <const unsigned char *>PyBytes_AS_STRING(data), size,
                               &at, &start)
        if found == MORE:
            return 0
        return self.settle() if found == LAST and at == size else self.cut()

    cdef int body(self, bytes data) except -1:
        """Take a piece of the body."""
        cdef Call call = self.call
        self.held += PyBytes_GET_SIZE(data)
        if self.head.chunked:
            return self.chunks(data)
        if self.head.length >= 0 and self.held >= self.head.length:
            self.is_last = True
            if self.held > self.head.length:  # the answer is whole, but what follows is not ours
                self.head.closes = True
                data = data[:PyBytes_GET_SIZE(data) - (self.held - self.head.length)]
                self.held = self.head.length
        if self.head.events:
            self.events(data)
            if self.is_last and self.call is call:
                self.fail("ended", None)
            return 0
        return self.gather(data) if self.head.length < 0 else self.fill(data)

    cdef int fill(self, bytes data) except -1:
        """Take a piece of a body whose length is known: each byte is copied once."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if self.head.length > LARGEST_BODY:
            return self.fail("size", None)
        if self.whole is None:
            self.whole = PyBytes_FromStringAndSize(NULL, self.head.length)
        memcpy(PyBytes_AS_STRING(self.whole) + self.held - size, PyBytes_AS_STRING(data), size)
        if self.is_last:
            body, self.whole = self.whole, None
            self.finish(body)
        return 0

    cdef int gather(self, bytes data) except -1:
        """Take a piece of a body whose length is not known."""
        if self.is_last and self.text is None:
            return self.finish(data)
        if self.text is None:
            self.text = bytearray()
        self.text += data
        if self.held > LARGEST_BODY:
            return self.fail("size", None)
        if self.is_last:
            body, self.text = bytes(self.text), None
            self.finish(body)
        return 0

    cdef int chunks(self, bytes data) except -1:
        """Take the frames off a piece of a body in chunks."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data), at = 0, start
        cdef const unsigned char *raw = <const unsigned char *>PyBytes_AS_STRING(data)
        cdef Call call = self.call
        cdef list pieces = []
        cdef int found
        while True:
            found = next_piece(&self.frames, raw, size, &at, &start)
            if found != PIECE:
                break
            pieces.append(data[start:at])
        if found == WRONG:
            return self.fail("protocol", None)
        self.is_last = found == LAST
        if self.is_last and at != size:
            self.head.closes = True
        cdef bytes text = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if not self.head.events:
            return self.gather(text)
        if text:
            self.events(text)
        if self.is_last and self.call is call:
            self.fail("ended", None)
        return 0

    cdef int events(self, bytes data) except -1:
        """Take the events that are complete; the response among them ends the call."""
        cdef Call call = self.call
        cdef Py_ssize_t start, end
        if self.reader is None:
            if plain_event(<const unsigned char *>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data),
                           &start, &end):
                self.take(call, data[start:end])
                return 0
            self.reader = self.pool.lane.helper.event_reader()
        try:
            found = self.reader.feed(data)
        except ValueError as error:
            return self.fail("size", error)
        for event in found:
            self.event_id = event.id or self.event_id
            if event.retry_ms is not None:
                self.retry_ms = event.retry_ms
            if event.data and event.event == "message" and self.take(call, event.data):
                return 0
        return 0

    cdef bint take(self, Call call, bytes payload) except -1:
        """Take the message of an event; True when the call has ended with it."""
        try:
            message = scan(payload)
        except Exception as error:
            self.fail("garbage", error)
            return True
        if message.kind == 3:
            self.deliver(message)
            return True
        self.pool.lane.helper.event(call, message)
        return self.call is not call

    cdef int finish(self, bytes body) except -1:
        """Take a whole body that is no event stream."""
        cdef Call call = self.call
        cdef int status = self.head.status
        cdef Envelope message = None
        if status == 200 and self.head.json:
            try:
                message = scan(body)
            except Exception:  # it is found again where it is said what is wrong
                pass
            if message is not None and message.kind == 3:
                return self.deliver(message)
        self.release()
        self.pool.lane.leave(call)
        self.pool.lane.helper.odd(call, status, body)
        return 0

    cdef int deliver(self, Envelope reply) except -1:
        """Answer the client."""
        cdef Call call = self.call
        cdef Lane lane = self.pool.lane
        if reply.id is not None and reply.id != call.upstream_id:
            return self.fail("foreign", None)
        self.release()
        lane.leave(call)
        lane.well(call)
        if reply.result_end and pass_on(call, reply.body, reply.result_start, reply.result_end,
                                        look_of(reply)):
            if call.flight is not None:
                lane.helper.landed(call, reply)
        else:
            lane.helper.relay(call, reply)
        return 0

    cdef int release(self) except -1:
        """Let go of the call; the connection serves the next once its body has ended."""
        self.call.upstream = None
        self.call = None
        if self.is_last:
            return self.settle()
        if not self.head.chunked and self.head.length < 0:
            return self.cut()
        self.is_ending = True
        self.since = now()
        self.pool.ending.add(self)
        if self.head.chunked:
            self.held = 0
        return 0

    cdef int settle(self) except -1:
        """Be free for the next call, unless the connection ends."""
        if self.is_ending:
            self.is_ending = False
            self.pool.ending.discard(self)
        if self.is_closing:
            return 0
        if self.head.closes or self.head.length < 0 and not self.head.chunked:
            self.is_closing = True
            self.transport.close()
        else:
            self.pool.free(self)
        return 0

    cdef int cut(self) except -1:
        """Break the connection."""
        self.is_closing = True
        if self.transport is not None:
            self.transport.abort()
        return 0

    cdef int fail(self, str kind, error) except -1:
        """End the call without an answer, and the connection with it."""
        cdef Call call = self.call
        cdef Lane lane = self.pool.lane
        self.call = None
        self.cut()
        if call is None:
            return 0
        call.upstream = None
        if self.event_id is not None and kind in ("lost", "ended") and call.plan.opened is not None:
            lane.helper.resume(call, self.event_id, self.retry_ms)
            return 0
        lane.leave(call)
        lane.helper.fail(call, kind, error)
        return 0
