# Recognisers of HTTP/1.1 heads, inlined into the fast lane: they know one shape of request and the
# usual shapes of response. A head that is not certainly of that shape is somebody else's business.
from libc.string cimport memcmp

cdef enum:
    INCOMPLETE = 0
    RECOGNISED = 1
    OTHER = -1
    NAME_LIMIT = 24


cdef struct Span:
    Py_ssize_t start
    Py_ssize_t end


cdef struct RequestHead:
    Py_ssize_t size         # of the head, its empty line included
    Py_ssize_t length       # of the body
    unsigned int seen       # one bit for each header that must not stand twice
    Span host
    Span version
    Span method
    Span name
    Span session
    Span authorization


cdef struct ResponseHead:
    Py_ssize_t size
    Py_ssize_t length       # of the body; -1 when it is not told
    int status
    bint chunked
    bint typed              # a Content-Type has come: the first one counts
    bint events             # text/event-stream
    bint json
    bint closes             # the connection ends with this response


cdef enum:
    HAS_HOST = 1
    HAS_LENGTH = 2
    HAS_TYPE = 4
    HAS_ACCEPT = 8
    HAS_VERSION = 16
    HAS_METHOD = 32
    HAS_NAME = 64
    HAS_SESSION = 128
    HAS_CONNECTION = 256
    HAS_AUTHORIZATION = 512
    IDLE = 1024             # the first of the bits of headers that have no meaning for us
    HAS_ALL = HAS_HOST | HAS_LENGTH | HAS_TYPE


cdef inline bint is_token(unsigned char c) noexcept nogil:
    return (97 <= c <= 122 or 65 <= c <= 90 or 48 <= c <= 57 or c == 45 or c == 95)


cdef inline bint same(const unsigned char *p, Py_ssize_t size, const char *word,
                      Py_ssize_t length) noexcept nogil:
    """Compare with a word in lower case, whatever the case of the bytes."""
    cdef Py_ssize_t i
    cdef unsigned char c
    if size != length:
        return False
    for i in range(size):
        c = p[i]
        if 65 <= c <= 90:
            c += 32
        if c != <unsigned char>word[i]:
            return False
    return True


cdef inline int read_field(const unsigned char *d, Py_ssize_t size, Py_ssize_t *at,
                           unsigned char *name, Py_ssize_t *name_size, Span *value) noexcept nogil:
    """Read one header line; its name comes in lower case, its value without the space around it."""
    cdef Py_ssize_t p = at[0], end
    cdef unsigned char c
    name_size[0] = 0
    while p < size and d[p] != 58:
        c = d[p]
        if not is_token(c) or name_size[0] == NAME_LIMIT:
            return OTHER
        name[name_size[0]] = c + 32 if 65 <= c <= 90 else c
        name_size[0] += 1
        p += 1
    if p >= size:
        return INCOMPLETE
    p += 1
    while p < size and (d[p] == 32 or d[p] == 9):
        p += 1
    value.start = p
    while p < size and (d[p] >= 32 or d[p] == 9) and d[p] < 127:
        p += 1
    if p + 1 >= size:
        return INCOMPLETE
    if d[p] != 13 or d[p + 1] != 10 or name_size[0] == 0:
        return OTHER
    end = p
    while end > value.start and (d[end - 1] == 32 or d[end - 1] == 9):
        end -= 1
    value.end = end
    at[0] = p + 2
    return RECOGNISED


cdef inline Py_ssize_t digits(const unsigned char *p, Py_ssize_t size) noexcept nogil:
    """Read a decimal number of at most nine digits; -1 when it is none."""
    cdef Py_ssize_t value = 0, i
    if size < 1 or size > 9:
        return -1
    for i in range(size):
        if not 48 <= p[i] <= 57:
            return -1
        value = value * 10 + p[i] - 48
    return value


cdef inline bint takes_both(const unsigned char *p, Py_ssize_t size) noexcept nogil:
    """Say whether an Accept header is one of the usual ones that allow JSON and event streams."""
    return (
        same(p, size, b"application/json, text/event-stream", 35)
        or same(p, size, b"text/event-stream, application/json", 35)
        or same(p, size, b"application/json,text/event-stream", 34)
        or same(p, size, b"*/*", 3)
    )


