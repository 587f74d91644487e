"""The generation of workers that is in effect, and a newer one that is being tried.

A new configuration is in effect once a worker has started with it. Until then replacements of crashed workers start
with the previous one. If the new one fails, the present workers continue to serve.
"""

from ianus.process.supervisor.generation import Generation


class Generations:
    """Numbers generations.

    active: the last one with which a worker has started, or the first one. pending: the one that is being tried.
    """

    def __init__(self, first: Generation) -> None:
        self.active = first
        self.pending: Generation | None = None
        self._last_number = first.number

    def newest(self) -> Generation:
        """Returns the pending generation if there is one, else the active one."""
        return self.pending or self.active

    def needed(self) -> list[Generation]:
        """Returns the generations with which workers may still be started."""
        return [self.active] if self.pending is None else [self.active, self.pending]

    def add(self, generation: Generation) -> Generation:
        """Numbers a generation and makes it the pending one, in place of an earlier one. Returns it."""
        self._last_number += 1
        self.pending = generation._replace(number=self._last_number)
        return self.pending

    def activate(self, generation: Generation) -> None:
        """Puts a generation into effect. A later one stays pending."""
        self.active = generation
        if generation == self.pending:
            self.pending = None

    def drop_pending(self) -> None:
        """Discards the pending generation, which cannot start."""
        self.pending = None
