"""The whole turn, by commands and HTTP: a week is served, what comes of it raises an alarm, a model learns anew, passes the
gates, is brought to those who ask in steps, serves, and is taken back. Each step leaves its record."""

import json
import re
import threading
import time

import pandas as pd
import pytest

from houses import Houses
from services import Service

LEARNT, WEEK, THROUGH = "2020-05-01T00:00:00Z", ("2020-06-15", "2020-06-22"), "2020-07-01T00:00:00Z"
DEARER = 150.0
"""By how much the price of every house is higher from the day on to which the first model has learnt."""


@pytest.fixture(scope="module")
def houses(tmp_path_factory) -> Houses:
    """A workspace whose first version has learnt and serves, before the world became another one."""
    made = Houses(tmp_path_factory.mktemp("turn") / "a workspace", "linear")
    table = made.root / "data/sources/houses.csv"
    rows = pd.read_csv(table)
    rows["price"] += DEARER * (rows["at"] >= LEARNT)
    rows.to_csv(table, index=False)
    made.serve_first(through=LEARNT)
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> tuple[str, str]:
    return "--store", f"sqlite:///{tmp_path_factory.mktemp('turn')}/store.db"


@pytest.fixture(scope="module")
def service(houses, store):
    houses.call("ringbound", "features", "load", *store)
    found = Service(houses, "--environment", "prod", "--clock", "event", *store)
    yield found
    found.stop()


def days_of(houses: Houses, table: str, column: str, first: str, last: str) -> list[list[dict]]:
    """Return the records of a table, a list a day."""
    read = pd.read_csv(houses.root / f"data/sources/{table}.csv")
    read = read[(read[column] >= first) & (read[column] < last)].sort_values(column)
    return [rows.to_dict("records") for _, rows in read.groupby(read[column].str[:10])]


def serve(service: Service, houses: Houses, first: str, last: str) -> dict[str, float]:
    """Send the events and ask the questions of some days, and tell what came of them; return the answers by their ids."""
    answers = {}
    sales = days_of(houses, "sales", "time", first, last)
    asked = days_of(houses, "houses", "at", first, last)
    for events, rows in zip(sales, asked, strict=True):
        event = [{name: one[name] for name in ("id", "time", "district", "metre")} for one in events]
        assert service.post("events", {"source": "sales", "events": event})[0] == 200
        question = [{name: row[name] for name in ("district", "area", "built")} for row in rows]
        status, answer = service.post("predict", {"rows": question})
        assert status == 200, answer
        ids = [one["prediction_id"] for one in answer["predictions"]]
        answers |= {one["prediction_id"]: one["value"] for one in answer["predictions"]}
        came = [
            {"prediction_id": name, "time": row["at"], "outcome": row["price"]}
            for name, row in zip(ids, rows, strict=True)
        ]
        assert service.post("outcomes", {"outcomes": came})[1]["accepted"] == len(rows)
    return answers


def models(service: Service, question: dict, times: int = 20) -> set[str]:
    """Return which models answer now, and that every request is answered."""
    seen = set()
    for number in range(times):
        status, answer = service.post("predict", {"rows": [question | {"area": 50 + number}]})
        assert status == 200, answer
        seen.add(answer["predictions"][0]["model_version"])
    return seen


def until(holds, within_s: float = 120) -> None:
    ends = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends, "it takes too long"
        time.sleep(0.2)


def test_a_full_turn(houses, store, service):
    call = lambda *command, check=True: houses.call("ringbound", *command, check=check)  # noqa: E731
    first = json.loads((houses.root / "data/reports/model.json").read_text())["version"]

    # All is as it was learnt, and then it is not: a week of answers that are too low, and what came of them.
    serve(service, houses, "2020-05-01", WEEK[0])
    answers = serve(service, houses, *WEEK)
    assert len(answers) > 80
    looked = call("monitor", "--through", "2020-06-23", "--window", "7d", *store, check=False)
    assert looked.returncode == 3, looked.stdout + looked.stderr
    assert re.search(
        r"^critical +performance +open since 2020-05", call("alerts", *store, check=False).stdout, flags=re.M
    )

    # That is a cause to learn anew: another commit, version and verdict; what serves does not change.
    said = call("retrain", "--if", "performance", "--through", THROUGH, *store).stdout
    assert "v2: model " in said
    assert "verdict promote" in said
    branch = "retrain/2020-07-01T00-00-00"
    record = json.loads(houses.call("git", "show", f"{branch}:data/reports/retraining.json").stdout)
    assert record["cause"].startswith("performance")
    second = json.loads(houses.call("git", "show", f"{branch}:data/reports/model.json").stdout)["version"]
    verdict = json.loads(houses.call("git", "show", f"{branch}:data/reports/verdict.json").stdout)
    assert (verdict["champion"], verdict["challenger"], verdict["decision"]) == (first, second, "promote")
    question = {"district": "north", "area": 90, "built": "1990-01-01T00:00:00Z"}
    assert models(service, question) == {first}

    # Step by step it answers more, nobody waits for it, and at the end it serves.
    ended, seen, failed = threading.Event(), set(), []

    def ask() -> None:
        while not ended.is_set():
            try:
                seen.update(models(service, question, 5))
            except (AssertionError, OSError) as error:
                failed.append(str(error))
                time.sleep(0.1)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        plan = ("--steps", "shadow,50%,100%", "--hold", "1s", "--rows", "30", "--slower", "1000", "--differ", "1e6")
        call("rollout", "start", "v2", *plan, "--promote", *store)
        until(lambda: "v2" in call("rollout", "settle", *store).stdout)
        assert call("registry", "show", "prod").stdout.startswith("house-prices v2:")
        until(lambda: models(service, question, 3) == {second})
        call("registry", "rollback", "prod", *store)
        until(lambda: models(service, question, 3) == {first})
    finally:
        ended.set()
        asking.join()
    assert failed == []
    assert seen == {first, second}

    # Every step can be read afterwards.
    history = [line.split()[1] for line in call("rollout", "history", *store).stdout.splitlines()]
    assert history == ["serve", "start", "step", "step", "serve", "serve"]
    told = call("registry", "history").stdout
    assert len(re.findall(r"promote|roll back", told)) == 3, told
    worth = call("history", *store).stdout
    assert [re.search(r"v\d", line)[0] for line in worth.splitlines() if re.match(r"\d{4}-", line)], worth
    sealed = call("receipts", "verify", "--sample", "20", *store).stdout
    assert sealed.startswith("20 of 20 predictions identical"), sealed
    name = next(iter(answers))
    receipt = call("receipts", "show", name, *store, check=False).stdout
    assert first in receipt
