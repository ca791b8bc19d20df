"""Choosing models: coverage of the intervals, throughput and overhead of the search, the time of a report.

make bench
"""

import contextlib
import io
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from ringbound.evaluation.uncertainty import bootstrap, paired
from ringbound.models.candidates import Candidate, fit_trees
from ringbound.models.search import search
from ringbound.models.validation import Validation, rolling_origin
from ringbound.problem.classification import Classification
from ringbound.problem.metrics import auc, brier
from ringbound.problem.task import Costs

RUNS = 1000
DAYS, A_DAY = 61, 40
TRIALS = 48


def days(random: np.random.Generator, number: int) -> tuple[np.ndarray, ...]:
    """Return outcomes, two models' answers and days: a day's rate moves all its rows, and one model sees some of it."""
    mood = np.repeat(random.normal(0, 0.8, number), A_DAY)
    own = random.normal(0, 1, number * A_DAY)
    y = (random.random(number * A_DAY) < 1 / (1 + np.exp(1 - mood - own))).astype(float)
    first, second = (1 / (1 + np.exp(1 - part)) for part in (own * 0.8, own * 0.8 + mood * 0.3))
    return y, first, second, np.repeat(np.arange(number), A_DAY)


def test_coverage_of_the_intervals():
    """95% intervals on simulated days with a known truth: the share of 1,000 that contain it."""
    y, first, second, _ = days(np.random.default_rng(99), 100_000)
    ones = np.ones(len(y))
    truth = {"brier": brier(y, first, ones), "auc": auc(y, first, ones)}
    gain = brier(y, second, ones) - truth["brier"]
    held = dict.fromkeys([*truth, "difference of brier"], 0)
    for run in range(RUNS):
        y, first, second, day = days(np.random.default_rng(run), DAYS)
        for name, found in bootstrap(y, first, day, {"brier": brier, "auc": auc}, draws=300, seed=run).items():
            held[name] += found.low <= truth[name] <= found.high
        change = paired(y, first, second, day, {"brier": brier}, draws=300, seed=run)["brier"].change
        held["difference of brier"] += change.low <= gain <= change.high
    print(f"\n{RUNS:,} runs of {DAYS} days of {A_DAY} rows")
    for name, count in held.items():
        print(f"{name:>22} {count / RUNS:.1%} of the 95% intervals hold the truth")


@pytest.fixture(scope="module")
def validation() -> Validation:
    random = np.random.default_rng(0)
    X = random.normal(size=(60_000, 30))
    y = (random.random(60_000) < 1 / (1 + np.exp(-X[:, 0] - X[:, 1] * X[:, 2]))).astype(float)
    months = np.repeat([f"2013-{m:02}" for m in range(1, 7)], 10_000)
    return Validation(X, y, [0] * 30, Classification(Costs(1, 1)), rolling_origin(months, ["2013-05", "2013-06"]), 1)


def space(trial) -> dict:
    return {"learning_rate": trial.suggest_float("learning_rate", 0.05, 0.2), "iterations": 60,
            "leaves": trial.suggest_int("leaves", 15, 31), "min_leaf": 50, "penalty": 1.0}  # fmt: skip


class Timed:
    """Judges, and writes down when it began and ended: what is left of the time is overhead."""

    def __init__(self, validation: Validation, file: Path):
        self.validation, self.file = validation, file

    def __call__(self, candidate, arguments, bars):
        started = time.time()
        found = self.validation.judge(candidate, arguments, bars)
        with self.file.open("a") as out:
            out.write(f"{started} {time.time()}\n")
        return found


def test_throughput_and_overhead_of_the_search(validation, tmp_path):
    """Trials enough that the last one, for which the others have to wait, is a small part."""
    candidates = [Candidate("trees", fit_trees, space)]
    seconds: dict[int, list[float]] = {1: [], 2: []}
    starts, overheads = [], []
    for run in range(3):
        for workers in (1, 2):
            file = tmp_path / f"{run}-{workers}"
            started = time.time()
            with contextlib.redirect_stderr(io.StringIO()):
                search(
                    Timed(validation, file), candidates, folds=2, trials=TRIALS, seed=run, workers=workers,
                    key=f"{run}", storage=f"sqlite:///{file}.db",
                )  # fmt: skip
            seconds[workers].append(time.time() - started)
            if workers == 1:
                spans = np.array([list(map(float, line.split())) for line in file.read_text().splitlines()])
                starts.append(spans.min() - started)
                overheads.append((spans.max() - spans.min()) / np.diff(spans).sum() - 1)
    one, two = median(seconds[1]), median(seconds[2])
    print(f"\n{TRIALS} trials, medians of 3: 1 worker {one:.1f} s, 2 workers {two:.1f} s, ratio {one / two:.2f}")
    print(f"start of a worker {median(starts):.1f} s; then {median(overheads):.1%} over fitting and judging")


def test_time_of_a_report(root):
    """The workspace against its last commit, everything in the cache."""
    if not (root / "data/evaluation").exists():
        pytest.skip('no data/evaluation; run "make run" first')
    taken = []
    for _ in range(3):
        started = time.perf_counter()
        result = subprocess.run(
            [sys.executable, "-m", "ringbound", "report", "--base", "HEAD"],
            cwd=root,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        taken.append(time.perf_counter() - started)
    print(f"\nreport, {len(result.stdout):,} characters: {median(taken):.1f} s")
