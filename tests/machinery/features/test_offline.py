"""The as-of join: against Polars in full, shard by shard, on Dask, from the cache."""

import os
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest

from ringbound.compute.engines import open_engine
from ringbound.errors import FeatureError
from ringbound.features.asof import MINUTE
from ringbound.features.definition import FeatureSet
from ringbound.features.frames import instants, plain_rows
from ringbound.features.live import LiveFeatures
from ringbound.features.offline import EventTables, asof_join
from ringbound.features.view import view
from ringbound.store import CLOCKS
from ringbound.testing.parcels import ARRIVALS, FEATURES, REQUEST, is_late

CONDITIONS = {"is_late": ("late_min", is_late)}


def joined(events, shards, **more) -> dict[str, np.ndarray]:
    parts = list(asof_join(FEATURES, events, shards, **more))
    return {name: np.concatenate([part[name] for part in parts]) for name in FEATURES.windowed}


def by_day(parcels) -> list[pd.DataFrame]:
    return [part for _, part in parcels.groupby(parcels["at"].dt.floor("D"))]


def polars_value(events: EventTables, parcels: pd.DataFrame, name: str, features: FeatureSet = FEATURES) -> np.ndarray:
    """Return a feature as Polars computes it: a join on the entity, a filter on the window, a grouped aggregate."""
    view, feature = features.windowed[name]
    source = features.sources[view.events]
    table = pl.from_arrow(events.table(view.events, 0, 2**61)).sort("available_at", source.id)
    keys = list(view.entity)
    asked = pl.from_pandas(parcels[[*keys, "at"]].reset_index(names="row"))
    asked = asked.with_columns(pl.col("at").dt.cast_time_unit("us"))
    how = {"on": keys, "how": "inner", "maintain_order": "right"} if keys else {"how": "cross"}
    end = pl.col("at") - pl.duration(microseconds=feature.ago)
    found = asked.join(table, **how).filter(
        (pl.col("available_at") <= end) & (pl.col("available_at") > end - pl.duration(microseconds=feature.window))
    )
    if feature.aggregate in ("count", "age"):
        value = (
            pl.len()
            if feature.aggregate == "count"
            else (pl.col("at") - pl.col("available_at")).last().dt.total_seconds() / 60
        )
    else:
        number, condition = CONDITIONS.get(feature.track, (feature.track, None))
        scale = source.scale[number]
        column = (pl.col(number) * scale).round(mode="half_to_even") / scale
        found = found.filter(pl.col(number).is_not_null() & pl.col(number).is_not_nan())
        column = column if condition is None else condition(pl.col(number)).cast(pl.Float64)
        value = getattr(column, {"rate": "mean"}.get(feature.aggregate, feature.aggregate))()
    per_row = found.group_by("row", maintain_order=True).agg(value.alias("value"))
    whole = (
        asked.select("row").join(per_row, on="row", how="left", maintain_order="left")["value"].to_numpy().astype(float)
    )
    return np.nan_to_num(whole) if feature.aggregate == "count" else whole


@pytest.mark.parametrize("name", list(FEATURES.windowed))
def test_every_feature_is_what_polars_says(events, parcels, windowed, name):
    oracle = polars_value(events, parcels, name)
    assert np.isfinite(oracle).any()
    np.testing.assert_allclose(windowed[name], oracle, rtol=1e-12, atol=1e-12)


ALL = FeatureSet(
    REQUEST,
    sources=[ARRIVALS],
    views=[
        view(
            "all", entity=[], events="arrivals", late_rate=("rate", is_late, ["6h", "1h, 23h ago"]), age=("age", "1d")
        ),
        view("before", entity="depot", events="arrivals", late_last=("last", "late_min", "1h, 2h ago")),
    ],
)
"""Views of all events, and of windows that ended before the question."""


def test_events_of_all_and_windows_that_ended_before_are_what_polars_says_offline_and_online(events, log, parcels):
    (offline,) = asof_join(ALL, EventTables(events.folder, ALL.sources), [parcels])
    live = LiveFeatures(ALL, log, clock=CLOCKS["event"], retained=60 * 24 * 60 * MINUTE)
    rows = plain_rows(parcels[ALL.entities])
    online, _ = live.values(rows, instants(parcels["at"]).tolist())
    for name, values in offline.items():
        oracle = polars_value(events, parcels, name, ALL)
        assert np.isfinite(oracle).any()
        np.testing.assert_allclose(values, oracle, rtol=1e-12, atol=1e-12)
        assert values.tobytes() == online[name].tobytes()


