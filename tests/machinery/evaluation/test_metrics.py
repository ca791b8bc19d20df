import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from ringbound.evaluation import by_slice, uncertainty
from ringbound.evaluation.tenths import calibration_table
from ringbound.problem import metrics


def sample(n: int = 500, seed: int = 0):
    random = np.random.default_rng(seed)
    p = np.round(random.random(n), 2)  # with ties
    return (random.random(n) < p).astype(float), p, random.integers(0, 3, n).astype(float)


ORACLES = {
    "auc": lambda y, p, w: sklearn.metrics.roc_auc_score(y, p, sample_weight=w),
    "average_precision": lambda y, p, w: sklearn.metrics.average_precision_score(y, p, sample_weight=w),
    "log_loss": lambda y, p, w: sklearn.metrics.log_loss(y, np.clip(p, 1e-15, 1 - 1e-15), sample_weight=w),
    "brier": lambda y, p, w: sklearn.metrics.brier_score_loss(y, p, sample_weight=w),
}


@pytest.mark.parametrize("name", ORACLES)
@given(seed=st.integers(0, 10_000))
def test_agrees_with_scikit_learn_with_weights_and_ties(name, seed):
    y, p, w = sample(seed=seed)
    assert metrics.PROBABILITY_METRICS[name](y, p, w) == pytest.approx(ORACLES[name](y, p, w), abs=1e-9)


def test_weights_count_as_repeated_rows():
    y, p, w = sample()
    many = w.astype(int)
    repeated = np.repeat(y, many), np.repeat(p, many)
    for name, metric in metrics.PROBABILITY_METRICS.items():
        if name != "calibration_error":  # its bins may cut through equal rows
            assert metric(y, p, w) == pytest.approx(metric(*repeated, np.ones(many.sum()))), name


def test_calibration_error_of_a_perfect_and_a_constant_forecast():
    y, p, _ = sample(20_000)
    ones = np.ones(len(y))
    assert metrics.calibration_error(y, p, ones) < 0.02
    assert metrics.calibration_error(y, np.full(len(y), 0.9), ones) == pytest.approx(0.4, abs=0.02)


def test_one_class_has_no_auc():
    assert np.isnan(metrics.auc(np.ones(3), np.array([0.1, 0.2, 0.3]), np.ones(3)))


def test_intervals_of_dependent_rows_are_wider_by_blocks():
    """Days with a common shock: the truth of one row says much about the others of its day."""
    random = np.random.default_rng(1)
    day = np.repeat(np.arange(60), 50)
    rate = np.repeat(random.choice([0.1, 0.6], 60), 50)
    y = (random.random(3000) < rate).astype(float)
    p = np.full(3000, 0.35)
    chosen = {"brier": metrics.brier}
    blocks = uncertainty.bootstrap(y, p, day, chosen, draws=300, seed=1)["brier"]
    rows = uncertainty.bootstrap(y, p, np.arange(3000), chosen, draws=300, seed=1)["brier"]
    assert blocks.high - blocks.low > 2 * (rows.high - rows.low)
    assert blocks.low < blocks.value < blocks.high


def resampled(of_blocks: np.ndarray, seed: int, draws: int = 300) -> uncertainty.Resampled:
    """The mean over blocks of equal size."""
    n = len(of_blocks)
    counts = uncertainty.draw_weights(n, draws, seed).astype(float)
    left_out = (of_blocks.sum() - of_blocks) / (n - 1)
    return uncertainty.Resampled(float(of_blocks.mean()), counts @ of_blocks / n, left_out, counts)


@pytest.mark.parametrize("name", ["log_loss", "auc", "rmse"])
def test_a_set_is_measured_as_its_rows_would_be(name):
    y, p, _ = sample()
    day = np.arange(500) // 50
    metric = (metrics.PROBABILITY_METRICS | metrics.REGRESSION_METRICS)[name]
    found = uncertainty.resample(y, p, day, {name: metric}, draws=5, seed=3)[name]
    for drawn, counts in zip(found.drawn, found.counts, strict=True):
        rows = np.repeat(np.arange(500), counts.astype(int)[day])
        assert drawn == pytest.approx(metric(y[rows], p[rows], np.ones(500)))
    assert found.left_out[3] == pytest.approx(metric(y[day != 3], p[day != 3], np.ones(450)))
    assert found.value == metric(y, p, np.ones(500))


