"""Reads the parameters of a Priority field, or of a PRIORITY_UPDATE frame.

Compiled because the codec's types are.
"""


cdef bint is_key_byte(char c) noexcept:
    return c'a' <= c <= c'z' or c'0' <= c <= c'9' or c in (c'_', c'-', c'.', c'*')


cdef Py_ssize_t item_end(const char* value, Py_ssize_t size, Py_ssize_t at) noexcept:
    """The end of an item or inner list with its parameters: the next comma outside of quotes and parentheses."""
    cdef bint quoted = False
    cdef int depth = 0
    while at < size:
        if quoted:
            if value[at] == c'\\':
                at += 1
            elif value[at] == c'"':
                quoted = False
        elif value[at] == c'"':
            quoted = True
        elif value[at] == c'(':
            depth += 1
        elif value[at] == c')':
            depth -= 1
        elif value[at] == c',' and depth <= 0:
            break
        at += 1
    # An escape at the very end skips one byte too many.
    return min(at, size)


cdef void parse_member(
    const char* key, Py_ssize_t key_size, const char* item, Py_ssize_t size, Priority* priority
) noexcept:
    """Applies `u` and `i`. Unknown keys, and values of another type or out of range, are ignored (section 4)."""
    cdef Py_ssize_t end = 0
    # Parameters of the item have no meaning.
    while end < size and item[end] != c';':
        end += 1
    while end and item[end - 1] in (c' ', c'\t'):
        end -= 1
    if key_size != 1:
        return
    if key[0] == c'u' and end == 1 and c'0' <= item[0] <= c'7':
        priority.urgency = <unsigned char>(item[0] - c'0')
    elif key[0] == c'i' and item == NULL:
        # A key alone is true (RFC 9651 section 3.2).
        priority.incremental = True
    elif key[0] == c'i' and end == 2 and item[0] == c'?' and item[1] in (c'0', c'1'):
        priority.incremental = item[1] == c'1'


cdef void parse_priority(const char* value, Py_ssize_t size, Priority* priority) noexcept:
    """A dictionary of structured fields (RFC 9651 section 3.2), as far as its two keys need it."""
    cdef Priority parsed = priority[0]
    cdef Py_ssize_t at = 0, key, end
    if size > MAX_PRIORITY_BYTES:
        return
    while at < size:
        while at < size and value[at] in (c' ', c'\t', c','):
            at += 1
        key = at
        while at < size and is_key_byte(value[at]):
            at += 1
        if at == key:
            if at < size:
                # Not a dictionary: the whole value counts as absent.
                return
            break
        if at < size and value[at] == c'=':
            end = item_end(value, size, at + 1)
            parse_member(value + key, at - key, value + at + 1, end - at - 1, &parsed)
        else:
            end = item_end(value, size, at)
            parse_member(value + key, at - key, NULL, 0, &parsed)
        at = end
    priority[0] = parsed
