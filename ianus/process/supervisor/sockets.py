"""The sockets of the workers: for a TCP address one a slot, for all other addresses a shared one.

Facts and rules:
- The supervisor keeps every socket open, with or without a worker: connections in its backlog wait for the next worker
  of that slot, and are never reset.
- The system spreads new connections among the sockets of an address (SO_REUSEPORT). A socket that is
  about to be closed is excluded first (steer()), since connections in its backlog would be reset. So is a socket
  without a worker that serves, unless no worker does.
- A server that replaces this one (upgrade.py) gets all of them, under the names that --bind gives the addresses.
"""

# ruff: noqa: PTH110  (pathlib takes 5 ms to import)

import array
import os
import socket
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence

from ianus.acceptor.listener import Listener, listen_beside, listen_fd, take_over
from ianus.errors import AddressInUseError, StartupError
from ianus.process.resources import listen_on
from ianus.process.supervisor.fd_store import InheritedFds, format_stored_name
from ianus.settings.schema import Settings
from ianus.settings.values import Bind, FdBind, TcpBind, UnixBind
from ianus.telemetry.logger import logger

# A bind, and how many there are before it that are the same: each of several with port 0 is another address.
BindKey = tuple[Bind, int]


def _keys(settings: Settings) -> list[BindKey]:
    binds = settings.all_binds()
    return [(bind, binds[:index].count(bind)) for index, bind in enumerate(binds)]


def _name(key: BindKey) -> str:
    return f"{key[0]} {key[1]}"


class ListenerGroup:
    """One address: its sockets by slot; of those that have no siblings, the only one.

    is_inherited: another server had them before.
    """

    def __init__(self, listeners: list[Listener], *, per_slot: bool, is_inherited: bool = False) -> None:
        self.listeners = listeners
        self._per_slot = per_slot
        # Slots of the filter, empty without one; None if another server may have steered.
        self._steered: list[int] | None = None if is_inherited else []

    def for_slot(self, slot: int, backlog: int) -> Listener:
        """Returns the socket of a slot; opens a missing one, for slots in their order. Raises StartupError."""
        if not self._per_slot:
            return self.listeners[0]
        while len(self.listeners) <= slot:
            self.listeners.append(listen_beside(self.listeners[0], backlog=backlog))
        return self.listeners[slot]

    def steer(self, slots: Sequence[int]) -> None:
        """Sends new connections to these slots only, if the system supports it. No slots: to the first."""
        chosen = [slot for slot in slots if slot < len(self.listeners)] or [0]
        # Once some were excluded, all are named: a closed socket may be open in another process, or here as a
        # duplicate (unserved.py), and connections in its backlog would be reset at its end.
        if len(chosen) == len(self.listeners) and self._steered == []:
            return
        if self._per_slot and chosen != self._steered:
            self._steered = chosen
            _steer(self.listeners[0].sock, chosen)

    def listeners_without(self, slots: Collection[int]) -> list[Listener]:
        """Returns the sockets of all slots but these; none if the slots share one."""
        return [each for slot, each in enumerate(self.listeners) if self._per_slot and slot not in slots]

    def reset_steering(self) -> None:
        """Forgets the last steering, after which another server may have steered."""
        self._steered = None

    def close_unused(self, slots: int) -> None:
        """Closes the sockets of all but the first `slots` slots; keeps at least one."""
        if self._per_slot and len(self.listeners) > max(slots, 1):
            for listener in self.listeners[max(slots, 1) :]:
                listener.close()
            del self.listeners[max(slots, 1) :]


