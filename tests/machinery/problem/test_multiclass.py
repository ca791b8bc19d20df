"""A task of several classes, from the training table to receipts and monitors: what is answered is what was learnt."""

import csv
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from sklearn import metrics as theirs

import fates
from ringbound import Classification, Costs, Multiclass
from ringbound.batch.score import score
from ringbound.errors import ModelError, NotAValueError, ProblemError, SourceError
from ringbound.evaluation.answers import read_evaluation, write_evaluation
from ringbound.evaluation.calibration import calibration_check
from ringbound.evaluation.card import model_card
from ringbound.evaluation.comparison import compare
from ringbound.evaluation.coverage import interval_table
from ringbound.evaluation.judged import judged_table
from ringbound.evaluation.slices import bias_table, slice_table, slices_of
from ringbound.features.asof import LATEST
from ringbound.features.frames import instants
from ringbound.features.history import PAST, deliveries
from ringbound.features.live import LiveFeatures
from ringbound.feedback.derive import derive_outcomes
from ringbound.feedback.source import Feedback
from ringbound.feedback.suspects import erring_keys
from ringbound.models.intervals import learn_threshold
from ringbound.monitoring.answers import put_into
from ringbound.monitoring.profile import Profile
from ringbound.monitoring.read import known_of, seen_of
from ringbound.monitoring.seen import days_of, outcome_days_of
from ringbound.monitoring.sketch import sketch_day, summary_of
from ringbound.problem.packed import kept_outcomes, pack, unpack
from ringbound.problem.tasks import task_from_json
from ringbound.proofs.receipts import verify
from ringbound.release import report
from ringbound.release.gates import better_gate
from ringbound.rollout.judge import Evidence
from ringbound.rollout.plan import Plan
from ringbound.serving.outcomes import OutcomeIntake, outcome_model
from ringbound.serving.predictor import Predictor
from ringbound.serving.receipts import receipt
from ringbound.store import EventClock, Matured, Outcome, Pair, Store
from ringbound.testing import examples

TASK = fates.TASK
OPTIONS = {"draws": 50, "seed": 1, "least_rows": 50}


