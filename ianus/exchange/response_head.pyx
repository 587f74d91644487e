"""Checks of response heads, early hints and trailers: the one place where application output becomes fields.

Rules: names are tokens and values have no CR, LF, NUL or other control character, so nothing can split a response
(CVE-2018-1000164, CVE-2020-7695); framing and connection belong to the server, so hop-by-hop fields are dropped
(RFC 9110 section 7.6.1).

Compiled because every response passes here: 80 instructions for ASGI hello, 900 for a head that does not repeat.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_CheckExact
from cpython.unicode cimport (
    PyUnicode_1BYTE_DATA, PyUnicode_1BYTE_KIND, PyUnicode_Check, PyUnicode_DecodeLatin1, PyUnicode_GET_LENGTH,
    PyUnicode_KIND,
)
from libc.stdlib cimport free, malloc
from posix.strings cimport strncasecmp

from ianus.codec.base cimport HeadEncoder
from ianus.codec.fields cimport (
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE,
    DATE, HOP_BY_HOP, MAX_KNOWN_NAME_BYTES, OTHER, SERVER, TOKEN, TRANSFER_ENCODING, UPGRADE,
    Field, FieldId, find_name, has_token, is_field_value,
)
from ianus.codec.header_rules cimport may_be_response_trailer
from ianus.exchange.base cimport ExchangeHost
from ianus.exchange.head_cache cimport CachedHead, fingerprint_of
from ianus.exchange.service cimport Service


cdef enum:
    STACK_FIELDS = 64   # fields that need no allocation


cdef object build_head(
    Service service, HeadEncoder encoder, int status, bytes reason, object headers, bint native, bytes request_id,
    bint trailers, str application, ResponseFacts* facts,
):
    cdef CachedHead cached
    cdef bytes date = service.date_value() if service.date_header else None
    # A request id makes each head another one.
    cdef size_t fingerprint = fingerprint_of(status, headers, native) if request_id is None else 0
    if fingerprint:
        cached = service.heads.find(fingerprint, encoder, status, reason, headers, native, trailers, date)
        if cached is not None:
            facts.content_length = cached.content_length
            facts.close = cached.close
            facts.is_event_stream = cached.is_event_stream
            return cached.head
        if not service.heads.should_put(fingerprint):
            fingerprint = 0
    return build_new_head(
        service, encoder, status, reason, headers, native, request_id, trailers, application, facts, date, fingerprint
    )


cdef object build_new_head(
    Service service, HeadEncoder encoder, int status, bytes reason, object headers, bint native, bytes request_id,
    bint trailers, str application, ResponseFacts* facts, bytes date, size_t fingerprint,
):
    """Checks and encodes a head. date: value of Date, None for none. fingerprint: it is cached if that is not 0."""
    # Pointers into objects that fill_head() keeps alive; nothing here owns bytes.
    cdef Field on_stack[STACK_FIELDS]
    cdef Field* fields = on_stack
    cdef Py_ssize_t max_fields
    # A copy: pointers into its items stay valid if application code changes the original meanwhile.
    headers = tuple(headers)
    # 4 for Strict-Transport-Security, the request id, Date and Server
    max_fields = len(headers) + len(service.header) + 4
    if max_fields > STACK_FIELDS:
        # Owned by this call, and freed below however it ends.
        fields = <Field*>malloc(max_fields * sizeof(Field))
        if fields == NULL:
            raise MemoryError
    try:
        return fill_head(
            service, encoder, status, reason, <tuple>headers, native, request_id, trailers, application, facts, date,
            fingerprint, fields
        )
    finally:
        if fields != on_stack:
            free(fields)


cdef object fill_head(
    Service service, HeadEncoder encoder, int status, bytes reason, tuple headers, bint native, bytes request_id,
    bint trailers, str application, ResponseFacts* facts, bytes date, size_t fingerprint, Field* fields,
):
    """Fills fields, whose pointers are into objects that `headers`, `kept`, `date` and `service` hold meanwhile."""
    # None until a pair has to be converted, which is rare.
    cdef list kept = None
    cdef Py_ssize_t n = 0
    cdef bint has_server = not service.server_header
    cdef object pair, name, value, head
    cdef Field* field
    cdef FieldId field_id
    facts.content_length = -1
    facts.close = facts.is_event_stream = False

    for pair in headers:
        if not PyTuple_CheckExact(pair):
            if native and not isinstance(pair, tuple):
                raise TypeError(f"response headers are tuples of name and value, not {type(pair).__name__}")
            pair = tuple(pair)
            # The copy has no other owner until the head is encoded.
            kept = keep(kept, pair)
        if len(pair) != 2:
            raise ValueError("a response header is a pair of name and value")
        name = pair[0]
        value = pair[1]
        field = fields + n
        if native:
            set_native(field, name, value)
        else:
            if not PyBytes_CheckExact(name) or not PyBytes_CheckExact(value):
                name = as_bytes(name)
                value = as_bytes(value)
                kept = keep(kept, (name, value))
            set_field(field, <bytes>name, <bytes>value)
        field_id = classify(field)
        check_value(field)

        if field_id == CONTENT_LENGTH:
            if facts.content_length >= 0:
                raise ValueError("response has more than one content-length")
            facts.content_length = parse_content_length(field)
            if status == 204:
                # RFC 9110 section 8.6: none in a 204.
                continue
        elif field_id == CONNECTION and has_token(field.value, field.value_size, b"close", 5):
            facts.close = True
            continue
        elif field_id == CONTENT_TYPE:
            facts.is_event_stream = field.value_size >= 17 and strncasecmp(field.value, b"text/event-stream", 17) == 0
        elif field_id == DATE:
            # The application's own replaces it.
            date = None
        elif field_id == SERVER:
            has_server = True
        elif field_id == HOP_BY_HOP and trailers and same_name(field, b"trailer"):
            # The one hop-by-hop field that is the application's: it announces trailers (RFC 9110 section 6.6.2).
            pass
        elif field_id == OTHER:
            if request_id is not None and same_name(field, service.request_id_header):
                request_id = None
        elif field_id in (CONNECTION, TRANSFER_ENCODING, HOP_BY_HOP, UPGRADE):
            if warn_of_dropped(service, field, application):
                # Not cached: another application may have to be warned of, too.
                fingerprint = 0
            continue
        # Reached only by fields that are sent: `continue` reuses the entry.
        n += 1

    n = add_server_fields(service, request_id, date, has_server, fields, n)
    if encoder.hsts is not None:
        n = add_hsts(encoder.hsts, fields, n)
    head = encoder.encode(status, reason, fields, n)
    # A converted pair may change: only its copy was checked.
    if fingerprint and kept is None:
        service.heads.put_head(
            new_cached_head(fingerprint, encoder, status, reason, headers, native, trailers, facts, date, head)
        )
    return head


cdef Py_ssize_t add_server_fields(
    Service service, bytes request_id, bytes date, bint has_server, Field* fields, Py_ssize_t n
) except -1:
    """Appends the fields of the server to n fields. Returns the number of all."""
    for pair in service.header:
        set_field(fields + n, <bytes>pair[0], <bytes>pair[1])
        n += 1
    if request_id is not None:
        set_field(fields + n, service.request_id_header, request_id)
        n += 1
    if date is not None:
        fields[n] = Field(b"date", 4, PyBytes_AS_STRING(date), PyBytes_GET_SIZE(date))
        n += 1
    if not has_server:
        fields[n] = Field(b"server", 6, b"ianus", 5)
        n += 1
    return n


cdef Py_ssize_t add_hsts(bytes value, Field* fields, Py_ssize_t n) except -1:
    """Appends Strict-Transport-Security to n fields, unless one of them is that: RFC 6797 section 7.1 allows only one.

    Returns the number of all.
    """
    cdef Py_ssize_t i
    for i in range(n):
        if same_name(fields + i, b"strict-transport-security"):
            return n
    fields[n] = Field(b"strict-transport-security", 25, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    return n + 1


cdef CachedHead new_cached_head(
    size_t fingerprint, HeadEncoder encoder, int status, bytes reason, tuple headers, bint native, bint trailers,
    const ResponseFacts* facts, bytes date, object head,
):
    cdef CachedHead cached = CachedHead.__new__(CachedHead)
    cached.fingerprint = fingerprint
    cached.encoder = encoder
    cached.status = status
    cached.reason = reason
    cached.native = native
    cached.trailers = trailers
    cached.fields = headers
    cached.date = date
    cached.head = head
    cached.content_length = facts.content_length
    cached.close = facts.close
    cached.is_event_stream = facts.is_event_stream
    return cached


cdef list keep(list kept, object pair):
    if kept is None:
        return [pair]
    kept.append(pair)
    return kept


cdef bint warn_of_dropped(Service service, Field* field, str application) except -1:
    """Warns once for each name, except of fields that event streams usually have and that the server implies anyway.

    Returns False for these.
    """
    cdef str name = shown(field.name, field.name_size).lower()
    cdef str said = f"{name}: {shown(field.value, field.value_size).lower()}"
    # The server does the same by itself.
    if name == "keep-alive" or said in ("connection: keep-alive", "transfer-encoding: chunked"):
        return False
    # Once, since it would be repeated with each request.
    service.warn_once(
        f"dropped hop-by-hop response header {name!r} of {application}: "
        "the server frames messages and manages connections itself"
    )
    return True


cdef object build_hints(HeadEncoder encoder, list pairs):
    cdef Py_ssize_t i
    # Owns the bytes that `fields` points into, up to the end of this function.
    pairs = [(as_bytes(name), as_bytes(value)) for name, value in pairs]
    cdef Field* fields = check_fields(pairs)
    try:
        for i in range(len(pairs)):
            if classify(fields + i) in (CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION, HOP_BY_HOP, UPGRADE):
                # RFC 9110 section 15.2: an interim response always ends with its head.
                raise ValueError(f"{pairs[i][0]!r} cannot be an early hint")
        return encoder.encode(103, None, fields, len(pairs))
    finally:
        free(fields)


cdef int write_trailers(ExchangeHost session, int stream, object headers) except -1:
    cdef list pairs = [(as_bytes(name), as_bytes(value)) for name, value in headers]
    cdef Field* fields = check_fields(pairs)
    try:
        for name, _ in pairs:
            # The client would ignore them, or worse, merge them into the head.
            if not may_be_response_trailer((<bytes>name).lower()):
                raise ValueError(f"{name!r} cannot be a trailer: it has to be known before the body")
        return session.send_trailers(stream, fields, len(pairs))
    finally:
        free(fields)


cdef Field* check_fields(list pairs) except NULL:
    """Fields with pointers into `pairs`, which are (name, value) of bytes. The caller frees them."""
    cdef Field* fields
    cdef Field field
    cdef Py_ssize_t i
    for name, value in pairs:
        # Checked before the allocation: an invalid one raises, and nothing has to be freed.
        set_field(&field, <bytes>name, <bytes>value)
        classify(&field)
        check_value(&field)
    # At least one entry: malloc(0) may return NULL, which is the mark of an error.
    fields = <Field*>malloc(max(len(pairs), 1) * sizeof(Field))
    if fields == NULL:
        raise MemoryError
    for i in range(len(pairs)):
        set_field(fields + i, <bytes>(<tuple>pairs[i])[0], <bytes>(<tuple>pairs[i])[1])
    return fields


cdef inline void set_field(Field* field, bytes name, bytes value) noexcept:
    # Borrowed: the caller keeps the objects.
    field.name = PyBytes_AS_STRING(name)
    field.name_size = PyBytes_GET_SIZE(name)
    field.value = PyBytes_AS_STRING(value)
    field.value_size = PyBytes_GET_SIZE(value)


cdef int set_native(Field* field, object name, object value) except -1:
    """Points into the strings, whose inner form is Latin-1 when all of their characters are."""
    check_native(name, name)
    check_native(name, value)
    field.name = <const char*>PyUnicode_1BYTE_DATA(name)
    field.name_size = PyUnicode_GET_LENGTH(name)
    field.value = <const char*>PyUnicode_1BYTE_DATA(value)
    field.value_size = PyUnicode_GET_LENGTH(value)
    return 0


cdef inline int check_native(object name, object part) except -1:
    if not PyUnicode_Check(part):
        raise TypeError(f"response header names and values are str, not {type(part).__name__}: {part!r}")
    # Strings of this kind have one byte for each character, U+0000 to U+00FF.
    if PyUnicode_KIND(part) != PyUnicode_1BYTE_KIND:
        raise ValueError(f"response header {name!r} has a character beyond Latin-1: {part!r}")
    return 0


cdef str shown(const char* text, Py_ssize_t size):
    return PyUnicode_DecodeLatin1(text, size, NULL)


cdef FieldId classify(const Field* field) except *:
    """The id of a name in any case. Raises ValueError when it is not a token."""
    cdef char lowered[MAX_KNOWN_NAME_BYTES]
    cdef const char* text = field.name
    cdef Py_ssize_t size = field.name_size, i
    cdef unsigned char c
    cdef PyObject* shared
    for i in range(size):
        # RFC 9110 section 5.6.2. It refuses also CR, LF and the colon.
        c = TOKEN[<unsigned char>text[i]]
        if c == 0:
            raise ValueError(f"response header name {shown(text, size)!r} is not a token")
        if i < MAX_KNOWN_NAME_BYTES:
            lowered[i] = <char>c
    if size == 0:
        raise ValueError("empty response header name")
    # Only its start was lowered, and no known name is that long.
    if size > MAX_KNOWN_NAME_BYTES:
        return OTHER
    return find_name(lowered, size, &shared)


cdef inline int check_value(const Field* field) except -1:
    # Response splitting: a CR or LF would start a field, or another response.
    if not is_field_value(field.value, field.value_size):
        raise ValueError(
            f"response header {shown(field.name, field.name_size)!r} has a control character in its value "
            f"{shown(field.value, field.value_size)!r}"
        )
    return 0


cdef inline bint same_name(const Field* field, bytes other) noexcept:
    return field.name_size == PyBytes_GET_SIZE(other) and strncasecmp(
        field.name, PyBytes_AS_STRING(other), field.name_size
    ) == 0


cdef bytes as_bytes(object part):
    if isinstance(part, (bytes, bytearray, memoryview)):
        # For bytes the same object; for others a copy, which the application cannot change.
        return bytes(part)
    raise TypeError(f"response header names and values are bytes, not {type(part).__name__}: {part!r}")


cdef long long parse_content_length(const Field* field) except -2:
    cdef long long length = 0
    cdef Py_ssize_t i
    # 18 digits fit into a long long.
    cdef bint good = 0 < field.value_size <= 18
    for i in range(field.value_size if good else 0):
        good = good and c'0' <= field.value[i] <= c'9'
        length = length * 10 + field.value[i] - c'0'
    if not good:
        raise ValueError(
            f"response content-length {shown(field.value, field.value_size)!r} is not a number of bytes"
        )
    return length
