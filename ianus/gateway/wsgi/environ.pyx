"""The environ dictionaries of WSGI applications (PEP 3333, "environ Variables").

Facts: all requests share the majority of environ entries, and the same fields recur: a client sends those that it has
in the same order each time. Strategy: an environ is a copy of a template, if possible of one that has the fields of an
earlier request. Its keys are strings made once, and so are values that recur. An entry that equals the template's is
not written.

Compiled because every WSGI request passes here: 399 instructions for WSGI hello.
"""
cimport cython
import sys

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Copy, PyDict_GetItemWithError, PyDict_SetDefault, PyDict_Size
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeLatin1
from libc.string cimport memcmp

from ianus.codec.base cimport Request
from ianus.exchange.connection_info cimport HTTP, ConnectionInfo
from ianus.exchange.http cimport Exchange, note_call
from ianus.exchange.tls_facts cimport TlsFacts

from ianus.gateway.wsgi.empty_input import EMPTY_INPUT
from ianus.gateway.wsgi.file_wrapper import FileWrapper
from ianus.gateway.wsgi.tls_variables import tls_variables


cdef extern from "Python.h":
    bint PyUnicode_IS_ASCII(object text)
    # Borrowed, unlike those of Cython.
    PyObject* PyList_GET_ITEM(object values, Py_ssize_t position)
    PyObject* PyTuple_GET_ITEM(PyObject* values, Py_ssize_t position)


cdef enum:
    MAX_KEYS = 1024         # field names whose keys are remembered
    MAX_VALUE_BYTES = 256   # of a value that is remembered
    MISSES = 8              # values after which one is remembered only once in as many; the same for known fields

# Interned, as literals in the applications are, and hashed once.
cdef str REQUEST_METHOD = sys.intern("REQUEST_METHOD")
cdef str SCRIPT_NAME = sys.intern("SCRIPT_NAME")
cdef str PATH_INFO = sys.intern("PATH_INFO")
cdef str QUERY_STRING = sys.intern("QUERY_STRING")
cdef str RAW_URI = sys.intern("RAW_URI")
cdef str REQUEST_URI = sys.intern("REQUEST_URI")
cdef str SERVER_PROTOCOL = sys.intern("SERVER_PROTOCOL")
cdef str REMOTE_ADDR = sys.intern("REMOTE_ADDR")
cdef str REMOTE_PORT = sys.intern("REMOTE_PORT")
cdef str URL_SCHEME = sys.intern("wsgi.url_scheme")
cdef str CONTENT_LENGTH = sys.intern("CONTENT_LENGTH")
cdef str CONTENT_TYPE = sys.intern("CONTENT_TYPE")
cdef str HTTP_COOKIE = sys.intern("HTTP_COOKIE")
cdef str WSGI_INPUT = sys.intern("wsgi.input")
cdef str EARLY_HINTS = sys.intern("wsgi.early_hints")
cdef str QUEUE_TIME = sys.intern("ianus.queue_time")

cdef str GET = sys.intern("GET")        # the objects of the codecs (codec/base), compared by identity
cdef str HTTP_1_1 = sys.intern("1.1")
cdef bytes NO_QUERY = b""
cdef str ROOT = "/"         # CPython has one object of each string of one Latin-1 character


cdef class EnvironKey:
    pass


@cython.no_gc
cdef class KnownFields:
    pass


