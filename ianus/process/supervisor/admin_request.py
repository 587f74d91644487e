"""Reads the head of a request to the admin socket, and builds responses: no socket, and no clock.

The supervisor loads nothing compiled, so it cannot use the server's codec. This reader is small and strict: GET and
HEAD without a body, one request a connection.
"""

import re
from typing import NamedTuple

# Maximum size of a head. Clients are health checks and programs of the operator.
MAX_HEAD_BYTES = 8192

REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}

# RFC 9112 sections 3 and 5, RFC 9110 section 5.6.2. A target is a path, with or without a query.
# Compiled with the first request, so that they do not delay the start.
_REQUEST_LINE = rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) (/[!-~]*) HTTP/1\.([01])"
_FIELD_LINE = rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\xff]*)"
_LOOPBACK = rb"(?:localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]{1,5})?"


class AdminRequest(NamedTuple):
    """A request to the admin socket. path: as received, without the query."""

    method: str
    path: str


class AdminRequestError(Exception):
    """A request that gets an error response. status: of that response. The text of the exception is its body."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def parse_head(data: bytes, *, local_only: bool) -> AdminRequest | None:
    """Parses the bytes that have arrived; None if the head is not complete. Raises AdminRequestError.

    local_only: the Host has to be one of this machine. Otherwise a web page could read the socket through the browser
    of an operator, by a name of its own that leads to a loopback address.
    """
    head, end, _ = data.partition(b"\r\n\r\n")
    if not end:
        if len(data) > MAX_HEAD_BYTES:
            raise AdminRequestError(431, "the head is too large")
        # A first line that cannot become valid is answered at once.
        first = data.partition(b"\n")
        if first[1] and not re.fullmatch(_REQUEST_LINE, first[0].removesuffix(b"\r")):
            raise AdminRequestError(400, "malformed request line")
        return None
    if len(head) > MAX_HEAD_BYTES:
        raise AdminRequestError(431, "the head is too large")
    first_line, *lines = head.split(b"\r\n")
    if (line := re.fullmatch(_REQUEST_LINE, first_line)) is None:
        raise AdminRequestError(400, "malformed request line")
    fields: dict[bytes, list[bytes]] = {}
    for each in lines:
        if (found := re.fullmatch(_FIELD_LINE, each)) is None:
            raise AdminRequestError(400, "malformed header field")
        fields.setdefault(found[1].lower(), []).append(found[2].strip(b" \t"))
    hosts = fields.get(b"host", [])
    # RFC 9112 section 3.2
    if len(hosts) > 1 or (not hosts and line[3] == b"1"):
        raise AdminRequestError(400, "the request needs one Host")
    if local_only and hosts and not re.fullmatch(_LOOPBACK, hosts[0].lower()):
        raise AdminRequestError(403, "the Host is not localhost or a loopback address")
    if line[1] not in (b"GET", b"HEAD"):
        raise AdminRequestError(405, "only GET and HEAD are supported")
    if b"transfer-encoding" in fields or any(each != b"0" for each in fields.get(b"content-length", [])):
        raise AdminRequestError(400, "the request has a body")
    return AdminRequest(line[1].decode(), line[2].partition(b"?")[0].decode())


def build_response(status: int, body: bytes, content_type: str, date: str, *, is_head: bool) -> bytes:
    """Builds a response, the last one of its connection. is_head: it answers HEAD (RFC 9110 section 9.3.2)."""
    lines = [
        f"HTTP/1.1 {status} {REASONS[status]}",
        f"Date: {date}",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    if status == 405:
        lines.append("Allow: GET, HEAD")
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if is_head else body)
