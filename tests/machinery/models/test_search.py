import optuna
import pandas as pd
import pytest

from postgresql import PostgreSQL
from ringbound.compute.workers import open_workers
from ringbound.errors import ModelError
from ringbound.models.candidates import Candidate, fit_linear, fit_trees
from ringbound.models.search import AHEAD, LEAST, best, search, trials_table
from ringbound.models.validation import Judged

CANDIDATES = [
    Candidate("linear", fit_linear, lambda trial: {"x": trial.suggest_float("x", -5, 5)}, cost="cheap"),
    Candidate("trees", fit_trees, lambda trial: {"n": trial.suggest_int("n", 1, 50, log=True)}),
]
TRIALS = 30


def loss(candidate: Candidate, arguments: dict) -> float:
    return (arguments["x"] - 1) ** 2 if candidate.name == "linear" else abs(arguments["n"] - 20) / 10


def judge(candidate: Candidate, arguments: dict, bars: list[float]) -> Judged:
    """Three folds with the same loss each, and a number that was found on the way."""
    means = []
    for bar in bars:
        means.append(loss(candidate, arguments))
        if means[-1] > bar:
            break
    return Judged(means, {"steps": 7} if candidate.name == "trees" else {})


def run(tmp_path, *, evaluate=judge, trials=TRIALS, seed=3, journal="studies.db", **more):
    storage = more.pop("storage", f"sqlite:///{tmp_path / journal}")
    return search(evaluate, CANDIDATES, folds=3, trials=trials, seed=seed, storage=storage, key="k", **more)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return trials_table(run(tmp_path_factory.mktemp("undisturbed")))


def counting(file, dies_at=None):
    """Return `judge`, writing a line into `file` each time, and dying at one of them."""

    def counted(candidate, arguments, bars):
        with file.open("a") as opened:
            opened.write("x\n")
        if dies_at is not None and len(file.read_text().split()) == dies_at + 1:
            raise RuntimeError("killed")
        return judge(candidate, arguments, bars)

    return counted


def test_any_number_of_workers_gives_the_same_study(tmp_path, undisturbed):
    assert trials_table(run(tmp_path, workers=2)).equals(undisturbed)
    assert trials_table(run(tmp_path, workers=3, journal="three.db")).equals(undisturbed)


def test_dask_gives_the_same_study(tmp_path, undisturbed):
    assert trials_table(run(tmp_path, workers=2, engine="dask")).equals(undisturbed)


def test_another_seed_is_another_study(tmp_path, undisturbed):
    assert not trials_table(run(tmp_path, seed=4)).equals(undisturbed)


def test_hopeless_trials_are_stopped_early_and_the_best_is_not(undisturbed):
    pruned = undisturbed[undisturbed["state"] == "pruned"]
    assert 3 <= len(pruned) <= TRIALS / 2
    assert (pruned.index >= LEAST).all()
    assert set(pruned["candidate"]) == {"linear", "trees"}, "each kind has bars of its own"
    assert pruned["fold_2"].isna().all()
    assert undisturbed["fold_0"].min() == undisturbed["loss"].min()


@pytest.mark.parametrize("dies_at", [0, 3, 11, TRIALS - 1])
def test_a_killed_search_goes_on_as_if_undisturbed(tmp_path, undisturbed, dies_at):
    with pytest.raises(RuntimeError, match="killed"):
        run(tmp_path, evaluate=counting(tmp_path / "before", dies_at))
    assert trials_table(run(tmp_path, evaluate=counting(tmp_path / "after"))).equals(undisturbed)
    repeated = len((tmp_path / "after").read_text().split()) - (TRIALS - dies_at)
    assert 0 <= repeated <= AHEAD


def test_trials_of_another_search_under_the_same_name_are_not_taken(tmp_path, undisturbed):
    run(tmp_path, seed=4, trials=12)
    assert trials_table(run(tmp_path)).equals(undisturbed)
    kept = optuna.load_study(study_name="k", storage=f"sqlite:///{tmp_path}/studies.db")
    assert [t.params for t in kept.trials] == [t.params for t in run(tmp_path, journal="other.db").trials]


def test_a_complete_study_is_made_anew(tmp_path, undisturbed):
    run(tmp_path)
    assert trials_table(run(tmp_path, evaluate=counting(tmp_path / "calls"))).equals(undisturbed)
    assert len((tmp_path / "calls").read_text().split()) == TRIALS


def test_a_search_out_of_time_is_the_beginning_of_the_whole_one_and_can_go_on(tmp_path, undisturbed):
    def slow(candidate, arguments, bars):
        import time

        time.sleep(0.1)
        return judge(candidate, arguments, bars)

    begun = trials_table(run(tmp_path, evaluate=slow, minutes=1.5 / 60))
    assert 0 < len(begun) < TRIALS
    pd.testing.assert_frame_equal(begun, undisturbed.head(len(begun))[begun.columns])
    assert trials_table(run(tmp_path)).equals(undisturbed)


def test_the_study_may_be_kept_in_postgresql(tmp_path, undisturbed):
    server = PostgreSQL(tmp_path)
    try:
        storage = server.database()
        with pytest.raises(RuntimeError, match="killed"):
            run(tmp_path, evaluate=counting(tmp_path / "before", 15), storage=storage)
        assert len(optuna.load_study(study_name="k", storage=storage).trials) >= 15 - AHEAD
        assert trials_table(run(tmp_path, storage=storage)).equals(undisturbed)
    finally:
        server.stop()


def test_best_gives_the_candidate_and_its_arguments(tmp_path):
    study = run(tmp_path)
    candidate, arguments = best(study, CANDIDATES)
    assert loss(candidate, arguments) == study.best_value < 0.5
    assert arguments.get("steps") == (7 if candidate.name == "trees" else None)


def test_no_complete_trial_of_a_class_is_said(tmp_path):
    study = optuna.create_study()
    with pytest.raises(ModelError, match="expected a complete trial"):
        best(study, CANDIDATES)


def test_an_engine_that_is_none_is_refused():
    with pytest.raises(ModelError, match="got 'spark'"), open_workers(judge, workers=1, engine="spark"):
        pass


def test_a_trial_whose_loss_is_no_number_has_failed_and_the_search_goes_on(tmp_path):
    def broken(candidate, arguments, bars):
        if candidate.name == "trees":
            return Judged([float("nan")])
        return judge(candidate, arguments, bars)

    study = run(tmp_path, evaluate=broken, trials=12)
    states = {(t.params["candidate"], t.state.name) for t in study.trials}
    assert ("trees", "FAIL") in states
    assert {state for name, state in states if name == "trees"} == {"FAIL"}
    assert best(study, CANDIDATES)[0].name == "linear"
    again = run(tmp_path, evaluate=broken, trials=14)
    assert [t.params for t in again.trials[:12]] == [t.params for t in study.trials]
