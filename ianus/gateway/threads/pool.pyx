"""Leader threads.

Facts: handing a request to another thread costs more than most requests; but one that blocks in the thread that polls
stops all others. Strategy: threads take turns at being the leader, who polls, parses and calls the application itself,
so a fast application never crosses a thread. Before a call that is likely to block (predictor.pxd) the leader hands
the lead over; one whose call lasts against expectation is deposed (watchdog.pxd).

With an event loop, which then owns the reactor, everything is the same but for one thing: the leader waits for
requests that the loop has put into the queue, and the loop sends what the calls have produced.

Rules:
- Of several parked threads the one that was parked last goes next, so that at concurrency k at most k+2 threads ever
  call applications. Threads above what is needed leave.
- There is always one thread more than calls: it polls, buffers bodies, keeps deadlines, drains.
- Who was deposed finishes its own exchange, takes what is queued, and parks.

Compiled because every WSGI request passes here.
"""
import threading

from cpython.exc cimport PyErr_CheckSignals
from libc.stdint cimport uint64_t

from ianus.exchange.base cimport Poller
from ianus.runtime.chaos cimport pause
from ianus.gateway.threads.thread_api cimport (
    NOWAIT_LOCK, PY_LOCK_INTR, WAIT_LOCK, PyThread_acquire_lock, PyThread_acquire_lock_timed,
    PyThread_get_thread_ident, PyThread_release_lock, free_lock, new_lock, new_signal, seconds_of, store,
    thread_clock, waits,
)
from ianus.gateway.threads.idle_stack cimport (
    LEAD, LEAVE, NONE, SIGNALS, WATCH, Order, close_parking, park, tell, tell_top,
)
from ianus.gateway.threads.predictor cimport learn, likely_blocks, worth_measuring
from ianus.gateway.threads.watchdog cimport (
    CALL, IN_CALL, begin_call, end_call, start_watchdog, still_leads, stop_watchdog,
)
from ianus.gateway.wsgi.gateway cimport Threads, WsgiExchange
from ianus.runtime.clock cimport monotonic

from ianus.telemetry.logger import logger


cdef double TOGETHER = 0.001    # seconds that a finished response may wait for others to be sent with
cdef int MANY = 16              # events that were ready at once, where that is worth while
cdef double PATIENCE = 10.0     # seconds behind which a parked thread that is not the last one leaves
cdef double HIRE_AGAIN = 1.0    # seconds behind which the system is asked for threads again, when it gave none
cdef double COMPLAIN_AGAIN = 60.0    # seconds between two messages about that


cdef class Member:
    def __cinit__(self):
        self.place.signal = new_signal()
        self.place.room = new_signal()

    def __dealloc__(self):
        free_lock(self.place.signal)
        free_lock(self.place.room)


