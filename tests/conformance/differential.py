"""The input that Ianus reads otherwise than h11 and llhttp, each with the reason why.

The tables are complete in both directions: a difference that is not in them is a failure, and so is one in
them that never happens. Parsers' refusals are named by the parsers' messages. "RFC" means 9112 without a number.
"""

import copy
import dataclasses
from collections.abc import Callable, Iterator

from tests.conformance.parsers import Message, by_h11, by_llhttp, ianus

H11, LLHTTP = "h11", "llhttp"
PARSERS = {H11: by_h11, LLHTTP: by_llhttp}
BOTH = (H11, LLHTTP)

# Input that Ianus refuses, which of the others accept it, and why it is refused. To be stricter is never dangerous,
# but may lock a client out: so each is listed.
REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "CONNECT is not supported": (
        (H11,),
        "RFC 9110 9.3.6: an origin server may not implement it; no tunnel, no request",
    ),
    "Content-Length together with Transfer-Encoding": (
        (H11,),
        "6.1: a server MAY reject it; it is how smuggling looks",
    ),
    "HTTP version not supported": (BOTH, "RFC 9110 15.6.6: another major version is another protocol"),
    "HTTP/2 on an address without it; see --http2-cleartext": (BOTH, "the same"),
    "Transfer-Encoding in HTTP/1.0": (BOTH, "6.1: MUST treat the framing as faulty"),
    "asterisk-form is only for OPTIONS": (BOTH, "3.2.4"),
    "bare CR in chunk size line": ((H11,), "2.2: a bare CR is invalid in any element"),
    "bare LF in field": ((H11,), "2.2: MAY be taken for a line end, which others do not"),
    "bare LF in request line": (BOTH, "2.2, as above"),
    "bare LF in trailer": ((H11,), "2.2, as above"),
    "chunk size too large": (BOTH, "7.1: large numerals MUST be anticipated; zeros before one end some day"),
    "control character in field value": ((H11,), "RFC 9110 5.5: invalid"),
    "empty lines before the request line, as of a PROXY header; see --proxy-protocol": (
        (LLHTTP,),
        "2.2: SHOULD ignore at least one; we ignore one",
    ),
    "expectation cannot be met": (BOTH, "RFC 9110 10.1.1: MAY answer 417"),
    "forbidden trailer": (BOTH, "RFC 9110 6.5.1: framing and routing fields MUST NOT be trailers"),
    "invalid Content-Length": ((H11,), "6.3: a list of equal values MAY be rejected"),
    "invalid Host": (BOTH, "3.2: MUST answer 400 to an invalid Host"),
    "invalid Transfer-Encoding": (BOTH, "6.1, RFC 9110 5.6.1: empty elements are not for senders; no folded lines"),
    "invalid authority in request target": (BOTH, "3.2.2, RFC 9110 4.2.1 and 4.2.4: no empty host, no userinfo"),
    "invalid byte in request target": (BOTH, "3.2: a target has no fragment and no white space"),
    "invalid chunk extension": (BOTH, "7.1.1"),
    "invalid field name": ((H11,), "5.2: obs-fold is to be rejected or replaced"),
    "invalid request target": (BOTH, "3.2: of four forms, none is relative"),
    "malformed request line": ((LLHTTP,), "3: one space, no HTTP/0.9, no other protocol"),
    "missing Host": (BOTH, "3.2: MUST answer 400"),
    "more fields than limit-request-fields": (BOTH, "RFC 9110 5.4: a server's own limit"),
    "more trailers than limit-request-fields": (BOTH, "the same"),
    "more than one Content-Length": ((H11,), "6.3: equal values MAY be rejected"),
    "more than one Content-Type": (BOTH, "RFC 9110 8.3: recipients differ in which they believe"),
    "more than one Host": ((LLHTTP,), "3.2: MUST answer 400"),
    "not an HTTP request": ((LLHTTP,), "2.2: no more than CRLF is ignored before a request line"),
    "unknown transfer coding": ((LLHTTP,), "6.1: SHOULD answer 501"),
}

# Input that others refuse, with the start of their messages, and why Ianus accepts it.
ACCEPTED: dict[tuple[str, str], str] = {
    (H11, "no request line received"): "2.2: an empty line before the request line SHOULD be ignored",
    (H11, "illegal chunk header: "): "7.1.1: white space before `;` MUST be parsed and removed (RFC 9110 5.6.3)",
    (H11, "bad Content-Length"): "RFC 9110 8.6: any number of digits; zeros in front of them count nothing",
    (LLHTTP, "Invalid character in chunk size"): "7.1.1, as above",
    (LLHTTP, "Invalid character in chunk extensions"): "7.1.1, the same behind `;` and around `=`",
    (LLHTTP, "Invalid method encountered"): "RFC 9110 9.1: a method is any token; the application knows its own",
    (LLHTTP, "Expected space after method"): "the same, of methods that begin as a known one",
    (LLHTTP, "Expected HTTP/2 Connection Preface"): "the same, of PRI; the preface is told by its version",
    (LLHTTP, "Invalid HTTP version"): "RFC 9110 2.5: a higher minor version is read as the highest that is known",
    (LLHTTP, "Request has invalid `Transfer-Encoding`"): "5.1: white space around a value is not part of it",
}


# --- Input that is read differently ---
# Each function changes the events of another parser into those of Ianus; its docstring has the reason.


def _host_of_the_target(ours: Message, theirs: Message) -> None:
    """3.2.2: the host of an absolute-form MUST replace the Host field."""
    if not ours.target.startswith(b"/") and b"://" in ours.target:
        host = next(value for name, value in ours.headers if name == b"host")
        if any(name == b"host" for name, _ in theirs.headers):
            theirs.headers = [(name, host if name == b"host" else value) for name, value in theirs.headers]
        else:
            theirs.headers = [(b"host", host), *theirs.headers]


