# Steps of reading bodies of HTTP/1.1: chunks and events.


cdef inline Py_ssize_t line_end(const unsigned char *data, Py_ssize_t size,
                                Py_ssize_t at) noexcept nogil:
    """Return where the line at `at` ends with CRLF; -1 when it does not (yet)."""
    cdef Py_ssize_t p = at
    while p + 1 < size:
        if data[p] == 13 and data[p + 1] == 10:
            return p
        p += 1
    return -1


cdef inline Py_ssize_t hexadecimal(const unsigned char *data, Py_ssize_t size) noexcept nogil:
    """Read a chunk's size; -1 when it is none, or has extensions."""
    cdef Py_ssize_t value = 0, i
    cdef unsigned char c
    if size < 1 or size > 7:
        return -1
    for i in range(size):
        c = data[i]
        if 48 <= c <= 57:
            c -= 48
        elif 97 <= (c | 32) <= 102:
            c = (c | 32) - 87
        else:
            return -1
        value = value * 16 + c
    return value


cdef inline Py_ssize_t event_end(const unsigned char *data, Py_ssize_t size) noexcept nogil:
    """Return where the first event ends, its empty line included; -1 when it does not (yet)."""
    cdef Py_ssize_t p = 0, start
    while p < size:
        start = p
        while p < size and data[p] != 10 and data[p] != 13:
            p += 1
        if p >= size or (data[p] == 13 and p + 1 >= size):
            return -1
        p += 2 if data[p] == 13 and data[p + 1] == 10 else 1
        if data[start] == 10 or data[start] == 13:
            return p
    return -1


cdef inline bytes event_data(bytes event):
    """Return the data of one event; empty when it is none of ours."""
    cdef list found = []
    for line in event.splitlines():
        if line.startswith(b"data:"):
            found.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"event:") and line[6:].strip() != b"message":
            return b""
    return b"\n".join(found)
