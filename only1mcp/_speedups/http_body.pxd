# Steps of reading bodies of HTTP/1.1: chunks, and the one shape of an event that most servers send.
from libc.string cimport memchr, memcmp

cdef enum:
    MORE = 0
    PIECE = 1
    LAST = 2
    WRONG = -1
    LARGEST_CHUNK = 268435455
    LONGEST_LINES = 8192    # of a chunk's extensions, or of all trailers


cdef enum Step:
    SIZE = 0
    EXTENSION
    SIZE_LF
    DATA
    DATA_CR
    DATA_LF
    TRAILER
    TRAILER_LINE
    TRAILER_LF
    END_LF


cdef struct Chunks:
    Step step
    Py_ssize_t left         # of the chunk
    Py_ssize_t line         # bytes of the line, as far as it has come


cdef inline int digit(unsigned char c) noexcept nogil:
    """Return the value of a hexadecimal digit; -1 when it is none."""
    if 48 <= c <= 57:
        return c - 48
    if 97 <= (c | 32) <= 102:
        return (c | 32) - 87
    return -1


cdef inline bint step_size(Chunks *c, unsigned char byte) noexcept nogil:
    """Take a byte of the line with a chunk's size; False when it does not belong there."""
    cdef int value
    c.line += 1
    if c.step == SIZE_LF:
        c.step = TRAILER if c.left == 0 else DATA
        c.line = 0
        return byte == 10
    if byte == 13:
        c.step = SIZE_LF
        return c.line > 1
    if c.step == EXTENSION:
        return c.line < LONGEST_LINES and byte != 127 and (byte >= 32 or byte == 9)
    if byte == 59 or byte == 32 or byte == 9:
        c.step = EXTENSION
        return c.line > 1
    value = digit(byte)
    c.left = c.left * 16 + value
    return value >= 0 and c.left <= LARGEST_CHUNK and c.line < 32


cdef inline bint step_trailer(Chunks *c, unsigned char byte) noexcept nogil:
    """Take a byte of the lines after the last chunk, which mean nothing to us."""
    c.line += 1
    if c.step == TRAILER_LF:
        c.step = TRAILER
        return byte == 10
    if byte == 13:
        c.step = END_LF if c.step == TRAILER else TRAILER_LF
        return True
    c.step = TRAILER_LINE
    return c.line < LONGEST_LINES and byte != 10


cdef inline int next_piece(Chunks *c, const unsigned char *d, Py_ssize_t size, Py_ssize_t *at,
                           Py_ssize_t *start) noexcept nogil:
    """Go on in a body of chunks: a PIECE of data stands from `start` up to `at`.

    MORE says that the bytes are used up, LAST that the body has ended.
    """
    cdef Py_ssize_t count
    cdef unsigned char byte
    while at[0] < size:
        if c.step == DATA:
            count = min(c.left, size - at[0])
            start[0] = at[0]
            at[0] += count
            c.left -= count
            if c.left == 0:
                c.step = DATA_CR
            return PIECE
        byte = d[at[0]]
        at[0] += 1
        if c.step == DATA_CR:
            c.step = DATA_LF
            if byte != 13:
                return WRONG
        elif c.step == DATA_LF:
            c.step = SIZE
            c.line = 0
            if byte != 10:
                return WRONG
        elif c.step == END_LF:
            return LAST if byte == 10 else WRONG
        elif not (step_size(c, byte) if c.step < DATA else step_trailer(c, byte)):
            return WRONG
    return MORE


cdef inline bint plain_event(const unsigned char *d, Py_ssize_t size, Py_ssize_t *start,
                             Py_ssize_t *end) noexcept nogil:
    """Say whether this is exactly one event, with one line of data and no id; note its data."""
    cdef Py_ssize_t at = 0, last = size
    if size >= 15 and memcmp(d, b"event: message", 14) == 0:
        at = 15 if d[14] == 10 else 16
        if at == 16 and (size < 16 or d[14] != 13 or d[15] != 10):
            return False
    if size - at < 9 or memcmp(d + at, b"data: ", 6) != 0:
        return False
    if size - at >= 11 and memcmp(d + size - 4, b"\r\n\r\n", 4) == 0:
        last = size - 4
    elif memcmp(d + size - 2, b"\n\n", 2) == 0:
        last = size - 2
    else:
        return False
    start[0] = at + 6
    end[0] = last
    return (memchr(d + start[0], 10, last - start[0]) == NULL
            and memchr(d + start[0], 13, last - start[0]) == NULL)
