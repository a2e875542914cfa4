"""The compiled twin of `json_scan_py`: one pass over the bytes validates and notes the spans.

The walk keeps its own stack of open brackets (a bit each), so that hostile nesting costs no C
stack. Everything here is bytes in, offsets out; the meaning of each field stands in the pure twin.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memcmp

from json.decoder import scanstring

from only1mcp.errors import InvalidRequest, ParseError

REQUEST, NOTIFICATION, RESPONSE, BATCH = 1, 2, 3, 4
cdef enum:
    DEPTH_LIMIT = 128
MAX_DEPTH = DEPTH_LIMIT

cdef class Envelope:
    """Where the parts of one message stand in its bytes. Spans are byte offsets; 0, 0 is absent."""

    cdef readonly bytes body
    cdef readonly int kind
    cdef readonly bytes id
    cdef readonly str method, name, uri, version, result_type
    cdef readonly Py_ssize_t params_start, params_end, name_start, name_end
    cdef readonly Py_ssize_t meta_start, meta_end, version_start
    cdef readonly Py_ssize_t capabilities_start, capabilities_end, token_start, token_end
    cdef readonly Py_ssize_t result_start, result_end, error_start, error_end

    def __init__(self, bytes body not None):
        self.body = body


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


cdef int hex4(Walk *w, Py_ssize_t at) noexcept nogil:
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


cdef bint skip_escape(Walk *w) noexcept nogil:
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


cdef bint skip_string(Walk *w) noexcept nogil:
    """Step over the string at `at`, which stands on its first quote."""
    cdef unsigned char c
    w.at += 1
    while w.at < w.size:
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


cdef inline bint skip_digits(Walk *w) noexcept nogil:
    cdef Py_ssize_t start = w.at
    while w.at < w.size and 48 <= w.data[w.at] <= 57:
        w.at += 1
    return w.at > start


cdef bint skip_number(Walk *w) noexcept nogil:
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


cdef bint skip_word(Walk *w, const char *word, Py_ssize_t length) noexcept nogil:
    if w.at + length > w.size or memcmp(w.data + w.at, word, length) != 0:
        w.problem = b"a value is expected"
        return False
    w.at += length
    return True


cdef bint skip_scalar(Walk *w) noexcept nogil:
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


cdef bint skip_key(Walk *w) noexcept nogil:
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


cdef bint skip_value(Walk *w, int depth) noexcept nogil:
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


cdef object failed(Walk *w):
    return ParseError(f"invalid JSON: {w.problem.decode()} at offset {w.at}")


cdef str text_of(Walk *w, Py_ssize_t start, Py_ssize_t end):
    """Decode the string token of this span; None when the value is not a string."""
    cdef Py_ssize_t i
    if w.data[start] != 34:
        return None
    for i in range(start + 1, end - 1):
        if w.data[i] == 92:
            return scanstring(w.data[start:end].decode(), 1, True)[0]
    return PyUnicode_DecodeUTF8(<const char *>w.data + start + 1, end - start - 2, NULL)


cdef class Members:
    """Walks the members of one object: after each `step`, the key and the value's span."""

    cdef Walk *w
    cdef int depth
    cdef bint begun
    cdef str path
    cdef set seen
    cdef const unsigned char *key
    cdef Py_ssize_t key_size
    cdef Py_ssize_t start, end

    cdef bint step(self, bint enter) except -1:
        """Go to the next member and, unless `enter`, over its value; False at the end."""
        cdef Walk *w = self.w
        cdef Py_ssize_t key_start
        if not self.begun:
            self.begun = True
            w.at += 1
            skip_space(w)
            if w.at < w.size and w.data[w.at] == 125:
                w.at += 1
                return False
        else:
            skip_space(w)
            if w.at >= w.size:
                w.problem = b"a bracket does not close"
                raise failed(w)
            if w.data[w.at] == 125:
                w.at += 1
                return False
            if w.data[w.at] != 44:
                w.problem = b"',' or a closing bracket is expected"
                raise failed(w)
            w.at += 1
            skip_space(w)
        key_start = w.at
        if not skip_key(w):
            raise failed(w)
        self.read_key(key_start)
        self.start = w.at
        if not enter:
            self.skip()
        return True

    cdef int skip(self) except -1:
        if not skip_value(self.w, self.depth):
            raise failed(self.w)
        self.end = self.w.at
        return 0

    cdef int read_key(self, Py_ssize_t key_start) except -1:
        cdef Walk *w = self.w
        cdef Py_ssize_t end = w.at
        while w.data[end - 1] != 34:
            end -= 1
        cdef str key = text_of(w, key_start, end)
        if self.seen is not None:
            if key in self.seen:
                self.repeated = key if self.repeated is None else self.repeated
            self.seen.add(key)
        self.name = key
        return 0

    cdef str name
    cdef str repeated

    cdef int check(self) except -1:
        if self.repeated is not None:
            raise InvalidRequest(f'the key "{self.path}{self.repeated}" stands twice')
        return 0


