"""The queue of calls and the limit of those that run."""

from ianus.gateway.threads.call_queue import CallQueue
from ianus.gateway.threads.recording import RecordingCall, queue_operations


def calls(names: str) -> list[RecordingCall]:
    return [RecordingCall(name, lambda: None, lambda call, event: None) for name in names]


def test_calls_are_taken_in_their_order() -> None:
    a, b, c = calls("abc")
    assert queue_operations(CallQueue(9), [a, b, "take", c, "take", "take", "take"]) == ["a", "b", "c", None]


def test_no_more_calls_run_than_the_limit() -> None:
    a, b, c = calls("abc")
    assert queue_operations(CallQueue(2), [a, b, c, "take", "take", "take", "return", "take"]) == ["a", "b", None, "c"]


def test_a_call_that_is_put_back_is_the_next_one() -> None:
    a, b = calls("ab")
    assert queue_operations(CallQueue(1), [a, b, "take", "back", "take"]) == ["a", "a"]
    (a,) = calls("a")
    assert queue_operations(CallQueue(1), [a, "take", "back", "take"]) == ["a", "a"]
