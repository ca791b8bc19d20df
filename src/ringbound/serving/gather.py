"""Requests that come in together are answered together: one pass over all rows that wait, and one commit for their records.

All work on store and model is done by one thread, never on the event loop. An idle service waits for nothing: a request
that finds the thread free is answered alone. Whoever waits too long does not wait on; see `Gatherer.answer`.
"""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from ringbound.errors import InputError


@dataclass
class _Job:
    """Rows to answer, or to call something with, and who waits for it."""

    rows: Sequence[Any]
    call: Callable[[Sequence[Any]], Any] | None = None
    future: Future = field(default_factory=Future)


class Gatherer:
    """Answers rows by `answer`, in one thread, `most` rows or fewer at once where several requests wait.

    `step_down` answers rows at once, for a reason, where the thread has not in `deadline_s`, and as much again for each
    hundred rows: it must need nothing that can hang. `doing` says what the thread is at, for that reason.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Any]], list[Any]],
        step_down: Callable[[Sequence[Any], str], list[Any]],
        doing: Callable[[], str],
        *,
        deadline_s: float,
        most: int = 1000,
    ):
        self._answer = answer
        self._step_down = step_down
        self._doing = doing
        self._deadline_s = deadline_s
        self._most = most
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._since: float | None = None
        self._limit_s = deadline_s
        threading.Thread(target=self._work, name="answers", daemon=True).start()

    async def answer(self, rows: Sequence[Any]) -> list[Any]:
        """Return the rows' answers: the thread's or, where it takes longer than the deadline, those of `step_down`.

        While the thread hangs, nobody waits for it; it is asked again as soon as it is back.
        """
        if self._stuck():
            return self._step_down(rows, self._doing() or "overload")
        job = _Job(rows)
        self._jobs.put(job)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(job.future), self._time_for(len(rows)))
        except TimeoutError:
            return self._step_down(rows, (self._busy_s() > self._limit_s / 2 and self._doing()) or "overload")

    async def call(self, call: Callable[[Sequence[Any]], Any], rows: Sequence[Any]) -> Any:
        """Return what `call` makes of rows, in the thread; `TimeoutError` where that takes longer than the deadline."""
        if self._stuck():
            raise TimeoutError
        job = _Job(rows, call)
        self._jobs.put(job)
        return await asyncio.wait_for(asyncio.wrap_future(job.future), self._time_for(len(rows)))

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
            job: _Job | None = self._jobs.get()
            while job is not None:
                together, job = self._waiting(job)
                self._limit_s = self._time_for(sum(len(one.rows) for one in together))
                self._since = time.monotonic()
                self._do([one for one in together if one.future.set_running_or_notify_cancel()])
                self._since = None

    def _waiting(self, job: _Job) -> tuple[list[_Job], _Job | None]:
        """Return the jobs that can be done at once, beginning with `job`, and the one after them that cannot."""
        together, rows = [job], len(job.rows)
        while job.call is None:
            try:
                following = self._jobs.get_nowait()
            except queue.Empty:
                break
            if following.call is not None or rows + len(following.rows) > self._most:
                return together, following
            together.append(following)
            rows += len(following.rows)
        return together, None

    def _do(self, jobs: list[_Job]) -> None:
        try:
            if jobs and jobs[0].call is not None:
                jobs[0].future.set_result(jobs[0].call(jobs[0].rows))
            elif jobs:
                answers = iter(self._answer([row for job in jobs for row in job.rows]))
                for job in jobs:
                    job.future.set_result([next(answers) for _ in job.rows])
        except InputError as error:
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
            else:  # one request is wrong: the others are none of its business
                for job in jobs:
                    self._do([job])
        except BaseException as error:  # the thread must live, and whoever waits must hear of it
            for job in jobs:
                if not job.future.done():
                    job.future.set_exception(error)
