# How frames of `only1mcp.links.frames` begin: the payload's length, a kind, a token.

cdef enum:
    HEAD_BYTES = 13
    MAX_PAYLOAD_BYTES = 67108864

    CANCEL = 2
    REPLY = 3
    FAILED = 4
    MESSAGE = 7
    CARRY = 15
    CARRIED = 16
    DECLINED = 17


cdef inline char *put_number(char *at, unsigned long long number, int width) noexcept:
    cdef int i
    for i in range(width):
        at[i] = <char>(number >> (8 * i) & 255)
    return at + width


cdef inline unsigned long long number_at(const char *at, int width) noexcept:
    cdef unsigned long long number = 0
    cdef int i
    for i in range(width):
        number |= <unsigned long long><unsigned char>at[i] << (8 * i)
    return number


cdef inline char *put_head(char *at, Py_ssize_t size, int kind, unsigned long long token) noexcept:
    return put_number(put_number(put_number(at, size, 4), kind, 1), token, 8)
