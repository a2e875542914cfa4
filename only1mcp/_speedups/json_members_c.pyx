"""The members of one JSON object and the elements of one array, where they stand in the bytes."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from only1mcp._speedups.json_walk cimport Walk, skip_key, skip_space, skip_value

from json.decoder import scanstring

from only1mcp.errors import InvalidRequest, ParseError


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


def elements(bytes data not None, Py_ssize_t start=0, Py_ssize_t most=0):
    """Return the span of each element of the JSON array at `start`, in byte offsets.

    After `most` of them it looks no further; 0 for all.

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
        if len(result) == most:
            return result
        skip_space(&w)
        if w.at < w.size and w.data[w.at] == 93:
            return result
        if w.at >= w.size or w.data[w.at] != 44:
            w.problem = b"',' or ']' is expected"
            raise failed(&w)
        w.at += 1
        skip_space(&w)
