"""A run of the monitors over a window of many answers of the workspace's model: time and memory, read anew and remembered.

python tests/benchmarks/bench_monitor.py [ROWS]
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ringbound import load_bundle, read_training_table, workspace
from ringbound.features.history import PAST
from ringbound.monitoring.answers import questions
from ringbound.monitoring.budget import AlarmBudget
from ringbound.monitoring.run import read_profile, run_monitors
from ringbound.problem.declaration import load_problem
from ringbound.store import Outcome, Prediction, Store
from ringbound.workspace import layout

DAYS, DAY_US, FIRST = 28, 86_400_000_000, 1_400_025_600_000_000
ROWS = 1_000_000


def fill(store: Store, bundle, rows, number: int) -> None:
    """Record so many answers over four weeks, and what came of them a few hours later."""
    X, asked, y = bundle.full.encoder.matrix(rows.features), questions(rows), rows.y
    answers = bundle.full.answer_matrix(X)
    random = np.random.default_rng(1)
    for day in range(DAYS):
        size = number // DAYS
        chosen = random.integers(0, len(rows), size)
        at = FIRST + day * DAY_US + np.sort(random.integers(0, DAY_US, size))
        made = [
            Prediction(
                prediction_id=f"{day:02}-{place:07}",
                made_at=int(at[place]),
                at=int(at[place]),
                position=0,
                model_version=bundle.version,
                features=bundle.features.hash,
                answer=float(answers[row]),
                row=asked[row],
                vector=X[row].tobytes(),
                took_us=800,
            )
            for place, row in enumerate(chosen.tolist())
        ]
        told = [
            Outcome(one.prediction_id, one.at + 10**10, float(y[row])) for one, row in zip(made, chosen, strict=True)
        ]
        for start in range(0, size, 5000):
            store.record(made[start : start + 5000])
            store.tell(told[start : start + 5000], PAST)


def main() -> None:
    """Print a table."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    root = workspace.root()
    bundle, profile = load_bundle(root / layout.MODELS), read_profile(root / layout.MODELS)
    training = read_training_table(root / layout.FEATURES, load_problem(workspace.problem_entry()))
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/store.db")
        fill(store, bundle, training.labelled("test"), number)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{number:,} answers of {len(profile.columns)} columns over {DAYS} days; peak memory before: {before:,.0f} MB"
        )
        for what, sketches in (("read anew, with whylogs", Path(folder) / "whylogs"), ("remembered", None)):
            started = time.perf_counter()
            run_monitors(
                store,
                bundle,
                profile,
                through=FIRST + (DAYS + 3) * DAY_US,
                days=DAYS,
                budget=AlarmBudget(),
                sketches=sketches,
            )
            took = time.perf_counter() - started
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"{what:<25}{took:8.1f} s{number / took:12,.0f} rows/s{peak:10,.0f} MB at most")


if __name__ == "__main__":
    main()
