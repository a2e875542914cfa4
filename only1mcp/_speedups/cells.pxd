# Taking a token of a bucket that stands in one word, inlined where it is needed.
cdef extern from *:
    """
    static inline unsigned long long o1_take(unsigned long long *word, unsigned long long now,
                                             unsigned long long interval,
                                             unsigned long long capacity) {
        unsigned long long full = __atomic_load_n(word, __ATOMIC_RELAXED), next;
        do {
            next = (full > now ? full : now) + interval;
            if (next - now > capacity)
                return next - now - capacity;
        } while (!__atomic_compare_exchange_n(word, &full, next, 1, __ATOMIC_RELAXED,
                                              __ATOMIC_RELAXED));
        return 0;
    }
    """
    unsigned long long o1_take(unsigned long long *word, unsigned long long now,
                               unsigned long long interval,
                               unsigned long long capacity) noexcept nogil