cdef class Environs:
    """Makes the environs of one application.

    script_name: the part of the URL path before the application's own part. prefix: the part of script_name that
    received paths have. errors: wsgi.errors. header_map: with "dangerous" field names with an underscore have keys too.
    """

    def __init__(
        self, *, str script_name, str prefix, errors, bint multithread, bint multiprocess, str header_map
    ):
        self.prefix = native(prefix)
        self.port_texts = [None] * PORT_ENTRIES
        self.keep_underscores = header_map == "dangerous"
        self.key_by_field = {
            b"content-length": environ_key(CONTENT_LENGTH),
            b"content-type": environ_key(CONTENT_TYPE),
            b"transfer-encoding": environ_key(None),  # bodies are not chunked any more
            b"proxy": environ_key(None),    # CVE-2016-5385: libraries take HTTP_PROXY for a proxy setting
        }
        self.template = {
            REQUEST_METHOD: GET,
            SCRIPT_NAME: native(script_name),
            PATH_INFO: ROOT,
            QUERY_STRING: "",
            RAW_URI: ROOT,
            REQUEST_URI: ROOT,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            SERVER_PROTOCOL: "HTTP/1.1",
            "SERVER_SOFTWARE": "ianus",
            REMOTE_ADDR: "",
            REMOTE_PORT: "",
            "wsgi.version": (1, 0),
            URL_SCHEME: HTTP,
            WSGI_INPUT: EMPTY_INPUT,
            "wsgi.errors": errors,
            "wsgi.multithread": bool(multithread),
            "wsgi.multiprocess": bool(multiprocess),
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            "wsgi.file_wrapper": FileWrapper,
            # A dictionary with more than 21 keys has space for 40: headers fit without a resize.
            EARLY_HINTS: None,
        }
        # Copies keep the space.
        del self.template[EARLY_HINTS]

    cdef int learn_addresses(self, ConnectionInfo connection) except -1:
        """Puts the first addresses into the template: often there is one server address, and one proxy as client."""
        # A Unix socket may have neither, as the template.
        if self.server is None and (connection.server is not None or connection.client is not None):
            # Other requests set their own.
            self.server = connection.server
            # It has a copy of the template.
            self.known_fields = None
            set_server(self.template, connection.server)
            if connection.client is not None:
                self.client_host = self.template[REMOTE_ADDR] = connection.client[0]
        return 0

    cdef dict make(self, Exchange exchange, object body, long long body_size, object early_hints):
        """Builds the environ of one request, in one pass over the headers."""
        cdef Request request = exchange.request
        cdef ConnectionInfo connection = exchange.connection
        # The application owns it, and may change it.
        cdef dict environ = self.copy_known(request.headers)
        cdef object client
        cdef str target, endpoint_id
        cdef TlsFacts tls
        cdef int port
        if environ is None:
            environ = self.add_fields(PyDict_Copy(self.template), request.headers)
        if request.method is not GET:
            environ[REQUEST_METHOD] = request.method
        # The template has it already, unless ROOT is not the object that it is expected to be.
        if request.path is not ROOT or PyBytes_GET_SIZE(request.target) != 1 or self.prefix:
            environ[PATH_INFO] = self.path_info(request, environ)
            # Usually the target is the path.
            if PyBytes_GET_SIZE(request.target) == len(request.path) and PyUnicode_IS_ASCII(request.path):
                target = request.path
            else:
                target = latin1(request.target)
            # The target as it was received, by the names that gunicorn and uWSGI have for it.
            environ[RAW_URI] = target
            environ[REQUEST_URI] = target
        if request.query_string is not NO_QUERY:
            environ[QUERY_STRING] = latin1(request.query_string)
        if request.http_version is not HTTP_1_1:
            environ[SERVER_PROTOCOL] = "HTTP/2.0" if request.http_version == "2" else "HTTP/" + request.http_version
        if exchange.prefix is not None:
            # In place of the one in the settings. path_info() has emptied SCRIPT_NAME if the path has no prefix.
            environ[SCRIPT_NAME] = exchange.prefix + (self.prefix if environ[SCRIPT_NAME] else "")
        if exchange.queued_since:
            note_call(exchange)
            if exchange.shares_queue_time:
                environ[QUEUE_TIME] = exchange.queue_time
        if early_hints is not None:
            environ[EARLY_HINTS] = early_hints
        if connection.server is not self.server:
            set_server(environ, connection.server)
        if connection.scheme is not HTTP:
            environ[URL_SCHEME] = connection.scheme
            # RFC 3875 has no variable for it. This is that of Apache, which PEP 3333 mentions ("URL Reconstruction").
            environ["HTTPS"] = "on"
            if connection.server is None or connection.server[1] is None:
                environ["SERVER_PORT"] = "443"
        client = connection.client
        if client is not None:
            if (<tuple>client)[0] is not self.client_host:
                environ[REMOTE_ADDR] = (<tuple>client)[0]
            port = (<tuple>client)[1]
            if port:
                environ[REMOTE_PORT] = self.port_text(port)
            else:
                # A proxy has not reported it.
                del environ[REMOTE_PORT]
        else:
            # A Unix socket has no address and no port.
            if self.client_host is not None:
                environ[REMOTE_ADDR] = ""
            del environ[REMOTE_PORT]
        endpoint_id = connection.vpc_endpoint_id()
        if endpoint_id is not None:
            environ["ianus.aws_vpc_endpoint_id"] = endpoint_id
        tls = connection.tls_facts()
        if tls is not None:
            if tls.variables is None:
                tls.variables = tls_variables(tls)
            environ.update(tls.variables)
        if body is not None:
            environ[WSGI_INPUT] = body
        if request.content_length < 0:
            # The body was chunked and is complete. Django reads nothing without this.
            environ[CONTENT_LENGTH] = str(body_size)
        return environ

    cdef dict copy_known(self, list fields):
        """Copies the template of the known fields, with the values of these. None for fields with other names."""
        # An own reference: another thread may replace it.
        cdef KnownFields known = self.known_fields
        cdef Py_ssize_t position, number = len(fields)
        cdef bint has_new_values = False
        cdef EnvironKey key
        cdef dict environ
        # The items are borrowed from the two lists, which do not change.
        if known is not None and len(known.fields) == number:
            for position in range(number):
                if not is_same(item(fields, position, 0), item(known.fields, position, 0)):
                    break
                has_new_values |= not is_same(item(fields, position, 1), item(known.fields, position, 1))
            else:
                self.unknown_requests = 0
                environ = PyDict_Copy(known.environ)
                if has_new_values:
                    for position in range(number):
                        key = <EnvironKey>known.keys[position]
                        if key.key is not None and not is_same(
                            item(fields, position, 1), item(known.fields, position, 1)
                        ):
                            environ[key.key] = native_value(key, <bytes>item(fields, position, 1))
                return environ
        self.unknown_requests += 1
        # Not at each change between two clients: it takes as long as a few searches for keys.
        if known is None or self.unknown_requests >= MISSES:
            self.unknown_requests = 0
            self.learn_fields(fields)
        return None

    cdef int learn_fields(self, list fields) except -1:
        cdef KnownFields known = KnownFields.__new__(KnownFields)
        cdef EnvironKey key
        cdef Py_ssize_t entries = PyDict_Size(self.template)
        known.fields = list(fields)
        known.keys = []
        for field in fields:
            key = self.find_key(<bytes>field[0])
            known.keys.append(key)
            entries += key.key is not None
        known.environ = self.add_fields(PyDict_Copy(self.template), fields)
        # Two fields with one key have one entry, whose value is made of both.
        if PyDict_Size(known.environ) == entries:
            self.known_fields = known
        return 0

    cdef dict add_fields(self, dict environ, list fields):
        """Adds the fields to an environ, which it returns."""
        cdef object value
        cdef EnvironKey key
        cdef PyObject* present
        cdef Py_ssize_t keys
        cdef tuple field
        for field in fields:
            key = self.find_key(<bytes>field[0])
            if key.key is None:
                continue
            value = native_value(key, <bytes>field[1])
            keys = PyDict_Size(environ)
            # One search for both cases: a new key, and a field that is there twice.
            present = PyDict_SetDefault(environ, key.key, value)
            if PyDict_Size(environ) == keys:
                # RFC 9110 section 5.3; of cookies section 4.2.3 of RFC 6265bis.
                environ[key.key] = <object>present + ("; " if key.key is HTTP_COOKIE else ",") + value
        return environ

    cdef EnvironKey find_key(self, bytes name):
        """Returns the key of a field."""
        # Borrowed from the dictionary, whose entries are never removed.
        cdef PyObject* found = PyDict_GetItemWithError(self.key_by_field, name)
        return <EnvironKey>found if found != NULL else self.new_key(name)

    cdef EnvironKey new_key(self, bytes name):
        """Makes the key for a new field name."""
        cdef str name_key = None
        cdef EnvironKey key
        if self.keep_underscores or b"_" not in name:
            name_key = sys.intern("HTTP_" + name.decode("ascii").upper().replace("-", "_"))
        key = environ_key(name_key)
        # Clients choose the names, so the number of remembered ones needs a limit.
        if len(self.key_by_field) < MAX_KEYS:
            self.key_by_field[name] = key
        return key

    cdef str port_text(self, int port):
        """Returns a port as text: the same object for the next request of a connection."""
        cdef unsigned int entry = <unsigned int>port % PORT_ENTRIES
        if self.ports[entry] != port:
            # Not str(): Cython's conversion of a C int takes a third of it.
            self.port_texts[entry] = f"{port}"
            self.ports[entry] = port
        return <str>self.port_texts[entry]

    cdef str path_info(self, Request request, dict environ):
        """Returns the path as a native string, without the prefix that is in SCRIPT_NAME."""
        cdef str path = request.path
        if not PyUnicode_IS_ASCII(path):
            from urllib.parse import unquote_to_bytes  # Rarely needed, and expensive to import.
            # PEP 3333, "Unicode Issues": the bytes of the path as Latin-1, in any encoding.
            path = unquote_to_bytes(request.raw_path).decode("latin-1")
        elif path == "*":
            # OPTIONS * (RFC 9112 section 3.2.4) is about the whole server; RAW_URI distinguishes it from OPTIONS /.
            return "/"
        if self.prefix:
            if path == self.prefix or path.startswith(self.prefix + "/"):
                return path[len(self.prefix):]
            # The proxy has forwarded a path without the prefix.
            environ[SCRIPT_NAME] = ""
        return path


