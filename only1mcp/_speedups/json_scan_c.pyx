"""The compiled twin of `json_scan_py`: one pass over the bytes validates and notes the spans.

The steps of the walk stand in `json_walk.pxd`. Everything here is bytes in, offsets out; the
meaning of each field stands in the pure twin.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.string cimport memchr, memcmp, memset
from only1mcp._speedups.json_plain cimport Plain, Span, plain_top
from only1mcp._speedups.json_walk cimport DEPTH_LIMIT, Walk, skip_key, skip_space, skip_value

from json.decoder import scanstring

from only1mcp.errors import InvalidRequest, ParseError

REQUEST, NOTIFICATION, RESPONSE, BATCH = 1, 2, 3, 4
MAX_DEPTH = DEPTH_LIMIT

cdef class Envelope:
    """Where the parts of one message stand in its bytes. Spans are byte offsets; 0, 0 is absent."""

    def __init__(self, bytes body not None):
        self.body = body


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


cpdef Envelope scan(bytes body):
    """Validate one JSON-RPC message and note where its parts stand.

    Raises:
        ParseError: the body is not JSON in UTF-8, or is nested deeper than `MAX_DEPTH`.
        InvalidRequest: it is JSON, but not one JSON-RPC 2.0 message, or repeats a key that matters.
    """
    if body is None:
        raise TypeError("a message must be bytes")
    cdef Envelope envelope = Envelope.__new__(Envelope)
    envelope.body = body
    if not scan_plain(envelope):
        envelope = scan_slowly(body)
    return envelope


cdef bint scan_plain(Envelope envelope) except -1:
    """Scan in one pass what is written plainly; False when another look is needed.

    Plain: no escapes in keys and names, few keys, nothing repeated, no errors. Whatever is not gets
    its verdict from `scan_slowly`, so that each rule and each error stands in one place.
    """
    cdef Walk w
    cdef bytes body = envelope.body
    cdef Plain plain
    w.data = <const unsigned char *>PyBytes_AS_STRING(body)
    w.size = PyBytes_GET_SIZE(body)
    w.at = 0
    w.problem = NULL
    w.wide = False
    memset(&plain, 0, sizeof(plain))
    skip_space(&w)
    if w.at >= w.size or w.data[w.at] != 123 or not plain_top(&w, &plain):
        return False
    skip_space(&w)
    if w.at != w.size or not plain.versioned:
        return False
    if w.wide:
        if not is_utf8(body):
            return False
    return note_plain(envelope, &w, &plain)


cdef bint is_utf8(bytes body):
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


cdef bint note_plain(Envelope envelope, Walk *w, Plain *p) except -1:
    """Write down what a plain message holds; False when it is none of ours."""
    cdef const char *data = <const char *>w.data
    if p.id.end:
        if data[p.id.start] != 34 and not is_integer(w.data + p.id.start, p.id.end - p.id.start):
            return False
        envelope.id = PyBytes_FromStringAndSize(data + p.id.start, p.id.end - p.id.start)
    if p.method.end:
        if p.result.end or p.error.end or (p.params.end and data[p.params.start] != 123):
            return False
        envelope.kind = 1 if p.id.end else 2
        envelope.method = plain_text(w, &p.method)
        envelope.params_start, envelope.params_end = p.params.start, p.params.end
        if p.name.end:
            envelope.name_start, envelope.name_end = p.name.start, p.name.end
            envelope.name = plain_text(w, &p.name)
        if p.uri.end:
            envelope.uri = plain_text(w, &p.uri)
        envelope.meta_start, envelope.meta_end = p.meta.start, p.meta.end
        if p.version.end:
            envelope.version_start = p.version.start
            envelope.version = plain_text(w, &p.version)
        if p.capabilities.end and data[p.capabilities.start] == 123:
            envelope.capabilities_start = p.capabilities.start
            envelope.capabilities_end = p.capabilities.end
        envelope.token_start, envelope.token_end = p.token.start, p.token.end
        return envelope.method is not None
    if not p.id.end or (p.result.end > 0) == (p.error.end > 0):
        return False
    envelope.kind = 3
    envelope.result_start, envelope.result_end = p.result.start, p.result.end
    envelope.error_start, envelope.error_end = p.error.start, p.error.end
    if p.result_type.end:
        envelope.result_type = plain_text(w, &p.result_type)
    return True


cdef str plain_text(Walk *w, Span *span):
    """Decode a string without escapes; None when the value is not a string."""
    cdef const char *data = <const char *>w.data
    if data[span.start] != 34:
        return None
    if memchr(data + span.start, 92, span.end - span.start) != NULL:
        return text_of(w, span.start, span.end)
    return PyUnicode_DecodeUTF8(data + span.start + 1, span.end - span.start - 2, NULL)


def scan_slowly(bytes body not None):
    """Scan with every rule, and say what is wrong."""
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
