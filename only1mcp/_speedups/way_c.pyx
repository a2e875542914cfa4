"""What carries calls of the fast lane to a server: connections of ours, or a link to the host."""

cdef class Way:
    """One way to one server, and the calls that wait there until it has room for them."""

    def __cinit__(self):
        self.waiting = []

    cdef int send(self, call) except -1:
        """Send a call; here it waits, as it does wherever there is no room yet."""
        self.waiting.append(call)
        return 0

    cdef bint drop(self, call) except -1:
        """Forget a call: nobody waits for its answer; says whether it was still to be sent."""
        if call not in self.waiting:
            return False
        self.waiting.remove(call)
        return True

    cdef bint is_full(self, double moment, double patience_s) except -1:
        """Say whether a call has waited for so long that one more is better refused at once."""
        return len(self.waiting) > 0 and moment - self.waiting[0].began > patience_s
