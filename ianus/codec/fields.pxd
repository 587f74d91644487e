"""Header fields: character tables, well-known names, and the grammar of their values.

The one place for the rules of RFC 9110 section 5 for names and values; codecs and response heads share it.
"""
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t
from libc.string cimport memcpy


cdef extern from *:
    """
    /* The lower-case form of each token character (RFC 9110 section 5.6.2), 0 for every other byte. */
    static const unsigned char IANUS_TOKEN[256] = {
          0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
          0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
          0,  33,   0,  35,  36,  37,  38,  39,   0,   0,  42,  43,   0,  45,  46,   0,
         48,  49,  50,  51,  52,  53,  54,  55,  56,  57,   0,   0,   0,   0,   0,   0,
          0,  97,  98,  99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
        112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122,   0,   0,   0,  94,  95,
         96,  97,  98,  99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
        112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122,   0, 124,   0, 126,   0,
          0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
          0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
          0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
          0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
          0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
          0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
          0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
          0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
    };
    """
    const unsigned char[256] TOKEN "IANUS_TOKEN"


# Fields that the server itself reads or writes; OTHER is everything else.
cdef enum FieldId:
    OTHER
    HOST
    CONTENT_LENGTH
    CONTENT_TYPE
    TRANSFER_ENCODING
    CONNECTION
    EXPECT
    UPGRADE
    WEBSOCKET_KEY
    DATE
    SERVER
    HOP_BY_HOP          # keep-alive, proxy-connection, te, trailer: fields for one hop, removed from responses
    # Forwarding fields, in which proxies report facts of the requests that they forward: from here to the end
    FORWARDED
    X_FORWARDED_FOR
    X_FORWARDED_PROTO
    X_FORWARDED_HOST
    X_FORWARDED_PORT
    X_FORWARDED_PREFIX
    X_REQUEST_START
    OTHER_FORWARDING    # X-Real-IP and the like, and all other names that start with X-Forwarded-
    FORWARDING_ALIAS    # the name of another one with `_` for `-`, which is the same name in CGI and WSGI


# One field. The caller owns its bytes, which are valid only during the call that passes it.
cdef struct Field:
    const char* name
    Py_ssize_t name_size
    const char* value
    Py_ssize_t value_size


cdef enum:
    MAX_KNOWN_NAME_BYTES = 48  # no known name is longer
    MAX_FORWARDING_FIELDS = 14  # those of a request whose positions are recorded


# The forwarding fields of a request. Behind a proxy each request has some, which are not searched a second time.
cdef struct ForwardingFields:
    unsigned short count            # more than MAX_FORWARDING_FIELDS: all fields have to be searched
    unsigned short[MAX_FORWARDING_FIELDS] positions     # in the list of all fields


# The entry of a well-known lower-case name: its id, and the shared bytes object (borrowed from the
# module, which keeps it for ever) or NULL for a name that is not known.
cdef FieldId find_name(const char* name, Py_ssize_t size, PyObject** shared) noexcept
# The id of a lower-case name of at least one byte that find_name() does not know: OTHER_FORWARDING, FORWARDING_ALIAS
# or OTHER.
cdef FieldId find_unknown_forwarding(const char* name, Py_ssize_t size) noexcept
# The id of any lower-case name if it is a forwarding field, else OTHER.
cdef FieldId find_forwarding(const char* name, Py_ssize_t size) noexcept
cdef bint is_host(const char* value, Py_ssize_t size) noexcept
# One element of a comma-separated list (RFC 9110 section 5.6.1): from the position `start` it finds the element without
# the white space around it, and returns the position of the comma after it, or size.
cdef Py_ssize_t next_element(const char* value, Py_ssize_t size, Py_ssize_t* start, Py_ssize_t* stop) noexcept
cdef bint has_token(const char* value, Py_ssize_t size, const char* token, Py_ssize_t token_size) noexcept


cdef inline int hex_value(char c) noexcept nogil:
    """The value of a hexadecimal digit, -1 for any other byte."""
    if c'0' <= c <= c'9':
        return c - c'0'
    if c'a' <= c <= c'f':
        return c - c'a' + 10
    if c'A' <= c <= c'F':
        return c - c'A' + 10
    return -1


cdef inline bint is_value_byte(unsigned char byte) noexcept nogil:
    """field-vchar, obs-text, SP or HTAB (RFC 9110 section 5.5)."""
    return (byte >= 0x20 and byte != 0x7F) or byte == 0x09


cdef inline bint is_field_value(const char* value, Py_ssize_t size) noexcept nogil:
    """Whether no byte is a control character other than HTAB; eight bytes at a time."""
    cdef Py_ssize_t i = 0
    cdef uint64_t word, low, delete
    while i + 8 <= size:
        memcpy(&word, value + i, 8)
        # A byte below 0x20 borrows into its top bit; a byte equal to 0x7F becomes 0 after the XOR.
        low = (word - <uint64_t>0x2020202020202020) & ~word
        delete = word ^ <uint64_t>0x7F7F7F7F7F7F7F7F
        delete = (delete - <uint64_t>0x0101010101010101) & ~delete
        if (low | delete) & <uint64_t>0x8080808080808080:
            # Also reached for HTAB: look at these eight one by one.
            for k in range(i, i + 8):
                if not is_value_byte(<unsigned char>value[k]):
                    return False
        i += 8
    while i < size:
        if not is_value_byte(<unsigned char>value[i]):
            return False
        i += 1
    return True


cdef inline bint is_token(const char* text, Py_ssize_t size) noexcept nogil:
    """1*tchar (RFC 9110 section 5.6.2)."""
    cdef Py_ssize_t i
    for i in range(size):
        if not TOKEN[<unsigned char>text[i]]:
            return False
    return size > 0
