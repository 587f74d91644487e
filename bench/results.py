"""Measurements and their medians."""

import statistics
from dataclasses import dataclass, field

from visit import Metrics


@dataclass(frozen=True)
class Run:
    """One measurement; ``reason`` explains missing metrics."""

    round: int
    scenario: str
    server: str
    metrics: Metrics
    reason: str = ""


@dataclass
class Results:
    """All runs of one call of the bench."""

    runs: list[Run] = field(default_factory=list)

    def values(self, scenario: str, server: str, metric: str) -> list[float]:
        """One a round that worked, in order."""
        return [
            run.metrics[metric]
            for run in self.runs
            if run.scenario == scenario and run.server == server and metric in run.metrics
        ]

    def median(self, scenario: str, server: str, metric: str) -> float | None:
        """Returns the median of the rounds; None if no round worked."""
        values = self.values(scenario, server, metric)
        return statistics.median(values) if values else None

    def spread(self, scenario: str, server: str, metric: str) -> float | None:
        """How far the rounds lie apart, as a share of their median; None if there are fewer than two."""
        values = self.values(scenario, server, metric)
        middle = statistics.median(values) if values else 0.0
        return (max(values) - min(values)) / middle if len(values) > 1 and middle else None

    def ratio(self, scenario: str, server: str, metric: str, base: str) -> float | None:
        """The server's median over the base's; None if either is missing or the base is not positive."""
        value, divisor = self.median(scenario, server, metric), self.median(scenario, base, metric)
        return value / divisor if value is not None and divisor is not None and divisor > 0 else None

    def reason(self, scenario: str, server: str) -> str:
        """Why rounds failed, "" when none did."""
        reasons = [run.reason for run in self.runs if (run.scenario, run.server) == (scenario, server) and run.reason]
        return reasons[-1] if reasons else ""

    def worst(self, scenario: str, metric: str) -> float:
        """The highest value of any server in any round; 0 if there is none."""
        found = (run.metrics.get(metric, 0.0) for run in self.runs if run.scenario == scenario)
        return max(found, default=0.0)