def _case_of_the_coding(ours: Message, theirs: Message) -> None:
    """7: names of codings are compared in any case, and passed on as they were sent."""
    sent = dict(ours.headers).get(b"transfer-encoding", b"")
    theirs.headers = [
        (name, sent if name == b"transfer-encoding" and value == sent.lower() else value)
        for name, value in theirs.headers
    ]


def _white_space_behind_values(ours: Message, theirs: Message) -> None:
    """5.1: white space around a field value is not part of it."""
    theirs.headers = [(name, value.rstrip(b" \t")) for name, value in theirs.headers]
    theirs.trailers = [(name, value.rstrip(b" \t")) for name, value in theirs.trailers]


def _higher_minor_version(ours: Message, theirs: Message) -> None:
    """RFC 9110 2.5: a higher minor version is read as the highest that is known."""
    if theirs.version.startswith("1.") and theirs.version > "1.1":
        theirs.version = "1.1"


def _keep_alive_of_1_0(ours: Message, theirs: Message) -> None:
    """9.3: a recipient that wishes to MAY persist with 1.0 clients that send keep-alive."""
    if ours.version == "1.0" and b"keep-alive" in _options(ours):
        theirs.keep_alive = True


def _close_and_keep_alive(ours: Message, theirs: Message) -> None:
    """9.3: close is asked for first."""
    if {b"close", b"keep-alive"} <= _options(ours):
        theirs.keep_alive = False


def _proxy_connection(ours: Message, theirs: Message) -> None:
    """Appendix C.2.2: Proxy-Connection is not for us; a proxy that passes it on has not understood it."""
    if any(name == b"proxy-connection" for name, _ in ours.headers):
        theirs.keep_alive = ours.keep_alive


def _connection_in_trailers(ours: Message, theirs: Message) -> None:
    """RFC 9110 6.5.1: trailers cannot change whether a connection persists."""
    if any(name == b"connection" for name, _ in ours.trailers):
        theirs.keep_alive = ours.keep_alive


def _options(message: Message) -> set[bytes]:
    values = b",".join(value for name, value in message.headers if name == b"connection")
    return {option.strip(b" \t").lower() for option in values.split(b",")}


READ_OTHERWISE: list[tuple[str, Callable[[Message, Message], None]]] = [
    (H11, _host_of_the_target),
    (H11, _case_of_the_coding),
    (H11, _higher_minor_version),
    (H11, _keep_alive_of_1_0),
    (LLHTTP, _white_space_behind_values),
    (LLHTTP, _host_of_the_target),
    (LLHTTP, _close_and_keep_alive),
    (LLHTTP, _proxy_connection),
    (LLHTTP, _connection_in_trailers),
]


# --- Comparing ---

# A difference is (parser, key): the key is that of one of the tables.
Difference = tuple[str, str]

# RFC 9110 7.8: a server MAY ignore Upgrade, and then reads the message as any other. llhttp passes the bytes after the
# head on as another protocol's, body or not; so it does after CONNECT, which Ianus refuses.
UPGRADE: Difference = (LLHTTP, "upgrade")

LISTED: frozenset[Difference] = frozenset(
    [
        *((parser, reason) for reason, (parsers, _) in REFUSED.items() for parser in parsers),
        *ACCEPTED,
        UPGRADE,
        *((parser, function.__name__) for parser, function in READ_OTHERWISE),
    ]
)

# These show differences that are rare in other input.
_CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
EXAMPLES = [_CHUNKED + b"0\r\nConnection: close\r\n\r\n", _CHUNKED + b"00000000000000000\r\n\r\n"]
EXAMPLES += [
    b"PRI / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 000000000000000000000\r\n\r\n",
]


class UnlistedError(AssertionError):
    """A difference that is in no table."""


def differences(data: bytes) -> Iterator[Difference]:
    """The listed differences that this input shows. Raises UnlistedError for any other."""
    ours = ianus(data)
    for parser, read in PARSERS.items():
        theirs = read(data)
        if theirs.end == "upgraded":
            yield _listed((parser, "upgrade"), data)
            theirs.messages.pop()
            theirs.end = "closed"
        for our, their in zip(ours.messages, theirs.messages, strict=False):
            yield from _reconciled(parser, our, their, data)
            if not our.keep_alive:
                break
        else:
            count = len(ours.messages)
            if len(theirs.messages) > count:
                # If Ianus waits for more of a message, or has closed, the difference is not in a table.
                yield _listed((parser, ours.reason), data)
            elif len(theirs.messages) < count and theirs.end != "closed":
                yield _listed((parser, next(_known(parser, theirs.reason), theirs.end)), data)


def _reconciled(parser: str, ours: Message, theirs: Message, data: bytes) -> Iterator[Difference]:
    if theirs == ours:
        return
    for table_parser, reconcile in READ_OTHERWISE:
        if table_parser == parser:
            before = copy.copy(theirs)
            reconcile(ours, theirs)
            if theirs != before:
                yield parser, reconcile.__name__
    if theirs != ours:
        raise UnlistedError(
            f"{parser} reads {dataclasses.asdict(theirs)}, Ianus {dataclasses.asdict(ours)} in {data!r}"
        )


def _known(parser: str, reason: str) -> Iterator[str]:
    return (start for name, start in ACCEPTED if name == parser and reason.startswith(start))


def _listed(difference: Difference, data: bytes) -> Difference:
    if difference not in LISTED:
        raise UnlistedError(f"{difference} in {data!r}: {ianus(data)} beside {PARSERS[difference[0]](data)}")
    return difference