def test_standard_errors_of_a_mean_are_those_of_its_blocks():
    blocks = np.random.default_rng(1).exponential(size=30)
    found = resampled(blocks, seed=1, draws=5)
    assert found.errors(np.ones((1, 30))) == pytest.approx([blocks.std(ddof=1) / np.sqrt(30)])
    drawn = [np.repeat(blocks, counts.astype(int)).std(ddof=1) / np.sqrt(30) for counts in found.counts]
    assert found.errors(found.counts) == pytest.approx(drawn)


@pytest.mark.parametrize("skewed", [False, True])
def test_intervals_hold_the_truth_as_often_as_they_say(skewed):
    held = 0
    for seed in range(1000):
        random = np.random.default_rng(seed)
        blocks = random.lognormal(-0.32, 0.8, 61) if skewed else random.normal(1, 1, 61)  # both of mean 1
        low, high = resampled(blocks, seed).interval(mean=True)
        held += low <= 1 <= high
    assert 930 <= held <= 970


def weather(seed: int, days: int = 61, a_day: int = 20) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outcomes, stated probabilities and days; a day's level follows the day before: the lag-1 correlation is 0.6."""
    random = np.random.default_rng(seed)
    level = np.zeros(days)
    for day in range(1, days):
        level[day] = 0.6 * level[day - 1] + random.normal(0, 0.6)
    mood, own = np.repeat(level, a_day), random.normal(size=days * a_day)
    y = (random.random(days * a_day) < 1 / (1 + np.exp(1 - mood - own))).astype(float)
    return y, 1 / (1 + np.exp(1 - own)), np.repeat(np.arange(days), a_day)


def test_levels_of_days_that_are_alike_are_held_by_weeks_and_not_by_days():
    y, p, _ = weather(0, days=20_000)
    truth = metrics.log_loss(y, p, np.ones(len(y)))
    held = {1: 0, 7: 0}
    for seed in range(1, 301):
        y, p, day = weather(seed)
        for stretch in held:
            one = uncertainty.mean_of(metrics.log_losses(y, p), day, draws=400, seed=seed, stretch=stretch)
            low, high = one.interval(mean=True)
            held[stretch] += low <= truth <= high
    assert held[7] >= 270, held
    assert held[1] <= 258, held


def test_the_calibration_error_of_a_calibrated_model_is_not_refuted():
    """Noise alone shows a gap on every sample; without it, zero lies within the interval nineteen times in twenty."""
    clear, plain = 0, []
    for seed in range(200):
        random = np.random.default_rng(seed)
        p = random.random(1200)
        y = (random.random(1200) < p).astype(float)
        found = uncertainty.bootstrap(
            y, p, np.arange(1200) // 20, {"e": metrics.calibration_error}, draws=200, seed=seed
        )["e"]
        clear += found.low == 0
        plain.append(metrics.calibration_error(y, p, np.ones(1200)))
    assert clear >= 180
    assert min(plain) > 0.01


def test_a_calibration_error_is_held_by_its_interval_as_often_as_it_says():
    """Sixty days in nine weeks, all stated a fifth too near the middle."""
    held, runs = 0, 100
    truth = None
    for seed in range(-1, runs):
        random = np.random.default_rng(seed + 1)
        n = 200_000 if seed < 0 else 6000
        p = random.random(n)
        y = (random.random(n) < 0.5 + 1.25 * (p - 0.5) * 0.8 + 0.2 * (p - 0.5)).astype(float)
        if seed < 0:
            truth = metrics.calibration_error(y, p, np.ones(n))
            continue
        day, chosen = np.arange(n) // 100, {"e": metrics.calibration_error}
        found = uncertainty.bootstrap(y, p, day, chosen, draws=200, seed=seed, stretch=7)["e"]
        held += found.low <= truth <= found.high
    assert held >= 90


def test_a_calibration_error_that_is_there_is_found():
    random = np.random.default_rng(1)
    p = random.random(20_000)
    y = (random.random(20_000) < np.clip(p + 0.1 * np.sign(p - 0.5), 0, 1)).astype(float)
    found = uncertainty.bootstrap(y, p, np.arange(20_000) // 200, {"e": metrics.calibration_error}, draws=200, seed=1)[
        "e"
    ]
    assert found.low > 0.05
    assert found.low < 0.093 < found.high, "the root mean square of 0.1 in eight tenths and about 0.05 in two"


