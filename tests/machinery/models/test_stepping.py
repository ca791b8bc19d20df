"""Which rung answers which row: where nothing is known, where a cheap model is sure; each is as good as is stated."""

from dataclasses import replace

import numpy as np
import pytest

from ringbound.models.bundle import Bundle, load_bundle
from ringbound.models.cascade import Cascade
from ringbound.models.stepping import answer_by_ladder
from ringbound.serving.request import columns_from_rows, validate_rows
from ringbound.testing import examples
from ringbound.testing.parcels import FEATURES


@pytest.fixture
def columns(questions):
    return columns_from_rows(validate_rows(FEATURES, questions[:1000]), FEATURES.request)


@pytest.fixture
def known(windowed):
    return {name: values[:1000] for name, values in windowed.items()}


@pytest.fixture
def bundle(bundle_folder) -> Bundle:
    return load_bundle(bundle_folder)


def with_cascade(bundle: Bundle, low: float, high: float) -> Bundle:
    model = replace(bundle.facts.model, cascade=Cascade(low, high))
    return replace(bundle, facts=replace(bundle.facts, model=model))


def test_the_reduced_model_answers_alone_where_it_is_sure(bundle, columns, known):
    values = FEATURES.compute(columns, bundle.references, known)
    full, reduced = bundle.full.answer(values), bundle.reduced.answer(values)
    low, high = np.quantile(reduced, [0.3, 0.8])
    done = answer_by_ladder(with_cascade(bundle, low, high), columns, known, [None] * 1000)
    sure = (reduced < low) | (reduced > high)
    assert 0.3 < sure.mean() < 0.7
    assert done.values.tolist() == np.where(sure, reduced, full).tolist()
    assert done.rungs.tolist() == np.where(sure, "reduced", "full").tolist()
    assert done.reasons.tolist() == ["sure" if one else None for one in sure]
    few = Bundle.rung(bundle, "reduced").encoder.matrix(values)
    assert [done.vector(i) for i in np.flatnonzero(sure)] == [few[i].tobytes() for i in np.flatnonzero(sure)]


def test_a_reason_to_step_down_goes_before_being_sure(bundle, columns, known):
    reasons = ["stale: arrivals", None] * 500
    done = answer_by_ladder(with_cascade(bundle, np.inf, -np.inf), columns, known, reasons)
    assert set(done.rungs) == {"reduced"}
    assert done.reasons.tolist() == ["stale: arrivals", "sure"] * 500


def test_a_reduced_model_that_fails_or_rests_leaves_all_to_the_full_one(bundle, columns, known, monkeypatch):
    asked = with_cascade(bundle, np.inf, -np.inf)
    assert set(answer_by_ladder(asked, columns, known, [None] * 1000, ["reduced"]).rungs) == {"full"}
    real = type(bundle.reduced).answer_matrix
    fails = lambda rung, X: _raises() if rung is bundle.reduced else real(rung, X)  # noqa: E731
    monkeypatch.setattr(type(bundle.reduced), "answer_matrix", fails)
    done = answer_by_ladder(asked, columns, known, [None] * 1000)
    assert (set(done.rungs), done.failed) == ({"full"}, ["reduced"])


def test_where_no_window_holds_an_event_the_reduced_model_answers(bundle, columns, known):
    counts = [name for name, (_, feature) in FEATURES.windowed.items() if feature.aggregate == "count"]
    some = {name: values.copy() for name, values in known.items()}
    for name, values in some.items():
        values[:3] = 0 if name in counts else np.nan
    some["courier_late_last_24h"][1] = 0.0
    some[counts[-1]][2] = 1.0
    done = answer_by_ladder(bundle, columns, some, [None] * 1000)
    assert done.rungs[:4].tolist() == ["reduced", "full", "full", "full"]
    assert done.reasons[:4].tolist() == ["missing", None, None, None]


@pytest.mark.parametrize("reason", ["store", "overload", "stale: arrivals", "model"])
@pytest.mark.parametrize("broken", [[], ["full"], ["reduced"], ["full", "reduced"]])
def test_who_is_stepped_down_is_answered_as_well_as_the_ladder_states(reason, broken):
    """The contract: whatever fails, the loss over the later rows is the one that *evaluate* measured for the rung."""
    result, bundle = examples.evaluation(), examples.bundle()
    questions = examples.town().questions(_later_parcels())
    columns = columns_from_rows(validate_rows(FEATURES, questions), FEATURES.request)
    known = {name: result.rows.features[name] for name in FEATURES.windowed}
    reasons = [None if broken else reason] * len(questions)
    done = answer_by_ladder(bundle, columns, known, reasons, broken)
    expected = next(name for name in bundle.model.rungs if name not in broken and (broken or name != "full"))
    assert set(done.rungs) == {expected}
    loss = float(bundle.task.losses(result.rows.y, done.values).mean())
    assert loss == pytest.approx(result.estimates[expected]["log_loss"].value, rel=1e-12)


def _later_parcels():
    parcels = examples.town().parcels
    return parcels[parcels["parcel_id"].isin(examples.later().ids)]


def _raises():
    raise RuntimeError("broken on purpose")
