"""What carries calls of the fast lane to a server: connections of ours, or a link to the host."""

cdef class Way:
    """One way to one server."""

    cdef int send(self, call) except -1:
        """Send a call."""
        raise NotImplementedError

    cdef int drop(self, call) except -1:
        """Forget a call under way: nobody waits for its answer."""
        raise NotImplementedError
