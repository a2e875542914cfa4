"""The host's end of the links on which workers send plain calls to servers that the host owns.

A call stands among those of the server's session, under an id of the session's, as a `Carried`.
Whatever concerns it and is not its plain answer goes the way of all calls, in Python. What comes in
one read is answered in one write.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy
from only1mcp._speedups.call_c cimport decimal_bytes, look_of
from only1mcp._speedups.frame_head cimport (
    CANCEL, CARRIED, CARRY, DECLINED, FAILED, HEAD_BYTES, MESSAGE, REPLY, number_at, put_head,
)
from only1mcp._speedups.frames_c cimport frame
from only1mcp._speedups.json_scan_c cimport Envelope, scan

from only1mcp.errors import Only1MCPError

cdef enum:
    IDS = 256               # a forwarder takes so many ids of its session at a time
    ADDRESS = 3             # bytes of it in a frame: a server's slot, the number of its process
    MUCH = 65536            # of frames: from there on a copy costs more than another buffer

cdef bytes OPENING = b'{"jsonrpc":"2.0","id":'


cdef class WorkerLine(Frames):
    """One worker's link.

    Args:
        found: forwarders by their addresses.
        find: looks for one that is not there; None when its server takes no plain calls now.
        admits: says of a transport whether its other end is our own user.
        encode_failure: writes a failure for another process.
        on_end: learns that the link is gone.
    """

    def __init__(self, dict found not None, find, admits, encode_failure, on_end):
        self.found = found
        self.find = find
        self.admits = admits
        self.encode_failure = encode_failure
        self.on_end = on_end
        self.calls = {}
        self.unsent = []
        self.touched = []

    cdef int take(self, int kind, unsigned long long token, bytes data, Py_ssize_t start,
                  Py_ssize_t end) except -1:
        cdef Forwarder forwarder
        cdef Py_ssize_t address
        if kind == CANCEL:
            return self.cancel(token)
        if kind != CARRY or end - start < ADDRESS:
            self.close()
            return 0
        address = number_at(PyBytes_AS_STRING(data) + start, ADDRESS)
        forwarder = self.found.get(address)
        if forwarder is None:
            forwarder = self.find(address)
        if forwarder is None or not forwarder.carry(
                self, token, PyBytes_AS_STRING(data) + start + ADDRESS, end - start - ADDRESS):
            self.push(frame(DECLINED, token, b""))
        return 0

    cdef int cancel(self, unsigned long long token) except -1:
        cdef Carried call = self.calls.pop(token, None)
        if call is not None:
            call.forwarder.flush()  # or it would be cancelled before it is sent
            call.forwarder.cancel(call.id)
        return 0

    cdef int taken(self) except -1:
        cdef Forwarder forwarder
        touched, self.touched = self.touched, []
        for forwarder in touched:
            forwarder.flush()
        return self.flush()

    cdef int push(self, bytes data) except -1:
        """Send a frame with the next `flush`."""
        self.unsent.append(data)
        self.unsent_size += PyBytes_GET_SIZE(data)
        return 0

    cdef int flush(self) except -1:
        if not self.unsent:
            return 0
        unsent, self.unsent = self.unsent, []
        size, self.unsent_size = self.unsent_size, 0
        if self.transport is None:
            return 0
        if len(unsent) == 1:
            self.transport.write(unsent[0])
        elif size < MUCH:
            self.transport.write(b"".join(unsent))
        else:
            self.transport.writelines(unsent)
        return 0

    cdef int broken(self) except -1:
        """Cancel what was under way: nobody waits for it any more."""
        cdef Carried call
        calls, self.calls = self.calls, {}
        for call in calls.values():
            call.forwarder.flush()
            call.forwarder.cancel(call.id)
        self.on_end(self)
        return 0


cdef class Carried:
    """One call of a worker's lane, as the session sees it that it stands at; its own sink."""

    @property
    def sink(self):
        """Who hears of the call."""
        return self

    def on_message(self, message):
        """Pass on what comes before the end."""
        self.line.push(frame(MESSAGE, self.number, message.body))
        self.line.flush()

    def on_reply(self, reply):
        """End with a response that somebody else has found to be this call's."""
        self.end(frame(REPLY, self.number, reply.body))
        self.line.flush()

    def on_failure(self, error):
        """End with the failure."""
        self.end(frame(FAILED, self.number, self.line.encode_failure(error)))
        self.line.flush()

    cdef int answer(self, Envelope reply) except -1:
        """End with the response, whose result needs no more reading if it is one."""
        cdef Py_ssize_t size = reply.result_end - reply.result_start
        cdef bytes whole
        cdef char *at
        if not size:
            return self.end(frame(REPLY, self.number, reply.body))
        whole = PyBytes_FromStringAndSize(NULL, HEAD_BYTES + 1 + size)
        at = put_head(PyBytes_AS_STRING(whole), 1 + size, CARRIED, self.number)
        at[0] = look_of(reply)
        memcpy(at + 1, PyBytes_AS_STRING(reply.body) + reply.result_start, size)
        return self.end(whole)

    cdef int end(self, bytes data) except -1:
        if self.line.calls.pop(self.number, None) is not None:
            self.line.push(data)
        return 0


