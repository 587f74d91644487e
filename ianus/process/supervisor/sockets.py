"""What the workers listen on: of each TCP address a socket for each slot, of everything else one for all.

Facts and rules:
- The supervisor keeps every socket open, whoever serves on it and whether somebody does: what waits in its queue waits
  for the next worker of that slot, and is never reset.
- The system spreads new connections among the sockets of an address (SO_REUSEPORT). A socket that is to go is left out
  of that first (steer()), since connections that wait in its queue would go with it; so is one that nobody serves.
- A server that replaces this one (upgrade.py) gets all of them, under the names that --bind gives the addresses.
"""

import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ianus.acceptor.listener import Listener, listen_beside, listen_fd, take_over
from ianus.errors import AddressInUseError, StartupError
from ianus.process.resources import listen_on
from ianus.settings.schema import Settings
from ianus.settings.values import Bind, FdBind, UnixBind
from ianus.telemetry.logger import logger

# By the name of a bind, for each address that it stands for the sockets of the slots, as descriptors.
Handed = Mapping[str, Sequence[Sequence[int]]]


# A bind, and how many there are before it that are the same: each of several with port 0 is another address.
Key = tuple[Bind, int]


def _keys(settings: Settings) -> list[Key]:
    return [(bind, settings.bind[:index].count(bind)) for index, bind in enumerate(settings.bind)]


def _name(key: Key) -> str:
    return f"{key[0]} {key[1]}"


class Address:
    """One address: its sockets by slot; of those that have no siblings, the only one."""

    def __init__(self, listeners: list[Listener], *, shares: bool) -> None:
        self.listeners = listeners
        self._shares = shares
        # None where another server may have steered.
        self._steered: list[int] | None = [] if len(listeners) == 1 else None

    def of(self, slot: int, backlog: int) -> Listener:
        """The socket of a slot; opened where there is none, for slots one after the other. Raises StartupError."""
        if not self._shares:
            return self.listeners[0]
        while len(self.listeners) <= slot:
            self.listeners.append(listen_beside(self.listeners[0], backlog=backlog))
        return self.listeners[slot]

    def steer(self, slots: Sequence[int]) -> None:
        """New connections go to these slots only, as far as the system can be told; none are all."""
        chosen = [slot for slot in slots if slot < len(self.listeners)]
        if len(chosen) == len(self.listeners):
            chosen = []
        if self._shares and chosen != self._steered:
            self._steered = chosen
            _steer(self.listeners[0].sock, chosen)

    def forget_steering(self) -> None:
        """Somebody else may have steered."""
        self._steered = None

    def keep(self, slots: int) -> None:
        """Closes the sockets of slots behind the first so many, but for one."""
        if self._shares and len(self.listeners) > max(slots, 1):
            for listener in self.listeners[max(slots, 1) :]:
                listener.close()
            del self.listeners[max(slots, 1) :]


