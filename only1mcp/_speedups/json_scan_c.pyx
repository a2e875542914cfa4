"""The compiled twin of `json_scan_py`: one pass over the bytes validates and notes the spans.

The steps of the walk stand in `json_walk.pxd`. Everything here is bytes in, offsets out; the
meaning of each field stands in the pure twin.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8, PyUnicode_GET_LENGTH
from libc.string cimport memchr, memcmp, memset
from only1mcp._speedups.json_members_c cimport Members, failed, open_object, text_of
from only1mcp._speedups.json_plain cimport Plain, Span, plain_top
from only1mcp._speedups.json_walk cimport DEPTH_LIMIT, Walk, skip_space, skip_value

from only1mcp._speedups.json_members_c import elements, members  # no-cython-lint
from only1mcp.errors import InvalidRequest, ParseError

REQUEST, NOTIFICATION, RESPONSE, BATCH = 1, 2, 3, 4
cdef str CALL = "tools/call", NEWEST = "2026-07-28", COMPLETE = "complete"
MAX_DEPTH = DEPTH_LIMIT

cdef extern from "Python.h":
    const void *PyUnicode_DATA(str text)


@cython.freelist(64)
cdef class Envelope:
    """Where the parts of one message stand in its bytes. Spans are byte offsets; 0, 0 is absent."""

    def __init__(self, bytes body not None):
        self.body = body


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
    if scan_plain(envelope):
        envelope.is_plain = True
        return envelope
    return scan_slowly(body)


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
        envelope.method = usual_text(w, &p.method, CALL)
        envelope.params_start, envelope.params_end = p.params.start, p.params.end
        envelope.has_more = p.has_more
        if p.name.end:
            envelope.name_start, envelope.name_end = p.name.start, p.name.end
            envelope.name = plain_text(w, &p.name)
        if p.uri.end:
            envelope.uri = plain_text(w, &p.uri)
        envelope.meta_start, envelope.meta_end = p.meta.start, p.meta.end
        if p.version.end:
            envelope.version_start = p.version.start
            envelope.version = usual_text(w, &p.version, NEWEST)
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
        envelope.result_type = usual_text(w, &p.result_type, COMPLETE)
    return True


cdef str usual_text(Walk *w, Span *span, str usual):
    """Decode a string that is nearly always the same, in ASCII; None when it is not a string."""
    cdef Py_ssize_t size = span.end - span.start - 2
    if size == PyUnicode_GET_LENGTH(usual) and w.data[span.start] == 34:
        if memcmp(w.data + span.start + 1, PyUnicode_DATA(usual), size) == 0:
            return usual
    return plain_text(w, span)


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