cdef class Forwarder:
    """Brings plain calls of workers to one server on a channel of lines, and the answers back.

    Args:
        waiting: who waits for an answer of the server, by the request's id as JSON.
        take_ids: reserves so many ids and returns the first.
        write: sends lines, all or none; False when the channel takes none.
        on_message: takes a message that is no plain answer.
        on_garbage: takes what is no message, and why.
        cancel: takes the id of a call that nobody waits for any more.
        limit: how many calls may be under way.
    """

    def __init__(self, dict waiting not None, take_ids, write, on_message, on_garbage, cancel,
                 Py_ssize_t limit):
        self.waiting = waiting
        self.take_ids = take_ids
        self.write = write
        self.on_message = on_message
        self.on_garbage = on_garbage
        self.cancel = cancel
        self.limit = limit
        self.lines = []
        self.starting = []
        self.touched = []

    cdef bint carry(self, WorkerLine line, unsigned long long token, const char *rest,
                    Py_ssize_t size) except -1:
        """Send a call with the next `flush`; False when there are too many."""
        cdef Carried call
        cdef bytes whole
        cdef char *at
        cdef Py_ssize_t opening = PyBytes_GET_SIZE(OPENING), digits
        if len(self.waiting) >= self.limit:
            return False
        if self.first_id == self.last_id:
            self.first_id = self.take_ids(IDS)
            self.last_id = self.first_id + IDS
        call = Carried.__new__(Carried)
        call.line = line
        call.forwarder = self
        call.number = token
        call.id = decimal_bytes(self.first_id)
        self.first_id += 1
        digits = PyBytes_GET_SIZE(call.id)
        whole = PyBytes_FromStringAndSize(NULL, opening + digits + size + 1)
        at = PyBytes_AS_STRING(whole)
        memcpy(at, PyBytes_AS_STRING(OPENING), opening)
        memcpy(at + opening, PyBytes_AS_STRING(call.id), digits)
        memcpy(at + opening + digits, rest, size)
        at[opening + digits + size] = 10
        self.waiting[call.id] = call
        line.calls[token] = call
        if not self.lines:
            line.touched.append(self)
        self.lines.append(whole)
        self.starting.append(call)
        return True

    cdef int flush(self) except -1:
        """Send the calls; those that the channel does not take go back."""
        cdef Carried call
        if not self.lines:
            return 0
        lines, self.lines = self.lines, []
        starting, self.starting = self.starting, []
        if self.write(b"".join(lines)):
            return 0
        for call in starting:
            if self.waiting.pop(call.id, None) is not None:
                call.end(frame(DECLINED, call.number, b""))
        return 0

    def hear(self, list lines not None):
        """Take what the server says, in order."""
        cdef WorkerLine line
        for said in lines:
            self.hear_one(said)
        touched, self.touched = self.touched, []
        for line in touched:
            line.flush()

    cdef int hear_one(self, bytes said) except -1:
        cdef Envelope message
        cdef Carried call
        try:
            message = scan(said)
        except Only1MCPError as error:
            self.on_garbage(said, error)
            return 0
        if message.kind == 3:
            found = self.waiting.get(message.id)
            if type(found) is Carried:
                call = found
                del self.waiting[message.id]
                if not call.line.unsent:
                    self.touched.append(call.line)
                return call.answer(message)
        self.on_message(message)
        return 0