def answers(n: int, classes: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    dice = np.random.default_rng(7)
    p = dice.dirichlet(np.ones(classes), n)
    y = np.array([dice.choice(classes, p=row) for row in p]).astype(float)
    return y, p, dice.integers(0, 4, n).astype(float)


def test_metrics_are_those_of_scikit_learn():
    y, p, w = answers(500)
    task = Multiclass(("a", "b", "c", "d"))
    found = {name: metric(y, p, w) for name, metric in task.metrics.items()}
    decided = p.argmax(axis=1)
    assert found["log_loss"] == pytest.approx(theirs.log_loss(y, p, sample_weight=w))
    assert found["accuracy"] == pytest.approx(theirs.accuracy_score(y, decided, sample_weight=w))
    assert found["macro_f1"] == pytest.approx(theirs.f1_score(y, decided, average="macro", sample_weight=w))
    recalls = theirs.recall_score(y, decided, average=None, sample_weight=w)
    assert [found[f"recall {name}"] for name in "abcd"] == pytest.approx(recalls)
    each = [theirs.roc_auc_score(y == one, p[:, one], sample_weight=w) for one in range(4)]
    assert found["macro_auc"] == pytest.approx(np.mean(each))
    assert found["brier"] == pytest.approx(np.average(((p - np.eye(4)[y.astype(int)]) ** 2).sum(axis=1), weights=w))
    assert task.losses(y, p).mean() == pytest.approx(theirs.log_loss(y, p))
    assert task.expected_losses(p).mean() == pytest.approx(task.losses(y, p).mean(), abs=0.05), "they were drawn so"


def test_no_constant_loses_less_than_the_shares_of_classes():
    y, _, _ = answers(500)
    task = Multiclass(("a", "b", "c", "d"))
    best = task.constant(y)
    assert best.sum() == pytest.approx(1)
    assert (task.constant(np.zeros(100)) > 0).all(), "no class is impossible because it has not come yet"
    dice = np.random.default_rng(1)
    loss = lambda p: task.losses(y, np.tile(p, (len(y), 1))).mean()  # noqa: E731
    assert all(loss(best) <= loss(dice.dirichlet(50 * best)) + 1e-6 for _ in range(200))


@pytest.mark.parametrize("classes", [(), ("a", "b"), ("a", "b", "a"), ("a", "b", ""), ("a", "b", 3)])
def test_what_are_no_classes_is_refused(classes):
    with pytest.raises(ProblemError, match="expected 3 to 50 classes, texts that differ"):
        Multiclass(classes)


def test_a_task_survives_json_and_labels_are_told_by_name():
    assert task_from_json(json.loads(json.dumps(TASK.to_json()))) == TASK
    assert TASK.encode(pd.Series(["late", None, "early"])).tolist()[::2] == [2.0, 0.0]
    with pytest.raises(ProblemError, match="label: expected one of early, in time, late; got 'lost'"):
        TASK.encode(pd.Series(["late", "lost"]))
    with pytest.raises(ProblemError, match="expected rows of each class; got none of in time"):
        TASK.check_labels(np.array([0.0, 2.0]))


def test_an_outcome_is_the_name_of_a_class():
    told = {"prediction_id": "a", "time": "2025-06-01T12:00:00Z"}
    model = outcome_model(TASK)
    assert model.model_validate(told | {"outcome": "late"}).outcome == "late"
    assert model.model_json_schema()["properties"]["outcome"]["enum"] == ["early", "in time", "late"]
    for wrong in ("lost", 2, None, ["late"]):
        with pytest.raises((ValueError, NotAValueError), match="outcome"):
            model.model_validate(told | {"outcome": wrong})


def test_answers_survive_being_packed_and_what_is_damaged_is_not_known():
    _, p, _ = answers(5, 3)
    packed = pack(TASK, p)
    assert np.array_equal(unpack(TASK, [0.0] * 5, packed), p)
    damaged = unpack(TASK, [0.0] * 3, [packed[0][:-1], None, packed[2]])
    assert np.isnan(damaged[:2]).all()
    assert np.isnan(unpack(Multiclass(("late", "in time", "early")), [0.0] * 5, packed)).all(), "in another order"
    assert np.isnan(TASK.came(np.zeros(3), damaged)[:2]).all()
    assert TASK.decide(damaged)[:2].tolist() == [None, None]
    assert np.array_equal(damaged[2], p[2])
    assert pack(Classification(Costs(1, 1)), np.array([0.5])) == [None]


def test_sets_hold_their_share_of_later_outcomes():
    y, p, _ = answers(20_000)
    least = learn_threshold(y[:10_000], p[:10_000], 0.9)
    inside = (p >= least)[np.arange(20_000), y.astype(int)][10_000:]
    assert inside.mean() == pytest.approx(0.9, abs=0.01)
    assert learn_threshold(y[:9], p[:9], 0.95) is None


def test_it_learns_and_its_ladder_is_one():
    result = fates.evaluation()
    assert result.bundle.model.rungs[0] == "full"
    losses = [estimates["log_loss"].value for estimates in result.estimates.values()]
    assert losses == sorted(losses)
    assert losses[0] < losses[-1] - 0.1
    assert np.allclose(result.answers["full"].sum(axis=1), 1, rtol=0, atol=1e-12)
    table = interval_table(result, slices_of(result.rows, fates.training().labelled("train")), **OPTIONS)
    assert 0.9 < table.covered.value < 1
    assert 1 < table.frame["width"].iloc[0] < 3


def test_an_evaluation_is_compared_judged_and_described(tmp_path):
    result, past = fates.evaluation(), fates.training().labelled("train", "valid")
    by = slices_of(result.rows, past)
    write_evaluation(tmp_path, result.rows, result.answers, by, result.bundle.model)
    after = read_evaluation(tmp_path)
    before = after.of_baseline()
    comparison = compare(before, after, **OPTIONS)
    change = comparison.metrics["log_loss"]
    assert (change.after, change.judgement) == (result.estimates["full"]["log_loss"].value, "better")
    assert comparison.metrics["accuracy"].judgement == "better"
    verdict = better_gate(comparison.rows, after.task, look=1, alpha=0.05, draws=50, seed=1)
    assert verdict.outcome == "passed"
    sliced = slice_table(result, by, **OPTIONS)
    assert sliced.frame["observed"].between(0, 1).all(), "how often the likeliest came"
    bias = bias_table(result, by, least_rows=50)
    assert bias.measure == "error_rate"
    overall = 1 - result.estimates["full"]["accuracy"].value
    assert (bias.frame["gap"] + overall).to_numpy() == pytest.approx(bias.frame["error_rate"].to_numpy())
    card = model_card(result, sliced, bias, calibration=calibration_check(result))
    assert "early " in card
    assert "nan" not in card
    page = "\n".join(report._classes(_Side(after), _Side(comparison)))
    assert "## Decisions that change" in page
    assert "| in time |" in page
    result.figure().save(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


class _Side:
    def __init__(self, one):
        self.evaluation = self.comparison = one


def test_models_of_other_classes_are_not_compared(tmp_path):
    result = fates.evaluation()
    by = slices_of(result.rows, fates.training().labelled("train"))
    write_evaluation(tmp_path, result.rows, result.answers, by, result.bundle.model)
    one = read_evaluation(tmp_path)
    other = replace(one, facts=replace(one.facts, task=Multiclass(("early", "late", "lost")).to_json()))
    with pytest.raises(ModelError, match=r"got a multiclass of \('early', 'late', 'lost'\) and a multiclass of"):
        compare(other, one, **OPTIONS)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    url = f"sqlite:///{tmp_path_factory.mktemp('fates')}/store.db"
    store = Store(url)
    for source in ("arrivals", "pickups"):
        store.append(source, deliveries(examples.events(), source, 0, LATEST).events, PAST)
    yield store
    store.close()


@pytest.fixture(scope="module")
def told(store) -> list[dict]:
    """What a service answered to some questions of the last days, by every rung."""
    bundle = fates.bundle()
    predictor = Predictor(bundle, LiveFeatures(bundle.features, store, clock=EventClock()))
    parcels = examples.town().parcels.tail(60)
    rows = examples.town().questions(parcels)
    found = predictor.predict(rows, explain=True)
    asked = predictor.predict(rows[:1])  # to have the class of a row
    assert asked[0]["probabilities"] == found[0]["probabilities"]
    return found


def test_online_answers_say_each_class_its_set_and_why(told):
    model = fates.bundle().full.model
    for one in told:
        assert set(one["probabilities"]) == set(fates.CLASSES)
        assert one["decision"] == max(one["probabilities"], key=one["probabilities"].get)
        assert one["decision"] in one["set"]
        assert one["recorded"]
        margins = np.log(list(one["probabilities"].values()))
        assert one["explanation"]["margin"] == pytest.approx(margins.max() - margins.mean(), abs=1e-6)
    assert model.predict(np.full((1, len(fates.bundle().full.encoder.names)), np.nan)).shape == (1, 3)


def test_files_get_the_same_digits(told, store, tmp_path):
    parcels = examples.town().parcels.tail(60)
    rows, out = tmp_path / "rows.jsonl", tmp_path / "scored.csv"
    rows.write_text("".join(json.dumps(row) + "\n" for row in examples.town().questions(parcels)))
    done = score(str(rows), out, fates.bundle(), events=examples.events(), progress=False)
    assert done.errors == 0
    for line, online in zip(csv.DictReader(out.open()), told, strict=True):
        assert {name: float(line[f"probability {name}"]) for name in fates.CLASSES} == online["probabilities"]
        assert line["decision"] == online["decision"]
        assert json.loads(line["set"]) == online["set"]


def test_receipts_make_all_probabilities_again_and_find_one_that_was_changed(told, store):
    bundle = fates.bundle()
    ids = [one["prediction_id"] for one in told]
    kept = [store.find(ids)[name] for name in ids]
    assert {found.step for found in verify(store, kept, lambda version: bundle)} == {""}
    shown = receipt([bundle], store, ids[0])
    assert (shown["probabilities"], shown["decision"]) == (told[0]["probabilities"], told[0]["decision"])
    assert shown["seal"]["holds"]
    p = np.frombuffer(kept[0].answers[8:]).copy()
    p[[0, 1]] = p[[1, 0]]
    with store._writing() as connection:
        change = sa.text("UPDATE predictions SET answers = :p WHERE prediction_id = :i")
        connection.execute(change, {"p": kept[0].answers[:8] + p.tobytes(), "i": ids[0]})
    (found,) = verify(store, [store.find(ids[:1])[ids[0]]], lambda version: bundle)
    assert (found.step, "changed after it was sealed" in found.says) == ("record", True)


def test_outcomes_are_told_by_name_and_judged(told, store):
    intake = OutcomeIntake(TASK, store, PAST)
    asked = [one["prediction_id"] for one in told[1:21]]
    outcomes = [{"prediction_id": name, "time": "2020-03-30T12:00:00Z", "outcome": "late"} for name in asked]
    assert intake.take(outcomes)["accepted"] == 20
    (row,) = judged_table(store.judged(), TASK).frame.to_dict("records")
    expected = np.mean([-np.log(one["probabilities"]["late"]) for one in told[1:21]])
    assert row["log_loss"] == pytest.approx(expected)
    (came,) = receipt([fates.bundle()], store, asked[0])["outcomes"]
    assert came["value"] == "late"
    assert row["mean outcome"] == np.mean([one["decision"] == "late" for one in told[1:21]])


def test_monitors_see_the_loss_that_there_was(tmp_path):
    bundle, rows = fates.bundle(), fates.training().labelled("test")
    store = Store(f"sqlite:///{tmp_path}/store.db")
    put_into(store, bundle, rows, known=instants(rows.table["at"]) + 3_600_000_000)
    asked = [row for some in store.asked(0, LATEST) for row in some]
    seen = seen_of(bundle, asked)
    known = known_of(store, TASK, seen, LATEST)
    profile = Profile.read(fates.folder() / "models/profile.json")
    days = outcome_days_of(fates.PROBLEM, profile, seen, known)
    total = sum((day.parts[""] for day in days[1:]), days[0].parts[""])
    assert total.rows == total.known == len(rows)
    result = fates.evaluation().estimates["full"]
    assert total.mean_loss == pytest.approx(result["log_loss"].value)
    assert total.mean_outcome == pytest.approx(result["accuracy"].value)
    assert total.expected / total.known == pytest.approx(total.mean_loss, abs=0.15)
    answered = days_of(profile, seen)
    counted = np.sum([day.columns["answers"].bins for day in answered], axis=0)
    decided = pd.Series(TASK.decide(fates.evaluation().answers["full"])).value_counts()
    assert dict(zip(profile.answers.labels(), counted.tolist(), strict=True)) == {**decided, "others": 0}
    assert set(profile.outcomes.texts) == set(fates.CLASSES)
    sketch_day(tmp_path / "sketch", "2020-03-25", 0, seen, known)
    sketch_day(tmp_path / "sketch", "2020-03-25", 0, seen)
    assert round(summary_of(tmp_path / "sketch", ["2020-03-25"])["answer"]["distinct"]) == len(decided)
    store.close()


def test_events_tell_the_class_and_feedback_says_its_name(tmp_path):
    rows = fates.training().labelled("test")
    url = f"sqlite:///{tmp_path}/store.db"
    store = Store(url)
    put_into(store, fates.bundle(), rows, known=None)
    store.append("arrivals", deliveries(examples.events(), "arrivals", 0, LATEST).events, PAST)
    derived = derive_outcomes(store, fates.PROBLEM, since=0, through=2**53)
    assert derived.outcomes > 500
    store.close()
    source = Feedback(url, {"depot": "string"}, classes=fates.CLASSES)
    found = source.read(None, pd.Timestamp("2020-04-05T00:00Z")).rows
    assert set(found["outcome"]) == set(fates.CLASSES)
    assert len(found) == derived.outcomes


def test_a_key_that_tells_other_classes_than_came_is_suspected():
    dice = np.random.default_rng(3)
    y, p, _ = answers(3000, 3)
    liar = dice.random(3000) < 0.2
    told = np.where(liar, (y + 1 + dice.integers(0, 2, 3000)) % 3, y)
    table = pd.DataFrame(
        {
            "at": dice.integers(0, 7 * 86_400_000_000, 3000) + 7 * 86_400_000_000,
            "answer": p.max(axis=1),
            "decided": p.argmax(axis=1),
            "outcome": told,
            "told_by": np.where(liar, "mallory", np.where(dice.random(3000) < 0.5, "ann", "bob")),
        }
    )
    assert {key for _, key in erring_keys(table)} == {"mallory"}
    assert not erring_keys(table.assign(outcome=y)), "nobody, where all tell what came"


def test_a_roll_out_is_judged_by_the_probabilities_of_all_classes():
    y, p, _ = answers(200, 3)
    worse = np.roll(p, 1, axis=1)
    packed, kept_y = [pack(TASK, side) for side in (p, worse)], kept_outcomes(TASK, y)
    pairs = [Matured(p[i].max(), worse[i].max(), kept_y[i], packed[0][i], packed[1][i]) for i in range(len(y))]
    evidence = Evidence()
    evidence.mature(pairs, TASK)
    more = TASK.losses(y, worse) - TASK.losses(y, p)
    assert evidence.loss == pytest.approx(more.sum())
    evidence.mature([replace_of(pairs[0], challenger_answers=None), replace_of(pairs[1], outcome=7.0)], TASK)
    assert evidence.loss == pytest.approx(more.sum()), "what cannot be read says nothing"
    assert evidence.matured == len(y)
    same = p.argmax(axis=1) == worse.argmax(axis=1)
    plain = {"rollout": 1, "made_at": 0, "arm": "champion", "champion_failed": False, "challenger_failed": False}
    plain |= {"champion_lower": False, "challenger_lower": False, "champion_us": None, "challenger_us": None}
    batch = [
        Pair(batch=1, prediction_id=str(i), champion=p[i].max(), challenger=worse[i].max(),
             champion_answers=packed[0][i], challenger_answers=packed[1][i], **plain)
        for i in range(len(y))
    ]  # fmt: skip
    evidence.add(batch, Plan(salt="s"), TASK)
    assert evidence.apart == pytest.approx(1 - same.mean())


def replace_of(matured: Matured, **changes) -> Matured:
    return matured._replace(**changes)


def test_pairs_of_classes_come_back_from_the_store(tmp_path):
    y, p, _ = answers(3, 3)
    store = Store(f"sqlite:///{tmp_path}/store.db")
    packed = pack(TASK, p)
    store.add_pairs(
        [
            Pair(7, 1, str(i), 0, "champion", False, False, p[i].max(), p[i].max(), False, False, None, None,
                 packed[i], packed[i])
            for i in range(3)
        ]
    )  # fmt: skip
    store.tell([Outcome(str(i), 5, y[i]) for i in range(3)], PAST)
    found = store.matured(7, (0, 10), (0, 10))
    assert [one.champion_answers for one in found] == list(packed)
    assert [pair.challenger_answers for _, pair in store.pairs(7, 0)] == list(packed)
    store.close()


def test_what_was_told_keeps_its_name_where_classes_are_added(tmp_path):
    """A place in a list says another thing in another list."""
    rows = fates.training().labelled("test")
    url = f"sqlite:///{tmp_path}/store.db"
    store = Store(url)
    put_into(store, fates.bundle(), rows, known=instants(rows.table["at"]) + 3_600_000_000)
    store.tell([Outcome("00000000", 1_620_000_000_000_000, 12345.0)], PAST)  # of no class that anybody knows
    store.close()
    counts = pd.Series(rows.table["fate"]).value_counts()
    for classes in (fates.CLASSES, ("a new one", *fates.CLASSES), fates.CLASSES[::-1]):
        read = Feedback(url, {"depot": "string"}, classes=classes).read(None, pd.Timestamp("2030-04-05T00:00Z"))
        found = read.rows["outcome"].value_counts()
        assert found.sum() == len(rows) - 1
        assert (counts - found).abs().sum() == 1
        assert read.rejected["reason"].str.contains("expected one of").sum() == 1
    with pytest.raises(SourceError, match=r"expected classes=PROBLEM\.task\.classes"):
        Feedback(url, {"depot": "string"}).read(None, pd.Timestamp("2030-04-05T00:00Z"))


def test_an_event_that_tells_no_class_stops_nothing(tmp_path):
    strange = lambda events: np.where(np.arange(len(events)) % 50 == 0, "lost", fates.fate(events["late_min"]))  # noqa: E731
    problem = replace(fates.PROBLEM, outcome=replace(fates.PROBLEM.outcome, value=strange))
    store = Store(f"sqlite:///{tmp_path}/store.db")
    put_into(store, fates.bundle(), fates.training().labelled("test"), known=None)
    store.append("arrivals", deliveries(examples.events(), "arrivals", 0, LATEST).events, PAST)
    assert derive_outcomes(store, problem, since=0, through=2**53).outcomes > 500
    store.close()


def test_a_chunk_in_which_nothing_is_a_row_is_scored(tmp_path, monkeypatch):
    from ringbound.batch import readers

    monkeypatch.setattr(readers, "CHUNK_BYTES", 2000)
    rows = "".join(json.dumps(row) + "\n" for row in examples.town().questions(examples.town().parcels.tail(3)))
    file = tmp_path / "rows.jsonl"
    file.write_text(rows + "no row\n" * 2000)
    for bundle in (fates.bundle(), examples.bundle()):
        done = score(str(file), tmp_path / f"{bundle.version}.csv", bundle, events=examples.events(), progress=False)
        assert (done.rows, done.malformed) == (3, 2000)
