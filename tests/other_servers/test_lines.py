"""Each line of another server serves and answers here, or is refused with the right advice."""

import re
from pathlib import Path

import pytest

from tests.other_servers.__main__ import kind, table
from tests.other_servers.lines import LINES, UWSGI, VARIABLES, Line
from tests.other_servers.sites import ianus, make_application, run_line

pytestmark = pytest.mark.extended


@pytest.mark.parametrize("line", [*LINES, *UWSGI], ids=lambda line: line.name)
def test_the_outcome_of_a_line(line: Line, tmp_path: Path) -> None:
    make_application(tmp_path, line.app, line.interface)
    (tmp_path / "static").mkdir()
    (tmp_path / ".env").touch()
    (tmp_path / "hypercorn.toml").write_text("graceful_timeout = 30\n")
    outcome = run_line(ianus(line.text.partition(" ")[2], VARIABLES), tmp_path, env=dict(line.environment), fd=line.fd)
    if line.problems:
        assert outcome.exit_code == line.exit_code, outcome.output
        message = outcome.output.partition("Error: ")[2]
        # The last line names the page.
        problems = message.splitlines()[1:-1] if len(line.problems) > 1 else [message]
        assert len(problems) == len(line.problems), outcome.output
        for problem, pattern in zip(problems, line.problems, strict=True):
            assert re.match(pattern, problem.strip()), outcome.output
        return
    assert outcome.responses, outcome.output
    assert outcome.responses[0]["status"] == 200, outcome.output
    assert outcome.exit_code == 0, outcome.output
    assert outcome.addresses == sorted(line.addresses.split())
    assert outcome.facts[0]["interface"] == line.interface
    assert len(outcome.warnings) == len(line.warnings), outcome.output
    for warning, pattern in zip(outcome.warnings, line.warnings, strict=True):
        assert re.match(pattern, warning), outcome.output


def test_at_least_nine_of_ten_lines_serve_or_wait_for_a_feature() -> None:
    kinds = [kind(line) for line in LINES]
    assert kinds.count("refused") <= 0.1 * len(kinds), table()
