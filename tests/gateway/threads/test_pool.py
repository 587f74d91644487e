"""The thread pool, with calls that are functions, and a reactor whose events are."""

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from ianus.gateway.threads import pinned
from ianus.gateway.threads.pool import ThreadPool
from ianus.gateway.threads.recording import RecordingCall, RecordingPoller, submit
from tests.helpers import until

WAIT_SECONDS = 20.0


class Pool:
    """A running pool, with an event loop if it is shared, and else with a leader that polls."""

    def __init__(self, max_calls: int, *, shared: bool, in_main: bool = False) -> None:
        self.pool = ThreadPool(max_calls=max_calls)
        self.poller = RecordingPoller()
        self.shared = shared
        self.stopped = threading.Event()
        self.changed = threading.Condition()
        self.pool.start(self.poller, shared=shared, pinned=in_main)

    def call(self, name: str, application: Callable[[], object] = lambda: None) -> RecordingCall:
        return RecordingCall(name, application, self._on_event)

    def submit(self, *calls: RecordingCall) -> None:
        for call in calls:
            if self.shared:
                submit(self.pool, call)
            else:
                self.poller.put_event(partial(submit, self.pool, call))

    def _on_event(self, call: RecordingCall, event: str) -> None:
        with self.changed:
            self.changed.notify_all()

    def wait_for(self, call: RecordingCall, events: list[str]) -> None:
        """Waits until these were all events of the call."""
        if self.shared and events[-1] == "collect":
            until(lambda: self._has_collected(call, events))
            return
        with self.changed:
            self.changed.wait_for(lambda: call.events == events, WAIT_SECONDS)
        assert call.events == events

    def _has_collected(self, call: RecordingCall, events: list[str]) -> bool:
        self.pool.collect_posted()
        return call.events == events

    def stop(self) -> None:
        self.pool.stop(self.stopped.set)

    def end(self) -> None:
        if not self.stopped.is_set():
            self.stop()
            assert self.stopped.wait(WAIT_SECONDS)
        self.pool.close()
        self.pool.join(WAIT_SECONDS)


@pytest.fixture
def start() -> Iterator[Callable[..., Pool]]:
    pools = []

    def start_pool(max_calls: int, *, shared: bool, in_main: bool = False) -> Pool:
        pools.append(Pool(max_calls, shared=shared, in_main=in_main))
        return pools[-1]

    yield start_pool
    for pool in pools:
        pool.end()


def blocked_until(event: threading.Event) -> Callable[[], None]:
    """An application that waits for the event."""

    def application() -> None:
        assert event.wait(WAIT_SECONDS)

    return application


@pytest.mark.parametrize("shared", [False, True])
def test_a_call_runs_and_its_output_is_collected(start: Callable[..., Pool], shared: bool) -> None:
    pool = start(2, shared=shared)
    calls = [pool.call("first"), pool.call("second")]
    for call in calls:
        pool.submit(call)
        pool.wait_for(call, ["run", "finish", "collect"])
    assert pool.pool.running_calls() == []


def test_the_event_loop_is_woken_for_output(start: Callable[..., Pool]) -> None:
    pool = start(2, shared=True)
    call = pool.call("only")
    pool.submit(call)
    assert pool.poller.woken.wait(WAIT_SECONDS)
    assert call.events == ["run", "finish"]
    pool.pool.collect_posted()
    assert call.events == ["run", "finish", "collect"]


@pytest.mark.parametrize("shared", [False, True])
def test_no_more_calls_run_than_the_maximum(start: Callable[..., Pool], shared: bool) -> None:
    pool = start(2, shared=shared)
    release = threading.Event()
    calls = [pool.call(name, blocked_until(release)) for name in ("first", "second", "third")]
    pool.submit(*calls[:2])
    for call in calls[:2]:
        pool.wait_for(call, ["run"])
    pool.submit(calls[2])
    if shared:
        assert pool.pool.waiting() is None
    assert sorted(name for name, _, _ in pool.pool.running_calls()) == ["first", "second"]
    assert len({thread for _, _, thread in pool.pool.running_calls()}) == 2
    assert calls[2].events == []
    release.set()
    for call in calls:
        pool.wait_for(call, ["run", "finish", "collect"])


@pytest.mark.parametrize("shared", [False, True])
def test_a_queued_call_of_a_disconnected_client_is_not_made(start: Callable[..., Pool], shared: bool) -> None:
    pool = start(1, shared=shared)
    release = threading.Event()
    running, queued = pool.call("running", blocked_until(release)), pool.call("queued")
    pool.submit(running)
    pool.wait_for(running, ["run"])
    queued.disconnect()
    pool.submit(queued)
    release.set()
    pool.wait_for(queued, ["collect"])


def test_the_reactor_is_served_while_a_call_is_blocked(start: Callable[..., Pool]) -> None:
    """The watchdog gives the lead to another thread: the call is ended by an event."""
    pool = start(2, shared=False)
    release = threading.Event()
    call = pool.call("blocked", blocked_until(release))
    pool.submit(call)
    pool.wait_for(call, ["run"])
    pool.poller.put_event(release.set)
    pool.wait_for(call, ["run", "finish", "collect"])


