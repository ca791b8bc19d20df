"""The ladder is a ladder: every kept rung beats the one below it on months that it was not fitted or calibrated on."""

from dataclasses import replace

import numpy as np
import pytest

from ringbound.errors import ModelError
from ringbound.models.calibration import try_calibration
from ringbound.models.candidates import Candidate, fit_linear, fit_trees
from ringbound.models.ladder import RungTrial, ordered
from ringbound.models.prior import learn_prior
from ringbound.models.selection import _meaning, search_models
from ringbound.problem.classification import Classification
from ringbound.problem.numbers import Regression
from ringbound.problem.task import Costs
from ringbound.testing import examples


def trial(*losses: float) -> dict[str, RungTrial]:
    names = ("full", "reduced", "prior", "default")
    return {name: RungTrial(loss, np.array([])) for name, loss in zip(names, losses, strict=True)}


@pytest.mark.parametrize(
    ("losses", "kept"),
    [
        ((0.4, 0.5, 0.6, 0.7), ["full", "reduced", "prior", "default"]),
        ((0.4, 0.65, 0.6, 0.7), ["full", "prior", "default"]),
        ((0.4, 0.5, 0.8, 0.7), ["full", "reduced", "default"]),
        ((0.4, 0.75, 0.8, 0.7), ["full", "default"]),
        ((0.4, 0.6, 0.6, 0.7), ["full", "prior", "default"]),
        ((0.4, 0.75, 0.6, 0.7), ["full", "prior", "default"]),
    ],
)
def test_a_rung_that_does_not_beat_the_next_kept_one_is_left_out(losses, kept):
    found = ordered(trial(*losses))
    assert list(found) == ["full", "reduced", "prior", "default"]
    assert [name for name, rung in found.items() if not rung.left_out] == kept
    for rung in found.values():
        assert not rung.left_out or rung.left_out.startswith("does not beat ")


def test_kept_rungs_are_in_order_and_served_as_tried():
    ladder = examples.ladder()
    losses = [ladder.rungs[name].loss for name in ladder.kept]
    assert losses == sorted(losses)
    assert list(examples.bundle().rungs) == ladder.kept
    assert examples.bundle().model.left_out == ladder.left_out != {}


def test_the_reduced_model_is_searched_on_its_own_features():
    looked_back = set(examples.search().rows.problem.features.windowed)
    assert set(examples.search().encoder.names) & looked_back
    assert not set(examples.reduced_search().encoder.names) & looked_back
    assert set(examples.bundle().reduced.encoder.names) == set(examples.reduced_search().encoder.names)


def sample(n: int, sharpness: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return answers that are too sure by `sharpness`, and outcomes."""
    random = np.random.default_rng(seed)
    truth = random.normal(0, 1.5, n)
    return 1 / (1 + np.exp(-sharpness * truth)), (random.random(n) < 1 / (1 + np.exp(-truth))).astype(float)


FOLDS = np.split(np.arange(3000), 3)


def test_a_calibration_that_wins_on_later_folds_is_kept():
    found = try_calibration(*sample(3000, 3.0, 1), FOLDS)
    assert found.calibration.slope == pytest.approx(1 / 3, rel=0.1)
    assert found.losses["slope"] < found.losses["none"]


def test_a_calibration_that_loses_on_later_folds_is_not_kept():
    p, y = sample(3000, 1.0, 1)
    p = np.concatenate([p[:2000] ** 3, p[2000:]])  # what was wrong before is right now
    assert try_calibration(p, y, [np.arange(2000), np.arange(2000, 3000)]).calibration is None


def test_answers_that_fall_with_the_outcome_are_not_calibrated():
    p, y = sample(3000, 1.0, 1)
    found = try_calibration(1 - p, y, FOLDS)
    assert found.calibration is None
    assert np.array_equal(found.answers, 1 - p[1000:])


def test_calibration_shifts_nothing():
    """A rate that the model will learn by itself, when it is fitted again, is not corrected a second time."""
    p, y = sample(3000, 1.0, 1)
    quiet = y * (np.random.default_rng(2).random(3000) < 0.5)
    found = try_calibration(p, quiet, FOLDS)
    mean = np.log(p / (1 - p)).mean()
    if found.calibration is not None:
        assert found.calibration.slope * mean + found.calibration.intercept == pytest.approx(mean)


def test_outcomes_of_one_kind_are_not_calibrated():
    p, y = sample(3000, 1.0, 1)
    assert try_calibration(p, np.where(np.arange(3000) < 1000, 0.0, y), FOLDS).calibration is None


def test_a_full_model_that_does_not_beat_the_next_rung_says_so():
    found = ordered(trial(0.9, 0.5, 0.6, 0.7))
    assert found["full"].warning == "does not beat reduced (0.9000 to 0.5000)"
    assert not any(rung.left_out for rung in found.values())
    assert not ordered(trial(0.4, 0.5, 0.6, 0.7))["full"].warning


def test_prior_tells_large_numbers_apart():
    features = {"size": np.array([1e6] * 500 + [1e6 + 1] * 500)}
    table = learn_prior(features, np.repeat([0.0, 1.0], 500), {"size": 1.0}, Regression())
    assert table.predict({"size": np.array([1e6, 1e6 + 1])}).round(1).tolist() == [0.0, 1.0]


def test_a_search_goes_on_from_trials_of_the_same_code_alone():
    """Its key says what losses depend on: data, task, and the candidates' code."""
    past = examples.past()
    same = [_meaning(past, [Candidate("a", fit_linear, lambda trial: {"strength": 1.0})]) for _ in range(2)]
    assert same[0] == same[1]
    assert _meaning(past, [Candidate("a", fit_linear, lambda trial: {"strength": 2.0})]) != same[0]
    assert _meaning(past, [Candidate("a", fit_trees, lambda trial: {"strength": 1.0})]) != same[0]
    task = replace(past.problem, task=Classification(Costs(9, 1)))
    assert (
        _meaning(replace(past, problem=task), [Candidate("a", fit_linear, lambda trial: {"strength": 1.0})]) != same[0]
    )


@pytest.mark.parametrize(("features", "says"), [(["weight", "wieght"], "got .'wieght'."), ([], "got none")])
def test_features_that_are_none_are_refused(features, says):
    with pytest.raises(ModelError, match=f"search: expected features of .*{says}"):
        search_models(examples.past(), [examples.LINEAR], examples.budget(2), features=features)


def test_arguments_of_any_kind_are_drawn():
    def space(trial):
        return {"strength": {"weak": 0.01, "strong": 1.0}[trial.suggest_categorical("kind", ["weak", "strong"])]}

    result = search_models(
        examples.past(), [Candidate("linear", fit_linear, space)], examples.budget(6), features=["weight"]
    )
    assert result.parallel()._repr_png_()[:4] == b"\x89PNG"
    assert result.progress()._repr_png_()[:4] == b"\x89PNG"