cdef class Crew(Threads):
    """Threads for WSGI applications.

    threads: application calls at once, at most. With 1, all are made in one and the same thread.
    """

    def __cinit__(self):
        self.lock = new_lock()
        self.parking.lock = new_lock()
        self.watchdog.alarm = new_signal()
        self.watchdog.gone = new_signal()
        self.watchdog.parking = &self.parking
        self.work = new_signal()

    def __init__(self, *, int threads=64):
        if threads < 1:
            raise ValueError("at least one thread calls the application")
        self.asked = self.limit = threads
        self.most = threads + 1
        self.members = []
        self.leavers = []
        self.posted = []

    def __dealloc__(self):
        # Every thread holds a reference, so that none is left; and who leaves last ends the watchdog.
        free_lock(self.lock)
        free_lock(self.parking.lock)
        free_lock(self.watchdog.alarm)
        free_lock(self.watchdog.gone)
        free_lock(self.work)

    # ---------------------------------------------------------------- the owner's side

    def start(self, Poller reactor not None, *, bint shared, bint pinned=False) -> None:
        """Begins to serve. shared: an event loop serves the reactor; else the crew does. pinned: the application is
        called in the thread that calls serve_pinned() (pinned.pyx), and in no other.

        Must come after any fork of the server's own. Raises RuntimeError when the system gives no threads.
        """
        self.poller = reactor
        self.shared = shared
        if shared:
            reactor.on_wake = self.collect_posted
        start_watchdog(&self.watchdog)
        self.enter()
        try:
            if pinned:
                self.pinned = True
                self.members.append(Member())
            elif not self.hire(LEAD):
                raise RuntimeError("the system gives no thread to call the application in")
            if self.asked == 1:
                self.home = &(<Member>self.members[0]).place
        except BaseException:
            stop_watchdog(&self.watchdog)
            raise
        finally:
            self.leave()

    def exclusively(self, function):
        """Calls function() while nobody else touches the reactor; returns what it returns."""
        if self.shared:
            return function()
        self.enter()
        try:
            result = function()
            self.poller.settle()
            return result
        finally:
            self.leave()

    def stop(self, on_gone) -> None:
        """Lets every thread end as soon as it makes no call; the last one calls on_gone()."""
        cdef WsgiExchange exchange
        cdef bint gone
        self.enter()
        try:
            self.stopping = True
            self.on_gone = on_gone
            close_parking(&self.parking)
            # Nobody is there any more to whom the watchdog could give the lead, and with it what was gathered.
            self.settle()
            self.wake()
            gone = not self.members
            while self.first is not None:
                # What still waits for a thread is abandoned, as its connection is. One by one: a long chain would be
                # freed in as deep a recursion, and nobody else unties exchanges, which know the crew.
                exchange = self.first
                self.first = exchange.next
                exchange.next = None
                exchange.uncount()
            self.last = None
        finally:
            self.leave()
        if gone:
            with nogil:
                stop_watchdog(&self.watchdog)
            on_gone()

    def close(self) -> None:
        """Lets go of the reactor, which is closed. What calls still produce is nobody's."""
        cdef WsgiExchange exchange
        self.enter()
        self.closed = True
        for exchange in self.posted:
            exchange.drop()
        self.posted = []
        self.leave()

    def join(self, double limit) -> None:
        """Waits up to `limit` seconds for the threads that have left to end, with what applications keep in them."""
        cdef double until = monotonic() + limit
        for thread in self.leavers:
            thread.join(max(until - monotonic(), 0))

    @property
    def threads(self) -> int:
        """Threads alive."""
        return len(self.members)

    def waiting(self):
        """The request that waits first for a thread although another call may be made, or None."""
        self.enter()
        try:
            return self.first if self.calls < self.limit else None
        finally:
            self.leave()

    def running_calls(self) -> list:
        """(request line, age in seconds, thread ident) of each application call."""
        cdef Member member
        cdef double now = monotonic()
        calls = []
        self.enter()
        try:
            for member in self.members:
                if member.exchange is not None:
                    calls.append((member.exchange.request_line(), now - member.since, member.ident))
        finally:
            self.leave()
        return calls

    # ---------------------------------------------------------------- the exchanges' side

    cdef int submit(self, WsgiExchange exchange) except -1:
        self.guard()
        if self.stopping:
            exchange.uncount()
        else:
            if self.last is None:
                self.first = exchange
            else:
                self.last.next = exchange
            self.last = exchange
            self.wake()
        self.unguard()
        return 0

    cdef int enter(self) except -1:
        cdef unsigned long me = PyThread_get_thread_ident()
        if not PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
            if self.holder == me:
                # Only a finalizer that runs while we hold it can come here. Waiting would be for ever.
                raise RuntimeError("the server cannot be called from here")
            while True:
                with nogil:
                    # Not to be had while we wait for the GIL: others would wait for both of us.
                    PyThread_acquire_lock(self.lock, WAIT_LOCK)
                    PyThread_release_lock(self.lock)
                if PyThread_acquire_lock(self.lock, NOWAIT_LOCK):
                    break
        self.holder = me
        return 0

    cdef int leave(self) except -1:
        self.holder = 0
        PyThread_release_lock(self.lock)
        return 0

    cdef int guard(self) except -1:
        return self.enter() if self.shared else 0

    cdef int unguard(self) except -1:
        return self.leave() if self.shared else 0

    cdef int pass_on(self, WsgiExchange exchange) except -1:
        cdef bint gathers
        if self.closed:
            exchange.drop()
        elif not self.shared:
            # Each send wakes a client. Under load, what a leader has finished waits for a few others; whoever takes the
            # lead from it sends them first.
            gathers = (
                self.leader != NULL and exchange.place == self.leader and not self.stopping
                and self.poller.batch_size() >= MANY
                and (exchange.out_returned or exchange.out_end and not worth_measuring(exchange.evidence))
            )
            try:
                exchange.collect()
                if not gathers:
                    self.poller.settle()
            except BaseException:
                give_up(exchange)
        elif not exchange.posted:
            exchange.posted = True
            self.posted.append(exchange)
            if not self.signalled:
                self.signalled = True
                self.poller.wake()
        return 0

    def collect_posted(self) -> None:
        """Sends what the calls have produced; called by the event loop."""
        cdef WsgiExchange exchange
        self.enter()
        posted = self.posted
        self.posted = []
        self.signalled = False
        self.leave()
        for exchange in posted:
            try:
                exchange.collect()
            except Exception:
                give_up(exchange)

    cdef int make_room(self, WsgiExchange exchange) except -1:
        PyThread_release_lock(exchange.place.room)
        return 0

    cdef int wait_for_room(self, WsgiExchange exchange) except -1:
        cdef PyThread_type_lock room = exchange.place.room
        cdef bint interrupted, is_pinned = self.pinned and exchange.place == self.home
        exchange.waiting = True
        self.leave()
        pause()
        with nogil:
            interrupted = PyThread_acquire_lock_timed(room, -1, is_pinned) == PY_LOCK_INTR
        self.enter()
        if is_pinned and (interrupted or self.has_signals):
            self.run_signal_handlers(True)
        return 0

    # ---------------------------------------------------------------- the threads

    def run(self, Member me not None, int order) -> None:
        """A thread's life: it parks, leads, parks, until it is told to leave."""
        cdef Order told = <Order>order
        cdef bint is_pinned = self.pinned and &me.place == self.home
        # Python does not wait for it at its end, as it waits for no daemon. But the application's own threads inherit
        # the property from the thread that starts them, and those are waited for.
        threading.current_thread()._daemonic = False
        me.ident = PyThread_get_thread_ident()
        me.place.clock = thread_clock()
        try:
            while told != LEAVE:
                if told == LEAD or told == WATCH:
                    try:
                        self.lead(me)
                    except BaseException:
                        # A defect of the server. The lead must not be lost with it.
                        complain("internal error in a thread")
                        if self.holder == me.ident:
                            self.leave()
                        if self.leader == &me.place and still_leads(&self.watchdog, me.epoch):
                            continue
                if self.stopping:
                    break
                pause()
                with nogil:
                    told = park(&self.parking, &me.place, PATIENCE, is_pinned)
                    if told == WATCH:
                        # Who handed the lead over has the GIL, so it is not asked for before there is a reason.
                        self.doze()
                if told == SIGNALS:
                    self.enter()
                    self.run_signal_handlers(False)
                    self.leave()
        finally:
            self.depart(me)

    cdef int lead(self, Member me) except -1:
        """Serves until the lead is handed over, lost, or not needed any more."""
        cdef WsgiExchange exchange
        cdef uint64_t call
        cdef bint served
        self.enter()
        self.leader = &me.place
        self.settle()
        self.sleeping = False
        self.watchdog.clock = me.place.clock
        me.epoch = (self.watchdog.word & ~<uint64_t>3) + CALL
        store(&self.watchdog.word, me.epoch)
        while not self.stopping:
            if self.again and monotonic() >= self.again:
                self.again = 0
                self.limit = self.asked
                self.most = self.asked + 1
            if self.home != NULL and self.home != &me.place and self.calls == 0:
                # The one thread that calls applications is free: it leads again.
                tell(&self.parking, self.home, LEAD)
                break
            served = self.serve()
            exchange = self.next_call()
            if exchange is None:
                if not served:
                    self.sleep()
                elif monotonic() - self.settled > TOGETHER:
                    self.settle()
                continue
            if likely_blocks(exchange.evidence) and self.hand_over():
                self.leader = NULL
                self.make_call(me, exchange)
                return self.follow(me)
            if self.parking.top == NULL:
                # Somebody has to be there whom the watchdog can wake.
                self.hire(NONE)
                if self.calls > self.limit:
                    # There is nobody: this one is to poll.
                    self.put_back(exchange)
                    continue
            call = begin_call(&self.watchdog)
            me.epoch = call - IN_CALL
            self.make_call(me, exchange)
            if not end_call(&self.watchdog, call):
                return self.follow(me)
        self.settle()
        self.leader = NULL
        return self.leave()

    cdef int settle(self) except -1:
        """Sends what the leader's calls have produced; the lock is held."""
        if not self.shared:
            self.settled = monotonic()
            self.poller.settle()
        return 0

    cdef int follow(self, Member me) except -1:
        """Behind a call that was made without the lead: takes what is queued. The lock is held, and left."""
        cdef WsgiExchange exchange
        cdef bint blocked = True
        while not self.stopping:
            exchange = self.next_call()
            if exchange is None:
                # To have the GIL was dear; and while requests block, more of them are often there already, for which
                # the leader then need not wake.
                if blocked and self.sleeping and not self.shared and self.calls < self.limit and self.poller.peek():
                    continue
                break
            blocked = likely_blocks(exchange.evidence)
            if self.first is not None and self.calls < self.limit:
                self.wake()
            self.make_call(me, exchange)
        return self.leave()

    cdef int make_call(self, Member me, WsgiExchange exchange) except -1:
        """Has the application called. The lock is held before and behind, not meanwhile."""
        cdef bint measured = worth_measuring(exchange.evidence)
        cdef double computed = seconds_of(me.place.clock) if measured else 0, duration, blocked = -1
        cdef long waited = waits() if measured else 0
        exchange.place = &me.place
        me.exchange = exchange
        me.since = monotonic()
        if self.leader == &me.place and (measured or me.since - self.settled > TOGETHER):
            self.settle()
        self.leave()
        pause()
        try:
            exchange.call()
        except BaseException:
            complain("internal error in a call of the application")
            exchange.failed = not exchange.over
        pause()
        self.enter()
        duration = monotonic() - me.since
        if measured:
            # Who never waited was kept from computing by other processes, if by anybody.
            blocked = duration - (seconds_of(me.place.clock) - computed) if waits() != waited else 0
        learn(exchange.evidence, duration, blocked)
        me.exchange = None
        self.calls -= 1  # Before the rest, as a signal handler of the application can raise in any Python code.
        exchange.put_rest()
        exchange.out_returned = True
        self.pass_on(exchange)
        return 0

    cdef WsgiExchange next_call(self):
        """The next request in the queue, if another call may be made; it is counted already."""
        cdef WsgiExchange exchange
        while self.first is not None and self.calls < self.limit:
            exchange = self.first
            self.first = exchange.next
            exchange.next = None
            if self.first is None:
                self.last = None
            if exchange.disconnected:
                # The client has left before its turn came.
                exchange.out_returned = True
                self.pass_on(exchange)
                continue
            self.calls += 1
            exchange.taken = True
            return exchange
        return None

    cdef int put_back(self, WsgiExchange exchange) except -1:
        exchange.taken = False
        exchange.next = self.first
        self.first = exchange
        if self.last is None:
            self.last = exchange
        self.calls -= 1
        return 0

    cdef bint serve(self) except -1:
        """Serves one event, if there is one; the lock is held."""
        if self.shared:
            return False
        try:
            return self.poller.serve_one()
        except BaseException:
            # The lead must not be lost with a defect of the server.
            complain("internal error while polling")
            return True

    cdef int sleep(self) except -1:
        """Until there is something to do. The lock is held before and behind, not meanwhile."""
        cdef int events
        self.settle()
        if self.first is not None and self.calls < self.limit:
            return 0
        if self.has_signals and self.leader == self.home:
            return self.run_signal_handlers(False)
        self.sleeping = True
        self.leave()
        pause()
        with nogil:
            events = self.doze()
        self.enter()
        self.sleeping = False
        if events == 0:
            self.has_signals = self.pinned
        return 0

    cdef int run_signal_handlers(self, bint in_call) except -1:
        """Runs Python's signal handlers in the main thread. The lock is held before and after, not meanwhile.

        in_call: what a handler raises is for the application that is being called.
        """
        self.has_signals = False
        self.leave()
        try:
            PyErr_CheckSignals()
        except BaseException:
            if in_call:
                raise
            complain("exception in a signal handler of the application")
            self.has_signals = True  # Python has not run the others yet.
        finally:
            self.enter()
        return 0

    cdef int doze(self) noexcept nogil:
        """The leader's sleep itself, with `sleeping` set. 0: a signal has ended it."""
        return PyThread_acquire_lock(self.work, WAIT_LOCK) if self.shared else self.poller.sleep()

    cdef int wake(self) except -1:
        """Lets the leader look again; the lock is held."""
        if self.sleeping:
            self.sleeping = False
            if self.shared:
                PyThread_release_lock(self.work)
            else:
                self.poller.wake()
        return 0

    cdef bint hand_over(self) except -1:
        """Gives the lead to another thread; whether there was one. The lock is held."""
        pause()
        self.settle()
        # One call has been taken from the queue; with another one waiting, or an event, there is something to do.
        self.sleeping = self.first is None and (self.shared or self.poller.pending() == 0)
        if tell_top(&self.parking, WATCH if self.sleeping else LEAD):
            return True
        self.sleeping = False
        return self.hire(LEAD)

    cdef bint hire(self, Order order) except -1:
        """Starts a thread, unless there are enough; the lock is held."""
        cdef Member member
        # Above the second number one of them is just about to park, or to begin.
        if len(self.members) >= min(self.most, self.calls + 2):
            return False
        member = Member()
        member.thread = threading.Thread(
            target=self.run, args=(member, <int>order), name=f"ianus-wsgi-{self.hired}", daemon=True
        )
        try:
            member.thread.start()
        except RuntimeError as error:
            self.most = len(self.members)
            # One of them is still to poll.
            self.limit = max(self.most - 1, 1)
            self.again = monotonic() + HIRE_AGAIN
            # Without any thread the start fails, which tells why.
            if self.members and (not self.complained_at or monotonic() >= self.complained_at + COMPLAIN_AGAIN):
                self.complained_at = monotonic()
                logger.error(
                    "cannot start another thread (%s): WSGI applications go on with %d calls at once",
                    error, self.limit,
                )
            return False
        self.hired += 1
        self.members.append(member)
        return True

    cdef int depart(self, Member me) except -1:
        cdef bint last
        self.enter()
        self.members.remove(me)
        if self.stopping and me.thread is not None:
            self.leavers.append(me.thread)
        last = self.stopping and not self.members
        self.leave()
        if last:
            with nogil:
                stop_watchdog(&self.watchdog)
            self.on_gone()
        return 0


cdef int complain(str what) noexcept:
    """Logs the exception that is being handled."""
    logger.exception(what)
    return 0


cdef int give_up(WsgiExchange exchange) noexcept:
    complain("internal error; the connection is closed")
    try:
        exchange.break_off()
    except BaseException:
        complain("internal error while closing a connection")
    return 0