def test_equal_answers_have_no_order():
    """One rate for all days, which rise: no tenth of them is off."""
    y = np.repeat([0.0, 1.0], 500)
    p = np.full(1000, 0.5)
    assert metrics.calibration_error(y, p, np.ones(1000)) == 0
    table = calibration_table(y, p, units=np.arange(1000) // 10)
    assert table["observed"].tolist() == [0.5] * 10


def test_a_difference_without_an_interval_is_no_judgement():
    day = np.repeat([0, 1], 50)
    y = np.where(day == 0, np.arange(100) % 2, 0.0)
    one, two = np.random.default_rng(1).random((2, 100))
    found = uncertainty.paired(y, one, two, day, {"auc": metrics.auc}, draws=50, seed=1)["auc"]
    assert np.isnan(found.change.low)
    assert found.judgement == "inconclusive"


def test_a_slice_that_cannot_be_measured_spoils_no_other():
    values, errors = pd.Series([0.3, 0.4, 0.5, np.nan]), pd.Series([0.0, 0.01, 0.01, np.nan])
    shrunk = by_slice.shrink(values, errors)
    assert np.isfinite(shrunk[:3]).all()
    assert by_slice.shrink(values[:1], errors[:1]).tolist() == [0.3]


def test_auc_within_blocks_knows_nothing_of_which_blocks_are_bad():
    day = np.repeat(np.arange(40), 50)
    random = np.random.default_rng(1)
    rate = random.random(40)[day]
    y = (random.random(2000) < rate).astype(float)
    chosen = {"auc": metrics.auc, "auc_within": metrics.auc_within}
    found = uncertainty.bootstrap(y, rate, day, chosen, draws=50, seed=1)
    assert found["auc"].value > 0.7
    assert found["auc_within"].value == 0.5, "within a day all answers are one"
    p = random.random(2000)
    days = [(y[day == d], p[day == d]) for d in range(40)]
    pairs = sum(o.sum() * (1 - o).sum() for o, _ in days)
    ranked = sum(o.sum() * (1 - o).sum() * metrics.auc(o, a, np.ones(50)) for o, a in days if 0 < o.sum() < 50)
    within = uncertainty.bootstrap(y, p, day, {"auc_within": metrics.auc_within}, draws=50, seed=1)["auc_within"]
    assert within.value == pytest.approx(ranked / pairs)


def test_the_weakest_of_many_slices_is_drawn_towards_their_mean():
    """Twenty slices that are alike: the weakest by itself is off, drawn together it is hardly."""
    random = np.random.default_rng(2)
    n = 20 * 400
    p = random.random(n)
    rows = pd.DataFrame({"y": (random.random(n) < p).astype(float), "p": p, "day": np.arange(n) % 40})
    rows["slice"] = [f"{i // 400:02}" for i in range(n)]
    columns = {"y": "y", "p": "p", "block": "day", "metric": metrics.auc}
    table = by_slice.slices(rows, ["slice"], **columns, draws=100, seed=1, least=100)
    truth = metrics.auc(rows["y"].to_numpy(), p, np.ones(n))
    assert abs(table["shrunk"].min() - truth) < 0.3 * abs(table["metric"].min() - truth)


def test_no_interval_reaches_below_zero():
    day = np.arange(400) // 40
    p = np.where(day == 3, 0.4, 0.01 * (1 + day))  # one bad day of ten
    found = uncertainty.bootstrap(np.zeros(400), p, day, {"brier": metrics.brier}, draws=300, seed=1)["brier"]
    assert 0 <= found.low < found.value < found.high < 1


def test_few_blocks_have_an_interval_too():
    low, high = resampled(np.array([1.0, 2.0, 4.0]), seed=1).interval(mean=True)
    assert np.isfinite([low, high]).all()
    assert low < 7 / 3 < high


def test_same_seed_same_interval():
    y, p, _ = sample()
    day = np.arange(500) // 10
    one, two = (uncertainty.bootstrap(y, p, day, metrics.PROBABILITY_METRICS, draws=50, seed=3) for _ in range(2))
    assert one == two


def test_small_slices_are_left_out():
    y, p, _ = sample(100)
    rows = pd.DataFrame({"y": y, "p": p, "day": np.arange(100) // 5, "name": ["big"] * 90 + ["small"] * 10})
    found = by_slice.slices(rows, ["name"], y="y", p="p", block="day", metric=metrics.auc, draws=20, seed=1, least=30)
    assert found["value"].tolist() == ["big"]
    assert found["rows"].tolist() == [90]


def test_regression_metrics():
    y, p, w = np.array([1.0, 2.0]), np.array([2.0, 4.0]), np.ones(2)
    assert metrics.mean_absolute_error(y, p, w) == 1.5
    assert metrics.root_mean_squared_error(y, p, w) == pytest.approx(np.sqrt(2.5))