class Sockets:
    """All listening sockets. inherited: descriptors from the previous server. is_shared: workers share each of them.

    Raises StartupError for an address that cannot be used.
    """

    def __init__(self, settings: Settings, inherited: InheritedFds | None = None, *, is_shared: bool = False) -> None:
        self._is_shared = is_shared
        self._inherited = dict(inherited or {})
        self._groups: dict[BindKey, list[ListenerGroup]] = {}
        try:
            self.open_missing(settings)
        except BaseException:
            self.close(keep_files=inherited is not None)
            raise
        for fd in (fd for groups in self._inherited.values() for fds in groups for fd in fds):
            os.close(fd)  # of an address that is not served any more
        self._inherited.clear()

    def open_missing(self, settings: Settings) -> None:
        """Listens on those addresses of `settings` that are not listened on yet. Raises StartupError."""
        for key in _keys(settings):
            if key not in self._groups:
                self._groups[key] = self._add(key, settings)
            elif (lost := self._groups[key][0].listeners[0]).has_lost_file():
                self._groups[key] = self._listen(key, settings)
                logger.warning("the Unix socket was removed, created it again: %s", lost.path)
                lost.close()

    def _add(self, key: BindKey, settings: Settings) -> list[ListenerGroup]:
        """Listens on an address while others are open. Raises StartupError."""
        try:
            return self._listen(key, settings)
        except AddressInUseError as error:
            for listener in self.listeners():
                if listener.sock.family != socket.AF_UNIX and listener.sock.getsockname()[1] == error.port:
                    raise StartupError(
                        f"{key[0]} is in use by this server itself, which listens on {listener.address}"
                        f"{' for IPv4 too' if '://[::]:' in listener.address else ''}. "
                        "A reload cannot change that: restart the server, or remove the new address."
                    ) from None
            raise

    def close_unused(self, settings: Iterable[Settings], slots: int) -> None:
        """Closes sockets that neither these `settings` nor the first `slots` slots need."""
        needed = {key for each in settings for key in _keys(each)}
        for key in [key for key in self._groups if key not in needed]:
            for group in self._groups.pop(key):
                for listener in group.listeners:
                    listener.close()
        for group in self._all_groups():
            group.close_unused(slots)

    def steer(self, slots: Sequence[int]) -> None:
        """Sends new connections to these slots only, if the system supports it. No slots: to the first."""
        for group in self._all_groups():
            group.steer(slots)

    def listeners_without(self, slots: Collection[int]) -> list[Listener]:
        """Returns the sockets of all slots but these, without those that the slots share."""
        return [each for group in self._all_groups() for each in group.listeners_without(slots)]

    def reset_steering(self) -> None:
        """Makes the next steer() set all sockets again, since another server may have steered them."""
        for group in self._all_groups():
            group.reset_steering()

    def for_slot(self, slot: int, settings: Settings) -> list[Listener]:
        """Returns the sockets of a slot. Raises StartupError if one of them cannot be opened."""
        listeners = []
        for is_tls, group in self._groups_of(settings):
            listener = group.for_slot(slot, settings.backlog)
            # Of these settings: a reload may turn TLS on, and the worker is forked now.
            listener.is_tls = is_tls
            listeners.append(listener)
        return listeners

    def addresses(self, settings: Settings) -> list[str]:
        """Returns the addresses of `settings` as text for users."""
        for is_tls, group in self._groups_of(settings):
            group.listeners[0].is_tls = is_tls
        return [group.listeners[0].address for _, group in self._groups_of(settings)]

    def listeners(self) -> Iterator[Listener]:
        """Every single one."""
        for group in self._all_groups():
            yield from group.listeners

    def fds_to_hand_over(self) -> dict[str, list[list[int]]]:
        """Returns the descriptors for a server that takes over, for its `inherited`."""
        return {
            _name(key): [[listener.sock.fileno() for listener in group.listeners] for group in groups]
            for key, groups in self._groups.items()
        }

    def fds_to_store(self) -> dict[str, int]:
        """Returns the descriptors that systemd can keep, by their names there: each address must stay the same."""
        return {
            format_stored_name(_name(key), number): group.listeners[0].sock.fileno()
            for key, groups in self._groups.items()
            if not isinstance(key[0], FdBind) and not (isinstance(key[0], TcpBind) and key[0].port == 0)
            for number, group in enumerate(groups)
        }

    def close(self, *, keep_files: bool = False) -> None:
        """keep_files: another server has the socket files now."""
        for listener in self.listeners():
            if keep_files:
                listener.leave_file()
            listener.close()
        self._groups.clear()

    def _groups_of(self, settings: Settings) -> Iterator[tuple[bool, ListenerGroup]]:
        """Yields the sockets of each address, and whether it has TLS. Those of --insecure-bind are the last ones."""
        for index, key in enumerate(_keys(settings)):
            for group in self._groups[key]:
                yield settings.uses_tls() and index < len(settings.bind), group

    def _all_groups(self) -> Iterator[ListenerGroup]:
        for groups in self._groups.values():
            yield from groups

    def _listen(self, key: BindKey, settings: Settings) -> list[ListenerGroup]:
        bind, _ = key
        per_slot = not self._is_shared and not isinstance(bind, (UnixBind, FdBind))
        if inherited := self._inherited.pop(_name(key), None):
            # The file of a socket that a process manager has opened is never ours.
            take = listen_fd if isinstance(bind, FdBind) else take_over
            taken = [ListenerGroup([take(fd) for fd in fds], per_slot=per_slot, is_inherited=True) for fds in inherited]
            if not isinstance(bind, UnixBind) or os.path.exists(bind.path):
                return taken
            # systemd removes RuntimeDirectory= at a restart. No client can connect to the socket any more.
            for group in taken:
                group.listeners[0].close()
        return [ListenerGroup([listener], per_slot=per_slot) for listener in listen_on(bind, settings, shared=per_slot)]


# --- Which of the sockets of an address gets a connection ---

# linux/filter.h: load a word, modulo, jump if equal, return a constant.
_LOAD, _MODULO, _JUMP_IF, _RETURN = 0x20, 0x94, 0x15, 0x06
# A random number instead of a word of the packet (SKF_AD_OFF + SKF_AD_RANDOM).
_RANDOM = (-0x1000 + 56) & 0xFFFFFFFF
# asm-generic/socket.h; Python has no name for it.
_ATTACH_FILTER = 51


def _steer(sock: socket.socket, chosen: Sequence[int]) -> None:
    """Sends new connections to the chosen sockets of the address, counted in the order of their listen().

    Without effect on systems other than Linux.
    """
    try:
        # Operation, instructions to skip if it is true, those to skip if not, operand.
        steps = [(_LOAD, 0, 0, _RANDOM), (_MODULO, 0, 0, len(chosen))]
        for number, index in enumerate(chosen):
            steps += [(_JUMP_IF, 0, 1, number), (_RETURN, 0, 0, index)]
        steps.append((_RETURN, 0, 0, chosen[0]))  # The kernel wants to see an end.
        program = b"".join(struct.pack("=HBBI", *step) for step in steps)
        memory = array.array("B", program)
        # The kernel copies the program from this address.
        sock.setsockopt(
            socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", len(program) // 8, memory.buffer_info()[0])
        )
    except OSError:
        pass
