# One pass over a JSON-RPC message that is written plainly, inlined into json_scan_c. Whatever is
# not plain ends the pass: keys with escapes, too many keys, repeated keys, anything that is wrong.
from libc.string cimport memcmp

from only1mcp._speedups.json_walk cimport Walk, simple_string, skip_space, skip_value

cdef enum:
    MANY_KEYS = 12


cdef struct Span:
    Py_ssize_t start
    Py_ssize_t end


cdef struct Plain:
    bint versioned
    bint has_more           # than the parameters that all revisions know
    Span id
    Span method
    Span params
    Span result
    Span error
    Span name
    Span uri
    Span meta
    Span version
    Span capabilities
    Span token
    Span result_type


cdef struct Keys:
    Span seen[MANY_KEYS]
    int count
    Span key                # the one that was read last, without its quotes


cdef inline bint plain_key(Walk *w, Keys *keys) noexcept nogil:
    """Step over a key and its colon; False when it is not plain, or stands twice."""
    cdef Py_ssize_t start = w.at + 1, i, size
    if w.at >= w.size or w.data[w.at] != 34 or keys.count == MANY_KEYS:
        return False
    size = simple_string(w)
    if size < 0:
        return False
    for i in range(keys.count):
        if keys.seen[i].end != size:
            continue
        if memcmp(w.data + keys.seen[i].start, w.data + start, size) == 0:
            return False
    keys.seen[keys.count].start = start
    keys.seen[keys.count].end = size
    keys.key = keys.seen[keys.count]
    keys.count += 1
    skip_space(w)
    if w.at >= w.size or w.data[w.at] != 58:
        return False
    w.at += 1
    skip_space(w)
    return w.at < w.size


cdef inline bint named(Walk *w, Keys *keys, const char *name, Py_ssize_t size) noexcept nogil:
    return keys.key.end == size and memcmp(w.data + keys.key.start, name, size) == 0


cdef inline int plain_more(Walk *w) noexcept nogil:
    """Step over what follows a member: 1 when another comes, 0 at the end, -1 when neither."""
    skip_space(w)
    if w.at >= w.size:
        return -1
    w.at += 1
    if w.data[w.at - 1] == 125:
        return 0
    if w.data[w.at - 1] != 44:
        return -1
    skip_space(w)
    return 1


cdef inline bint plain_open(Walk *w) noexcept nogil:
    """Step into an object; False when it is empty, and stepped over."""
    w.at += 1
    skip_space(w)
    if w.at < w.size and w.data[w.at] == 125:
        w.at += 1
        return False
    return True


cdef inline bint plain_meta(Walk *w, Plain *p) noexcept nogil:
    cdef Keys keys
    cdef Span *target
    cdef int more
    keys.count = 0
    if not plain_open(w):
        return True
    while True:
        if not plain_key(w, &keys):
            return False
        target = NULL
        if named(w, &keys, b"io.modelcontextprotocol/protocolVersion", 39):
            target = &p.version
        elif named(w, &keys, b"io.modelcontextprotocol/clientCapabilities", 42):
            target = &p.capabilities
        elif named(w, &keys, b"progressToken", 13):
            target = &p.token
        if not plain_value(w, target, 3):
            return False
        more = plain_more(w)
        if more < 1:
            return more == 0


cdef inline bint plain_value(Walk *w, Span *target, int depth) noexcept nogil:
    cdef Py_ssize_t start = w.at
    if not skip_value(w, depth):
        return False
    if target != NULL:
        target.start = start
        target.end = w.at
    return True


cdef inline bint plain_params(Walk *w, Plain *p) noexcept nogil:
    cdef Keys keys
    cdef Span *target
    cdef Py_ssize_t start
    cdef int more
    keys.count = 0
    if not plain_open(w):
        return True
    while True:
        if not plain_key(w, &keys):
            return False
        target = NULL
        start = w.at
        if named(w, &keys, b"_meta", 5) and w.data[w.at] == 123:
            if not plain_meta(w, p):
                return False
            p.meta.start = start
            p.meta.end = w.at
        else:
            if named(w, &keys, b"name", 4):
                target = &p.name
            elif named(w, &keys, b"uri", 3):
                target = &p.uri
            elif not named(w, &keys, b"arguments", 9):
                p.has_more = True
            if not plain_value(w, target, 2):
                return False
        more = plain_more(w)
        if more < 1:
            return more == 0


cdef inline bint plain_result(Walk *w, Plain *p) noexcept nogil:
    cdef Keys keys
    cdef Span *target
    cdef int more
    keys.count = 0
    if not plain_open(w):
        return True
    while True:
        if not plain_key(w, &keys):
            return False
        target = &p.result_type if named(w, &keys, b"resultType", 10) else NULL
        if not plain_value(w, target, 2):
            return False
        more = plain_more(w)
        if more < 1:
            return more == 0


cdef inline bint plain_member(Walk *w, Keys *keys, Plain *p) noexcept nogil:
    """Take the value of one member of the message."""
    cdef Py_ssize_t start = w.at
    cdef Span *target = NULL
    cdef bint entered = False
    if named(w, keys, b"jsonrpc", 7):
        if not plain_value(w, NULL, 1):
            return False
        p.versioned = w.at - start == 5 and memcmp(w.data + start, b'"2.0"', 5) == 0
        return True
    if named(w, keys, b"params", 6):
        target = &p.params
        entered = w.data[w.at] == 123
        if entered and not plain_params(w, p):
            return False
    elif named(w, keys, b"result", 6):
        target = &p.result
        entered = w.data[w.at] == 123
        if entered and not plain_result(w, p):
            return False
    elif named(w, keys, b"id", 2):
        target = &p.id
    elif named(w, keys, b"method", 6):
        target = &p.method
    elif named(w, keys, b"error", 5):
        target = &p.error
    if not entered:
        return plain_value(w, target, 1)
    target.start = start
    target.end = w.at
    return True


cdef inline bint plain_top(Walk *w, Plain *p) noexcept nogil:
    """Walk the message at `at`, which stands on its bracket."""
    cdef Keys keys
    cdef int more
    keys.count = 0
    if not plain_open(w):
        return False
    while True:
        if not plain_key(w, &keys) or not plain_member(w, &keys, p):
            return False
        more = plain_more(w)
        if more < 1:
            return more == 0
