"""Compare-and-swap on words of shared memory: nothing is held that a process could leave behind."""

cdef extern from *:
    """
    static inline int o1_swap(unsigned long long *word, unsigned long long expected,
                              unsigned long long wanted) {
        return __atomic_compare_exchange_n(word, &expected, wanted, 0,
                                           __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
    }
    static inline unsigned long long o1_load(unsigned long long *word) {
        return __atomic_load_n(word, __ATOMIC_ACQUIRE);
    }
    """
    int o1_swap(unsigned long long *word, unsigned long long expected,
                unsigned long long wanted) nogil
    unsigned long long o1_load(unsigned long long *word) nogil


cdef class Words:
    """Words that several processes change.

    Args:
        words: the words.
        lock_file: for the pure twin, which cannot swap.
    """
    cdef unsigned long long[::1] words

    def __init__(self, words, int lock_file):
        self.words = words

    def load(self, Py_ssize_t at):
        """Return a word."""
        if not 0 <= at < self.words.shape[0]:
            raise IndexError(at)
        return o1_load(&self.words[at])

    def swap(self, Py_ssize_t at, unsigned long long expected, unsigned long long wanted):
        """Replace a word if it still is what is expected; say whether it was."""
        if not 0 <= at < self.words.shape[0]:
            raise IndexError(at)
        return o1_swap(&self.words[at], expected, wanted) != 0
