"""The feature layer: offline against Polars, by size; online latencies; events a second; the year replayed.

make bench
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
import polars as pl
import pytest

from flights.features import FEATURES, arr_late, dep_late
from postgresql import PostgreSQL
from ringbound.features.frames import plain_rows
from ringbound.features.history import PAST, deliveries
from ringbound.features.live import LiveFeatures
from ringbound.features.offline import EventTables
from ringbound.features.online import OnlineFeatures
from ringbound.models.bundle import load_bundle
from ringbound.problem.training import read_requests
from ringbound.serving.intake import Intake
from ringbound.serving.predictor import Predictor
from ringbound.serving.request import validated
from ringbound.store.clock import CLOCKS
from ringbound.store.store import Store

RUNS = 5
CONDITIONS = {"dep_late": ("dep_delay", dep_late), "arr_late": ("arr_delay", arr_late)}
JULY = (pd.Timestamp("2013-06-08", tz="UTC"), pd.Timestamp("2013-07-10", tz="UTC"))


@pytest.fixture(scope="module")
def made(root) -> Path:
    if not (root / "data/features/requests").exists():
        pytest.skip('no data/features; run "make run" first')
    return root / "data"


def polars_job(folder: Path) -> pl.DataFrame:
    """The same windowed values in Polars: questions go in among the events, and rolling aggregates end at them.

    As-of joins of running totals at both ends of each window give the same and took a sixth longer.
    """
    asked = (
        pl.scan_parquet(folder / "features/requests/*.parquet").sort("at", maintain_order=True).with_row_index("row")
    )
    found = []
    for view in FEATURES.views:
        source, keys = FEATURES.sources[view.events], list(view.entity)
        tracks = {track: CONDITIONS.get(track, (track, None)) for track in view.tracks}
        values = [_track(*of).alias(track) for track, of in tracks.items()]
        events = (
            pl.scan_parquet(folder / f"clean/{view.events}/*.parquet").drop_nulls(keys).sort("available_at", source.id)
        )
        events = events.select(*keys, pl.col("available_at").alias("at"), pl.lit(1).alias("one"), *values)
        both = pl.concat([events, asked.select(*keys, "at", "row")], how="diagonal").sort(
            *keys, "at", maintain_order=True
        )
        rolled = [_rolled(feature).over(keys).alias(feature.name) for feature in view.features]
        found.append(both.select("row", *rolled).filter(pl.col("row").is_not_null()).sort("row").drop("row"))
    return pl.concat(pl.collect_all(found), how="horizontal")


def _track(number: str, condition) -> pl.Expr:
    value = pl.col(number).fill_nan(None)
    return value if condition is None else condition(value).cast(pl.Float64)


def _rolled(feature) -> pl.Expr:
    window, track = f"{feature.window // 60_000_000}m", feature.track
    if feature.aggregate == "count":
        return pl.col("one").rolling_sum_by("at", window, closed="right").fill_null(0)
    if feature.aggregate in ("age", "last"):
        known = pl.col("one" if feature.aggregate == "age" else track).is_not_null()
        since = pl.col("at") - pl.when(known).then(pl.col("at")).forward_fill()
        value = since.dt.total_microseconds() / 6e7 if feature.aggregate == "age" else pl.col(track).forward_fill()
        return pl.when(since < pl.duration(microseconds=feature.window)).then(value)
    kind = "mean" if feature.aggregate == "rate" else feature.aggregate
    value = getattr(pl.col(track), f"rolling_{kind}_by")("at", window, closed="right")
    if kind != "sum":
        return value
    known = pl.col(track).is_not_null().cast(pl.Int32).rolling_sum_by("at", window, closed="right")
    return pl.when(known > 0).then(value)  # the sum of nothing is 0 to Polars


OURS = """
import json, resource, sys, time
from pathlib import Path
import pandas as pd
from flights.features import FEATURES
from ringbound.features.offline import EventTables, asof_join
folder, runs = Path(sys.argv[1]), int(sys.argv[2])
months = sorted((folder / "features/requests").glob("*.parquet"))
seconds, rows = [], 0
for _ in range(runs):
    started, rows = time.perf_counter(), 0
    events = EventTables(folder / "clean", FEATURES.sources)
    for values in asof_join(FEATURES, events, (pd.read_parquet(month) for month in months)):
        rows += len(next(iter(values.values())))
    seconds.append(time.perf_counter() - started)