cdef EnvironKey environ_key(str key):
    cdef EnvironKey made = EnvironKey.__new__(EnvironKey)
    made.key = key
    return made


cdef inline PyObject* item(list fields, Py_ssize_t position, Py_ssize_t part) noexcept:
    """Returns the name (0) or the value (1) of a field; borrowed from its tuple."""
    # A codec has made the list, of pairs alone.
    return PyTuple_GET_ITEM(PyList_GET_ITEM(fields, position), part)


cdef inline bint is_same(PyObject* text, PyObject* other) noexcept:
    cdef Py_ssize_t size
    # Names of usual fields are always the same objects (codec/fields).
    if text == other:
        return True
    size = PyBytes_GET_SIZE(<object>text)
    return PyBytes_GET_SIZE(<object>other) == size and memcmp(
        PyBytes_AS_STRING(<object>text), PyBytes_AS_STRING(<object>other), size
    ) == 0


cdef inline str native_value(EnvironKey key, bytes value):
    """Returns a value as a native string, the same object as for the last request if it is equal."""
    # An own reference: another thread may replace it.
    cdef tuple last = key.last
    cdef bytes known
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
    cdef str text
    if last is not None:
        known = <bytes>last[0]
        if known is value or (
            PyBytes_GET_SIZE(known) == size and memcmp(PyBytes_AS_STRING(known), PyBytes_AS_STRING(value), size) == 0
        ):
            key.misses = 0
            return <str>last[1]
    text = latin1(value)
    key.misses += 1
    # Values that differ each time, such as cookies, are usually not worth the tuple.
    if size <= MAX_VALUE_BYTES and (key.misses <= MISSES or key.misses % MISSES == 0):
        key.last = (value, text)
    return text


cdef inline str latin1(bytes text):
    return PyUnicode_DecodeLatin1(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), NULL)


cdef str native(str text):
    """Converts text to a native string: its bytes decoded as Latin-1 (PEP 3333, "Unicode Issues")."""
    return text.encode("utf-8").decode("latin-1")


cdef int set_server(dict environ, object server) except -1:
    """Sets SERVER_NAME and SERVER_PORT, which cannot be empty (PEP 3333, "environ Variables")."""
    if server is not None and server[1] is not None:
        environ["SERVER_NAME"] = server[0]
        environ["SERVER_PORT"] = str(server[1])
    else:
        environ["SERVER_NAME"] = "localhost"
        environ["SERVER_PORT"] = "80"
    return 0
