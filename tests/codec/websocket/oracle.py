"""Reads a client's bytes with the `websockets` library and returns the events of our codec.

It is written independently of ours, in Python, and reads frames; messages are put together here.
"""

import codecs
from dataclasses import dataclass, field

from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from .feeding import Event


@dataclass
class Reading:
    """events: up to the error, if there is one. reason: in words of the library, "" without an error."""

    events: list[Event] = field(default_factory=list)
    reason: str = ""


def read(data: bytes, *, max_size: int, deflate: bool) -> Reading:
    protocol = ServerProtocol(state=State.OPEN, max_size=max_size or None)
    if deflate:
        protocol.extensions = [PerMessageDeflate(False, False, 15, 12)]
    protocol.receive_data(data)
    reading = Reading()
    assembler = _Assembler(reading.events)
    try:
        for frame in protocol.events_received():
            assert isinstance(frame, Frame)
            assembler.add(frame)
    except UnicodeDecodeError:
        reading.events.append(("error", 1007))
        reading.reason = "text that is not UTF-8"
        return reading
    if protocol.parser_exc is not None:
        assert protocol.close_sent is not None
        reading.events.append(("error", protocol.close_sent.code))
        reading.reason = str(protocol.parser_exc)
    elif protocol.close_rcvd is not None:
        reading.events.append(("close", int(protocol.close_rcvd.code), protocol.close_rcvd.reason))
    return reading


class _Assembler:
    def __init__(self, events: list[Event]) -> None:
        self._events = events
        self._text = False
        self._data = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def add(self, frame: Frame) -> None:
        data = bytes(frame.data)
        if frame.opcode in (Opcode.PING, Opcode.PONG):
            self._events.append((frame.opcode.name.lower(), data))
        elif frame.opcode is not Opcode.CLOSE:
            if frame.opcode is not Opcode.CONT:
                self._text = frame.opcode is Opcode.TEXT
                self._data = b""
                self._decoder.reset()
            self._data += data
            if self._text:
                self._decoder.decode(data, frame.fin)
            if frame.fin:
                self._events.append(("message", self._data.decode() if self._text else self._data))
