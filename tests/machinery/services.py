"""The service of a workspace, as people run it, and a client of it."""

import json
import os
import signal
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from typing import Any

from postgresql import free_port


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return [pid, *(found for child in children for found in family(int(child)))]


class Service:
    """A workspace's packaged service on a port of its own; answers may take their time."""

    def __init__(self, workspace: Any, *options: str, port: int | None = None, scheme: str = "http", token: str = ""):
        self.port = port or free_port()
        self.address = f"{scheme}://127.0.0.1:{self.port}"
        self.token = token
        self._trust = ssl._create_unverified_context()  # what tests speak to has made its certificate itself
        self._process = subprocess.Popen(
            ["ringbound", "serve", "--port", str(self.port), "--deadline-ms", "20000", *options],
            cwd=workspace.root, env=workspace.environment,
            start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                assert urllib.request.urlopen(f"{self.address}/readyz", context=self._trust).status == 200
                return
            except (urllib.error.URLError, ConnectionError):
                assert self._process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.2)

    def post(self, route: str, content: object) -> tuple[int, dict]:
        """Send JSON and return the status and the answer."""
        body = json.dumps(content).encode()
        headers = {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {self.token}"} if self.token else {}
        request = urllib.request.Request(f"{self.address}/{route}", body, headers)
        try:
            with urllib.request.urlopen(request, context=self._trust) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def stop(self) -> None:
        """Stop it, as an operator does."""
        os.killpg(self._process.pid, signal.SIGTERM)
        self._process.wait(30)

    def kill_worker(self) -> None:
        """Kill the process that answers, and leave the one that watches it."""
        os.kill(family(self._process.pid)[-1], signal.SIGKILL)

    def kill(self) -> None:
        """Kill every process of it, workers first; they have groups of their own."""
        for pid in reversed(family(self._process.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(30)
