"""A load generator, in a process of its own: as fast as answers come, or at a fixed rate whatever comes.

At a fixed rate a request's latency counts from when it was due, not from when it could be sent, so that a service that
stalls is seen to stall (Tene's "coordinated omission").
"""

import argparse
import asyncio
import json
import re
import time
from collections import Counter, deque
from pathlib import Path

import numpy as np
import uvloop

RUNG = re.compile(rb'"rung":\s*"(\w+)"')
LENGTH = re.compile(rb"content-length: (\d+)", re.I)


class Connection(asyncio.Protocol):
    """One connection, with one request on its way at most."""

    def __init__(self, load: "Load"):
        self.load = load
        self.buffer = bytearray()
        self.due = 0.0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport):
        self.transport = transport
        self.load.free(self)

    def send(self, due: float) -> None:
        self.due = due
        self.transport.write(self.load.request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        whole = end + 4 + int(LENGTH.search(self.buffer, 0, end)[1])
        if len(self.buffer) >= whole:
            self.load.done(self.due, int(self.buffer[9:12]), bytes(self.buffer[end + 4 : whole]))
            del self.buffer[:whole]
            self.load.free(self)

    def connection_lost(self, error) -> None:
        self.load.statuses["connection lost"] += 1


class Load:
    """Sends one request over and over, and notes what comes back, and when."""

    def __init__(self, request: bytes, rate: float, seconds: float):
        self.request, self.rate, self.seconds = request, rate, seconds
        self.statuses: Counter = Counter()
        self.rungs: Counter = Counter()
        self.latencies: list[tuple[float, float]] = []
        self.idle: deque[Connection] = deque()
        self.waiting: deque[float] = deque()
        self.started = 0.0

    def done(self, due: float, status: int, body: bytes) -> None:
        now = time.perf_counter()
        self.statuses[status] += 1
        if status == 200:
            self.latencies.append((due - self.started, now - due))
            found = RUNG.search(body)
            self.rungs[found[1].decode() if found else "none"] += 1

    def free(self, connection: Connection) -> None:
        if not self.started:
            self.idle.append(connection)
        elif self.rate and self.waiting:
            connection.send(self.waiting.popleft())
        elif self.rate or time.perf_counter() - self.started > self.seconds:
            self.idle.append(connection)
        else:
            connection.send(time.perf_counter())

    async def run(self, host: str, port: int, connections: int) -> dict:
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            await loop.create_connection(lambda: Connection(self), host, port)
        self.started = time.perf_counter()
        if self.rate:
            for number in range(int(self.rate * self.seconds)):
                due = self.started + number / self.rate
                while (ahead := due - time.perf_counter()) > 0:
                    await asyncio.sleep(ahead if ahead > 0.001 else 0)
                if self.idle:
                    self.idle.popleft().send(due)
                else:
                    self.waiting.append(due)
                if number % 16 == 0:
                    await asyncio.sleep(0)
        else:
            ready = list(self.idle)
            self.idle.clear()
            for connection in ready:
                connection.send(time.perf_counter())
            await asyncio.sleep(self.seconds)
        while len(self.idle) < connections and time.perf_counter() - self.started < self.seconds + 10:
            await asyncio.sleep(0.01)
        return self.told()

    def told(self) -> dict:
        taken = np.array([latency for _, latency in self.latencies]) * 1000
        last = max((at + latency for at, latency in self.latencies), default=1.0)
        p50, p99, most = np.quantile(taken, [0.5, 0.99, 1.0]).tolist() if len(taken) else (None, None, None)
        return {
            "per_s": len(taken) / last, "p50": p50, "p99": p99, "max": most,
            "statuses": dict(self.statuses), "rungs": dict(self.rungs),
        }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/predict")
    parser.add_argument("--body", type=Path, required=True)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0.0, help="requests a second; 0 for as fast as answers come")
    parser.add_argument("--seconds", type=float, default=5.0)
    given = parser.parse_args()
    body = given.body.read_bytes()
    head = f"POST {given.path} HTTP/1.1\r\nHost: l\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    load = Load(head.encode() + body, given.rate, given.seconds)
    print(json.dumps(uvloop.run(load.run("127.0.0.1", given.port, given.connections))))


if __name__ == "__main__":
    main()