cdef Members open_object(Walk *w, int depth, str path):
    cdef Members members = Members.__new__(Members)
    members.w = w
    members.depth = depth
    members.path = path
    members.seen = set()
    return members


cdef bint is_integer(const unsigned char *p, Py_ssize_t size) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(size):
        if not (48 <= p[i] <= 57 or (i == 0 and p[i] == 45)):
            return False
    return True


def scan(bytes body not None):
    """Validate one JSON-RPC message and note where its parts stand.

    Raises:
        ParseError: the body is not JSON in UTF-8, or is nested deeper than `MAX_DEPTH`.
        InvalidRequest: it is JSON, but not one JSON-RPC 2.0 message, or repeats a key that matters.
    """
    cdef Walk w
    w.data = <const unsigned char *>PyBytes_AS_STRING(body)
    w.size = PyBytes_GET_SIZE(body)
    w.at = 0
    w.problem = NULL
    w.wide = False
    cdef Py_ssize_t start
    skip_space(&w)
    start = w.at
    if not skip_value(&w, 0):
        raise failed(&w)
    skip_space(&w)
    if w.at != w.size:
        w.problem = b"unexpected data after the value"
        raise failed(&w)
    if w.wide:
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise ParseError(f"invalid JSON: not UTF-8 at offset {error.start}") from None
    cdef Envelope envelope = Envelope(body)
    if w.data[start] == 91:
        envelope.kind = 4
        return envelope
    if w.data[start] != 123:
        raise InvalidRequest("a JSON-RPC message must be an object")
    w.at = start
    read_envelope(envelope, &w)
    return envelope


cdef int read_envelope(Envelope envelope, Walk *w) except -1:
    cdef Members top = open_object(w, 1, "")
    cdef bint versioned = False, has_id = False, has_method = False
    cdef Py_ssize_t id_start = 0, id_end = 0, method_start = 0, method_end = 0
    cdef Py_ssize_t params_start = 0, params_end = 0
    while top.step(False):
        if top.name == "jsonrpc":
            versioned = top.end - top.start == 5 and memcmp(w.data + top.start, b'"2.0"', 5) == 0
        elif top.name == "id":
            has_id = True
            id_start, id_end = top.start, top.end
        elif top.name == "method":
            has_method = True
            method_start, method_end = top.start, top.end
        elif top.name == "params":
            params_start, params_end = top.start, top.end
        elif top.name == "result":
            envelope.result_start, envelope.result_end = top.start, top.end
        elif top.name == "error":
            envelope.error_start, envelope.error_end = top.start, top.end
    top.check()
    if not versioned:
        raise InvalidRequest('"jsonrpc" must be "2.0"')
    if has_id:
        read_id(envelope, w, id_start, id_end, has_method)
    if not has_method:
        if not has_id or (envelope.result_start > 0) == (envelope.error_start > 0):
            raise InvalidRequest('"method" is missing')
        envelope.kind = 3
        read_result(envelope, w)
        return 0
    envelope.result_start = envelope.result_end = envelope.error_start = envelope.error_end = 0
    envelope.method = text_of(w, method_start, method_end)
    if envelope.method is None:
        raise InvalidRequest('"method" must be a string')
    envelope.kind = 1 if has_id else 2
    if params_end:
        if w.data[params_start] != 123:
            raise InvalidRequest('"params" must be an object')
        envelope.params_start, envelope.params_end = params_start, params_end
        read_params(envelope, w)
    return 0