cdef inline int note_field(RequestHead *h, const unsigned char *d, const unsigned char *name,
                           Py_ssize_t size, Span *value) noexcept nogil:
    """Take one header of a request: OTHER when it, or its value, is not of the one shape."""
    cdef unsigned int bit = 0
    cdef const unsigned char *p = d + value.start
    cdef Py_ssize_t length = value.end - value.start
    if same(name, size, b"host", 4):
        bit = HAS_HOST
        h.host = value[0]
    elif same(name, size, b"content-length", 14):
        bit = HAS_LENGTH
        h.length = digits(p, length)
        if h.length < 1:
            return OTHER
    elif same(name, size, b"content-type", 12):
        bit = HAS_TYPE
        if not (same(p, length, b"application/json", 16)
                or same(p, length, b"application/json; charset=utf-8", 31)):
            return OTHER
    elif same(name, size, b"accept", 6):
        bit = HAS_ACCEPT
        if not takes_both(p, length):
            return OTHER
    elif same(name, size, b"mcp-protocol-version", 20):
        bit = HAS_VERSION
        h.version = value[0]
    elif same(name, size, b"mcp-method", 10):
        bit = HAS_METHOD
        h.method = value[0]
    elif same(name, size, b"mcp-name", 8):
        bit = HAS_NAME
        h.name = value[0]
    elif same(name, size, b"mcp-session-id", 14):
        bit = HAS_SESSION
        h.session = value[0]
    elif same(name, size, b"connection", 10):
        bit = HAS_CONNECTION
        if not same(p, length, b"keep-alive", 10):
            return OTHER
    elif same(name, size, b"authorization", 13):
        bit = HAS_AUTHORIZATION
        h.authorization = value[0]
    else:
        bit = idle_bit(name, size)
    if bit == 0 or h.seen & bit:
        return OTHER
    h.seen |= bit
    return RECOGNISED


cdef inline unsigned int idle_bit(const unsigned char *name, Py_ssize_t size) noexcept nogil:
    """Return the bit of a header that has no meaning for us; 0 for any other."""
    if same(name, size, b"user-agent", 10):
        return IDLE
    if same(name, size, b"accept-encoding", 15):
        return IDLE << 1
    if same(name, size, b"accept-language", 15):
        return IDLE << 2
    if same(name, size, b"sec-fetch-mode", 14):
        return IDLE << 3
    if same(name, size, b"traceparent", 11):
        return IDLE << 4
    if same(name, size, b"tracestate", 10):
        return IDLE << 5
    if same(name, size, b"baggage", 7):
        return IDLE << 6
    if same(name, size, b"x-request-id", 12):
        return IDLE << 7
    if same(name, size, b"cache-control", 13):
        return IDLE << 8
    if same(name, size, b"pragma", 6):
        return IDLE << 9
    return IDLE << 10 if same(name, size, b"priority", 8) else 0


cdef inline int read_request(const unsigned char *d, Py_ssize_t size,
                             RequestHead *h) noexcept nogil:
    """Recognise the head of a `POST /mcp` of HTTP/1.1."""
    cdef const char *line = b"POST /mcp HTTP/1.1\r\n"
    cdef unsigned char name[NAME_LIMIT]
    cdef Py_ssize_t at = 20, name_size
    cdef Span value
    cdef int found
    h.seen = 0
    if size < 20:
        return INCOMPLETE if memcmp(d, line, size) == 0 else OTHER
    if memcmp(d, line, 20) != 0:
        return OTHER
    while True:
        if at + 2 > size:
            return INCOMPLETE
        if d[at] == 13:
            if d[at + 1] != 10 or h.seen & HAS_ALL != HAS_ALL:
                return OTHER
            h.size = at + 2
            return RECOGNISED
        found = read_field(d, size, &at, name, &name_size, &value)
        if found == RECOGNISED:
            found = note_field(h, d, name, name_size, &value)
        if found != RECOGNISED:
            return found


cdef inline bint is_text(unsigned char c) noexcept nogil:
    """Say whether a byte may stand in a value of a response, or in its reason."""
    return c >= 32 and c != 127 or c == 9


cdef inline bint is_type(const unsigned char *p, Py_ssize_t size, const char *word,
                         Py_ssize_t length) noexcept nogil:
    """Compare with a media type, whatever its parameters."""
    if size < length or not same(p, length, word, length):
        return False
    while length < size and (p[length] == 32 or p[length] == 9):
        length += 1
    return length == size or p[length] == 59


