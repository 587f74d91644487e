"""The environ dictionaries of WSGI applications (PEP 3333, "environ Variables").

Facts: all requests share the majority of environ entries, and the same field names recur. Strategy: an environ is a
copy of a template. Its keys are strings made once. An entry that equals the template's is not written.

Compiled because every WSGI request passes here: 650 instructions for WSGI hello.
"""
import sys

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.dict cimport PyDict_Copy, PyDict_GetItemWithError, PyDict_SetDefault, PyDict_Size
from cpython.object cimport PyObject
from cpython.unicode cimport PyUnicode_DecodeLatin1

from ianus.codec.base cimport Request
from ianus.exchange.connection_info cimport HTTP
from ianus.exchange.http cimport Exchange, note_call

from ianus.gateway.wsgi.file_wrapper import FileWrapper


cdef enum:
    MAX_KEYS = 1024         # field names whose keys are remembered

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


cdef class Environs:
    """Makes the environs of one application.

    script_name: the part of the URL path before the application's own part. prefix: the part of script_name that
    received paths have. errors: wsgi.errors. header_map: with "dangerous" field names with an underscore have keys too.
    """

    def __init__(
        self, *, str script_name, str prefix, errors, bint multithread, bint multiprocess, str header_map
    ):
        self.prefix = native(prefix)
        self.keep_underscores = header_map == "dangerous"
        self.key_by_field = {
            b"content-length": CONTENT_LENGTH,
            b"content-type": CONTENT_TYPE,
            b"transfer-encoding": None,     # bodies are not chunked any more
            b"proxy": None,                 # CVE-2016-5385: libraries take HTTP_PROXY for a proxy setting
        }
        self.template = {
            REQUEST_METHOD: GET,
            SCRIPT_NAME: native(script_name),
            PATH_INFO: "/",
            QUERY_STRING: "",
            RAW_URI: "/",
            REQUEST_URI: "/",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            SERVER_PROTOCOL: "HTTP/1.1",
            "SERVER_SOFTWARE": "ianus",
            REMOTE_ADDR: "",
            REMOTE_PORT: "",
            "wsgi.version": (1, 0),
            URL_SCHEME: HTTP,
            WSGI_INPUT: None,
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

    cdef int learn_server(self, object server) except -1:
        """Puts the first server address into the template. It is usually the only one."""
        if self.server is None:
            # Requests to other addresses set their own names.
            self.server = server
            set_server(self.template, server)
        return 0

    cdef dict make(self, Exchange exchange, object body, long long body_size, object early_hints):
        """Builds the environ of one request, in one pass over the headers."""
        cdef Request request = exchange.request
        # The application owns the copy, and may change it.
        cdef dict environ = PyDict_Copy(self.template)
        cdef object key, value, client
        cdef str target, endpoint_id
        cdef PyObject* found
        cdef PyObject* present
        cdef Py_ssize_t keys
        cdef tuple field
        if request.method is not GET:
            environ[REQUEST_METHOD] = request.method
        environ[PATH_INFO] = self.path_info(request, environ)
        if request.query_string is not NO_QUERY:
            environ[QUERY_STRING] = latin1(request.query_string)
        # Usually the target is the path.
        if PyBytes_GET_SIZE(request.target) == len(request.path) and request.path.isascii():
            target = request.path
        else:
            target = latin1(request.target)
        # The target as it was received, by the names that gunicorn and uWSGI have for it.
        environ[RAW_URI] = target
        environ[REQUEST_URI] = target
        if request.http_version is not HTTP_1_1:
            environ[SERVER_PROTOCOL] = "HTTP/" + request.http_version
        if exchange.prefix is not None:
            # In place of the one in the settings. path_info() has emptied SCRIPT_NAME if the path has no prefix.
            environ[SCRIPT_NAME] = exchange.prefix + (self.prefix if environ[SCRIPT_NAME] else "")
        if exchange.queued_since:
            note_call(exchange)
            if exchange.shares_queue_time:
                environ[QUEUE_TIME] = exchange.queue_time
        if early_hints is not None:
            environ[EARLY_HINTS] = early_hints
        if exchange.connection.server is not self.server:
            set_server(environ, exchange.connection.server)
        if exchange.connection.scheme is not HTTP:
            environ[URL_SCHEME] = exchange.connection.scheme
            # RFC 3875 has no variable for it. This is that of Apache, which PEP 3333 mentions ("URL Reconstruction").
            environ["HTTPS"] = "on"
            if exchange.connection.server is None or exchange.connection.server[1] is None:
                environ["SERVER_PORT"] = "443"
        client = exchange.connection.client
        if client is not None:
            environ[REMOTE_ADDR] = client[0]
            if client[1]:
                environ[REMOTE_PORT] = str(client[1])
            else:
                # A proxy has not reported it.
                del environ[REMOTE_PORT]
        else:
            # A Unix socket has no port, and REMOTE_ADDR stays empty.
            del environ[REMOTE_PORT]
        endpoint_id = exchange.connection.vpc_endpoint_id()
        if endpoint_id is not None:
            environ["ianus.aws_vpc_endpoint_id"] = endpoint_id
        environ[WSGI_INPUT] = body
        if request.content_length < 0:
            # The body was chunked and is complete. Django reads nothing without this.
            environ[CONTENT_LENGTH] = str(body_size)
        for field in request.headers:
            # Borrowed from the dictionary, whose entries are never removed.
            found = PyDict_GetItemWithError(self.key_by_field, <object>field[0])
            key = <object>found if found != NULL else self.key_for_field(<bytes>field[0])
            if key is None:
                continue
            value = latin1(<bytes>field[1])
            keys = PyDict_Size(environ)
            # One search for both cases: a new key, and a field that is there twice.
            present = PyDict_SetDefault(environ, key, value)
            if PyDict_Size(environ) == keys:
                # RFC 9110 section 5.3; of cookies section 4.2.3 of RFC 6265bis.
                environ[key] = <object>present + ("; " if key is HTTP_COOKIE else ",") + value
        return environ

    cdef object key_for_field(self, bytes name):
        """Returns the key for a new field name, or None if the field is to be dropped."""
        cdef object key = None
        if self.keep_underscores or b"_" not in name:
            key = sys.intern("HTTP_" + name.decode("ascii").upper().replace("-", "_"))
        # Clients choose the names, so the number of remembered ones needs a limit.
        if len(self.key_by_field) < MAX_KEYS:
            self.key_by_field[name] = key
        return key

    cdef str path_info(self, Request request, dict environ):
        """Returns the path as a native string, without the prefix that is in SCRIPT_NAME."""
        cdef str path = request.path
        if not path.isascii():
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
