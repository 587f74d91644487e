"""Formats of the access log: gunicorn's atoms, or one JSON object a line.

Strategy: the format is taken apart once into literals and atoms; a line is written part by part into a buffer that
has space for the longest one. Rule: text of a client or an application is escaped, so that it stays on one line and
no terminal obeys it (CVE-2020-7694), and cut at MAX_TEXT_BYTES bytes.

Compiled because every response passes here: 1,968 instructions for a line of the default format.
"""
import base64
import os
import re
import time

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp, memcpy
from posix.time cimport time_t


cdef extern from "<time.h>" nogil:
    time_t c_time "time"(time_t*)

cdef extern from *:
    const char* PyUnicode_AsUTF8AndSize(object text, Py_ssize_t* size) except NULL

cdef enum:
    MAX_TEXT_BYTES = 2048  # bytes of one text that a line shows; longer ones are cut
    MAX_ESCAPED_BYTES = 6 * MAX_TEXT_BYTES + 64  # ... each of which may become \u00NN, with quotes and a name
    MAX_NUMBER_BYTES = 64  # bytes of a number or of the time

DEFAULT = '%(h)s - %(u)s %(t)s "%(r)s" %(s)s %(B)s "%(f)s" "%(a)s" %(L)s'

# (key, atom); duration is in seconds. With a request id, that follows.
JSON = (
    ("time", TIME), ("client", CLIENT), ("method", METHOD), ("target", TARGET), ("protocol", PROTOCOL),
    ("status", STATUS), ("size", SIZE), ("duration", DECIMAL_SECONDS),
    ("queue_time", QUEUE_SECONDS), ("referer", b"referer"), ("user_agent", b"user-agent"),
)

cdef dict ATOMS = {
    "h": CLIENT, "u": USER, "t": TIME, "r": REQUEST_LINE, "m": METHOD, "U": PATH, "q": QUERY, "H": PROTOCOL,
    "s": STATUS, "B": SIZE, "b": SIZE_OR_DASH, "T": SECONDS, "M": MILLISECONDS, "D": MICROSECONDS,
    "L": DECIMAL_SECONDS, "Q": QUEUE_SECONDS, "p": PROCESS,
}
cdef dict FIELDS = {"f": "referer", "a": "user-agent"}


