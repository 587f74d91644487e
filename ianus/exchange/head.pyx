"""Checks of response heads: the one place where application output becomes fields.

Rules: names are tokens and values have no CR, LF, NUL or other control character, so nothing can split a response
(CVE-2018-1000164, CVE-2020-7695); framing and connection belong to the server, so hop-by-hop fields are dropped
(RFC 9110 section 7.6.1).

Compiled because every response passes here.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_CheckExact
from libc.stdlib cimport free, malloc

from ianus.codec.base cimport Codec
from ianus.codec.fields cimport (
    CONNECTION, CONTENT_LENGTH, DATE, HOP_BY_HOP, KNOWN_SIZE, OTHER, SERVER, TOKEN, TRANSFER_ENCODING, UPGRADE,
    Field, FieldId, find_name, has_token, is_field_value,
)
from ianus.exchange.service cimport Service


cdef enum:
    ON_STACK = 64       # fields that need no allocation


cdef object build_head(Service service, Codec codec, int status, object headers, ResponseFacts* facts):
    cdef Field on_stack[ON_STACK]
    cdef Field* fields = on_stack
    cdef Py_ssize_t room
    # A copy: pointers into its items stay valid whatever application code does to the original meanwhile.
    headers = tuple(headers)
    room = len(headers) + len(service.headers) + 2
    if room > ON_STACK:
        fields = <Field*>malloc(room * sizeof(Field))
        if fields == NULL:
            raise MemoryError
    try:
        return fill_head(service, codec, status, headers, facts, fields)
    finally:
        if fields != on_stack:
            free(fields)


cdef object fill_head(
    Service service, Codec codec, int status, object headers, ResponseFacts* facts, Field* fields
):
    """Fills fields, whose pointers are into objects that `headers`, `kept` and `service` hold meanwhile."""
    cdef list kept = []
    cdef Py_ssize_t n = 0
    cdef bint has_date = not service.date_header, has_server = not service.server_header
    cdef object pair, name, value
    cdef FieldId field_id
    cdef bytes date
    facts.content_length = -1
    facts.close = False

    for pair in headers:
        if not PyTuple_CheckExact(pair):
            pair = tuple(pair)
            kept.append(pair)
        if len(pair) != 2:
            raise ValueError("a response header is a pair of name and value")
        name = pair[0]
        value = pair[1]
        if not PyBytes_CheckExact(name) or not PyBytes_CheckExact(value):
            name = as_bytes(name)
            value = as_bytes(value)
            kept.append((name, value))
        field_id = classify(<bytes>name)
        if not is_field_value(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value)):
            raise ValueError(f"response header {name!r} has a control character in its value {value!r}")

        if field_id == CONTENT_LENGTH:
            if facts.content_length >= 0:
                raise ValueError("response has more than one content-length")
            facts.content_length = declared_length(<bytes>value)
            if status == 204:
                # RFC 9110 section 8.6: none in a 204.
                continue
        elif field_id == CONNECTION and has_token(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), b"close", 5):
            facts.close = True
            continue
        elif field_id == DATE:
            has_date = True
        elif field_id == SERVER:
            has_server = True
        elif field_id in (CONNECTION, TRANSFER_ENCODING, HOP_BY_HOP, UPGRADE):
            service.warn_once(
                f"dropped hop-by-hop response header {(<bytes>name).decode('ascii').lower()!r}: "
                "the server frames messages and manages connections itself"
            )
            continue
        set_field(fields + n, <bytes>name, <bytes>value)
        n += 1

    for pair in service.headers:
        set_field(fields + n, <bytes>pair[0], <bytes>pair[1])
        n += 1
    if not has_date:
        date = service.date_value()
        fields[n] = Field(b"date", 4, PyBytes_AS_STRING(date), PyBytes_GET_SIZE(date))
        n += 1
    if not has_server:
        fields[n] = Field(b"server", 6, b"ianus", 5)
        n += 1
    return codec.prepare_head(status, fields, n)


cdef inline void set_field(Field* field, bytes name, bytes value) noexcept:
    field.name = PyBytes_AS_STRING(name)
    field.name_size = PyBytes_GET_SIZE(name)
    field.value = PyBytes_AS_STRING(value)
    field.value_size = PyBytes_GET_SIZE(value)


cdef FieldId classify(bytes name) except *:
    """The id of a name in any case. Raises ValueError when it is not a token."""
    cdef char lowered[KNOWN_SIZE]
    cdef const char* text = PyBytes_AS_STRING(name)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(name), i
    cdef unsigned char c
    cdef PyObject* shared
    for i in range(size):
        c = TOKEN[<unsigned char>text[i]]
        if c == 0:
            raise ValueError(f"response header name {name!r} is not a token")
        if i < KNOWN_SIZE:
            lowered[i] = <char>c
    if size == 0:
        raise ValueError("empty response header name")
    if size > KNOWN_SIZE:
        return OTHER
    return find_name(lowered, size, &shared)


cdef bytes as_bytes(object part):
    if isinstance(part, (bytes, bytearray, memoryview)):
        return bytes(part)
    raise TypeError(f"response header names and values are bytes, not {type(part).__name__}: {part!r}")


cdef long long declared_length(bytes value) except -2:
    if not value.isdigit() or len(value) > 18:
        raise ValueError(f"response content-length {value!r} is not a number of bytes")
    return int(value)
