# Writes to a socket past its transport, which takes a longer way to the same system call. What the
# socket does not take at once is the transport's, and all that comes behind it until that has gone.
# A transport closes its socket only after `connection_lost`: as long as its protocol has it, the
# number of the descriptor means this connection and no other. uvloop says nothing of connections
# whose opening is given up just when they are there; `Pool.failed` tells of those.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

cdef extern from "<sys/socket.h>" nogil:
    Py_ssize_t socket_send "send"(int fd, const void *data, size_t size, int flags)
    int MSG_DONTWAIT
    int MSG_NOSIGNAL


cdef struct Outlet:
    int descriptor      # -1 where only the transport can write, as with TLS
    bint has_queue      # the transport may hold bytes that are to go first


cdef inline int open_outlet(Outlet *out, object transport) except -1:
    """Begin with a new connection."""
    out.has_queue = False
    out.descriptor = -1
    if transport.get_extra_info("sslcontext") is None:
        socket = transport.get_extra_info("socket")
        if socket is not None:
            out.descriptor = socket.fileno()
    return 0


cdef inline int send_out(Outlet *out, object transport, bytes data) except -1:
    """Send bytes; errors are the transport's to find and tell."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), sent
    if out.has_queue and out.descriptor >= 0:
        out.has_queue = transport.get_write_buffer_size() > 0 or transport.is_closing()
    if out.descriptor < 0 or out.has_queue:
        transport.write(data)
        return 0
    sent = socket_send(out.descriptor, PyBytes_AS_STRING(data), size, MSG_DONTWAIT | MSG_NOSIGNAL)
    if sent != size:
        out.has_queue = True
        transport.write(data if sent < 0 else data[sent:])
    return 0
