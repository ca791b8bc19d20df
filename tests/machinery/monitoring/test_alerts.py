"""The life of an alert, told by its facts, and who is told of it."""

import json
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ringbound.errors import ModelError, StoreError
from ringbound.monitoring.alarm import Alarm
from ringbound.monitoring.alerts import alerts_of, change, note_alarms, standing
from ringbound.monitoring.view import page
from ringbound.monitoring.webhook import tell
from ringbound.store import Store
from ringbound.store.schema import ALERTS

WEATHER = Alarm("data/weather", "2020-03-01", "warning", "temperatures are strange", "data", "see the unit")


@pytest.fixture
def empty(url) -> Store:
    return Store(url)


def on(day: str) -> Alarm:
    return replace(WEATHER, day=day)


def test_the_life_of_an_alert(empty):
    assert [one.name for one in note_alarms(empty, [on("2020-03-01")], set(), "2020-03-01")] == ["data/weather"]
    assert note_alarms(empty, [on("2020-03-01"), on("2020-03-05")], set(), "2020-03-05") == []
    (life,) = alerts_of(empty.alert_facts())
    assert (life.state, life.opened, life.last, life.times) == ("open", "2020-03-01", "2020-03-05", 2)
    change(empty, "data/weather", "acknowledge", "ann", "asked the weather people", "2020-03-05")
    assert standing(alerts_of(empty.alert_facts()))["data/weather"].state == "acknowledged"
    change(empty, "data/weather", "resolve", "ann", "they sent Celsius", "2020-03-06")
    assert note_alarms(empty, [on("2020-03-01"), on("2020-03-05"), on("2020-03-06")], set(), "2020-03-06") == []
    (again,) = note_alarms(empty, [on("2020-03-20")], set(), "2020-03-20")
    assert again.recurring
    assert [one.state for one in alerts_of(empty.alert_facts())] == ["resolved", "open"]
    assert alerts_of(empty.alert_facts())[0].notes == [
        "acknowledged: ann asked the weather people",
        "resolved: ann they sent Celsius",
    ]


def test_the_same_alarms_once_more_change_nothing(empty):
    found = [on("2020-03-01"), on("2020-03-04"), replace(WEATHER, name="performance", day="2020-03-02")]
    note_alarms(empty, found, set(), "2020-03-05")
    before = empty.alert_facts()
    for _ in range(3):
        assert note_alarms(empty, found, set(), "2020-03-05") == []
    assert empty.alert_facts() == before


def test_it_is_resolved_by_two_weeks_as_usual_and_by_nothing_less(empty):
    note_alarms(empty, [on("2020-03-01")], set(), "2020-03-01")
    note_alarms(empty, [], {"data/weather"}, "2020-03-10")  # too soon
    note_alarms(empty, [], set(), "2020-03-20")  # it goes on
    assert alerts_of(empty.alert_facts())[0].state == "open"
    note_alarms(empty, [], {"data/weather"}, "2020-03-20")
    assert alerts_of(empty.alert_facts())[0].state == "resolved"


def test_two_runs_at_once_open_it_once(url):
    stores = [Store(url) for _ in range(4)]
    threads = [
        threading.Thread(target=note_alarms, args=(one, [on("2020-03-01")], set(), "2020-03-01")) for one in stores
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [fact.kind for fact in stores[0].alert_facts()] == ["open"]


def test_what_does_not_stand_cannot_be_changed(empty):
    with pytest.raises(StoreError, match=r"expected one that is open.*got 'data/weathr'"):
        change(empty, "data/weathr", "acknowledge", "ann", "", "2020-03-01")


def test_what_nobody_can_have_said_is_passed_over(empty):
    note_alarms(empty, [on("2020-03-01")], set(), "2020-03-01")
    for details in ("garbage", "[]"):
        with empty._writing() as connection:
            row = {"name": "data/weather", "at": 1, "day": "2020-03-02", "kind": "acknowledge", "details": details}
            connection.execute(ALERTS.insert(), row)
            connection.execute(ALERTS.insert(), row | {"day": "nonsense", "kind": "open"})
    (life,) = alerts_of(empty.alert_facts())
    assert life.state == "acknowledged"
    assert "temperatures" in page(None, [life])


class Listener(BaseHTTPRequestHandler):
    """Answers what it is told to, and keeps what it has heard."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.heard.append(body)
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def listener():
    server = HTTPServer(("127.0.0.1", 0), Listener)
    server.heard, server.answers = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}/alerts"
    yield server
    server.shutdown()


def test_a_webhook_is_told_once_after_it_has_failed(empty, listener):
    listener.answers = [500, 503]
    waits: list[float] = []
    new = note_alarms(empty, [on("2020-03-01")], set(), "2020-03-01")
    assert tell(empty, new, listener.url, sleep=waits.append) == 0
    assert len(listener.heard) == 3
    assert waits == [0.5, 1.0]
    assert listener.heard[0]["text"] == "warning: data/weather: temperatures are strange"
    assert listener.heard[0]["alert"]["found"]["action"] == "see the unit"
    assert tell(empty, list(standing(alerts_of(empty.alert_facts())).values()), listener.url) == 0
    assert len(listener.heard) == 3


def test_an_address_that_is_none_is_said_and_not_tried(empty):
    new = note_alarms(empty, [on("2020-03-01")], set(), "2020-03-01")
    for url in ("nonsense", "ftp://example.org", "http://"):
        with pytest.raises(ModelError, match="--webhook: expected an address"):
            tell(empty, new, url)


def test_what_could_not_be_told_is_told_with_the_next_run(empty, listener):
    new = note_alarms(empty, [on("2020-03-01")], set(), "2020-03-01")
    assert tell(empty, new, "http://127.0.0.1:9/nobody", sleep=lambda _: None) == 1
    listener.answers = [404]  # what it is told is wrong: to say it again at once would not help
    assert tell(empty, new, listener.url, sleep=lambda _: None) == 1
    assert len(listener.heard) == 1
    waiting = list(standing(alerts_of(empty.alert_facts())).values())
    assert tell(empty, waiting, listener.url) == 0
    assert len(listener.heard) == 2
