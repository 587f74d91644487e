"""Which workers there are, which there should be, and what becomes of each.

Facts and rules:
- step() brings what is closer to what should be; everything else only notes what has happened.
- A new worker serves before the old one leaves, and one is replaced at a time.
- What is configured anew counts once a worker has started with it. Until then whatever has to be started is started as
  before, and if it fails, what there is serves on.
- A worker that ends by itself is replaced at once; one that does so soon after its start, behind a pause that grows.
"""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator

from ianus.errors import StartupError
from ianus.hooks import ServerInfo
from ianus.process.supervisor.slot import ABORTING, QUICK, Plan, Process, Slot, Stage
from ianus.process.supervisor.sockets import Sockets
from ianus.settings.schema import Settings
from ianus.telemetry.logger import logger

# Seconds from one look at the memory of workers to the next.
MEMORY_PERIOD = 5.0

# Seconds that connections get to arrive at a slot that is to go, from the moment when new ones go to others.
SPARED = 1.0

# A start may take so many times as long as the longest one that succeeded.
START_FACTOR = 3.0

# Minimum seconds of a start before a newer configuration overtakes it.
OVERTAKE_SECONDS = 1.0

# Seconds in which workers that lack threads are logged once.
REFUSED_SECONDS = 60.0

# Seconds that a step may come late at most for hearts to be judged.
LATE = 1.0

# A worker that ends within so many seconds is likely to do so again.
SOON = 5.0

# Exit codes of who was stopped before it could handle that; who does it to all processes stops the supervisor, too.
TOLD_TO_END = (-signal.SIGTERM, -signal.SIGQUIT)

PAGE_SIZE = os.sysconf("SC_PAGESIZE")

# Starts a worker: Launch(plan, slot, now); None where that has to wait. Raises OSError and StartupError.
Launch = Callable[[Plan, int, float], Process | None]