cdef class LineFormat:
    """A format of lines.

    access_log_format: literals and atoms such as `%(h)s`, `%({name}i)s`; "" is the combined format with the duration.
    log_format: "json" for one JSON object a line instead.

    Raises ValueError for an atom that does not exist.
    """

    def __init__(self, *, str access_log_format not None, str log_format not None):
        self.json = log_format == "json"
        self.texts = []
        # Computed once. The log reserves that much before each line, so that writing needs no checks.
        self.max_line_size = 1  # the line feed
        parts = json_parts() if self.json else text_parts(access_log_format or DEFAULT)
        self.count = len(parts)
        # Owned; freed in __dealloc__()
        self.parts = <Part*>malloc(self.count * sizeof(Part))
        if self.parts == NULL:
            raise MemoryError
        for i, (atom, part) in enumerate(parts):
            # Owns the bytes that `name` and `text` point into.
            self.texts.append(part)
            self.parts[i].atom = atom
            self.parts[i].name = NULL if part is None else <PyObject*>part
            self.parts[i].text = NULL if part is None else PyBytes_AS_STRING(part)
            self.parts[i].size = 0 if part is None else PyBytes_GET_SIZE(part)
            self.shows_response |= atom == RESPONSE_FIELD
            self.shows_queue_time |= atom == QUEUE_SECONDS
            self.max_line_size += len(part) if atom == LITERAL else max_part_size(atom)

    def __dealloc__(self):
        # NULL if __init__() has raised before
        free(self.parts)

    cdef char* write(self, char* at, const RequestFacts* facts) except NULL:
        cdef Py_ssize_t i
        cdef const Part* part
        for i in range(self.count):
            part = &self.parts[i]
            if part.atom == LITERAL:
                # The usual part; without a call of write_part().
                at = put(at, part.text, part.size)
            else:
                at = self.write_part(at, facts, part)
        return put(at, b"\n", 1)

    cdef char* write_part(self, char* at, const RequestFacts* facts, const Part* part) except NULL:
        """Every condition compares the atom to one constant, so that C sees a switch."""
        cdef Atom atom = part.atom
        cdef bytes text
        if atom == STATUS:
            return put_number(at, facts.status, 3)
        elif atom == SIZE:
            return put_number(at, facts.size, 1)
        elif atom == SIZE_OR_DASH:
            return put_number(at, facts.size, 1) if facts.size else self.write_none(at)
        elif atom == DECIMAL_SECONDS:
            return put_seconds(at, facts.duration)
        elif atom == QUEUE_SECONDS:
            return put_seconds(at, facts.queue_time) if facts.queue_time else self.write_none(at)
        elif atom == SECONDS:
            return put_number(at, <long long>facts.duration, 1)
        elif atom == MILLISECONDS:
            return put_number(at, <long long>(facts.duration * 1e3), 1)
        elif atom == MICROSECONDS:
            return put_number(at, <long long>(facts.duration * 1e6), 1)
        elif atom == TIME:
            text = self.time_stamp()
            return put(at, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
        elif atom == CLIENT:
            client = <object>facts.client
            return self.write_text(at, None if client is None else <str>client[0])
        elif atom == REQUEST_LINE:
            return self.write_request_line(at, facts)
        elif atom == METHOD:
            return self.write_text(at, <str>facts.method)
        elif atom == PROTOCOL:
            return self.write_protocol(at, facts)
        elif atom == REQUEST_FIELD:
            return self.write_field(at, <list>facts.headers, <bytes>part.name)
        elif atom == RESPONSE_FIELD:
            return self.write_field(at, <list>facts.response_headers, <bytes>part.name)
        elif atom == USER:
            return self.write_text(at, user_name(<list>facts.headers))
        elif atom == PROCESS:
            at = put(at, b"<", 1)
            at = put_number(at, os.getpid(), 1)
            return put(at, b">", 1)
        elif atom == REQUEST_ID:
            return self.write_request_id(at, facts)
        return self.write_path(at, facts, atom)

    cdef char* write_request_line(self, char* at, const RequestFacts* facts) except NULL:
        # A request that could not be parsed
        if <object>facts.method is None:
            return self.write_none(at)
        # Escaped as a whole, though the codec has checked method and version: the format relies on no caller.
        at = self.write_text(at, <str>facts.method)
        at = put(at, b" ", 1)
        at = self.write_path(at, facts, TARGET)
        if <object>facts.http_version is None:
            return at
        at = put(at, b" HTTP/", 6)
        return self.write_text(at, <str>facts.http_version)

    cdef char* write_protocol(self, char* at, const RequestFacts* facts) except NULL:
        if <object>facts.http_version is None:
            return self.write_none(at)
        return self.write_text(at, "HTTP/" + <str>facts.http_version)

    cdef char* write_request_id(self, char* at, const RequestFacts* facts) except NULL:
        cdef bytes text = <bytes>facts.request_id
        # JSON only; the member is left out, with its comma.
        if text is None:
            return at
        at = put(at, b',"request_id":', 14)
        return self.write_chosen(at, PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))

    cdef char* write_path(self, char* at, const RequestFacts* facts, Atom atom) except NULL:
        """The target, or its part before or after the question mark."""
        cdef const char* data
        cdef const char* mark
        cdef Py_ssize_t size
        if <object>facts.target is None:
            return self.write_none(at)
        data = PyBytes_AS_STRING(<bytes>facts.target)
        size = PyBytes_GET_SIZE(<bytes>facts.target)
        # By the raw bytes: the path is shown as it was received.
        if atom != TARGET:
            mark = <const char*>memchr(data, c'?', size)
            if atom == PATH:
                size = mark - data if mark != NULL else size
            elif mark == NULL:
                size = 0
            else:
                size -= mark + 1 - data
                data = mark + 1
        return self.write_chosen(at, data, size)

    cdef char* write_field(self, char* at, list headers, bytes name) except NULL:
        cdef bytes key, value
        if headers is not None:
            for pair in headers:
                # Lower case, as `name` is, so bytes are compared.
                key = <bytes>(<tuple>pair)[0]
                if PyBytes_GET_SIZE(key) == PyBytes_GET_SIZE(name) and not memcmp(
                    PyBytes_AS_STRING(key), PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)
                ):
                    value = <bytes>(<tuple>pair)[1]
                    # The first field of that name
                    return self.write_chosen(at, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
        return self.write_none(at)

    cdef char* write_text(self, char* at, str text) except NULL:
        cdef Py_ssize_t size
        cdef const char* utf8
        if text is None:
            return self.write_none(at)
        # Owned by the str, which the caller holds
        utf8 = PyUnicode_AsUTF8AndSize(text, &size)
        return self.write_chosen(at, utf8, size)

    cdef char* write_none(self, char* at) noexcept:
        return put(at, b"null", 4) if self.json else put(at, b"-", 1)

    cdef char* write_chosen(self, char* at, const char* data, Py_ssize_t size) noexcept:
        """Writes a client's or an application's bytes; escapes controls, quotes, backslashes and non-ASCII bytes."""
        cdef const char* digits = b"0123456789abcdef"
        # Cut, so that a line has a maximum size. Six bytes are the longest escape.
        cdef const char* end = data + min(size, <Py_ssize_t>MAX_TEXT_BYTES)
        cdef unsigned char c
        cdef uint64_t word
        if self.json:
            at = put(at, b'"', 1)
        while data < end:
            # Nearly all text is without escapes: eight bytes are checked and copied at once.
            while end - data >= 8:
                memcpy(&word, data, 8)
                if needs_escape(word):
                    break
                memcpy(at, &word, 8)
                at += 8
                data += 8
            if data == end:
                break
            c = <unsigned char>data[0]
            data += 1
            # Bytes above 0x7E are escaped too: terminals may read them as control characters.
            if 0x20 <= c <= 0x7E and c != c'"' and c != c'\\':
                at[0] = <char>c
                at += 1
            else:
                at = put(at, b"\\u00", 4) if self.json else put(at, b"\\x", 2)
                at[0] = digits[c >> 4]
                at[1] = digits[c & 15]
                at += 2
        return put(at, b'"', 1) if self.json else at

    cdef bytes time_stamp(self):
        cdef long second = <long>c_time(NULL)
        cdef str text
        # strftime() costs more than the rest of the line, and its result changes once a second.
        if second != self.stamp_second:
            now = time.localtime(second)
            if self.json:
                text = time.strftime("%Y-%m-%dT%H:%M:%S%z", now)
                text = f'"{text[:22]}:{text[22:]}"'  # RFC 3339 has a colon in the offset.
            else:
                text = time.strftime("[%d/%b/%Y:%H:%M:%S %z]", now)
            self.stamp = text.encode("ascii", "replace")
            self.stamp_second = second
        return self.stamp


def json_parts() -> list:
    parts = []
    for key, shown in JSON:
        parts.append((LITERAL, f'{"," if parts else "{"}"{key}":'.encode()))
        parts.append((REQUEST_FIELD, shown) if isinstance(shown, bytes) else (shown, None))
    return [*parts, (REQUEST_ID, None), (LITERAL, b"}")]


def text_parts(str text) -> list:
    """The parts of a format. `%%` is a percent sign, as in all of Python's formats."""
    parts = []
    end = 0
    for match in re.finditer(r"%(?:\((.*?)\)s|(.?))", text):
        # Also an empty one; those are removed at the end.
        parts.append((LITERAL, literal(text[end:match.start()])))
        end = match.end()
        parts.append((LITERAL, b"%") if match[2] == "%" else text_part(match))
    parts.append((LITERAL, literal(text[end:])))
    return [(atom, part) for atom, part in parts if part != b""]


def text_part(match) -> tuple:
    name = match[1] or ""
    if name in ATOMS:
        return ATOMS[name], None
    if name == "l":
        return LITERAL, b"-"
    if name in FIELDS:
        return REQUEST_FIELD, FIELDS[name].encode()
    named = re.fullmatch(r"\{([^{}]+)\}([ioe])", name)
    if named is None:
        raise ValueError(f"there is no {match[0]!r} in an access log format")
    # The environment is read once, when the log is opened.
    if named[2] == "e":
        return LITERAL, literal(os.environ.get(named[1], "-"))
    return REQUEST_FIELD if named[2] == "i" else RESPONSE_FIELD, named[1].lower().encode("utf-8", "surrogateescape")


cdef Py_ssize_t max_part_size(Atom atom) noexcept:
    if atom == REQUEST_LINE:
        return 3 * MAX_ESCAPED_BYTES  # method, target, version
    if atom in (
        TIME, STATUS, SIZE, SIZE_OR_DASH, SECONDS, MILLISECONDS, MICROSECONDS, DECIMAL_SECONDS, QUEUE_SECONDS, PROCESS
    ):
        # All are shorter than this.
        return MAX_NUMBER_BYTES
    return MAX_ESCAPED_BYTES


def literal(str text) -> bytes:
    # A line feed in a literal would make two lines of one.
    return text.encode("utf-8", "surrogateescape").replace(b"\n", b" ")


cdef str user_name(list headers):
    """Returns the user of Basic credentials (RFC 7617), or None if there are none, or invalid ones."""
    cdef PyObject* name     # borrowed from its pair, which the list has
    for pair in headers:
        name = <PyObject*>(<tuple>pair)[0]
        # By the size first, which differs for nearly all.
        if PyBytes_GET_SIZE(<object>name) != 13 or memcmp(PyBytes_AS_STRING(<object>name), b"authorization", 13):
            continue
        value = (<tuple>pair)[1]
        if value[:6].lower() == b"basic ":
            try:
                # Text of a client: anything that is not Base64 is not a user.
                user, colon, _ = base64.b64decode(value[6:].strip(), validate=True).partition(b":")
            except ValueError:
                return None
            return user.decode("latin-1") if colon and user else None
    return None


cdef inline bint needs_escape(uint64_t word) noexcept:
    """Whether one of eight bytes is a control, a quote, a backslash, or above 0x7E."""
    cdef uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080
    cdef uint64_t quotes = word ^ (ones * c'"'), backslashes = word ^ (ones * c'\\')
    # A byte below n borrows from its high bit in the subtraction. Bytes above a borrow may be marked, too, which only
    # costs the way through single bytes.
    return (
        (word - ones * 0x20 | word + ones | word | quotes - ones | backslashes - ones) & highs
    ) != 0


cdef inline char* put(char* at, const char* text, Py_ssize_t size) noexcept:
    # The caller has reserved space for the longest line.
    memcpy(at, text, size)
    return at + size


cdef char* put_seconds(char* at, double seconds) noexcept:
    # Rounded down, so that both numbers belong together.
    at = put_number(at, <long long>seconds, 1)
    at = put(at, b".", 1)
    return put_number(at, <long long>(seconds * 1e6) % 1000000, 6)


cdef char* put_number(char* at, long long number, int width) noexcept:
    """Decimal digits of a number that is not negative, at least `width` of them."""
    cdef char text[24]
    cdef int n = 24
    # Unsigned, for which a division by a constant takes fewer instructions.
    cdef uint64_t left = <uint64_t>number
    while left or 24 - n < width:
        n -= 1
        text[n] = <char>(c'0' + left % 10)
        left //= 10
    return put(at, text + n, 24 - n)
