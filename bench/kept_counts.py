"""The counts of instructions that a change is compared with: a row for each build of CPython and each kind of request.

Only counts of the same build can be compared: another compiler, or a shared library, changes them by several percent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

TOLERANCE = 0.01  # share of the kept count; counts of the same code differ by up to 0.3 %
HEADER = "# Written by `make bench-check ARGS=--renew`: build of CPython, kind of request, instructions a request.\n"
REMEDY = (
    "If the change is worth its instructions, run `make bench-check ARGS=--renew`, and commit {path} with the reason.\n"
    "`make instructions ARGS='--modules {kinds}'` prints the modules that have them."
)


@dataclass
class KeptCounts:
    """The rows of a file. build: the build of CPython whose rows are compared or renewed."""

    path: Path
    build: str
    rows: dict[tuple[str, str], int] = field(default_factory=dict)  # by build and kind

    @classmethod
    def read(cls, path: Path, build: str) -> "KeptCounts":
        """Reads the file; without one there are no rows."""
        lines = path.read_text().splitlines() if path.exists() else []
        fields = [line.split("\t") for line in lines if line and not line.startswith("#")]
        return cls(path, build, {(build, kind): int(count) for build, kind, count in fields})

    def renew(self, counts: Mapping[str, float]) -> None:
        """Writes the counts as those of the build, beside the rows of other builds and kinds."""
        self.rows |= {(self.build, kind): round(count) for kind, count in counts.items()}
        lines = [f"{build}\t{kind}\t{count}\n" for (build, kind), count in sorted(self.rows.items())]
        self.path.write_text(HEADER + "".join(lines))

    def exceeded(self, counts: Mapping[str, float]) -> list[str]:
        """Returns the kinds whose count is higher than the kept one."""
        return [
            kind for kind, count in counts.items() if count > (1 + TOLERANCE) * self.rows.get((self.build, kind), count)
        ]

    def compare(self, counts: Mapping[str, float]) -> tuple[list[str], list[str]]:
        """Returns the failures and the notes. A count that is lower than the kept one is a note."""
        failures, notes = [], []
        exceeded = self.exceeded(counts)
        for kind, count in counts.items():
            kept = self.rows.get((self.build, kind), count)
            text = f"{kind}: {count:,.0f} instructions a request, kept {kept:,} ({count / kept - 1:+.1%})"
            if kind in exceeded:
                failures.append(text)
            elif count < (1 - TOLERANCE) * kept:
                notes.append(f"{text}: run `make bench-check ARGS=--renew` to keep the lower count")
        if exceeded:
            failures.append(REMEDY.format(path=self.path.name, kinds=" ".join(exceeded)))
        if unknown := [kind for kind in counts if (self.build, kind) not in self.rows]:
            failures.append(
                f"no kept count for CPython {self.build}: {', '.join(unknown)}\n"
                f"Run `make bench-check ARGS=--renew` on a commit known to be good, and commit {self.path.name}."
            )
        return failures, notes