cdef int read_id(Envelope envelope, Walk *w, Py_ssize_t start, Py_ssize_t end,
                 bint is_call) except -1:
    if w.data[start] == 34 or is_integer(w.data + start, end - start):
        envelope.id = w.data[start:end]
    elif is_call or end - start != 4 or w.data[start] != 110:
        raise InvalidRequest('"id" must be a string or an integer')
    return 0


cdef int read_result(Envelope envelope, Walk *w) except -1:
    if not envelope.result_start or w.data[envelope.result_start] != 123:
        return 0
    w.at = envelope.result_start
    cdef Members result = open_object(w, 2, "result.")
    while result.step(False):
        if result.name == "resultType":
            envelope.result_type = text_of(w, result.start, result.end)
    return result.check()


cdef int read_params(Envelope envelope, Walk *w) except -1:
    w.at = envelope.params_start
    cdef Members params = open_object(w, 2, "params.")
    cdef Py_ssize_t meta_start = 0, meta_end = 0
    while params.step(False):
        if params.name == "name":
            envelope.name = text_of(w, params.start, params.end)
            envelope.name_start, envelope.name_end = params.start, params.end
        elif params.name == "uri":
            envelope.uri = text_of(w, params.start, params.end)
        elif params.name == "_meta" and w.data[params.start] == 123:
            meta_start, meta_end = params.start, params.end
    params.check()
    if meta_end:
        envelope.meta_start, envelope.meta_end = meta_start, meta_end
        read_meta(envelope, w)
    return 0


cdef int read_meta(Envelope envelope, Walk *w) except -1:
    w.at = envelope.meta_start
    cdef Members meta = open_object(w, 3, "params._meta.")
    while meta.step(False):
        if meta.name == "io.modelcontextprotocol/protocolVersion":
            envelope.version = text_of(w, meta.start, meta.end)
            envelope.version_start = meta.start
        elif meta.name == "io.modelcontextprotocol/clientCapabilities":
            if w.data[meta.start] == 123:
                envelope.capabilities_start, envelope.capabilities_end = meta.start, meta.end
        elif meta.name == "progressToken":
            envelope.token_start, envelope.token_end = meta.start, meta.end
    return meta.check()


cdef int begin(Walk *w, bytes data, Py_ssize_t start) except -1:
    w.data = <const unsigned char *>PyBytes_AS_STRING(data)
    w.size = PyBytes_GET_SIZE(data)
    w.at = start
    w.problem = NULL
    w.wide = False
    skip_space(w)
    return 0


def members(bytes data not None, Py_ssize_t start=0):
    """Return (key, start, end) of each member of the JSON object at `start`, in byte offsets.

    Raises:
        ParseError: there is no valid object at `start`.
    """
    cdef Walk w
    begin(&w, data, start)
    if w.at >= w.size or w.data[w.at] != 123:
        raise ParseError(f"invalid JSON: an object is expected at offset {start}")
    cdef Members found = open_object(&w, 1, "")
    found.seen = None
    cdef list result = []
    while found.step(False):
        result.append((found.name, found.start, found.end))
    return result


def elements(bytes data not None, Py_ssize_t start=0):
    """Return the span of each element of the JSON array at `start`, in byte offsets.

    Raises:
        ParseError: there is no valid array at `start`.
    """
    cdef Walk w
    cdef Py_ssize_t first
    begin(&w, data, start)
    if w.at >= w.size or w.data[w.at] != 91:
        raise ParseError(f"invalid JSON: an array is expected at offset {start}")
    cdef list result = []
    w.at += 1
    skip_space(&w)
    if w.at < w.size and w.data[w.at] == 93:
        return result
    while True:
        first = w.at
        if not skip_value(&w, 1):
            raise failed(&w)
        result.append((first, w.at))
        skip_space(&w)
        if w.at < w.size and w.data[w.at] == 93:
            return result
        if w.at >= w.size or w.data[w.at] != 44:
            w.problem = b"',' or ']' is expected"
            raise failed(&w)
        w.at += 1
        skip_space(&w)
