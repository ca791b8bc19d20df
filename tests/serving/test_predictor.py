import itertools

import pytest

from ringbound.errors import InputError
from ringbound.models.bundle import load_bundle
from ringbound.serving.predictor import Predictor


@pytest.fixture
def predictor(bundle_folder) -> Predictor:
    numbers = itertools.count()
    return Predictor(load_bundle(bundle_folder), new_id=lambda: f"id-{next(numbers)}")


def test_answers_each_row(predictor, questions):
    answers = predictor.predict(questions[:3])
    assert [a["prediction_id"] for a in answers] == ["id-0", "id-1", "id-2"]
    for answer in answers:
        assert 0 < answer["probability"] < 1
        assert answer["decision"] == (answer["probability"] >= 0.25)
        assert answer["model_version"] == predictor.bundle.version


def test_one_by_one_equals_together(predictor, questions):
    together = [a["probability"] for a in predictor.predict(questions[:300])]
    assert [predictor.predict([row])[0]["probability"] for row in questions[:300]] == together


def test_row_that_does_not_fit_is_named(predictor, questions):
    with pytest.raises(InputError, match=r"row 1: dest: .*; got 'Houston'"):
        predictor.predict([questions[0], questions[1] | {"dest": "Houston"}])
    with pytest.raises(InputError, match=r"row 0: gate: Extra inputs are not permitted"):
        predictor.predict([questions[0] | {"gate": "B4"}])


@pytest.mark.parametrize("count", [0, 1001])
def test_too_few_or_too_many_rows_are_refused(predictor, questions, count):
    with pytest.raises(InputError, match=f"expected 1 to 1000 rows; got {count}"):
        predictor.predict(questions[:count])


def test_unseen_carrier_scores_as_missing(predictor, questions):
    assert (
        0 < predictor.predict([questions[0] | {"carrier": "ZZ", "dest": "ZZZ", "tailnum": None}])[0]["probability"] < 1
    )
