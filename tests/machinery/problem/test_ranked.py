"""Rankings: how well the rows of a group are put in order, held to permutations and to scikit-learn."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from ringbound import Classification, Costs, Ranking, slices_of
from ringbound.errors import ProblemError
from ringbound.evaluation.answers import read_evaluation, write_evaluation
from ringbound.evaluation.comparison import compare
from ringbound.evaluation.ladder import evaluate_ladder
from ringbound.evaluation.uncertainty import bootstrap, resample
from ringbound.problem.metrics import at_most_one, higher_is_better
from ringbound.problem.ranked import DiscountedGain, ReciprocalRank
from ringbound.problem.tasks import task_from_json
from ringbound.testing import examples
from ringbound.testing.parcels import PROBLEM

TASK = Ranking(top=3)
RANKED = replace(PROBLEM, task=TASK, group="courier")


def groups_of(seed: int, n: int = 60, sizes: int = 9) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, answers of which many are equal, and groups in no order."""
    dice = np.random.default_rng(seed)
    groups = dice.permutation(np.arange(n) // sizes)
    return dice.integers(0, 2, n).astype(float), dice.integers(0, 4, n) / 4, groups


def mixed(y: np.ndarray, groups: np.ndarray) -> list[int]:
    return [one for one in np.unique(groups).tolist() if 0 < y[groups == one].mean() < 1]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("top", [1, 3, 20])
def test_gains_are_those_of_scikit_learn_also_where_answers_are_equal(seed, top):
    y, p, groups = groups_of(seed)
    said, values = DiscountedGain(top).of_groups(y, p, groups)
    assert said.tolist() == mixed(y, groups)
    for one, value in zip(said, values, strict=True):
        here = groups == one
        assert value == pytest.approx(ndcg_score([y[here]], [p[here]], k=top), abs=1e-12)


@pytest.mark.parametrize("seed", range(10))
def test_the_first_relevant_row_stands_where_it_does_on_average(seed):
    y, p, groups = groups_of(seed, n=24, sizes=6)
    said, values = ReciprocalRank().of_groups(y, p, groups)
    assert said.tolist() == mixed(y, groups)
    for one, value in zip(said, values, strict=True):
        here, answers = y[groups == one], p[groups == one]
        orders = [o for o in permutations(range(len(here))) if all(np.diff(answers[list(o)]) <= 0)]
        places = [next(place for place, row in enumerate(order, start=1) if here[row]) for order in orders]
        assert value == pytest.approx(1 / np.mean(places), abs=1e-12)


def test_where_no_group_says_anything_there_is_no_value():
    nothing = DiscountedGain(3).of_groups(np.ones(4), np.ones(4), np.array([0, 0, 1, 1]))
    assert [part.tolist() for part in nothing] == [[], []]
    assert np.isnan(DiscountedGain(3)(np.ones(4), np.ones(4), np.ones(4)))
    assert ReciprocalRank()(np.array([0.0, 1, 1]), np.array([3.0, 2, 1]), np.array([1.0, 0, 1])) == 0.5


def test_a_resampled_set_has_the_mean_over_the_groups_of_its_blocks():
    y, p, groups = groups_of(4, n=200, sizes=10)
    blocks = groups % 7  # several groups a block
    found = resample(y, p, blocks, {"mrr": ReciprocalRank()}, draws=30, seed=1, groups=groups)["mrr"]
    said, values = ReciprocalRank().of_groups(y, p, groups)
    assert found.value == pytest.approx(values.mean())
    for counts, drawn in zip(found.counts, found.drawn, strict=True):
        assert drawn == pytest.approx(np.average(values, weights=counts[said % 7]))
    for block, left in enumerate(found.left_out):
        assert left == pytest.approx(values[said % 7 != block].mean())


def test_rows_of_one_group_in_two_blocks_are_not_put_in_order_together():
    y, p = np.array([1.0, 0, 0, 1]), np.array([0.9, 0.1, 0.9, 0.1])
    found = bootstrap(
        y, p, np.array([0, 0, 1, 1]), {"mrr": ReciprocalRank()}, draws=10, seed=1, groups=np.array(["a"] * 4)
    )
    assert found["mrr"].value == 0.75


def test_a_ranking_is_measured_kept_and_compared_by_group(tmp_path):
    rows = examples.later()
    dice = np.random.default_rng(2)
    table = rows.table.assign(courier=dice.integers(0, 40, len(rows)))
    ranked = replace(rows, problem=RANKED, table=table)
    facts = replace(examples.bundle().model, task=TASK.to_json())
    model = replace(examples.bundle(), problem=RANKED, facts=replace(examples.bundle().facts, model=facts))
    result = evaluate_ladder(model, ranked, draws=50, seed=1)
    assert list(result.estimates["full"]) == ["ndcg", "mrr", "auc", "log_loss", "calibration_error"]
    full, none = (result.estimates[rung]["ndcg"] for rung in ("full", "default"))
    assert none.high < full.low <= full.value <= full.high <= 1
    past = examples.past()
    past = replace(past, problem=RANKED, table=past.table.assign(courier=0))
    write_evaluation(tmp_path, ranked, result.answers, slices_of(ranked, past), facts)
    kept = read_evaluation(tmp_path)
    assert kept.rows["group"].tolist() == table["courier"].tolist()
    assert kept.task == TASK
    found = compare(kept.of_baseline(), kept, draws=50, seed=1, least_rows=30)
    assert found.metrics["ndcg"].judgement == "better"
    assert found.metrics["ndcg"].after == pytest.approx(full.value)
    assert "Ranking" in str(result.figure().figure.axes[0].get_title())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": TASK}, "expected a group, .*; got '' of a ranking"),
        (
            {"group": "courier"},
            "expected a group, .* of a ranking and of nothing else; got 'courier' of a classification",
        ),
        ({"task": TASK, "group": "late"}, "expected columns that differ"),
        ({"task": TASK, "group": "weight"}, "of which .'weight'. are features"),
        (
            {"task": TASK, "group": "courier", "undecided": 0.1},
            "undecided to be a share below 1, of a task that decides",
        ),
    ],
)
def test_a_group_is_of_a_ranking_and_a_column_of_its_own(change, says):
    with pytest.raises(ProblemError, match=f"problem late-parcels: .*{says}"):
        replace(PROBLEM, **change)


@pytest.mark.parametrize("top", [0, -1, 2.5, True])
def test_a_number_of_rows_is_looked_at(top):
    with pytest.raises(ProblemError, match="expected a number of rows that are looked at, from 1 on"):
        Ranking(top=top)


def test_a_ranking_answers_probabilities_and_decides_nothing():
    assert task_from_json(TASK.to_json()) == TASK
    assert (TASK.threshold, TASK.says_decision, TASK.decide(np.ones(2))) == (None, "", None)
    assert TASK.says_answer == "probability of relevant"
    assert TASK.asks != Classification(Costs(1, 1)).asks
    assert higher_is_better("ndcg")
    assert higher_is_better("mrr")
    assert all(at_most_one(TASK.metrics[name]) for name in ("ndcg", "mrr"))
