"""What an evaluation says of a model: without a field, by group, and against what is split by time."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ringbound.errors import ModelError, ProblemError
from ringbound.evaluation.ablation import evaluate_without
from ringbound.evaluation.answers import read_evaluation, write_evaluation
from ringbound.evaluation.ladder import evaluate_ladder
from ringbound.evaluation.slices import BiasTable, bias_table, slices_of
from ringbound.models.calibration import Calibration
from ringbound.models.rung import Rung
from ringbound.testing import examples

CANDIDATES = [examples.LINEAR, examples.TREES]


def test_without_a_field_both_models_are_as_they_were_fitted():
    """A calibration of the full model would be counted as the field's worth."""
    bundle = examples.bundle()
    crooked = replace(bundle, full=Rung(bundle.full.encoder, bundle.full.model, Calibration(0.2, 0.0)))
    result = evaluate_ladder(crooked, examples.later(), draws=20, seed=1)
    without = evaluate_without(result, examples.past(), CANDIDATES, field="courier", draws=20, seed=1)
    plain = evaluate_ladder(
        replace(bundle, full=Rung(bundle.full.encoder, bundle.full.model)), examples.later(), draws=20, seed=1
    )
    assert without.full == plain.estimates["full"] != result.estimates["full"]


@pytest.mark.parametrize(
    ("field", "candidates", "says"), [("colour", CANDIDATES, "got 'colour'"), ("courier", [], "expected the candidate")]
)
def test_without_what_is_not_there_is_refused(field, candidates, says):
    with pytest.raises(ModelError, match=says):
        evaluate_without(examples.evaluation(), examples.past(), candidates, field=field, draws=20, seed=1)


def gaps(measure: str, **by_group: float) -> BiasTable:
    return BiasTable(pd.DataFrame({"group": list(by_group), "gap": list(by_group.values())}), measure)


def test_the_largest_error_is_either_way_and_the_most_missed_is_one_way():
    assert gaps("mean_error", a=0.1, b=-9.0, c=0.2).largest(1)["group"].item() == "b"
    assert gaps("false_negative_rate", a=0.1, b=-9.0, c=0.2).largest(1)["group"].item() == "c"
    assert gaps("false_negative_rate", a=float("nan"), b=0.1).largest(2)["group"].tolist() == ["b"]


def test_a_group_without_a_yes_has_none_to_miss():
    result = examples.evaluation()
    y = result.rows.y
    by = pd.DataFrame({"depot": np.where((y == 0) & (np.arange(len(y)) % 2 == 0), "quiet", "busy")})
    table = bias_table(result, by, least_rows=10).frame.set_index("group")
    assert np.isnan(table.loc["quiet", "gap"])
    assert np.isfinite(table.loc["busy", "gap"])


def test_time_is_the_month_and_never_the_block(tmp_path):
    """Rows may be resampled by persons, whose names sort by nothing."""
    later, result = examples.later(), examples.evaluation()
    persons = replace(
        later, problem=replace(later.problem, block="person"), table=later.table.assign(person=later.table["depot"])
    )
    write_evaluation(tmp_path, persons, result.answers, later.table[["weight"]].astype(str), examples.bundle().model)
    evaluation = read_evaluation(tmp_path)
    assert set(evaluation.rows["block"]) == set(later.table["depot"])
    assert set(evaluation.rows["period"]) == set(later.table["month"])
    assert evaluation.facts.learnt_until < min(evaluation.rows["period"])
    assert evaluation.facts.period == (min(later.table["month"]), max(later.table["month"]))


@pytest.mark.parametrize(
    ("slices", "says"),
    [
        (lambda rows, past: rows.sort_values("late")[["depot"]], "with the index of its"),
        (lambda rows, past: rows[["depot"]].iloc[1:], "with the index of its"),
        (lambda rows, past: None, "got NoneType"),
        (lambda rows, past: rows[["depot"]].where(rows["depot"] != "north"), "expected a text for every row"),
        (lambda rows, past: rows[["depot", "depot"]], "columns of different names"),
        (lambda rows, past: rows[["depot"]].assign(_y="x"), "without _ at their beginning"),
    ],
)
def test_slices_that_would_mix_rows_up_are_refused(slices, says):
    later = examples.later()
    with pytest.raises(ProblemError, match=f"problem late-parcels: slices: .*{says}"):
        slices_of(replace(later, problem=replace(later.problem, slices=slices)), examples.past())


def test_slices_cannot_change_what_came_out():
    def meddling(rows, past):
        rows["late"] = 0.0
        return rows[["depot"]]

    later = examples.later()
    before = later.table["late"].copy()
    slices_of(replace(later, problem=replace(later.problem, slices=meddling)), examples.past())
    assert later.table["late"].equals(before)
