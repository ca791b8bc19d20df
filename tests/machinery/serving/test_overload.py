"""Too much is asked: most is answered in time, some by a lower rung, the rest is told to come back; then all is well."""

import asyncio
import json
import threading
import time
from types import SimpleNamespace

import pytest

from ringbound.serving.gather import TARGET_S, Gatherer
from ringbound.serving.hot_path import LATE_FOR_S, LATE_S, LEAST, HotPath


async def post(path: HotPath) -> tuple[int, dict, dict]:
    """Send a request as a server does; return status, headers and content."""
    messages: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": b"{}"}

    async def send(message: dict) -> None:
        messages.append(message)

    await path({"type": "http", "method": "POST", "path": "/predict", "headers": []}, receive, send)
    return messages[0]["status"], dict(messages[0]["headers"]), json.loads(messages[1]["body"])


def served(route, **options) -> HotPath:
    return HotPath(None, service=lambda: SimpleNamespace(routes={"/predict": route}), **options)


def test_more_than_can_be_answered_in_time_is_refused_and_what_is_accepted_is_in_time():
    async def run() -> tuple[list, list]:
        turn = asyncio.Lock()

        async def slow(body: bytes) -> dict:
            started = time.monotonic()
            async with turn:
                await asyncio.sleep(0.002)
            return {"took": time.monotonic() - started}

        path = served(slow, most_s=0.2)
        asked = []
        for _ in range(1000):  # one a millisecond, twice as many as can be answered
            asked.append(asyncio.create_task(post(path)))
            await asyncio.sleep(0.001)
        found = await asyncio.gather(*asked)
        return found, [await post(path) for _ in range(5)]

    found, after = asyncio.run(run())
    refused = [headers for status, headers, _ in found if status == 429]
    took = [told["took"] for status, _, told in found if status == 200]
    assert 100 < len(refused) < 900
    assert all(headers[b"retry-after"] == b"1" for headers in refused)
    assert len(took) + len(refused) == 1000
    assert sorted(took)[int(len(took) * 0.9)] < 0.6
    assert {status for status, *_ in after} == {200}


def test_few_requests_are_never_too_many():
    async def run() -> list:
        async def slow(body: bytes) -> dict:
            await asyncio.sleep(0.05)
            return {}

        path = served(slow, most_s=0.001)
        await post(path)
        return await asyncio.gather(*(post(path) for _ in range(LEAST)))

    assert {status for status, *_ in asyncio.run(run())} == {200}


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


@pytest.fixture
def gathered():
    """A gatherer whose thread takes 10 ms for a batch, of eight rows at most; it says which rung answered."""
    return Gatherer(
        lambda rows: time.sleep(0.01) or ["full"] * len(rows),
        lambda rows, reason: [reason] * len(rows),
        lambda: "model",
        deadline_s=5.0,
        most=8,
        waiting=400,
    )


def test_requests_that_wait_too_long_for_a_while_get_a_lower_rung_until_it_has_caught_up(gathered):
    async def run() -> tuple[list, list, list]:
        crowd, low = [], []
        for n in range(150):  # about 1,500 a second, of which 800 can be answered
            crowd += [asyncio.create_task(gathered.answer([(n, k)])) for k in range(3)]
            await asyncio.sleep(0.002)
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


def test_past_a_number_of_rows_that_wait_new_ones_do_not(gathered):
    async def run() -> list:
        crowd = [asyncio.create_task(gathered.answer([n])) for n in range(500)]
        started = time.monotonic()
        await asyncio.sleep(0)
        answers = await asyncio.gather(*crowd[450:])
        assert time.monotonic() - started < 0.2
        crowd[0].cancel()
        await asyncio.gather(*crowd, return_exceptions=True)
        return answers

    assert asyncio.run(run()) == [["overload"]] * 50
    assert gathered.waiting == 0


def test_a_call_of_its_own_is_not_gathered(gathered):
    async def run() -> list:
        return await asyncio.gather(
            gathered.answer([1]), gathered.call(lambda rows: threading.current_thread().name, [2]), gathered.answer([3])
        )

    assert asyncio.run(run()) == [["full"], "answers", ["full"]]
