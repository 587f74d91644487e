"""The waker of a reactor: its descriptor's owner, and when it is closed."""

import os
import threading

import pytest

from ianus.runtime.waker import Waker
from ianus.telemetry.liveness import LivenessThread


def test_a_waker_is_closed_with_its_reactor() -> None:
    waker = Waker()
    fd = waker.fd
    assert not os.get_inheritable(fd)
    waker.close()
    waker.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_waker_is_open_until_no_thread_may_write_to_it() -> None:
    waker, thread = Waker(), LivenessThread()
    fd = waker.fd
    thread.start_monitoring(waker, timeout=30.0, thread=threading.get_ident())
    waker.close()
    os.fstat(fd)
    del waker
    os.fstat(fd)
    del thread
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_a_forked_child_closes_its_own() -> None:
    waker = Waker()
    fd = waker.fd
    waker.reset_in_child()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
