"""Prints the shares of the lines of other servers that serve here. The tests check each line."""

from collections.abc import Iterable

from tests.other_servers.lines import LINES, Line

COLUMNS = ("as it is", "with a warning", "refused", "refused, until the feature is there")


def kind(line: Line) -> str:
    if line.problems:
        return COLUMNS[3] if line.later else COLUMNS[2]
    return COLUMNS[1] if line.warnings else COLUMNS[0]


def row(server: str, lines: Iterable[Line]) -> str:
    kinds = [kind(line) for line in lines]
    counts = [kinds.count(column) for column in COLUMNS]
    share = 100 * (counts[0] + counts[1]) / len(kinds)
    return f"| {server} | {' | '.join(map(str, counts))} | {share:.0f} % |"


def table() -> str:
    servers = dict.fromkeys(line.server for line in LINES)
    rows = [row(server, [line for line in LINES if line.server == server]) for server in servers]
    return "\n".join(
        [f"| server | {' | '.join(COLUMNS)} | share |", "|---" * (len(COLUMNS) + 2) + "|", *rows, row("all", LINES)]
    )


if __name__ == "__main__":
    print(table())
