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
