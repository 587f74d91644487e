"""Well-known field names and the grammar of Host; see fields.pxd for the tables.

Compiled because every field of every request and response passes here: 106 instructions for ASGI hello,
with two fields of the response, and three of the request that are found in codec/field_cache.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport Py_INCREF
from libc.string cimport memcmp, memcpy


cdef extern from "<arpa/inet.h>":
    int inet_pton(int family, const char* text, void* address) nogil
    enum:
        AF_INET6

cdef enum:
    # Less than half full, so that a search always ends at an empty bucket.
    BUCKETS = 512   # a power of two, several times the number of names: probes stay short

cdef struct KnownName:
    PyObject* name      # bytes; this table owns one reference for the life of the process
    FieldId id

# Filled once at import, constant afterwards.
cdef KnownName known_names[BUCKETS]


cdef unsigned int bucket_of(const char* name, Py_ssize_t size) noexcept:
    # The caller's name has at least one byte. The sum only has to spread the known names: no client chooses them.
    cdef unsigned int first = <unsigned char>name[0]
    cdef unsigned int middle = <unsigned char>name[size >> 1]
    cdef unsigned int last = <unsigned char>name[size - 1]
    return (<unsigned int>size * 131 + first * 31 + middle * 61 + last * 7) & (BUCKETS - 1)


cdef FieldId find_name(const char* name, Py_ssize_t size, PyObject** shared) noexcept:
    """Looks up a lower-case name of at least one byte, by open addressing."""
    cdef unsigned int bucket = bucket_of(name, size)
    cdef PyObject* candidate
    while True:
        # Borrowed from the table, which never changes after the import. So no lock is needed either.
        candidate = known_names[bucket].name
        if candidate == NULL:
            # An empty bucket ends the chain of names with the same hash.
            shared[0] = NULL
            return OTHER
        if (
            PyBytes_GET_SIZE(<object>candidate) == size
            and memcmp(PyBytes_AS_STRING(<object>candidate), name, size) == 0
        ):
            shared[0] = candidate
            return known_names[bucket].id
        bucket = (bucket + 1) & (BUCKETS - 1)


cdef FieldId find_unknown_forwarding(const char* name, Py_ssize_t size) noexcept:
    cdef char dashed[MAX_KNOWN_NAME_BYTES]
    cdef PyObject* shared
    cdef bint has_underscore = False
    cdef Py_ssize_t i
    # The first letters of all forwarding fields
    if name[0] not in (c'x', c'f', c't', c'c'):
        return OTHER
    for i in range(size):
        has_underscore |= name[i] == c'_'
        if i < MAX_KNOWN_NAME_BYTES:
            dashed[i] = c'-' if name[i] == c'_' else name[i]
    if has_underscore and size <= MAX_KNOWN_NAME_BYTES and find_name(dashed, size, &shared) >= FORWARDED:
        return FORWARDING_ALIAS
    # A name that is longer than all known ones can only be one of these.
    if size >= 12 and memcmp(dashed, b"x-forwarded-", 12) == 0:
        return FORWARDING_ALIAS if has_underscore else OTHER_FORWARDING
    return OTHER


cdef FieldId find_forwarding(const char* name, Py_ssize_t size) noexcept:
    cdef PyObject* shared
    cdef FieldId field_id
    if size == 0:
        return OTHER
    if size > MAX_KNOWN_NAME_BYTES:
        return find_unknown_forwarding(name, size)
    field_id = find_name(name, size, &shared)
    if shared == NULL:
        return find_unknown_forwarding(name, size)
    return field_id if field_id >= FORWARDED else OTHER


cdef int add_name(bytes name, FieldId field_id) except -1:
    cdef unsigned int bucket = bucket_of(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name))
    # sec-websocket-key is added twice. The entry with the id is found first, since it was added first.
    while known_names[bucket].name != NULL:
        bucket = (bucket + 1) & (BUCKETS - 1)
    # The reference of the table, which is never given up.
    Py_INCREF(name)
    known_names[bucket].name = <PyObject*>name
    known_names[bucket].id = field_id
    return 0


cdef Py_ssize_t next_element(const char* value, Py_ssize_t size, Py_ssize_t* start, Py_ssize_t* stop) noexcept:
    cdef Py_ssize_t end = start[0]
    while end < size and value[end] != c',':
        end += 1
    stop[0] = end
    # RFC 9110 section 5.6.3: OWS is SP and HTAB, nothing else.
    while start[0] < stop[0] and (value[start[0]] == c' ' or value[start[0]] == c'\t'):
        start[0] += 1
    while stop[0] > start[0] and (value[stop[0] - 1] == c' ' or value[stop[0] - 1] == c'\t'):
        stop[0] -= 1
    return end


cdef bint has_token(const char* value, Py_ssize_t size, const char* token, Py_ssize_t token_size) noexcept:
    """Whether a comma-separated list (RFC 9110 section 5.6.1) has this lower-case token, in any case."""
    cdef Py_ssize_t start = 0, end, stop, i
    while start < size:
        end = next_element(value, size, &start, &stop)
        if stop - start == token_size:
            i = 0
            # TOKEN gives lower case, and 0 for a byte that no token has, so neither needs a check of its own.
            while i < token_size and TOKEN[<unsigned char>value[start + i]] == <unsigned char>token[i]:
                i += 1
            if i == token_size:
                return True
        # An empty element matches no token, as section 5.6.1.2 has it: recipients ignore them.
        start = end + 1
    return False


cdef bint is_reg_name_byte(char c) noexcept:
    """unreserved or sub-delims (RFC 3986 section 2)."""
    # unreserved, in section 2.3
    if c'a' <= c <= c'z' or c'A' <= c <= c'Z' or c'0' <= c <= c'9':
        return True
    # The rest of unreserved, and sub-delims in section 2.2
    return c in (
        c'-', c'.', c'_', c'~', c'!', c'$', c'&', c'\'', c'(', c')', c'*', c'+', c',', c';', c'='
    )


cdef bint is_host(const char* value, Py_ssize_t size) noexcept:
    """uri-host [ ":" port ] (RFC 9110 section 7.2); empty is valid, userinfo and path delimiters are not.

    Strictness here prevents a Host from moving the path when an application concatenates both
    (CVE-2026-48710).
    """
    cdef Py_ssize_t i = 0, port
    cdef char address[64]
    cdef char binary[16]
    # RFC 9112 section 3.2: empty, if the target has no authority.
    if size == 0:
        return True
    # IP-literal (RFC 3986 section 3.2.2). IPvFuture and zone identifiers are not accepted.
    if value[0] == c'[':
        while i < size and value[i] != c']':
            i += 1
        # Longer than any address. The buffer is needed since inet_pton() takes a string that ends with NUL.
        if i == size or i - 1 >= <Py_ssize_t>sizeof(address):
            return False
        memcpy(address, value + 1, i - 1)
        address[i - 1] = 0
        if inet_pton(AF_INET6, address, binary) != 1:
            return False
        i += 1
    else:
        while i < size and value[i] != c':':
            if value[i] == c'%':
                # pct-encoded (RFC 3986 section 2.1) has two digits.
                if i + 2 >= size or hex_value(value[i + 1]) < 0 or hex_value(value[i + 2]) < 0:
                    return False
                i += 3
            elif is_reg_name_byte(value[i]):
                i += 1
            else:
                return False
        # A port without a host
        if i == 0:
            return False
    if i == size:
        return True
    # At most five digits, so `port` cannot overflow. An empty port is valid (RFC 3986 section 3.2.3).
    if value[i] != c':' or size - i > 6:
        return False
    port = 0
    for i in range(i + 1, size):
        if not c'0' <= value[i] <= c'9':
            return False
        port = port * 10 + value[i] - c'0'
    return port <= 65535


for _name, _id in (
    (b"host", HOST),
    (b"content-length", CONTENT_LENGTH),
    (b"content-type", CONTENT_TYPE),
    (b"transfer-encoding", TRANSFER_ENCODING),
    (b"connection", CONNECTION),
    (b"expect", EXPECT),
    (b"upgrade", UPGRADE),
    (b"sec-websocket-key", WEBSOCKET_KEY),
    (b"date", DATE),
    (b"server", SERVER),
    (b"keep-alive", HOP_BY_HOP),
    (b"proxy-connection", HOP_BY_HOP),
    (b"te", HOP_BY_HOP),
    (b"trailer", HOP_BY_HOP),
    (b"forwarded", FORWARDED),
    (b"x-forwarded-for", X_FORWARDED_FOR),
    (b"x-forwarded-proto", X_FORWARDED_PROTO),
    (b"x-forwarded-host", X_FORWARDED_HOST),
    (b"x-forwarded-port", X_FORWARDED_PORT),
    (b"x-forwarded-prefix", X_FORWARDED_PREFIX),
    (b"x-request-start", X_REQUEST_START),
    (b"x-queue-start", OTHER_FORWARDING),
    # Addresses of clients
    (b"cf-connecting-ip", OTHER_FORWARDING),
    (b"fastly-client-ip", OTHER_FORWARDING),
    (b"true-client-ip", OTHER_FORWARDING),
    (b"x-client-ip", OTHER_FORWARDING),
    (b"x-cluster-client-ip", OTHER_FORWARDING),
    (b"x-forwarded", OTHER_FORWARDING),
    (b"x-real-ip", OTHER_FORWARDING),
    # Schemes, and paths of applications
    (b"front-end-https", OTHER_FORWARDING),
    (b"x-https", OTHER_FORWARDING),
    (b"x-scheme", OTHER_FORWARDING),
    (b"x-script-name", OTHER_FORWARDING),
    (b"x-url-scheme", OTHER_FORWARDING),
):
    add_name(_name, _id)

# Names that browsers, proxies and API clients send: their bytes objects are made once, not per request.
for _name in (
    b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"accept-ranges",
    b"access-control-request-headers", b"access-control-request-method", b"age", b"allow", b"alt-used",
    b"authorization", b"cache-control", b"cdn-loop", b"cf-ipcountry", b"cf-ray", b"cf-visitor",
    b"content-disposition", b"content-encoding", b"content-language", b"content-location", b"content-range",
    b"cookie", b"device-memory", b"dnt", b"downlink", b"dpr", b"early-data", b"ect", b"etag",
    b"from", b"idempotency-key", b"if-match", b"if-modified-since", b"if-none-match", b"if-range",
    b"if-unmodified-since", b"last-event-id", b"link", b"location", b"max-forwards", b"origin", b"pragma",
    b"priority", b"proxy-authorization", b"purpose", b"range", b"referer", b"rtt", b"save-data", b"sec-ch-ua",
    b"sec-ch-ua-arch", b"sec-ch-ua-full-version-list", b"sec-ch-ua-mobile", b"sec-ch-ua-model",
    b"sec-ch-ua-platform", b"sec-ch-ua-platform-version", b"sec-ch-prefers-color-scheme", b"sec-fetch-dest",
    b"sec-fetch-mode", b"sec-fetch-site", b"sec-fetch-user", b"sec-gpc", b"sec-purpose", b"sec-websocket-extensions",
    b"sec-websocket-key", b"sec-websocket-protocol", b"sec-websocket-version", b"traceparent", b"tracestate",
    b"upgrade-insecure-requests", b"user-agent", b"vary", b"via", b"viewport-width", b"warning",
    b"width", b"x-amzn-trace-id", b"x-api-key", b"x-b3-sampled", b"x-b3-spanid", b"x-b3-traceid",
    b"x-correlation-id", b"x-csrf-token", b"x-csrftoken", b"x-http-method-override", b"x-original-uri",
    b"x-request-id", b"x-requested-with", b"x-xsrf-token",
):
    add_name(_name, OTHER)
del _name, _id
