"""The server's own log in syslog, by the handler of Python's logging.

Facts: that handler waits for a daemon that does not read, and for the connection and the name of one that is not there.
A record may be written by the thread of an event loop, so this must not happen while the server runs.

Rules:
- The name of a host is resolved once, when the log is opened. Only then the server waits for a connection.
- Sockets do not block: a record that cannot be sent at once is lost and counted. A stream is closed then, since a part
  of the record may have been sent.
- Records of a stream end in a line feed, the usual trailer (RFC 6587 section 3.4.2). So they contain no other one.
"""

import errno
import logging
import os
import socket
import sys
import time
from logging.handlers import SysLogHandler
from typing import Any

from ianus.telemetry.logger import format_safely, logger
from ianus.telemetry.system import pause

# Seconds to wait for a connection when the log is opened, between checks of it, and between attempts later.
CONNECT_SECONDS = 1.0
CHECK_SECONDS = 0.01
RETRY_SECONDS = 1.0
# Seconds between reports of lost records.
REPORT_SECONDS = 300.0

_CONNECTING = (errno.EINPROGRESS, errno.EALREADY)


class NonBlockingSyslogHandler(SysLogHandler):
    """Sends records to syslog.

    target: the path of a Unix socket, or host and port. kind: of the socket; None is datagrams, or else a stream.
    tag: the name at the start of records. log_syslog_to: the address for messages.

    The constructor does not raise for a daemon that is not there: `problem` has the reason then.
    """

    def __init__(
        self,
        target: str | tuple[str, int],
        kind: socket.SocketKind | None,
        *,
        log_syslog_to: str,
        log_syslog_facility: str,
        tag: str,
    ) -> None:
        self._log_syslog_to = log_syslog_to
        self._places: list[tuple[int, str | tuple[Any, ...]]] = []  # families and addresses
        self._connecting: socket.socket | None = None
        self._retry_at = 0.0
        self._lost = 0
        self._reported_at = -REPORT_SECONDS
        self._is_reporting = False
        self.problem = ""
        try:
            super().__init__(target, SysLogHandler.facility_names[log_syslog_facility], kind)
        except OSError:
            self._reported_at = time.monotonic()
        self.ident = f"{tag}: "

    def createSocket(self) -> None:  # noqa: N802
        """Connects to the daemon. Raises OSError, also if it was not there just before."""
        if time.monotonic() < self._retry_at:
            raise OSError(0, self.problem)
        try:
            if self._places:
                self._connect()
            elif not self._retry_at:
                self._connect_first()
            else:
                raise OSError(0, self.problem)  # The name could not be resolved. To try it again would block.
        except OSError as error:
            self.problem = _reason(error)
            if self._connecting is None:
                self._retry_at = time.monotonic() + RETRY_SECONDS
                self._try_next_place()
            raise
        self._retry_at = 0.0

    def _connect_first(self) -> None:
        if isinstance(self.address, str):
            self._places = [(socket.AF_UNIX, self.address)]
        else:
            host, port = self.address
            found = socket.getaddrinfo(host, port, type=self.socktype or 0)
            self._places = [(int(family), address) for family, _, _, _, address in found]
        deadline = time.monotonic() + CONNECT_SECONDS
        others = len(self._places) - 1
        while self.socket is None:
            try:
                self._connect()
            except OSError:
                if self._connecting is not None and time.monotonic() < deadline:
                    pause(CHECK_SECONDS)
                elif self._connecting is None and others:
                    others -= 1
                    self._try_next_place()
                else:
                    raise

    def _try_next_place(self) -> None:
        self._places = self._places[1:] + self._places[:1]

    def _connect(self) -> None:
        """Connects to the first of the places. Raises BlockingIOError while it is connecting."""
        family, address = self._places[0]
        for kind in [self.socktype] if self.socktype else [socket.SOCK_DGRAM, socket.SOCK_STREAM]:
            sock = self._connecting or socket.socket(family, kind)
            self._connecting = None
            sock.setblocking(False)
            code = sock.connect_ex(address)
            if code in (0, errno.EISCONN):
                self.socket, self.socktype, self.address = sock, kind, address
                # Otherwise a failed send would connect again, with a socket that blocks.
                self.unixsocket = False
                self.append_nul = kind == socket.SOCK_DGRAM
                return
            if code in _CONNECTING:
                self._connecting = sock
                raise BlockingIOError(code, "no connection yet")
            sock.close()
        raise OSError(code, os.strerror(code))

    def emit(self, record: logging.LogRecord) -> None:
        """Sends a record; its lock is held. Never raises or blocks."""
        if not self._is_reporting:
            super().emit(record)
            if self._lost:
                self._report()

    def format(self, record: logging.LogRecord) -> str:
        """The text of a record, which is one line in a stream."""
        assert self.formatter is not None
        text = format_safely(self.formatter, record)
        if self.socket is None:
            self.createSocket()  # It decides about the kind.
        return text if self.append_nul else text.replace("\n", "\\n") + "\n"

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Counts a record that could not be sent."""
        error = sys.exc_info()[1]
        self.problem = _reason(error) if isinstance(error, OSError) else repr(error)
        self._lost += 1
        if self.socket is not None and self.socktype == socket.SOCK_STREAM:
            self.socket.close()
            self.socket = None  # type: ignore[assignment]  # so emit() connects again

    def close(self) -> None:
        """Closes the socket. May be called twice."""
        if self._connecting is not None:
            self._connecting.close()
            self._connecting = None
        super().close()

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._reported_at < REPORT_SECONDS:
            return
        self._reported_at = now
        lost, self._lost = self._lost, 0
        self._is_reporting = True
        try:
            logger.error("cannot send to syslog at %s (%s): %d record(s) lost", self._log_syslog_to, self.problem, lost)
        finally:
            self._is_reporting = False


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
