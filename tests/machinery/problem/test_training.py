from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from ringbound.errors import FeatureError, ProblemError, RecordError
from ringbound.problem.training import read_requests, read_training_table, with_features, write_training_table
from ringbound.testing import examples
from ringbound.testing.parcels import FEATURES, PROBLEM


@pytest.fixture
def parts():
    parcels = examples.town().parcels
    columns = parcels[["parcel_id", "at", "day", "month", "late"]].assign(split="train")
    return with_features(columns, examples.features()), parcels[[field.name for field in FEATURES.asked]]


def write(folder, table, requests):
    write_training_table(
        table, month="month", requests=requests, features=FEATURES, references=examples.town().references, out=folder
    )


def test_rows_and_their_questions_come_back_in_the_same_order(tmp_path, parts):
    table, requests = parts
    order = np.random.default_rng(1).permutation(len(table))
    write(tmp_path, table.iloc[order], requests.iloc[order])
    asked, read = read_requests(tmp_path), read_training_table(tmp_path, PROBLEM).table
    assert len(read) == len(table)
    assert (asked["at"] == read["at"]).all()
    assert (asked["depot"] == read["depot"]).all()


def test_questions_of_other_rows_are_refused(tmp_path, parts):
    table, requests = parts
    with pytest.raises(ProblemError, match="with the same index"):
        write(tmp_path, table, requests.iloc[::-1].reset_index(drop=True).iloc[1:])


def test_a_row_without_a_month_is_refused_and_not_lost(tmp_path, parts):
    table, requests = parts
    with pytest.raises(ProblemError, match="1 have none in month"):
        write(tmp_path, table.assign(month=table["month"].where(table.index != 7)), requests)


def test_a_table_that_does_not_fit_the_declaration_is_one_line(tmp_path, parts):
    table, requests = parts
    with pytest.raises(RecordError, match=r"features\.json"):
        read_training_table(tmp_path, PROBLEM)
    with pytest.raises(FeatureError, match="missing features"):
        write(tmp_path, table.drop(columns=["weight"]), requests)
    write(tmp_path, table.drop(columns=["day"]), requests)
    with pytest.raises(ProblemError, match=r"missing .'day'."):
        read_training_table(tmp_path, PROBLEM)
    write(tmp_path, pd.concat([table, table.iloc[:1]]), pd.concat([requests, requests.iloc[:1]]))
    with pytest.raises(ProblemError, match="expected parcel_id to be unique; 1 come again"):
        read_training_table(tmp_path, PROBLEM)


def test_features_that_lack_a_field_are_those_of_requests_without_it():
    rows, town = examples.past(), examples.town()
    without = town.features(rows.requests.assign(courier=None), examples.events())
    lacking = with_features(pd.DataFrame(index=rows.table.index), rows.lacking("courier"))
    expected = with_features(pd.DataFrame(index=rows.table.index), without)
    pd.testing.assert_frame_equal(lacking, expected[lacking.columns], check_exact=True)
    changed = [name for name in lacking if not lacking[name].equals(rows.table[name])]
    assert set(changed) == set(FEATURES.taking("courier"))


def test_a_share_of_the_rows_is_learnt_from_without_what_a_question_may_lack():
    rows = replace(examples.past(), problem=replace(PROBLEM, may_lack={"courier": 0.25}))
    learnt = rows.to_learn(seed=1)
    taken = FEATURES.taking("courier")
    emptied = np.mean([np.isnan(learnt[name]) & ~np.isnan(rows.features[name]) for name in taken], axis=0) > 0
    known = np.mean([~np.isnan(rows.features[name]) for name in taken], axis=0) > 0
    assert 0.2 < emptied[known].mean() < 0.3
    for name in set(FEATURES.numbers) - set(taken):
        assert np.array_equal(learnt[name], rows.features[name], equal_nan=True)
    again = rows.to_learn(seed=1)
    assert all(np.array_equal(learnt[name], again[name], equal_nan=True) for name in taken)
    plain = examples.past().to_learn(seed=1)
    assert all(np.array_equal(plain[name], rows.features[name], equal_nan=True) for name in FEATURES.numbers)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"may_lack": {"depot": 0.1}}, "may_lack: expected request fields that are not required"),
        ({"may_lack": {"colour": 0.1}}, "may_lack: expected request fields"),
        ({"may_lack": {"courier": 1.0}}, "below 1 together"),
        ({"may_lack": {"courier": 0.0}}, "a share above 0"),
        ({"stretch": 0}, "a stretch of at least one block"),
    ],
)
def test_declarations_of_what_may_lack_and_of_stretches_are_checked(wrong, says):
    with pytest.raises(ProblemError, match=says):
        replace(PROBLEM, **wrong)
