import itertools
import json
import uuid

import pytest

from ringbound.errors import BundleError, InputError
from ringbound.models.bundle import load_bundle
from ringbound.serving.predictor import Predictor
from ringbound.serving.request import validated


@pytest.fixture
def predictor(bundle_folder, live) -> Predictor:
    numbers = itertools.count()
    return Predictor(load_bundle(bundle_folder), live, new_id=lambda: f"{uuid.uuid4().hex}-{next(numbers)}")


def test_answers_each_row(predictor, questions):
    answers = predictor.predict(questions[:3])
    assert [a["prediction_id"].partition("-")[2] for a in answers] == ["0", "1", "2"]
    for answer in answers:
        assert 0 < answer["probability"] < 1
        assert answer["decision"] == (answer["probability"] >= 0.25)
        assert answer["model_version"] == predictor.bundle.version


def test_one_by_one_equals_together(predictor, questions):
    together = [a["probability"] for a in predictor.predict(questions[:300])]
    assert [predictor.predict([row])[0]["probability"] for row in questions[:300]] == together


def test_row_that_does_not_fit_is_named(predictor, questions):
    with pytest.raises(InputError, match=r"row 1: depot: .*; got 'North'"):
        predictor.predict([questions[0], questions[1] | {"depot": "North"}])
    with pytest.raises(InputError, match=r"row 0: colour: Extra inputs are not permitted"):
        predictor.predict([questions[0] | {"colour": "red"}])


@pytest.mark.parametrize("count", [0, 1001])
def test_too_few_or_too_many_rows_are_refused(predictor, questions, count):
    with pytest.raises(InputError, match=f"expected 1 to 1000 rows; got {count}"):
        predictor.predict(questions[:count])


def test_unseen_depot_scores_as_missing(predictor, questions):
    (answer,) = predictor.predict([questions[0] | {"depot": "moon", "courier": None}])
    assert 0 < answer["probability"] < 1


def test_vectors_have_names_times_and_ages(predictor, questions, windowed):
    rows = validated(predictor.Row, questions[:5], "row")
    found = predictor.describe(rows)
    names = predictor.bundle.features.names
    assert (found["names"], found["features"]) == (names, predictor.bundle.features.hash)
    place = names.index("depot_late_mean_3h")
    assert [row[place] for row in found["vectors"]] == windowed["depot_late_mean_3h"][:5].tolist()
    assert [row[names.index("depot")] for row in found["vectors"]] == [q["depot"] for q in questions[:5]]
    assert found["at"][0] == questions[0]["at"].replace("Z", "+00:00")
    assert set(found["newest"]) == {"arrivals", "pickups"}
    json.dumps(found, allow_nan=False)


def test_without_a_time_the_question_is_asked_now(predictor, questions):
    question = {k: v for k, v in questions[0].items() if k != "at"}
    found = predictor.describe(validated(predictor.Row, [question], "row"))
    assert found["at"] == [found["newest"]["arrivals"]["available_at"]]  # by the event clock
    assert found["newest"]["arrivals"]["age_s"] == 0


def test_a_bundle_that_looks_back_needs_a_store(bundle_folder):
    with pytest.raises(BundleError, match="expected a store"):
        Predictor(load_bundle(bundle_folder))
