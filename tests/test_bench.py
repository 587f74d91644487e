"""The parts of the bench that decide about a figure."""

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Loads a module of the bench, whose modules import each other by their bare names."""
    monkeypatch.syspath_prepend(str(BENCH))
    before = set(sys.modules)
    yield lambda name: runpy.run_path(str(BENCH / f"{name}.py"))
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) == str(BENCH / f"{name}.py"):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("frames", "is_whole"),
    [
        (b"", False),
        (b"\x81", False),
        (b"\x81\x02a", False),
        (b"\x81\x02ab", True),
        (b"\x01\x02ab", False),  # more frames follow
        (b"\x01\x02ab\x80\x01c", True),
        (b"\x89\x00", False),  # a ping
        (b"\x81\x02ab\x89\x01", False),
        (b"\xc1\x7e\x00\x80" + b"x" * 128, True),  # compressed, with the length in two bytes
        (b"\xc1\x7e\x00\x80" + b"x" * 127, False),
        (b"\x81\x7f" + (70_000).to_bytes(8) + b"x" * 70_000, True),
    ],
)
def test_an_echo_is_whole_after_the_last_frame_of_its_message(load: Any, frames: bytes, is_whole: bool) -> None:
    assert load("messages")["has_message"](bytearray(frames)) is is_whole


H2LOAD_REPORT = """\
Application protocol: {protocol}
finished in 2.00s, 55000.00 req/s, 2.00MB/s
requests: 110000 total, 110160 started, 110000 done, {succeeded} succeeded, 0 failed, 0 errored, 0 timeout
time for request:      105us      3.85ms      1.02ms       210us    70.10%
"""


def test_a_report_of_h2load_is_read(load: Any) -> None:
    found = load("load")["parse_h2load"](H2LOAD_REPORT.format(protocol="h2c", succeeded=110000), "h2")
    assert (found.requests, found.seconds, found.mean_us) == (110000, 2.0, pytest.approx(1020))


@pytest.mark.parametrize(
    "report",
    ["", H2LOAD_REPORT.format(protocol="http/1.1", succeeded=110000), H2LOAD_REPORT.format(protocol="h2", succeeded=1)],
    ids=["no answer", "HTTP/1.1", "failed requests"],
)
def test_a_report_of_h2load_without_responses_of_http2_is_refused(load: Any, report: str) -> None:
    parse = load("load")["parse_h2load"]
    with pytest.raises(sys.modules["client"].AnswerError):
        parse(report, "h2")


def test_the_best_peer_is_a_server_with_applications(load: Any) -> None:
    budgets = load("budgets")
    results = sys.modules["results"]
    runs = {"ianus": 8.0, "floor": 1.0, "peregrine": 10.0, "uvicorn": 20.0}
    found = results.Results([results.Run(0, "hello1", name, {"cpu_us": value}) for name, value in runs.items()])
    (budget,) = (each for each in budgets["BUDGETS"] if each.text == "hello, 1 connection: CPU")
    assert budget.value(found) == pytest.approx(0.8)


def test_each_budget_is_about_a_scenario_that_exists(load: Any) -> None:
    budgets, scenarios = load("budgets")["BUDGETS"], load("scenarios")["SCENARIOS"]
    names = {scenario.name for scenario in scenarios}

    class Asked:
        """Results that note the scenarios they are asked for."""

        def __init__(self) -> None:
            self.scenarios: set[str] = set()

        def median(self, scenario: str, server: str, metric: str) -> float:
            self.scenarios.add(scenario)
            return 1.0

    asked = Asked()
    for budget in budgets:
        budget.value(asked)
    assert asked.scenarios
    assert asked.scenarios <= names


def test_the_counted_servers_are_known(load: Any) -> None:
    peers = load("peers")["PEERS"]
    names = {"ianus", *(peer.name for each in peers.values() for peer in each)}
    assert set(load("run")["COUNTED"]) <= names


def test_a_flood_is_compared_with_the_idle_server(load: Any, capsys: pytest.CaptureFixture[str]) -> None:
    flood = load("flood")
    sample = flood["Sample"]
    idle = [sample(100.0, p99, 30 << 20) for p99 in (900.0, 200.0, 210.0)]
    flooded = [
        sample(150.0, p99, memory << 20, 1234.5, 42 << 20) for p99, memory in ((420.0, 31), (9000.0, 32), (400.0, 30))
    ]
    flood["print_row"]("2,000 handshakes/s", flooded, idle)
    assert capsys.readouterr().out == "| 2,000 handshakes/s | 1,234 | 150 | 420 | 2.0 | 42.0 | 30.0 |\n"


def test_the_cost_of_an_attack_is_divided_by_that_of_the_attacker(load: Any) -> None:
    attacks = load("attacks")
    cost = attacks["Cost"](1200, 2_500_000, 0.5, 1.0, 0.00123, 3_000_000, 400_000)
    assert attacks["row"]("a flood", cost) == "| a flood | 1,200 | 2.5 | 0.50 | 1.00 | 2.00 | 1.23 | 3.0 | 0.4 |"


def test_the_bytes_of_attacks_are_valid_frames(load: Any) -> None:
    """A malformed frame would end each connection before the attack."""
    for attack in load("attacks")["ATTACKS"]:
        data = attack.make()
        at = streams = 0
        while at < len(data):
            kind, stream = data[at + 3], int.from_bytes(data[at + 5 : at + 9])
            if kind == 1:
                assert stream > streams, attack.text
                streams = stream
            at += 9 + int.from_bytes(data[at : at + 3])
            assert at <= len(data), attack.text


def test_an_attack_is_chosen_by_a_part_of_its_name(load: Any) -> None:
    chosen = load("attacks")["chosen"]
    assert [each.text for each in chosen(["RAPID", "9512"])] == ["CVE-2023-44487 rapid reset", "CVE-2019-9512 PING"]
    assert len(chosen([])) > 12
