"""Requests that come in together are answered together: one pass over all rows that wait, and one commit for their records.

All work on store and model is done by one thread, never on the event loop. An idle service waits for nothing: a request
that finds the thread free is answered alone. Whoever waits too long does not wait on; see `Gatherer.answer`.

What is too long follows the time spent waiting, not the number that wait (Nichols and Jacobson, Controlling Queue Delay, ACM
Queue 2012): where it has not been short for a while, the thread answers those that waited longer from a lower rung, all
at once, until it has caught up.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ringbound.errors import InputError
from ringbound.serving.body import OverloadError

TARGET_S = 0.02
"""How long a request for few rows may wait for the thread when much is asked."""
IDLE_S = 1.0
LOG = logging.getLogger(__name__)
INTERVAL_S = 0.1
"""For how long none has waited less than that when too much is asked."""


@dataclass
class _Job:
    """Rows to answer, or to call something with, and who waits for it, since when."""

    rows: Sequence[Any]
    call: Callable[[Sequence[Any]], Any] | None = None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    since: float = field(default_factory=time.monotonic)
    result: Any = None
    error: BaseException | None = None

    def __post_init__(self):
        self.waiter: asyncio.Future = self.loop.create_future()

    async def wait(self, limit_s: float) -> Any:
        """Return the result, or raise the error, that the thread came to; `TimeoutError` where that takes too long."""
        late = self.loop.call_later(limit_s, self._tell, TimeoutError())
        try:
            return await self.waiter
        finally:
            late.cancel()

    def tell(self) -> None:
        """Let the one who waits go on."""
        self._tell(self.error)

    def _tell(self, error: BaseException | None) -> None:
        if self.waiter.done():
            return
        if error is None:
            self.waiter.set_result(self.result)
        else:
            self.waiter.set_exception(error)

    def waits_long(self, now: float) -> bool:
        """Whether it has waited longer than is meant; many rows at once are in less of a hurry."""
        return now - self.since > TARGET_S * (1 + len(self.rows) / 50)


class Gatherer:
    """Answers rows by `answer`, in one thread, `most` rows or fewer at once where several requests wait.

    `step_down` answers rows at once, for a reason, where the thread has not in `deadline_s`, and as much again for each
    hundred rows: it must need nothing that can hang. `doing` says what the thread is at, for that reason; `give_up` is told
    of rows whose answer by the thread nobody will get. Where `waiting` rows wait already, new ones are refused. `idle` is
    called by the thread when it has had nothing to do for a second.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Any]], list[Any]],
        step_down: Callable[[Sequence[Any], str], list[Any]],
        doing: Callable[[], str],
        *,
        deadline_s: float,
        most: int = 1000,
        waiting: int = 4000,
        give_up: Callable[[Sequence[Any]], None] = lambda rows: None,
        idle: Callable[[], None] = lambda: None,
    ):
        self._answer = answer
        self._step_down = step_down
        self._doing = doing
        self._deadline_s = deadline_s
        self._most = most
        self._most_waiting = waiting
        self._give_up = give_up
        self._idle = idle
        self._put = self._taken = 0
        self._long_since: float | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._since: float | None = None
        self._limit_s = deadline_s
        self._thread = threading.Thread(target=self._work, name="answers", daemon=True)
        self._thread.start()

    async def answer(self, rows: Sequence[Any], *, low: bool = False) -> list[Any]:
        """Return the rows' answers: the thread's or, where it takes longer than the deadline, those of `step_down`.

        While the thread hangs, nobody waits for it; it is asked again as soon as it is back. Rows of `low` priority do not
        wait while others wait too long.
        """
        if self._stuck():
            return self._step_down(rows, self._doing() or "overload")
        if low and self.overloaded:
            return self._step_down(rows, "overload")
        job = self._taken_on(_Job(rows))
        try:
            return await job.wait(self._time_for(len(rows)))
        except TimeoutError:
            self._give_up(rows)
            return self._step_down(rows, (self._busy_s() > self._limit_s / 2 and self._doing()) or "overload")

    async def call(self, call: Callable[[Sequence[Any]], Any], rows: Sequence[Any]) -> Any:
        """Return what `call` makes of rows, in the thread; `TimeoutError` where that takes longer than the deadline."""
        if self._stuck():
            raise TimeoutError
        job = self._taken_on(_Job(rows, call))
        return await job.wait(self._time_for(len(rows)))

    def _taken_on(self, job: _Job) -> _Job:
        """Put a job in the queue, unless that is full."""
        if self.waiting + len(job.rows) > self._most_waiting:
            raise OverloadError("expected fewer requests at once; try again after Retry-After")
        self._put += len(job.rows)
        self._jobs.put(job)
        return job

    def stop(self, within_s: float) -> bool:
        """Do what waits, then end; return whether it has ended within the time."""
        self._jobs.put(None)
        self._thread.join(within_s)
        return not self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """How many rows wait for the thread."""
        return self._put - self._taken

    @property
    def overloaded(self) -> bool:
        """Whether requests have been waiting too long for a while."""
        since = self._long_since
        return since is not None and time.monotonic() - since > INTERVAL_S

    def _stuck(self) -> bool:
        return self._busy_s() > self._limit_s

    def _time_for(self, rows: int) -> float:
        return self._deadline_s * (1 + rows / 100)

    def _busy_s(self) -> float:
        """Return for how long the thread has been at what it does, 0 where it waits."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=IDLE_S)
            except queue.Empty:
                self._rest()
                continue
            if job is None:
                return
            while job is not None:
                together, job = self._next(job)
                rows = sum(len(one.rows) for one in together)
                self._taken += rows
                self._limit_s = self._time_for(rows)
                self._since = now = time.monotonic()
                self._note(together[0], now)
                alive = [one for one in together if not one.waiter.done()]
                if self.overloaded and together[0].call is None:
                    late = [one for one in alive if one.waits_long(now)]
                    alive = [one for one in alive if not one.waits_long(now)]
                    self._do(late, lambda rows: self._step_down(rows, "overload"))
                self._do(alive, self._answer)
                self._since = None
            self._long_since = None  # nobody waits any more

    def _rest(self) -> None:
        try:
            self._idle()
        except Exception:  # the thread must live
            LOG.exception("what is done when there is nothing to do has failed")

    def _note(self, first: _Job, now: float) -> None:
        """Note since when nobody has waited less than is meant."""
        if not first.waits_long(now):
            self._long_since = None
        elif self._long_since is None:
            self._long_since = now

    def _next(self, job: _Job) -> tuple[list[_Job], _Job | None]:
        """Return the jobs that can be done at once, beginning with `job`, and the one after them that cannot."""
        together, rows = [job], len(job.rows)
        while job.call is None:
            try:
                following = self._jobs.get_nowait()
            except queue.Empty:
                break
            if following is None:  # the end comes after what is being done
                self._jobs.put(None)
                break
            if following.call is not None or rows + len(following.rows) > self._most:
                return together, following
            together.append(following)
            rows += len(following.rows)
        return together, None

    def _do(self, jobs: list[_Job], answer: Callable[[Sequence[Any]], list[Any]]) -> None:
        """Do jobs, and let all who wait for them go on at once: each waking of their loop takes as long as a small answer."""
        self._try(jobs, answer)
        for loop in {job.loop for job in jobs}:
            told = [job for job in jobs if job.loop is loop]
            with suppress(RuntimeError):  # nobody waits on a loop that is closed
                loop.call_soon_threadsafe(_tell, told)

    def _try(self, jobs: list[_Job], answer: Callable[[Sequence[Any]], list[Any]]) -> None:
        try:
            if jobs and jobs[0].call is not None:
                jobs[0].result = jobs[0].call(jobs[0].rows)
            elif jobs:
                answers = iter(answer([row for job in jobs for row in job.rows]))
                for job in jobs:
                    job.result = [next(answers) for _ in job.rows]
        except InputError as error:
            if len(jobs) == 1:
                jobs[0].error = error
            else:  # one request is wrong: the others are none of its business
                for job in jobs:
                    self._try([job], answer)
        except BaseException as error:  # the thread must live, and whoever waits must hear of it
            for job in jobs:
                job.error = error


def _tell(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        job.tell()
