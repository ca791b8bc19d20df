"""Records that are changed or dropped are found and named; all others make their answers again, to the bit."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest

from ringbound.errors import BundleError, InputError
from ringbound.models.rung import Rung
from ringbound.proofs.receipts import check_seals, verify
from ringbound.serving.body import NotThereError
from ringbound.serving.predictor import Asked
from ringbound.serving.receipts import receipt
from ringbound.store import Outcome, SetClock
from ringbound.store.schema import PREDICTIONS, SEALS
from ringbound.store.sealing import digest, includes, seal_root


@pytest.fixture
def made(predictor, questions, monkeypatch):
    """Predictions of every rung, 40 each, in the store; the predictor that made them."""
    for start in range(0, 40, 8):
        predictor.predict(questions[start : start + 8])
    asked = [Asked(predictor.Row.model_validate(question)) for question in questions[40:80]]
    predictor.step_down(asked, "overload")
    with monkeypatch.context() as broken:
        broken.setattr(Rung, "answer_matrix", lambda *_: 1 / 0)
        predictor.predict(questions[80:120])
        broken.setattr(type(predictor.bundle.prior), "predict", lambda *_: 1 / 0)
        broken.setattr(predictor, "_models", {name: Never() for name in predictor.bundle.model.rungs})
        predictor.predict(questions[120:160])
    return predictor


class Never:
    """A breaker that never opens."""

    resting = False

    def failed(self) -> None: ...


def change(store, name: str, **values) -> None:
    with store.engine.begin() as connection:
        connection.execute(PREDICTIONS.update().where(PREDICTIONS.c.prediction_id == name).values(**values))


def verified(predictor, predictions):
    def bundles(version: str):
        if version != predictor.bundle.version:
            raise BundleError(f"model {version}: not here")
        return predictor.bundle

    return verify(predictor.live.store, predictions, bundles)


def test_answers_of_every_rung_are_made_again(made):
    kept = made.live.store.predictions(1000)
    assert {one.rung for one in kept} == {"full", "reduced", "prior", "default"}
    assert [(one.step, one.says) for one in verified(made, kept)] == [("", "")] * 160
    checked = check_seals(made.live.store)
    assert (checked.seals, checked.records, checked.wrong) == (7, 160, [])


CHANGES = {
    "made_at": 77, "at": 78, "position": 1, "model_version": "other", "features": "other", "answer": 0.5,
    "row": '{"depot": "south"}', "vector": b"", "rung": "default", "reason": "model", "code": "v2", "took_us": 1,
}  # fmt: skip


@pytest.mark.parametrize("field", [*CHANGES, "decision", "one bit"])
def test_a_record_that_was_changed_is_found_and_named(made, field):
    store = made.live.store
    kept = store.predictions(1000)
    chosen = next(one for one in kept if one.rung == "full")
    if field == "one bit":
        bits = bytearray(chosen.vector)
        bits[11] ^= 4
        change(store, chosen.prediction_id, vector=bytes(bits))
    else:
        change(store, chosen.prediction_id, **{field: CHANGES.get(field, not chosen.decision)})
    wrong = [one for one in verified(made, store.predictions(1000)) if one.step]
    assert [(one.prediction_id, one.step) for one in wrong] == [(chosen.prediction_id, "record")]
    assert "changed after it was sealed" in wrong[0].says
    (says,) = check_seals(store).wrong
    assert says.startswith(f"{chosen.prediction_id}: ")


def test_a_record_under_no_seal_is_counted_and_not_taken_for_verified(made):
    store = made.live.store
    chosen = store.predictions(1)[0]
    change(store, chosen.prediction_id, seal=None)
    assert check_seals(store).unsealed == 1
    (found,) = verified(made, [chosen])
    assert (found.step, found.says[:20]) == ("record", "it is under no seal:")


def test_a_record_or_a_seal_that_was_dropped_is_found_and_named(made):
    store = made.live.store
    chosen = store.predictions(1000)[100].prediction_id
    with store.engine.begin() as connection:
        connection.execute(PREDICTIONS.delete().where(PREDICTIONS.c.prediction_id == chosen))
    assert check_seals(store).wrong == [f"{chosen}: the record was dropped after it was sealed"]
    second = list(store.seals())[1]
    with store.engine.begin() as connection:
        connection.execute(PREDICTIONS.delete().where(PREDICTIONS.c.seal == second.seal))
        connection.execute(SEALS.delete().where(SEALS.c.seal == second.seal))
    assert f"seal 3 of {second.chain}: the one before it is not there, or another" in check_seals(store).wrong


@pytest.mark.parametrize("field", ["answer", "decision", "vector", "features", "model_version", "rung"])
def test_a_forger_who_seals_anew_is_found_by_making_it_again_and_by_the_next_seal(made, field):
    store = made.live.store
    chosen = next(one for one in store.predictions(1000) if one.rung == "full")
    change(store, chosen.prediction_id, **{field: CHANGES.get(field, not chosen.decision)})
    if field == "vector":
        change(store, chosen.prediction_id, vector=(np.frombuffer(chosen.vector) * 1.5 + 1).tobytes())
    seal, forged = (
        store.seals_of([chosen.prediction_id])[chosen.prediction_id],
        store.find([chosen.prediction_id])[chosen.prediction_id],
    )
    leaves = seal.digests | {chosen.prediction_id: digest(forged)}
    values = {"leaves": json.dumps(list(leaves.items())), "root": seal_root(seal.previous, list(leaves.values()))}
    with store.engine.begin() as connection:
        connection.execute(SEALS.update().where(SEALS.c.seal == seal.seal).values(**values))
    (found,) = verified(made, [forged])
    assert found.step == {"model_version": "model", "rung": "answer"}.get(field, field)
    assert check_seals(store).wrong == [
        f"seal {seal.number + 1} of {seal.chain}: the one before it is not there, or another"
    ]


@pytest.mark.parametrize("leaves", ["", "[", "7", '[["a"]]', '[["a", "zz"]]', "{}"])
def test_a_damaged_seal_is_named(made, leaves):
    store = made.live.store
    first = next(store.seals())
    with store.engine.begin() as connection:
        connection.execute(SEALS.update().where(SEALS.c.seal == first.seal).values(leaves=leaves))
    assert check_seals(store).wrong == [f"seal 1 of {first.chain}: its root is not that of its records"]
    name = next(iter(first.digests))
    assert not receipt([made.bundle], store, name)["seal"]["holds"]


def test_a_seal_holds_a_thousand_records_at_most_and_is_checked_in_a_moment(made, questions):
    store = made.live.store
    waiting = [
        replace(one, prediction_id=f"{n}-{one.prediction_id}") for n in range(20) for one in store.predictions(160)
    ]
    assert not made.recorder.keep(waiting, store), "who asks waits for two thousand at most"
    assert made.recorder.flush(store)
    assert max(len(seal.digests) for seal in store.seals()) == 1000
    started = time.monotonic()
    checked = check_seals(store)
    assert (checked.records, checked.wrong) == (160 + 3200, [])
    assert time.monotonic() - started < 10  # one after the other each would be held against all the others: minutes


@pytest.mark.parametrize("name", ["", "\ud800", "x" * 300])
def test_what_is_no_id_is_refused(made, name):
    with pytest.raises(InputError, match="prediction_id: expected"):
        receipt([made.bundle], made.live.store, name)


def test_records_that_were_written_twice_are_sealed_twice_and_sound(made, questions, monkeypatch):
    """Nobody heard that they were written; a retry brings them again, with others."""
    store = made.live.store
    kept = store.predictions(10)
    store._last_seal = None  # as after a failure
    made.predict(questions[:1])
    store.record([*kept, *store.predictions(1)])
    checked = check_seals(store)
    assert (checked.records, checked.wrong) == (172, [])


def test_a_receipt_tells_everything_and_proves_itself(made):
    store = made.live.store
    store.tell([Outcome(store.predictions(1)[0].prediction_id, 5, 1.0)], SetClock(9))
    for kept in store.predictions(1000):
        told = json.loads(json.dumps(receipt([made.bundle], store, kept.prediction_id), allow_nan=False))
        assert (told["answer"], told["rung"], told["reason"]) == (kept.answer, kept.rung, kept.reason)
        assert told["lineage"]["model"] == made.bundle.version
        assert told["lineage"]["learnt"]["data"] == "no table"
        proof = [tuple(step) for step in told["seal"]["proof"]]
        assert includes(digest(kept), proof, told["seal"]["root"])
        assert told["seal"]["holds"]
        if kept.vector:
            names = made.bundle.rung(kept.rung).encoder.names
            assert list(told["values"]) == names
            effects = told["explanation"]
            total = effects["base"] + effects["others"] + sum(one["effect"] for one in effects["effects"])
            assert total == pytest.approx(effects["margin"])
        else:
            assert (told["values"], told["explanation"]) == (None, None)
    newest = receipt([made.bundle], store, store.predictions(1)[0].prediction_id)
    assert [one["value"] for one in newest["outcomes"]] == [1.0]
    with pytest.raises(NotThereError, match="there is none 'nobody'"):
        receipt([made.bundle], store, "nobody")