cdef inline int note_response_field(ResponseHead *h, const unsigned char *d,
                                    const unsigned char *name, Py_ssize_t size,
                                    Span *value) noexcept nogil:
    cdef const unsigned char *p = d + value.start
    cdef Py_ssize_t length = value.end - value.start
    if same(name, size, b"content-length", 14):
        if h.length != -1 or h.chunked:
            return OTHER
        h.length = digits(p, length)
        if h.length < 0:
            return OTHER
    elif same(name, size, b"transfer-encoding", 17):
        if h.length != -1 or h.chunked or not same(p, length, b"chunked", 7):
            return OTHER
        h.chunked = True
    elif same(name, size, b"content-type", 12):
        if not h.typed:
            h.typed = True
            h.json = is_type(p, length, b"application/json", 16)
            h.events = is_type(p, length, b"text/event-stream", 17)
    elif same(name, size, b"connection", 10):
        h.closes = h.closes or not same(p, length, b"keep-alive", 10)
    elif same(name, size, b"content-encoding", 16) and not same(p, length, b"identity", 8):
        return OTHER
    return RECOGNISED


cdef inline int end_response(ResponseHead *h, const unsigned char *d, Py_ssize_t at) noexcept nogil:
    """Take the empty line at the head's end."""
    if d[at + 1] != 10:
        return OTHER
    h.size = at + 2
    if d[7] == 48:  # HTTP/1.0
        h.closes = True
        if h.chunked:
            return OTHER
    if h.status < 200 or h.status == 204 or h.status == 304:  # there is no body, whatever is said
        h.length = 0
        h.chunked = False
    return RECOGNISED


cdef inline int read_response(const unsigned char *d, Py_ssize_t size,
                              ResponseHead *h) noexcept nogil:
    """Recognise the head of a response of HTTP/1.1, or of 1.0, which says more about its end."""
    cdef unsigned char name[NAME_LIMIT]
    cdef Py_ssize_t at = 12, name_size
    cdef Span value
    cdef int found
    h.length = -1
    h.chunked = h.typed = h.events = h.json = h.closes = False
    if size < 13:
        return INCOMPLETE
    h.status = digits(d + 9, 3)
    if memcmp(d, b"HTTP/1.", 7) != 0 or not 48 <= d[7] <= 49 or d[8] != 32:
        return OTHER
    if h.status < 100 or h.status == 101 or d[12] != 32 and d[12] != 13:
        return OTHER
    while at < size and is_text(d[at]):
        at += 1
    if at + 1 >= size:
        return INCOMPLETE
    if d[at] != 13 or d[at + 1] != 10:
        return OTHER
    at += 2
    while True:
        if at + 2 > size:
            return INCOMPLETE
        if d[at] == 13:
            return end_response(h, d, at)
        found = read_response_field(d, size, &at, name, &name_size, &value)
        if found == RECOGNISED:
            found = note_response_field(h, d, name, name_size, &value)
        if found != RECOGNISED:
            return found


cdef inline int read_response_field(const unsigned char *d, Py_ssize_t size, Py_ssize_t *at,
                                    unsigned char *name, Py_ssize_t *name_size,
                                    Span *value) noexcept nogil:
    """Read one header line of a response; the end of a long name is nothing to us."""
    cdef Py_ssize_t p = at[0], end
    cdef unsigned char c
    name_size[0] = 0
    while p < size and d[p] != 58:
        c = d[p]
        if c <= 32 or c >= 127 or c in (34, 40, 41, 44, 47, 59, 60, 61, 62, 63, 64, 91, 92, 93, 123,
                                        125):
            return OTHER
        if name_size[0] < NAME_LIMIT:
            name[name_size[0]] = c + 32 if 65 <= c <= 90 else c
            name_size[0] += 1
        p += 1
    p += 1
    while p < size and (d[p] == 32 or d[p] == 9):
        p += 1
    value.start = p
    while p < size and is_text(d[p]):
        p += 1
    if p + 1 >= size:
        return INCOMPLETE
    if d[p] != 13 or d[p + 1] != 10 or name_size[0] == 0:
        return OTHER
    end = p
    while end > value.start and (d[end - 1] == 32 or d[end - 1] == 9):
        end -= 1
    value.end = end
    at[0] = p + 2
    return RECOGNISED
