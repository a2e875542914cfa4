"""Connections to servers."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy
from only1mcp._speedups.call_c cimport Call, Plan, now, write_answer
from only1mcp._speedups.front_c cimport Front
from only1mcp._speedups.http_body cimport event_data, event_end, hexadecimal, line_end
from only1mcp._speedups.http_head cimport OTHER, RECOGNISED, read_response
from only1mcp._speedups.json_scan_c cimport Envelope, scan
from only1mcp._speedups.lane_c cimport Lane

cdef enum:
    LARGEST_BODY = 67108864


cdef class Upstream:
    """One connection to a server, as an asyncio protocol."""

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
        self.is_closing = True
        return False

    cdef int begin(self, Call call) except -1:
        self.call = call
        call.upstream = self
        self.has_head = False
        self.parts = None
        self.buffer = None
        self.text = None
        self.whole = None
        self.wanted = 0
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
        elif self.head.length < 0:
            self.parts = self.parts or []
            self.parts.append(data)
        else:
            self.fill(data)
        return 0

    cdef int fill(self, bytes data) except -1:
        """Take a piece of a body whose length is known: each byte is copied once."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data)
        if self.held > self.head.length or self.head.length > LARGEST_BODY:
            return self.fail("protocol", None)
        if self.whole is None:
            self.whole = PyBytes_FromStringAndSize(NULL, self.head.length)
        memcpy(PyBytes_AS_STRING(self.whole) + self.held - size, PyBytes_AS_STRING(data), size)
        if self.held == self.head.length:
            body, self.whole = self.whole, None
            self.finish(body)
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
        if len(self.buffer) < self.wanted:
            return 0
        self.wanted = 0
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
                self.wanted = end + 2 + length + 2 - at  # before that, another look is in vain
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
        if b"\n" not in data and b"\r" not in data:
            return 0
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
                write_answer(front.transport, reply, call.envelope.id, lane.draining)
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