def test_last_is_what_merge_asof_says(town, parcels, windowed):
    left = parcels[["at", "courier"]].reset_index().dropna().sort_values("at")
    right = town.tables["arrivals"].dropna(subset=["courier"])[["available_at", "courier", "late_min"]]
    window = pd.Timedelta("24h") - pd.Timedelta("1us")  # merge_asof takes in both of its ends
    found = pd.merge_asof(left, right, left_on="at", right_on="available_at", by="courier", tolerance=window)
    mine = windowed["courier_late_last_24h"]
    assert np.array_equal(mine[found["index"]], found["late_min"].to_numpy(), equal_nan=True)
    assert np.isnan(mine[parcels["courier"].isna()]).all()


def test_shards_of_any_size_give_the_same_bytes(events, parcels, windowed):
    days = joined(events, by_day(parcels))
    for name, values in windowed.items():
        assert days[name].tobytes() == values.tobytes()


def test_events_out_of_order_on_disk_give_the_same_bytes(events, parcels, windowed, tmp_path):
    for name in FEATURES.sources:
        (tmp_path / name).mkdir()
        for file in (events.folder / name).glob("*.parquet"):
            pd.read_parquet(file).sample(frac=1, random_state=1).to_parquet(tmp_path / name / file.name, index=False)
    shuffled = joined(EventTables(tmp_path, FEATURES.sources), by_day(parcels))
    assert all(shuffled[name].tobytes() == values.tobytes() for name, values in windowed.items())


def test_only_new_and_changed_shards_are_computed(events, parcels, tmp_path):
    computed = []

    def counting(function, tasks):
        for task in tasks:
            computed.append(len(task[3]))
            yield function(task)

    days = by_day(parcels)
    cache = tmp_path / "shards"
    first = joined(events, days[:-1], engine=counting, cache=cache)
    assert len(computed) == len(days) - 1
    computed.clear()
    changed = [days[0], days[1].assign(courier="zz"), *days[2:]]
    second = joined(events, changed, engine=counting, cache=cache)
    assert computed == [len(days[1]), len(days[-1])]
    assert len(list(cache.iterdir())) == len(days)
    name = "courier_late_last_24h"
    assert second[name][: len(days[0])].tobytes() == first[name][: len(days[0])].tobytes()
    assert np.isnan(second[name][len(days[0]) : len(days[0]) + len(days[1])]).all()


def test_missing_partitions_and_columns_are_named(events, parcels, tmp_path):
    with pytest.raises(FeatureError, match="expected partitions in arrivals/; found none"):
        joined(EventTables(tmp_path, FEATURES.sources), [parcels])
    (tmp_path / "arrivals").mkdir()
    pd.DataFrame({"parcel_id": ["a"]}).to_parquet(tmp_path / "arrivals/2020-03.parquet")
    with pytest.raises(FeatureError, match=r"arrivals/2020-03.parquet: expected columns \['parcel_id', 'time'"):
        joined(EventTables(tmp_path, FEATURES.sources), [parcels])


def test_unknown_engine_is_named():
    with pytest.raises(FeatureError, match="expected local, or dask"), open_engine("spark"):
        pass


def test_dask_gives_the_same_bytes_also_when_a_worker_is_killed(events, parcels, windowed):
    with open_engine("dask") as engine:
        calm = joined(events, by_day(parcels), engine=engine)
        started = threading.Event()
        killed = []

        def kill_one():
            from distributed import default_client

            started.wait(30)
            workers = default_client().cluster.workers
            process = next(iter(workers.values())).process.process
            killed.append(process.pid)
            os.kill(process.pid, signal.SIGKILL)

        def slowly():
            for number, day in enumerate(by_day(parcels)):
                if number == 10:
                    started.set()
                    time.sleep(0.5)
                yield day

        killer = threading.Thread(target=kill_one)
        killer.start()
        stormy = joined(events, slowly(), engine=engine)
        killer.join()
    assert killed
    for name, values in windowed.items():
        assert calm[name].tobytes() == values.tobytes()
        assert stormy[name].tobytes() == values.tobytes()


def test_a_cluster_at_an_address_gives_the_same_bytes(events, parcels, windowed):
    from distributed import LocalCluster

    running = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": None}
    with LocalCluster(**running) as cluster, open_engine("dask", cluster.scheduler_address) as engine:
        remote = joined(events, by_day(parcels), engine=engine)
    assert all(remote[name].tobytes() == values.tobytes() for name, values in windowed.items())


def test_a_scheduler_that_does_not_answer_is_one_line():
    says = r"expected a scheduler at tcp://127.0.0.1:1; it does not answer"
    with pytest.raises(FeatureError, match=says), open_engine("dask", "tcp://127.0.0.1:1"):
        pass


def test_events_that_are_known_before_they_happen_are_refused(town, parcels, tmp_path):
    arrivals = town.tables["arrivals"]
    early = arrivals.assign(available_at=arrivals["time"] - pd.Timedelta("1us"))
    tables = replace(town, tables=town.tables | {"arrivals": early}).write(tmp_path)
    with pytest.raises(FeatureError, match=r"arrivals/2020-0\d.parquet: .* have an available_at before their time"):
        joined(tables, [parcels])
