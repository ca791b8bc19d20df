"""Rankings: how well the rows of a group are put in order, held to permutations and to scikit-learn."""

from dataclasses import replace
from itertools import permutations
from shutil import copytree, rmtree

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from ringbound import Classification, Costs, Ranking, slices_of
from ringbound.errors import ProblemError
from ringbound.evaluation.answers import read_evaluation, write_evaluation
from ringbound.evaluation.comparison import compare
from ringbound.evaluation.ladder import evaluate_ladder
from ringbound.evaluation.uncertainty import resample
from ringbound.problem.metrics import at_most_one, higher_is_better
from ringbound.problem.ranked import DiscountedGain, ReciprocalRank
from ringbound.problem.tasks import task_from_json
from ringbound.problem.training import read_training_table
from ringbound.release.report import _bar
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
def test_of_rows_of_the_same_answer_every_order_counts_alike(seed):
    y, p, groups = groups_of(seed, n=24, sizes=6)
    said, values = ReciprocalRank().of_groups(y, p, groups)
    assert said.tolist() == mixed(y, groups)
    for one, value in zip(said, values, strict=True):
        here, answers = y[groups == one], p[groups == one]
        orders = [o for o in permutations(range(len(here))) if all(np.diff(answers[list(o)]) <= 0)]
        places = [next(place for place, row in enumerate(order, start=1) if here[row]) for order in orders]
        assert value == pytest.approx(np.mean(1 / np.array(places)), abs=1e-12)


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


def test_a_group_that_reaches_into_another_block_stays_whole_and_counts_where_it_begins():
    y, p = np.array([0.0, 1, 0, 1]), np.array([0.9, 0.5, 0.8, 0.7])
    found = resample(
        y, p, np.array([0, 0, 1, 1]), {"mrr": ReciprocalRank()}, draws=30, seed=1, groups=np.array(["a", "b", "b", "a"])
    )["mrr"]
    assert found.value == 0.5, "neither group is cut apart"
    assert np.isnan(found.drawn[found.counts[:, 0] == 0]).all(), "both count in the first block"


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
    assert kept.rows["ranked_within"].tolist() == table["courier"].tolist()
    assert kept.task == TASK
    found = compare(kept.of_baseline(), kept, draws=50, seed=1, least_rows=30)
    assert found.metrics["ndcg"].judgement == "better"
    assert found.metrics["ndcg"].after == pytest.approx(full.value)
    assert "Ranking" in str(result.figure().figure.axes[0].get_title())
    told_all = replace(kept, rows=kept.rows.assign(truth=1.0))
    silent = compare(told_all.of_baseline(), told_all, draws=50, seed=1, least_rows=30).metrics["ndcg"]
    assert silent.judgement == "inconclusive"
    assert _bar(silent.change.value, silent.change.low, silent.change.high) == ""


def test_a_slice_may_be_called_group(tmp_path):
    rows, result = examples.later(), examples.evaluation()
    by = slices_of(rows, examples.past()).rename(columns={"depot": "group"})
    assert "group" in by
    write_evaluation(tmp_path, rows, result.answers, by, examples.bundle().model)
    assert "group" in read_evaluation(tmp_path).facts.slices


@pytest.mark.parametrize(
    ("groups", "says"),
    [
        (lambda n: np.where(np.arange(n) % 7, np.arange(n) // 3, np.nan), "expected a courier for every row"),
        (lambda n: np.arange(n) % 50, "expected the rows of one courier to be of one day; 100% are of several"),
    ],
)
def test_groups_that_cannot_be_put_in_order_are_refused(tmp_path, groups, says):
    table = examples.training().table
    table = table.assign(courier=groups(len(table)))
    copytree(examples.folder() / "features", tmp_path / "features")
    rmtree(tmp_path / "features/table")
    (tmp_path / "features/table").mkdir()
    table.to_parquet(tmp_path / "features/table/all.parquet")
    with pytest.raises(ProblemError, match=says):
        read_training_table(tmp_path / "features", RANKED)


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
