"""Verdicts on real flights: noise, a gain, and a loss that hides in one carrier."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ringbound.errors import ModelError
from ringbound.loop import report
from ringbound.loop.gate import Contender, judge
from ringbound.models.bundle import Rung
from ringbound.models.candidates import fit_trees
from ringbound.models.comparison import compare, flips
from ringbound.models.encoding import Encoder, learn_vocabularies
from ringbound.models.evaluation import read_evaluation, write_evaluation
from ringbound.models.gates import Gates, Reason

GATES = Gates(
    guarded=["carrier"], calibration_error=0.1, latency_ratio=5.0, proven_rows=0, replayed_days=1, draws=500, seed=7,
    least_rows=100,
)  # fmt: skip
PROOFS = [Reason("leakage", "passed", "proven"), Reason("skew", "passed", "replayed")]
ARGUMENTS = {"learning_rate": 0.1, "iterations": 60, "leaves": 15, "min_leaf": 40, "penalty": 1.0}


@pytest.fixture(scope="module")
def season(published, events, references):
    """A third of the flights of six weeks with their features, the last two weeks unseen."""
    from flights.features import FEATURES
    from ringbound.features.frames import columns_of
    from ringbound.features.offline import asof_join

    flights = published["flights"]
    flights = flights[flights["sched_dep"] >= pd.Timestamp("2013-02-22T12:00Z")].iloc[::2].reset_index(drop=True)
    flights = flights.assign(at=flights["sched_dep"] - pd.Timedelta(hours=2))
    delay = flights["flight_id"].map(published["arrivals"].set_index("flight_id")["arr_delay"])
    flights, delay = flights[delay.notna()].reset_index(drop=True), delay.dropna()
    (windowed,) = asof_join(FEATURES, events, [flights])
    features = FEATURES.compute(columns_of(flights), references, windowed)
    day = flights["sched_dep"].dt.tz_convert("America/New_York").dt.strftime("%Y-%m-%d").to_numpy()
    return SimpleNamespace(
        features=features, y=(delay.to_numpy() >= 15).astype(float), day=day, ids=flights["flight_id"].to_numpy(),
        carrier=flights["carrier"].to_numpy(), past=np.flatnonzero(day < "2013-03-14"),
        later=np.flatnonzero(day >= "2013-03-14"),
    )  # fmt: skip


def take(features, rows):
    return {name: column[rows] for name, column in features.items()}


@pytest.fixture(scope="module")
def made(season, tmp_path_factory):
    """Make a contender: fitted on a share of the past, chosen by a seed, on some of the features."""
    from flights.features import FEATURES

    def make(version: str, *, seed: int, names: list[str], broken: str = "", until: str = "2013-03-13") -> Contender:
        rows = np.sort(np.random.default_rng(seed).choice(season.past, int(0.9 * len(season.past)), replace=False))
        numbers = [n for n in names if n in FEATURES.numbers]
        categories = [n for n in names if n in FEATURES.categories]
        vocabularies = learn_vocabularies(take(season.features, rows), categories)
        encoder = Encoder(numbers, vocabularies)
        model = fit_trees(
            encoder.matrix(take(season.features, rows)), season.y[rows], sizes=encoder.sizes, task="classification",
            seed=seed, **ARGUMENTS,
        )  # fmt: skip
        features, carrier = take(season.features, season.later), season.carrier[season.later]
        if broken:  # this carrier's events are mixed up: each of its flights has the features of another one
            those, whose = np.flatnonzero(carrier == broken), np.arange(len(carrier))
            whose[those] = np.random.default_rng(0).permutation(those)
            features = take(features, whose)
        rung = Rung(encoder, model)
        prior = np.full(len(carrier), season.y[rows].mean())
        folder = tmp_path_factory.mktemp(version) / "evaluation"
        write_evaluation(
            folder, ids=season.ids[season.later], block=season.day[season.later], truth=season.y[season.later],
            answers={"full": rung.answer(features), "prior": prior}, slices={"carrier": carrier},
            period=("2013-03-14", "2013-03-28"), features=features,
            facts={"version": version, "features": {"hash": "f"}, "task": "classification", "threshold": 0.25,
                   "provenance": {"last_day": until}},
        )  # fmt: skip
        return Contender(SimpleNamespace(name=version), read_evaluation(folder), rung, 1000)

    return make


@pytest.fixture(scope="module")
def full(made):
    from flights.features import FEATURES

    return made("full", seed=1, names=FEATURES.names)


@pytest.fixture(scope="module")
def plain(made):
    from flights.features import FEATURES

    return made("plain", seed=1, names=FEATURES.plain)


def outcomes(judged) -> dict[str, str]:
    return {reason.gate: reason.outcome for reason in judged.verdict.reasons}


def test_another_seed_is_noise(made, full):
    from flights.features import FEATURES

    judged = judge(full, made("again", seed=2, names=FEATURES.names), GATES, stage="prod", proofs=PROOFS)
    assert judged.verdict.decision == "inconclusive"
    assert outcomes(judged)["better"] == "open"
    assert judged.comparison.metrics["log_loss"].change.value != 0


def test_more_features_are_a_gain(full, plain):
    judged = judge(plain, full, GATES, stage="prod", proofs=PROOFS)
    assert judged.verdict.decision == "promote"
    assert set(outcomes(judged).values()) == {"passed"}
    assert judge(full, plain, GATES, stage="prod", proofs=PROOFS).verdict.decision == "keep"


def test_a_loss_in_one_carrier_is_caught_though_the_whole_is_better(made, plain):
    from flights.features import FEATURES

    judged = judge(plain, made("broken", seed=1, names=FEATURES.names, broken="UA"), GATES, stage="prod", proofs=PROOFS)
    assert outcomes(judged)["better"] == "passed"
    assert outcomes(judged)["slices"] == "failed"
    assert judged.verdict.decision == "keep"
    (says,) = [reason.says for reason in judged.verdict.reasons if reason.gate == "slices"]
    assert says.startswith("worse: carrier UA +")
    assert says.count("carrier") == 1


def test_the_first_model_has_to_beat_its_own_prior(full):
    assert judge(None, full, GATES, stage="prod", proofs=PROOFS).verdict.decision == "promote"


@pytest.mark.parametrize(
    ("bounds", "gate"), [({"calibration_error": 0.0}, "calibration"), ({"latency_ratio": 0.001}, "latency")]
)
def test_a_bound_that_is_passed_keeps_the_champion(full, plain, bounds, gate):
    judged = judge(plain, full, Gates(**vars(GATES) | bounds), stage="prod", proofs=PROOFS)
    assert outcomes(judged)[gate] == "failed"
    assert judged.verdict.decision == "keep"


def test_a_model_judged_on_what_it_was_fitted_on_is_kept_out(made, plain):
    from flights.features import FEATURES

    judged = judge(
        plain, made("seen", seed=1, names=FEATURES.names, until="2013-03-20"), GATES, stage="prod", proofs=PROOFS
    )
    assert outcomes(judged)["unseen"] == "failed"
    assert judged.verdict.decision == "keep"


def test_proofs_that_fail_or_are_missing_decide(full, plain):
    for outcome, decision in (("failed", "keep"), ("open", "inconclusive")):
        proofs = [Reason("skew", outcome, "3 mismatches"), PROOFS[0]]
        assert judge(plain, full, GATES, stage="prod", proofs=proofs).verdict.decision == decision


def test_guarding_what_nobody_sliced_by_is_said(full, plain):
    with pytest.raises(ModelError, match=r"expected slices of \['carrier'\]; got \['planet'\]"):
        judge(plain, full, Gates(**vars(GATES) | {"guarded": ["planet"]}), stage="prod", proofs=PROOFS)


def test_a_champion_of_earlier_months_is_asked_about_the_later_ones(full, plain):
    earlier = replace(plain.evaluation, rows=plain.evaluation.rows.iloc[:1000])
    veteran = replace(plain, evaluation=earlier)
    judged = judge(veteran, full, GATES, stage="prod", proofs=PROOFS)
    assert judged.verdict == judge(plain, full, GATES, stage="prod", proofs=PROOFS).verdict
    stranger = replace(plain, evaluation=replace(earlier, about=earlier.about | {"features": "others"}))
    judged = judge(stranger, full, GATES, stage="prod", proofs=PROOFS)
    assert len(judged.comparison.rows) == 1000
    assert outcomes(judged)["coverage"] == "open"


def test_the_reports_bias_is_what_fairlearn_says(full, plain):
    from fairlearn.metrics import MetricFrame, false_negative_rate, selection_rate

    judged = judge(plain, full, GATES, stage="prod", proofs=PROOFS)
    _, said, _ = report._bias(plain, full, judged, 100)
    rows = judged.comparison.rows
    rows = rows[rows.groupby("carrier")["carrier"].transform("size") >= 100]
    gaps = [
        MetricFrame(
            metrics=rate, y_true=rows["truth"] == 1, y_pred=rows[side] >= 0.25, sensitive_features=rows["carrier"]
        ).difference()
        for rate in (selection_rate, false_negative_rate)
        for side in ("before", "after")
    ]
    assert said.splitlines()[2].startswith(
        " | ".join(["| carrier", str(rows["carrier"].nunique()), *(f"{gap:.1%}" for gap in gaps)]) + " | "
    )


def test_rows_of_one_side_alone_and_of_another_outcome_are_counted_apart(full, plain):
    rows = plain.evaluation.rows.iloc[100:].copy()
    rows.loc[rows.index[0], "truth"] = 1 - rows["truth"].iloc[0]
    other = replace(plain.evaluation, rows=rows)
    found = compare(other, full.evaluation, draws=50, seed=1, least_rows=100)
    assert (found.only_before, found.only_after, found.relabelled) == (0, 100, 1)
    assert len(found.rows) == len(full.evaluation.rows) - 101


def test_flips_are_by_each_models_own_threshold():
    rows = pd.DataFrame({"before": [0.2, 0.3, 0.6], "after": [0.4, 0.3, 0.1]})
    assert flips(rows, 0.25, 0.35).index.tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("section", "says"),
    [(None, "got \\[\\]"), ({**vars(GATES), "draws": "many"}, "draws"), ({**vars(GATES), "drows": 1}, "drows")],
)
def test_gates_that_do_not_fit_are_said(section, says):
    with pytest.raises(ModelError, match=says):
        Gates.of(section)
