"""All slots: those that are to have a worker, and those that are being removed.

New connections are first sent to the slots that stay (Workers steers them). After SLOT_RETIRE_DELAY_SECONDS, for
connections that are still on their way to a slot that is being removed, its worker is stopped.
"""

from collections.abc import Iterator

from ianus.process.supervisor.slot import Slot
from ianus.process.supervisor.worker_process import WorkerProcess

# Seconds in which connections may still arrive at a slot that is being removed.
SLOT_RETIRE_DELAY_SECONDS = 1.0


class Slots:
    """The slots by number.

    count: the number of slots that are to have a worker, which are the first ones.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._slots: list[Slot] = []
        self._retire_at: dict[int, float] = {}  # when slots stop that are being removed; 0 if they have stopped

    def __iter__(self) -> Iterator[Slot]:
        return iter(self._slots)

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, number: int) -> Slot:
        return self._slots[number]

    def wanted(self) -> list[Slot]:
        """Returns the slots that are to have a worker."""
        return self._slots[: self.count]

    def processes(self) -> list[WorkerProcess]:
        """Returns the processes of all slots."""
        return [process for slot in self._slots for process in slot.processes()]

    def serving(self) -> Iterator[WorkerProcess]:
        """Yields the workers that accept connections."""
        return (slot.serving for slot in self._slots if slot.serving is not None)

    def starting(self) -> Iterator[WorkerProcess]:
        """Yields the workers that are starting."""
        return (slot.starting for slot in self._slots if slot.starting is not None)

    def are_all_served(self) -> bool:
        """Returns whether each wanted slot has a worker that accepts connections."""
        return self.count == sum(slot.serving is not None for slot in self.wanted())

    def is_retiring(self, number: int) -> bool:
        """Returns whether a slot is being removed."""
        return number in self._retire_at

    def add_missing(self) -> None:
        """Adds slots until there are `count`."""
        while len(self._slots) < self.count:
            self._slots.append(Slot(len(self._slots)))

    def retire(self, now: float) -> bool:
        """Stops the workers of slots after the first `count`, and removes vacant ones. Returns whether any is removed.

        Only the last slot can be removed, since a slot's number is its place.
        """
        for number in range(self.count, len(self._slots)):
            self._retire_at.setdefault(number, now + SLOT_RETIRE_DELAY_SECONDS)
        for number, until in list(self._retire_at.items()):
            if number < self.count:
                del self._retire_at[number]  # It is wanted again.
            elif until and now >= until:
                self._retire_at[number] = 0.0
                for process in self._slots[number].retire():
                    process.stop(now)
        before = len(self._slots)
        while len(self._slots) > self.count and not any(self._slots[-1].processes()):
            self._retire_at.pop(len(self._slots) - 1, None)
            self._slots.pop()
        return len(self._slots) < before

    def permit_starts(self) -> None:
        """Ends the delays of the next starts, since a new configuration may have removed the reason of a failure."""
        for slot in self._slots:
            slot.not_before = 0.0

    def due(self, now: float) -> list[float]:
        """Returns the times at which slots stop and delayed starts are permitted; 0 for none."""
        return [*self._retire_at.values(), *(slot.not_before for slot in self._slots if slot.not_before > now)]
