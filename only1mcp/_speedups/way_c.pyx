"""What carries calls of the fast lane to a server: connections of ours, or a link to the host."""

cdef class Way:
    """One way to one server."""

    def __cinit__(self):
        self.waiting = []

    cdef int send(self, call) except -1:
        """Send a call."""
        raise NotImplementedError

    cdef int drop(self, call) except -1:
        """Forget a call under way: nobody waits for its answer."""
        raise NotImplementedError

    cdef bint is_full(self, double moment, double patience_s) except -1:
        """Say whether a call has waited for so long that one more is better refused at once."""
        return len(self.waiting) > 0 and moment - self.waiting[0].began > patience_s
