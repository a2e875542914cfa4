"""Buckets of tokens in shared memory, one word each; see `only1mcp.resilience.limiter`.

A token is taken by compare-and-swap: nothing is held that a process could leave behind.
"""

from only1mcp._speedups.cells cimport o1_take


cdef class Cells:
    """The buckets.

    Args:
        words: when each bucket is full again, in nanoseconds.
        lock_file: for the pure twin, which cannot swap.
    """
    cdef unsigned long long[::1] words

    def __init__(self, words, int lock_file):
        self.words = words

    def take(self, Py_ssize_t cell, unsigned long long now, unsigned long long interval,
             unsigned long long capacity):
        """Take a token; return 0, or after how many nanoseconds there will be one."""
        if not 0 <= cell < self.words.shape[0]:
            raise IndexError(cell)
        return o1_take(&self.words[cell], now, interval, capacity)
