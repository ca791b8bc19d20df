"""A month of parcels, lived through under other policies."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ringbound import AlarmBudget, Costs, Fault, Prices, Rules, policies_of, simulate
from ringbound.errors import ModelError
from ringbound.features.definition import AT
from ringbound.features.frames import columns_of, instants, plain_rows
from ringbound.features.history import PAST, deliveries
from ringbound.features.live import LiveFeatures
from ringbound.models.bundle import load_bundle
from ringbound.models.facts import Learnt
from ringbound.release.gates import Gates
from ringbound.simulation.policy import ORACLE
from ringbound.simulation.result import Simulated
from ringbound.simulation.world import World
from ringbound.store import EventClock, Store
from ringbound.testing import examples
from ringbound.testing.parcels import ENTRY

LEARNT = Learnt(0, "", "", "", "linear", {"strength": 0.1}, 1)
GATES = Gates(2.0, 100, 1, 50, 1, 30, alpha=0.9, slice_margin=5.0, calibration_error=0.9)
RULES = Rules(Prices(mistake=1.0, retraining=5.0), GATES, 7, AlarmBudget())
DECLARED = [
    {"name": "never", "when": "never"},
    {"name": "weekly", "when": "schedule", "every": 7},
    {"name": "weekly, no gates", "when": "schedule", "every": 7, "gates": False, "canary": 0.0},
    {"name": "two weeks of history", "when": "schedule", "every": 7, "gates": False, "canary": 0.0, "window": 14},
    {"name": "drift", "when": "drift", "gates": False, "canary": 0.0},
    {"name": "performance", "when": "performance", "gates": False, "canary": 0.0},
    {"name": "cumulative", "when": "cumulative", "gates": False, "canary": 0.0},
    {"name": "forecast", "when": "forecast", "gates": False, "canary": 0.0},
]
NONE = pd.Series([], dtype="datetime64[us, UTC]")


def lived(folder: Path, declared: list[dict] | None = None, **more) -> Simulated:
    """Live through two weeks and a half; policies look every third day."""
    given = {"rules": RULES, "start": "2020-03-11", "end": "2020-03-29", "step": 3, "draws": 50, "entry": ENTRY} | more
    tried = policies_of(declared if declared is not None else DECLARED)
    return simulate(examples.training(), NONE, [examples.LINEAR], LEARNT, policies=tried, folder=folder, **given)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Simulated:
    return lived(tmp_path_factory.mktemp("lived"), clean=examples.folder() / "clean")


def test_nobody_does_better_than_who_knew_it_all(plain):
    totals = {one.policy: plain.total(one) for one in plain.runs}
    assert min(totals, key=totals.__getitem__) == ORACLE
    assert len({one.rows[0] for one in plain.runs}) == 1
    assert all(sum(one.rows) == sum(plain.runs[0].rows) > 0 for one in plain.runs)


def test_who_never_learns_again_serves_one_model_and_pays_nothing(plain):
    never = plain.run("never")
    assert set(never.cuts) == {"2020-03-11"}
    assert (never.retrainings, never.events) == ([], [])


def test_a_schedule_without_gates_serves_what_has_learnt_up_to_the_look(plain):
    run = plain.run("weekly, no gates")
    serves = [event for event in run.events if event.what == "serves"]
    assert [event.day for event in serves] == ["2020-03-20"]
    assert serves[0].why == "what has learnt up to 2020-03-20"
    assert run.cuts[run.days.index("2020-03-19")] == "2020-03-11"
    assert run.cuts[run.days.index("2020-03-20")] == "2020-03-20"
    assert plain.run("two weeks of history").retrainings[0] < run.retrainings[0]


def test_with_gates_a_model_learns_without_the_days_it_is_held_to(plain):
    run = plain.run("weekly")
    assert [(event.day, event.what) for event in run.events] == [
        ("2020-03-20", "cause"), ("2020-03-20", "canary"), ("2020-03-23", "serves"),
    ]  # fmt: skip
    assert run.events[-1].why == "what has learnt up to 2020-03-13"
    assert run.retrainings[0] < plain.run("weekly, no gates").retrainings[0]


def test_values_are_asked_again_through_the_store(plain):
    assert plain.checked.endswith("asked again one by one, all the same")


def test_the_same_bytes_each_time_with_as_many_workers(plain, tmp_path):
    again = lived(tmp_path, workers=2, clean=examples.folder() / "clean")
    assert again.frame.to_csv() == plain.frame.to_csv()
    assert again.runs == plain.runs
    assert again.figure()._repr_png_() == plain.figure()._repr_png_()


def killed(*_):
    raise KeyboardInterrupt


def test_a_run_that_was_killed_goes_on_and_fits_nothing_twice(plain, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("ringbound.simulation.simulate.run_oracle", killed)
        with pytest.raises(KeyboardInterrupt):
            lived(tmp_path)
    monkeypatch.setattr("ringbound.simulation.world.fit_beside", killed)
    monkeypatch.setattr("ringbound.simulation.simulate.run_policy", killed)
    assert lived(tmp_path).runs == plain.runs


def flipped(table: pd.DataFrame, far: np.ndarray) -> pd.DataFrame:
    """Return the rows with the opposite of what came."""
    return table.assign(late=np.where(far > 0, 1 - table["late"], table["late"]))


def test_where_the_world_changes_learning_pays_and_the_monitors_of_outcomes_call(tmp_path):
    fault = Fault("everything is the other way round", "performance", outcomes=flipped)
    found = lived(tmp_path, fault=fault, since="2020-03-14", clean=examples.folder() / "clean")
    never = found.run("never")
    # Half of what is learnt from by then is of the old world, which a shorter memory has forgotten.
    assert found.saving(found.run("cumulative"), never).value > 0
    assert "cause" in [event.what for event in found.run("performance").events]
    assert found.run("drift").causes == 0
    assert found.run("cumulative").paid > 0


def test_lies_are_learnt_where_no_gate_stops_them_and_cost_what_they_cost(tmp_path, plain):
    told = lived(tmp_path, lies=Fault("all of it is a lie", "", outcomes=flipped), since="2020-03-11")
    assert told.run("never").mistakes == plain.run("never").mistakes  # what it costs is what came
    assert told.saving(told.run("never"), told.run("two weeks of history")).value > 0
    assert told.run("two weeks of history").mistakes != plain.run("two weeks of history").mistakes


def test_what_is_worse_is_kept_out_by_gates_and_by_the_canary(tmp_path, monkeypatch):
    answers = World.answers

    def worse(world: World, cut: int, window: int) -> np.ndarray:
        found = answers(world, cut, window)
        return found if cut <= world.start else 1 - found

    monkeypatch.setattr(World, "answers", worse)
    gates = {"name": "gates", "when": "schedule", "every": 3, "canary": 0.0}
    canary = {"name": "canary", "when": "schedule", "every": 3, "gates": False}
    neither = canary | {"name": "neither", "canary": 0.0}
    found = lived(tmp_path, [gates, canary, neither])
    refused = [event.why for event in found.run("gates").events if event.what == "refused"]
    assert refused[0].startswith("failed: log_loss 0.5")
    assert set(found.run("gates").cuts) == {"2020-03-11"}
    assert found.run("canary").stopped > 0
    assert set(found.run("canary").cuts) == {"2020-03-11"}
    assert found.saving(found.run("gates"), found.run("neither")).low > 0


def test_what_a_model_answers_here_is_what_it_answers_online(tmp_path):
    """One row through the log and the online features: the same bits."""
    lived(tmp_path, DECLARED[:1])
    model = next(one for one in sorted(next(tmp_path.iterdir()).iterdir()) if one.is_dir())
    bundle, kept, training = load_bundle(model), np.load(model / "answers.npy"), examples.training()
    at = instants(training.table[AT.name])
    row = np.argsort(at, kind="stable")[-100]
    store = Store(f"sqlite:///{tmp_path}/store.db")
    for name in bundle.features.sources:
        store.append(name, deliveries(examples.events(), name, 0, int(at[row])).events, PAST)
    asked = training.requests.iloc[[row]]
    live = LiveFeatures(bundle.features, store, clock=EventClock())
    values, _ = live.values(plain_rows(asked[bundle.features.entities]), [int(at[row])])
    answer = bundle.full.answer(bundle.features.compute(columns_of(asked), bundle.references, values))
    assert answer[0] == kept[-100]
    store.close()


def test_an_outcome_is_paid_for_once_and_only_where_it_was_known_in_time(tmp_path):
    priced = replace(RULES, prices=Prices(outcome=1.0))
    found = lived(tmp_path, [DECLARED[0], DECLARED[6]], end="2020-03-17", rules=priced)
    asked = sum(found.run("cumulative").rows)
    assert 0.8 * asked < found.run("cumulative").outcomes <= asked
    assert found.run("never").outcomes == 0


def test_with_other_costs_nothing_is_taken_from_before(tmp_path):
    training = examples.training()
    first = lived(tmp_path, DECLARED[:1]).run("never")
    dear = replace(training.problem, task=replace(training.problem.task, costs=Costs(miss=30.0, false_alarm=1.0)))
    again = simulate(
        replace(training, problem=dear), NONE, [examples.LINEAR], LEARNT, policies=policies_of(DECLARED[:1]), rules=RULES,
        start="2020-03-11", end="2020-03-29", step=3, draws=50, entry=ENTRY, folder=tmp_path,
    )  # fmt: skip
    assert again.run("never").mistakes != first.mistakes
    assert again.total(again.run(ORACLE)) <= again.total(again.run("never"))


def test_where_too_little_is_known_a_model_is_refused_and_life_goes_on(tmp_path):
    table = examples.training().table
    known = pd.Series((table["at"] + pd.Timedelta(4, "D")).array, table["parcel_id"])
    short = replace(RULES, held_out=3)
    rows = examples.training()
    given = {"rules": short, "start": "2020-03-11", "end": "2020-03-29", "step": 3, "draws": 50, "entry": ENTRY}
    tried = policies_of([{"name": "gates", "when": "schedule", "every": 3, "canary": 0.0}])
    found = simulate(rows, known, [examples.LINEAR], LEARNT, policies=tried, folder=tmp_path, **given)
    assert {event.why for event in found.run("gates").events if event.what == "refused"} == {
        "open: of the 3 days that it has not seen, too little is known"
    }


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"start": "yesterday"}, "expected a day like"),
        ({"start": "2020-03-29"}, "expected a day before"),
        ({"start": "2020-02-20"}, "some weeks before"),
        ({"end": "2020-04-10"}, "expected to end by 2020-03-30"),
        (
            {"lies": Fault("a", "", outcomes=lambda t, far: t.iloc[::-1]), "since": "2020-03-14"},
            "to leave rows and models as they are",
        ),
        ({"fault": Fault("a", "", outcomes=flipped), "since": "2020-03-14"}, "the folder of events"),
        ({"lies": Fault("a", ""), "since": "2020-03-14"}, "expected lies to change outcomes"),
    ],
)
def test_what_cannot_be_lived_through_is_said(tmp_path, more, says):
    with pytest.raises(ModelError, match=says):
        lived(tmp_path, DECLARED[:1], **more)
