import optuna
import pytest

from ringbound.models.candidates import Candidate, fit_linear, fit_trees
from ringbound.models.search import best, search, trials_table

CANDIDATES = [
    Candidate("linear", fit_linear, lambda trial: {"x": trial.suggest_float("x", -5, 5)}),
    Candidate("trees", fit_trees, lambda trial: {"n": trial.suggest_int("n", 1, 50, log=True)}),
]


def loss(candidate: Candidate, arguments: dict) -> float:
    return (arguments["x"] - 1) ** 2 if candidate.name == "linear" else abs(arguments["n"] - 20) / 10


def run(tmp_path, *, workers=1, trials=18, evaluate=loss, seed=3, journal="studies.db"):
    study = search(evaluate, CANDIDATES, trials=trials, workers=workers, seed=seed, journal=tmp_path / journal, key="k")
    return trials_table(study)


@pytest.fixture
def undisturbed(tmp_path):
    return run(tmp_path, journal="undisturbed.db")


def test_any_number_of_workers_gives_the_same_study(tmp_path, undisturbed):
    assert run(tmp_path, workers=2).equals(undisturbed)
    assert run(tmp_path, workers=3, journal="three.db").equals(undisturbed)


def test_another_seed_is_another_study(tmp_path, undisturbed):
    assert not run(tmp_path, seed=4).equals(undisturbed)


@pytest.mark.parametrize("dies_at", [1, 6, 8, 17])
def test_a_killed_search_goes_on_as_if_undisturbed(tmp_path, undisturbed, dies_at):
    calls = []

    def dying(candidate, arguments):
        calls.append(candidate)
        if len(calls) == dies_at + 1:
            raise KeyboardInterrupt
        return loss(candidate, arguments)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, evaluate=dying)
    counted = []

    def counting(candidate, arguments):
        counted.append(candidate)
        return loss(candidate, arguments)

    assert run(tmp_path, evaluate=counting).equals(undisturbed)
    assert len(counted) == 18 - dies_at // 4 * 4


def test_a_torn_batch_in_the_journal_is_evaluated_again(tmp_path, undisturbed):
    run(tmp_path, trials=8)
    storage = f"sqlite:///{tmp_path}/studies.db"
    torn = optuna.load_study(study_name="k", storage=storage).trials[:6]
    assert len(torn) == 6
    optuna.delete_study(study_name="k", storage=storage)
    optuna.create_study(study_name="k", storage=storage).add_trials(torn)
    assert run(tmp_path).equals(undisturbed)


def test_a_complete_study_is_made_anew(tmp_path, undisturbed):
    run(tmp_path)
    calls = []

    def counting(candidate, arguments):
        calls.append(1)
        return loss(candidate, arguments)

    assert run(tmp_path, evaluate=counting).equals(undisturbed)
    assert len(calls) == 18


def test_best_gives_the_candidate_and_its_arguments(tmp_path):
    study = search(loss, CANDIDATES, trials=30, workers=1, seed=3, journal=tmp_path / "s.db", key="k")
    candidate, arguments = best(study, CANDIDATES)
    assert loss(candidate, arguments) == study.best_value < 0.5
