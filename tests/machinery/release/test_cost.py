"""What it costs to make a model and to ask it."""

import hashlib
import subprocess
from dataclasses import replace

import pytest

from ringbound.errors import ModelError
from ringbound.models.facts import Learnt, ModelFacts
from ringbound.monitoring.alerts import alerts_of
from ringbound.notebooks.stage import StageCost
from ringbound.release.cost import Costs, Rates, changes, measured_stages, note_costs
from ringbound.store import Store
from ringbound.workspace import layout
from ringbound.workspace.revision import Revision

GIVEN = {"cpu_hour": 3.6, "gb_month": 0.5, "currency": "$", "run": 0.2, "answers": 0.001}
RATES = Rates(**GIVEN)
COSTS = Costs("m1", 4, {"tune": StageCost("a", 60.0, 100.0, 10**9, 10**6)}, {"full": 500.0, "default": 2.0}, [])


def model_of(version: str) -> ModelFacts:
    learnt = Learnt(10, "a", "b", "", "linear", {}, 1)
    return ModelFacts(version, "p", "e", {}, "f", 0.5, None, ["full"], {}, "", learnt)


def test_time_becomes_money():
    assert RATES.of(100.0) == pytest.approx(0.1)
    lines = COSTS.lines(RATES)
    assert lines[1].split() == ["tune", "60.0", "100.0", "1000", "1.0", "0.1000"]
    assert "a run: 100 cpu s, $0.1000" in lines
    assert "a trial: 25.0 cpu s, $0.02500" in lines
    assert "1,000 answers of full: 0.50 cpu s, $0.000500" in lines


def test_a_page_is_told_what_a_run_and_so_many_answers_cost():
    assert COSTS.for_page(RATES, 4000) == {"cost_of_a_run": "$0.1000", "cost_of_these_answers": "$0.002000"}
    unknown = replace(COSTS, unknown=["ingest"], answer_us={})
    assert unknown.for_page(RATES, 4000) == {"cost_of_a_run": "at least $0.1000"}


def test_what_is_beyond_a_budget_is_said_and_without_one_nothing_is():
    assert COSTS.beyond(RATES) == {}
    slow = replace(COSTS, stages={"tune": replace(COSTS.stages["tune"], cpu_seconds=300.0)}, answer_us={"full": 2000.0})
    assert slow.beyond(RATES) == {
        "cost/run": "a run costs $0.3000, $0.2 may be spent",
        "cost/answers": "1,000 answers cost $0.002000, $0.001 may be spent",
    }
    assert slow.beyond(replace(RATES, run=0, answers=0)) == {}


def test_what_is_beyond_a_budget_is_an_alert_until_it_has_been_kept_to_for_two_weeks(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/store.db")
    note_costs(store, {"cost/run": "a run costs $2"}, "2026-03-01")
    note_costs(store, {"cost/run": "a run costs $3"}, "2026-03-02")
    (alert,) = alerts_of(store.alert_facts())
    assert (alert.name, alert.state, alert.times, alert.says) == ("cost/run", "open", 2, "a run costs $3")
    note_costs(store, {}, "2026-03-10")
    assert alerts_of(store.alert_facts())[0].state == "open"
    note_costs(store, {}, "2026-03-16")
    assert alerts_of(store.alert_facts())[0].state == "resolved"
    store.close()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (None, "expected \\['cpu_hour'"),
        (GIVEN | {"more": 1}, "expected \\['cpu_hour'"),
        (GIVEN | {"run": -1}, "expected run as a number of at least 0; got -1"),
        (GIVEN | {"currency": 5}, "expected currency as a text; got 5"),
        (GIVEN | {"cpu_hour": True}, "expected cpu_hour as a number"),
    ],
)
def test_rates_that_do_not_fit_are_said(given, says):
    with pytest.raises(ModelError, match=says):
        Rates.from_section(given)


def test_a_run_counts_only_for_what_it_has_made(small):
    (small.root / "data/reports").mkdir(parents=True, exist_ok=True)
    (small.root / "dvc.yaml").write_text("stages:\n  one: {cmd: a}\n  two: {cmd: b}\n  code: {cmd: c}\n")
    for name in ("one", "two"):
        report = small.root / f"data/reports/{name}.ipynb"
        report.write_text(name)
        of = hashlib.sha256(name.encode()).hexdigest()
        StageCost(of, 1.0, 2.0, 3, 4).write(small.root / layout.COSTS / f"{name}.json")
    assert measured_stages(small.root)[1] == []
    (small.root / "data/reports/two.ipynb").write_text("out of the cache")
    found, unknown = measured_stages(small.root)
    assert (list(found), unknown) == (["one"], ["two"])


def test_a_report_shows_costs_before_and_after_or_says_where_they_are_missing(tmp_path):
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    (tmp_path / "params.yaml").write_text(
        "cost: {cpu_hour: 3.6, gb_month: 0.5, currency: $, run: 0.2, answers: 0.001}\n"
    )
    git("add", "-A")
    git("commit", "-q", "-m", "nothing measured")
    model_of("m1").write(tmp_path / layout.MODEL)
    COSTS.write(tmp_path / layout.COST)
    git("add", "-A")
    git("commit", "-q", "-m", "measured")
    dear = replace(COSTS, stages={"tune": replace(COSTS.stages["tune"], cpu_seconds=300.0)})
    dear.write(tmp_path / layout.COST)
    (missing,) = changes(Revision(tmp_path, "HEAD~1"), Revision(tmp_path, "HEAD"))
    assert missing == "Not measured in HEAD~1: `ringbound cost --write`, to be committed."
    page = "\n".join(changes(Revision(tmp_path, "HEAD"), Revision(tmp_path)))
    assert "| tune | 100.0 | 300.0 | 1,000 | 1,000 |" in page
    assert "A run: 100 cpu s, $0.1000 → 300 cpu s, $0.3000." in page
    assert "⚠️ a run costs $0.3000, $0.2 may be spent" in page
    replace(dear, unknown=["features"]).write(tmp_path / layout.COST)
    page = "\n".join(changes(Revision(tmp_path, "HEAD"), Revision(tmp_path)))
    assert "→ at least 300 cpu s" in page
    model_of("m2").write(tmp_path / layout.MODEL)  # of which nothing was measured
    assert changes(Revision(tmp_path, "HEAD"), Revision(tmp_path))[0].startswith("Not measured in the workspace")
