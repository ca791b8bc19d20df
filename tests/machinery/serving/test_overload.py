"""Too much is asked: most is answered in time, some by a lower rung, the rest is told to come back; then all is well."""

import asyncio
import json
import threading
import time
from types import SimpleNamespace

import pytest

from ringbound.serving.access import Access
from ringbound.serving.body import OverloadError
from ringbound.serving.gather import TARGET_S, Gatherer
from ringbound.serving.hot_path import LATE_FOR_S, LATE_S, HotPath

JSON = [(b"content-type", b"application/json")]
OPEN = Access(lambda: [], open=True)


async def post(path: HotPath) -> tuple[int, dict, dict]:
    """Send a request as a server does; return status, headers and content."""
    messages: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: dict) -> None:
        messages.append(message)

    await path(
        {"type": "http", "method": "POST", "path": "/predict", "headers": JSON},
        receive,
        send,
    )
    return messages[0]["status"], dict(messages[0]["headers"]), json.loads(messages[1]["body"])


def served(route) -> HotPath:
    return HotPath(
        None, service=lambda: SimpleNamespace(routes={"/predict": route}, pages={}, traces=None, access=OPEN)
    )


def test_slow_requests_of_others_refuse_nobody():
    async def run() -> list[int]:
        hang = asyncio.Event()

        async def either(body: bytes) -> dict:
            await asyncio.wait_for(hang.wait(), 2)
            return {}

        async def quick(body: bytes) -> dict:
            return {}

        slow, path = served(either), served(quick)
        path.service = lambda: SimpleNamespace(routes={"/predict": quick}, pages={}, traces=None, access=OPEN)
        hanging = [asyncio.create_task(post(slow)) for _ in range(200)]
        statuses = []
        for _ in range(20):
            statuses.append((await post(path))[0])
            await asyncio.sleep(0.01)
        hang.set()
        statuses += [status for status, *_ in await asyncio.gather(*hanging)]
        return statuses

    assert {*asyncio.run(run())} == {200}


def test_a_loop_that_is_late_for_a_while_takes_no_more_and_one_stall_is_nothing():
    async def run() -> list[int]:
        async def quick(body: bytes) -> dict:
            return {}

        path, statuses = served(quick), []
        await post(path)
        time.sleep(0.3)  # one long answer
        await asyncio.sleep(0.02)
        statuses.append((await post(path))[0])
        ends = time.monotonic() + LATE_FOR_S + 0.2
        while time.monotonic() < ends:
            time.sleep(LATE_S * 1.5)
            await asyncio.sleep(0)
        statuses.append((await post(path))[0])
        await asyncio.sleep(0.05)
        statuses.append((await post(path))[0])
        return statuses

    assert asyncio.run(run()) == [200, 429, 200]


def gatherer(waiting: int = 400) -> Gatherer:
    """A gatherer whose thread takes 10 ms for a batch, of eight rows at most; it says which rung answered."""
    return Gatherer(
        lambda rows: time.sleep(0.01) or ["full"] * len(rows),
        lambda rows, reason: [reason] * len(rows),
        lambda: "model",
        deadline_s=20.0,
        most=8,
        waiting=waiting,
    )


@pytest.fixture
def gathered() -> Gatherer:
    return gatherer()


def test_requests_that_wait_too_long_for_a_while_get_a_lower_rung_until_it_has_caught_up():
    gathered = gatherer(waiting=100_000)

    async def run() -> tuple[list, list, list]:
        crowd, low = [], []
        for n in range(60):  # several times as many as can be answered, however slow this machine is
            crowd += [asyncio.create_task(gathered.answer([(n, k)])) for k in range(25)]
            await asyncio.sleep(0.005)
            if gathered.overloaded:
                low += await gathered.answer(["low"], low=True)
        answers = [answer for (answer,) in await asyncio.gather(*crowd)]
        await asyncio.sleep(0.05)
        return answers, low, await gathered.answer(["after"], low=True)

    answers, low, after = asyncio.run(run())
    assert {*low} == {"overload"}
    assert after == ["full"]
    assert set(answers) == {"full", "overload"}
    assert answers[: int(8 * TARGET_S / 0.01)].count("full") > 8, "who came first waited little"
    assert answers.count("full") > 100, "while it has too much to do, it does what it can"


def test_past_a_number_of_rows_that_wait_new_ones_are_refused(gathered):
    async def run() -> list:
        crowd = [asyncio.create_task(gathered.answer([n])) for n in range(600)]
        await asyncio.wait(crowd, return_when=asyncio.FIRST_EXCEPTION)
        assert sum(not one.done() for one in crowd) > 100, "they are told at once, while the others wait"
        return await asyncio.gather(*crowd, return_exceptions=True)

    answers = asyncio.run(run())
    refused = [isinstance(answer, OverloadError) for answer in answers]
    assert not any(refused[:400])
    assert 50 < sum(refused[400:]) <= 200
    assert all(answer in (["full"], ["overload"]) for answer, no in zip(answers, refused, strict=True) if not no)
    assert gathered.waiting == 0


def test_a_call_of_its_own_is_not_gathered(gathered):
    async def run() -> list:
        return await asyncio.gather(
            gathered.answer([1]), gathered.call(lambda rows: threading.current_thread().name, [2]), gathered.answer([3])
        )

    assert asyncio.run(run()) == [["full"], "answers", ["full"]]