print(json.dumps([seconds, rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""
THEIRS = """
import json, resource, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from bench_features import polars_job
seconds = []
for _ in range(int(sys.argv[2])):
    started = time.perf_counter()
    found = polars_job(Path(sys.argv[1]))
    seconds.append(time.perf_counter() - started)
found.write_parquet(sys.argv[4])
print(json.dumps([seconds, len(found), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def measured(code: str, *arguments: object) -> tuple[float, int, float]:
    """Run the code in a process of its own; return median seconds, rows and peak memory in MB."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    here = Path(__file__).resolve()
    environment = {"PYTHONPATH": f"{here.parents[2] / 'src'}:{here.parents[1]}", "PATH": "/usr/bin:/bin"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr[-2000:]
    seconds, rows, memory = json.loads(result.stdout)
    return median(seconds), rows, memory


def test_offline_against_polars(made, tmp_path):
    theirs, rows, their_memory = measured(THEIRS, made, RUNS, Path(__file__).parent, tmp_path / "polars.parquet")
    ours, same_rows, our_memory = measured(OURS, made, RUNS)
    assert rows == same_rows
    found = pl.read_parquet(tmp_path / "polars.parquet")
    mine = pl.read_parquet(made / "features/table/*.parquet").select(list(FEATURES.windowed))
    asked = (
        pl.read_parquet(made / "features/requests/*.parquet")
        .with_row_index("place")
        .sort("at", maintain_order=True)["place"]
    )
    for name in FEATURES.windowed:  # the same job: the same values, but for the order in which floats were added up
        scaled = 0.02 if FEATURES.windowed[name][0].events == "weather" else 1e-6
        np.testing.assert_allclose(
            mine[asked][name].to_numpy(), found[name].to_numpy(), rtol=1e-6, atol=scaled, err_msg=name
        )
    print(f"\noffline, {rows:,} requests, {len(FEATURES.windowed)} windowed values, reading included")
    print(f"{'':>12} {'seconds':>8} {'peak MB':>8}\n{'Polars':>12} {theirs:>8.2f} {their_memory:>8.0f}")
    print(f"{'as-of join':>12} {ours:>8.2f} {our_memory:>8.0f}\nratio {ours / theirs:.2f}")


def test_offline_by_size(made, tmp_path):
    """The year 1, 3 and 10 times, one after the other: more months, no larger ones."""
    print(f"\n{'':>6} {'rows':>10} {'seconds':>8} {'ratio':>6} {'peak MB':>8}")
    base = None
    for times in (1, 3, 10):
        folder = tmp_path / str(times)
        _repeat(made, folder, times)
        seconds, rows, memory = measured(OURS, folder, 3)
        base = base or seconds
        print(f"{times:>5}× {rows:>10,} {seconds:>8.2f} {seconds / base:>6.1f} {memory:>8.0f}")


def _repeat(made: Path, folder: Path, times: int) -> None:
    tables = {f"clean/{name}": ["time", "available_at"] for name in FEATURES.sources}
    for name, columns in (tables | {"features/requests": ["at", "sched_dep", "sched_arr"]}).items():
        (folder / name).mkdir(parents=True)
        for year in range(times):
            for file in sorted((made / name).glob("2013-*.parquet")):
                frame = pd.read_parquet(file)
                for column in columns:  # 364 days: weeks stay weeks
                    frame[column] += pd.Timedelta(days=364 * year)
                if "features" in name:
                    frame.to_parquet(folder / name / f"{year:02}-{file.name}")
                    continue
                for month, part in frame.groupby(frame["available_at"].dt.strftime("%Y-%m")):
                    target = folder / name / f"{month}.parquet"
                    rows = pd.concat([pd.read_parquet(target), part]) if target.exists() else part
                    key = FEATURES.sources[file.parent.name].id
                    rows = (
                        rows.assign(**{key: rows[key].where(rows.index < 0, f"{year}." + rows[key])}) if year else rows
                    )
                    rows.to_parquet(target, index=False)


@pytest.fixture(scope="module")
def july(made, tmp_path_factory) -> LiveFeatures:
    """Live features on a store with a month of events."""
    tables = EventTables(made / "clean", FEATURES.sources)
    store = Store(f"sqlite:///{tmp_path_factory.mktemp('july')}/store.db")
    for name in FEATURES.sources:
        events = deliveries(tables, name, *(int(t.as_unit("us").asm8.astype(int)) for t in JULY)).events
        for start in range(0, len(events), 5000):
            store.append(name, events[start : start + 5000], PAST)
    return LiveFeatures(FEATURES, store, clock=CLOCKS["event"])


def _line(what: str, seconds: list[float]) -> str:
    p50, p99 = np.percentile(np.array(seconds) * 1e6, [50, 99])
    return f"{what:>44} {p50:>8.0f} {p99:>8.0f}"


def _timed(call, items) -> list[float]:
    taken = []
    for item in items:
        started = time.perf_counter()
        call(item)
        taken.append(time.perf_counter() - started)
    return taken


def test_online_latency(root, made, july):
    bundle = load_bundle(root / "data/models")
    predictor = Predictor(bundle, july)
    asked = read_requests(made / "features")
    asked = asked[asked["at"].between(JULY[1] - pd.Timedelta(hours=22), JULY[1])]
    texts = [{k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in row.items()} for row in plain_rows(asked)]
    rows = [[row] for row in validated(predictor.Row, texts, "row")]
    logged = july.store.tail(july.online.position - 20_000, 20_000)
    warm = OnlineFeatures(FEATURES)
    warm.apply(logged[:10_000], present=0)
    _timed(predictor.look_up, rows)
    print(f"\n{'one row, inside the process, µs':>44} {'p50':>8} {'p99':>8}")
    windows = [(int(at), vars(row[0])) for at, row in zip(asked["at"].astype("int64"), rows, strict=True)]
    print(_line(f"{len(FEATURES.windowed)} windowed values", _timed(lambda one: july.online.values(*one), windows)))
    print(_line(f"all {len(FEATURES.names)} features, the log asked first", _timed(predictor.look_up, rows)))
    print(_line("answered, and kept with its vector", _timed(predictor.answer, rows)))
    print(_line("one event applied", _timed(lambda row: warm.apply([row], present=0), logged[10_000:])))


def test_events_accepted(july, tmp_path):
    """Validation included, each batch committed before it is acknowledged."""
    logged = [row for row in july.store.tail(0, 60_000) if row.source == "departures"][:20_000]
    events = [json.loads(row.payload) | {"id": row.id, "time": "2013-07-01T00:00:00Z"} for row in logged]
    batches = [events[start : start + 100] for start in range(0, len(events), 100)]
    server = PostgreSQL(tmp_path)
    try:
        print(f"\n{'batches of 100, durable':>44} {'events/s':>9}")
        for name, new in (
            ("SQLite", lambda run: f"sqlite:///{tmp_path}/{run}.db"),
            ("PostgreSQL", lambda run: server.database()),
        ):
            seconds = []
            for run in range(RUNS):
                intake = Intake(FEATURES.sources, Store(new(run)), CLOCKS["event"])
                seconds.append(sum(_timed(lambda batch, to=intake: to.take("departures", batch), batches)))
            print(f"{name:>44} {len(events) / median(seconds):>9,.0f}")
    finally:
        server.stop()


@pytest.mark.parametrize("storm", [[], ["--late", "0.02", "--twice", "0.02", "--seed", "1"]])
def test_the_year_replayed(root, made, storm):
    started = time.perf_counter()
    command = [sys.executable, "-m", "ringbound", "features", "replay", *storm]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    print(f"\n{' '.join(storm) or 'as it came'}: {result.stdout.strip()}, {time.perf_counter() - started:.0f} s")
