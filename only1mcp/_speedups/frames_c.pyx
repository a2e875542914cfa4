"""A link that carries calls of the fast lane in frames; how they look stands in `frame_head`."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy
from only1mcp._speedups.frame_head cimport HEAD_BYTES, MAX_PAYLOAD_BYTES, number_at, put_head


cdef class Frames:
    """One end of a link, as an asyncio protocol: cuts what comes into frames.

    Args:
        admits: says of a transport whether its other end is our own user.
    """

    def connection_made(self, transport):
        if not self.admits(transport):
            transport.abort()
            return
        self.begun = self.whole = None
        self.transport = transport

    def connection_lost(self, exc):
        self.transport = None
        self.broken()

    def eof_received(self):
        return False

    def pause_writing(self):
        pass

    def resume_writing(self):
        pass

    def data_received(self, bytes data not None):
        cdef Py_ssize_t size, at = 0, length
        cdef const char *raw
        if self.transport is None:
            return
        if self.begun is not None:
            data = self.begun + data
            self.begun = None
        size = PyBytes_GET_SIZE(data)
        if self.whole is not None:
            at = self.fill(data, 0)
        raw = PyBytes_AS_STRING(data)
        while size - at >= HEAD_BYTES:
            length = number_at(raw + at, 4)
            if length > MAX_PAYLOAD_BYTES:
                self.close()
                break
            if size - at < HEAD_BYTES + length:
                self.whole = PyBytes_FromStringAndSize(NULL, HEAD_BYTES + length)
                self.held = 0
                at = self.fill(data, at)
                break
            self.take(number_at(raw + at + 4, 1), number_at(raw + at + 5, 8), data,
                      at + HEAD_BYTES, at + HEAD_BYTES + length)
            at += HEAD_BYTES + length
        if at < size and self.transport is not None:
            self.begun = data[at:]
        self.taken()

    cdef Py_ssize_t fill(self, bytes data, Py_ssize_t at) except -1:
        """Take what belongs to the frame that is not complete; return where the rest begins."""
        cdef Py_ssize_t wanted = PyBytes_GET_SIZE(self.whole) - self.held
        cdef Py_ssize_t size = min(PyBytes_GET_SIZE(data) - at, wanted)
        cdef bytes whole = self.whole
        cdef char *raw = PyBytes_AS_STRING(whole)
        memcpy(raw + self.held, PyBytes_AS_STRING(data) + at, size)
        self.held += size
        if size == wanted:
            self.whole = None
            self.take(number_at(raw + 4, 1), number_at(raw + 5, 8), whole, HEAD_BYTES, self.held)
        return at + size

    cdef int take(self, int kind, unsigned long long token, bytes data, Py_ssize_t start,
                  Py_ssize_t end) except -1:
        """Take a frame, whose payload stands in `data`."""
        return 0

    cdef int taken(self) except -1:
        """Learn that for now there are no more."""
        return 0

    cdef int broken(self) except -1:
        """Learn that the link is broken."""
        return 0

    cdef int send(self, bytes data) except -1:
        """Send frames; what is sent on a link that is broken is lost."""
        if self.transport is not None:
            self.transport.write(data)
        return 0

    def close(self):
        """Break the link."""
        if self.transport is not None:
            self.transport.abort()


cdef bytes frame(int kind, unsigned long long token, bytes payload):
    """Write one frame."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(payload)
    cdef bytes whole = PyBytes_FromStringAndSize(NULL, HEAD_BYTES + size)
    cdef char *at = put_head(PyBytes_AS_STRING(whole), size, kind, token)
    memcpy(at, PyBytes_AS_STRING(payload), size)
    return whole
