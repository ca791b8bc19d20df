"""What intervals and gates are worth on days that are alike: coverage, false promotions, power, calibration.

make bench

The days are made up: each has a level of its own that follows the day before with a correlation of 0.4, as measured on
flights out of New York.
"""

import numpy as np
import pandas as pd

from ringbound.evaluation.uncertainty import bootstrap, mean_of
from ringbound.problem.classification import Classification
from ringbound.problem.metrics import calibration_error, log_losses
from ringbound.problem.task import Costs
from ringbound.release.gates import better_gate

TASK = Classification(Costs(3, 1))
DAYS, A_DAY = 61, 100
RUNS = 300


def season(seed: int, days: int = DAYS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log-odds (n,), outcomes and days."""
    random = np.random.default_rng(seed)
    level = np.zeros(days)
    for day in range(1, days):
        level[day] = 0.4 * level[day - 1] + random.normal(0, 0.55)
    odds = np.repeat(level, A_DAY) * 0.7 + random.normal(-1.3, 1, days * A_DAY)
    y = (random.random(len(odds)) < expit(odds + 0.3 * np.repeat(level, A_DAY))).astype(float)
    return odds, y, np.repeat(np.arange(days), A_DAY)


def expit(odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-odds))


def test_coverage_of_levels():
    """95% intervals of the log loss: the share that holds the truth, by days and by weeks."""
    odds, y, _ = season(0, 20_000)
    truth = log_losses(y, expit(odds)).mean()
    held, width = {1: 0, 7: 0}, {1: [], 7: []}
    for run in range(1, RUNS + 1):
        odds, y, day = season(run)
        for stretch in held:
            one = mean_of(log_losses(y, expit(odds)), day, draws=500, seed=run, stretch=stretch)
            low, high = one.interval(mean=True)
            held[stretch] += low <= truth <= high
            width[stretch].append(high - low)
    print(f"\nlog loss of {DAYS} days that are alike, {RUNS} runs")
    for stretch, count in held.items():
        unit = "day" if stretch == 1 else f"{stretch} days"
        print(f"{unit:>8}: {count / RUNS:.1%} hold the truth, median width {np.median(width[stretch]):.4f}")


def against(seed: int, gain: float) -> pd.DataFrame:
    """Return rows answered by two models with noise of their own; the challenger has less of it by `gain`."""
    odds, y, day = season(seed)
    random = np.random.default_rng([seed, 1])
    before, after = (expit(odds + random.normal(0, s, len(odds))) for s in (0.3, 0.3 * (1 - gain)))
    return pd.DataFrame({"truth": y, "before": before, "after": after, "block": day})


def test_false_promotions_and_power():
    """How often `better` passes: equal models, alone and twenty in a row, and challengers that are better."""
    print(f"\n{'challenger':>24} {'look':>5} {'passed':>7} {'failed':>7}")
    for gain, look in ((0.0, 1), (0.25, 1), (0.5, 1), (1.0, 1), (0.5, 5), (1.0, 5), (1.0, 20)):
        outcomes = [
            better_gate(against(run, gain), TASK, look=look, alpha=0.05, draws=500, seed=1).outcome
            for run in range(RUNS)
        ]
        words = "equal (A/A)" if gain == 0 else f"{gain:.0%} less noise"
        print(f"{words:>24} {look:>5} {outcomes.count('passed') / RUNS:>7.1%} {outcomes.count('failed') / RUNS:>7.1%}")
    families = {"with the ledger": 0, "without": 0}
    for family in range(60):
        for name in families:
            looks = range(1, 21) if name == "with the ledger" else [1] * 20
            passed = [
                better_gate(against(1000 * family + k, 0.0), TASK, look=look, alpha=0.05, draws=200, seed=1).outcome
                for k, look in enumerate(looks)
            ]
            families[name] += "passed" in passed
    for name, count in families.items():
        print(f"families of 20 equal challengers that promote one, {name}: {count / 60:.0%}")


def test_the_calibration_gate_on_an_unchanged_champion():
    """A champion that is calibrated on average, in other seasons: how often its gate fails, by the sample's error and now."""
    plain, interval = 0, 0
    for run in range(RUNS):
        odds, y, day = season(run)
        p = expit(odds)
        plain += calibration_error(y, p, np.ones(len(y))) > 0.03
        found = bootstrap(y, p, day, {"error": calibration_error}, draws=300, seed=run, stretch=7)["error"]
        interval += found.low > 0.03
    print(
        f"\nan unchanged champion fails its calibration bound of 0.03 in {plain / RUNS:.1%} of {RUNS} seasons by the "
    )
    print(f"sample's own error, and in {interval / RUNS:.1%} by the interval")
