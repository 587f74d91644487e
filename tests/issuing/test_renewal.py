"""When certificates are renewed."""

import pytest

from ianus.issuing.renewal import DAY_SECONDS, default_renewal_time, retry_delay
from tests.rows import for_each_row


@for_each_row(("days", "part", "expected"), [(90, 0, 60), (90, 1, 59), (6, 0, 3), (6, 1, 2.7), (45, 0, 30)])
def test_the_time_of_a_renewal_depends_on_the_validity(days: float, part: float, expected: float) -> None:
    start = 1_000_000.0
    renewed = default_renewal_time(start, start + days * DAY_SECONDS, part)
    assert (renewed - start) / DAY_SECONDS == pytest.approx(expected)


def test_attempts_become_rarer() -> None:
    delays = [retry_delay(failures, 0.5) for failures in range(1, 12)]
    assert delays[:4] == [60, 300, 1500, 7500]
    assert delays[6:] == [DAY_SECONDS] * 5
    # Five failed validations of a name in an hour are allowed.
    assert sum(delays[:3]) + delays[3] > 3600


def test_servers_do_not_try_at_once() -> None:
    assert retry_delay(1, 0) == 45
    assert retry_delay(1, 1) == 75
    assert retry_delay(10**6, 0) > 0
