"""The data of the tiny problem, made by a seed.

Depots have good and bad hours, which show in how late their last parcels were; couriers differ; heavy parcels take longer.
So windowed features carry most of what can be known, and the request alone a little.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ringbound.data.provenance import Provenance
from ringbound.data.sources import rejected_rows
from ringbound.features.columns import Column, Reference
from ringbound.features.frames import columns_of, plain_rows
from ringbound.features.offline import EventTables, asof_join
from ringbound.testing.parcels import FEATURES
from ringbound.workspace import layout

DEPOTS = ("north", "south", "harbour", "station", "hill")
FIRST = pd.Timestamp("2020-02-20T00:00Z")


@dataclass(frozen=True)
class Town:
    """A town's parcels in order of their times, the tables of events they make, and the depots.

    `parcels` are requests with `parcel_id`, `at`, `day`, `month` and `late`; unknown outcomes, one in fifty, are missing.
    The town is young, so that its months are weeks.
    """

    parcels: pd.DataFrame
    tables: dict[str, pd.DataFrame]
    depots: pd.DataFrame

    @property
    def references(self) -> dict[str, Reference]:
        """The reference tables that features look things up in."""
        return {"depots": Reference.from_table(self.depots, "depot", ["distance_km"])}

    @property
    def until(self) -> pd.Timestamp:
        """The time by which every event is known."""
        return max(table["available_at"].max() for table in self.tables.values())

    def write(self, folder: Path) -> EventTables:
        """Write the events as month-partitioned tables with their provenance, as *ingest* does; return their reader."""
        for name, table in self.tables.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            for month, part in table.groupby(table["available_at"].dt.strftime("%Y-%m")):
                part.to_parquet(folder / name / f"{month}.parquet", index=False)
        Provenance(self.until.isoformat(), {}).write(folder / layout.PROVENANCE)
        rejected_rows("", [], [], []).to_parquet(folder / layout.REJECTED, index=False)
        return EventTables(folder, FEATURES.sources)

    def features(self, parcels: pd.DataFrame, events: EventTables) -> dict[str, Column]:
        """Return every feature of some parcels."""
        (windowed,) = asof_join(FEATURES, events, [parcels])
        return FEATURES.compute(columns_of(parcels), self.references, windowed)

    def questions(self, parcels: pd.DataFrame) -> list[dict[str, Any]]:
        """Return parcels as the rows of a JSON request."""
        columns = [field.name for field in FEATURES.asked]
        times = {name: parcels[name].dt.strftime("%Y-%m-%dT%H:%M:%SZ") for name in ("promised", "at")}
        return plain_rows(parcels[columns].assign(**times))


def make_town(*, days: int = 40, per_day: int = 100, seed: int = 0) -> Town:
    """Return the parcels of `days` days, `per_day` each, beginning on 20 February 2020."""
    random = np.random.default_rng(seed)
    n = days * per_day
    minutes = np.sort(random.integers(0, days * 24 * 60, n))
    depot = random.integers(0, len(DEPOTS), n)
    courier = random.integers(0, 40, n)
    # How things stand at each depot: a walk by the hour that is drawn back to its mean.
    state = np.zeros((days * 24 + 24, len(DEPOTS)))
    for hour in range(1, len(state)):
        state[hour] = 0.97 * state[hour - 1] + random.normal(0, 0.4, len(DEPOTS))
    weight_kg = random.gamma(2.0, 2.0, n).round(1).clip(0.1, 50)
    late_min = (
        6 * state[minutes // 60, depot] + 4 * np.sin(courier) + 3 * weight_kg - 4 + random.normal(0, 8, n)
    ).round()
    promised = FIRST + pd.to_timedelta(minutes, unit="min")
    parcels = pd.DataFrame(
        {
            "parcel_id": [f"p{number:06}" for number in range(n)],
            "depot": np.array(DEPOTS)[depot],
            "courier": pd.Series([f"c{number:02}" for number in courier]).where(random.random(n) > 0.05),
            "route": 1.0 + random.integers(0, 30, n),
            "weight_kg": weight_kg,
            "promised": promised,
            "at": promised - pd.Timedelta(hours=2),
            "late": pd.Series((late_min >= 15).astype(float)).where(random.random(n) > 0.02),
        }
    )
    parcels["day"] = parcels["at"].dt.strftime("%Y-%m-%d")
    parcels["month"] = parcels["at"].dt.strftime("%G-W%V")
    waited = pd.Series(random.gamma(2, 10, n).round(2)).where(random.random(n) > 0.1)
    tables = {
        "arrivals": _events(parcels, promised + pd.to_timedelta(late_min, unit="min"), 10, late_min=late_min),
        "pickups": _events(parcels, promised - pd.Timedelta(minutes=50), 5, wait_min=waited),
    }
    depots = pd.DataFrame({"depot": DEPOTS, "distance_km": [3.5, 7.0, 5.25, 1.0, None]})
    return Town(parcels, tables, depots)


def _events(parcels: pd.DataFrame, happened: pd.DatetimeIndex, lag_min: int, **fields: Any) -> pd.DataFrame:
    known = {"time": happened, "available_at": happened + pd.Timedelta(minutes=lag_min)}
    events = parcels[["parcel_id", "depot", "courier", "route"]].assign(**known, **fields)
    return events.sort_values(["available_at", "parcel_id"], ignore_index=True)
