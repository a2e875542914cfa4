# Comparisons of a request's bytes with what is known, and pieces of it, inlined into front_c.
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcmp

from only1mcp._speedups.http_head cimport Span
from only1mcp._speedups.json_scan_c cimport Envelope

cdef enum:
    LONGEST_KEY = 1024      # of what plans and sessions are remembered by, or they fill the memory

cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(str text)
    const char *PyUnicode_AsUTF8AndSize(str text, Py_ssize_t *size) except NULL

cdef extern from "<string.h>" nogil:
    void *memmem(const void *data, size_t size, const void *wanted, size_t length)


cdef inline bint holds(bytes body, Py_ssize_t start, Py_ssize_t end, const char *word,
                       Py_ssize_t length) noexcept:
    """Say whether a word stands anywhere in a part of a body."""
    return memmem(PyBytes_AS_STRING(body) + start, end - start, word, length) != NULL


cdef inline bint says(const unsigned char *data, Py_ssize_t size, str text) except -1:
    """Compare with a text; one with half characters equals nothing."""
    cdef Py_ssize_t length
    cdef const char *found
    if not PyUnicode_IS_ASCII(text):
        return False
    found = PyUnicode_AsUTF8AndSize(text, &length)
    return size == length and memcmp(data, found, size) == 0


cdef inline bint is_secret(const unsigned char *data, Py_ssize_t size, bytes secret) noexcept:
    """Compare with a secret, in a time that says nothing of where they differ."""
    cdef const unsigned char *known = <const unsigned char *>PyBytes_AS_STRING(secret)
    cdef unsigned char differs = 0
    cdef Py_ssize_t i
    if size != PyBytes_GET_SIZE(secret):
        return False
    for i in range(size):
        differs |= data[i] ^ known[i]
    return not differs


cdef inline bint equal(const unsigned char *data, Py_ssize_t size, bytes text) noexcept:
    return size == PyBytes_GET_SIZE(text) and memcmp(data, PyBytes_AS_STRING(text), size) == 0


cdef inline bytes cut(const unsigned char *data, Span *span):
    return PyBytes_FromStringAndSize(<const char *>data + span.start, span.end - span.start)


cdef inline bytes again(bytes last, const unsigned char *data, Py_ssize_t size):
    """Return bytes as an object: the last one, if it is equal, for its hash is known already."""
    if last is not None and equal(data, size, last):
        return last
    return PyBytes_FromStringAndSize(<const char *>data, size)


cdef inline bint is_simple(Envelope envelope):
    """Say whether a request is written so that nothing about it is hidden, or too long to keep."""
    if not envelope.is_plain or len(envelope.method) > LONGEST_KEY:
        return False
    return envelope.capabilities_end - envelope.capabilities_start < LONGEST_KEY


cdef inline bint names_level(Envelope envelope) noexcept:
    """Say whether a request wants log messages; its level is yet to be checked."""
    return holds(envelope.body, envelope.meta_start, envelope.meta_end, b"logLevel", 8)
