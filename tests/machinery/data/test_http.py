"""Against a real local server that fails, stalls and truncates."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pandas as pd
import pytest

from ringbound.data.http import HttpJson
from ringbound.errors import SourceError

COLUMNS = {"id": "integer", "at": "timestamp"}
ROWS = [{"id": i, "at": f"2013-01-{i + 1:02d}T00:00:00Z"} for i in range(25)]


class Server:
    """Pages of ten rows; `faults` are used up one a request, in order."""

    def __init__(self):
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.total: int | None = None
        self.more: list[dict] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                fault = outer.faults.pop(0) if outer.faults else ""
                query = parse_qs(urlsplit(self.path).query)
                start = int(query.get("start", ["0"])[0])
                rows = [r for r in ROWS if r["at"] >= query.get("since", [""])[0][:10]]
                page = {"rows": rows[start : start + 10], "total": outer.total or len(rows)}
                page |= outer.more.pop(0) if outer.more else {}
                if start + 10 < len(rows) and "next" not in page:
                    page["next"] = f"/rows?start={start + 10}"
                body = json.dumps(page).encode()
                if fault == "stall":
                    time.sleep(1.0)
                self.send_response({"500": 500, "404": 404}.get(fault, 200))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if fault == "other":
                    body = b"<html>".ljust(len(body))
                self.wfile.write(body[: len(body) // 2] if fault == "half" else body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/rows"


@pytest.fixture
def api():
    server = Server()
    yield server
    server.server.shutdown()


def read(api, since=None, waits=None, **options):
    sleep = (waits if waits is not None else []).append
    source = HttpJson(api.url, COLUMNS, total="total", timeout_s=0.3, sleep=sleep, **options)
    return source.read(since, pd.Timestamp("2014-01-01T00:00Z"))


def test_reads_every_page(api):
    assert read(api).rows["id"].tolist() == list(range(25))
    assert len(api.asked) == 3


@pytest.mark.parametrize("fault", ["500", "half", "stall", "other"])
def test_failed_page_is_asked_for_again(api, fault):
    undisturbed = read(api)
    api.faults = ["", fault, fault]
    waits: list[float] = []
    reading = read(api, waits=waits)
    pd.testing.assert_frame_equal(reading.rows, undisturbed.rows)
    assert reading.sha256 == undisturbed.sha256
    assert waits == [0.5, 1.0]


def test_api_that_stays_down_is_one_clear_line(api):
    api.faults = ["500"] * 9
    with pytest.raises(SourceError) as error:
        read(api, retries=2)
    assert "no whole page after 3 attempts" in str(error.value)
    assert len(api.asked) == 3


def test_wrong_url_is_not_tried_again(api):
    api.faults = ["404"]
    with pytest.raises(SourceError, match="got HTTP 404"):
        read(api)
    assert len(api.asked) == 1


def test_fewer_rows_than_announced_are_refused(api):
    api.total = 26
    with pytest.raises(SourceError, match="expected 26 rows as announced; got 25"):
        read(api)


def test_incremental_read_says_since_when(api):
    rows = read(api, since=pd.Timestamp("2013-01-20T00:00Z"), since_parameter="since").rows
    assert rows["id"].min() == 19
    assert "since=2013-01-20" in api.asked[0]


def test_key_in_the_address_is_not_shown(api):
    api.faults = ["404"]
    with pytest.raises(SourceError) as error:
        HttpJson(api.url + "?key=geheim", COLUMNS).read(None, pd.Timestamp("2014-01-01T00:00Z"))
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([{"next": "/rows"}], "goes round in a circle"),
        ([{}, {"next": "/rows?start=10"}], "goes round in a circle"),
        ([{"next": 5}], "expected the next page's URL in 'next'; got 5"),
        ([{"next": "http://[bad"}], "expected the next page's URL"),
        ([{"total": 99}, {"total": None}, {"total": None}], "expected 99 rows as announced; got 25 rows"),
        ([{"total": None}, {"total": None}, {"total": None}], "expected a number of rows in 'total'; got 25 rows"),
        ([{}, {}, {"total": "25"}], "expected '25' rows as announced"),
    ],
)
def test_pages_that_do_not_add_up_are_one_clear_line(api, more, says):
    api.more = more
    with pytest.raises(SourceError) as error:
        read(api)
    assert says in str(error.value)
    assert "\n" not in str(error.value)