class Workers:
    """All of them.

    plan: what is known to start; candidate: what is tried. count: of slots that are to be served; at first the plan's.
    failed: before all have started for the first time one has ended, or the template has.
    """

    def __init__(self, plan: Plan, sockets: Sockets, launch: Launch, server: Callable[[], ServerInfo]) -> None:
        self.plan = plan
        self.candidate: Plan | None = None
        self.count = plan.workers
        self.failed = False
        self.has_started = False
        self.facts: list[str] = []  # what the last one that became ready has said of itself
        self._numbers = plan.number  # of plans so far
        self._sockets = sockets
        self._launch = launch
        self._server = server
        self._slots: list[Slot] = []
        self._spared: dict[int, float] = {}  # slots that are to go, and until when they serve; 0 for no more
        self._recycling: deque[Process] = deque()
        self._is_wound_down = False
        self._is_stopping = False
        self._memory_look = 0.0
        self._planned = 0.0  # when the next step was due
        self._longest_start = 0.0  # seconds that a worker took to become ready
        self._refused_at = -REFUSED_SECONDS  # when that was logged last

    # --- What there should be ---

    def change(self, plan: Plan) -> None:
        """Replaces all by workers with this plan, whose number does not matter, once one of them has started."""
        self._numbers += 1
        self.candidate = plan._replace(number=self._numbers)
        self.failed = self._is_wound_down = False
        for slot in self._slots:
            slot.not_before = 0.0
        if not self.has_started or not any(self._serving()):
            self._accept(self.candidate)

    def renew(self) -> None:
        """The same with what was configured last: the application has changed."""
        self.change(self.candidate or self.plan._replace(workers=self.count))

    def count_with(self, plan: Plan) -> int:
        """How many workers there will be once this plan is what counts."""
        return self.count if plan == self.plan else plan.workers

    def resize(self, by: int) -> None:
        """TTIN and TTOU: one slot more, or one less; the last one stays."""
        before = 0 if self._is_wound_down else self.count
        if before + by < 1:
            logger.info("workers: %d, there can be no fewer", before)
            return
        self._is_wound_down = False
        logger.info("workers: %d, before: %d", before + by, before)
        self._set_count(before + by, before)

    def wind_down(self, now: float) -> None:
        """WINCH: everybody leaves, and the sockets stay open for others."""
        self._is_wound_down = True
        for slot in self._slots:
            for process in slot.retire():
                process.stop(now, successor=True)

    def stop(self, now: float, *, successor: bool) -> None:
        """Everybody finishes what he does. successor: another server has the sockets."""
        self._is_stopping = True
        for process in self:
            if process.stage is not Stage.LEAVING or not successor:
                process.stop(now, successor=successor)

    def hurry(self, number: signal.Signals, now: float) -> None:
        """Everybody leaves without waiting: QUIT, and then KILL."""
        self._is_stopping = True
        for process in self:
            if process.stage is Stage.STARTING:
                process.in_order.add(-number)
            process.stage = Stage.LEAVING
            process.ask(number, now, QUICK)

    def tell(self, number: signal.Signals) -> None:
        """Sends a signal that ends nobody."""
        for process in self:
            if process.stage is Stage.STARTING:
                process.untold.append(number)
            else:
                process.tell(number)

    def __iter__(self) -> Iterator[Process]:
        return iter([process for slot in self._slots for process in slot.processes()])

    # --- What has happened ---

    def on_line(self, process: Process, line: str, now: float) -> None:
        """What a worker says of itself (launch.py)."""
        what, _, more = line.partition("\t")
        if what == "ready" and process.stage is Stage.STARTING:
            self._on_ready(process, more.split("\t"), now)
        elif what == "recycle" and process.stage is Stage.SERVING:
            self._recycle(process, more)
        elif what == "leaving" and process.stage is Stage.SERVING and not self._is_stopping:
            # It was asked by another process, which may have signalled all processes of the group. Then the signal to
            # this one is on its way, and no worker is started (_fill).
            self._slots[process.slot].leave(now)
        elif what == "starting" and process.stage is Stage.STARTING:
            process.start_within(_seconds(more), now)
        elif what == "refused":
            self._on_refused(process, more, now)
        elif what == "closing":
            process.on_closing(now)
        elif what == "exiting":
            process.on_exiting(now, _seconds(more))
        elif what == "stuck" and process.stage is not Stage.STARTING:
            self._abort(process, more, now)

    def _on_ready(self, process: Process, facts: list[str], now: float) -> None:
        self.facts = facts
        slot = self._slots[process.slot]
        before = slot.promote()
        self._longest_start = max(self._longest_start, now - process.started)
        process.heard = now
        for number in process.untold:
            process.tell(number)
        if process.plan.number > self.plan.number:
            self._accept(process.plan)
        if self.has_started:
            logger.info("%s serves%s", process, f" in place of pid {before.pid}" if before is not None else "")
        if before is not None:
            before.stop(now, successor=True)
        settings = process.plan.settings
        if settings.workers_lifetime or settings.workers_max_rss:
            import random  # 4 ms, which few starts need.

            if settings.workers_lifetime:
                jitter = random.uniform(0, settings.workers_lifetime_jitter)
                process.lives_until = now + settings.workers_lifetime + jitter
            if settings.workers_max_rss:
                mebibytes = settings.workers_max_rss + random.randint(0, settings.workers_max_rss_jitter)
                process.memory_limit = mebibytes << 20

    def _on_refused(self, process: Process, why: str, now: float) -> None:
        if now - self._refused_at >= REFUSED_SECONDS:
            self._refused_at = now
            logger.critical("worker failed to start: %s: %s", process, why)

    def on_exit(self, process: Process, status: int, now: float) -> None:
        """A worker has ended. status: as of os.waitpid()."""
        slot = self._slots[process.slot]
        slot.remove(process)
        code = os.waitstatus_to_exitcode(status)
        told = _how(code)
        process.plan.hooks.call("child_exit", self._server(), process.info())
        if process.stage is Stage.STARTING and not self._is_stopping:
            self._on_failed_start(process, slot, code, told, now)
        elif process.stage is Stage.SERVING and not self._is_stopping:
            if process.is_aborted:
                logger.error("%s is no more; another one takes its place", process)
            else:
                logger.error("%s has ended by itself (%s); another one takes its place", process, told)
            if now - process.started < SOON and not process.is_aborted:
                slot.punish(now)
        elif code not in process.in_order:
            logger.warning("%s has ended (%s)", process, told)
        else:
            logger.debug("%s has ended", process)
        if code < 0 or process.stage is Stage.SERVING:
            self._explain(process)
        if now - process.started >= SOON and process.stage is not Stage.STARTING:
            slot.failures = 0
        self.keep_sockets()
        process.close()

    def _on_failed_start(self, process: Process, slot: Slot, code: int, told: str, now: float) -> None:
        if process.plan == self.candidate:
            self._abandon(told)
            return
        if process.plan.number < self.plan.number:
            logger.warning("%s has ended while it was starting (%s); what was changed since is tried", process, told)
            return
        slot.punish(now)
        if not self.has_started and code in TOLD_TO_END:
            logger.warning("%s was told to end while it was starting (%s)", process, told)
        elif not self.has_started:
            if code != StartupError.exit_code:  # else it has told why
                logger.error("%s has ended while it was starting (%s)", process, told)
            self._fail()
        else:
            pause = slot.not_before - now
            logger.error("%s could not be started (%s); the next attempt is in %.1f s", process, told, pause)

    def reject(self, number: int, code: int, now: float) -> None:
        """What is to be forked for a plan could not be loaded."""
        if self.candidate is not None and self.candidate.number == number:
            self._abandon(_how(code))
        elif self.plan.number == number:
            for slot in self._slots:
                slot.punish(now)
            if self.has_started:
                logger.error("the template has ended (%s); the next worker starts another one", _how(code))
            else:
                if code != StartupError.exit_code:
                    logger.error("the template has ended while it was loading (%s)", _how(code))
                self._fail()

    def _fail(self) -> None:
        """Nobody else is started."""
        self.failed = True
        if self.plan.settings.reload:
            logger.info("the next change starts it again")

    def _abandon(self, told: str) -> None:
        """The candidate does not start."""
        logger.error("a worker could not be started as configured now (%s); the old ones serve on", told)
        self.candidate = None
        self.keep_sockets()

    def _explain(self, process: Process) -> None:
        """What is known of a worker's last moments."""
        if requests := process.board.requests():
            lines = [f"{line} ({age:.1f} s)" for line, age in requests]
            if unlisted := process.board.unlisted():
                lines.append(f"and {unlisted} more")
            logger.error("in flight in %s were:\n%s", process, "\n".join(lines))
        if stacks := process.board.stacks():
            logger.error("the Python stacks of %s were:\n%s", process, stacks)

    def _accept(self, plan: Plan) -> None:
        """It is what counts. A candidate that came later stays one."""
        self.plan = plan
        if plan == self.candidate:
            self.candidate = None
        if plan.workers != self.count:
            self._set_count(plan.workers, self.count)

    def _set_count(self, count: int, before: int) -> None:
        self.count = count
        self.plan.hooks.call("nworkers_changed", self._server(), count, before)

    def keep_sockets(self) -> None:
        """Closes those that nobody needs any more."""
        plans = [self.plan, *([self.candidate] if self.candidate is not None else []), *(each.plan for each in self)]
        self._sockets.keep([plan.settings for plan in plans], len(self._slots))

    # --- What is to be done ---

    def step(self, now: float) -> None:
        """Does what is due."""
        if self._planned and now > self._planned + LATE:
            # We were not run ourselves: the machine slept, or everything was stopped. Time that nobody watched does not
            # count against anybody.
            for process in self:
                process.heard = now
        self._planned = 0.0
        for process in self:
            process.hasten(now)
        if self._is_stopping or self._is_wound_down:
            return
        if not self.has_started and self.count == sum(slot.serving is not None for slot in self._slots[: self.count]):
            self.has_started = True
        self._judge(now)
        self._limit_starts(now)
        self._overtake(now)
        self._retire(now)
        self._fill(now)
        self._replace(now)
        self._steer()

    def due(self, now: float) -> float:
        """When step() will have something to do, if nothing happens before; 0 for never."""
        times = [process.due() for process in self]
        if not self._is_stopping and not self._is_wound_down:
            times += self._spared.values()
            times += [slot.not_before for slot in self._slots if slot.not_before > now]
            for starting in self._starting():
                if not starting.is_aborted:
                    times.append(starting.start.due())
                    if limit := self.start_limit(starting.plan.settings):
                        times.append(starting.heard + limit)
            times += [self._overtaken_at(process) for _, process in self._outdated()]
            for process in self._serving():
                settings = process.plan.settings
                times.append(process.lives_until)
                if settings.timeout and process.heartbeat and not process.is_aborted:
                    times.append(process.heard + settings.timeout * PATIENCE)
                if process.memory_limit:
                    times.append(self._memory_look)
            times += [process.start_until for process in self._starting()]
        self._planned = min((each for each in times if each), default=0.0)
        return self._planned

    def _serving(self) -> Iterator[Process]:
        return (slot.serving for slot in self._slots if slot.serving is not None)

    def _starting(self) -> Iterator[Process]:
        return (slot.starting for slot in self._slots if slot.starting is not None)

    def _judge(self, now: float) -> None:
        """Who has served long enough, or takes too much memory, or gives no sign of life."""
        for process in self._starting():
            if process.start_until and now >= process.start_until:
                process.start_until = 0.0
                self._abort(process, "its event loop is blocked, and --timeout-lifespan-startup is over", now)
        look = now >= self._memory_look
        for process in self._serving():
            if process.lives_until and now >= process.lives_until:
                process.lives_until = 0.0
                self._recycle(process, f"it has lived for {now - process.started:.0f} s")
            if look and process.memory_limit and (size := _resident(process.pid)) > process.memory_limit:
                self._recycle(process, f"it takes {size >> 20} MiB of memory")
            self._listen(process, now)
        if look:
            self._memory_look = now + MEMORY_PERIOD

    def _limit_starts(self, now: float) -> None:
        """Reports starts that take long, and ends those that take too long."""
        for process in self._starting():
            if process.is_aborted:
                continue
            process.start.step(process, process.tell, now)
            if (limit := self.start_limit(process.plan.settings)) and now >= process.heard + limit:
                self._abort(process, f"it has not started within {limit:.0f} s", now)

    def start_limit(self, settings: Settings) -> float:
        """Seconds that a start may take, 0 for no limit: an import may hang while others serve. At first there is none,
        and what took long then may take long later."""
        if not self.has_started or not settings.timeout or not settings.timeout_lifespan_startup:
            return 0.0
        return max(settings.timeout + settings.timeout_lifespan_startup, START_FACTOR * self._longest_start)

    def _overtake(self, now: float) -> None:
        """Stops starts that delay a newer configuration, as they may hang."""
        for slot, process in self._outdated():
            if now >= self._overtaken_at(process):
                logger.warning("worker stopped before it had started, starting the newer configuration: %s", process)
                slot.give_up_start(now)

    def _outdated(self) -> list[tuple[Slot, Process]]:
        """Returns starts with an older configuration, none while one has the newest."""
        newest = (self.candidate or self.plan).number
        starting = [(slot, slot.starting) for slot in self._slots[: self.count] if slot.starting is not None]
        if any(process.plan.number == newest for _, process in starting):
            return []
        return [(slot, process) for slot, process in starting if not process.is_aborted]

    def _overtaken_at(self, process: Process) -> float:
        """Each start has as long as the longest one took: frequent changes must not prevent all of them."""
        return process.started + max(OVERTAKE_SECONDS, self._longest_start)

    def _listen(self, process: Process, now: float) -> None:
        """Hears whether its heart beats; that is written into shared memory by a thread that needs nothing else."""
        timeout = process.plan.settings.timeout
        beat = process.board.beat()
        if beat != process.heartbeat:
            process.heartbeat, process.heard = beat, now
        elif beat and timeout and now - process.heard >= timeout * PATIENCE and not process.is_aborted:
            self._abort(process, f"it has given no sign of life for {now - process.heard:.0f} s", now)

    def _recycle(self, process: Process, because: str) -> None:
        if process not in self._recycling:
            logger.info("%s will be replaced: %s", process, because)
            self._recycling.append(process)

    def _abort(self, process: Process, because: str, now: float) -> None:
        """Kills it, and has it tell where it is before."""
        if not process.is_aborted:
            process.is_aborted = True
            logger.critical("%s is stuck and will be killed: %s", process, because)
            process.plan.hooks.call("worker_abort", process.info())
            process.ask(signal.SIGABRT, now, ABORTING)

    def _retire(self, now: float) -> None:
        """Slots behind the count go, the last one first: from when on the others get its connections it has SPARED
        seconds for those that are on their way."""
        for number in range(self.count, len(self._slots)):
            self._spared.setdefault(number, now + SPARED)
        for number, until in list(self._spared.items()):
            if number < self.count:
                del self._spared[number]  # It is wanted again.
            elif until and now >= until:
                self._spared[number] = 0.0
                for process in self._slots[number].retire():
                    process.stop(now)
        while len(self._slots) > self.count and not any(self._slots[-1].processes()):
            self._spared.pop(len(self._slots) - 1, None)
            self._slots.pop()
            self.keep_sockets()

    def _steer(self) -> None:
        """New connections go to no slot that is to go, nor to one where nobody has been able to start."""
        slots = self._slots[: self.count]
        self._sockets.steer([slot.number for slot in slots if slot.serving is not None or not slot.failures])

    def _fill(self, now: float) -> None:
        """Starts whom nobody has to leave for; at first one alone, so that what prevents a start is told once."""
        while len(self._slots) < self.count:
            self._slots.append(Slot(len(self._slots)))
        if self.failed:
            return
        wanted = self._slots[: self.count if self.has_started or self._slots[0].serving else 1]
        # Where nobody serves there is nothing to lose.
        newest = self.candidate or self.plan
        plan = self.plan if any(self._serving()) else newest
        for slot in wanted:
            if slot.is_vacant() and now >= slot.not_before and slot.number not in self._spared:
                if slot.unasked is not None:
                    logger.warning("worker was stopped by another process, starting a replacement: %s", slot.unasked)
                    slot.unasked = None
                slot.starting = self._start(newest if slot.is_overtaken else plan, slot, now)
                slot.is_overtaken = slot.is_overtaken and slot.starting is None

    def _replace(self, now: float) -> None:
        """Starts the successor of one who is to be replaced, if nobody is being replaced now."""
        if not self.has_started or any(slot.starting for slot in self._slots):
            return
        plan = self.candidate or self.plan
        for process in self._serving():
            slot = self._slots[process.slot]
            if process.plan.number < plan.number and now >= slot.not_before:
                slot.starting = self._start(plan, slot, now)
                return
        while self._recycling and self._recycling[0] not in self._serving():
            self._recycling.popleft()
        if self._recycling and now >= (slot := self._slots[self._recycling[0].slot]).not_before:
            slot.starting = self._start(self.plan, slot, now)

    def _start(self, plan: Plan, slot: Slot, now: float) -> Process | None:
        try:
            return self._launch(plan, slot.number, now)
        except (OSError, StartupError) as error:
            if not self.has_started and isinstance(error, BlockingIOError):  # EAGAIN of fork()
                logger.error(
                    "cannot start a worker (%s): raise the limit on processes, which is that of the user (ulimit -u), "
                    "of the service (TasksMax=) or of the container (pids limit)",
                    error,
                )
                self._fail()
                return None
            slot.punish(now)
            pause = slot.not_before - now
            logger.error("cannot start a worker (%s); the next attempt is in %.1f s", error, pause)
            return None


# A heart beats three times in the time after which it counts as stopped; the supervisor gives one beat more.
PATIENCE = 4 / 3


def _seconds(text: str) -> float:
    """A number that a worker says; 0.0 if it is not one."""
    try:
        return max(float(text), 0.0)
    except ValueError:
        return 0.0


def _how(code: int) -> str:
    """How a process has ended. code: as of os.waitstatus_to_exitcode()."""
    return f"killed by {_name(-code)}" if code < 0 else f"exit code {code}"


def _name(number: int) -> str:
    """Of a signal; those for real time have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _resident(pid: int) -> int:
    """Bytes of memory that a process has; 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123  (pathlib takes 5 ms to import)
            return int(file.read().split()[1]) * PAGE_SIZE
    except (OSError, IndexError):
        return 0
