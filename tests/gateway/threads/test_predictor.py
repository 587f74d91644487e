"""The predictor: which requests share their evidence, and which calls are evidence."""

from ianus.gateway.threads.predictor import Predictor
from ianus.gateway.threads.recording import is_likely_to_block, is_to_be_measured, learn_call
from tests.rows import for_each_row

BLOCKED_SECONDS = 0.020
FAST_SECONDS = 0.0001


def share_evidence(first: tuple[str, bytes], second: tuple[str, bytes]) -> bool:
    """Whether a call for the first request is evidence for the second."""
    predictor = Predictor()
    learn_call(predictor, *first, duration=BLOCKED_SECONDS, blocked=BLOCKED_SECONDS)
    return is_likely_to_block(predictor, *second)


def test_a_new_request_is_not_expected_to_block() -> None:
    predictor = Predictor()
    assert not is_likely_to_block(predictor, "GET", b"/")
    assert not is_to_be_measured(predictor, "GET", b"/")


@for_each_row(
    ("first", "second"),
    [
        (("GET", b"/orders/17"), ("GET", b"/orders/4711")),
        (("GET", b"/orders/17/items"), ("GET", b"/orders/4/items")),
        (("GET", b"/v1x/a"), ("GET", b"/v2/a")),
        (("GET", b"/a/b/c/d/e"), ("GET", b"/a/b/c/d/f")),
        (("GET", b"/" + b"a" * 200), ("GET", b"/" + b"a" * 300)),
    ],
)
def test_these_share_their_evidence(first: tuple[str, bytes], second: tuple[str, bytes]) -> None:
    assert share_evidence(first, second)


@for_each_row(
    ("first", "second"),
    [
        (("GET", b"/orders"), ("POST", b"/orders")),
        (("GET", b"/orders"), ("GET", b"/items")),
        (("GET", b"/orders/17"), ("GET", b"/orders/new")),
        (("GET", b"/orders/17"), ("GET", b"/orders/17/items")),
        (("GET", b"/a/b/c/d"), ("GET", b"/a/b/c/e")),
    ],
)
def test_these_do_not(first: tuple[str, bytes], second: tuple[str, bytes]) -> None:
    assert not share_evidence(first, second)


def test_a_long_call_is_measured_the_next_time() -> None:
    """Its duration alone does not show whether it was blocked."""
    predictor = Predictor()
    learn_call(predictor, "GET", b"/", duration=0.020)
    assert not is_likely_to_block(predictor, "GET", b"/")
    assert is_to_be_measured(predictor, "GET", b"/")


@for_each_row(
    ("duration", "blocked", "expected"),
    [
        (0.0010, 0.0005, True),  # blocked for long enough
        (0.0010, 0.0004, False),  # mostly waited for a short time, as for the GIL
        (0.0090, 0.0001, False),  # computed for a few milliseconds
        (0.0100, 0.0000, True),  # computed for long
    ],
)
def test_blocked_time_and_long_computation_are_evidence(duration: float, blocked: float, expected: bool) -> None:
    predictor = Predictor()
    learn_call(predictor, "GET", b"/", duration=duration, blocked=blocked)
    assert is_likely_to_block(predictor, "GET", b"/") is expected
    assert is_to_be_measured(predictor, "GET", b"/")


def test_a_few_calls_are_measured_if_the_evidence_is_sufficient() -> None:
    predictor = Predictor()
    for _ in range(10):
        learn_call(predictor, "GET", b"/", duration=BLOCKED_SECONDS, blocked=BLOCKED_SECONDS)
    measured = 0
    for _ in range(160):
        measured += is_to_be_measured(predictor, "GET", b"/")
        learn_call(predictor, "GET", b"/", duration=BLOCKED_SECONDS)
        assert is_likely_to_block(predictor, "GET", b"/")
    assert measured == 10
    # A measured call that has computed is evidence against it, and the next ones are measured.
    learn_call(predictor, "GET", b"/", duration=0.002, blocked=0)
    assert is_to_be_measured(predictor, "GET", b"/")
    assert is_to_be_measured(predictor, "GET", b"/")


def test_fast_calls_refute_the_evidence() -> None:
    predictor = Predictor()
    for _ in range(10):
        learn_call(predictor, "GET", b"/", duration=BLOCKED_SECONDS, blocked=BLOCKED_SECONDS)
    fast_calls = 0
    while is_likely_to_block(predictor, "GET", b"/"):
        learn_call(predictor, "GET", b"/", duration=FAST_SECONDS)
        fast_calls += 1
    # The evidence is bounded, so a request that has become fast is recognised soon.
    assert 1 < fast_calls <= 4
    learn_call(predictor, "GET", b"/", duration=FAST_SECONDS)
    assert not is_to_be_measured(predictor, "GET", b"/")