def test_the_lead_is_handed_over_before_a_call_that_is_expected_to_block(start: Callable[..., Pool]) -> None:
    pool = start(2, shared=False)
    release = threading.Event()
    call = pool.call("blocked", blocked_until(release))
    call.expect_blocking()
    pool.submit(call)
    pool.poller.put_event(release.set)
    pool.wait_for(call, ["run", "finish", "collect"])


def test_one_thread_makes_all_calls_if_one_may_run(start: Callable[..., Pool]) -> None:
    pool = start(1, shared=False)
    threads = set()
    for _ in range(20):
        call = pool.call("call", lambda: threads.add(threading.get_ident()))
        pool.submit(call)
        pool.wait_for(call, ["run", "finish", "collect"])
    assert len(threads) == 1


def test_a_call_with_a_defect_fails_and_the_pool_continues(
    start: Callable[..., Pool], caplog: pytest.LogCaptureFixture
) -> None:
    pool = start(2, shared=False)

    def raise_error() -> None:
        raise RuntimeError("a defect")

    broken, whole = pool.call("broken", raise_error), pool.call("whole")
    pool.submit(broken)
    pool.wait_for(broken, ["run", "fail", "finish", "collect"])
    pool.submit(whole)
    pool.wait_for(whole, ["run", "finish", "collect"])
    assert [record.getMessage() for record in caplog.records] == ["internal error in a call of the application"]


def test_a_stop_abandons_queued_calls_and_waits_for_those_that_run(start: Callable[..., Pool]) -> None:
    pool = start(1, shared=True)
    release = threading.Event()
    running, queued, late = pool.call("running", blocked_until(release)), pool.call("queued"), pool.call("late")
    pool.submit(running)
    pool.wait_for(running, ["run"])
    pool.submit(queued)
    pool.stop()
    assert queued.events == ["abandon"]
    pool.submit(late)
    assert late.events == ["abandon"]
    assert not pool.stopped.is_set()
    release.set()
    assert pool.stopped.wait(WAIT_SECONDS)
    assert pool.pool.threads == 0
    pool.wait_for(running, ["run", "finish", "collect"])


def test_output_after_the_end_is_discarded(start: Callable[..., Pool]) -> None:
    pool = start(1, shared=True)
    release = threading.Event()
    call = pool.call("running", blocked_until(release))
    pool.submit(call)
    pool.wait_for(call, ["run"])
    pool.stop()
    pool.pool.close()
    release.set()
    assert pool.stopped.wait(WAIT_SECONDS)
    assert call.events == ["run", "finish", "discard"]


def test_the_pool_continues_with_the_threads_that_the_system_allows(
    start: Callable[..., Pool], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pool = start(8, shared=True)

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        calls = [pool.call("first"), pool.call("second")]
        for call in calls:
            pool.submit(call)
            pool.wait_for(call, ["run", "finish", "collect"])
    assert pool.pool.threads == 1
    assert [record.getMessage() for record in caplog.records] == [
        "cannot start another thread (can't start new thread); maximum concurrent WSGI calls: 1"
    ]


def test_a_pinned_thread_makes_all_calls(start: Callable[..., Pool]) -> None:
    pool = start(1, shared=False, in_main=True)
    threads, release = set(), threading.Event()
    main = threading.Thread(target=pinned.run_pinned_thread, args=(pool.pool,), daemon=True)
    main.start()
    for _ in range(3):
        call = pool.call("call", lambda: threads.add(threading.current_thread()))
        pool.submit(call)
        pool.wait_for(call, ["run", "finish", "collect"])
    assert threads == {main}
    assert not pinned.is_in_call(pool.pool)
    call = pool.call("blocked", blocked_until(release))
    pool.submit(call)
    pool.wait_for(call, ["run"])
    assert pinned.is_in_call(pool.pool)
    pinned.on_signal(pool.pool)
    pool.poller.put_event(release.set)
    pool.wait_for(call, ["run", "finish", "collect"])
    # Without a call it sleeps; a signal wakes it, and it continues.
    pinned.on_signal(pool.pool)
    call = pool.call("next")
    pool.submit(call)
    pool.wait_for(call, ["run", "finish", "collect"])
    pool.end()
    main.join(WAIT_SECONDS)
    assert not main.is_alive()


def test_a_function_runs_exclusively(start: Callable[..., Pool]) -> None:
    pool = start(2, shared=False)
    assert pool.pool.exclusively(lambda: "result") == "result"
    with pytest.raises(RuntimeError, match=r"^the server cannot be called from here$"):
        pool.pool.exclusively(lambda: pool.pool.exclusively(lambda: None))
    call = pool.call("after the error")
    pool.submit(call)
    pool.wait_for(call, ["run", "finish", "collect"])
