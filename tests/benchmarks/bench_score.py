"""Batch scoring against the model alone, and its memory by file size. Printed, never judged.

make bench
"""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ringbound.batch.table import columns_from_table
from ringbound.features.offline import EventTables, asof_join
from ringbound.models.bundle import load_bundle

RUNS = 3


def timed(call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@pytest.fixture(scope="module")
def year(root) -> pa.Table:
    if not (root / "data/features/requests").exists():
        pytest.skip('no data/features; run "make run" first')
    return pq.read_table(root / "data/features/requests").combine_chunks()


def test_score_against_the_model_alone(root, year, tmp_path):
    bundle = load_bundle(root / "data/models")
    ten = pa.concat_tables([year] * 10).combine_chunks()
    columns, _ = columns_from_table(year, bundle.features.request)
    (windowed,) = asof_join(
        bundle.features, EventTables(root / "data/clean", bundle.features.sources), [year.to_pandas()]
    )
    X = np.tile(bundle.full.encoder.matrix(bundle.features.compute(columns, bundle.references, windowed)), (10, 1))
    alone = median(timed(lambda: bundle.full.answer_matrix(X)) for _ in range(RUNS))
    print(f"\nmodel alone, {len(ten):,} rows in memory: {len(ten) / alone:,.0f} rows/s")
    print(f"{'file':>16} {'rows':>10} {'seconds':>8} {'rows/s':>9} {'of model alone':>14} {'peak MB':>8}")
    for name, rows in (("1 year", year), ("10 years", ten)):
        for suffix in (".parquet", ".csv"):
            file = tmp_path / f"rows{suffix}"
            _write(rows, file)
            output = tmp_path / f"scored{suffix}"
            runs = [_score(root, file, output) for _ in range(RUNS)]
            seconds, memory = median(r[0] for r in runs), max(r[1] for r in runs)
            share = len(rows) / seconds / (len(ten) / alone)
            speed = len(rows) / seconds
            print(f"{name + suffix:>16} {len(rows):>10,} {seconds:>8.1f} {speed:>9,.0f} {share:>14.2f} {memory:>8.0f}")
            assert pq.read_metadata(output).num_rows == len(rows) if suffix == ".parquet" else output.stat().st_size


def _write(rows: pa.Table, file: Path) -> None:
    import pyarrow.csv

    if file.suffix == ".parquet":
        pq.write_table(rows, file, row_group_size=200_000)
        return
    texts = {n: pa.compute.strftime(rows[n], "%Y-%m-%dT%H:%M:%SZ") for n in ("sched_dep", "sched_arr", "at")}
    for name, column in texts.items():
        rows = rows.set_column(rows.column_names.index(name), name, column)
    pyarrow.csv.write_csv(rows, file)


def _score(root: Path, file: Path, output: Path) -> tuple[float, float]:
    """Return wall seconds and peak memory in MB of the command, start included."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    command = [sys.executable, "-m", "ringbound", "score", "--input", str(file), "--output", str(output), "--quiet"]
    started = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", code, *command], cwd=root, check=True, capture_output=True, text=True
    )
    return time.perf_counter() - started, float(result.stdout)
