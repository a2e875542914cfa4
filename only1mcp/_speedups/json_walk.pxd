# The grammar of JSON over bytes: functions that step over one thing each, inlined into json_scan_c.
# The walk keeps its own stack of open brackets, so that hostile nesting costs no C stack.
from libc.string cimport memcmp

cdef enum:
    DEPTH_LIMIT = 128


cdef struct Walk:
    const unsigned char *data
    Py_ssize_t size
    Py_ssize_t at           # where the walk stands, and where it failed
    const char *problem     # NULL while all is well
    bint wide               # a byte over 127 was seen


cdef inline void skip_space(Walk *w) noexcept nogil:
    cdef unsigned char c
    while w.at < w.size:
        c = w.data[w.at]
        if c != 32 and c != 10 and c != 13 and c != 9:
            return
        w.at += 1


cdef inline int hex_digit(unsigned char c) noexcept nogil:
    if 48 <= c <= 57:
        return c - 48
    c |= 32
    if 97 <= c <= 102:
        return c - 87
    return -1


cdef inline int hex4(Walk *w, Py_ssize_t at) noexcept nogil:
    """Read four hex digits; -1 when they are not there."""
    cdef int value = 0, digit, i
    if at + 4 > w.size:
        return -1
    for i in range(4):
        digit = hex_digit(w.data[at + i])
        if digit < 0:
            return -1
        value = value * 16 + digit
    return value


cdef inline bint skip_escape(Walk *w) noexcept nogil:
    """Step over the escape at `at`, which stands on the backslash."""
    cdef unsigned char c
    cdef int unit
    if w.at + 1 >= w.size:
        w.problem = b"a string does not end"
        return False
    c = w.data[w.at + 1]
    if c != 117:  # u
        if c not in b'"\\/bfnrt':
            w.problem = b"an escape is not valid"
            return False
        w.at += 2
        return True
    unit = hex4(w, w.at + 2)
    if unit < 0:
        w.problem = b"an escape is not valid"
        return False
    w.at += 6
    if 0xDC00 <= unit <= 0xDFFF:
        w.problem = b"an escape stands for half a character"
        return False
    if 0xD800 <= unit <= 0xDBFF:
        if w.at + 6 > w.size or w.data[w.at] != 92 or w.data[w.at + 1] != 117:
            w.problem = b"an escape stands for half a character"
            return False
        unit = hex4(w, w.at + 2)
        if not 0xDC00 <= unit <= 0xDFFF:
            w.problem = b"an escape stands for half a character"
            return False
        w.at += 6
    return True


cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #if defined(__SSE2__)
    #include <emmintrin.h>
    #endif

    /* How many bytes of a string need no look: none is a control character, a quote, a
       backslash, or beyond ASCII. Fewer than there are, when the next block is cut short. */
    static inline size_t only1mcp_plain_run(const unsigned char *data, size_t size) {
        size_t at = 0;
    #if defined(__SSE2__)
        const __m128i quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\\\');
        const __m128i space = _mm_set1_epi8(' ');
        while (at + 16 <= size) {
            __m128i block = _mm_loadu_si128((const __m128i *)(data + at));
            /* Bytes beyond ASCII are negative here, and so below the space as well. */
            __m128i special = _mm_or_si128(
                _mm_cmplt_epi8(block, space),
                _mm_or_si128(_mm_cmpeq_epi8(block, quote), _mm_cmpeq_epi8(block, backslash)));
            int found = _mm_movemask_epi8(special);
            if (found) return at + __builtin_ctz(found);
            at += 16;
        }
    #else
        const uint64_t ones = 0x0101010101010101ULL, highs = 0x8080808080808080ULL;
        while (at + 8 <= size) {
            uint64_t word, quote, backslash;
            memcpy(&word, data + at, 8);
            quote = word ^ (ones * '"');
            backslash = word ^ (ones * 0x5C);
            if (((word - ones * 32) | ((quote - ones) & ~quote) |
                 ((backslash - ones) & ~backslash) | word) & highs) return at;
            at += 8;
        }
    #endif
        return at;
    }
    """
    size_t plain_run "only1mcp_plain_run" (const unsigned char *data, size_t size) nogil


cdef inline bint skip_string(Walk *w) noexcept nogil:
    """Step over the string at `at`, which stands on its first quote."""
    cdef unsigned char c
    w.at += 1
    while w.at < w.size:
        w.at += plain_run(w.data + w.at, w.size - w.at)
        if w.at >= w.size:
            break
        c = w.data[w.at]
        if c == 34:
            w.at += 1
            return True
        if c == 92:
            if not skip_escape(w):
                return False
            continue
        if c < 32:
            w.problem = b"a control character stands in a string"
            return False
        if c > 127:
            w.wide = True
        w.at += 1
    w.problem = b"a string does not end"
    return False


cdef inline Py_ssize_t simple_string(Walk *w) noexcept nogil:
    """Step over a string of plain ASCII; returns its length, -1 when it is not so simple."""
    cdef Py_ssize_t start = w.at + 1, at = start
    cdef unsigned char c
    while at < w.size:
        at += plain_run(w.data + at, w.size - at)
        if at >= w.size:
            return -1
        c = w.data[at]
        if c == 34:
            w.at = at + 1
            return at - start
        if c < 32 or c == 92 or c > 127:
            return -1
        at += 1
    return -1


cdef inline bint skip_digits(Walk *w) noexcept nogil:
    cdef Py_ssize_t start = w.at
    while w.at < w.size and 48 <= w.data[w.at] <= 57:
        w.at += 1
    return w.at > start


cdef inline bint skip_number(Walk *w) noexcept nogil:
    w.problem = b"a number is not valid"
    if w.data[w.at] == 45:
        w.at += 1
    if w.at < w.size and w.data[w.at] == 48:
        w.at += 1
    elif not skip_digits(w):
        return False
    if w.at < w.size and w.data[w.at] == 46:
        w.at += 1
        if not skip_digits(w):
            return False
    if w.at < w.size and (w.data[w.at] | 32) == 101:
        w.at += 1
        if w.at < w.size and (w.data[w.at] == 43 or w.data[w.at] == 45):
            w.at += 1
        if not skip_digits(w):
            return False
    w.problem = NULL
    return True


cdef inline bint skip_word(Walk *w, const char *word, Py_ssize_t length) noexcept nogil:
    if w.at + length > w.size or memcmp(w.data + w.at, word, length) != 0:
        w.problem = b"a value is expected"
        return False
    w.at += length
    return True


cdef inline bint skip_scalar(Walk *w) noexcept nogil:
    cdef unsigned char c = w.data[w.at]
    if c == 34:
        return skip_string(w)
    if c == 45 or 48 <= c <= 57:
        return skip_number(w)
    if c == 116:
        return skip_word(w, b"true", 4)
    if c == 102:
        return skip_word(w, b"false", 5)
    if c == 110:
        return skip_word(w, b"null", 4)
    w.problem = b"a value is expected"
    return False


cdef inline bint skip_key(Walk *w) noexcept nogil:
    """Step over a key, its colon and the space around them."""
    if w.at >= w.size or w.data[w.at] != 34:
        w.problem = b"a key is expected"
        return False
    if not skip_string(w):
        return False
    skip_space(w)
    if w.at >= w.size or w.data[w.at] != 58:
        w.problem = b"':' is expected"
        return False
    w.at += 1
    skip_space(w)
    return True


cdef inline bint skip_value(Walk *w, int depth) noexcept nogil:
    """Step over the value at `at`; `depth` brackets are open around it."""
    cdef unsigned char is_object[DEPTH_LIMIT + 1]
    cdef int base = depth
    cdef unsigned char c, closing
    while True:
        # Here a value begins.
        if w.at >= w.size:
            w.problem = b"a value is expected"
            return False
        c = w.data[w.at]
        if c == 123 or c == 91:
            if depth >= DEPTH_LIMIT:
                w.problem = b"nested too deeply"
                return False
            is_object[depth] = c == 123
            depth += 1
            w.at += 1
            skip_space(w)
            closing = 125 if c == 123 else 93
            if w.at < w.size and w.data[w.at] == closing:
                w.at += 1
                depth -= 1
            else:
                if c == 123 and not skip_key(w):
                    return False
                continue
        elif not skip_scalar(w):
            return False
        # Here a value has ended: close what closes, then go on after a comma.
        while True:
            if depth == base:
                return True
            skip_space(w)
            if w.at >= w.size:
                w.problem = b"a bracket does not close"
                return False
            c = w.data[w.at]
            closing = 125 if is_object[depth - 1] else 93
            if c == closing:
                w.at += 1
                depth -= 1
                continue
            if c != 44:
                w.problem = b"',' or a closing bracket is expected"
                return False
            w.at += 1
            skip_space(w)
            if is_object[depth - 1] and not skip_key(w):
                return False
            break