class Sockets:
    """All of them. handed: by whoever served before. Raises StartupError where an address cannot be had."""

    def __init__(self, settings: Settings, handed: Handed | None = None) -> None:
        self._handed = dict(handed or {})
        self._open: dict[Key, list[Address]] = {}
        try:
            self.require(settings)
        except BaseException:
            self.close(leave_files=handed is not None)
            raise
        for fd in (fd for addresses in self._handed.values() for fds in addresses for fd in fds):
            os.close(fd)  # of an address that is not served any more
        self._handed.clear()

    def require(self, settings: Settings) -> None:
        """Listens on those addresses of `settings` that are not listened on yet. Raises StartupError."""
        for key in _keys(settings):
            if key not in self._open:
                self._open[key] = self._add(key, settings)
            elif (lost := self._open[key][0].listeners[0]).has_lost_file():
                self._open[key] = self._listen(key, settings)
                logger.warning("the Unix socket was removed, created it again: %s", lost.path)
                lost.close()

    def _add(self, key: Key, settings: Settings) -> list[Address]:
        """Listens on an address while others are open. Raises StartupError."""
        try:
            return self._listen(key, settings)
        except AddressInUseError as error:
            for listener in self.listeners():
                if listener.sock.family != socket.AF_UNIX and listener.sock.getsockname()[1] == error.port:
                    raise StartupError(
                        f"{key[0]} is in use by this server itself, which listens on {listener.address}"
                        f"{' for IPv4 too' if listener.address.startswith('http://[::]:') else ''}. "
                        "A reload cannot change that: restart the server, or leave out the new address."
                    ) from None
            raise

    def keep(self, settings: Iterable[Settings], slots: int) -> None:
        """Closes what none of these `settings` needs, nor the first so many slots."""
        needed = {key for each in settings for key in _keys(each)}
        for key in [key for key in self._open if key not in needed]:
            for address in self._open.pop(key):
                for listener in address.listeners:
                    listener.close()
        for address in self._all():
            address.keep(slots)

    def steer(self, slots: Sequence[int]) -> None:
        """New connections go to these slots only, as far as the system can be told; none are all."""
        for address in self._all():
            address.steer(slots)

    def forget_steering(self) -> None:
        """Another server may have steered them: next time it is done anew."""
        for address in self._all():
            address.forget_steering()

    def of(self, slot: int, settings: Settings) -> list[Listener]:
        """What a slot listens on. Raises StartupError where a socket of its own cannot be opened."""
        return [address.of(slot, settings.backlog) for key in _keys(settings) for address in self._open[key]]

    def addresses(self, settings: Settings) -> list[str]:
        """For people: where `settings` has it listen."""
        return [address.listeners[0].address for key in _keys(settings) for address in self._open[key]]

    def listeners(self) -> Iterator[Listener]:
        """Every single one."""
        for address in self._all():
            yield from address.listeners

    def handed(self) -> dict[str, list[list[int]]]:
        """What a server that takes over is given, as `handed`."""
        return {
            _name(key): [[listener.sock.fileno() for listener in address.listeners] for address in addresses]
            for key, addresses in self._open.items()
        }

    def close(self, *, leave_files: bool = False) -> None:
        """leave_files: another server has the socket files now."""
        for listener in self.listeners():
            if leave_files:
                listener.leave_file()
            listener.close()
        self._open.clear()

    def _all(self) -> Iterator[Address]:
        for addresses in self._open.values():
            yield from addresses

    def _listen(self, key: Key, settings: Settings) -> list[Address]:
        bind, _ = key
        shares = not isinstance(bind, (UnixBind, FdBind))
        if handed := self._handed.pop(_name(key), None):
            # The file of a socket that a process manager has opened is never ours.
            take = listen_fd if isinstance(bind, FdBind) else take_over
            return [Address([take(fd) for fd in fds], shares=shares) for fds in handed]
        return [Address([listener], shares=shares) for listener in listen_on(bind, settings, shared=True)]


# --- Which of the sockets of an address gets a connection ---

# linux/filter.h: load a word, modulo, jump if equal, return a constant.
_LOAD, _MODULO, _JUMP_IF, _RETURN = 0x20, 0x94, 0x15, 0x06
# A random number instead of a word of the packet (SKF_AD_OFF + SKF_AD_RANDOM).
_RANDOM = (-0x1000 + 56) & 0xFFFFFFFF
# asm-generic/socket.h; Python has no names for them.
_ATTACH_FILTER, _DETACH_FILTER = 51, 68


def _steer(sock: socket.socket, chosen: Sequence[int]) -> None:
    """Has a new connection go to one of the chosen sockets at its address, counted as they began to listen.

    None are all, as the system has it. Where it cannot be told (it can on Linux), nothing changes.
    """
    try:
        import ctypes  # For this alone, and 5 ms.

        if not chosen:
            sock.setsockopt(socket.SOL_SOCKET, _DETACH_FILTER, 1)
            return
        # Operation, instructions to leave out if it is true and if not, operand.
        steps = [(_LOAD, 0, 0, _RANDOM), (_MODULO, 0, 0, len(chosen))]
        for number, index in enumerate(chosen):
            steps += [(_JUMP_IF, 0, 1, number), (_RETURN, 0, 0, index)]
        steps.append((_RETURN, 0, 0, chosen[0]))  # The kernel wants to see an end.
        program = b"".join(struct.pack("=HBBI", *step) for step in steps)
        buffer = ctypes.create_string_buffer(program, len(program))
        sock.setsockopt(
            socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
        )
    except (OSError, ImportError):
        pass
